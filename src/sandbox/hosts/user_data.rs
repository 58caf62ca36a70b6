//! What the user data of an instance asks of its first boot.

use std::io::Read;

use flate2::read::GzDecoder;

use super::cloud_config::CloudConfig;
use super::mime::{self, Part};
use crate::error::{Error, Result};

/// User data larger than this after decompression is a mistake: EC2 takes 16 KiB.
const LIMIT: u64 = 16 * 1024 * 1024;

/// User data, understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum UserData {
    /// There is none.
    Nothing,
    /// `#cloud-config`.
    Config(CloudConfig),
    /// `#!`: a script.
    Script(Vec<u8>),
    /// A MIME message of several of these.
    Parts(Vec<UserData>),
}

impl UserData {
    /// Understands user data, compressed or not.
    ///
    /// # Errors
    /// When it is damaged or of a kind that the sandbox does not run.
    pub(super) fn parse(data: Option<&[u8]>) -> Result<UserData> {
        let Some(data) = data.filter(|data| !data.is_empty()) else { return Ok(UserData::Nothing) };
        let data = decompress(data)?;
        if mime::is_message(&data) {
            let parts = mime::parts(&data)?;
            return parts.iter().map(UserData::of_part).collect::<Result<_>>().map(UserData::Parts);
        }
        UserData::of_text(data)
    }

    /// A part of a message: its type says what it is, or, when that is plain text, its first line.
    fn of_part(part: &Part) -> Result<UserData> {
        match part.kind.as_str() {
            "text/x-shellscript" => Ok(UserData::Script(decompress(&part.content)?)),
            "text/cloud-config" => {
                let text = String::from_utf8_lossy(&part.content);
                CloudConfig::parse(&text).map(UserData::Config)
            }
            "text/plain" | "text/x-not-multipart" | "application/octet-stream" | "application/gzip" => {
                UserData::of_text(decompress(&part.content)?)
            }
            other => Err(Error::config(format!("a part of the user data is {other}"))
                .with_hint("the sandbox runs text/x-shellscript, text/cloud-config and text/plain")),
        }
    }

    /// Everything that is none of parts.
    pub(super) fn flat(&self) -> Vec<&UserData> {
        match self {
            UserData::Parts(parts) => parts.iter().flat_map(UserData::flat).collect(),
            alone => vec![alone],
        }
    }

    fn of_text(data: Vec<u8>) -> Result<UserData> {
        if data.starts_with(b"#!") {
            return Ok(UserData::Script(data));
        }
        let text = std::str::from_utf8(&data).map_err(|_| {
            Error::config("user data is neither text nor gzip").with_hint("expected `#cloud-config` or `#!`")
        })?;
        let first = text.lines().next().unwrap_or_default().trim_end();
        if first == "#cloud-config" {
            return CloudConfig::parse(text).map(UserData::Config);
        }
        Err(Error::config(format!("user data starts with `{}`", first.chars().take(60).collect::<String>()))
            .with_hint("the sandbox runs user data that starts with `#cloud-config` or `#!`"))
    }
}

/// Undoes gzip, if the data is compressed.
pub(super) fn decompress(data: &[u8]) -> Result<Vec<u8>> {
    if !data.starts_with(&[0x1f, 0x8b]) {
        return Ok(data.to_vec());
    }
    let mut plain = Vec::new();
    let size = GzDecoder::new(data)
        .take(LIMIT + 1)
        .read_to_end(&mut plain)
        .map_err(|error| Error::config("damaged gzip data in user data").with_source(error))?;
    if size as u64 > LIMIT {
        return Err(Error::config("user data decompresses to more than 16 MiB"));
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn scripts_and_configs_are_told_apart_compressed_or_not() {
        assert_eq!(UserData::parse(None).unwrap(), UserData::Nothing);
        assert_eq!(UserData::parse(Some(b"")).unwrap(), UserData::Nothing);
        let script = b"#!/bin/sh\necho\n";
        assert_eq!(UserData::parse(Some(script)).unwrap(), UserData::Script(script.to_vec()));
        assert_eq!(UserData::parse(Some(&gzip(script))).unwrap(), UserData::Script(script.to_vec()));
        assert!(matches!(
            UserData::parse(Some(b"#cloud-config\nruncmd: [ls]\n")).unwrap(),
            UserData::Config(_)
        ));
    }

    #[test]
    fn other_user_data_is_refused_with_what_was_expected() {
        for data in [&b"echo hello"[..], b"\xff\xfe\x00", b"\x1f\x8bdamaged", b"#include\nhttp://x"] {
            let error = UserData::parse(Some(data)).unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::Config, "{error}");
        }
        let bomb = gzip(&vec![0; LIMIT as usize + 2]);
        assert!(UserData::parse(Some(&bomb)).unwrap_err().message().contains("16 MiB"));
    }
}

//! MIME messages, as user data of several parts come.

use base64::Engine;

use crate::error::{Error, Result};

/// Messages in messages are followed so deep.
const DEPTH: usize = 8;

/// A part that is none of parts itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// `text/x-shellscript`, in lower case.
    pub(super) kind: String,
    /// Its content, decoded.
    pub(super) content: Vec<u8>,
}

/// Whether data are a message: cloud-init goes by the same mark.
pub(super) fn is_message(data: &[u8]) -> bool {
    let start = data.get(..4096).unwrap_or(data).to_ascii_lowercase();
    start.windows(13).any(|window| window == b"mime-version:")
}

/// The parts of a message in their order, those of messages inside it included.
///
/// # Errors
/// When it is no text, its boundary is missing, or the content of a part cannot be decoded.
pub(super) fn parts(data: &[u8]) -> Result<Vec<Part>> {
    let text =
        std::str::from_utf8(data).map_err(|_| Error::config("a MIME message in user data is no text"))?;
    let mut found = Vec::new();
    walk(text, DEPTH, &mut found)?;
    Ok(found)
}

fn walk(text: &str, depth: usize, found: &mut Vec<Part>) -> Result<()> {
    let (head, body) = split_head(text);
    let kind_line = header(&head, "content-type").unwrap_or_else(|| "text/plain".to_owned());
    let kind = kind_line.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !kind.starts_with("multipart/") {
        let encoding = header(&head, "content-transfer-encoding").unwrap_or_default().to_ascii_lowercase();
        found.push(Part { kind, content: decoded(body, encoding.trim())? });
        return Ok(());
    }
    if depth == 0 {
        return Err(Error::config("the user data are messages in messages, too deep"));
    }
    let boundary = parameter(&kind_line, "boundary")
        .ok_or_else(|| Error::config("a multipart message in user data names no boundary"))?;
    let delimiter = format!("--{boundary}");
    let mut part: Option<String> = None;
    for line in body.split_inclusive('\n') {
        let bare = line.trim_end();
        if bare == delimiter || bare == format!("{delimiter}--") {
            if let Some(mut whole) = part.take() {
                // The line break before the delimiter belongs to it.
                whole.truncate(whole.strip_suffix('\n').unwrap_or(&whole).len());
                walk(&whole, depth - 1, found)?;
            }
            part = (bare == delimiter).then(String::new);
            if part.is_none() {
                break;
            }
            continue;
        }
        if let Some(part) = &mut part {
            part.push_str(line);
        }
    }
    Ok(())
}

/// Headers, continued lines joined, and what follows the empty line after them.
fn split_head(text: &str) -> (Vec<String>, &str) {
    let mut head: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some((line, tail)) = rest.split_once('\n') {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            return (head, tail);
        }
        match head.last_mut() {
            Some(last) if line.starts_with([' ', '\t']) => last.push_str(line),
            _ => head.push(line.to_owned()),
        }
        rest = tail;
    }
    (head, "")
}

fn header(head: &[String], name: &str) -> Option<String> {
    let lines = head.iter().filter_map(|line| line.split_once(':'));
    let found = lines.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value);
    found.map(|value| value.trim().to_owned()).next()
}

fn parameter(value: &str, name: &str) -> Option<String> {
    let pairs = value.split(';').skip(1).filter_map(|pair| pair.split_once('='));
    let found = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value);
    found.map(|value| value.trim().trim_matches('"').to_owned()).find(|value| !value.is_empty())
}

fn decoded(body: &str, encoding: &str) -> Result<Vec<u8>> {
    match encoding {
        "" | "7bit" | "8bit" | "binary" => Ok(body.as_bytes().to_vec()),
        "base64" => {
            let text: String = body.split_whitespace().collect();
            base64::engine::general_purpose::STANDARD.decode(text).map_err(|error| {
                Error::config("a part of the user data is not valid base64").with_source(error)
            })
        }
        other => Err(Error::config(format!("a part of the user data is encoded as `{other}`"))
            .with_hint("the sandbox knows base64, 7bit and 8bit")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_decoded_and_in_order_also_in_messages_inside() {
        let message = "MIME-Version: 1.0\nContent-Type: multipart/mixed;\n boundary=\"out\"\n\nignored\n--out\n\
            Content-Type: text/x-shellscript; charset=\"us-ascii\"\n\n#!/bin/sh\nexit\n\n--out\n\
            Content-Type: multipart/mixed; boundary=in\n\n--in\n\n#cloud-config\n--in--\n--out\n\
            Content-Type: text/plain\nContent-Transfer-Encoding: BASE64\n\nIyEvYmlu\nL3No\n--out--\nafter\n";
        assert!(is_message(message.as_bytes()) && !is_message(b"#!/bin/sh\n"));
        let found = parts(message.as_bytes()).unwrap();
        let told: Vec<(&str, &[u8])> =
            found.iter().map(|part| (part.kind.as_str(), &*part.content)).collect();
        assert_eq!(
            told,
            [
                ("text/x-shellscript", &b"#!/bin/sh\nexit\n"[..]),
                ("text/plain", b"#cloud-config"),
                ("text/plain", b"#!/bin/sh")
            ]
        );
    }

    #[test]
    fn what_cannot_be_understood_is_told() {
        for message in [
            "MIME-Version: 1.0\nContent-Type: multipart/mixed\n\n",
            "MIME-Version: 1.0\nContent-Transfer-Encoding: base64\n\n%%%",
            "MIME-Version: 1.0\nContent-Transfer-Encoding: quoted-printable\n\nx",
        ] {
            assert!(parts(message.as_bytes()).is_err(), "{message}");
        }
        assert!(parts(b"MIME-Version: 1.0\n\n\xff").is_err());
    }
}

//! What is sent with a `PutObject`: content in signed chunks is put together, checksums are checked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::HeaderMap;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::request::hex;

/// Content, and the checksum that came with it: the header and the value.
#[derive(Debug)]
pub(super) struct Payload {
    pub content: Bytes,
    pub checksum: Option<(String, String)>,
}

/// The headers of checksums.
const CHECKSUMS: &[&str] = &[
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
];

/// Reads the body of a request; what does not fit its checksums is refused. CRC32C and CRC64NVME are
/// kept as they are told: the sandbox does not compute them.
pub(super) fn read(headers: &HeaderMap, body: Bytes) -> Result<Payload, Fault> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let given = CHECKSUMS.iter().find_map(|name| Some(((*name).to_owned(), header(name)?.to_owned())));
    let digest = header("x-amz-content-sha256").unwrap_or_default();
    let (content, trailing) = if digest.starts_with("STREAMING-") {
        let (content, trailing) = unchunk(&body)?;
        let wanted = header("x-amz-decoded-content-length").and_then(|length| length.parse::<usize>().ok());
        if wanted.is_some_and(|wanted| wanted != content.len()) {
            return Err(incomplete());
        }
        (Bytes::from(content), trailing)
    } else {
        if digest.len() == 64 && digest != hex(&Sha256::digest(&body)) {
            let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
            return Err(Fault::new("XAmzContentSHA256Mismatch", message));
        }
        (body, None)
    };
    if let Some(given) = header("content-md5") {
        let right = STANDARD.encode(md5::compute(&content).0);
        let length = STANDARD.decode(given).map(|bytes| bytes.len());
        if length != Ok(16) {
            return Err(Fault::new("InvalidDigest", "The Content-MD5 you specified was invalid."));
        }
        if given != right {
            let message = "The Content-MD5 you specified did not match what we received.";
            return Err(Fault::new("BadDigest", message));
        }
    }
    let checksum = given.or(trailing);
    if let Some((name, value)) = &checksum {
        let right = match name.as_str() {
            "x-amz-checksum-crc32" => {
                let mut crc = flate2::Crc::new();
                crc.update(&content);
                Some(STANDARD.encode(crc.sum().to_be_bytes()))
            }
            "x-amz-checksum-sha1" => Some(STANDARD.encode(Sha1::digest(&content))),
            "x-amz-checksum-sha256" => Some(STANDARD.encode(Sha256::digest(&content))),
            _ => None,
        };
        if right.is_some_and(|right| right != *value) {
            let kind = name.trim_start_matches("x-amz-checksum-").to_ascii_uppercase();
            let message = format!("The {kind} you specified did not match the calculated checksum.");
            return Err(Fault::new("BadDigest", message));
        }
    }
    Ok(Payload { content, checksum })
}

fn incomplete() -> Fault {
    let message = "You did not provide the number of bytes specified by the Content-Length HTTP header.";
    Fault::new("IncompleteBody", message)
}

/// `SIZE;…CRLF CONTENT CRLF … 0 CRLF TRAILER:VALUE CRLF CRLF`: the content and the checksum at its end.
#[allow(clippy::type_complexity)]
fn unchunk(mut rest: &[u8]) -> Result<(Vec<u8>, Option<(String, String)>), Fault> {
    let mut content = Vec::with_capacity(rest.len());
    loop {
        let (line, after) = line(rest).ok_or_else(incomplete)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).map_err(|_| incomplete())?;
        if size == 0 {
            rest = after;
            break;
        }
        content.extend_from_slice(after.get(..size).ok_or_else(incomplete)?);
        rest = after.get(size..).and_then(|rest| rest.strip_prefix(b"\r\n")).ok_or_else(incomplete)?;
    }
    let mut checksum = None;
    while let Some((text, after)) = line(rest) {
        rest = after;
        let Some((name, value)) = text.split_once(':') else { continue };
        let name = name.trim().to_ascii_lowercase();
        if CHECKSUMS.contains(&name.as_str()) {
            checksum = Some((name, value.trim().to_owned()));
        }
    }
    Ok((content, checksum))
}

fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    Some((std::str::from_utf8(bytes.get(..end)?).ok()?, bytes.get(end + 2..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn chunks_are_put_together_and_their_trailer_is_checked() {
        let head = headers(&[
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
            ("x-amz-decoded-content-length", "11"),
        ]);
        let body =
            "5;chunk-signature=x\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:DUoRhQ==\r\n\r\n";
        let payload = read(&head, Bytes::from(body)).unwrap();
        assert_eq!(&payload.content[..], b"hello world");
        assert_eq!(payload.checksum.unwrap().1, "DUoRhQ==");
        let wrong = read(&head, Bytes::from(body.replace("DUo", "DUp")));
        assert_eq!(wrong.unwrap_err().code, "BadDigest");
        for cut in ["5\r\nhel", "", "x\r\n", "ffffffffffffffff\r\n"] {
            assert_eq!(read(&head, Bytes::from(cut)).unwrap_err().code, "IncompleteBody", "{cut}");
        }
    }

    #[test]
    fn digests_are_checked() {
        let given = |name, value| read(&headers(&[(name, value)]), Bytes::from("hello"));
        assert!(given("content-md5", "XUFAKrxLKna5cZ2REBfFkg==").is_ok());
        assert_eq!(given("content-md5", "AUFAKrxLKna5cZ2REBfFkg==").unwrap_err().code, "BadDigest");
        assert_eq!(given("content-md5", "x").unwrap_err().code, "InvalidDigest");
        let zeros = "0".repeat(64);
        assert_eq!(given("x-amz-content-sha256", &zeros).unwrap_err().code, "XAmzContentSHA256Mismatch");
    }
}

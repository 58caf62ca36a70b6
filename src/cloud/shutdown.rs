//! Instances that end themselves: user data that arm a timer on the machine, added to the user's own.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Installs `spot-expire` on the machine and calls it; `{{end}}` stands for seconds since 1970.
const SCRIPT: &str = include_str!("shutdown.sh");
/// Decompressed user data larger than this are a mistake: EC2 takes 16 KiB.
const LIMIT: u64 = 16 * 1024 * 1024;
/// cloud-init takes data for a MIME message when this is among their first bytes, in any case.
const MIME_MARK: &[u8] = b"mime-version:";
const MIME_START: usize = 4096;
/// Characters in a line of base64.
const LINE: usize = 76;

/// User data that shut the machine down at a time, and besides do all that `data` do, whatever kind
/// of user data they are: cloud-config, script, MIME message, compressed or not.
///
/// The timer is the first part, so that nothing of the user's that hangs or fails is in its way. What
/// comes out may be larger than EC2 takes; [`pack_user_data`](super::pack_user_data) sees to that.
///
/// # Errors
/// When `data` are compressed and damaged.
pub fn arm(data: Option<&[u8]>, end: Timestamp) -> Result<Vec<u8>> {
    let script = SCRIPT.replace("{{end}}", &end.as_second().to_string());
    let data = match data.filter(|data| !data.is_empty()) {
        Some(data) => decompressed(data)?,
        None => return Ok(script.into_bytes()),
    };
    let digest = Sha256::digest(&data);
    let boundary: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let mut message = format!(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"spot-{boundary}\"\n\n\
         --spot-{boundary}\nContent-Type: text/x-shellscript; charset=\"us-ascii\"\n\n{script}\n--spot-{boundary}\n"
    )
    .into_bytes();
    if is_message(&data) {
        // A message in a message: its own headers are those of the part.
        message.extend_from_slice(&data);
    } else if data.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t')) {
        // cloud-init looks at the first line of plain text for what it is, as it does without a message.
        message.extend_from_slice(b"Content-Type: text/plain; charset=\"us-ascii\"\n\n");
        message.extend_from_slice(&data);
    } else {
        message.extend_from_slice(
            b"Content-Type: text/plain; charset=\"utf-8\"\nContent-Transfer-Encoding: base64\n\n",
        );
        for line in STANDARD.encode(&data).as_bytes().chunks(LINE) {
            message.extend_from_slice(line);
            message.push(b'\n');
        }
    }
    message.extend_from_slice(format!("\n--spot-{boundary}--\n").as_bytes());
    Ok(message)
}

/// Whether cloud-init takes data for a MIME message.
fn is_message(data: &[u8]) -> bool {
    let start = data.get(..MIME_START).unwrap_or(data).to_ascii_lowercase();
    start.windows(MIME_MARK.len()).any(|window| window == MIME_MARK)
}

fn decompressed(data: &[u8]) -> Result<Vec<u8>> {
    if !data.starts_with(&[0x1f, 0x8b]) {
        return Ok(data.to_vec());
    }
    let mut plain = Vec::new();
    let read = GzDecoder::new(data).take(LIMIT + 1).read_to_end(&mut plain);
    read.map_err(|error| Error::usage("the user data are damaged gzip data").with_source(error))?;
    if plain.len() as u64 > LIMIT {
        return Err(Error::usage("the user data decompress to more than 16 MiB"));
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn end() -> Timestamp {
        "2026-06-01T12:00:00Z".parse().unwrap()
    }

    /// What Python's email package, which cloud-init uses, finds in user data: type and content of each
    /// part that is none of parts itself.
    fn parts(data: &[u8]) -> Vec<(String, Vec<u8>)> {
        let program = "import sys, email, base64\n\
            message = email.message_from_string(sys.stdin.buffer.read().decode('utf-8'))\n\
            for part in message.walk():\n    \
                if not part.is_multipart():\n        \
                    print(part.get_content_type(), base64.b64encode(part.get_payload(decode=True)).decode())\n";
        let mut child = Command::new("python3")
            .args(["-c", program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is missing");
        child.stdin.take().unwrap().write_all(data).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let lines = String::from_utf8(output.stdout).unwrap();
        let part = |line: &str| {
            let (kind, content) = line.split_once(' ').unwrap_or((line, ""));
            (kind.to_owned(), STANDARD.decode(content).unwrap())
        };
        lines.lines().map(part).collect()
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_users_own_data_come_through_to_the_byte() {
        let config = "#cloud-config\n{\"runcmd\":[\"ls\"]}";
        let script = "#!/bin/sh\necho 'größer' \\u00e9\r\n\n--x--\nFrom here\n\n";
        let long = format!("#!/bin/sh\n{}\n", "x".repeat(5000));
        for data in
            [config, script, &long, "#include\nhttp://example.com/x", "no kind that anybody knows", "\n"]
        {
            for data in [data.as_bytes().to_vec(), gzip(data.as_bytes())] {
                let found = parts(&arm(Some(&data), end()).unwrap());
                assert_eq!(found.len(), 2);
                assert_eq!(found[0].0, "text/x-shellscript");
                assert!(
                    String::from_utf8_lossy(&found[0].1)
                        .contains("exec /usr/local/sbin/spot-expire 1780315200")
                );
                let plain = decompressed(&data).unwrap();
                assert_eq!((found[1].0.as_str(), &found[1].1), ("text/plain", &plain));
            }
        }
    }

    #[test]
    fn a_message_keeps_its_parts_and_their_types() {
        let message = "Content-Type: multipart/mixed; boundary=\"b\"\nMIME-Version: 1.0\n\n--b\n\
            Content-Type: text/cloud-config\nMerge-Type: list(append)\n\n#cloud-config\nruncmd: [ls]\n--b\n\
            Content-Type: text/x-shellscript\n\n#!/bin/sh\necho hi\n--b--\n";
        let found = parts(&arm(Some(message.as_bytes()), end()).unwrap());
        let kinds: Vec<&str> = found.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(kinds, ["text/x-shellscript", "text/cloud-config", "text/x-shellscript"]);
        assert_eq!(found[1].1, b"#cloud-config\nruncmd: [ls]");
        assert_eq!(found[2].1, b"#!/bin/sh\necho hi");
    }

    #[test]
    fn without_user_data_the_timer_is_all_and_damage_is_told() {
        for nothing in [None, Some(&b""[..])] {
            let script = String::from_utf8(arm(nothing, end()).unwrap()).unwrap();
            assert!(script.starts_with("#!/bin/sh\n") && !script.contains("{{"), "{script}");
        }
        assert!(arm(Some(b"\x1f\x8bdamaged"), end()).is_err());
    }
}

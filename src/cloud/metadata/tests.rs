//! The script against a metadata service of the test, by each of the programs that it may find.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use super::*;

/// A metadata service that answers until the test ends; 404 for what is not given.
fn service(action: Option<&'static str>, rebalance: Option<&'static str>, token: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), action, rebalance, token);
        }
    });
    url
}

fn answer(mut stream: TcpStream, action: Option<&str>, rebalance: Option<&str>, token: bool) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        request.push(byte[0]);
    }
    let request = String::from_utf8(request).unwrap();
    let allowed = request.to_lowercase().contains("x-aws-ec2-metadata-token: secret");
    let first = request.lines().next().unwrap();
    let path = first.split(' ').nth(1).unwrap();
    let (status, body) = match path {
        "/latest/api/token" if !token => (405, "no"),
        "/latest/api/token" => {
            assert!(first.starts_with("PUT "), "{first}");
            assert!(request.to_lowercase().contains("ttl-seconds: 60"), "{request}");
            (200, "secret")
        }
        _ if token && !allowed => (401, "no token"),
        "/latest/meta-data/spot/instance-action" => action.map_or((404, "not found"), |it| (200, it)),
        "/latest/meta-data/events/recommendations/rebalance" => {
            rebalance.map_or((404, "not found"), |it| (200, it))
        }
        other => panic!("{other}"),
    };
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\nServer: EC2ws\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

/// Runs the script with a PATH of these programs only, as far as the machine has them.
fn run(url: &str, programs: &[&str]) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    for program in programs.iter().chain(&["sed", "tr", "cat", "grep"]) {
        let found = ["/usr/bin", "/bin", "/usr/local/bin"].map(|place| Path::new(place).join(program));
        let found = found.iter().find(|path| path.exists())?;
        std::os::unix::fs::symlink(found, folder.path().join(program)).unwrap();
    }
    let output = Command::new("/bin/sh")
        .args(["-c", SCRIPT])
        .env_clear()
        .env("PATH", folder.path())
        .env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)
        .env("http_proxy", "http://127.0.0.1:1")
        .output()
        .unwrap();
    Some(String::from_utf8(output.stdout).unwrap())
}

const TOOLS: [&[&str]; 4] = [&["curl"], &["wget", "awk"], &["python3"], &["bash"]];
const ACTION: &str = r#"{"action": "terminate", "time": "2026-01-02T03:04:05Z"}"#;
const REBALANCE: &str = r#"{"noticeTime": "2026-01-02T03:00:00Z"}"#;

#[test]
fn every_program_finds_what_is_due_and_what_is_not() {
    let (quiet, both, old) = (
        service(None, None, true),
        service(Some(ACTION), Some(REBALANCE), true),
        service(None, Some(REBALANCE), false),
    );
    let mut asked = 0;
    for tool in TOOLS {
        let Some(output) = run(&quiet, tool) else { continue };
        asked += 1;
        assert_eq!(read(&output).unwrap(), Notices::default(), "{tool:?}: {output}");
        let output = run(&both, tool).unwrap();
        let found = read(&output).unwrap_or_else(|error| panic!("{tool:?}: {error}: {output}"));
        assert_eq!(found.action, Some(("terminate".to_owned(), "2026-01-02T03:04:05Z".to_owned())));
        assert_eq!(found.rebalance.as_deref(), Some("2026-01-02T03:00:00Z"), "{tool:?}: {output}");
        // A service that knows no tokens.
        let output = run(&old, tool).unwrap();
        assert!(read(&output).unwrap().rebalance.is_some(), "{tool:?}: {output}");
        // Nobody listens: that is not the same as nothing being due.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let output = run(&format!("http://127.0.0.1:{port}"), tool).unwrap();
        let error = read(&output).unwrap_err();
        assert_eq!(error.code(), Some("NoMetadata"), "{tool:?}: {output}");
        assert!(error.message().contains("does not answer"), "{error}");
    }
    assert!(asked >= 2, "too few programs on this machine: {asked}");
}

#[test]
fn a_host_without_programs_says_so() {
    let output = run("http://127.0.0.1:1", &[]).unwrap();
    assert!(read(&output).unwrap_err().message().contains("none of curl"), "{output}");
}

#[test]
fn refusals_and_cut_answers_are_not_taken_for_silence() {
    for output in [
        "",
        "?token\n200\n",
        "?token\n200\n?action\nno\n401\n?rebalance\n404\n",
        "?token\n200\n?action\n{\"action\n200\n?rebalance\n404\n",
        "?token\n403\n?action\n403\n?rebalance\n403\n",
    ] {
        assert_eq!(read(output).unwrap_err().code(), Some("NoMetadata"), "{output}");
    }
    assert_eq!(read("?token\n200\n?action\n<html>\n\n404\n?rebalance\n404\n").unwrap(), Notices::default());
}

//! The whole room against OpenSSH's sshd.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::sshd::Sshd;
use super::*;
use crate::error::Kind;

fn silent(_: Stream, _: &str) {}

async fn sh(ssh: &Ssh, target: &Target, line: &str) -> Output {
    ssh.run(target, &Command::new(line), &silent).await.unwrap()
}

/// Polls until a condition holds.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_command_gives_output_status_and_lines() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let seen = Mutex::new(Vec::new());
    let on_line = |stream: Stream, line: &str| seen.lock().unwrap().push((stream, line.to_owned()));
    let command = Command::new("echo out; echo err >&2; exit 7");
    let output = ssh.run(&sshd.target(), &command, &on_line).await.unwrap();
    assert_eq!((output.status, output.signal.as_deref()), (Some(7), None));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    assert!(!output.ok() && output.truncated == 0);
    let mut seen = seen.into_inner().unwrap();
    seen.sort_by_key(|(stream, _)| *stream == Stream::Stderr);
    assert_eq!(seen, [(Stream::Stdout, "out".to_owned()), (Stream::Stderr, "err".to_owned())]);
}

#[tokio::test]
async fn a_signal_is_reported() {
    let sshd = Sshd::start();
    let output = sh(&sshd.ssh(), &sshd.target(), "kill -TERM $$").await;
    assert_eq!((output.status, output.signal.as_deref()), (None, Some("TERM")));
}

#[tokio::test]
async fn input_directory_and_environment_arrive_and_do_not_show_in_the_process_list() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let mut command = Command::new(
        "cat; pwd; printf %s \"$SECRET\" | sha256sum; tr '\\0' ' ' < /proc/$$/cmdline; ps -eo args",
    );
    command.directory = Some("/usr".into());
    command.environment = vec![("SECRET".into(), "hunter2 'n\nmore".into())];
    command.stdin = Some(vec![b'x'; 3_000_000]);
    command.capture_limit = 100_000_000;
    let output = ssh.run(&sshd.target(), &command, &silent).await.unwrap();
    assert!(output.ok(), "{}", output.stderr);
    let rest = output.stdout.strip_prefix(&"x".repeat(3_000_000)).unwrap();
    assert!(rest.starts_with("/usr\n"), "{rest}");
    let sum = std::process::Command::new("sh")
        .args(["-c", "printf %s \"$1\" | sha256sum", "sh", "hunter2 'n\nmore"])
        .output()
        .unwrap();
    assert!(rest.contains(std::str::from_utf8(&sum.stdout).unwrap()));
    assert!(!rest.contains("hunter2"), "the secret is in a process list");
}

#[tokio::test]
async fn a_command_that_reads_nothing_may_be_given_a_lot() {
    let sshd = Sshd::start();
    let mut command = Command::new("echo done");
    command.stdin = Some(vec![b'x'; 10_000_000]);
    let output = sshd.ssh().run(&sshd.target(), &command, &silent).await.unwrap();
    assert_eq!(output.stdout, "done\n");
}

#[tokio::test]
async fn big_output_is_cut_in_the_middle() {
    let sshd = Sshd::start();
    let mut command = Command::new("seq 1 2000000");
    command.capture_limit = 1000;
    let output = sshd.ssh().run(&sshd.target(), &command, &silent).await.unwrap();
    assert!(output.ok());
    assert!(output.stdout.starts_with("1\n2\n") && output.stdout.ends_with("2000000\n"));
    assert_eq!(output.truncated, 14_888_896 - 1000);
    assert!(output.stdout.len() < 1100);
}

#[tokio::test]
async fn a_time_out_kills_the_process_group() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let file = sshd.folder.path().join("pids");
    // A child that ignores the polite signal, and a grandchild.
    let mut command = Command::new(format!(
        "echo $$ > {0}; (trap '' TERM; sh -c 'echo $$ >> {0}; sleep 600'; sleep 600) & wait; sleep 600",
        file.display()
    ));
    command.timeout = Some(Duration::from_secs(1));
    let started = Instant::now();
    let error = ssh.run(&sshd.target(), &command, &silent).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Timeout, Some("CommandTimeout")));
    assert!(error.message().contains("were killed"), "{error}");
    assert!(!error.is_retryable());
    assert!(started.elapsed() < Duration::from_secs(10));
    let pids = std::fs::read_to_string(file).unwrap();
    assert_eq!(pids.lines().count(), 2);
    for pid in pids.lines() {
        until("the process is gone", || !std::path::Path::new(&format!("/proc/{pid}")).exists()).await;
    }
    assert!(sh(&ssh, &sshd.target(), "true").await.ok(), "the connection lives on");
}

#[tokio::test]
async fn a_time_out_works_when_no_second_channel_is_to_be_had() {
    let sshd = Sshd::start_with("MaxSessions 1");
    let mut command = Command::new("sleep 600");
    command.timeout = Some(Duration::from_millis(500));
    let error = sshd.ssh().run(&sshd.target(), &command, &silent).await.unwrap_err();
    assert!(error.message().contains("were killed"), "{error}");
}

#[tokio::test]
async fn a_daemon_left_behind_does_not_hold_us_up() {
    let sshd = Sshd::start();
    let started = Instant::now();
    let output = sh(&sshd.ssh(), &sshd.target(), "sleep 30 & echo started; exit 3").await;
    assert_eq!((output.status, output.stdout.as_str()), (Some(3), "started\n"));
    assert!(started.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn cancelling_ends_a_command_promptly() {
    let sshd = Sshd::start();
    let cancel = CancellationToken::new();
    let ssh = Ssh::new(sshd.settings(), cancel.clone()).unwrap();
    let file = sshd.folder.path().join("started");
    let command = Command::new(format!("echo $$ > {}; exec sleep 600", file.display()));
    let target = sshd.target();
    let running = ssh.run(&target, &command, &silent);
    let stop = async {
        until("the command runs", || std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')))
            .await;
        cancel.cancel();
        Instant::now()
    };
    let (result, cancelled) = tokio::join!(running, stop);
    assert_eq!(result.unwrap_err().kind(), Kind::Interrupted);
    assert!(cancelled.elapsed() < Duration::from_secs(2));
    let pid = std::fs::read_to_string(&file).unwrap();
    until("the process is gone", || !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists()).await;
}

#[tokio::test]
async fn fifty_commands_share_one_connection() {
    for config in ["", "MaxSessions 3"] {
        let sshd = Sshd::start_with(config);
        let ssh = sshd.ssh();
        let target = sshd.target();
        let runs = (0..50).map(|number| {
            let (ssh, target) = (ssh.clone(), target.clone());
            async move { sh(&ssh, &target, &format!("echo {number}; sleep 0.05")).await.stdout }
        });
        let outputs = futures::future::join_all(runs).await;
        let expected: Vec<String> = (0..50).map(|number| format!("{number}\n")).collect();
        assert_eq!(outputs, expected, "{config}");
        assert_eq!(sshd.connections(), 1, "{config}");
    }
}

#[tokio::test]
async fn a_dead_connection_is_replaced() {
    let sshd = Sshd::start();
    let ssh = sshd.ssh();
    let target = sshd.target();
    assert!(sh(&ssh, &target, "true").await.ok());
    sshd.end_connections();
    assert!(sh(&ssh, &target, "true").await.ok());
    let command = Command::new("sleep 30");
    let running = ssh.run(&target, &command, &silent);
    let breaking = async {
        until("the command runs", || sshd.connections() == 1).await;
        let output = sh(&ssh, &target, "true").await;
        assert!(output.ok());
        sshd.end_connections();
    };
    let (result, ()) = tokio::join!(running, breaking);
    let error = result.unwrap_err();
    assert_eq!(error.code(), Some("SessionLost"));
    assert!(!error.is_retryable(), "it may have run");
}

#[tokio::test]
async fn a_changed_host_key_is_refused_until_forgotten() {
    let mut sshd = Sshd::start();
    let target = sshd.target();
    let ssh = sshd.ssh();
    assert!(sh(&ssh, &target, "true").await.ok());
    let folder = sshd.folder.path().to_owned();
    sshd::host_key(&folder.join("host_other"), "ed25519");

    // Another key first in the server's list, but the recorded one is still there: asked for.
    sshd.restart_with_keys("host_ecdsa host_ed25519");
    assert!(sh(&sshd.ssh(), &target, "true").await.ok());

    sshd.restart_with_keys("host_other");
    let error = sshd.ssh().run(&target, &Command::new("true"), &silent).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Ssh, Some("HostKeyChanged")));
    assert!(!error.is_retryable());
    assert_eq!(error.message().matches("SHA256:").count(), 2, "{error}");
    assert!(ssh.forget("i-test").await.unwrap());
    assert!(!ssh.forget("i-test").await.unwrap());
    assert!(sh(&ssh, &target, "true").await.ok());
}

#[tokio::test]
async fn the_recorded_key_is_understood_by_openssh() {
    let sshd = Sshd::start();
    assert!(sh(&sshd.ssh(), &sshd.target(), "true").await.ok());
    let line = sshd.target().command_line(Some(&sshd.identity()), &sshd.settings().known_hosts);
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("{line} -o BatchMode=yes -o StrictHostKeyChecking=yes -F none echo hello")])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "hello\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn a_wrong_key_is_rejected_at_once() {
    let sshd = Sshd::start();
    let wrong = sshd.folder.path().join("wrong");
    keys::generate(&wrong, "").unwrap();
    let settings = Settings { identities: vec![wrong.clone()], ..sshd.settings() };
    let ssh = Ssh::new(settings, CancellationToken::new()).unwrap();
    let error = ssh.run(&sshd.target(), &Command::new("true"), &silent).await.unwrap_err();
    assert_eq!(error.code(), Some("KeyRejected"));
    assert!(!error.is_retryable());
    assert!(error.message().contains(&wrong.display().to_string()), "{error}");
}

#[tokio::test]
async fn keys_of_every_kind_log_in() {
    let sshd = Sshd::start();
    for kind in ["rsa", "ecdsa", "ed25519"] {
        let path = sshd.folder.path().join(kind);
        sshd::host_key(&path, kind);
        let public = std::fs::read_to_string(sshd.folder.path().join(format!("{kind}.pub"))).unwrap();
        std::fs::write(sshd.folder.path().join("authorized_keys"), public).unwrap();
        let settings = Settings { identities: vec![path], ..sshd.settings() };
        let ssh = Ssh::new(settings, CancellationToken::new()).unwrap();
        assert!(sh(&ssh, &sshd.target(), "true").await.ok(), "{kind}");
    }
}

#[tokio::test]
async fn a_key_readable_by_others_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let sshd = Sshd::start();
    std::fs::set_permissions(sshd.identity(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = sshd.ssh().run(&sshd.target(), &Command::new("true"), &silent).await.unwrap_err();
    assert_eq!(error.code(), Some("KeyPermissions"));
    assert_eq!(error.hint(), Some(format!("chmod 600 {}", sshd.identity().display()).as_str()));
}

#[tokio::test]
async fn a_closed_port_fails_after_the_policy_for_all_waiters_alike() {
    let mut sshd = Sshd::start();
    sshd.stop();
    let ssh = sshd.ssh();
    let target = sshd.target();
    let command = Command::new("true");
    let runs = (0..20).map(|_| ssh.run(&target, &command, &silent));
    for result in futures::future::join_all(runs).await {
        let error = result.unwrap_err();
        assert_eq!(error.code(), Some("ConnectionRefused"));
        assert!(error.is_retryable());
    }
}

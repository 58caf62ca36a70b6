//! Every fault, as OpenSSH's clients see it.

use super::*;
use crate::sandbox::hosts::{
    CloudInitFaults, CommandFault, ConnectionFault, DiskFaults, Ending, LoginFault, Moment,
};

impl Stage {
    fn set(&self, faults: HostFaults) {
        self.runtime.block_on(self.hosts.set_faults(&self.spec.id, faults)).unwrap();
    }

    /// What `ssh` says of a command that must not get through.
    fn fails(&self, command: &str) -> String {
        // The first value of an option counts.
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "LogLevel=INFO"]).args(self.options(&self.folder.path().join("key")));
        let output = ssh.arg(self.target()).arg(command).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(255), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

fn breaks(at: Moment, how: Ending) -> HostFaults {
    let fault = ConnectionFault { at, how, skip: 0, times: Some(1) };
    HostFaults { connections: vec![fault], ..HostFaults::default() }
}

#[test]
fn connections_break_where_they_are_told_to_and_only_as_often() {
    let stage = Stage::up(|_| {});
    for (at, how) in [
        (Moment::Connect, Ending::Close),
        (Moment::Connect, Ending::Reset),
        (Moment::Banner, Ending::Close),
        (Moment::Banner, Ending::Reset),
        (Moment::KeyExchange, Ending::Close),
        (Moment::KeyExchange, Ending::Reset),
        (Moment::Login, Ending::Close),
        (Moment::Login, Ending::Reset),
        (Moment::Sent(600), Ending::Close),
        (Moment::Received(600), Ending::Reset),
    ] {
        stage.set(breaks(at, how));
        let heard = stage.fails("true");
        // A client that was about to send something hears of a reset by that.
        let said = match how {
            Ending::Close => ["onnection closed by", "closed by remote host"],
            _ => ["Connection reset by", "Broken pipe"],
        };
        assert!(said.iter().any(|said| heard.contains(said)), "{at:?} {how:?}: {heard}");
        assert_eq!(stage.out("echo well"), "well", "{at:?}");
    }
}

#[test]
fn a_transfer_is_cut_after_so_many_bytes() {
    let stage = Stage::up(|_| {});
    stage.set(breaks(Moment::Sent(300_000), Ending::Reset));
    let output = stage.ssh("head -c 1000000 /dev/zero");
    assert_eq!(output.status.code(), Some(255));
    // What had arrived and was not yet read is lost with a reset, which may be all of it.
    assert!(output.stdout.len() < 300_000, "{}", output.stdout.len());
    stage.set(breaks(Moment::Received(300_000), Ending::Close));
    assert_eq!(stage.ssh_with_input("cat >got", &vec![1; 1_000_000]).status.code(), Some(255));
    let got: usize = stage.out("stat -c %s got").parse().unwrap();
    assert!(got < 300_000, "{got}");
}

#[test]
fn a_silent_connection_is_given_up_by_the_client() {
    let stage = Stage::up(|_| {});
    let patience = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=1", "-o", "ConnectTimeout=1"];
    let try_it = || stage.client("ssh").args(patience).arg(stage.target()).arg("true").output().unwrap();
    for at in [Moment::Connect, Moment::Login] {
        stage.set(breaks(at, Ending::Silence));
        let output = try_it();
        assert_eq!(output.status.code(), Some(255), "{at:?}: {output:?}");
        assert!(try_it().status.success(), "{at:?}");
    }
    // A host that hangs answers on no connection, and goes on where it was.
    let mut ssh = stage.client("ssh");
    ssh.arg(stage.target()).arg("cat").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = ssh.spawn().unwrap();
    let (mut to, mut from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut answer = [0; 2];
    to.write_all(b"a\n").unwrap();
    std::io::Read::read_exact(&mut from, &mut answer).unwrap();
    stage.set(HostFaults { hangs: true, ..HostFaults::default() });
    assert_eq!(try_it().status.code(), Some(255));
    to.write_all(b"b\n").unwrap();
    stage.set(HostFaults::default());
    std::io::Read::read_exact(&mut from, &mut answer).unwrap();
    assert_eq!(&answer, b"b\n");
    drop(to);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_port_refuses_and_answers_again_while_a_connection_goes_on() {
    let stage = Stage::up(|_| {});
    let mut child = stage.client("ssh").arg(stage.target()).arg("cat").stdin(Stdio::piped()).spawn().unwrap();
    until("the command runs", || stage.ssh("pgrep -x cat -u 0 >/dev/null; pgrep -c -x cat").stdout != b"1\n");
    stage.set(HostFaults { refuses: true, ..HostFaults::default() });
    until("the port refuses", || !stage.listens());
    assert!(stage.fails("true").contains("Connection refused"));
    stage.set(HostFaults::default());
    stage.wait_for_port();
    assert!(child.try_wait().unwrap().is_none());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn another_host_key_is_noticed() {
    let stage = Stage::up(|_| {});
    stage.out("true");
    stage.set(HostFaults { other_host_key: true, ..HostFaults::default() });
    assert!(stage.fails("true").contains("REMOTE HOST IDENTIFICATION HAS CHANGED"));
    stage.set(HostFaults::default());
    stage.out("true");
}

#[test]
fn logins_are_refused_or_sent_elsewhere() {
    let stage = Stage::up(|_| {});
    let as_root =
        || stage.client("ssh").arg(format!("root@{}", stage.spec.address)).arg("true").output().unwrap();
    let output = as_root();
    assert_eq!(output.status.code(), Some(142), "{output:?}");
    let said = "Please login as the user \"ubuntu\" rather than the user \"root\".\n\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), said);
    stage.set(HostFaults { login: Some(LoginFault::Refused), ..HostFaults::default() });
    assert!(stage.fails("true").contains("Permission denied (publickey)"));
    stage.set(HostFaults { login: Some(LoginFault::OtherUser("admin".to_owned())), ..HostFaults::default() });
    let output = stage.ssh("touch /tmp/here");
    assert!(output.stdout.starts_with(b"Please login as the user \"admin\""), "{output:?}");
    assert_eq!(output.status.code(), Some(142));
    stage.set(HostFaults::default());
    assert_eq!(stage.out("ls /tmp"), "");
}

#[test]
fn a_connection_has_only_so_many_sessions() {
    let stage = Stage::up(|spec| spec.faults.max_sessions = Some(1));
    let control = stage.folder.path().join("control");
    let shared = |arguments: &[&str]| {
        let mut command = stage.client("ssh");
        command.arg("-S").arg(&control).args(["-o", "LogLevel=INFO"]).args(arguments).arg(stage.target());
        command
    };
    let mut master =
        shared(&["-M", "-o", "ControlPersist=no"]).arg("cat").stdin(Stdio::piped()).spawn().unwrap();
    until("the master is up", || shared(&["-O", "check"]).output().unwrap().status.success());
    let refused = shared(&[]).arg("true").output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("refused by peer"), "{refused:?}");
    stage.set(HostFaults { max_sessions: Some(2), ..HostFaults::default() });
    assert!(shared(&[]).arg("true").output().unwrap().status.success());
    drop(master.stdin.take());
    master.wait().unwrap();
}

#[test]
fn only_so_many_strangers_may_knock() {
    let stage = Stage::up(|spec| spec.faults.max_startups = Some(1));
    let mut knocking = None;
    until("it is counted", || {
        // The first may be refused for the sake of the connection that tried the port.
        knocking = Some(TcpStream::connect((stage.spec.address, stage.spec.port)).unwrap());
        !stage.ssh("true").status.success()
    });
    assert!(stage.fails("true").contains("closed by remote host"));
    drop(knocking);
    until("there is room again", || stage.ssh("true").status.success());
}

#[test]
fn packets_are_late() {
    let stage = Stage::up(|_| {});
    stage.out("true");
    stage.set(HostFaults { latency: Duration::from_millis(200), ..HostFaults::default() });
    let begin = Instant::now();
    assert_eq!(stage.ssh_with_input("cat", &vec![b'x'; 2_000_000]).stdout.len(), 2_000_000);
    // Introduction, keys, login and channel are at least five packets that wait for an answer.
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[test]
fn a_slow_disk_takes_its_time() {
    let stage = Stage::up(|spec| spec.faults.disk.bytes_per_second = Some(1_000_000));
    let file = stage.folder.path().join("file");
    std::fs::write(&file, vec![7; 1_000_000]).unwrap();
    // A second for each, of which the last piece may still be on its way to the disk at the end.
    let slow = Duration::from_millis(700);
    let begin = Instant::now();
    assert!(stage.sftp(&format!("put {} up\n", file.display())).status.success());
    assert!(begin.elapsed() >= slow, "{:?}", begin.elapsed());
    let begin = Instant::now();
    assert!(stage.ssh_with_input("cat >piped", &vec![7; 1_000_000]).status.success());
    assert!(begin.elapsed() >= slow, "{:?}", begin.elapsed());
    assert_eq!(stage.out("cmp up piped && stat -c %s up"), "1000000");
}

#[test]
fn a_full_disk_is_full_for_commands_and_transfers_and_keeps_what_fitted() {
    let stage = Stage::up(|_| {});
    stage.out("echo before >old; mkdir -p d; echo x >d/gone");
    let disk = DiskFaults { full_after: Some(100_000), ..DiskFaults::default() };
    stage.set(HostFaults { disk, ..HostFaults::default() });
    assert_eq!(stage.out("echo fits >new; rm d/gone; cat old"), "before");
    let output = stage.ssh("head -c 200000 /dev/zero >big");
    assert!(String::from_utf8_lossy(&output.stderr).contains("No space left on device"), "{output:?}");
    let file = stage.folder.path().join("file");
    std::fs::write(&file, vec![7; 200_000]).unwrap();
    let put = stage.sftp(&format!("put {} up\n", file.display()));
    assert!(!put.status.success(), "{put:?}");
    // What was made room for fits; over SFTP too.
    stage.out("rm -f big up; echo again >more");
    std::fs::write(&file, "small").unwrap();
    assert!(stage.sftp(&format!("put {} up\n", file.display())).status.success());
    stage.set(HostFaults::default());
    assert_eq!(stage.out("cat old new more up; ls d"), "before\nfits\nagain\nsmall");
    stage.out("head -c 200000 /dev/zero >big");
    // Set before the host boots, and kept beyond its end.
    stage.halt();
    let mut full = stage.spec.clone();
    full.faults.disk.full_after = Some(0);
    stage.runtime.block_on(stage.hosts.boot(full)).unwrap();
    stage.wait_for_port();
    assert!(!stage.ssh("echo no >never").status.success());
    stage.out("rm big");
    stage.halt();
    stage.boot();
    stage.wait_for_port();
    assert_eq!(stage.out("cat new; ls"), "fits\nd\nmore\nnever\nnew\nold\nup");
}

#[test]
fn a_broken_disk_gives_errors() {
    let stage = Stage::up(|_| {});
    stage.out("echo x >file");
    let disk = DiskFaults { broken: true, ..DiskFaults::default() };
    stage.set(HostFaults { disk, ..HostFaults::default() });
    let got = stage.sftp(&format!("get file {}\n", stage.folder.path().join("got").display()));
    assert!(!got.status.success(), "{got:?}");
    let wrote = stage.ssh("echo y >file");
    assert!(String::from_utf8_lossy(&wrote.stderr).contains("Read-only file system"), "{wrote:?}");
    stage.set(HostFaults::default());
    assert_eq!(stage.out("cat file; echo y >file; cat file"), "x\ny");
}

#[test]
fn commands_fail_as_told_and_are_written_down() {
    let stage = Stage::up(|_| {});
    let fault = |command: &str, arguments: Option<&str>, status, times| CommandFault {
        command: command.to_owned(),
        arguments: arguments.map(str::to_owned),
        status,
        stderr: "E: it's \"broken\"".to_owned(),
        times,
    };
    stage.set(HostFaults {
        commands: vec![
            fault("apt-get", Some("*install*nginx*"), 100, Some(2)),
            fault("systemctl", None, 1, None),
            fault("tar", Some("--version"), 2, Some(1)),
        ],
        ..HostFaults::default()
    });
    assert!(stage.ssh("sudo apt-get update").status.success());
    for _ in 0..2 {
        let output = stage.ssh("sudo apt-get install -y nginx");
        assert_eq!(output.status.code(), Some(100));
        assert_eq!(output.stderr, b"E: it's \"broken\"\n");
    }
    assert!(stage.ssh("sudo apt-get install -y nginx").status.success());
    assert_eq!(stage.ssh("systemctl is-active ssh").status.code(), Some(1));
    // A command without a stand-in goes on to the real one.
    assert_eq!(stage.ssh("tar --version").status.code(), Some(2));
    assert!(stage.out("tar --version").contains("tar"));
    stage.set(HostFaults::default());
    assert_eq!(stage.out("systemctl is-active ssh || true"), "inactive");

    stage.out("cd /tmp && docker run -e 'A=\"1\\2\"' 'x\ty\nz' ü");
    let lines = stage.runtime.block_on(stage.hosts.commands(&stage.spec.id)).unwrap();
    let calls: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let failed: Vec<_> =
        calls.iter().filter(|call| call["command"] == "apt-get" && call["status"] == 100).collect();
    assert_eq!(failed.len(), 2);
    assert_eq!(failed[0]["user"], "root");
    assert_eq!(failed[0]["arguments"], serde_json::json!(["install", "-y", "nginx"]));
    let last = calls.last().unwrap();
    assert_eq!(last["arguments"], serde_json::json!(["run", "-e", "A=\"1\\2\"", "x\ty\nz", "ü"]));
    assert_eq!((&last["folder"], &last["user"]), (&"/tmp".into(), &"ubuntu".into()));
    // Also of a host whose record is not there.
    stage.out("rm -r /var/log/sandbox");
    assert_eq!(stage.runtime.block_on(stage.hosts.commands(&stage.spec.id)).unwrap(), "");
}

#[test]
fn cloud_init_fails_or_takes_its_time() {
    let script = || Some(b"#!/bin/sh\ntouch /root/ran\n".to_vec());
    let cloud_init = CloudInitFaults { error: Some("no network".to_owned()), ..CloudInitFaults::default() };
    let stage = Stage::up(|spec| {
        spec.user_data = script();
        spec.faults.cloud_init = cloud_init;
    });
    let output = stage.ssh("cloud-init status --wait --long");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "status: error\nerror: no network\n");
    assert_eq!(stage.out("ls /root"), "");
    let slow = Duration::from_millis(700);
    let late = Stage::up(|spec| {
        spec.user_data = script();
        spec.faults.cloud_init.slow = slow;
    });
    let begin = Instant::now();
    assert_eq!(late.out("cloud-init status --wait; ls /root"), "status: done\nran");
    assert!(begin.elapsed() >= slow / 2, "{:?}", begin.elapsed());
}

#[test]
fn a_slow_boot_is_slow_and_impossible_faults_are_refused() {
    let stage = Stage::new(|spec| spec.faults.slow_boot = Duration::from_millis(700));
    let begin = Instant::now();
    stage.boot();
    assert!(!stage.listens());
    stage.wait_for_port();
    assert!(begin.elapsed() >= Duration::from_millis(650), "{:?}", begin.elapsed());
    let faults = HostFaults { max_sessions: Some(0), ..HostFaults::default() };
    let error = stage.runtime.block_on(stage.hosts.set_faults(&stage.spec.id, faults)).unwrap_err();
    assert!(error.message().contains("max_sessions"), "{error}");
    assert!(stage.runtime.block_on(stage.hosts.set_faults("i-0", HostFaults::default())).is_err());
}

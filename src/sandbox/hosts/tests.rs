//! Hosts, seen by OpenSSH's clients and by what runs inside.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use super::namespace::inhabited;
use super::{HostFaults, HostLimits, HostSpec, Hosts};

mod faults;
mod isolation;
mod limits;
mod metadata;
mod stand_ins;

/// How long anything in these tests may take on a loaded machine.
const LIMIT: Duration = Duration::from_secs(60);

/// One host with a key that opens it, and the clients to reach it.
struct Stage {
    runtime: tokio::runtime::Runtime,
    hosts: Hosts,
    spec: HostSpec,
    folder: tempfile::TempDir,
}

impl Stage {
    /// A host that is up.
    fn up(change: impl FnOnce(&mut HostSpec)) -> Stage {
        let stage = Stage::new(change);
        stage.boot();
        stage.wait_for_port();
        stage
    }

    fn new(change: impl FnOnce(&mut HostSpec)) -> Stage {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        let made =
            Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key).status();
        assert!(made.unwrap().success());
        let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
        let (address, port) = free_address();
        let mut spec = HostSpec {
            id: "i-0123456789abcdef0".to_string(),
            address,
            port,
            private_ip: "10.0.1.23".to_string(),
            user: "ubuntu".to_string(),
            region: "us-west-2".to_string(),
            zone: "us-west-2a".to_string(),
            instance_type: "t3.medium".to_string(),
            image_id: "ami-0123".to_string(),
            authorized_keys: vec![public.trim().to_string()],
            user_data: None,
            folder: folder.path().join("host"),
            boot_time: Duration::ZERO,
            launched: SystemTime::now(),
            clock: Default::default(),
            metadata_tags: None,
            metadata_v1: false,
            limits: HostLimits::default(),
            faults: HostFaults::default(),
        };
        change(&mut spec);
        let hosts = Hosts::new(runtime.handle().clone());
        Stage { runtime, hosts, spec, folder }
    }

    fn boot(&self) {
        self.runtime.block_on(self.hosts.boot(self.spec.clone())).unwrap();
    }

    fn halt(&self) {
        self.runtime.block_on(self.hosts.halt(&self.spec.id)).unwrap();
    }

    fn listens(&self) -> bool {
        TcpStream::connect((self.spec.address, self.spec.port)).is_ok()
    }

    /// Waits until a connection has been taken, and not merely queued: faults set from now on are for
    /// later ones.
    fn wait_for_port(&self) {
        until("the port answers", || {
            let Ok(mut stream) = TcpStream::connect((self.spec.address, self.spec.port)) else {
                return false;
            };
            stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            // The banner, or an end that a fault has put in its place.
            let _ = stream.read(&mut [0; 8]);
            true
        });
    }

    fn machine(&self) -> PathBuf {
        self.spec.folder.join("machine")
    }

    fn options(&self, key: &Path) -> Vec<String> {
        let known = self.folder.path().join("known_hosts");
        [
            "BatchMode=yes",
            "StrictHostKeyChecking=accept-new",
            "IdentitiesOnly=yes",
            "LogLevel=ERROR",
            &format!("UserKnownHostsFile={}", known.display()),
            &format!("IdentityFile={}", key.display()),
            &format!("Port={}", self.spec.port),
        ]
        .iter()
        .flat_map(|option| ["-o".to_string(), option.to_string()])
        .collect()
    }

    fn target(&self) -> String {
        format!("ubuntu@{}", self.spec.address)
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-F", "none"]).args(self.options(&self.folder.path().join("key"))).stdin(Stdio::null());
        command
    }

    fn ssh(&self, command: &str) -> Output {
        self.client("ssh").arg(self.target()).arg(command).output().unwrap()
    }

    /// The standard output of a command that must succeed.
    fn out(&self, command: &str) -> String {
        let output = self.ssh(command);
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_string()
    }

    fn ssh_with_input(&self, command: &str, input: &[u8]) -> Output {
        let mut child = self
            .client("ssh")
            .arg(self.target())
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || stdin.write_all(&input));
        let output = child.wait_with_output().unwrap();
        let _ = writer.join().unwrap();
        output
    }

    /// Runs a batch of commands of the sftp client.
    fn sftp(&self, batch: &str) -> Output {
        let mut child = self
            .client("sftp")
            .args(["-b", "-"])
            .arg(self.target())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(batch.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.runtime.block_on(self.hosts.shutdown());
    }
}

fn free_address() -> (Ipv4Addr, u16) {
    loop {
        let bytes: [u8; 3] = rand::random();
        let address = Ipv4Addr::new(127, 64 | (bytes[0] & 63), bytes[1], bytes[2].max(1));
        if let Ok(listener) = TcpListener::bind((address, 0)) {
            return (address, listener.local_addr().unwrap().port());
        }
    }
}

/// Waits for a condition, not for a time.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_command_has_its_output_its_errors_and_its_status() {
    let stage = Stage::up(|_| {});
    let output = stage.ssh("echo out; echo err >&2; exit 7");
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(stage.out("echo $0 $HOME $USER $PWD"), "/bin/bash /home/ubuntu ubuntu /home/ubuntu");
    // ssh reports a command that a signal ended as 255.
    assert_eq!(stage.ssh("kill -KILL $$").status.code(), Some(255));
    let much = stage.ssh("head -c 5000000 /dev/zero");
    assert_eq!(much.stdout.len(), 5_000_000);
}

#[test]
fn input_reaches_the_command_and_ends() {
    let stage = Stage::up(|_| {});
    let input: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let output = stage.ssh_with_input("cat", &input);
    assert!(output.stdout == input, "{} of {} bytes came back", output.stdout.len(), input.len());
    // More than any buffer on the way holds, to a process that stops reading when nobody reads from it.
    let much = vec![b'x'; 40_000_000];
    let output = stage.ssh_with_input("sleep 0.5; cat", &much);
    assert!(output.stdout == much, "{} of {} bytes came back", output.stdout.len(), much.len());
    // A command that does not read its input does not hang its client.
    assert!(stage.ssh_with_input("true", &input).status.success());
}

#[test]
fn a_host_looks_like_an_ubuntu_instance() {
    let stage = Stage::up(|_| {});
    assert_eq!(stage.out("whoami"), "ubuntu");
    assert_eq!(stage.out("hostname"), "ip-10-0-1-23");
    assert_eq!(stage.out(". /etc/os-release; echo $ID $VERSION_ID"), "ubuntu 24.04");
    assert_eq!(stage.out("sudo whoami"), "root");
    assert_eq!(stage.out("sudo -n true && sudo -nE -u root A=1 sh -c 'echo $USER $HOME $A'"), "root /root 1");
    assert_eq!(stage.out("sudo -i pwd"), "/root");
    assert_eq!(stage.out("X=1; export X; sudo sh -c 'echo [$X]'; sudo -E sh -c 'echo [$X]'"), "[]\n[1]");
    assert_eq!(stage.out("sudo -u ubuntu -H -- sh -c 'echo $HOME'"), "/home/ubuntu");
    assert_eq!(stage.out("sudo sh -c 'id -u'"), "0");
    assert!(
        stage
            .ssh("sudo mkdir -p /opt/app && sudo chown ubuntu:ubuntu /opt/app && touch /opt/app/x")
            .status
            .success()
    );
    assert!(!stage.ssh("sudo chown nosuch /opt/app").status.success());
    assert_eq!(
        stage.out("sudo useradd -m deploy && sudo chown deploy: /opt/app && ls -d /home/deploy"),
        "/home/deploy"
    );
    assert_eq!(stage.ssh("systemctl is-active nginx").status.code(), Some(3));
    assert!(stage.out("sudo apt-get update && sudo apt-get install -y nginx").contains("Setting up nginx"));
    assert_eq!(
        stage.out(
            "sudo systemctl enable --now nginx; systemctl is-active nginx; systemctl is-enabled nginx.service"
        ),
        "active\nenabled"
    );
    let lines = stage.out("cat /var/log/sandbox/commands.jsonl");
    assert!(lines.contains(r#""command":"apt-get","arguments":["install","-y","nginx"]"#), "{lines}");
    assert_eq!(stage.out("awk 'BEGIN { print 1 }'; mktemp -d >/dev/null && echo made"), "1\nmade");
    assert_eq!(stage.out("cloud-init status --wait"), "status: done");
}

#[test]
fn a_background_process_lives_on_in_the_next_command() {
    let stage = Stage::up(|_| {});
    stage.out("nohup sleep 1000 >/dev/null 2>&1 & echo $! > pid");
    assert_eq!(stage.out("kill -0 $(cat pid) && cat /proc/$(cat pid)/comm"), "sleep");
    // Ports are the host's own, and one command reaches what another one serves.
    stage.out("nohup perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Listen => 1, LocalAddr => q(127.0.0.1:80)) or die; open F, q(>up); $c = $s->accept; print $c qq(hello\\n)' >log 2>&1 &");
    until("the server is up", || stage.ssh("test -e up").status.success());
    assert_eq!(stage.out("cat < /dev/tcp/127.0.0.1/80"), "hello");
}

#[test]
fn a_forwarded_port_reaches_what_the_host_serves() {
    let stage = Stage::up(|_| {});
    stage.out("nohup perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(Listen => 1, LocalAddr => q(127.0.0.1:80)) or die; open F, q(>up); $c = $s->accept; $l = <$c>; print $c qq(got $l)' >log 2>&1 &");
    until("the server is up", || stage.ssh("test -e up").status.success());
    let (address, port) = free_address();
    let mut forward = stage
        .client("ssh")
        .args([
            "-N",
            "-o",
            "ExitOnForwardFailure=yes",
            "-L",
            &format!("{address}:{port}:localhost:80"),
            &stage.target(),
        ])
        .spawn()
        .unwrap();
    let mut stream = None;
    until("the forward is up", || {
        stream = TcpStream::connect((address, port)).ok();
        stream.is_some()
    });
    let mut stream = stream.unwrap();
    stream.write_all(b"this\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    assert_eq!(answer, "got this\n");
    forward.kill().unwrap();
    forward.wait().unwrap();
}

#[test]
fn a_terminal_is_a_terminal() {
    let stage = Stage::up(|_| {});
    let output = stage
        .client("ssh")
        .args(["-tt", &stage.target(), "tty; echo $TERM; stty size; exit 3"])
        .env("TERM", "vt100")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    assert!(text.starts_with("/dev/pts/"), "{output:?}");
    assert!(text.contains("vt100\n24 80"), "{output:?}");
    assert_eq!(output.status.code(), Some(3));
    // A login shell on a terminal, spoken to through it.
    let mut child = stage
        .client("ssh")
        .args(["-tt", &stage.target()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"echo $((6*7)) $-\nexit 4\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).to_string();
    assert!(text.contains("42 h") && text.contains("ubuntu@ip-10-0-1-23"), "{text}");
    assert_eq!(output.status.code(), Some(4));
}

#[test]
fn a_terminal_that_hangs_up_ends_what_runs_on_it() {
    let stage = Stage::up(|_| {});
    let mut child = stage
        .client("ssh")
        .args(["-tt", &stage.target(), "echo $$ > /tmp/pid; sleep 1000"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the command runs", || stage.ssh("test -s /tmp/pid").status.success());
    child.kill().unwrap();
    child.wait().unwrap();
    until("the command is gone", || stage.ssh("! kill -0 $(cat /tmp/pid) 2>/dev/null").status.success());
}

#[test]
fn files_and_the_host_key_outlive_a_halt() {
    let stage = Stage::up(|_| {});
    stage.out("echo kept > note; sudo sh -c 'echo kept > /etc/note'; sudo cp note /usr/local/bin/note");
    stage.halt();
    assert!(!stage.listens());
    assert!(!inhabited(&stage.machine()));
    stage.boot();
    stage.wait_for_port();
    // The client knows the host key from before and would refuse another one.
    assert_eq!(stage.out("cat note /etc/note /usr/local/bin/note"), "kept\nkept\nkept");
    stage.runtime.block_on(stage.hosts.remove(&stage.spec.id)).unwrap();
    assert!(!stage.spec.folder.exists());
    assert!(!stage.listens());
    assert!(stage.runtime.block_on(stage.hosts.halt(&stage.spec.id)).is_err());
}

#[test]
fn sftp_and_scp_see_what_commands_see() {
    let stage = Stage::up(|_| {});
    let local = stage.folder.path().join("upload");
    std::fs::write(&local, vec![7; 700_000]).unwrap();
    let output = stage.sftp(&format!(
        "mkdir data\nput {local} data/a\nrename data/a data/b\nchmod 600 data/b\nln -s b data/link\nls -la data\nput {local} data/c\nrename data/c data/b\npwd\nget data/link {local}.back\nrm data/link\nrmdir data/../empty-not-there\n",
        local = local.display()
    ));
    // The last command fails on purpose: its name tells how far the batch came.
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("/home/ubuntu") && text.contains("empty-not-there"), "{text}");
    assert_eq!(std::fs::read(stage.folder.path().join("upload.back")).unwrap().len(), 700_000);
    assert_eq!(
        stage.out("stat -c '%U %s' data/b; ls data; test -O data/b && echo mine"),
        "ubuntu 700000\nb\nmine"
    );
    stage.out("echo x >> data/b; rm data/b; rmdir data");

    let copied = stage
        .client("scp")
        .args(["-rp"])
        .arg(&local)
        .arg(format!("{}:renamed", stage.target()))
        .output()
        .unwrap();
    assert!(copied.status.success(), "{copied:?}");
    assert_eq!(stage.out("wc -c < renamed"), "700000");
    let listed = stage.sftp("ls /usr/local/bin\nls -l /etc/passwd\n");
    assert!(String::from_utf8_lossy(&listed.stdout).contains("/usr/local/bin/sudo"), "{listed:?}");
}

#[test]
fn sftp_does_not_leave_the_host() {
    let stage = Stage::up(|_| {});
    let secret = stage.folder.path().join("secret");
    std::fs::write(&secret, "outside").unwrap();
    let outside = stage.folder.path().display().to_string();
    stage.out(&format!(
        "ln -s {outside} out; ln -s {outside}/secret file; ln -s ../../../../../../../../../.. up"
    ));
    for path in [
        "out/secret",
        "file",
        &format!("up{outside}/secret"),
        &format!("{outside}/secret"),
        "/proc/1/root/etc/shadow",
        "/proc/kcore",
    ] {
        let got = stage.sftp(&format!("get {path} {outside}/got\n"));
        assert!(!got.status.success(), "{path}: {got:?}");
    }
    for path in [
        "out/written",
        "/usr/bin/written",
        "/proc/sys/kernel/hostname",
        "/dev/written",
        "/run/sandbox/session.sh",
    ] {
        let put = stage.sftp(&format!("put {outside}/secret {path}\n"));
        assert!(!put.status.success(), "{path}: {put:?}");
    }
    assert!(!stage.folder.path().join("written").exists() && !stage.folder.path().join("got").exists());
}

#[test]
fn only_the_right_key_and_user_get_in() {
    let stage = Stage::up(|_| {});
    let other = stage.folder.path().join("other");
    assert!(
        Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(&other)
            .status()
            .unwrap()
            .success()
    );
    let with_other = || {
        Command::new("ssh")
            .args(["-F", "none"])
            .args(stage.options(&other))
            .arg(stage.target())
            .arg("true")
            .output()
            .unwrap()
    };
    let refused = with_other();
    assert_eq!(refused.status.code(), Some(255));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("Permission denied (publickey)"),
        "{refused:?}"
    );
    let stranger = stage.client("ssh").arg(format!("other@{}", stage.spec.address)).arg("true").output();
    assert_eq!(stranger.unwrap().status.code(), Some(255));
    // A key that is added inside counts from then on.
    let public = std::fs::read_to_string(other.with_extension("pub")).unwrap();
    stage.out(&format!("echo '{}' >> ~/.ssh/authorized_keys", public.trim()));
    assert!(with_other().status.success());
}

#[test]
fn connections_are_refused_until_the_boot_time_has_passed() {
    let stage = Stage::new(|spec| spec.boot_time = Duration::from_millis(700));
    let begin = Instant::now();
    stage.boot();
    assert!(!stage.listens());
    stage.wait_for_port();
    assert!(begin.elapsed() >= Duration::from_millis(650), "{:?}", begin.elapsed());
    let never = Stage::new(|spec| spec.faults.never_boots = true);
    never.boot();
    assert!(!never.listens());
    // The same address twice is found out at once, and a second boot of the same host too.
    let error = never.runtime.block_on(never.hosts.boot(never.spec.clone())).unwrap_err();
    assert!(error.message().contains("running already"), "{error}");
}

#[test]
fn user_data_runs_once_at_the_first_boot() {
    let data = "#cloud-config
users:
  - default
  - name: deploy
write_files:
  - {path: /etc/app/app.conf, content: aGVsbG8=, encoding: b64, permissions: '0640'}
packages: [nginx]
runcmd:
  - sleep 0.3
  - echo run as $(whoami) >> /root/runs
  - [sh, -c, 'echo \"$1\" >> /root/runs', sh, it's]
";
    let stage = Stage::up(|spec| spec.user_data = Some(data.into()));
    assert_eq!(stage.out("cloud-init status"), "status: running");
    assert_eq!(stage.out("cloud-init status --wait"), "status: done");
    assert_eq!(stage.out("cat /etc/app/app.conf; stat -c ' %a' /etc/app/app.conf"), "hello 640");
    assert_eq!(stage.out("cat /root/runs"), "run as root\nit's");
    assert!(stage.out("cat /var/log/cloud-init-output.log").contains("Setting up nginx"));
    assert_eq!(stage.out("ls -d ~deploy"), "/home/deploy");
    stage.halt();
    stage.boot();
    stage.wait_for_port();
    assert_eq!(stage.out("cloud-init status --wait; wc -l < /root/runs"), "status: done\n2");
}

#[test]
fn user_data_that_fails_is_reported() {
    let stage = Stage::up(|spec| spec.user_data = Some(b"#!/bin/bash\necho trying\nexit 3\n".to_vec()));
    let output = stage.ssh("cloud-init status --wait --long");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("status: error") && text.contains("part-001") && text.contains('3'), "{text}");
    assert!(stage.out("cat /var/log/cloud-init-output.log").contains("trying"));
    let unknown = Stage::up(|spec| spec.user_data = Some(b"echo no header".to_vec()));
    assert_eq!(unknown.ssh("cloud-init status --wait").status.code(), Some(1));
}

#[test]
fn removing_everything_inside_harms_nothing_outside() {
    let stage = Stage::up(|_| {});
    let outside = stage.folder.path().join("outside");
    std::fs::write(&outside, "still here").unwrap();
    let usr = std::fs::read_dir("/usr/bin").unwrap().count();
    stage.ssh(
        "sudo rm -rf / --no-preserve-root; sudo sh -c 'rm -rf /usr/* /etc/* /run/sandbox /dev/* /proc/*'",
    );
    assert_eq!(std::fs::read(&outside).unwrap(), b"still here");
    assert_eq!(std::fs::read_dir("/usr/bin").unwrap().count(), usr);
    assert!(Path::new("/etc/passwd").exists() && Path::new("/dev/null").exists());
    assert!(stage.machine().join("runtime/session.sh").exists());
    // The host has lost what was its own.
    assert_eq!(stage.out("ls /etc/passwd 2>/dev/null || echo gone"), "gone");
    stage.halt();
    stage.boot();
    stage.wait_for_port();
    assert_eq!(stage.out("ls /etc/passwd 2>/dev/null || echo gone"), "gone");
}

#[test]
fn a_host_cannot_change_what_enters_it() {
    let stage = Stage::up(|_| {});
    for command in [
        "mv /run /moved",
        "mv /run/sandbox /moved",
        "mv /etc /moved",
        "rm /etc/ld.so.preload",
        "sh -c 'echo /tmp/x.so > /etc/ld.so.preload'",
        "rm -r /etc/ld.so.cache",
        "mv /lib64 /moved",
        "mv /lib /moved",
        "mv /usr /moved",
        "mv /bin /moved",
    ] {
        assert!(!stage.ssh(&format!("sudo {command}")).status.success(), "{command}");
    }
    // Nor what is mounted at its next boot: links in the place of folders are replaced.
    stage.halt();
    let rootfs = stage.machine().join("rootfs");
    let outside = stage.folder.path().join("outside");
    std::fs::create_dir(&outside).unwrap();
    for name in ["run", "usr", "proc", "dev", "lib", ".outside", "opt"] {
        let path = rootfs.join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::os::unix::fs::symlink(&outside, &path).unwrap();
    }
    stage.boot();
    stage.wait_for_port();
    assert_eq!(stage.out("sudo touch /run/x /opt/x; echo back"), "back");
    assert!(std::fs::read_dir(&outside).unwrap().next().is_none());
}

#[test]
fn nothing_of_the_machine_is_visible_inside() {
    let stage = Stage::up(|_| {});
    let home = std::env::var("HOME").unwrap();
    let secret = stage.folder.path().join("id_ed25519");
    std::fs::write(&secret, "private").unwrap();
    for path in [
        format!("{home}/.ssh/id_ed25519"),
        secret.display().to_string(),
        "/etc/shadow".to_string(),
        "/proc/1/root/etc/shadow".to_string(),
    ] {
        assert!(!stage.ssh(&format!("sudo cat {path}")).status.success(), "{path}");
    }
    if home != "/root" {
        assert_eq!(stage.out(&format!("ls -A {home} 2>/dev/null | wc -l")), "0");
    }
    assert_eq!(stage.out("ls -A /root/.ssh; ls /home"), "ubuntu");
    // Processes outside do not exist inside, nor do descriptors that lead there.
    assert_eq!(stage.out("cat /proc/1/comm"), "sh");
    assert!(stage.out("ls /proc/self/fd | wc -l").parse::<usize>().unwrap() <= 4);
    // No way back: no mounts, no namespaces, no devices, no capabilities that would give one.
    for command in [
        "mount -t tmpfs none /mnt",
        "mount -o remount,rw /usr",
        "umount /usr",
        "unshare -Ur true",
        "mknod /tmp/disk b 8 0",
        "touch /usr/bin/x",
        "touch /run/sandbox/x",
        "chroot / true",
        "nsenter -t 1 -m true",
        "sh -c 'echo x > /proc/sys/kernel/core_pattern'",
        "sh -c 'echo 1 > /proc/sys/user/max_user_namespaces'",
        "cat /proc/kcore",
        "dmesg -C",
    ] {
        assert!(!stage.ssh(&format!("sudo {command}")).status.success(), "{command}");
    }
    assert_eq!(stage.out("grep NoNewPrivs /proc/self/status | cut -f2"), "1");
    // What the host writes belongs to nobody who matters outside.
    stage.out("touch /tmp/mine && chmod 4755 /tmp/mine");
    use std::os::unix::fs::MetadataExt;
    let owner = std::fs::metadata(stage.machine().join("rootfs/tmp/mine")).unwrap().uid();
    let me = nix::unistd::Uid::effective();
    assert_eq!(owner, if me.is_root() { 65534 } else { me.as_raw() });
}

#[test]
fn the_machine_cannot_be_reached_by_network() {
    let stage = Stage::up(|_| {});
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert!(!stage.ssh(&format!("cat < /dev/tcp/127.0.0.1/{port}")).status.success());
    assert!(
        !stage.ssh(&format!("cat < /dev/tcp/{}/{}", stage.spec.address, stage.spec.port)).status.success()
    );
    assert_eq!(stage.out("cat /proc/net/dev | tail -n +3 | cut -d: -f1 | tr -d ' '"), "lo");
}

#[test]
fn nothing_runs_after_a_shutdown_or_a_drop() {
    let stage = Stage::up(|_| {});
    stage.out("for i in 1 2 3; do setsid nohup sleep 1000 >/dev/null 2>&1 & done");
    assert!(inhabited(&stage.machine()));
    stage.runtime.block_on(stage.hosts.shutdown());
    assert!(!inhabited(&stage.machine()));
    assert!(!stage.listens());

    stage.boot();
    stage.wait_for_port();
    stage.out("trap '' TERM HUP; setsid sh -c 'trap \"\" TERM HUP; sleep 1000' >/dev/null 2>&1 &");
    let machine = stage.machine();
    assert!(inhabited(&machine));
    let mut stage = stage;
    stage.hosts = Hosts::new(stage.runtime.handle().clone());
    until("the dropped host is gone", || !inhabited(&machine));
}

/// Not a test by itself: what the next test starts in a process of its own, and kills.
#[test]
fn a_process_to_kill() {
    let Ok(mark) = std::env::var(MARK) else { return };
    let stage = Stage::up(|spec| spec.folder = PathBuf::from(&mark).with_extension("host"));
    stage.out("setsid nohup sleep 1000 >/dev/null 2>&1 &");
    std::fs::write(mark, "").unwrap();
    loop {
        std::thread::park();
    }
}

/// Where the process to kill says that its host is up.
const MARK: &str = "SPOT_TEST_HOST_MARK";

#[test]
fn nothing_runs_after_spot_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("up");
    let (_, module) = module_path!().split_once("::").unwrap();
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::a_process_to_kill")])
        .env(MARK, &mark)
        .env("TMPDIR", folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the host is up", || mark.exists());
    let machine = mark.with_extension("host").join("machine");
    assert!(inhabited(&machine));
    process.kill().unwrap();
    process.wait().unwrap();
    until("the host is gone", || !inhabited(&machine));
}

#[test]
fn a_host_is_quick() {
    let stage = Stage::new(|_| {});
    let begin = Instant::now();
    stage.boot();
    stage.wait_for_port();
    stage.out("true");
    let first = begin.elapsed();
    let begin = Instant::now();
    let script = (0..20).map(|_| "true").collect::<Vec<_>>();
    for command in &script {
        stage.out(command);
    }
    // Generous, for a loaded machine; a client alone takes some 20 ms of it.
    assert!(first < Duration::from_secs(3), "{first:?}");
    assert!(begin.elapsed() / 20 < Duration::from_millis(500), "{:?}", begin.elapsed() / 20);
}

/// GET of the metadata service with nothing but bash; status line and body.
const ASK: &str = r#"
ask() {
    local at=${AWS_EC2_METADATA_SERVICE_ENDPOINT#http://}
    exec 3<>"/dev/tcp/${at%:*}/${at#*:}" || exit 9
    printf '%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n' "$1" "$2" "$3" >&3
    local status line
    read -r status <&3
    while read -r line <&3 && [ "$line" != $'\r' ]; do :; done
    echo "${status#HTTP/1.1 }" | tr -d '\r'
    cat <&3
}
token=$(ask PUT /latest/api/token 'X-aws-ec2-metadata-token-ttl-seconds: 60' | tail -n 1)
get() { ask GET "/latest/meta-data/$1" "X-aws-ec2-metadata-token: $token"; }
"#;

#[test]
fn the_metadata_service_answers_inside_and_nowhere_else() {
    let stage = Stage::up(|_| {});
    let said = |script: &str| stage.out(&format!("{ASK}{script}"));
    assert_eq!(stage.out("echo $AWS_EC2_METADATA_SERVICE_ENDPOINT"), "http://127.169.254.169:1338");
    assert_eq!(
        stage.out("sudo sh -c 'echo $AWS_EC2_METADATA_SERVICE_ENDPOINT'"),
        "http://127.169.254.169:1338"
    );
    assert_eq!(said("get instance-id"), "200 OK\ni-0123456789abcdef0");
    assert_eq!(
        said("get placement/region; echo; get placement/availability-zone"),
        "200 OK\nus-west-2\n200 OK\nus-west-2a"
    );
    assert_eq!(said("get instance-type"), "200 OK\nt3.medium");
    assert_eq!(said("get placement/"), "200 OK\navailability-zone\nregion");
    assert_eq!(
        said("get spot/instance-action; get events/recommendations/rebalance"),
        "404 Not Found\n404 Not Found"
    );
    assert_eq!(said("get ../../../../etc/passwd"), "404 Not Found");
    assert_eq!(said("ask GET /latest/meta-data/instance-id 'X: y'"), "401 Unauthorized");
    assert_eq!(said("ask PUT /latest/api/token 'X: y'"), "400 Bad Request");
    let tell =
        |path: &str, text: Option<&str>| stage.runtime.block_on(stage.hosts.tell(&stage.spec.id, path, text));
    let notice = r#"{"action":"terminate","time":"2026-11-24T02:00:00Z"}"#;
    tell("spot/instance-action", Some(notice)).unwrap();
    assert_eq!(said("get spot/instance-action"), format!("200 OK\n{notice}"));
    tell("spot/instance-action", None).unwrap();
    assert_eq!(said("get spot/instance-action"), "404 Not Found");
    assert!(tell("../host_key", Some("x")).is_err());
    assert!(!stage.ssh("echo x >/run/sandbox/metadata/latest/meta-data/instance-id").status.success());
    // A client that says nothing does not keep the others waiting for ever.
    assert_eq!(
        said(
            "at=${AWS_EC2_METADATA_SERVICE_ENDPOINT#http://}; exec 4<>/dev/tcp/${at%:*}/${at#*:}; get instance-type"
        ),
        "200 OK\nt3.medium"
    );
    // Loopback of the machine is another one.
    assert!(TcpStream::connect("127.169.254.169:1338").is_err());
    if stage.ssh("command -v curl").status.success() {
        let curl = "e=$AWS_EC2_METADATA_SERVICE_ENDPOINT; \
            t=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' $e/latest/api/token) && \
            curl -sf -H \"X-aws-ec2-metadata-token: $t\" $e/latest/meta-data/instance-id";
        assert_eq!(stage.out(curl), "i-0123456789abcdef0");
    }
}

//! What somebody would try who wants out, or wants all of the machine. Each of these is also tried with
//! spot run by somebody who is not root.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::sandbox::hosts::available;
use crate::sandbox::hosts::namespace::inhabitants;

/// Says in a process that a test started: this is it.
const INNER: &str = "SPOT_TEST_INNER";

#[test]
fn a_fork_bomb_stays_small_and_ends_with_its_host() {
    let stage = Stage::up(|spec| spec.limits.processes = 40);
    let mut bomb = stage
        .client("ssh")
        .arg(stage.target())
        .arg("b() { b | b & }; b; sleep 1000")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the bomb is at its limit", || inhabitants(&stage.machine()) >= 35);
    for _ in 0..20 {
        // Beside what is limited there are process 1 and what it started before.
        let count = inhabitants(&stage.machine());
        assert!(count <= 50, "{count}");
        std::thread::sleep(Duration::from_millis(5));
    }
    stage.halt();
    assert_eq!(inhabitants(&stage.machine()), 0);
    bomb.wait().unwrap();
    // Another life, another try.
    stage.boot();
    stage.wait_for_port();
    assert_eq!(stage.out("echo back"), "back");
}

#[test]
fn the_disk_is_full_at_its_quota() {
    const QUOTA: u64 = 20_000_000;
    let stage = Stage::up(|spec| spec.limits.disk = QUOTA);
    let taken = || {
        let output = Command::new("du").args(["-s", "-B1"]).arg(stage.machine()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).split('\t').next().unwrap().parse::<u64>().unwrap()
    };
    // One file.
    assert!(!stage.ssh("head -c 200M /dev/zero >one").status.success());
    assert!(taken() < QUOTA + 2_000_000, "{}", taken());
    let size: u64 = std::fs::metadata(stage.machine().join("rootfs/home/ubuntu/one")).unwrap().len();
    assert!(size <= QUOTA, "{size}");
    until("room is made", || stage.ssh("rm -f one").status.success());
    until("the host knows", || stage.ssh("echo x >small").status.success());
    // Over SFTP.
    let file = stage.folder.path().join("file");
    std::fs::write(&file, vec![1; 30_000_000]).unwrap();
    let put = stage.sftp(&format!("put {} up\n", file.display()));
    assert!(!put.status.success(), "{put:?}");
    assert!(taken() < QUOTA + 2_000_000, "{}", taken());
    assert!(stage.sftp("rm up\n").status.success());
    // Many files at once, by somebody who does not care.
    let output = stage.ssh("for n in 1 2 3; do (i=0; while :; do head -c 100000 /dev/zero >f$n.$i; i=$((i+1)); done) & done; wait");
    assert!(!output.status.success(), "{output:?}");
    // What is written while the last look is being acted upon comes on top.
    assert!(taken() < QUOTA * 4, "{}", taken());
    // It cannot go on, and can be cleaned up.
    let again = stage.ssh("head -c 100000 /dev/zero >more");
    assert!(!again.status.success(), "{again:?}");
    until("it is cleaned up", || stage.ssh("rm -f f*").status.success());
    until("there is room", || stage.ssh("echo room >room && cat room").stdout == b"room\n");
}

#[test]
fn nobody_gets_out() {
    let stage = Stage::up(|_| {});
    let outside = std::process::id();
    // An abstract socket has no path that could be hidden, and belongs to the network.
    let name = format!("spot-test-{outside}");
    let address =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name);
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address.unwrap()).unwrap();
    let connect = format!(
        "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); connect(S, pack(q(S a*), AF_UNIX, qq(\\0{name}))) or exit 1'"
    );
    let target = Command::new("sleep")
        .arg("60")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut target = target.unwrap();
    for attempt in [
        "mount -t tmpfs none /mnt",
        "mount -t proc proc /mnt",
        "mount --bind / /mnt",
        "mount -o remount,rw /usr",
        "umount -l /usr",
        "umount -l /etc/ld.so.preload",
        "pivot_root /mnt /mnt",
        "unshare -U true",
        "unshare -m true",
        "unshare -n true",
        "nsenter -t 1 -a true",
        "chroot / true",
        "mknod /tmp/disk b 8 0",
        "mknod /tmp/memory c 1 1",
        "touch /usr/bin/x",
        "touch /run/sandbox/x",
        "mv /run/sandbox /tmp/x",
        "sh -c 'echo x >/proc/sys/kernel/core_pattern'",
        "sh -c 'echo b >/proc/sysrq-trigger'",
        "sh -c 'echo 1 >/proc/sys/user/max_user_namespaces'",
        "sh -c 'echo 0 >/proc/self/uid_map'",
        "hostname other",
        "ip link add type dummy",
        "dmesg -C",
        "sh -c ': </dev/tty'",
        "sh -c 'ulimit -Hu unlimited'",
        "sh -c 'ulimit -Hf unlimited'",
        "renice -n -10 $$",
        &connect,
        &format!("kill -0 {}", target.id()),
        &format!("kill -KILL {}", target.id()),
        &format!("ls /proc/{outside}/root/etc/shadow"),
        &format!("ls /proc/{}/root/etc/shadow", target.id()),
        "cat /proc/1/root/etc/shadow",
        "ls /proc/1/cwd/../../../../etc/shadow",
        "cat /proc/kcore",
        "cat /dev/mem",
        "cat /dev/sda /dev/vda",
    ] {
        let output = stage.ssh(&format!("sudo {attempt}"));
        assert!(!output.status.success(), "{attempt}: {output:?}");
    }
    assert!(target.try_wait().unwrap().is_none());
    target.kill().unwrap();
    target.wait().unwrap();
    // Descriptors of the outside are not there, in process 1 neither.
    let open = stage.out("for fd in /proc/1/fd/* /proc/self/fd/*; do readlink $fd; done | grep -v '^pipe:' | grep -v '^/run/sandbox/\\|^/proc/[0-9]*/fd$\\|^/dev/null$' || true");
    assert_eq!(open, "");
    let bounding = stage.out("grep CapBnd /proc/self/status | cut -f2");
    let admin = (1u64 << 21) | (1 << 19) | (1 << 16) | (1 << 17) | (1 << 12) | (1 << 27);
    assert_eq!(u64::from_str_radix(&bounding, 16).unwrap() & admin, 0, "{bounding}");
}

#[test]
fn what_a_host_leaves_behind_is_harmless() {
    let stage = Stage::up(|_| {});
    stage.out("cp /usr/bin/id mine && chmod 6755 mine && ln -s /etc/shadow link && ln mine hard");
    let home = stage.machine().join("rootfs/home/ubuntu");
    let file = std::fs::metadata(home.join("mine")).unwrap();
    let me = nix::unistd::Uid::effective();
    // A set-user-id program of nobody, or of who runs spot: it gives no power that is not there already.
    assert_eq!(file.uid(), if me.is_root() { 65534 } else { me.as_raw() });
    let outside = stage.folder.path().join("outside");
    std::fs::write(&outside, "secret").unwrap();
    std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o666)).unwrap();
    // Links over SFTP: names lead nowhere but inside, other disks and /usr cannot be linked to.
    let batch = format!(
        "symlink {} away\nget away {}\n",
        outside.display(),
        stage.folder.path().join("got").display()
    );
    assert!(!stage.sftp(&batch).status.success());
    for batch in [
        "ln /usr/bin/id usr\n",
        "ln /proc/1/root/etc/passwd proc\n",
        "put /etc/hostname /usr/x\n",
        "get /dev/zero\n",
        "get /proc/kcore\n",
    ] {
        assert!(!stage.sftp(batch).status.success(), "{batch}");
    }
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "secret");
    // The folder of the host is closed to everybody else.
    assert_eq!(std::fs::metadata(&stage.spec.folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn somebody_who_is_not_root_is_as_safe() {
    if !nix::unistd::Uid::effective().is_root() || std::env::var(INNER).is_ok() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let (_, module) = module_path!().split_once("::").unwrap();
    let above = module.trim_end_matches("::isolation");
    let tests = [
        "isolation::a_fork_bomb_stays_small_and_ends_with_its_host",
        "isolation::the_disk_is_full_at_its_quota",
        "isolation::nobody_gets_out",
        "isolation::what_a_host_leaves_behind_is_harmless",
        "removing_everything_inside_harms_nothing_outside",
        "nothing_of_the_machine_is_visible_inside",
        "the_machine_cannot_be_reached_by_network",
        "a_host_cannot_change_what_enters_it",
    ];
    // The program is opened here and run by its descriptor: its folder may be closed to others.
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", "/proc/self/fd/0", "--exact"])
        .args(tests.iter().map(|test| format!("{above}::{test}")))
        .env(INNER, "1")
        .env("TMPDIR", folder.path())
        .env("HOME", folder.path())
        .current_dir("/")
        .stdin(std::fs::File::open(std::env::current_exe().unwrap()).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains(&format!("{} passed", tests.len())), "{said}");
}

/// Begins a session keyring with a secret in it and goes on to a program, the secret's number in its
/// environment.
const WITH_SECRET: &str = "my $call = 0 + shift; my $add = $call == 250 ? 248 : 217;
my ($kind, $name, $text) = qw(user spot-test hush);
syscall($call, 1, 0) >= 0 or exit 99;
my $key = syscall($add, $kind, $name, $text, 4, -3);
exit 99 if $key < 0;
$ENV{SPOT_TEST_KEY} = $key;
exec { $ARGV[0] } @ARGV";

/// Reads a key by its number.
const READ_KEY: &str = "my $room = chr(0) x 100; print syscall(0 + shift, 11, 0 + shift, $room, 100)";

#[test]
fn keys_of_a_login_session_stay_outside() {
    if let Ok(key) = std::env::var("SPOT_TEST_KEY") {
        let number = crate::sandbox::hosts::isolation::KEYCTL;
        let read = format!("perl -e '{READ_KEY}' {number} {key}");
        let outside = Command::new("sh").args(["-c", &read]).output().unwrap();
        assert_eq!(outside.stdout, b"4");
        let stage = Stage::up(|_| {});
        assert_eq!(stage.out(&read), "-1");
        assert_eq!(stage.out("grep -c spot-test /proc/keys || true"), "0");
        return;
    }
    let (_, module) = module_path!().split_once("::").unwrap();
    let output = Command::new("perl")
        .args(["-e", WITH_SECRET])
        .arg(crate::sandbox::hosts::isolation::KEYCTL)
        .args(["/proc/self/fd/0", "--exact", &format!("{module}::keys_of_a_login_session_stay_outside")])
        .stdin(std::fs::File::open(std::env::current_exe().unwrap()).unwrap())
        .output()
        .unwrap();
    // 99: this machine has no keys, or lets nobody ask for them.
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.code() == Some(99) || said.contains("1 passed"), "{said}");
}

/// Not a test by itself: asked where nothing can be isolated.
#[test]
fn isolation_is_refused() {
    let Ok(expected) = std::env::var(INNER) else { return };
    if expected == "1" {
        return;
    }
    let error = available().unwrap_err();
    assert_eq!(error.code(), Some("SandboxUnavailable"));
    let all = format!("{error} {}", error.hint().unwrap_or_default());
    assert!(all.contains(&expected), "{all}");
    // And nothing runs.
    let stage = Stage::new(|_| {});
    let refused = stage.runtime.block_on(stage.hosts.boot(stage.spec.clone())).unwrap_err();
    assert_eq!(refused.code(), Some("SandboxUnavailable"));
    assert!(!stage.listens() && !stage.spec.folder.exists());
}

#[test]
fn where_nothing_can_be_isolated_nothing_runs() {
    let (_, module) = module_path!().split_once("::").unwrap();
    let inner = format!("{module}::isolation_is_refused");
    for (spoil, expected) in [
        ("echo 0 >/proc/sys/user/max_user_namespaces", "sysctl -w user.max_user_namespaces"),
        (
            "for f in /usr/bin/unshare /bin/unshare; do mount --bind /dev/null $f || :; done",
            "needs `unshare`",
        ),
    ] {
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "--", "sh", "-c"])
            .arg(format!("{spoil}\nexec /proc/self/fd/0 --exact {inner}"))
            .env(INNER, expected)
            .stdin(std::fs::File::open(std::env::current_exe().unwrap()).unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{expected}: {said} {output:?}");
    }
}

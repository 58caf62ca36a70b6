//! What a host may use, and what it costs when nobody uses it.

use super::*;
use crate::sandbox::hosts::namespace::inhabitants;

#[test]
fn processes_are_bounded() {
    let stage = Stage::up(|_| {});
    let output = stage.ssh("ulimit -u; ulimit -v; ulimit -f; ulimit -c; ulimit -n; nice");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2048\n16777216\n2097152\n0\n8192\n5\n");
    let small = Stage::up(|spec| {
        spec.limits.memory = 200 << 20;
        spec.limits.open_files = 64;
        spec.limits.niceness = 0;
    });
    assert_eq!(small.out("nice; ulimit -n"), "0\n64");
    assert!(!small.ssh("perl -e '$x = q(x) x (400 << 20); print length $x'").status.success());
}

#[test]
fn output_has_a_rate() {
    let stage = Stage::up(|spec| spec.limits.output_rate = Some(1_000_000));
    let begin = Instant::now();
    assert_eq!(stage.ssh("head -c 1000000 /dev/zero").stdout.len(), 1_000_000);
    assert!(begin.elapsed() >= Duration::from_millis(850), "{:?}", begin.elapsed());
}

#[test]
fn nobody_keeps_an_idle_host_running() {
    let stage = Stage::up(|spec| spec.limits.idle = Duration::from_millis(300));
    stage.out("echo kept >/tmp/file");
    until("it is let go", || inhabitants(&stage.machine()) == 0);
    assert_eq!(stage.out("cat /tmp/file"), "kept");
    // What runs is used, whoever started it.
    stage.out("nohup sleep 1000 >/dev/null 2>&1 & echo $! >/tmp/pid");
    let mut quiet = Instant::now() + Duration::from_millis(1500);
    while Instant::now() < quiet {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(stage.out("kill -0 $(cat /tmp/pid) && echo alive"), "alive");
    stage.out("kill $(cat /tmp/pid)");
    until("it is let go again", || inhabitants(&stage.machine()) == 0);
    // A session that waits keeps its host.
    let mut sftp = stage.client("sftp");
    sftp.arg("-b").arg("-").arg(stage.target()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = sftp.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    quiet = Instant::now() + Duration::from_millis(1000);
    while Instant::now() < quiet {
        std::thread::sleep(Duration::from_millis(50));
    }
    stdin.write_all(b"ls /tmp\n").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("/tmp/file"),
        "{output:?}"
    );
}

/// Prints what a hundred hosts cost after one command each, and when they are idle. Run it with
/// `cargo test --lib what_a_hundred_hosts_cost -- --ignored --nocapture`.
#[test]
#[ignore = "takes a minute"]
fn what_a_hundred_hosts_cost() {
    let stage = Stage::new(|spec| spec.limits.idle = Duration::from_secs(20));
    let machines: Vec<PathBuf> = (0..100u32)
        .map(|number| {
            let mut spec = stage.spec.clone();
            spec.id = format!("i-{number:017x}");
            spec.folder = stage.folder.path().join(&spec.id);
            spec.address = Ipv4Addr::from(u32::from(spec.address).wrapping_add(number));
            stage.runtime.block_on(stage.hosts.boot(spec.clone())).unwrap();
            spec.folder.join("machine")
        })
        .collect();
    let own = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned();
        (resident, std::fs::read_dir("/proc/self/fd").unwrap().count())
    };
    println!("booted: {:?}", own());
    let begin = Instant::now();
    for number in 0..100u32 {
        let address = Ipv4Addr::from(u32::from(stage.spec.address).wrapping_add(number));
        let output = stage.client("ssh").arg(format!("ubuntu@{address}")).arg("true").output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    println!("a command each: {:?}, {:?}", begin.elapsed(), own());
    let first =
        machines[0].parent().unwrap().parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let (mut count, mut proportional) = (0, 0);
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let inside = std::fs::read_to_string(process.path().join("mountinfo"))
            .is_ok_and(|mounts| mounts.contains(&first));
        let rollup = std::fs::read_to_string(process.path().join("smaps_rollup")).unwrap_or_default();
        let size = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        if inside && process.file_name().to_string_lossy() != std::process::id().to_string() {
            count += 1;
            proportional += size.unwrap_or_default();
        }
    }
    println!("their processes: {count}, {proportional} kB in proportion");
    until("all are let go", || machines.iter().all(|machine| inhabitants(machine) == 0));
    println!("idle: {:?}", own());
}

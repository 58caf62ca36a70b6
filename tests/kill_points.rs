//! spot is killed before every single thing that it does to the world: whatever it was about to do, a plain
//! `destroy` afterwards leaves the cloud empty, and state says so.
//!
//! The kills come from `effects/effects.c`, a library that is loaded into spot beforehand, so that the
//! program under test is the one that people run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use spot::Sandbox;
use spot::sandbox::{Options, PuppetFaults, ec2};

use crate::spot::Spot;

/// Two regions, networks of its own, and spot instances with a share on demand: everything that a create
/// can make, no more of it than needed.
const CONFIG: &str = "[project]\nname = \"kills\"\n\
                      [fleet]\ncount = 3\nregions = [\"us-west-2\", \"eu-central-1\"]\ntypes = [\"t3.micro\"]\non_demand_base = 1\n\
                      [network]\ndedicated = true\n";
/// The pauses of spot, and the time that hosts and instances take, are made as short as they can be seen.
const HASTE: [&str; 2] = ["--time-scale", "0.02"];
const SHORT: Duration = Duration::from_millis(3);
/// How many runs are under way at once: most of their time is waiting.
const AT_ONCE: usize = 3;
/// After so many failures no more is learned.
const ENOUGH: usize = 5;

/// The commands that are killed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Killed {
    Create,
    Destroy,
    Nuke,
}

impl Killed {
    fn words(self) -> &'static [&'static str] {
        match self {
            Killed::Create => &["create", "--yes"],
            Killed::Destroy => &["destroy", "--yes"],
            Killed::Nuke => &["nuke", "--yes", "--answer", "123456789012"],
        }
    }
}

/// The library that counts and kills.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/effects/effects.c");
        let library =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("effects-{}.so", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler.args(["-std=gnu11", "-Wall", "-Werror", "-O2", "-shared", "-fPIC", "-o"]);
        let status = compiler.arg(&library).arg(&source).arg("-ldl").status().unwrap();
        assert!(status.success(), "cc: {status}");
        library
    })
}

/// A project whose cloud is this process, and goes on when spot is killed, as EC2 does.
struct Scene {
    spot: Spot,
    sandbox: Sandbox,
}

impl Scene {
    fn new(faults: ec2::Faults) -> Scene {
        let spot = Spot::new();
        let options = Options {
            boot_time: SHORT,
            transition: SHORT,
            puppets: Some(PuppetFaults::default()),
            faults,
            ..Options::default()
        };
        let sandbox = Sandbox::start_with(spot.folder(), options).unwrap();
        let access = sandbox.access();
        spot.write(
            "spot.toml",
            &format!(
                "{CONFIG}[ssh]\nport = {}\nconnect_timeout = 300\nwait_timeout = 3000\n",
                access.ssh_port
            ),
        );
        let spot = spot
            .env("AWS_ENDPOINT_URL", &access.url)
            .env("AWS_ACCESS_KEY_ID", &access.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &access.secret_key);
        Scene { spot, sandbox }
    }

    /// Runs a command that is killed before its n-th effect; 0 for never. How many effects there were, and
    /// what was said if it came to its end.
    fn killed_at(&self, command: Killed, number: u64) -> (u64, Option<String>) {
        let file = self.spot.write("effects", &"\0".repeat(8));
        let port = self.sandbox.access().url.rsplit(':').next().unwrap().trim_end_matches('/').to_owned();
        let output = self
            .spot
            .command(&[&HASTE[..], command.words()].concat())
            .env("LD_PRELOAD", library())
            .env("EFFECTS_FILE", &file)
            .env("EFFECTS_PORT", port)
            .env("EFFECTS_KILL_AT", number.to_string())
            .stdout(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let effects = u64::from_ne_bytes(std::fs::read(&file).unwrap().try_into().unwrap());
        match output.status.code() {
            Some(code) => {
                assert_eq!(code, 0, "{command:?} to its end: {said}");
                (effects, Some(said))
            }
            None => {
                assert!(effects >= number, "{command:?} at {number} died after {effects} effects: {said}");
                (effects, None)
            }
        }
    }

    /// A plain destroy leaves nothing, and state says so.
    fn assert_destroyable(&self, when: &str) {
        let finished = self.spot.run(&[&HASTE[..], &["destroy", "--yes"]].concat());
        let left = self.sandbox.inventory().unwrap();
        assert!(finished.code == 0 && left.is_empty(), "{when}: {left:?}\n{}", finished.all());
        // Who was killed early enough has left no state.
        let state = std::fs::read(self.spot.folder().join("instances.json")).unwrap_or_else(|_| b"{}".into());
        let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
        let listed = |key: &str| state[key].as_array().map_or(0, Vec::len);
        assert_eq!(
            (listed("instances"), listed("networks")),
            (0, 0),
            "{when}: {state:#}\n{}",
            finished.all()
        );
        let listed = self.spot.run(&["--json", "list"]);
        assert_eq!(listed.code, 0, "{when}: {}", listed.all());
    }
}

/// Kills a command before its n-th effect and checks what is left. Whether there was an n-th effect.
fn check(command: Killed, number: u64, faults: ec2::Faults) -> bool {
    let scene = Scene::new(faults);
    if command != Killed::Create {
        scene.spot.run(&[&HASTE[..], Killed::Create.words()].concat()).expect(0);
    }
    let (_, ended) = scene.killed_at(command, number);
    scene.assert_destroyable(&format!("{command:?} killed before effect {number}"));
    ended.is_none()
}

/// Kills a command before every `stride`-th of its effects, until it comes to its end. How many times.
fn sweep(command: Killed, stride: usize, faults: impl Fn(u64) -> ec2::Faults + Sync) -> usize {
    let (next, killed, failed) = (AtomicUsize::new(1), AtomicUsize::new(0), Mutex::new(Vec::new()));
    let over = AtomicUsize::new(usize::MAX);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(stride, Ordering::Relaxed);
                    // Threads interleave: one run may have a few effects more than another.
                    let enough = failed.lock().unwrap().len() >= ENOUGH;
                    if enough || number > over.load(Ordering::Relaxed) {
                        return;
                    }
                    let at = number as u64;
                    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                        check(command, at, faults(at))
                    }));
                    match checked {
                        Ok(true) => {
                            killed.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(false) => {
                            over.fetch_min(number, Ordering::Relaxed);
                        }
                        Err(_) => failed.lock().unwrap().push(number),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{command:?} leaves something behind when killed before effects {failed:?}");
    let killed = killed.into_inner();
    println!("{command:?}: killed at {killed} points, one of {stride}");
    killed
}

fn calm(_: u64) -> ec2::Faults {
    ec2::Faults::default()
}

#[test]
fn the_library_sees_what_spot_does() {
    let scene = Scene::new(ec2::Faults::default());
    let (effects, said) = scene.killed_at(Killed::Create, 0);
    assert!(effects > 100 && said.is_some(), "{effects} effects");
    assert_eq!(scene.spot.instances(".").len(), 3);
    // Dead before the first effect: nothing has happened.
    let scene = Scene::new(ec2::Faults::default());
    assert_eq!(scene.killed_at(Killed::Create, 1), (1, None));
    assert!(scene.sandbox.inventory().unwrap().is_empty());
    scene.assert_destroyable("killed before anything");
}

#[test]
fn destroy_cleans_up_after_a_kill_at_some_points() {
    for (command, stride) in [(Killed::Create, 29), (Killed::Destroy, 29), (Killed::Nuke, 41)] {
        assert!(sweep(command, stride, calm) > 3);
    }
}

/// `cargo test --test main -- --ignored --nocapture kill_points` prints how many points were tried.
#[test]
#[ignore = "takes minutes: every point in place of some"]
fn destroy_cleans_up_after_a_kill_at_every_point() {
    for command in [Killed::Create, Killed::Destroy, Killed::Nuke] {
        sweep(command, 1, calm);
    }
}

#[test]
#[ignore = "takes minutes: every point, while one answer in ten is lost"]
fn destroy_cleans_up_after_a_kill_at_every_point_while_answers_are_lost() {
    let faults = |seed| ec2::Faults { lost_answers: 0.1, seed: Some(seed), ..ec2::Faults::default() };
    for command in [Killed::Create, Killed::Destroy] {
        sweep(command, 1, faults);
    }
}

//! The live view of a large fleet: how much of a processor it takes while its rows change.
//!
//! `cargo bench --bench screen` · a number as argument takes so many hosts. The view runs in a process of its own, on a
//! pseudo-terminal of 200 columns and 50 lines that somebody reads.

#![allow(clippy::unwrap_used)]

use std::io::Read;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use spot::ui::{Event, Format, Options, Screen};

/// Changes of rows a second, as when each of 1,000 hosts says something every two seconds.
const CHANGES: u32 = 500;
/// How long is measured.
const TIME: Duration = Duration::from_secs(20);
const PHASES: [&str; 4] = ["connecting", "reachable", "uploading", "set up"];

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let hosts = words.iter().find_map(|word| word.parse::<usize>().ok()).unwrap_or(1000);
    let shown = words.iter().position(|word| word == "--shown");
    if let Some(at) = shown {
        return show(hosts, &words[at + 1], &words[at + 2]);
    }
    println!("| {hosts} hosts, {CHANGES} changes a second | share of one processor | bytes a second |");
    println!("|---|---|---|");
    for screen in ["inline", "full"] {
        let file = tempfile::NamedTempFile::new().unwrap();
        let pair = native_pty_system()
            .openpty(PtySize { rows: 50, cols: 200, pixel_width: 0, pixel_height: 0 })
            .unwrap();
        let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
        command.args(["--shown", screen, &file.path().to_string_lossy(), &hosts.to_string()]);
        command.env("TERM", "xterm-256color");
        command.env("LANG", "C.UTF-8");
        let mut child = pair.slave.spawn_command(command).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let bytes = std::thread::spawn(move || {
            let (mut all, mut piece) = (0_usize, [0; 65536]);
            while let Ok(read @ 1..) = reader.read(&mut piece) {
                all += read;
            }
            all
        });
        child.wait().unwrap();
        drop(pair.master);
        let share = std::fs::read_to_string(file.path()).unwrap();
        let bytes = bytes.join().unwrap() as f64 / TIME.as_secs_f64();
        println!("| {screen} | {share} % | {bytes:.0} |");
    }
}

/// Shows hosts that change, and writes down how much of a processor that took.
fn show(hosts: usize, screen: &str, file: &str) {
    let screen = if screen == "full" { Screen::Full } else { Screen::Inline };
    let ui = spot::ui::open(&Options { format: Format::Terminal, screen, ..Options::default() });
    ui.emit(Event::RunStarted { recipe: "create".into(), origin: "bench".into(), spot_version: "0".into() });
    let row = |number: usize, turn: usize| Event::Host {
        id: format!("i-{:017x}", number * 7919),
        region: "us-west-2".into(),
        zone: Some("us-west-2a".into()),
        instance_type: Some("t3.medium".into()),
        address: Some(format!("10.0.{}.{}", number / 250, number % 250)),
        phase: PHASES[(number + turn) % PHASES.len()].into(),
        detail: Some(format!("{} %", (number * 13 + turn * 7) % 100)),
        failed: number % 200 == 3,
        hourly: Some(0.0125),
    };
    (0..hosts).for_each(|number| ui.emit(row(number, 0)));
    let (begun, used) = (Instant::now(), processor_time());
    let mut change = 0;
    while begun.elapsed() < TIME {
        for _ in 0..CHANGES / 50 {
            ui.emit(row(change % hosts, change / hosts + 1));
            change += 1;
        }
        std::thread::sleep(Duration::from_secs(1) / 50);
    }
    let share = (processor_time() - used).as_secs_f64() / begun.elapsed().as_secs_f64();
    ui.finish();
    std::fs::write(file, format!("{:.1}", share * 100.0)).unwrap();
}

/// What this process has used so far; Linux counts it in hundredths of a second.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

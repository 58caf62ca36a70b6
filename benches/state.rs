//! The state of a large fleet: recording one transition compared with a bare append and fsync of the same
//! bytes, loading, and many transitions at once; prints a markdown table.
//!
//! `cargo bench --bench state` · a number as argument takes so many instances.

#![allow(clippy::unwrap_used)]

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use spot::state::{Instance, Intent, Store};

const RUNS: usize = 200;
const AT_ONCE: usize = 1000;

fn main() {
    let count = std::env::args().find_map(|argument| argument.parse::<usize>().ok()).unwrap_or(10_000);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path());
    let writer = store.writer("bench", Duration::ZERO, &|_| {}).unwrap();
    let intent = Intent { action: "RunInstances".into(), ..Intent::default() };
    let id = writer.started(intent).unwrap();
    writer.succeeded(id, Value::Null, (0..count).map(instance).collect()).unwrap();
    writer.compact().unwrap();

    // What one transition writes, to write as much without any state.
    let journal = folder.path().join(".spot/journal.jsonl");
    let before = size(&journal);
    transition(&writer, 0, "reachable");
    let bytes = vec![b'x'; usize::try_from(size(&journal) - before).unwrap()];
    let mut file = OpenOptions::new().append(true).create(true).open(folder.path().join("bare")).unwrap();

    // In turns, so that both see the same disk.
    let (mut bare, mut recorded) = (Vec::new(), Vec::new());
    for run in 0..RUNS {
        bare.push(timed(|| append(&mut file, &bytes)));
        recorded.push(timed(|| transition(&writer, run, if run % 2 == 0 { "uploaded" } else { "ready" })));
    }
    let (bare, recorded) = (median(bare), median(recorded));

    let alone = timed(|| (0..AT_ONCE).for_each(|_| append(&mut file, &bytes)));
    let together = timed(|| {
        std::thread::scope(|scope| {
            for number in 0..AT_ONCE {
                let writer = &writer;
                scope.spawn(move || transition(writer, number, "together"));
            }
        });
    });
    writer.close().unwrap();
    let load = median((0..20).map(|_| timed(|| drop(store.read().unwrap()))).collect());
    let plain = std::fs::read(folder.path().join("instances.json")).unwrap();
    let parse =
        median((0..20).map(|_| timed(|| drop(serde_json::from_slice::<Value>(&plain).unwrap()))).collect());

    println!("| {count} instances, {} MB of state | ms | ratio |", plain.len() / 1_000_000);
    println!("|---|---|---|");
    println!("| append and fsync {} bytes | {} | 1.0 |", bytes.len(), ms(bare));
    println!("| record one transition of as many bytes | {} | {:.1} |", ms(recorded), ratio(recorded, bare));
    println!("| append and fsync {AT_ONCE} times, one after the other | {} | 1.0 |", ms(alone));
    println!("| record {AT_ONCE} transitions at once | {} | {:.3} |", ms(together), ratio(together, alone));
    println!("| parse `instances.json` with serde_json, unchecked | {} | 1.0 |", ms(parse));
    println!("| load it | {} | {:.1} |", ms(load), ratio(load, parse));
}

fn instance(number: usize) -> Instance {
    Instance {
        instance_type: Some("t3.medium".into()),
        state: Some("running".into()),
        phase: Some("launched".into()),
        public_ip: Some(format!("203.0.{}.{}", number / 250, number % 250)),
        private_ip: Some(format!("10.0.{}.{}", number / 250, number % 250)),
        created: Some("2026-11-25T12:00:00Z".into()),
        ami: Some("ami-0123456789abcdef0".into()),
        zone: Some("us-west-2a".into()),
        name: Some("bench".into()),
        user: Some("ubuntu".into()),
        price: Some(0.0125),
        market: Some("spot".into()),
        vpc_id: Some("vpc-0123456789abcdef0".into()),
        subnet_id: Some("subnet-0123456789abcdef0".into()),
        security_group_id: Some("sg-0123456789abcdef0".into()),
        deployment_id: Some("bench-01234567".into()),
        ..Instance::new(id_of(number), "us-west-2")
    }
}

fn id_of(number: usize) -> String {
    format!("i-{number:017x}")
}

fn transition(writer: &spot::state::Writer, number: usize, phase: &str) {
    let mut fields = Map::new();
    fields.insert("phase".into(), json!(phase));
    assert!(writer.update(&id_of(number), fields).unwrap());
}

fn append(file: &mut File, bytes: &[u8]) {
    file.write_all(bytes).unwrap();
    file.sync_data().unwrap();
}

fn size(path: &Path) -> u64 {
    path.metadata().map_or(0, |metadata| metadata.len())
}

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

fn ratio(time: Duration, to: Duration) -> f64 {
    time.as_secs_f64() / to.as_secs_f64()
}

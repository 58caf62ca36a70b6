//! The recipes in `examples/`: each runs in the sandbox, again without changing anything where that has a
//! meaning, and with faults.

use crate::spot::{Finished, Spot};

/// Throttled calls, lost answers and calls that fail.
const FAULTS: &[&str] = &[
    "--fault",
    "throttle=0.1",
    "--fault",
    "lost-answers=0.05",
    "--fault",
    "lost-requests=0.05",
    "--seed",
    "7",
];

/// A project with the examples as its recipes, and hosts.
fn fleet(count: &str) -> Spot {
    let spot = Spot::new();
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rhai") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            spot.write(&format!("recipes/{name}"), &std::fs::read_to_string(&path).unwrap());
        }
    }
    spot.write("deploy/setup.sh", "#!/bin/sh\nset -eu\necho one >/etc/version\n");
    run(&spot, &["create", "--count", count]).expect(0);
    spot
}

fn run(spot: &Spot, arguments: &[&str]) -> Finished {
    spot.sandbox(&[&["--time-scale", "0.05", "--yes"], arguments].concat())
}

fn ids(spot: &Spot) -> Vec<String> {
    let listed = run(spot, &["list", "--format", "ids"]).expect(0);
    listed.stdout.lines().filter(|line| line.starts_with("i-")).map(str::to_owned).collect()
}

/// What a command says on all hosts, sorted.
fn said(spot: &Spot, command: &str) -> Vec<String> {
    let code = format!(
        "for r in ssh::run(state::instances(), {command:?}, #{{ quiet: true }}) {{ print(r.stdout.split(\"\\n\")[0]); }}"
    );
    let mut lines: Vec<String> =
        run(spot, &["eval", &code]).expect(0).stdout.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn examples_are_short_and_described() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let docs = std::fs::read_to_string(examples.join("../docs/patterns.md")).unwrap();
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(".rhai") else { continue };
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().count() <= 40 && text.starts_with("//! "), "{name}");
        assert!(docs.contains(&format!("../examples/{name}")), "docs/patterns.md says nothing of {stem}");
    }
}

#[test]
fn a_rolling_update_stops_at_the_first_wave_that_is_not_well() {
    let spot = fleet("4");
    run(&spot, &["rolling", "--wave", "2", "--healthy", "grep -q one /etc/version"]).expect(0);
    spot.write("deploy/setup.sh", "#!/bin/sh\nset -eu\necho two >/etc/version\n");
    let finished = run(
        &spot,
        &[
            "rolling",
            "--wave",
            "3",
            "--first",
            "1",
            "--healthy",
            "grep -q three /etc/version",
            "--patience",
            "1",
        ],
    );
    let finished = finished.expect(1);
    assert!(
        finished.stderr.contains("wave 1 failed") && finished.stderr.contains("3 hosts left"),
        "{}",
        finished.all()
    );
    assert_eq!(said(&spot, "cat /etc/version"), ["one", "one", "one", "two"]);
    let mut arguments =
        vec!["rolling", "--first", "1", "--soak", "1", "--healthy", "grep -q two /etc/version"];
    arguments.extend(FAULTS);
    run(&spot, &arguments).expect(0);
    assert_eq!(said(&spot, "cat /etc/version"), ["two"; 4]);
    run(&spot, &["destroy"]).expect(0);
}

#[test]
fn blue_and_green_change_places_or_nothing_happens() {
    let spot = fleet("2");
    let blue = ids(&spot);
    let finished = run(&spot, &["blue-green", "--healthy", "false", "--patience", "1"]).expect(1);
    assert!(finished.stderr.contains("0 of 2 new hosts came out well"), "{}", finished.all());
    assert_eq!(ids(&spot), blue);
    spot.write("recipes/cut.rhai", "//! Notes whom it got.\nlet opt = args(#{ ids: option([], \"hosts\") });\nfs::write(\"cut.txt\", `${opt.ids.len()}`);\n");
    let mut arguments = vec!["blue-green", "--healthy", "grep -q one /etc/version", "--cutover", "cut"];
    arguments.extend(FAULTS);
    run(&spot, &arguments).expect(0);
    let green = ids(&spot);
    assert_eq!((green.len(), spot.read("cut.txt").as_str()), (2, "2"));
    assert!(green.iter().all(|id| !blue.contains(id)), "{blue:?} {green:?}");
    run(&spot, &["destroy"]).expect(0);
}

#[test]
fn a_leader_and_its_workers_know_each_other() {
    let spot = fleet("3");
    let start = [
        "leader",
        "--start-leader",
        "echo $ROLE $SELF $PEERS >>/etc/started",
        "--start-worker",
        "echo $ROLE $LEADER $PEERS >>/etc/started",
    ];
    let mut arguments = start.to_vec();
    arguments.extend(FAULTS);
    run(&spot, &arguments).expect(0);
    let told = said(&spot, "cat /etc/started");
    let words: Vec<Vec<&str>> = told.iter().map(|line| line.split(' ').collect()).collect();
    assert_eq!(
        words.iter().map(|words| words[0]).collect::<Vec<_>>(),
        ["leader", "worker", "worker"],
        "{told:?}"
    );
    assert!(words.iter().all(|line| line[1] == words[0][1] && line[2].split(',').count() == 3), "{told:?}");
    // Nothing new: nobody is started again.
    let finished = run(&spot, &start).expect(0);
    assert!(finished.all().contains("0 started"), "{}", finished.all());
    assert_eq!(said(&spot, "wc -l </etc/started"), ["1", "1", "1"]);
    run(&spot, &["destroy"]).expect(0);
}

#[test]
fn a_batch_is_done_once_whatever_becomes_of_its_hosts() {
    let spot = fleet("3");
    let lost = ids(&spot)[0].clone();
    let mut jobs = String::from("# name: command\n");
    for number in 0..12 {
        jobs.push_str(&format!("n{number}: echo {number} >$RESULT/number; hostname\n"));
    }
    jobs.push_str("wrong: exit 3\n");
    spot.write("jobs.txt", &jobs);
    run(&spot, &["sandbox", "host", &lost, "refuses"]);
    let finished = run(&spot, &["batch"]);
    assert_eq!(finished.code, 3, "{}", finished.all());
    assert!(finished.stderr.contains("wrong on i-"), "{}", finished.all());
    for number in 0..12 {
        assert_eq!(spot.read(&format!("results/n{number}/number")).trim(), number.to_string());
    }
    spot.write("jobs.txt", &jobs.replace("exit 3", "true"));
    let mut arguments = vec!["batch"];
    arguments.extend(FAULTS);
    let finished = run(&spot, &arguments).expect(0);
    assert!(finished.all().contains("1 job done"), "{}", finished.all());
    let finished = run(&spot, &["batch"]).expect(0);
    assert!(finished.all().contains("nothing to do: all 13 jobs done"), "{}", finished.all());
    run(&spot, &["destroy"]).expect(0);
}

#[test]
fn training_goes_on_from_its_checkpoints() {
    let spot = fleet("1");
    // A stand-in for the AWS CLI with a bucket that outlives nothing but the training.
    let aws = "#!/bin/sh\n# aws s3 sync --only-show-errors FROM TO\nfor word; do case $word in s3://*) ;; esac; done\nfrom=$4 to=$5\ncase $from in s3://*) from=/var/bucket;; esac\ncase $to in s3://*) to=/var/bucket;; esac\nmkdir -p $from $to && cp -a $from/. $to/\n";
    spot.write("aws", aws);
    run(&spot, &["eval", "ssh::upload(state::instances(), \"aws\", \"/usr/local/bin/aws\", #{ sudo: true, mode: \"0755\" }); ssh::run(state::instances(), \"sudo mkdir -p /var/bucket /opt/deployment\")"]).expect(0);
    let command = "n=$(cat checkpoints/n 2>/dev/null || echo 0); n=$((n + 1)); echo $n >checkpoints/n; [ $n -ge 2 ] || exit 9";
    let arguments = ["train", "--bucket", "s3://b/run", "--every", "1", "--command", command];
    let finished = run(&spot, &arguments).expect(1);
    assert!(finished.stderr.contains("ended with status 9"), "{}", finished.all());
    let mut again = arguments.to_vec();
    again.extend(FAULTS);
    run(&spot, &again).expect(0);
    assert_eq!(said(&spot, "cat /var/bucket/n"), ["2"]);
    let wrong = run(&spot, &["train", "--bucket", "b/run"]).expect(2);
    assert!(wrong.stderr.contains("expected s3://BUCKET/PREFIX"), "{}", wrong.all());
    run(&spot, &["destroy"]).expect(0);
}

#[test]
fn load_comes_from_all_hosts_at_once() {
    let spot = fleet("3");
    let mut arguments = vec![
        "load",
        "--seconds",
        "1",
        "echo requests $((SECONDS_TO_RUN * 10)); date +began\\ %s; echo words that are none",
    ];
    arguments.extend(FAULTS);
    let finished = run(&spot, &arguments).expect(0);
    let row = finished.stdout.lines().find(|line| line.contains("requests")).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(&words[1..], ["30", "10", "10", "3"], "{}", finished.all());
    let began = finished.stdout.lines().find(|line| line.contains("began")).unwrap();
    let words: Vec<f64> = began.split_whitespace().skip(2).map(|word| word.parse().unwrap()).collect();
    assert!(words[1] - words[0] <= 1.0, "{}", finished.all());
    run(&spot, &["destroy"]).expect(0);
}

#[test]
fn the_reaper_ends_what_is_old_and_nothing_else() {
    let spot = fleet("2");
    let finished = run(&spot, &["reaper", "--hours", "1"]).expect(0);
    assert!(finished.all().contains("nothing is that old"), "{}", finished.all());
    let finished = run(&spot, &["reaper", "--hours", "0.000001", "--tag", "team", "--value", "a"]).expect(0);
    assert!(finished.all().contains("nothing is that old"), "{}", finished.all());
    let mut arguments = vec!["reaper", "--hours", "0.000001"];
    arguments.extend(FAULTS);
    let finished = run(&spot, &arguments).expect(0);
    assert!(finished.all().contains("ended: 2 instances"), "{}", finished.all());
    let finished = run(&spot, &["reaper", "--hours", "0.000001"]).expect(0);
    assert!(finished.all().contains("nothing is that old"), "{}", finished.all());
    run(&spot, &["destroy"]).expect(0);
}

#[test]
fn a_fleet_follows_its_metric_within_bounds() {
    let spot = fleet("1");
    let scale = |metric: &str, rounds: &str, more: &[&str]| {
        let arguments = [
            "autoscale",
            "--metric",
            metric,
            "--max",
            "3",
            "--rounds",
            rounds,
            "--every",
            "1",
            "--cooldown",
            "0",
        ];
        run(&spot, &[&arguments[..], more].concat()).expect(0)
    };
    scale("echo 0.9", "4", FAULTS);
    assert_eq!(ids(&spot).len(), 3);
    scale("echo 0.5", "2", &[]);
    assert_eq!(ids(&spot).len(), 3);
    let finished = scale("echo no number", "1", &[]);
    assert!(finished.all().contains("no host told a number"), "{}", finished.all());
    scale("echo 0.1", "4", &[]);
    assert_eq!(ids(&spot).len(), 1);
    run(&spot, &["destroy"]).expect(0);
}

//! Instances that have an end: launched with a time to live, put off, reaped.

use std::time::Duration;

use spot::Sandbox;

use crate::spot::{Spot, eventually};

const HOUR: u64 = 3600;

fn project() -> Spot {
    let spot = Spot::new();
    spot.write(
        "spot.toml",
        "[fleet]\ncount = 1\nregions = [\"us-west-2\"]\ntypes = [\"t3.micro\", \"t3a.micro\"]\n\
         [network]\ndedicated = true\n",
    );
    spot
}

/// Sets the sandbox's clock ahead; the next commands go on from there.
fn pass(spot: &Spot, seconds: u64) {
    Sandbox::start(spot.folder()).unwrap().advance(Duration::from_secs(seconds)).unwrap();
}

fn ids(spot: &Spot) -> Vec<String> {
    let text = |instance: &serde_json::Value| instance["id"].as_str().unwrap().to_owned();
    spot.instances(".spot/sandbox").iter().map(text).collect()
}

/// Kind and `spot:expires` of everything that the sandbox's cloud has in us-west-2.
fn ends(spot: &Spot) -> Vec<(String, String)> {
    spot.write(
        "recipes/ends.rhai",
        "for item in aws::owned(#{ region: \"us-west-2\", everything: true }).owned { print(`${item.kind} ${item.expires ?? \"-\"}`); }",
    );
    let told = spot.sandbox(&["ends"]).expect(0).stdout;
    let pairs = told.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(kind, end)| (kind.to_owned(), end.to_owned())).collect()
}

/// How many instances there are, those that are just ending included.
fn alive(spot: &Spot) -> usize {
    ends(spot).iter().filter(|(kind, _)| kind == "instance").count()
}

#[test]
fn a_time_to_live_is_in_the_tags_the_state_and_the_list() {
    let spot = project();
    spot.sandbox(&["create", "--ttl", "6h"]).expect(0);
    let ends = ends(&spot);
    let end = &ends[0].1;
    assert!(end.ends_with('Z') && end.parse::<jiff::Timestamp>().is_ok(), "{ends:?}");
    for kind in ["instance", "volume", "network-interface", "security-group", "subnet", "vpc"] {
        assert!(ends.iter().any(|(found, own)| found == kind && own == end), "{kind}: {ends:?}");
    }
    assert_eq!(spot.instances(".spot/sandbox")[0]["expires"], end.as_str());
    let listed = spot.sandbox(&["list"]).expect(0);
    assert!(listed.stdout.contains("5 h 59 min") && listed.stdout.contains(end), "{}", listed.all());
    let json = spot.sandbox(&["list", "--json", "--cached"]).expect(0);
    assert!(json.stdout.contains("5 h 59 min") && json.stdout.contains("\"expires\""), "{}", json.all());
    pass(&spot, 2 * HOUR);
    let listed = spot.sandbox(&["list"]).expect(0);
    assert!(listed.stdout.contains("3 h 5"), "{}", listed.all());
}

#[test]
fn what_is_no_time_to_live_is_refused_before_anything_is_made() {
    let spot = project();
    for (ttl, told) in [("4m", "at least 5m"), ("six", "such as 90m, 6h"), ("400d", "at most 365d")] {
        let refused = spot.sandbox(&["create", "--ttl", ttl]).expect(2);
        assert!(refused.stderr.contains(told), "{}", refused.all());
    }
    let text = spot.read("spot.toml");
    spot.write("spot.toml", &text.replace("count = 1", "count = 1\nttl = \"1h1d\""));
    let refused = spot.sandbox(&["create"]).expect(2);
    assert!(refused.stderr.contains("spot.toml:3:7"), "{}", refused.all());
    assert!(ends(&spot).is_empty());

    // The configuration's time to live, and none of it for one run.
    spot.write("spot.toml", &text.replace("count = 1", "count = 1\nttl = \"1h\""));
    spot.sandbox(&["create", "--ttl", "never"]).expect(0);
    assert!(ends(&spot).iter().all(|(_, end)| end == "-"));
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    spot.sandbox(&["create"]).expect(0);
    assert!(ends(&spot).iter().any(|(kind, end)| kind == "instance" && end != "-"));
}

#[test]
fn reap_removes_what_has_expired_and_nothing_else() {
    let spot = project();
    spot.sandbox(&["create", "--ttl", "1h"]).expect(0);
    spot.sandbox(&["create", "--count", "2"]).expect(0);
    let both = ids(&spot);
    // The first must be there when its time is over: its host does not end it in this test.
    disarm(&spot, &both[0]);
    let early = spot.sandbox(&["reap", "--yes"]).expect(0);
    assert!(early.stderr.contains("nothing of this project has expired in 1 region"), "{}", early.all());

    pass(&spot, HOUR + 60);
    let listed = spot.sandbox(&["list"]).expect(0);
    assert!(listed.stdout.contains("expired") && listed.stderr.contains("reap"), "{}", listed.all());
    let plan = spot.sandbox(&["reap", "--dry-run"]).expect(0);
    assert!(plan.stdout.contains("TerminateInstances") && alive(&spot) == 2, "{}", plan.all());
    let unanswered = spot.sandbox(&["reap"]).expect(2);
    assert!(unanswered.stdout.contains(&both[0]) && alive(&spot) == 2, "{}", unanswered.all());

    let reaped = spot.sandbox(&["reap", "--yes"]).expect(0);
    assert_eq!(ids(&spot), both[1..], "{}", reaped.all());
    // The network expired too, but the other instance needs it: it is still there, and in state.
    assert!(ends(&spot).iter().any(|(kind, _)| kind == "vpc"), "{}", reaped.all());
    spot.sandbox(&["ssh", &both[1], "--", "true"]).expect(0);
    spot.sandbox(&["destroy", "--yes"]).expect(0);
    assert!(ends(&spot).is_empty());
}

#[test]
fn reap_needs_no_state_and_leaves_alone_what_it_cannot_read() {
    let spot = project();
    spot.sandbox(&["create", "--ttl", "1h", "--count", "2"]).expect(0);
    let both = ids(&spot);
    for id in &both {
        disarm(&spot, id);
    }
    spot.write(
        "recipes/spoil.rhai",
        &format!(
            "aws::tag([#{{ id: \"{}\", region: \"us-west-2\" }}], #{{ \"spot:expires\": \"soon\" }});",
            both[1]
        ),
    );
    spot.sandbox(&["spoil"]).expect(0);
    pass(&spot, 2 * HOUR);
    std::fs::remove_file(spot.folder().join(".spot/sandbox/instances.json")).unwrap();
    std::fs::remove_dir_all(spot.folder().join(".spot/sandbox/.spot")).unwrap();

    // ap-east-1 has to be enabled first, so every call there is refused.
    let blind = spot.sandbox(&["reap", "--yes", "--regions", "us-west-2,ap-east-1"]).expect(5);
    assert!(blind.stderr.contains("nothing is known of [\"ap-east-1\"]"), "{}", blind.all());
    assert!(
        blind.stderr.contains(&both[1]) && blind.stderr.contains("\"soon\", which is no time"),
        "{}",
        blind.all()
    );
    let left = ends(&spot);
    assert_eq!(left.iter().filter(|(kind, _)| kind == "instance").count(), 1, "{}", blind.all());
    assert!(left.iter().any(|(kind, _)| kind == "vpc"), "the network is needed: {left:?}");

    // Once somebody has said when, all of it goes, from all regions and of everyone.
    spot.write(
        "recipes/spoil.rhai",
        &format!(
            "aws::tag([#{{ id: \"{}\", region: \"us-west-2\" }}], #{{ \"spot:expires\": \"2026-01-01T00:00:00Z\" }});",
            both[1]
        ),
    );
    spot.sandbox(&["spoil"]).expect(0);
    spot.sandbox(&["reap", "--yes", "--all-regions", "--everyone"]).expect(0);
    assert!(ends(&spot).is_empty());
    let nothing = spot.sandbox(&["reap", "--yes"]).expect(0);
    assert!(nothing.stderr.contains("nothing made by"), "{}", nothing.all());
    let both_flags = spot.sandbox(&["reap", "--all-regions", "--regions", "us-west-2"]).expect(2);
    assert!(both_flags.stderr.contains("exclude each other"), "{}", both_flags.all());
}

#[test]
fn extend_puts_the_end_off_brings_it_forward_and_takes_it_away() {
    let spot = project();
    spot.sandbox(&["create", "--ttl", "1h"]).expect(0);
    let id = ids(&spot)[0].clone();
    let extended = spot.sandbox(&["extend", "--by", "2h"]).expect(0);
    assert!(extended.stdout.contains("2 h 59 min"), "{}", extended.all());
    let ends_now = ends(&spot);
    let end = spot.instances(".spot/sandbox")[0]["expires"].as_str().unwrap().to_owned();
    assert!(ends_now.iter().filter(|(_, own)| *own != "-").all(|(_, own)| *own == end), "{ends_now:?}");
    pass(&spot, 2 * HOUR);
    let early = spot.sandbox(&["reap", "--yes"]).expect(0);
    assert!(early.stderr.contains("nothing of this project has expired"), "{}", early.all());

    spot.sandbox(&["extend", "--ttl", "10m", &id]).expect(0);
    assert!(spot.sandbox(&["list"]).expect(0).stdout.contains("9 min"));
    spot.sandbox(&["extend", "--never"]).expect(0);
    assert!(ends(&spot).iter().all(|(_, end)| end == "-" || end == "never"));
    assert!(spot.instances(".spot/sandbox")[0].get("expires").is_none());
    pass(&spot, 24 * HOUR);
    spot.sandbox(&["reap", "--yes", "--everyone"]).expect(0);
    assert_eq!(alive(&spot), 1);

    for (words, told) in [
        (&["--by", "1m"][..], "at least 5m"),
        (&["--by", "1h", "--never"], "expected one of --by, --ttl and --never"),
        (&[], "expected one of --by, --ttl and --never"),
    ] {
        let refused = spot.sandbox(&[&["extend"], words].concat()).expect(2);
        assert!(refused.stderr.contains(told), "{}", refused.all());
    }
    let unknown = spot.sandbox(&["extend", "--by", "1h", "i-0"]).expect(1);
    assert!(unknown.stderr.contains("no instance or deployment i-0"), "{}", unknown.all());
}

#[test]
fn instances_end_themselves_when_nobody_is_there() {
    // EC2 Fleet and RunInstances are told in different ways that a shutdown is the end.
    for (market, strategy) in [("spot", "ordered"), ("on-demand", "ordered"), ("on-demand", "lowest-price")] {
        let spot = project();
        let text = spot.read("spot.toml");
        spot.write("spot.toml", &text.replace("count = 1", &format!("strategy = \"{strategy}\"")));
        spot.sandbox(&["create", "--ttl", "1h", "--count", "2", "--market", market]).expect(0);
        let both = ids(&spot);
        // One of them gets more time, which its host is told too.
        let extended = spot.sandbox(&["extend", "--by", "1h", &both[1]]).expect(0);
        pass(&spot, HOUR + 60);
        let listed = spot.sandbox(&["list"]).expect(0);
        assert!(
            listed.stdout.contains("2 instances, 1 running"),
            "{market}: {}{}",
            listed.all(),
            extended.all()
        );
        eventually("one has ended", 20, || alive(&spot) == 1);
        pass(&spot, HOUR);
        let listed = spot.sandbox(&["list"]).expect(0);
        assert!(listed.stdout.contains("2 instances, 0 running"), "{market}: {}", listed.all());
        // What does not cost anything is left for whoever comes back.
        spot.sandbox(&["reap", "--yes"]).expect(0);
        assert!(ends(&spot).is_empty());
    }
}

#[test]
fn user_data_of_ones_own_are_carried_out_beside_the_timer() {
    let spot = project();
    spot.write(
        "recipes/own.rhai",
        "let network = aws::ensure_network(#{ region: \"us-west-2\" });\n\
         let found = aws::pools(#{ region: \"us-west-2\", types: [\"t3.micro\"], network: network });\n\
         let data = \"#cloud-config\\n\" + #{ ssh_authorized_keys: [ssh::public_key()], runcmd: [\"echo größer >/root/mine\"] }.to_json();\n\
         let made = aws::launch(#{ region: \"us-west-2\", count: 1, pools: found.pools, network: network, user_data: data, expires: aws::expiry(\"10m\") });\n\
         let hosts = ssh::wait(aws::wait_for(made.instances, \"address\"), #{ cloud_init: true });\n\
         for result in ssh::run(hosts.map(|r| r.host), \"sudo cat /root/mine; systemctl is-enabled spot-expire.timer; cloud-init status\") { print(result.stdout); }\n\
         print(aws::now());",
    );
    let own = spot.sandbox(&["own"]).expect(0);
    for told in ["größer", "enabled", "status: done"] {
        assert!(own.stdout.contains(told), "{told}: {}", own.all());
    }
    pass(&spot, 11 * 60);
    eventually("it has ended", 20, || alive(&spot) == 0);
}

#[test]
fn a_host_that_is_shut_down_from_inside_is_terminated_or_stopped() {
    let spot = project();
    spot.sandbox(&["create", "--count", "2", "--market", "on-demand"]).expect(0);
    let both = ids(&spot);
    let refused = spot.sandbox(&["ssh", &both[0], "--", "shutdown now"]).expect(1);
    assert!(refused.stderr.contains("authentication required"), "{}", refused.all());
    spot.sandbox(&["ssh", &both[0], "--", "sudo shutdown +10 && sudo shutdown -c"]).expect(0);
    spot.sandbox(&["ssh", &both[1], "--", "sudo shutdown -h +10"]).expect(0);
    pass(&spot, 9 * 60);
    assert!(spot.sandbox(&["list"]).expect(0).stdout.contains("2 running"));
    pass(&spot, 2 * 60);
    let stopped = || spot.sandbox(&["list"]).expect(0).stdout.matches("stopped").count() == 1;
    eventually("one has stopped", 20, stopped);
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

/// Keeps a host from shutting itself down when its time is over.
fn disarm(spot: &Spot, id: &str) {
    let command = "cloud-init status --wait >/dev/null; sudo /usr/local/sbin/spot-expire never";
    spot.sandbox(&["ssh", id, "--", command]).expect(0);
}

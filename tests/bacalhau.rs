//! The nodes of a Bacalhau network, against a server that has the API of its orchestrator.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::site::Site;
use crate::spot::{Finished, Spot};

/// A node as version 1.5 and later tell of it, or as those before do.
fn node(name: &str, kind: &str, connected: bool, new: bool) -> Value {
    let word = if connected { "CONNECTED" } else { "DISCONNECTED" };
    let info = json!({ "NodeID": name, "NodeType": kind, "Labels": { "Operating-System": "linux" } });
    if new {
        json!({ "Info": info, "Membership": "APPROVED", "ConnectionState": { "Status": word } })
    } else {
        json!({ "Info": info, "Approval": "APPROVED", "Connection": word })
    }
}

/// An orchestrator whose node `fading` counts as connected until it was listed twice. Every second request
/// meets with trouble first.
fn orchestrator(nodes: Vec<Value>, fading: String) -> Site {
    let (nodes, lists, turn) = (Mutex::new(nodes), AtomicUsize::new(0), AtomicUsize::new(0));
    Site::start(move |asked| {
        if asked.header("authorization") != Some("Bearer hush-hush") {
            return Some((401, String::new(), r#"{"Message":"no token"}"#.into()));
        }
        match turn.fetch_add(1, Ordering::SeqCst) % 8 {
            0 => return None,
            2 => return Some((503, String::new(), String::new())),
            4 => return Some((429, "retry-after: 0\r\n".into(), String::new())),
            6 => return Some((500, String::new(), String::new())),
            _ => {}
        }
        let mut nodes = nodes.lock().unwrap();
        let answer = if asked.method == "PUT" {
            let name = asked.path.rsplit('/').next().unwrap();
            assert_eq!(asked.json()["Action"], "delete");
            let before = nodes.len();
            nodes.retain(|node| node["Info"]["NodeID"] != name);
            match nodes.len() < before {
                true => json!({ "Success": true, "Error": "" }),
                false => json!({ "Success": false, "Error": format!("node not found: {name}") }),
            }
        } else if asked.path.contains("next_token") {
            json!({ "Nodes": nodes[2..], "NextToken": "" })
        } else {
            if lists.fetch_add(1, Ordering::SeqCst) == 2 {
                let index = nodes.iter().position(|node| node["Info"]["NodeID"] == *fading).unwrap();
                nodes[index] = self::node(&fading, "Compute", false, true);
            }
            json!({ "Nodes": nodes[..2], "NextToken": "more" })
        };
        Some((200, String::new(), answer.to_string()))
    })
}

fn run(spot: &Spot, more: &[&str]) -> Finished {
    spot.sandbox(&[&["--time-scale", "0.02", "bacalhau", "--yes"], more].concat())
}

fn at(spot: Spot, site: &Site) -> Spot {
    spot.env("BACALHAU_API_HOST", site.url.clone()).env("BACALHAU_API_KEY", "hush-hush")
}

#[test]
fn nodes_of_ended_instances_are_removed_and_no_others() {
    let spot = Spot::new();
    spot.sandbox(&["create", "--count", "2", "--yes"]).expect(0);
    let listed = spot.sandbox(&["list", "--format", "ids"]).expect(0);
    let ids: Vec<&str> = listed.stdout.lines().collect();
    spot.sandbox(&["destroy", ids[1], "--yes"]).expect(0);
    let fading = format!("n-{}", ids[1]);
    let site = orchestrator(
        vec![
            node("orchestrator-1", "Requester", false, true),
            node(&format!("n-{}", ids[0]), "Compute", false, false),
            node(&fading, "Compute", true, true),
            node("n-i-0123456789abcdef0", "Compute", false, true),
            node("laptop", "Compute", false, false),
        ],
        fading.clone(),
    );
    let spot = at(spot, &site);
    let finished = run(&spot, &[]).expect(0);
    assert!(
        finished.all().contains("5 nodes") && finished.all().contains("removed 1 node"),
        "{}",
        finished.all()
    );
    assert!(!finished.all().contains("hush-hush"));
    let removed = |site: &Site| {
        let asked = site.asked().into_iter().filter(|asked| asked.method == "PUT");
        let mut names: Vec<String> =
            asked.map(|asked| asked.path.rsplit('/').next().unwrap().to_owned()).collect();
        names.dedup();
        names
    };
    assert_eq!(removed(&site), [fading]);
    // What is nobody's goes only when that is asked for; what lives stays.
    let finished = run(&spot, &["--all"]).expect(0);
    assert!(finished.all().contains("removed 2 nodes"), "{}", finished.all());
    let finished = run(&spot, &["--all"]).expect(0);
    assert!(finished.stdout.contains("2 nodes") && !finished.all().contains("removed"), "{}", finished.all());
    assert!(
        finished.stdout.contains("orchestrator-1") && finished.stdout.contains(ids[0]),
        "{}",
        finished.all()
    );
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn an_orchestrator_that_refuses_or_is_not_told_ends_the_run_with_a_hint() {
    let spot = Spot::new();
    let finished = spot.sandbox(&["bacalhau"]).expect(1);
    assert!(finished.stderr.contains("BACALHAU_API_HOST"), "{}", finished.all());
    let site = Site::start(|_| Some((403, String::new(), r#"{"Message":"forbidden"}"#.into())));
    let finished = run(&at(spot, &site), &[]).expect(1);
    assert!(finished.stderr.contains("403") && finished.stderr.contains("token"), "{}", finished.all());
}

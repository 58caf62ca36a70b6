//! `spot sandbox chaos`: pinned seeds, what it says, and that it sees what is wrong. A sweep of fresh
//! seeds is a step of `.ci/run`.

use crate::spot::Spot;

/// Runs chaos and returns its JSON lines with its exit code.
fn chaos(spot: &Spot, words: &[&str]) -> (i32, Vec<serde_json::Value>, String) {
    let finished = spot.run(&[&["--json", "sandbox", "chaos"], words].concat());
    let lines = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (finished.code, lines, finished.all())
}

/// The values of a field of all lines, which may be wrapped in an event.
fn field<'a>(lines: &'a [serde_json::Value], name: &str) -> Vec<&'a serde_json::Value> {
    lines.iter().filter_map(|line| line.get(name).or_else(|| line.get("value")?.get(name))).collect()
}

#[test]
fn pinned_seeds_hold() {
    let (code, lines, all) = chaos(&Spot::new(), &["--seed", "1", "--runs", "6", "--keep-failures", "kept"]);
    assert_eq!(code, 0, "{all}");
    assert_eq!(field(&lines, "run").len(), 6, "{all}");
    let summary = field(&lines, "summary");
    assert_eq!(summary[0]["runs"], 6, "{all}");
    assert!(summary[0]["calls"].as_u64().unwrap() > 100, "{all}");
}

/// A recipe that launches and makes state forget it leaves an orphan: that is what must be seen.
#[test]
fn a_recipe_that_orphans_is_found_and_kept() {
    let spot = Spot::new();
    spot.write(
        "orphan.rhai",
        "try { run(\"create\"); } catch { }\nfor host in state::instances() { state::remove(host); }\n",
    );
    let words =
        ["--seed", "3", "--runs", "4", "--jobs", "2", "--recipe", "orphan.rhai", "--keep-failures", "kept"];
    let (code, lines, all) = chaos(&spot, &words);
    assert_eq!(code, 1, "{all}");
    let runs = field(&lines, "run");
    let failed = runs.iter().find(|run| !run["broken"].as_array().unwrap().is_empty()).unwrap();
    assert!(failed["broken"].to_string().contains("orphan: instance i-"), "{failed}");
    let replay = failed["replay"].as_str().unwrap();
    assert!(replay.contains(&format!("--seed {} --runs 1 --recipe ", failed["seed"])), "{replay}");
    let kept = std::path::Path::new(failed["kept"].as_str().unwrap());
    for file in ["plan.txt", "said.txt", "calls.jsonl", "project/instances.json"] {
        assert!(spot.folder().join(kept).join(file).exists(), "{file}: {all}");
    }
}

#[test]
fn wrong_words_are_told_before_anything_runs() {
    let spot = Spot::new();
    let finished = spot.run(&["sandbox", "chaos", "--recipes", "create,destory"]).expect(2);
    assert!(finished.stderr.contains("did you mean `destroy`?"), "{}", finished.all());
    let finished = spot.run(&["sandbox", "chaos", "--real-hosts", "2"]).expect(2);
    assert!(finished.stderr.contains("from 0 to 1"), "{}", finished.all());
}

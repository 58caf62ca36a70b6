//! `spot fmt`, and the layout of what spot ships with.

use std::path::{Path, PathBuf};

use crate::spot::Spot;

fn shipped() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders =
        ["recipes", "stdlib", "examples"].map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let files = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rhai")).collect()
}

/// The parts of the syntax tree, without their places.
fn tree(text: &str) -> String {
    let mut engine = rhai::Engine::new();
    engine.set_optimization_level(rhai::OptimizationLevel::None).set_max_expr_depths(0, 0);
    let text = match text.strip_prefix("#!") {
        Some(rest) => format!("// {rest}"),
        None => text.to_owned(),
    };
    let tree = format!("{:?}", engine.compile(text).unwrap());
    // Numbers are places, or stand in the script as it is.
    let shown: String =
        tree.chars().filter(|character| !character.is_ascii_digit() && *character != ':').collect();
    // Closures are named, and come, by their place.
    let mut parts: Vec<&str> = shown
        .split("anon$")
        .flat_map(|part| part.trim_start_matches(|c: char| c.is_ascii_hexdigit()).split_whitespace())
        .collect();
    parts.sort_unstable();
    parts.join(" ")
}

#[test]
fn what_spot_ships_with_is_in_the_layout() {
    let spot = Spot::new();
    let files: Vec<String> = shipped().iter().map(|path| path.display().to_string()).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let finished = spot.run(&[&["fmt", "--check"], &files[..]].concat());
    assert_eq!(finished.code, 0, "{}", finished.all());
}

#[test]
fn a_lost_layout_is_found_again_and_the_script_stays_the_same() {
    let spot = Spot::new();
    for path in shipped() {
        let text = std::fs::read_to_string(&path).unwrap();
        // Where a text has several lines, all between is part of it.
        let several = text.lines().any(|line| line.matches('`').count() % 2 == 1);
        let lose = |line: &str| match line.contains(['"', '`', '/']) {
            true => format!("{}\n", line.trim_start()),
            false => format!("{}  \n", line.trim_start().replace(", ", " ,  ")),
        };
        let lost: String = if several { text.clone() } else { text.lines().map(lose).collect() };
        let (one, other) = (tree(&lost), tree(&text));
        let at = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
        let near = |tree: &str| tree.chars().skip(at.saturating_sub(80)).take(160).collect::<String>();
        assert!(one == other, "{}:\n{}\n{}", path.display(), near(&one), near(&other));
        let file = spot.write("lost.rhai", &lost);
        spot.run(&["fmt", "lost.rhai"]).expect(0);
        assert_eq!(std::fs::read_to_string(file).unwrap(), text, "{}", path.display());
    }
}

#[test]
fn files_are_written_or_only_looked_at() {
    use std::os::unix::fs::PermissionsExt;
    let spot = Spot::new();
    let ugly = spot.write("recipes/ugly.rhai", "//! Ugly.\nlet x=1 ;print( x );");
    spot.write("recipes/good.rhai", "//! Good.\nprint(1);\n");
    std::fs::set_permissions(&ugly, std::fs::Permissions::from_mode(0o755)).unwrap();
    let checked = spot.run(&["fmt", "--check"]).expect(1);
    assert!(
        checked.stdout.contains("-let x=1 ;print( x );\n")
            && checked.stdout.contains("+let x = 1; print(x);\n"),
        "{}",
        checked.all()
    );
    assert!(spot.read("recipes/ugly.rhai").contains("x=1"));
    let json = spot.run(&["--json", "fmt"]).expect(0);
    assert!(json.stdout.contains(r#"{"file":"recipes/ugly.rhai","changed":true}"#), "{}", json.all());
    assert_eq!(spot.read("recipes/ugly.rhai"), "//! Ugly.\nlet x = 1; print(x);\n");
    assert_eq!(std::fs::metadata(&ugly).unwrap().permissions().mode() & 0o777, 0o755);
    let finished = spot.run(&["fmt"]).expect(0);
    assert!(finished.all().contains("2 files, nothing to change"), "{}", finished.all());
    // One that is no script keeps all others as they are.
    spot.write("recipes/ugly.rhai", "//! Ugly.\nlet x=1 ;");
    spot.write("recipes/zz.rhai", "//! Broken.\nlet = ;");
    let finished = spot.run(&["fmt"]);
    assert!(finished.code != 0 && finished.stderr.contains("zz.rhai:2:5"), "{}", finished.all());
    assert!(spot.read("recipes/ugly.rhai").contains("x=1"));
    spot.run(&["fmt", "nowhere.rhai"]).expect(2);
}

//! The integration tests: one binary, a module per feature.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod spot;

mod architecture;
mod bacalhau;
mod chaos;
mod check;
mod command_line;
mod defects;
mod deploy;
mod differential;
mod documentation;
mod embedding;
mod errors;
mod expiry;
mod failure;
mod faults;
mod fmt;
mod http;
mod interruption;
mod kill_points;
mod market;
mod moto;
mod mutants;
mod patterns;
mod plan;
mod recipes;
mod repl;
mod sandbox;
mod screen;
mod scripts;
mod shared_state;
mod site;
mod ssh;
mod state;
mod terminal;
mod watch;

#[test]
fn no_test_file_is_forgotten() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let main = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "rs") && stem != "main" {
            assert!(main.contains(&format!("mod {stem};")), "tests/main.rs lacks `mod {stem};`");
        }
    }
}

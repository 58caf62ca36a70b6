//! Flags, help, and mistakes on the command line: nothing is touched before they are known.

use crate::spot::Spot;

#[test]
fn version_and_help() {
    let spot = Spot::new();
    let version = spot.run(&["--version"]).expect(0);
    assert!(spot.run(&["run", "--help"]).expect(0).stdout.contains("FILE|NAME"));
    assert_eq!(version.stdout, format!("spot {}\n", env!("CARGO_PKG_VERSION")));
    let help = spot.run(&["--help"]).expect(0).stdout;
    for word in ["create", "destroy", "list-recipes", "eject", "repl", "Exit codes", "--sandbox", "130"] {
        assert!(help.contains(word), "`{word}` is missing in:\n{help}");
    }
}

#[test]
fn a_recipe_shows_its_own_help_without_doing_anything() {
    let spot = Spot::new();
    for arguments in [&["create", "--help"][..], &["run", "create", "-h"], &["--sandbox", "create", "--help"]]
    {
        let help = spot.run(arguments).expect(0).stdout;
        for word in [
            "Brings the project's fleet",
            "--count <N>",
            "[default: 3]",
            "--market <TEXT>",
            "[spot|on-demand]",
            "embedded recipe create",
        ] {
            assert!(help.contains(word), "`{word}` is missing in:\n{help}");
        }
    }
    assert_eq!(std::fs::read_dir(spot.folder()).unwrap().count(), 0, "help made a file");
}

#[test]
fn misspelt_commands_and_flags_get_suggestions_and_touch_nothing() {
    let spot = Spot::new();
    let error = |arguments: &[&str]| spot.run(arguments).expect(2).stderr;
    let text = error(&["creat"]);
    assert!(text.contains("there is no command or recipe `creat`") && text.contains("spot create"), "{text}");
    let text = error(&["create", "--regoins", "us-west-2"]);
    assert!(text.contains("no flag `--regoins`") && text.contains("did you mean `--regions`?"), "{text}");
    let text = error(&["create", "--count", "many"]);
    assert!(text.contains("--count: expected a whole number, found `many`"), "{text}");
    let text = error(&["--sandbox", "create", "--regions", "us-wst-2"]);
    assert!(text.contains("there is no region `us-wst-2`") && text.contains("`us-west-2`"), "{text}");
    let text = error(&["run", "nowhere/none.rhai"]);
    assert!(text.contains("there is no file nowhere/none.rhai"), "{text}");
    assert!(!spot.folder().join("instances.json").exists());
}

#[test]
fn a_recipe_without_arguments_refuses_some() {
    let spot = Spot::new();
    spot.write("recipes/plain.rhai", "print(1);");
    let text = spot.run(&["plain", "--fast"]).expect(2).stderr;
    assert!(text.contains("recipe plain takes no arguments, but got `--fast`"), "{text}");
}

#[test]
fn an_argument_that_no_command_line_can_give_is_refused() {
    let spot = Spot::new();
    spot.write("recipes/plain.rhai", "let opt = args(#{ quiet: false }); print(opt.quiet);");
    for arguments in [&["plain"][..], &["plain", "--help"]] {
        let text = spot.run(arguments).expect(1).stderr;
        assert!(text.contains("`quiet` cannot be given, --quiet is an option of every command"), "{text}");
    }
}

#[test]
fn words_after_two_dashes_reach_the_recipe_in_both_forms() {
    let spot = Spot::new();
    spot.write("recipes/echo.rhai", "print(args(#{ words: positional(\"words\") }).words);");
    for arguments in [&["echo", "--", "--quiet"][..], &["run", "echo", "--", "--quiet"]] {
        assert_eq!(spot.run(arguments).expect(0).stdout, "[\"--quiet\"]\n", "{arguments:?}");
    }
}

#[test]
fn help_lists_the_recipes_of_the_project() {
    let spot = Spot::new();
    spot.write("app/spot.toml", "");
    spot.write("app/recipes/extra.rhai", "//! Something extra.\n");
    let help = spot.run(&["--project", "app", "--help"]).expect(0).stdout;
    assert!(help.contains("Something extra."), "{help}");
    let mut command = spot.command(&["--help"]);
    let output = command.current_dir(spot.folder().join("app/recipes")).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("Something extra."), "the search goes upwards");
    assert!(!spot.run(&["--help"]).expect(0).stdout.contains("Something extra."));
}

#[test]
fn stdlib_modules_of_the_project_are_listed() {
    let spot = Spot::new();
    assert!(!spot.run(&["list-recipes"]).expect(0).stdout.contains("stdlib"));
    spot.write("stdlib/fleet.rhai", "//! Another fleet.\n");
    spot.write("stdlib/extra.rhai", "//! More functions.\n");
    let text = spot.run(&["list-recipes"]).expect(0).stdout;
    let fleet = text.lines().find(|line| line.contains("Another fleet.")).unwrap_or_default();
    assert!(fleet.contains("in place of the built-in"), "{text}");
    assert!(text.contains("More functions."), "{text}");
}

#[test]
fn a_second_run_waits_for_the_sandbox_as_long_as_it_is_told() {
    let spot = Spot::new();
    spot.write("recipes/hold.rhai", "fs::write(\"held\", \"\"); sleep(60);");
    let mut first = spot.command(&["--sandbox", "hold"]).spawn().unwrap();
    crate::spot::eventually("the first run has started", 20, || spot.folder().join("held").exists());
    let text = spot.sandbox(&["--lock-timeout", "0", "list"]).expect(4).stderr;
    assert!(text.contains("sandbox") && !text.contains("waiting"), "{text}");
    let text = spot.sandbox(&["--lock-timeout", "1", "list"]).expect(4).stderr;
    assert!(text.contains("waiting for another run to end"), "{text}");
    first.kill().unwrap();
    first.wait().unwrap();
}

#[test]
fn configuration_mistakes_are_all_reported_at_once() {
    let spot = Spot::new();
    spot.write("spot.toml", "[fleet]\ncuont = 3\nregions = [\"us-wst-2\"]\ndisk_gb = \"big\"\n");
    let text = spot.run(&["--sandbox", "create"]).expect(2).stderr;
    for part in ["spot.toml:2:", "cuont", "`count`", "spot.toml:3:", "us-west-2", "spot.toml:4:", "disk_gb"] {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    assert!(!spot.folder().join(".spot/sandbox/instances.json").exists());
}

#[test]
fn missing_credentials_are_explained() {
    let spot = Spot::new();
    let finished = spot.run(&["create"]).expect(1);
    assert!(finished.stderr.contains("NoCredentials"), "{}", finished.all());
    assert!(finished.stderr.contains("hint:") && finished.stderr.contains("--sandbox"), "{}", finished.all());
}

#[test]
fn json_output_is_one_object_per_line() {
    let spot = Spot::new();
    spot.write("recipes/hello.rhai", "print(\"hi\"); ui::table([#{ a: 1 }]); ui::warn(\"careful\");");
    let finished = spot.run(&["hello", "--json"]).expect(0);
    let events: Vec<String> = finished
        .stdout
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(events, ["run_started", "data", "table", "message", "run_ended"]);
}

#[test]
fn recipes_of_the_project_come_first_and_say_so() {
    let spot = Spot::new();
    spot.write("recipes/list.rhai", "//! Mine.\nprint(\"my list\");");
    spot.write("recipes/extra.rhai", "//! Extra.\nprint(\"extra\");");
    assert_eq!(spot.run(&["list"]).expect(0).stdout, "my list\n");
    assert_eq!(spot.run(&["extra"]).expect(0).stdout, "extra\n");
    let table = spot.run(&["list-recipes"]).expect(0).stdout;
    assert!(
        table.contains("in place of the built-in") && table.contains("embedded") && table.contains("Extra."),
        "{table}"
    );
}

#[test]
fn eject_copies_a_built_in_once() {
    let spot = Spot::new();
    spot.run(&["eject", "create"]).expect(0);
    let copy = spot.read("recipes/create.rhai");
    assert_eq!(copy, include_str!("../recipes/create.rhai"));
    let text = spot.run(&["eject", "create"]).expect(2).stderr;
    assert!(text.contains("exists") && text.contains("--force"), "{text}");
    spot.run(&["eject", "--module", "fleet"]).expect(0);
    assert_eq!(spot.read("stdlib/fleet.rhai"), include_str!("../stdlib/fleet.rhai"));
    let text = spot.run(&["eject", "fleet"]).expect(2).stderr;
    assert!(text.contains("spot eject --module fleet"), "{text}");
}

#[test]
fn init_lays_out_a_project_that_loads() {
    let spot = Spot::new();
    spot.run(&["init", "demo"]).expect(0);
    for file in ["spot.toml", "deploy/setup.sh", "deploy/files/README.txt", "recipes/hello.rhai"] {
        assert!(spot.folder().join("demo").join(file).exists(), "{file} is missing");
    }
    spot.run(&["--project", "demo", "create", "--help"]).expect(0);
    let again = spot.run(&["init", "demo"]).expect(0);
    assert!(again.stderr.contains("kept spot.toml"), "{}", again.all());
}

/// What a shell is offered for the last word of a line.
fn offered(spot: &Spot, line: &[&str]) -> String {
    let mut command = spot.command(&[&["--", "spot"], line].concat());
    command.env("SPOT_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", line.len().to_string());
    let output = command.env("_CLAP_IFS", "\n").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn manual_pages_are_those_of_the_help() {
    let spot = Spot::new();
    let page = spot.run(&["man"]).expect(0).stdout;
    for part in [".TH spot 1", "SPOT_PROJECT", "\\-\\-dry\\-run", "list\\-recipes"] {
        assert!(page.contains(part), "`{part}` is missing in\n{page}");
    }
    let finished = spot.run(&["man", "pages"]).expect(0);
    assert_eq!(finished.stdout, "");
    assert!(spot.read("pages/spot.1").contains(".TH spot 1"));
    assert!(spot.read("pages/spot-man.1").contains("man \\-l"), "{}", spot.read("pages/spot-man.1"));
    assert!(spot.read("pages/spot-state-show.1").contains(".TH spot-state-show 1"));
    spot.write("file", "");
    let refused = spot.run(&["man", "file"]).expect(2);
    assert!(refused.stderr.contains("file"), "{}", refused.all());
}

#[test]
fn what_json_prints_fits_the_schema() {
    let schema = std::fs::read_to_string(
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/events.schema.json"),
    )
    .unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let spot = Spot::new();
    spot.write("recipes/said.rhai", "ui::progress(\"x\", [1, 2], |x| x);\nui::live(0.1, || [#{ a: 1 }]);");
    let runs: [&[&str]; 6] = [
        &["--json", "-vv", "create", "--count", "1"],
        &["--json", "prices", "--chart", "24"],
        &["--json", "--dry-run", "said"],
        &["--json", "eval", "fail(\"no\", #{ hint: \"yes\" })"],
        &["--json", "--dry-run", "destroy"],
        &["--json", "destroy", "--yes"],
    ];
    let mut kinds = std::collections::BTreeSet::new();
    for run in runs {
        for line in spot.sandbox(run).stdout.lines() {
            let object: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Err(error) = schema.validate(&object) {
                panic!("{run:?}: {error}\n{object:#}");
            }
            kinds.insert(object["event"].as_str().unwrap().to_owned());
        }
    }
    for kind in [
        "account",
        "call",
        "chart",
        "error",
        "host",
        "planned_call",
        "progress",
        "table",
        "view",
        "view_ended",
    ] {
        assert!(kinds.contains(kind), "no `{kind}` among {kinds:?}");
    }
}

#[test]
fn a_shell_completes_recipes_their_flags_and_instances() {
    let spot = Spot::new();
    for (shell, part) in [("bash", "complete -o nospace"), ("zsh", "compdef"), ("fish", "complete ")] {
        let script = spot.run(&["completions", shell]).expect(0).stdout;
        assert!(script.contains(part) && script.contains("SPOT_COMPLETE"), "{shell}: {script}");
    }
    spot.write("recipes/mine.rhai", "//! Mine.\nargs(#{ how_much: option(1, \"of it\"), way: option(\"a\", \"the way\", [\"a\", \"b\"]) });");
    let project = spot.folder().display().to_string();
    let line = |words: &[&str]| offered(&spot, &[&["--project", &project], words].concat());
    assert_eq!(line(&["min"]), "mine");
    assert!(line(&["sand"]).contains("sandbox"));
    assert_eq!(line(&["mine", "--how"]), "--how-much");
    assert_eq!(line(&["run", "mine", "--way", ""]), "a\nb");
    assert!(line(&["create", "--max"]).contains("--max-price"));
    assert_eq!(line(&["ssh", "i-"]), "");
    let instance = r#"{"version": 1, "instances": [{"id": "i-0123456789abcdef0", "region": "us-west-2"}]}"#;
    spot.write("instances.json", instance);
    assert_eq!(line(&["ssh", "i-"]), "i-0123456789abcdef0");
    assert_eq!(line(&["destroy", "i-"]), "i-0123456789abcdef0");
}

#[test]
fn a_run_leaves_a_record_with_calls_and_what_hosts_printed() {
    let spot = Spot::new();
    assert!(spot.run(&["runs"]).expect(0).stderr.contains("no run is recorded yet"));
    spot.write("deploy/setup.sh", "#!/bin/sh\necho set up here\n");
    spot.sandbox(&["create", "--count", "1", "--regions", "us-west-2"]).expect(0);
    spot.sandbox(&["list", "--dry-run"]).expect(0);
    let shown = spot.sandbox(&["-vv", "list"]).expect(0);
    assert!(shown.stderr.contains("ec2:DescribeInstances us-west-2 200 in"), "{}", shown.all());
    assert!(!spot.sandbox(&["-v", "list"]).expect(0).stderr.contains("ec2:DescribeInstances"));
    let listed = spot.sandbox(&["runs"]).expect(0);
    assert!(listed.stdout.lines().count() == 6 && listed.stdout.contains("create"), "{}", listed.all());
    let whole = spot.sandbox(&["runs", "3"]).expect(0).stdout;
    assert!(
        whole.contains("ec2:CreateFleet us-west-2 200") || whole.contains("ec2:RunInstances us-west-2 200"),
        "{whole}"
    );
    assert!(whole.contains(", request ") && whole.contains("create ends after"), "{whole}");
    let id = spot.instances(".spot/sandbox")[0]["id"].as_str().unwrap().to_owned();
    let printed = spot.sandbox(&["runs", "3", "--host", &id[..8]]).expect(0).stdout;
    assert!(printed.contains("   set up here\n"), "{printed}");
    assert!(spot.sandbox(&["runs", "9"]).expect(2).stderr.contains("there are 3"));
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

//! `spot check`, `spot explain`, and what every run checks first.

use spot::{CODES, Host, Library, Origin, Script, Severity};

use crate::spot::Spot;

fn host(spot: &Spot) -> Host {
    Host::builder().project(spot.folder()).build().unwrap()
}

fn script(text: &str) -> Script {
    Script { name: "example".to_owned(), origin: Origin::File("example.rhai".into()), text: text.into() }
}

/// The codes that are found in a text, with their places.
fn found(host: &Host, text: &str) -> Vec<String> {
    let place =
        |finding: spot::Finding| format!("{}:{} {}", finding.line(), finding.column(), finding.code.name);
    host.findings(&script(text)).into_iter().map(place).collect()
}

#[test]
fn every_code_is_found_in_its_wrong_example_and_not_in_its_right_one() {
    let spot = Spot::new();
    let host = host(&spot);
    for code in CODES {
        let codes = |text: &str| -> Vec<_> {
            host.findings(&script(text)).into_iter().map(|finding| finding.code.name).collect()
        };
        let documented = |text: &str| match code.name {
            "undocumented" => text.to_owned(),
            _ => format!("//! Example.\n{text}"),
        };
        assert_eq!(codes(&documented(code.wrong)), [code.name], "wrong: {}", code.wrong);
        assert_eq!(codes(&documented(code.right)), [""; 0], "right: {}", code.right);
    }
}

#[test]
fn nothing_is_found_in_what_spot_ships_with() {
    let spot = Spot::new();
    let host = host(&spot);
    let library = Library::new(spot.folder(), None);
    let mut scripts: Vec<Script> =
        library.recipes().unwrap().into_iter().chain(library.modules().unwrap()).collect();
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in std::fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rhai") {
            scripts.push(Library::new(spot.folder(), None).recipe(&path.to_string_lossy()).unwrap());
        }
    }
    assert!(scripts.len() > 25, "{}", scripts.len());
    for script in scripts {
        let findings = host.findings(&script);
        let told: Vec<_> = findings
            .iter()
            .map(|it| format!("{}:{}: {}: {}", script.origin, it.line(), it.code.name, it.error))
            .collect();
        assert!(told.is_empty(), "{}", told.join("\n"));
    }
}

#[test]
fn places_are_those_of_the_words() {
    let spot = Spot::new();
    let host = host(&spot);
    assert_eq!(found(&host, "//! X.\nprint(1);\n  pritn(2);\n"), ["3:3 unknown-function"]);
    assert_eq!(
        found(&host, "//! X.\nlet o = args(#{ a: 1 });\nprint(o.b + o.a);\n"),
        ["3:9 unknown-argument"]
    );
    assert_eq!(
        found(&host, "//! X.\nui::table([], #{ title: \"x\", colums: [] });\n"),
        ["2:30 unknown-option"]
    );
    assert_eq!(found(&host, "//! X.\nlet x = ;\n"), ["2:9 syntax"]);
}

#[test]
fn what_may_be_right_is_not_found() {
    let spot = Spot::new();
    let host = host(&spot);
    for text in [
        // Maps of one's own, with closures and properties nobody else has.
        "let m = #{ greet: |x| x, raedy: 1 }; print(m.greet(m.raedy));",
        // A name that is no near miss.
        "let answer = parse_json(\"{}\"); print(answer.kubernetes);",
        // What is added to the arguments.
        "let opt = args(#{ a: 1 }); let all = opt + #{ expires: 2 }; print(all.expires + opt.a);",
        "let opt = args(#{ a: 1 }); opt.b = 2; print(opt.b);",
        // The name of the arguments means something else in a function.
        "let opt = args(#{ a: 1 }); fn f(opt) { opt.other } print(opt.a + f(#{ other: 1 }));",
        // A function with `this`, called as a method and not.
        "fn double() { this * 2 } let x = 4; print(x.double());",
        "fn add(a, b) { a + b } print(add(1, 2) + 1.add(2));",
        // One host: a failure is thrown.
        "let host = state::find(\"1\"); ssh::run(host, \"make\"); print(1);",
        // The value of the last call is what the function returns.
        "fn all() { ssh::run(state::instances(), \"make\") } print(all());",
        // Workers that change what is their own.
        "print(parallel([1], |x| { let sum = 0; sum += x; sum }));",
        "let token_file = \"/run/secrets/token\"; print(token_file);",
    ] {
        assert_eq!(found(&host, &format!("//! X.\n{text}")), [""; 0], "{text}");
    }
}

#[test]
fn a_comment_with_a_reason_allows_a_warning_and_no_error() {
    let spot = Spot::new();
    let host = host(&spot);
    let text = |comment: &str, line: &str| format!("//! X.\n{comment}\n{line}\n");
    let ignored = "ssh::run(state::instances(), \"make\"); print(1);";
    assert_eq!(found(&host, &text("// spot:allow(ignored-result): they end anyway", ignored)), [""; 0]);
    let same_line = format!("//! X.\n{ignored} // spot:allow(ignored-result): they end anyway\n");
    assert_eq!(found(&host, &same_line), [""; 0]);
    assert_eq!(
        found(&host, &text("// spot:allow(ignored-result)", ignored)),
        ["2:0 unused-allow", "3:6 ignored-result"]
    );
    assert_eq!(
        found(&host, &text("// spot:allow(unknown-function): no", "pritn(1);")),
        ["2:0 unused-allow", "3:1 unknown-function"]
    );
    assert_eq!(found(&host, &text("// spot:allow(ignored): no", "print(1);")), ["2:0 unused-allow"]);
    let property = text("// spot:allow(unknown-property): theirs", "let x = #{}; print(x.public_pi);");
    assert_eq!(found(&host, &property), [""; 0]);
}

#[test]
fn the_command_prints_a_line_for_each_and_says_by_its_exit_code_whether_all_is_well() {
    let spot = Spot::new();
    spot.write("recipes/good.rhai", "//! Good.\nprint(1);\n");
    spot.write("lib/bad.rhai", "//! Bad.\nlet x = 1;\npritn(2);\n");
    let all = spot.run(&["check"]).expect(1);
    assert_eq!(
        all.stdout,
        "lib/bad.rhai:2:1: warning[unused-variable]: the variable `x` is never read (`_x` says that it is meant so)\n\
         lib/bad.rhai:3:1: error[unknown-function]: there is no function `pritn` (did you mean `print`?)\n"
    );
    assert!(all.stderr.contains("2 files: 1 error, 1 warning"), "{}", all.stderr);
    spot.run(&["check", "good"]).expect(0);
    spot.run(&["check", "create", "recipes"]).expect(0);
    spot.write("lib/bad.rhai", "//! Bad.\nlet x = 1;\n");
    spot.run(&["check", "lib"]).expect(0);
    spot.run(&["check", "--strict", "lib"]).expect(1);
    let json = spot.run(&["--json", "check", "lib/bad.rhai"]).expect(0);
    let first: serde_json::Value = serde_json::from_str(json.stdout.lines().next().unwrap()).unwrap();
    let told = if first["value"].is_object() { &first["value"] } else { &first };
    assert_eq!(told["code"], "unused-variable", "{}", json.stdout);
    assert_eq!((told["line"].as_i64(), told["column"].as_i64()), (Some(2), Some(1)));
    let missing = spot.run(&["check", "recipes/gone.rhai"]).expect(2);
    assert!(missing.stderr.contains("there is no file recipes/gone.rhai"), "{}", missing.stderr);
    Spot::new().run(&["check"]).expect(2);
}

#[test]
fn sarif_has_the_rules_and_the_places() {
    let spot = Spot::new();
    spot.write("recipes/bad one.rhai", "//! Bad.\npritn(2);\n");
    let printed = spot.run(&["check", "--format", "sarif"]).expect(1);
    let sarif: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), CODES.len());
    let result = &run["results"][0];
    let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(run["tool"]["driver"]["rules"][rule]["id"], result["ruleId"]);
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "recipes/bad%20one.rhai");
    assert_eq!(place["region"]["startLine"], 2);
}

#[test]
fn a_recipe_with_an_error_anywhere_does_not_start() {
    let spot = Spot::new();
    spot.write(
        "recipes/late.rhai",
        "//! Late.\naws::ensure_network(#{ region: \"us-west-2\" });\nui::table([], #{ tilte: \"x\" });\n",
    );
    let refused = spot.sandbox(&["late"]).expect(1);
    assert!(refused.stderr.contains("`ui::table` has no option `tilte`"), "{}", refused.all());
    assert!(refused.stderr.contains("late.rhai:3:18"), "{}", refused.all());
    assert!(refused.stderr.contains("did you mean `title`?"), "{}", refused.all());
    let networks = spot.sandbox(&["eval", "state::networks().len()"]).expect(0);
    assert_eq!(networks.stdout, "0\n", "nothing was touched");
}

#[test]
fn codes_are_explained() {
    let spot = Spot::new();
    let one = spot.run(&["explain", "error[unknown-option]:"]).expect(0);
    assert!(one.stdout.starts_with("unknown-option (error)\n"), "{}", one.stdout);
    let wrong = spot.run(&["explain", "unknown-optoin"]).expect(2);
    assert!(wrong.stderr.contains("did you mean `unknown-option`?"), "{}", wrong.stderr);
    let all = spot.run(&["explain"]).expect(0);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/check.md")).unwrap();
    for code in CODES {
        assert!(all.stdout.contains(code.name), "{}", code.name);
        let severity = if code.severity == Severity::Error { "error" } else { "warning" };
        let row = format!("| `{}` | {severity} | {} |", code.name, code.summary);
        assert!(page.contains(&row), "docs/check.md wants: {row}");
    }
}

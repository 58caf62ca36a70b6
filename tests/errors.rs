//! How failures look and how they end the process.

use crate::spot::Spot;

#[test]
fn an_error_names_file_line_and_column_and_marks_the_word() {
    let spot = Spot::new();
    spot.write(
        "recipes/bad.rhai",
        "let hosts = [];\nfn visit(list) {\n    ssh::wait(list[0])\n}\nvisit(hosts);\n",
    );
    let finished = spot.run(&["bad"]).expect(1);
    for part in ["bad.rhai:3:", "ssh::wait(list[0])", "^", "array", "in visit", "bad.rhai:5:1"] {
        assert!(finished.stderr.contains(part), "`{part}` is missing in:\n{}", finished.all());
    }
}

#[test]
fn a_syntax_error_is_found_before_anything_runs() {
    let spot = Spot::new();
    spot.write("recipes/bad.rhai", "print(\"started\");\nlet x = ;\n");
    let finished = spot.run(&["bad"]).expect(1);
    assert!(!finished.stdout.contains("started"), "{}", finished.all());
    assert!(finished.stderr.contains("bad.rhai:2:9"), "{}", finished.all());
}

#[test]
fn a_misspelt_variable_is_found_before_anything_runs() {
    let spot = Spot::new();
    spot.write("recipes/bad.rhai", "print(\"started\");\nlet count = 1;\nif count > 5 { print(cuont); }\n");
    let finished = spot.run(&["bad"]).expect(1);
    assert!(!finished.stdout.contains("started"), "{}", finished.all());
    assert!(
        finished.stderr.contains("cuont") && finished.stderr.contains("bad.rhai:3:"),
        "{}",
        finished.all()
    );
}

#[test]
fn a_misspelt_function_is_found_before_anything_runs() {
    let spot = Spot::new();
    spot.write(
        "recipes/bad.rhai",
        "print(\"started\");\nif sys::user() == \"nobody\" { ssh::uplaod([], \"a\", \"b\"); pritn(1); }\n",
    );
    let finished = spot.run(&["bad"]).expect(1);
    assert!(!finished.stdout.contains("started"), "{}", finished.all());
    assert!(finished.stderr.contains("ssh::upload"), "{}", finished.all());
}

#[test]
fn a_misspelt_property_gets_a_suggestion() {
    let spot = Spot::new();
    spot.write("recipes/bad.rhai", "let host = #{ region: \"us-west-2\" };\nprint(host.regoin);\n");
    let finished = spot.run(&["bad"]).expect(1);
    assert!(finished.stderr.contains("did you mean `region`?"), "{}", finished.all());
}

#[test]
fn options_are_checked_by_name_and_type() {
    let spot = Spot::new();
    let wrong = "#{ regoin: \"us-west-2\", region: \"us-west-2\" }";
    spot.write("recipes/bad.rhai", &format!("aws::find_image({wrong});\n"));
    // What only the call sees.
    spot.write("recipes/late.rhai", &format!("let wrong = {wrong};\naws::find_image(wrong);\n"));
    for (recipe, message) in [("bad", "has no option `regoin`"), ("late", "unknown option `regoin`")] {
        let finished = spot.run(&["--sandbox", recipe]).expect(1);
        assert!(finished.stderr.contains(message), "{}", finished.all());
        assert!(finished.stderr.contains("did you mean `region`?"), "{}", finished.all());
    }
}

#[test]
fn scripts_catch_errors_as_objects() {
    let spot = Spot::new();
    spot.write(
        "recipes/catch.rhai",
        "try { fail(\"no luck\", #{ code: \"Luck\", hint: \"try again\" }); } catch (e) { print(`${e.kind} ${e.code} ${e.message} ${e.hint} ${e.retryable}`); }",
    );
    assert_eq!(spot.run(&["catch"]).expect(0).stdout, "script Luck no luck try again false\n");
}

#[test]
fn exit_codes_follow_the_documented_table() {
    let spot = Spot::new();
    spot.write("recipes/one.rhai", "fail(\"no\");");
    spot.write("recipes/three.rhai", "fail(\"some\", #{ code: \"PartialFailure\" });");
    spot.write("recipes/five.rhai", "fail(\"left\", #{ code: \"ResourcesRemain\" });");
    for (recipe, code) in [("one", 1), ("three", 3), ("five", 5)] {
        spot.run(&[recipe]).expect(code);
    }
}

#[test]
fn a_second_writer_is_told_who_the_first_is() {
    let spot = Spot::new();
    spot.write("recipes/hold.rhai", "state::set(\"a\", 1); fs::write(\"held\", \"\"); sleep(30);");
    spot.write("recipes/other.rhai", "state::set(\"b\", 2);");
    let mut first = spot.command(&["hold"]).spawn().unwrap();
    crate::spot::eventually("the first run holds the lock", 20, || spot.folder().join("held").exists());
    let second = spot.run(&["other", "--lock-timeout", "1"]).expect(4);
    assert!(second.stderr.contains("spot hold"), "{}", second.all());
    first.kill().unwrap();
    first.wait().unwrap();
    // The lock of a dead process is free.
    spot.run(&["other", "--lock-timeout", "1"]).expect(0);
}

#[test]
fn paths_outside_the_project_need_permission() {
    let spot = Spot::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.txt"), "hush").unwrap();
    let path = outside.path().join("secret.txt");
    spot.write("recipes/read.rhai", &format!("print(fs::read(\"{}\"));", path.display()));
    let finished = spot.run(&["read"]).expect(1);
    assert!(
        finished.stderr.contains("outside the project") && !finished.stdout.contains("hush"),
        "{}",
        finished.all()
    );
    let allowed = spot.run(&["read", "--allow", &outside.path().to_string_lossy()]).expect(0);
    assert_eq!(allowed.stdout, "hush\n");
}

#[test]
fn a_runaway_recursion_is_an_error_and_not_a_crash() {
    let spot = Spot::new();
    spot.write("recipes/deep.rhai", "fn f(n) { f(n + 1) }\nf(0);");
    let finished = spot.run(&["deep"]).expect(1);
    assert!(finished.stderr.contains("too deep"), "{}", finished.all());
    spot.write("recipes/self.rhai", "run(\"self\");");
    let finished = spot.run(&["self"]).expect(1);
    assert!(finished.stderr.contains("16 deep"), "{}", finished.all());
}

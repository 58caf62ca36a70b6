//! The crate as a library: from a plain thread, inside an async runtime, several at once.

use std::sync::Arc;

use spot::ui::{Event, Recorder};
use spot::{Host, Kind, Sandbox};

fn recipe(folder: &std::path::Path, text: &str) -> String {
    let path = folder.join("recipe.rhai");
    std::fs::write(&path, text).unwrap();
    path.to_string_lossy().into_owned()
}

#[test]
fn a_recipe_gets_typed_values_and_gives_one_back() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::builder().project(folder.path()).build().unwrap();
    let path = recipe(
        folder.path(),
        "let opt = args(#{ count: 1, names: [\"a\"] }); #{ twice: opt.count * 2, names: opt.names }",
    );
    let outcome = host.run_with(&path, &serde_json::json!({ "count": 21, "names": ["x", "y"] })).unwrap();
    assert_eq!(outcome.value, serde_json::json!({ "twice": 42, "names": ["x", "y"] }));
    let failure = host.run_with(&path, &serde_json::json!({ "cuont": 1 })).unwrap_err();
    assert_eq!(failure.error.kind(), Kind::Usage);
}

#[tokio::test]
async fn it_works_inside_an_async_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(folder.path()).unwrap();
    let host = Host::builder().project(folder.path()).sandbox(&sandbox).build().unwrap();
    let path = recipe(folder.path(), "aws::identity().account");
    assert_eq!(host.run(&path, [""; 0]).unwrap().value, "123456789012");
}

#[test]
fn events_are_the_only_output() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::default());
    let host = Host::builder().project(folder.path()).ui(recorder.clone()).build().unwrap();
    let path = recipe(folder.path(), "print(\"hi\"); ui::step(\"work\", || 1 + 1)");
    let outcome = host.run(&path, [""; 0]).unwrap();
    assert_eq!(outcome.value, 2);
    assert_eq!(outcome.timeline.iter().map(|(title, _)| title.as_str()).collect::<Vec<_>>(), ["work"]);
    let events = recorder.events();
    assert!(matches!(events.first(), Some(Event::RunStarted { .. })), "{events:?}");
    assert!(matches!(events.last(), Some(Event::RunEnded { ok: true, exit_code: 0, .. })), "{events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Data(value) if value == "hi")), "{events:?}");
}

#[test]
fn another_thread_can_interrupt_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::builder().project(folder.path()).build().unwrap();
    let path = recipe(
        folder.path(),
        "fs::write(\"running\", \"\"); try { loop { sleep(60); } } catch (e) { print(e); }",
    );
    let interrupter = host.interrupter();
    let mark = folder.path().join("running");
    let other = std::thread::spawn(move || {
        crate::spot::eventually("the recipe runs", 20, || mark.exists());
        interrupter.interrupt();
    });
    let failure = host.run(&path, [""; 0]).unwrap_err();
    assert_eq!((failure.error.kind(), failure.exit_code()), (Kind::Interrupted, 130));
    other.join().unwrap();
}

#[test]
fn parallel_keeps_order_and_hides_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::builder().project(folder.path()).build().unwrap();
    let path = recipe(folder.path(), "parallel([3, 1, 2], |n| { sleep(0.01 * n); n * 10 })");
    assert_eq!(host.run(&path, [""; 0]).unwrap().value, serde_json::json!([30, 10, 20]));
    let path = recipe(
        folder.path(),
        "let out = ();\n\
         try { parallel([1, 2, 3], 2, |n| if n == 2 { fail(\"two\", #{ code: \"Two\" }) } else { n }); }\n\
         catch (e) { out = [e.message, e.code, e.results[0], e.results[1].message, e.results[2]]; }\n\
         out",
    );
    let expected = serde_json::json!(["1 of 3 calls failed: two", "Two", 1, "two", 3]);
    assert_eq!(host.run(&path, [""; 0]).unwrap().value, expected);
}

#[test]
fn retry_tries_what_may_help_again() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::builder().project(folder.path()).build().unwrap();
    let path = recipe(
        folder.path(),
        "let calls = 0;\n\
         let value = retry(#{ attempts: 3, delay: 0.001, any: true }, || { calls += 1; if calls < 3 { fail(\"no\"); } calls });\n\
         let once = 0;\n\
         try { retry(#{ delay: 0.001 }, || { once += 1; fail(\"final\"); }); } catch (e) { }\n\
         [value, once]",
    );
    assert_eq!(host.run(&path, [""; 0]).unwrap().value, serde_json::json!([3, 1]));
}

fn host_of(folder: &std::path::Path) -> Host {
    Host::builder().project(folder).build().unwrap()
}

#[test]
fn deep_recursion_in_parallel_is_an_ordinary_error() {
    let folder = tempfile::tempdir().unwrap();
    let depth = 20;
    let deep = format!("{}f(n + 1){}", "(1 + ".repeat(depth), ")".repeat(depth));
    let path = recipe(folder.path(), &format!("fn f(n) {{ {deep} }}\nparallel([1], |x| f(x))"));
    let failure = host_of(folder.path()).run(&path, [""; 0]).unwrap_err();
    assert_eq!(failure.error.kind(), Kind::Script);
    assert!(failure.error.message().contains("too deep"), "{}", failure.error);
}

#[test]
fn exit_in_parallel_ends_the_script_with_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let host = host_of(folder.path());
    let path = recipe(folder.path(), "parallel([1, 2, 3], 1, |n| if n == 2 { exit(n) } else { n }); 9");
    assert_eq!(host.run(&path, [""; 0]).unwrap().value, 2);
    let path = recipe(folder.path(), "retry(#{ any: true }, || exit(5)); 9");
    assert_eq!(host.run(&path, [""; 0]).unwrap().value, 5);
}

#[test]
fn a_host_goes_on_after_an_interrupt() {
    let folder = tempfile::tempdir().unwrap();
    let host = host_of(folder.path());
    assert_eq!([host.interrupter().interrupt(), host.interrupter().interrupt()], [1, 2]);
    let path = recipe(folder.path(), "sleep(0.001); 7");
    assert_eq!(host.run(&path, [""; 0]).unwrap_err().error.kind(), Kind::Interrupted);
    assert_eq!(host.run(&path, [""; 0]).unwrap().value, 7);
    assert_eq!(host.interrupter().interrupt(), 1, "each run counts from one");
    assert!(matches!(host.session().submit("sleep(0.001); 8"), Ok(spot::Submission::Value(_))));
}

#[test]
fn runs_of_one_host_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let host = host_of(folder.path());
    let path = recipe(folder.path(), "let opt = args(#{ n: 0 }); sleep(0.02); ui::step(\"s\", || opt.n)");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (host, path) = (&host, &path);
            scope.spawn(move || {
                let outcome = host.run_with(path, &serde_json::json!({ "n": n })).unwrap();
                assert_eq!((outcome.value, outcome.timeline.len()), (n.into(), 1));
            });
        }
    });
}

#[test]
fn recipes_are_not_run_in_parallel() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("recipes")).unwrap();
    std::fs::write(folder.path().join("recipes/child.rhai"), "args(#{ n: 0 }).n").unwrap();
    let host = host_of(folder.path());
    let path = recipe(folder.path(), "parallel([1, 2], |n| run(\"child\", #{ n: n }))");
    let failure = host.run(&path, [""; 0]).unwrap_err();
    assert!(failure.error.message().contains("cannot be called inside parallel"), "{}", failure.error);
    assert!(failure.error.hint().unwrap().contains("one after the other"));
    let path = recipe(folder.path(), "[1, 2].map(|n| run(\"child\", #{ n: n }))");
    assert_eq!(host.run(&path, [""; 0]).unwrap().value, serde_json::json!([1, 2]));
}

#[test]
fn steps_of_parallel_workers_are_siblings() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Arc::new(Recorder::default());
    let host = Host::builder().project(folder.path()).ui(recorder.clone()).build().unwrap();
    let path = recipe(
        folder.path(),
        "ui::step(\"all\", || parallel([1, 2, 3, 4], |n| ui::step(`outer ${n}`, || {\n\
         sleep(0.05); ui::step(`inner ${n}`, || sleep(0.05)) })));",
    );
    host.run(&path, [""; 0]).unwrap();
    let mut titles = std::collections::HashMap::new();
    let mut below = Vec::new();
    for event in recorder.events() {
        if let Event::StepStarted { id, parent, title } = event {
            below.push((title.clone(), parent.map(|parent: u64| titles[&parent]).unwrap_or("nothing")));
            titles.insert(id, &*title.leak());
        }
    }
    assert_eq!(below.len(), 9);
    for (title, parent) in below {
        let expected = match title.split_once(' ') {
            Some(("outer", _)) => "all".to_owned(),
            Some((_, number)) => format!("outer {number}"),
            None => "nothing".to_owned(),
        };
        assert_eq!(parent, expected, "{title}");
    }
}

#[test]
fn a_recipe_runs_only_recipes_of_its_project() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.rhai"), "1").unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("lib")).unwrap();
    std::fs::write(folder.path().join("lib/part.rhai"), "40 + 2").unwrap();
    let host = host_of(folder.path());
    let run = |text: &str| host.run(&recipe(folder.path(), text), [""; 0]);
    assert_eq!(run("run(\"lib/part.rhai\")").unwrap().value, 42, "relative to the project");
    let secret = outside.path().join("secret.rhai");
    for path in ["/etc/passwd", &secret.to_string_lossy(), "../secret.rhai"] {
        let failure = run(&format!("run(\"{path}\")")).unwrap_err();
        assert_eq!(failure.error.code(), Some("PathNotAllowed"), "{path}: {}", failure.error);
    }
}

#[test]
fn other_recipes_and_imports_are_checked_before_they_run() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("recipes")).unwrap();
    let wrong = "fs::write(\"ran\", \"\"); if sys::user() == \"\" { prnt(1); }";
    std::fs::write(folder.path().join("recipes/wrong.rhai"), wrong).unwrap();
    std::fs::write(folder.path().join("recipes/plain.rhai"), "1").unwrap();
    std::fs::write(folder.path().join("module.rhai"), "fn f() { fleet::nothing_of_this() }").unwrap();
    std::fs::write(folder.path().join("good.rhai"), "fn f() { fs::exists(\"x\") }").unwrap();
    let host = host_of(folder.path());
    let run = |text: &str| host.run(&recipe(folder.path(), text), [""; 0]);
    let failure = run("run(\"wrong\")").unwrap_err();
    assert_eq!(failure.error.message(), "there is no function `prnt`");
    assert_eq!(failure.error.hint(), Some("did you mean `print`?"));
    let source = failure.source.as_ref().unwrap();
    assert!(source.origin.ends_with("wrong.rhai") && source.line == 1, "{source:?}");
    assert!(!folder.path().join("ran").exists());
    let failure = run("import \"module\" as m; m::f()").unwrap_err();
    assert_eq!(failure.error.message(), "there is no function `fleet::nothing_of_this`");
    assert_eq!(run("import \"good\" as g; g::f()").unwrap().value, false);
    let failure = run("run(\"plain\", #{ n: 1 })").unwrap_err();
    assert_eq!(failure.error.message(), "recipe plain takes no arguments, but got `n`");
}

#[test]
fn closures_of_maps_are_called_like_methods() {
    let folder = tempfile::tempdir().unwrap();
    let path = recipe(folder.path(), "let m = #{}; m.greet = || \"hi\"; m.greet()");
    assert_eq!(host_of(folder.path()).run(&path, [""; 0]).unwrap().value, "hi");
}

#[test]
fn an_interrupt_ends_the_wait_for_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let held = spot::state::Store::open(folder.path());
    let _held = held.writer("another run", std::time::Duration::ZERO, &|_| {}).unwrap();
    let recorder = Arc::new(Recorder::default());
    let wait = std::time::Duration::from_secs(100);
    let host = Host::builder().project(folder.path()).ui(recorder.clone()).lock_wait(wait).build().unwrap();
    let path = recipe(folder.path(), "parallel([1, 2, 3], |n| state::set(`k${n}`, n))");
    let interrupter = host.interrupter();
    let other = std::thread::spawn(move || {
        crate::spot::eventually("the recipe waits", 20, || {
            let waits =
                |event: &Event| matches!(event, Event::Message { text, .. } if text.contains("waiting"));
            recorder.events().iter().any(waits)
        });
        interrupter.interrupt();
    });
    let begin = std::time::Instant::now();
    let failure = host.run(&path, [""; 0]).unwrap_err();
    assert_eq!(failure.error.kind(), Kind::Interrupted);
    assert!(begin.elapsed() < wait / 2);
    other.join().unwrap();
}

#[test]
fn a_session_keeps_variables_functions_and_goes_on_after_errors() {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::builder().project(folder.path()).build().unwrap();
    let mut session = host.session();
    let mut value = |text: &str| match session.submit(text) {
        Ok(spot::Submission::Value(value)) => value.to_string(),
        Ok(spot::Submission::Incomplete) => "…".to_owned(),
        Err(failure) => format!("error: {}", failure.error),
    };
    assert_eq!(value("let x = 2;"), "");
    assert_eq!(value("fn double(n) {"), "…");
    assert_eq!(value("fn double(n) {\n n * 2 }"), "");
    assert_eq!(value("double(x) + 1"), "5");
    assert!(value("y").starts_with("error: "), "an unknown variable");
    assert!(value("fail(\"no\")").starts_with("error: no"));
    assert!(value("import \"nothing\" as n;").starts_with("error: "));
    assert_eq!(value("x"), "2");
    assert_eq!(value("print("), "…");
    assert_eq!(value("`open"), "…");
}

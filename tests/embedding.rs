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

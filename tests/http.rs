//! Calls of web services from recipes.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::site::Site;
use crate::spot::Spot;

fn run(spot: &Spot, arguments: &[&str], code: &str) -> crate::spot::Finished {
    spot.write("recipes/call.rhai", code);
    spot.run(&[&["run", "recipes/call.rhai"], arguments].concat())
}

#[test]
fn a_recipe_asks_and_is_answered() {
    let site = Site::start(|asked| match asked.path.split('?').next().unwrap() {
        "/missing" => Some((404, String::new(), r#"{"error":"no such thing"}"#.into())),
        _ => Some((200, "x-many: a\r\nx-many: b\r\n".into(), r#"{"list":[1,2.5,null,"x"]}"#.into())),
    });
    let spot = Spot::new();
    let url = &site.url;
    let code = format!(
        r#"
        let got = http::get("{url}/list?all=1", #{{ query: #{{ page: 2, q: "a b" }}, headers: #{{ "X-Mine": "m" }}, bearer: "hush-hush" }});
        print(`${{got.status}} ${{got.ok}} ${{got.json.list}} ${{got.headers["x-many"]}} ${{got.body.len()}} ${{got.seconds < 60.0}}`);
        http::post("{url}/json", #{{ json: #{{ a: [1, true] }} }});
        http::put("{url}/text", #{{ body: "plain" }});
        http::request("PATCH", "{url}/form", #{{ form: #{{ "k k": "v&v", n: 1 }} }});
        http::delete("{url}/gone", #{{}});
        print(http::get("{url}/missing", #{{ check: false }}).status);
        try {{ http::get("{url}/missing?key=hush-hush"); }} catch (e) {{ print(`${{e.kind}} ${{e.code}} ${{e.message}}`); }}
        "#
    );
    let finished = run(&spot, &[], &code).expect(0);
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", finished.all());
    assert_eq!(lines[0], r#"200 true [1, 2.5, (), "x"] a, b 25 true"#);
    assert_eq!(lines[1], "404");
    assert_eq!(
        lines[2],
        format!(r#"http Http404 GET {url}/missing?…: answered with status 404: {{"error":"no such thing"}}"#)
    );
    assert!(!finished.all().contains("hush-hush"));
    let asked = site.asked();
    let told: Vec<_> = asked.iter().map(|one| format!("{} {}", one.method, one.path)).collect();
    assert_eq!(
        told,
        [
            "GET /list?all=1&page=2&q=a+b",
            "POST /json",
            "PUT /text",
            "PATCH /form",
            "DELETE /gone",
            "GET /missing",
            "GET /missing?key=hush-hush"
        ]
    );
    assert_eq!(asked[0].header("authorization"), Some("Bearer hush-hush"));
    assert_eq!(asked[0].header("x-mine"), Some("m"));
    assert!(asked[0].header("user-agent").unwrap().starts_with("spot/"));
    assert_eq!(asked[1].json(), serde_json::json!({ "a": [1, true] }));
    assert_eq!(asked[1].header("content-type"), Some("application/json"));
    assert_eq!(asked[2].body, "plain");
    assert_eq!(asked[3].body, "k+k=v%26v&n=1");
}

#[test]
fn trouble_is_met_with_patience_where_that_is_safe() {
    let count = AtomicUsize::new(0);
    let site =
        Site::start(move |asked| match (count.fetch_add(1, Ordering::SeqCst), asked.method.as_str()) {
            (0, _) => None,
            (1, _) => Some((500, String::new(), String::new())),
            (2, _) => Some((429, "retry-after: 0\r\n".into(), String::new())),
            (_, "GET") => Some((200, String::new(), "{}".into())),
            _ => None,
        });
    let spot = Spot::new();
    let url = &site.url;
    run(&spot, &[], &format!("print(http::get(\"{url}/\").status);")).expect(0);
    assert_eq!(site.asked().len(), 4);
    // Whether the order was carried out, nobody knows: it is not given twice.
    let finished = run(&spot, &[], &format!("http::post(\"{url}/\", #{{ body: \"x\" }});")).expect(1);
    assert!(finished.stderr.contains(&format!("POST {url}/")), "{}", finished.all());
    assert_eq!(site.asked().len(), 5);
}

#[test]
fn a_plan_sends_nothing_that_changes_something() {
    let site = Site::start(|_| Some((200, String::new(), "{}".into())));
    let spot = Spot::new();
    let url = &site.url;
    let code = format!("http::get(\"{url}/look\"); print(http::post(\"{url}/hook\", #{{ json: 1 }}).ok);");
    let finished = run(&spot, &["--dry-run"], &code).expect(0);
    assert!(finished.stdout.contains(&format!("POST {url}/hook")), "{}", finished.all());
    let finished = run(&spot, &["--read-only"], &code).expect(1);
    assert!(finished.stderr.contains("--read-only"), "{}", finished.all());
    assert!(site.asked().iter().all(|asked| asked.path == "/look"));
}

#[test]
fn wrong_calls_are_told_before_anything_is_sent() {
    let spot = Spot::new();
    for (call, why) in [
        (r#"http::get("ftp://example.com/")"#, "found the scheme `ftp`"),
        (r#"http::get("https://me:hush@example.com/")"#, "bearer: TOKEN"),
        (r#"http::request("get", "http://127.0.0.1/", #{})"#, "a method in capitals"),
        (r#"let o = #{ attempts: 0 }; http::get("http://127.0.0.1/", o)"#, "expected 1 to"),
        (r#"http::post("http://127.0.0.1/", #{ body: "x", json: 1 })"#, "only one of"),
        (r#"http::post("http://127.0.0.1/", #{ form: #{ a: [1] } })"#, "for `a`"),
        (
            r#"http::get("http://127.0.0.1/", #{ headers: #{ host: "x" } })"#,
            "the header `host` cannot be sent",
        ),
        (r#"http::get("http://127.0.0.1/", #{ timout: 1 })"#, "did you mean `timeout`?"),
    ] {
        let finished = run(&spot, &[], &format!("{call};"));
        assert_ne!(finished.code, 0, "{call}");
        assert!(finished.stderr.contains(why), "{call}: {}", finished.all());
    }
}

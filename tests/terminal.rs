//! What people see: the live view in both layouts and the REPL, in a shell of a pseudo-terminal.

use crate::screen::{Terminal, keys};
use crate::spot::Spot;

/// A fleet of six, of which one fails, until the file `go` is there.
const FLEET: &str = r#"
for number in 1..=6 {
    let host = #{ id: `i-${number}`, region: "us-west-2", type: "t3.medium" };
    if number == 5 { ui::host(host, "failed", "no such package"); } else { ui::host(host, "setup"); }
}
ui::info("said while it ran");
ui::progress("wait", 4, |bar| {
    ui::advance(bar, 3);
    while !fs::exists("go") { sleep(0.05); }
});
ui::info("said at the end");
"#;

/// The lines that say something, without those of the live view.
fn said(contents: &str) -> Vec<&str> {
    contents.lines().filter(|line| line.contains("said ")).collect()
}

#[test]
fn the_full_layout_scrolls_sorts_stops_and_leaves_the_terminal_as_it_was() {
    let spot = Spot::new();
    spot.write("recipes/fleet.rhai", FLEET);
    let mut terminal = Terminal::open(&spot, 80, 24);
    terminal.line("spot --screen full fleet");
    terminal.shows("hosts, failed first");
    assert!(terminal.is_taken() && !terminal.has_cursor());
    terminal.shows("said while it ran");
    terminal.shows("75%  3/4");
    let contents = terminal.contents();
    let row = |id: &str| contents.lines().position(|line| line.contains(id)).unwrap();
    assert!(row("i-5") < row("i-1"), "{contents}");
    assert!(contents.contains("6 hosts: 1 failed, 5 setup"), "{contents}");

    terminal.press("s");
    terminal.shows("hosts, by id");
    terminal.resize(150, 30);
    terminal.until("panels beside each other", |_, contents| contents.contains("│ ── log"));

    terminal.press(keys::CTRL_Z);
    terminal.shows("Stopped");
    terminal.prompts();
    assert!(terminal.has_cursor());
    terminal.line("echo typed-$((1 + 1))");
    terminal.shows("typed-2");
    terminal.line("fg");
    terminal.until("the full layout again", |terminal, contents| {
        terminal.is_taken() && contents.contains("hosts, by id")
    });

    terminal.press("q");
    terminal.until("the inline layout", |terminal, contents| {
        !terminal.is_taken() && contents.contains("6 hosts") && contents.contains("said while it ran")
    });
    spot.write("go", "");
    terminal.shows("fleet finished");
    terminal.prompts();
    let contents = terminal.contents();
    assert_eq!(said(&contents).len(), 2, "each thing is there once:\n{contents}");
    assert!(!contents.contains("hosts, by id"), "{contents}");
    assert!(terminal.has_cursor());
    terminal.line("clear; stty -a");
    terminal.shows("isig icanon");
    assert!(!terminal.contents().contains("-echo "), "{}", terminal.contents());
}

#[test]
fn ctrl_c_in_the_full_layout_gives_the_terminal_back() {
    let spot = Spot::new();
    spot.write("recipes/fleet.rhai", FLEET);
    let mut terminal = Terminal::open(&spot, 80, 24);
    terminal.line("SPOT_SCREEN=full spot fleet; echo code=$?");
    terminal.shows("hosts, failed first");
    terminal.press(keys::CTRL_C);
    terminal.shows("code=130");
    terminal.prompts();
    let contents = terminal.contents();
    assert!(terminal.has_cursor() && contents.contains("said while it ran"), "{contents}");
    assert!(contents.contains("interrupted"), "{contents}");
}

#[test]
fn questions_are_asked_on_the_ordinary_screen() {
    let spot = Spot::new();
    spot.write(
        "recipes/ask.rhai",
        "ui::host(#{ id: \"i-1\" }, \"setup\"); sleep(1.0);\nlet name = ui::ask(\"your name\", \"Bob\");\n\
         while !fs::exists(\"go\") { sleep(0.05); }\nprint(`hello ${name}`);",
    );
    let mut terminal = Terminal::open(&spot, 80, 24);
    terminal.line("spot --screen full ask");
    terminal
        .until("the question", |terminal, contents| !terminal.is_taken() && contents.contains("your name"));
    terminal.line("Ada");
    terminal.until("the full layout again", |terminal, contents| {
        terminal.is_taken() && contents.contains("hosts, failed first")
    });
    spot.write("go", "");
    terminal.shows("hello Ada");
    terminal.prompts();
}

#[test]
fn a_view_changes_where_it_stands_and_its_last_version_stays() {
    let spot = Spot::new();
    spot.write(
        "recipes/look.rhai",
        "ui::live(0.1, || [#{ name: \"stage\", now: if fs::exists(\"two\") { \"second\" } else { \"first\" } }]);",
    );
    let mut terminal = Terminal::open(&spot, 80, 24);
    terminal.line("spot look");
    terminal.shows("first");
    spot.write("two", "");
    terminal.until("the second version alone", |_, contents| {
        contents.contains("second") && !contents.contains("first")
    });
    terminal.press(keys::CTRL_C);
    terminal.prompts();
    let contents = terminal.contents();
    assert_eq!((contents.matches("second").count(), contents.matches("first").count()), (1, 0), "{contents}");
}

#[test]
fn the_repl_completes_continues_interrupts_and_remembers() {
    let spot = Spot::new();
    let mut terminal = Terminal::open(&spot, 100, 40);
    terminal.line("spot --sandbox repl");
    terminal.shows("spot (sandbox)>");
    terminal.press("aws::identi\t");
    terminal.shows("aws::identity");
    terminal.line("().account");
    terminal.shows("123456789012");
    terminal.line("let total = [1, 2,");
    terminal.line("3].len() * 111;");
    terminal.line("total + 1");
    terminal.shows("334");
    terminal.line("sleep(600)");
    terminal.shows("sleep(600)");
    terminal.until("the line runs", |_, contents| contents.trim_end().ends_with("sleep(600)"));
    terminal.press(keys::CTRL_C);
    terminal.shows("interrupted");
    terminal.line("total + 2");
    terminal.shows("335");
    terminal.press(keys::CTRL_D);
    terminal.prompts();

    terminal.line("clear; spot --sandbox repl");
    terminal.until("a new session", |_, contents| contents.trim_end().ends_with("spot (sandbox)>"));
    terminal.press(keys::UP);
    terminal.shows("total + 2");
    terminal.press(keys::CTRL_C);
    terminal.until("an empty line", |_, contents| contents.trim_end().ends_with("spot (sandbox)>"));
    terminal.press(keys::CTRL_R);
    terminal.press("identi");
    terminal.shows("aws::identity().account");
    terminal.press(keys::ENTER);
    terminal.shows("123456789012");
    terminal.press(keys::CTRL_D);
    terminal.prompts();
}

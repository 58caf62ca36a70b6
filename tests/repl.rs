//! The REPL over a pipe: what it prints, and that errors do not end it.

use std::io::Write;
use std::process::Stdio;

use crate::spot::Spot;

#[test]
fn lines_run_one_after_the_other() {
    let spot = Spot::new();
    let mut command = spot.command(&["--sandbox", "repl"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut repl = command.spawn().unwrap();
    let lines = "let x = 20;\nx * 2\nfn add(a, b) {\n a + b\n}\nadd(x, 1)\nx.oops\naws::identity().account\nhelp ssh::run\nhelp ssh::rnu\nexit\n";
    repl.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = repl.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    for part in
        ["40", "21", "123456789012", "ssh::run(hosts, command, options)", "Runs a shell command on hosts"]
    {
        assert!(stdout.contains(part), "`{part}` is missing in\n{stdout}\n{stderr}");
    }
    assert!(stderr.contains("did you mean `help ssh::run`?"), "{stderr}");
    assert!(stderr.contains("error: "), "{stderr}");
}

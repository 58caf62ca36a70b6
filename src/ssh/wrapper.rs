//! How a command reaches the remote shell: the lines we send, and what they do there.
//!
//! The server is asked to run one fixed text, [`BOOTSTRAP`], which reads its real instructions from
//! standard input. So nothing but the command line itself ever shows up in a process list: variables
//! travel as data. The `read` of a POSIX shell takes exactly one line and leaves the rest of standard
//! input to the command. The text means the same in sh, bash, zsh, fish and csh.

use russh::Pty;

use super::command::Command;
use super::quote;
use crate::error::{Error, Result};

/// What the login shell is asked to run.
pub const BOOTSTRAP: &str = "exec sh -c 'IFS= read -r _spot && eval \"$_spot\"'";

/// The terminal of a command that asks for one lets our lines through as they are: without an echo,
/// without a limit on their length. It becomes a usual one, though still without echo, afterwards.
pub const PTY_MODES: &[(Pty, u32)] = &[(Pty::ECHO, 0), (Pty::ICANON, 0), (Pty::ICRNL, 0), (Pty::ONLCR, 0)];
const PTY_READY: &str = "stty icanon icrnl -echo 2>/dev/null; ";

/// Linux takes no argument longer than 128 KiB.
const LINE_LIMIT: usize = 120_000;

/// Makes `_n` a newline, for words that contain one: an instruction is a single line.
const NEWLINE: &str = r#"_n=$(printf "\nx"); _n=${_n%x}; "#;

/// The instructions for [`BOOTSTRAP`], to be sent before the command's own input.
///
/// The first thing they do is to write `NONCE PID` to standard error: the process group to kill
/// when the time is up. With a terminal it is the last thing before the command begins, and says
/// that the terminal is ready for the command's input.
///
/// # Errors
/// Kind `usage` if the command cannot be passed on: a NUL byte, a bad variable name, too long.
pub fn instructions(command: &Command, nonce: &str) -> Result<String> {
    check(command)?;
    let announce = format!("echo \"{nonce} $$\" >&2; ");
    let mut text = if command.pty { String::new() } else { announce.clone() };
    if command.sudo {
        // Both branches then read the next line: the new shell of root, or this one.
        text.push_str(r#"[ "$(id -u)" = 0 ] || exec sudo -n -- "#);
        text.push_str("sh -c 'IFS= read -r _spot && eval \"$_spot\"'; ");
        text.push_str("IFS= read -r _spot && eval \"$_spot\"\n");
    }
    text.push_str(NEWLINE);
    if command.pty {
        text.push_str(PTY_READY);
        text.push_str(&announce);
    }
    if let Some(directory) = &command.directory {
        text.push_str(&format!("cd {} || exit 1; ", folder(directory)));
    }
    for (name, value) in &command.environment {
        text.push_str(&format!("export {name}={}; ", on_one_line(value)));
    }
    text.push_str(&format!("exec \"${{SHELL:-/bin/sh}}\" -c {}\n", on_one_line(&command.line)));
    Ok(text)
}

/// A script that ends a process group: politely, after a second by force. It says `gone` if it
/// worked. It does so as root where it can: part of the group may be.
///
/// A group of nothing but zombies still answers to signal 0, hence no look after the last one.
pub fn kill_script(group: u32) -> String {
    // A server that makes no process group for a command leaves us the process itself.
    let script = format!(
        "[ \"$(id -u)\" = 0 ] || ! sudo -n true || s='sudo -n'; \
         p=-{group}; $s kill -s TERM -- $p || {{ p={group}; $s kill -s TERM -- $p; }}; \
         for t in 1 2 3 4 5 6 7 8 9 10; do \
         $s kill -s 0 -- $p || {{ echo gone; exit 0; }}; sleep 0.1; done; \
         $s kill -s KILL -- $p && echo gone"
    );
    format!("exec sh -c {} 2>/dev/null", quote(&script))
}

fn check(command: &Command) -> Result<()> {
    let nul = |text: &str| text.contains('\0');
    if nul(&command.line) || command.directory.as_deref().is_some_and(nul) {
        return Err(Error::usage("a command and its directory cannot contain a NUL character"));
    }
    if command.line.len() > LINE_LIMIT {
        let message =
            format!("the command has {} bytes, more than the {LINE_LIMIT} a host takes", command.line.len());
        return Err(Error::usage(message).with_hint("upload it as a script and run that"));
    }
    for (name, value) in &command.environment {
        let mut characters = name.chars();
        let starts_well = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !starts_well || !characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let message = format!(
                "{name:?} is not a variable name: expected letters, digits and _, not starting with a digit"
            );
            return Err(Error::usage(message));
        }
        if nul(value) {
            return Err(Error::usage(format!("the value of {name} contains a NUL character")));
        }
    }
    Ok(())
}

/// Quotes a word like [`quote`], without a line break in the result.
fn on_one_line(word: &str) -> String {
    quote(word).replace('\n', "'\"$_n\"'")
}

fn folder(path: &str) -> String {
    match path.strip_prefix("~/") {
        _ if path == "~" => "\"$HOME\"".to_owned(),
        Some(below) => format!("\"$HOME\"/{}", on_one_line(below)),
        // `cd -` and `cd -P` are not folders.
        None if path.starts_with('-') => on_one_line(&format!("./{path}")),
        None => on_one_line(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Output, Stdio};

    /// Runs a command the way a server would, with a login shell of its choice.
    fn served(command: &Command, login_shell: &str, input: &[u8]) -> Output {
        let mut child = std::process::Command::new(login_shell)
            .args(["-c", BOOTSTRAP])
            .env("SHELL", login_shell)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(instructions(command, "NONCE").unwrap().as_bytes()).unwrap();
        stdin.write_all(input).unwrap();
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    #[test]
    fn every_shell_gets_line_variables_folder_and_input_unharmed() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("it's a\nfolder $HOME");
        std::fs::create_dir(&odd).unwrap();
        let mut command = Command::new("pwd\nprintf '%s|' \"$A\" \"$_B2\"; cat");
        command.directory = Some(odd.to_str().unwrap().to_owned());
        command.environment = vec![
            ("A".into(), "two\nlines\n\n 'quoted' \"$(id)\" \\n ".into()),
            ("_B2".into(), String::new()),
        ];
        for sudo in [false, true] {
            command.sudo = sudo && nix::unistd::geteuid().is_root();
            for shell in ["sh", "bash"] {
                let output = served(&command, shell, b"line 1\nline 2 without end");
                let expected = format!(
                    "{}\ntwo\nlines\n\n 'quoted' \"$(id)\" \\n ||line 1\nline 2 without end",
                    odd.display()
                );
                assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{shell}");
                let errors = String::from_utf8(output.stderr).unwrap();
                assert!(errors.starts_with("NONCE ") && errors.lines().count() == 1, "{shell}: {errors}");
            }
        }
    }

    #[test]
    fn without_root_the_command_goes_through_sudo_without_its_environment() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        };
        // A sudo that notes its arguments and runs them with a clean environment.
        write("id", "#!/bin/sh\necho 1000\n");
        write(
            "sudo",
            "#!/bin/sh\necho \"$@\" >&2; [ \"$1 $2\" = '-n --' ] || exit 9; shift 2; exec env -i SHELL=/bin/sh \"$@\"\n",
        );
        let mut command = Command::new("echo $SECRET; cat");
        command.sudo = true;
        command.environment = vec![("SECRET".into(), "hunter2".into())];
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
        let mut child = std::process::Command::new("sh")
            .args(["-c", BOOTSTRAP])
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(instructions(&command, "NONCE").unwrap().as_bytes()).unwrap();
        stdin.write_all(b"input").unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "hunter2\ninput");
        assert!(!String::from_utf8(output.stderr).unwrap().contains("hunter2"));
    }

    #[test]
    fn what_cannot_be_passed_on_is_refused() {
        let with = |name: &str, value: &str| {
            let mut command = Command::new("true");
            command.environment = vec![(name.into(), value.into())];
            instructions(&command, "N").unwrap_err().message().to_owned()
        };
        for name in ["", "1A", "A-B", "A=B", "Ä", "A;id"] {
            assert!(with(name, "x").contains("not a variable name"), "{name}");
        }
        assert!(!with("A", "secret\0").contains("secret"));
        assert!(instructions(&Command::new("a\0b"), "N").is_err());
        assert!(instructions(&Command::new("x".repeat(200_000)), "N").is_err());
    }

    #[test]
    fn the_kill_script_ends_a_group_that_ignores_the_polite_signal() {
        use std::os::unix::process::CommandExt;
        let mut child = std::process::Command::new("sh")
            .args(["-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"])
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let group = child.id();
        let reaper = std::thread::spawn(move || child.wait().unwrap());
        let output = std::process::Command::new("sh").args(["-c", &kill_script(group)]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "gone\n");
        assert!(!reaper.join().unwrap().success());
    }
}

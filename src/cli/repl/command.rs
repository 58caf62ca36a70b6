//! Lines that begin with a colon: about the session, not for the engine.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result, nearest};

/// The commands, with what each does.
pub(super) const NAMES: [(&str, &str); 8] = [
    (":help", "what there is; the same as help"),
    (":doc", "NAME: a function, or all of a namespace"),
    (":vars", "the variables and their values"),
    (":load", "FILE: runs the lines of a file here"),
    (":save", "NAME: makes a recipe of the lines so far"),
    (":time", "LINE: runs a line and says how long it took"),
    (":sandbox", "goes on in the project's sandbox, or says that this is it"),
    (":quit", "leaves; the same as Ctrl-D"),
];

/// A command with what it needs.
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    Help(String),
    Variables,
    Load(PathBuf),
    Save(String),
    Time(String),
    Sandbox,
    Quit,
}

impl Command {
    /// The command of a line; nothing when the line is Rhai.
    ///
    /// # Errors
    /// When there is no such command, or it lacks what it needs.
    pub fn parse(line: &str) -> Result<Option<Command>> {
        let line = line.trim();
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        let needed = |what: &str| match rest {
            "" => Err(Error::usage(format!("{name} needs {what}"))),
            rest => Ok(rest.to_owned()),
        };
        Ok(Some(match name {
            "help" | ":help" => Command::Help(rest.to_owned()),
            "exit" | "quit" | ":quit" | ":exit" if rest.is_empty() => Command::Quit,
            ":doc" => Command::Help(needed("the name of a function or namespace")?),
            ":vars" => Command::Variables,
            ":load" => Command::Load(needed("a file")?.into()),
            ":save" => Command::Save(needed("the name of a recipe, or a path")?),
            ":time" => Command::Time(needed("a line of Rhai")?),
            ":sandbox" => Command::Sandbox,
            _ if name.starts_with(':') => {
                let names = NAMES.iter().map(|(name, _)| *name);
                let error = Error::usage(format!("there is no command `{name}`"));
                return Err(match nearest(name, names) {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => error.with_hint(":help shows what there is"),
                });
            }
            _ => return Ok(None),
        }))
    }
}

/// Makes a recipe of lines that succeeded. A name goes to the project's recipes. Returns its path.
///
/// # Errors
/// When there are no lines, or a file is there already.
pub(super) fn save(lines: &[String], target: &str, project: &Path) -> Result<PathBuf> {
    if lines.is_empty() {
        return Err(Error::usage("there are no lines to save yet"));
    }
    let is_path = target.contains('/') || target.ends_with(".rhai");
    let path =
        if is_path { PathBuf::from(target) } else { project.join("recipes").join(format!("{target}.rhai")) };
    let fail = |error: std::io::Error| {
        let text = format!("{} cannot be written", path.display());
        Error::usage(text).with_source(error)
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(fail)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path).map_err(fail)?;
    std::io::Write::write_all(&mut file, recipe(lines).as_bytes()).map_err(fail)?;
    Ok(path)
}

/// The text of a recipe that does what the lines did.
fn recipe(lines: &[String]) -> String {
    let mut text = String::from("#!/usr/bin/env -S spot run\n//! Saved from the REPL.\n\n");
    let uses_fleet = lines.iter().any(|line| mentions_fleet(line));
    if uses_fleet {
        text.push_str("let fleet = state::instances();\n");
    }
    for line in lines {
        let line = line.trim_end();
        text.push_str(line);
        if !line.ends_with([';', '}']) {
            text.push(';');
        }
        text.push('\n');
    }
    text
}

/// Whether a line uses the variable; `fleet::` is the stdlib's.
fn mentions_fleet(line: &str) -> bool {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices("fleet").any(|(at, word)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(is_word)
            && !before.ends_with('.')
            && !after.starts_with(is_word)
            && !after.starts_with("::")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_commands_or_rhai() {
        let parse = |line: &str| Command::parse(line).unwrap();
        assert_eq!(parse("help ssh::run"), Some(Command::Help("ssh::run".to_owned())));
        assert_eq!(parse(":doc  state"), Some(Command::Help("state".to_owned())));
        assert_eq!(parse(":time 1 + 1"), Some(Command::Time("1 + 1".to_owned())));
        assert_eq!(parse("exit"), Some(Command::Quit));
        assert_eq!(parse("exit + 1"), None);
        assert_eq!(parse("let x = 1"), None);
        assert_eq!(Command::parse(":tmie 1").unwrap_err().hint(), Some("did you mean `:time`?"));
        assert!(Command::parse(":load").unwrap_err().message().contains("needs a file"));
    }

    #[test]
    fn saved_lines_are_a_recipe_and_replace_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let lines =
            ["let up = fleet.run(\"uptime\")".to_owned(), "if up.len() > 1 {\n  print(1)\n}".to_owned()];
        let path = save(&lines, "up", folder.path()).unwrap();
        assert_eq!(path, folder.path().join("recipes/up.rhai"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.ends_with("let fleet = state::instances();\nlet up = fleet.run(\"uptime\");\nif up.len() > 1 {\n  print(1)\n}\n"),
            "{text}"
        );
        assert!(save(&lines, "up", folder.path()).is_err());
        assert!(save(&[], "none", folder.path()).is_err());
    }

    #[test]
    fn the_module_is_not_the_variable() {
        assert!(!mentions_fleet("fleet::cost(hosts)") && !mentions_fleet("my_fleet.len()"));
        assert!(mentions_fleet("print(fleet)") && mentions_fleet("fleet.len()"));
    }
}

//! OpenSSH's client configuration, `~/.ssh/config`: the part of it that says how a host is reached.
//!
//! The first value of a keyword that applies to a host counts, as in `ssh_config(5)`; `IdentityFile`
//! and `CertificateFile` add up. Keywords that mean nothing to us are passed over. `Match exec`,
//! `Match final` and `Match canonical` never apply: their blocks are passed over too.

mod lines;
mod tokens;

use std::path::{Path, PathBuf};

use super::glob::{glob, glob_any_case};
use crate::error::{Error, Result};
use lines::{Line, lines};
pub use tokens::{Tokens, expand};

/// Files that include files that include files: as deep as OpenSSH goes.
const DEPTH: usize = 16;

/// Where the configuration is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The user's file, `~/.ssh/config`; it need not exist. It is asked first.
    pub user: PathBuf,
    /// The machine's file, `/etc/ssh/ssh_config`; it need not exist.
    pub system: Option<PathBuf>,
    /// What `~` stands for.
    pub home: PathBuf,
}

/// A configuration, read.
#[derive(Debug, Default)]
pub struct SshConfig {
    entries: Vec<Entry>,
}

#[derive(Debug)]
enum Entry {
    Line(Line),
    /// The files that an `Include` names; they apply where it stands.
    Include(Vec<Vec<Entry>>),
}

/// Who is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The name or address, as it would be typed after `ssh`.
    pub host: &'a str,
    /// Another name that `Host` may call it by: the instance id.
    pub alias: Option<&'a str>,
    /// The login user, if that is settled.
    pub user: Option<&'a str>,
    /// Whoever runs this.
    pub local_user: &'a str,
}

/// What the configuration says about a host; texts are as they stand in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub hostname: Option<String>,
    pub user: Option<String>,
    /// Whether `user` stands in a block that is about every host.
    pub user_of_all: bool,
    pub port: Option<u16>,
    pub identity_files: Vec<String>,
    pub certificate_files: Vec<String>,
    pub identities_only: Option<bool>,
    pub identity_agent: Option<String>,
    /// The hosts on the way; none of them: `ProxyJump none`.
    pub jump: Option<Vec<Hop>>,
    /// The command that leads there; empty: `ProxyCommand none`.
    pub command: Option<String>,
}

/// A host on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    pub host: String,
    pub user: Option<String>,
    pub port: Option<u16>,
}

impl SshConfig {
    /// Reads the files that exist, and all that they include.
    ///
    /// # Errors
    /// Kind `config`, naming file and line.
    pub fn read(files: &Files) -> Result<SshConfig> {
        let user_folder = files.user.parent().unwrap_or(Path::new("/"));
        let mut entries = read(&files.user, user_folder, &files.home, DEPTH)?;
        if let Some(system) = &files.system {
            // The two files are read one after the other: a block of the first does not go on.
            let end =
                Line { keyword: "host".into(), words: vec!["*".into()], file: system.clone(), number: 0 };
            entries.push(Entry::Line(end));
            let folder = system.parent().unwrap_or(Path::new("/"));
            entries.extend(read(system, folder, &files.home, DEPTH)?);
        }
        Ok(SshConfig { entries })
    }

    /// What is said about a host.
    ///
    /// # Errors
    /// Kind `config`, naming file and line: a value that makes no sense.
    pub fn ask(&self, question: &Question<'_>) -> Result<Said> {
        let mut asking = Asking { question, said: Said::default(), applies: Applies::ToAll };
        asking.go(&self.entries)?;
        Ok(asking.said)
    }
}

fn read(file: &Path, folder: &Path, home: &Path, depth: usize) -> Result<Vec<Entry>> {
    let text = match std::fs::read(file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(Error::config(format!("cannot read {}", file.display())).with_source(error));
        }
    };
    let mut entries = Vec::new();
    for line in lines(&text, file)? {
        if line.keyword != "include" {
            entries.push(Entry::Line(line));
            continue;
        }
        let Some(deeper) = depth.checked_sub(1) else {
            return Err(line.wrong(format!("files include each other more than {DEPTH} deep")));
        };
        let mut included = Vec::new();
        for pattern in &line.words {
            let pattern = match pattern.strip_prefix("~/") {
                Some(below) => home.join(below),
                None => folder.join(pattern),
            };
            for file in files_like(&pattern) {
                included.push(read(&file, folder, home, deeper)?);
            }
        }
        entries.push(Entry::Include(included));
    }
    Ok(entries)
}

/// The files that fit a path with patterns in it, in the order of their names.
fn files_like(pattern: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let name = part.as_os_str().to_string_lossy();
        if !name.contains(['*', '?']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let mut deeper = Vec::new();
        for folder in found {
            let Ok(listing) = std::fs::read_dir(&folder) else { continue };
            let names =
                listing.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()));
            let hidden = name.starts_with('.');
            let mut names: Vec<String> =
                names.filter(|entry| (hidden || !entry.starts_with('.')) && glob(&name, entry)).collect();
            names.sort_unstable();
            deeper.extend(names.into_iter().map(|name| folder.join(name)));
        }
        found = deeper;
    }
    found.retain(|path| path.is_file());
    found
}

/// Whether the block that is being read is about the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Applies {
    No,
    /// It names this host, or some hosts.
    ToThis,
    /// It is about every host.
    ToAll,
}

struct Asking<'a> {
    question: &'a Question<'a>,
    said: Said,
    applies: Applies,
}

impl Asking<'_> {
    fn go(&mut self, entries: &[Entry]) -> Result<()> {
        for entry in entries {
            match entry {
                Entry::Line(line) => self.take(line)?,
                Entry::Include(files) if self.applies != Applies::No => {
                    let outer = self.applies;
                    for file in files {
                        self.go(file)?;
                        self.applies = outer;
                    }
                }
                Entry::Include(_) => {}
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &Line) -> Result<()> {
        match line.keyword.as_str() {
            "host" => self.applies = self.host(line)?,
            "match" => self.applies = self.conditions(line)?,
            _ if self.applies == Applies::No => {}
            "hostname" => set(&mut self.said.hostname, line.word()?.to_owned()),
            "user" if self.said.user.is_none() => {
                self.said.user = Some(line.word()?.to_owned());
                self.said.user_of_all = self.applies == Applies::ToAll;
            }
            "port" => {
                let port = line.word()?.parse().ok().filter(|port| *port > 0);
                let port = port.ok_or_else(|| line.wrong("expected a port from 1 to 65535"))?;
                set(&mut self.said.port, port);
            }
            "identityfile" => add(&mut self.said.identity_files, line.word()?),
            "certificatefile" => add(&mut self.said.certificate_files, line.word()?),
            "identitiesonly" => {
                let only = match line.word()?.to_ascii_lowercase().as_str() {
                    "yes" | "true" => true,
                    "no" | "false" => false,
                    other => return Err(line.wrong(format!("expected yes or no, found {other}"))),
                };
                set(&mut self.said.identities_only, only);
            }
            "identityagent" => set(&mut self.said.identity_agent, line.word()?.to_owned()),
            // Whichever comes first, except that `ProxyJump none` does not forbid a command.
            "proxyjump" if self.said.command.is_none() => set(&mut self.said.jump, jump(line)?),
            "proxycommand" if self.said.jump.as_ref().is_none_or(Vec::is_empty) => {
                let command = line.word()?;
                let none = command.eq_ignore_ascii_case("none");
                set(&mut self.said.command, if none { String::new() } else { command.to_owned() });
            }
            _ => {}
        }
        Ok(())
    }

    fn host(&self, line: &Line) -> Result<Applies> {
        line.word()?;
        let mut applies = Applies::No;
        for pattern in &line.words {
            let (pattern, refused) = match pattern.strip_prefix('!') {
                Some(pattern) => (pattern, true),
                None => (pattern.as_str(), false),
            };
            let names = [Some(self.question.host), self.question.alias];
            if !names.into_iter().flatten().any(|name| glob(pattern, name)) {
                continue;
            }
            if refused {
                return Ok(Applies::No);
            }
            let width =
                if pattern == "*" && line.words.len() == 1 { Applies::ToAll } else { Applies::ToThis };
            applies = width;
        }
        Ok(applies)
    }

    fn conditions(&self, line: &Line) -> Result<Applies> {
        line.word()?;
        let mut applies = Applies::ToAll;
        let mut words = line.words.iter();
        while let Some(word) = words.next() {
            // `host=a,b` is as good as `host a,b`.
            let (condition, value) = match word.split_once('=') {
                Some((condition, value)) => (condition, Some(value)),
                None => (word.as_str(), None),
            };
            let (condition, negated) = match condition.strip_prefix('!') {
                Some(condition) => (condition, true),
                None => (condition, false),
            };
            let condition = condition.to_ascii_lowercase();
            if condition == "all" {
                continue;
            }
            if matches!(condition.as_str(), "final" | "canonical") {
                // There is only the first pass.
                if !negated {
                    return Ok(Applies::No);
                }
                continue;
            }
            let value = value.or_else(|| words.next().map(String::as_str));
            let value = value.ok_or_else(|| line.wrong(format!("`{condition}` lacks its value")))?;
            let question = self.question;
            let fits = match condition.as_str() {
                "host" => {
                    names(value, &self.hostname()?) || question.alias.is_some_and(|id| names(value, id))
                }
                "originalhost" => {
                    names(value, question.host) || question.alias.is_some_and(|id| names(value, id))
                }
                "user" => {
                    let user = question.user.or(self.said.user.as_deref());
                    list(value, user.unwrap_or(question.local_user))
                }
                "localuser" => list(value, question.local_user),
                "exec" | "localnetwork" | "tagged" | "command" | "version" | "sessiontype" => {
                    return Ok(Applies::No);
                }
                other => return Err(line.wrong(format!("unknown condition `{other}`"))),
            };
            if fits == negated {
                return Ok(Applies::No);
            }
            applies = Applies::ToThis;
        }
        Ok(applies)
    }

    /// The host name as far as it is known here.
    fn hostname(&self) -> Result<String> {
        match &self.said.hostname {
            Some(name) => expand(name, &Tokens { host: self.question.host, ..Tokens::default() }),
            None => Ok(self.question.host.to_owned()),
        }
    }
}

fn add(files: &mut Vec<String>, file: &str) {
    if !files.iter().any(|known| known == file) {
        files.push(file.to_owned());
    }
}

fn set<T>(slot: &mut Option<T>, value: T) {
    slot.get_or_insert(value);
}

/// Whether a comma-separated list of patterns covers a user.
fn list(patterns: &str, user: &str) -> bool {
    covers(patterns, |pattern| glob(pattern, user))
}

/// Whether one covers a host; unlike `Host`, `Match` takes letters in either case.
fn names(patterns: &str, host: &str) -> bool {
    covers(patterns, |pattern| glob_any_case(pattern, host))
}

fn covers(patterns: &str, fits: impl Fn(&str) -> bool) -> bool {
    let mut found = false;
    for pattern in patterns.split(',') {
        match pattern.strip_prefix('!') {
            Some(pattern) if fits(pattern) => return false,
            Some(_) => {}
            None => found |= fits(pattern),
        }
    }
    found
}

fn jump(line: &Line) -> Result<Vec<Hop>> {
    let text = line.word()?;
    if text.eq_ignore_ascii_case("none") {
        return Ok(Vec::new());
    }
    let hops = text.split(',').map(|hop| {
        Hop::parse(hop).ok_or_else(|| line.wrong(format!("expected [user@]host[:port], found `{hop}`")))
    });
    hops.collect()
}

impl Hop {
    /// `[user@]host[:port]`, also as a URI; an IPv6 address with a port is in brackets.
    fn parse(text: &str) -> Option<Hop> {
        let text = text.trim();
        let text = text.strip_prefix("ssh://").map_or(text, |uri| uri.trim_end_matches('/'));
        let (user, place) = match text.rsplit_once('@') {
            Some((user, place)) => (Some(user.to_owned()).filter(|user| !user.is_empty()), place),
            None => (None, text),
        };
        let (host, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => match place.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (place, None),
            },
        };
        let port = match port {
            Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
            None => None,
        };
        let fine = !host.is_empty() && !host.starts_with('-') && !host.contains(char::is_whitespace);
        fine.then(|| Hop { host: host.to_owned(), user, port })
    }
}

#[cfg(test)]
mod tests;

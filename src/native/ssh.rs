//! Commands and files on hosts.

use crate::error::{Error, Result};
use crate::native::Context;
use crate::native::options::Options;
use crate::native::target::{Assumed, CONCURRENCY, Doing, Host, each, row};
use crate::native::thrown::{Answer, answer};
use crate::native::unknown::ASSUMED;
use crate::ssh::{Command, Output, Settings, Source, Ssh, Stream, Transfer, Upload, Verify, quote};
use crate::ui::{self, Event, Unit};
use rhai::Map;
use rhai::plugin::*;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Commands and files on hosts. Every function takes one host or a list, which it works through at
/// once.
///
/// A host is an instance, a result about one, or an instance id. A list never throws: each result
/// has `ok`, `id`, `host` and `error`. A single host throws what went wrong. All functions take
/// `concurrency` (64), the most hosts at once.
#[export_module]
pub mod ssh {
    use super::*;

    /// The public key that hosts must accept, as a line of `authorized_keys`: the configured one, or
    /// the project's own, which is made at its first use.
    ///
    /// ```rhai
    /// print(ssh::public_key().starts_with("ssh-ed25519 "));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn public_key(call: NativeCallContext) -> Answer {
        answer(&call, Context::public_key)
    }

    /// A word quoted for a shell, so that it is one argument whatever it contains.
    ///
    /// ```rhai
    /// print("cat " + ssh::quote("a file.txt"));
    /// ```
    #[rhai_fn(name = "quote")]
    pub fn quote_word(word: &str) -> String {
        quote(word)
    }

    /// Waits until hosts accept a session; see `wait(hosts, options)`.
    ///
    /// ```rhai,host
    /// let ready = ssh::wait(hosts).filter(|r| r.ok);
    /// ```
    #[rhai_fn(name = "wait", return_raw)]
    pub fn wait(call: NativeCallContext, hosts: Dynamic) -> Answer {
        wait_with_options(call, hosts, Map::new())
    }

    /// Waits until hosts accept a session. Options: `timeout` (the configured 300 seconds).
    ///
    /// ```rhai,host
    /// let ready = ssh::wait(hosts, #{ timeout: 120 }).filter(|r| r.ok);
    /// ```
    #[rhai_fn(name = "wait", return_raw)]
    pub fn wait_with_options(call: NativeCallContext, hosts: Dynamic, options: Map) -> Answer {
        #[derive(Serialize, Default)]
        struct Waited {
            seconds: f64,
        }
        impl Assumed for Waited {}
        answer(&call, |spot| {
            let default = Duration::from_secs(spot.config()?.ssh.wait_timeout);
            let mut options = Options::new("ssh::wait", options);
            let timeout = options.seconds("timeout", default)?;
            let concurrency = options.or("concurrency", usize::MAX)?.min(1000);
            options.finish()?;
            let spot = spot.clone();
            let show = spot.clone();
            each(&spot, Doing::looks(), &hosts, concurrency, move |ssh, host| {
                let show = show.clone();
                async move {
                    show.emit(row(&host.map, "connecting", None, false));
                    let (shown, map) = (show.clone(), host.map.clone());
                    let reason: Box<dyn Fn(&str) + Send + Sync> = Box::new(move |reason| {
                        // The host stands in the row already: only the cause is news.
                        let cause = reason.rsplit(": ").next().unwrap_or(reason);
                        shown.emit(row(&map, "connecting", Some(cause.to_owned()), false));
                    });
                    let waited = ssh.wait(&host.target, timeout, reason.as_ref()).await;
                    match &waited {
                        Ok(_) => show.emit(row(&host.map, "reachable", None, false)),
                        Err(error) => {
                            show.emit(row(&host.map, "unreachable", Some(error.message().to_owned()), true))
                        }
                    }
                    Ok(Waited { seconds: waited?.as_secs_f64() })
                }
            })
        })
    }

    /// Runs a shell command on hosts; see `run(hosts, command, options)`.
    ///
    /// ```rhai,host
    /// for r in ssh::run(hosts, "uptime") { print(r.stdout); }
    /// ```
    #[rhai_fn(name = "run", return_raw)]
    pub fn run(call: NativeCallContext, hosts: Dynamic, command: &str) -> Answer {
        run_with_options(call, hosts, command, Map::new())
    }

    /// Runs a shell command on hosts. Results have `ok`, `status`, `signal`, `stdout`, `stderr`,
    /// `seconds` and `truncated` (bytes of output that were not kept). A command that does not exit
    /// with status 0 makes `ok` false and fills `error`; it throws for a single host no more than for
    /// a list.
    ///
    /// Options: `sudo`, `directory`, `environment` (a map), `stdin`, `timeout` (1800 seconds; then
    /// the command and its children are killed), `capture` (bytes kept of each stream, 1 MiB),
    /// `quiet` (do not show output as it comes).
    ///
    /// ```rhai,host
    /// let r = ssh::run(host, "systemctl restart app", #{ sudo: true });
    /// ```
    #[rhai_fn(name = "run", return_raw)]
    pub fn run_with_options(call: NativeCallContext, hosts: Dynamic, command: &str, options: Map) -> Answer {
        answer(&call, |spot| {
            let doing = Doing::changes(format!("run `{command}`"));
            let running = running("ssh::run", command, options)?;
            let show = spot.clone();
            let Running { command, concurrency, quiet, .. } = running;
            let command = Arc::new(command);
            each(spot, doing, &hosts, concurrency, move |ssh, host| {
                let (show, command) = (show.clone(), Arc::clone(&command));
                async move {
                    ssh.run(&host.target, &command, lines(&show, &host, quiet).as_ref()).await.map(Ran::from)
                }
            })
        })
    }

    /// Copies a local script to hosts, runs it there and removes it; see
    /// `script(hosts, path, options)`.
    ///
    /// ```rhai,host
    /// let done = ssh::script(hosts, "deploy/setup.sh");
    /// ```
    #[rhai_fn(name = "script", return_raw)]
    pub fn script(call: NativeCallContext, hosts: Dynamic, path: &str) -> Answer {
        script_with_options(call, hosts, path, Map::new())
    }

    /// Copies a local script to hosts, runs it there and removes it. Its `#!` line chooses the
    /// interpreter. Results and options are those of `ssh::run`, and `arguments` (a list).
    ///
    /// ```rhai,host
    /// let done = ssh::script(hosts, "deploy/setup.sh", #{ sudo: true, arguments: ["--fast"] });
    /// ```
    #[rhai_fn(name = "script", return_raw)]
    pub fn script_with_options(call: NativeCallContext, hosts: Dynamic, path: &str, options: Map) -> Answer {
        answer(&call, |spot| {
            let local = spot.local_path(path)?;
            let content = std::fs::read(&local).map_err(|error| {
                Error::script(format!("the script {path} cannot be read")).with_source(error)
            })?;
            let content = Arc::new(if content.starts_with(b"#!") {
                content
            } else {
                [b"#!/bin/sh\n".as_slice(), &content].concat()
            });
            let Running { command, concurrency, quiet, arguments } = running("ssh::script", "", options)?;
            let (command, arguments) = (Arc::new(command), Arc::new(arguments));
            let show = spot.clone();
            let name = local.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let doing = Doing::changes(format!("run the script {}", spot.local_name(&local)));
            each(spot, doing, &hosts, concurrency, move |ssh, host| {
                let (show, content) = (show.clone(), Arc::clone(&content));
                let (command, arguments) = (Arc::clone(&command), Arc::clone(&arguments));
                let name = name.clone();
                async move {
                    show.emit(row(&host.map, "running", Some(name), false));
                    let heard = lines(&show, &host, quiet);
                    let ran = run_script(&ssh, &host, &content, &command, &arguments, heard.as_ref()).await;
                    let error = match &ran {
                        Ok(ran) => ran.error.as_ref().map(|ended| ended.message.as_str()),
                        Err(error) => Some(error.message()),
                    };
                    show.emit(done(&host, "set up", error));
                    ran
                }
            })
        })
    }

    /// Copies a file or a whole folder to hosts; see `upload(hosts, local, remote, options)`.
    ///
    /// ```rhai,host
    /// ssh::upload(hosts, "deploy/files", "/opt/app");
    /// ```
    #[rhai_fn(name = "upload", return_raw)]
    pub fn upload(call: NativeCallContext, hosts: Dynamic, local: &str, remote: &str) -> Answer {
        upload_with_options(call, hosts, local, remote, Map::new())
    }

    /// Copies a file or the content of a folder to hosts. Files whose content is already there are
    /// not sent again; modes and times are kept. Results have `changed`, `files` and `bytes` (sent),
    /// `unchanged`, `deleted` and `seconds`.
    ///
    /// Options: `sudo` (write as root), `mode` (of the files, such as "0644"; otherwise their own),
    /// `exclude` (a list of patterns as in a `.gitignore`; a file `.spotignore` in the folder adds to
    /// them), `delete` (remove what an earlier upload put there and the folder no longer has),
    /// `verify` ("hash" compares SHA-256 on the host, "size" is the default), `fsync` (have the host
    /// write to its disk before anything is put in place).
    ///
    /// ```rhai,host
    /// ssh::upload(hosts, "deploy/files", "/opt/app", #{ sudo: true });
    /// ```
    #[rhai_fn(name = "upload", return_raw)]
    pub fn upload_with_options(
        call: NativeCallContext,
        hosts: Dynamic,
        local: &str,
        remote: &str,
        options: Map,
    ) -> Answer {
        answer(&call, |spot| {
            let path = spot.local_path(local)?;
            if !path.exists() {
                return Err(Error::script(format!("ssh::upload: there is no file or folder {local}")));
            }
            let mut options = Options::new("ssh::upload", options);
            let upload = Arc::new(Upload {
                sudo: options.or("sudo", false)?,
                mode: options.optional::<String>("mode")?.map(|mode| parse_mode(&mode)).transpose()?,
                delete: options.or("delete", false)?,
                verify: options
                    .optional::<String>("verify")?
                    .map_or(Ok(Verify::Size), |how| parse_verify(&how))?,
                sync: options.or("fsync", false)?,
            });
            let source = Source::new(path, options.or("exclude", Vec::new())?);
            let concurrency = options.or("concurrency", CONCURRENCY)?;
            options.finish()?;
            let remote = Arc::new(remote.to_owned());
            let shown = spot.local_name(source.root());
            let progress = Arc::new(Progress::new(spot, format!("upload {shown}")));
            let show = spot.clone();
            let bar = Arc::clone(&progress);
            let doing = Doing::changes(format!("upload {shown} -> {remote}"));
            let result = each(spot, doing, &hosts, concurrency, move |ssh, host| {
                let (source, remote, upload, bar) =
                    (source.clone(), Arc::clone(&remote), Arc::clone(&upload), Arc::clone(&bar));
                let show = show.clone();
                async move {
                    let seen = (AtomicU64::new(0), AtomicU64::new(0));
                    let report: Box<dyn Fn(u64, u64) + Send + Sync> =
                        Box::new(move |done, total| bar.add(&seen, done, total));
                    show.emit(row(&host.map, "uploading", None, false));
                    let sent = ssh.upload(&host.target, &source, &remote, &upload, report.as_ref()).await;
                    show.emit(done(&host, "uploaded", sent.as_ref().err().map(Error::message)));
                    sent.map(Transferred::from)
                }
            });
            progress.end(result.is_ok());
            result
        })
    }

    /// Copies a file or folder from hosts into the project; those of a list go to a folder for each
    /// host below `local`, named by its id. Nothing is written outside of it, whatever a host says.
    /// Results are those of `ssh::upload`, and `skipped`: what was left out, with the reason.
    ///
    /// ```rhai,host
    /// ssh::download(host, "/etc/hostname", "logs/hostname");
    /// ssh::download(hosts, "/etc/hostname", "logs/");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn download(call: NativeCallContext, hosts: Dynamic, remote: &str, local: &str) -> Answer {
        answer(&call, |spot| {
            let path = spot.local_path(local)?;
            let remote = remote.to_owned();
            let apart = hosts.is_array();
            let progress = Arc::new(Progress::new(spot, format!("download {remote}")));
            let bar = Arc::clone(&progress);
            let doing = Doing::changes(format!("download {remote} -> {local}"));
            let result = each(spot, doing, &hosts, CONCURRENCY, move |ssh, host| {
                let (path, remote, bar) = (path.clone(), remote.clone(), Arc::clone(&bar));
                async move {
                    let seen = (AtomicU64::new(0), AtomicU64::new(0));
                    let report: Box<dyn Fn(u64, u64) + Send + Sync> =
                        Box::new(move |done, total| bar.add(&seen, done, total));
                    let local = if apart { own_folder(&path, &host.target.id)? } else { path };
                    let fetched = ssh.download(&host.target, &remote, &local, report.as_ref()).await;
                    fetched.map(Transferred::from)
                }
            });
            progress.end(result.is_ok());
            result
        })
    }

    /// Reads a text file of hosts, at most 1 MiB; the results have `text`.
    ///
    /// ```rhai,host
    /// print(ssh::read(host, "/etc/hostname").text);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn read(call: NativeCallContext, hosts: Dynamic, remote: &str) -> Answer {
        #[derive(Serialize, Default)]
        struct Read {
            text: String,
        }
        impl Assumed for Read {
            fn assumed() -> Self {
                Read { text: ASSUMED.to_owned() }
            }
        }
        answer(&call, |spot| {
            let remote = remote.to_owned();
            each(spot, Doing::looks(), &hosts, CONCURRENCY, move |ssh, host| {
                let remote = remote.clone();
                async move {
                    let bytes = ssh.read(&host.target, &remote, 1 << 20).await?;
                    Ok(Read { text: String::from_utf8_lossy(&bytes).into_owned() })
                }
            })
        })
    }

    /// Writes a text file on hosts; the results have `changed`.
    ///
    /// ```rhai,host
    /// ssh::write(hosts, "app.conf", "port = 80\n");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn write(call: NativeCallContext, hosts: Dynamic, remote: &str, text: &str) -> Answer {
        #[derive(Serialize, Default)]
        struct Written {
            changed: bool,
        }
        impl Assumed for Written {
            fn assumed() -> Self {
                Written { changed: true }
            }
        }
        answer(&call, |spot| {
            let (remote, text) = (remote.to_owned(), Arc::new(text.to_owned()));
            let doing = Doing::changes(format!("write {remote} ({} bytes)", text.len()));
            each(spot, doing, &hosts, CONCURRENCY, move |ssh, host| {
                let (remote, text) = (remote.clone(), Arc::clone(&text));
                async move {
                    let changed = ssh.write(&host.target, &remote, text.as_bytes(), None, false).await?;
                    Ok(Written { changed })
                }
            })
        })
    }

    /// Whether a file or folder exists on hosts; the results have `exists`.
    ///
    /// ```rhai,host
    /// print(ssh::exists(host, "/opt/app").exists);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn exists(call: NativeCallContext, hosts: Dynamic, remote: &str) -> Answer {
        #[derive(Serialize, Default)]
        struct Exists {
            exists: bool,
        }
        impl Assumed for Exists {}
        answer(&call, |spot| {
            let remote = remote.to_owned();
            each(spot, Doing::looks(), &hosts, CONCURRENCY, move |ssh, host| {
                let remote = remote.clone();
                async move { Ok(Exists { exists: ssh.exists(&host.target, &remote).await? }) }
            })
        })
    }

    /// Forgets the host key of an instance that is gone; returns whether one was known.
    ///
    /// ```rhai
    /// print(ssh::forget("i-0123456789abcdef0"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn forget(call: NativeCallContext, id: &str) -> Answer {
        answer(&call, |spot| {
            spot.may_keep("ssh::forget")?;
            // Needs neither a key nor a valid configuration: destroying must work without both.
            let settings =
                Settings { known_hosts: spot.private_folder()?.join("known_hosts"), ..Settings::default() };
            let (ssh, id) = (Ssh::new(settings, spot.runtime().cancellation())?, id.to_owned());
            spot.runtime().wait(async move { ssh.forget(&id).await })
        })
    }
}

/// What a command did.
#[derive(Serialize, Default)]
struct Ran {
    status: Option<u32>,
    signal: Option<String>,
    stdout: String,
    stderr: String,
    truncated: u64,
    seconds: f64,
    error: Option<Ended>,
}

impl Assumed for Ran {
    fn assumed() -> Self {
        Ran { status: Some(0), stdout: ASSUMED.to_owned(), ..Ran::default() }
    }
}

/// A command that ended otherwise than with status 0, in the shape of an error.
#[derive(Serialize)]
struct Ended {
    kind: &'static str,
    code: &'static str,
    message: String,
    hint: (),
    retryable: bool,
    causes: Vec<String>,
}

impl Ended {
    fn of(output: &Output) -> Option<Self> {
        if output.ok() {
            return None;
        }
        let said = output.last_line().map(|line| format!(": {line}")).unwrap_or_default();
        let message = format!("{}{said}", output.ending());
        Some(Ended {
            kind: "ssh",
            code: "CommandFailed",
            message,
            hint: (),
            retryable: false,
            causes: Vec::new(),
        })
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Ran {
            error: Ended::of(&output),
            status: output.status,
            signal: output.signal,
            stdout: output.stdout,
            stderr: output.stderr,
            truncated: output.truncated,
            seconds: output.duration.as_secs_f64(),
        }
    }
}

/// How commands and scripts run; shared by `run` and `script`.
struct Running {
    command: Command,
    concurrency: usize,
    quiet: bool,
    arguments: Vec<String>,
}

fn running(function: &'static str, line: &str, options: Map) -> Result<Running> {
    let mut options = Options::new(function, options);
    let environment: BTreeMap<String, String> = options.or("environment", BTreeMap::new())?;
    let timeout = options.seconds("timeout", Duration::from_secs(30 * 60))?;
    let command = Command {
        line: line.to_owned(),
        sudo: options.or("sudo", false)?,
        directory: options.optional("directory")?,
        environment: environment.into_iter().collect(),
        stdin: options.optional::<String>("stdin")?.map(String::into_bytes),
        timeout: Some(timeout),
        capture_limit: options.or("capture", 1_usize << 20)?,
    };
    let arguments = if function == "ssh::script" { options.or("arguments", Vec::new())? } else { Vec::new() };
    let running = Running {
        command,
        concurrency: options.or("concurrency", CONCURRENCY)?,
        quiet: options.or("quiet", false)?,
        arguments,
    };
    options.finish()?;
    Ok(running)
}

/// The live view's row of a host at the end of something.
fn done(host: &Host, phase: &str, error: Option<&str>) -> Event {
    match error {
        None => row(&host.map, phase, None, false),
        Some(error) => row(&host.map, "failed", Some(error.to_owned()), true),
    }
}

/// Passes the lines of a host's output on to the terminal.
fn lines(spot: &Context, host: &Host, quiet: bool) -> Box<OnLine> {
    let (spot, id) = (spot.clone(), host.target.id.clone());
    Box::new(move |stream, line| {
        if quiet {
            return;
        }
        let stream = match stream {
            Stream::Stdout => ui::Stream::Stdout,
            Stream::Stderr => ui::Stream::Stderr,
        };
        spot.emit(Event::Output { host: id.clone(), stream, line: line.to_owned() });
    })
}

/// What is called with each line of output.
type OnLine = dyn Fn(Stream, &str) + Send + Sync;

/// For commands whose output is nobody's business.
fn unheard(_: Stream, _: &str) {}

async fn run_script(
    ssh: &Ssh,
    host: &Host,
    content: &[u8],
    command: &Command,
    arguments: &[String],
    on_line: &OnLine,
) -> Result<Ran> {
    // In the home folder, since /tmp may be mounted noexec; a command starts there too.
    let name = format!(".spot-script-{:016x}", rand::random::<u64>());
    ssh.write(&host.target, &name, content, Some(0o700), false).await?;
    let words: String = arguments.iter().map(|argument| format!(" {}", quote(argument))).collect();
    let place =
        command.directory.as_ref().map(|folder| format!("cd {} && ", quote(folder))).unwrap_or_default();
    let line = format!("script=\"$PWD/{name}\"; trap 'rm -f \"$script\"' EXIT; {place}\"$script\"{words}");
    let command =
        Command { line: format!("exec sh -c {}", quote(&line)), directory: None, ..command.clone() };
    let result = ssh.run(&host.target, &command, on_line).await;
    if result.is_err() {
        // It was killed, or the session was lost, before the trap could remove the script.
        let _ = ssh.run(&host.target, &plain(&format!("rm -f {name}")), &unheard).await;
    }
    Ok(result?.into())
}

fn plain(line: &str) -> Command {
    Command {
        line: line.to_owned(),
        sudo: false,
        directory: None,
        environment: Vec::new(),
        stdin: None,
        timeout: Some(Duration::from_secs(60)),
        capture_limit: 64 << 10,
    }
}

/// What a transfer did.
#[derive(Serialize, Default)]
struct Transferred {
    changed: bool,
    files: u64,
    bytes: u64,
    unchanged: u64,
    deleted: u64,
    skipped: Vec<String>,
    seconds: f64,
}

impl Assumed for Transferred {
    fn assumed() -> Self {
        Transferred { changed: true, ..Transferred::default() }
    }
}

impl From<Transfer> for Transferred {
    fn from(transfer: Transfer) -> Self {
        Transferred {
            changed: transfer.changed(),
            files: transfer.files,
            bytes: transfer.bytes,
            unchanged: transfer.unchanged,
            deleted: transfer.deleted,
            skipped: transfer.skipped,
            seconds: transfer.duration.as_secs_f64(),
        }
    }
}

/// One bar for the transfers to all hosts.
struct Progress {
    spot: Context,
    id: u64,
    title: String,
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    fn new(spot: &Context, title: String) -> Self {
        Progress {
            spot: spot.clone(),
            id: spot.next_id(),
            title,
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
        }
    }

    /// Adds what a host reports as its own totals to the sums of all.
    fn add(&self, seen: &(AtomicU64, AtomicU64), done: u64, total: u64) {
        let more = |seen: &AtomicU64, now: u64, sum: &AtomicU64| {
            let before = seen.swap(now, Ordering::Relaxed);
            sum.fetch_add(now.saturating_sub(before), Ordering::Relaxed) + now.saturating_sub(before)
        };
        let total = more(&seen.1, total, &self.total);
        let done = more(&seen.0, done, &self.done);
        let (id, title) = (self.id, self.title.clone());
        self.spot.emit(Event::Progress { id, title, done, total: Some(total), unit: Unit::Bytes });
    }

    fn end(&self, ok: bool) {
        if self.total.load(Ordering::Relaxed) > 0 {
            self.spot.emit(Event::ProgressEnded { id: self.id, ok });
        }
    }
}

/// The folder below `path` for what one host of several sends; with a `/` at its end, so that a file
/// goes into it.
fn own_folder(path: &Path, id: &str) -> Result<PathBuf> {
    if matches!(id, "" | "." | "..") || id.contains(['/', '\0']) {
        return Err(Error::script(format!("ssh::download: the id {id:?} cannot be the name of a folder")));
    }
    Ok(path.join(id).join(""))
}

fn parse_verify(text: &str) -> Result<Verify> {
    match text {
        "size" => Ok(Verify::Size),
        "hash" => Ok(Verify::Hash),
        _ => Err(Error::script(format!(
            "ssh::upload: option `verify`: expected \"size\" or \"hash\", found \"{text}\""
        ))),
    }
}

fn parse_mode(text: &str) -> Result<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777).ok_or_else(|| {
        Error::script(format!(
            "ssh::upload: option `mode`: expected an octal mode such as \"0644\", found \"{text}\""
        ))
    })
}

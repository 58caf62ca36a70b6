//! Commands and files on hosts.

use crate::error::{Error, Result};
use crate::native::Context;
use crate::native::options::Options;
use crate::native::target::{Assumed, CONCURRENCY, Doing, Host, Spread, each, row};
use crate::native::thrown::{Answer, answer};
use crate::native::unknown::ASSUMED;
use crate::ssh::{
    Command, Forwarding, Output, Source, Ssh, Stream, Transfer, Upload, Verify, fold, hosts_in_short, quote,
    stage,
};
use crate::ui::{self, Event, Unit};
use rhai::Map;
use rhai::plugin::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};
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

    /// The file of the private key that hosts are logged in to with: the configured one, or the project's own.
    ///
    /// ```rhai
    /// print(ssh::key_file());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn key_file(call: NativeCallContext) -> Answer {
        answer(&call, |spot| {
            let path = spot.private_key()?;
            Ok(std::path::absolute(&path).unwrap_or(path).display().to_string())
        })
    }

    /// The file in which the keys of hosts are pinned, each under the id of its instance.
    ///
    /// ```rhai
    /// print(ssh::known_hosts_file().ends_with("known_hosts"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn known_hosts_file(call: NativeCallContext) -> Answer {
        answer(&call, |spot| {
            let path = spot.private_folder()?.join("known_hosts");
            Ok(std::path::absolute(&path).unwrap_or(path).display().to_string())
        })
    }

    /// The port of the hosts' SSH servers.
    ///
    /// ```rhai
    /// print(ssh::port());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn port(call: NativeCallContext) -> Answer {
        answer(&call, |spot| Ok(i64::from(spot.ssh_port()?)))
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

    /// Waits until hosts accept a session. While it waits it says how far each is: no answer yet,
    /// no SSH server yet, key not accepted yet. Options: `timeout` (the configured 300 seconds),
    /// `cloud_init` (also wait, as long again, until cloud-init has done its work).
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
            let timeout = spot.scaled(options.seconds("timeout", default)?);
            let cloud_init = options.or("cloud_init", false)?;
            let concurrency = options.or("concurrency", usize::MAX)?.min(1000);
            options.finish()?;
            let spot = spot.clone();
            let show = spot.clone();
            each(&spot, Doing::looks(), &hosts, concurrency, move |ssh, host| {
                let show = show.clone();
                async move {
                    show.emit(row(&host.map, "connecting", None, false));
                    let (shown, map) = (show.clone(), host.map.clone());
                    let reason: Box<dyn Fn(&Error) + Send + Sync> = Box::new(move |error| {
                        shown.emit(row(&map, "connecting", Some(stage(error).to_owned()), false));
                    });
                    let mut waited = ssh.wait(&host.target, timeout, reason.as_ref()).await;
                    if cloud_init && waited.is_ok() {
                        show.emit(row(&host.map, "cloud-init", None, false));
                        let done = ssh.wait_for_cloud_init(&host.target, timeout).await;
                        waited = done.and(waited);
                    }
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
    /// `seconds`, `truncated` (bytes of output that were not kept), and `stdout_file` and
    /// `stderr_file`, where all of such output is, for a week. A command that does not exit with
    /// status 0 makes `ok` false and fills `error`; it throws for a single host no more than for a
    /// list.
    ///
    /// Options: `sudo`, `directory` or `cwd`, `environment` or `env` (a map), `stdin`, `pty` (give
    /// the command a terminal; its streams are one then), `timeout` (1800 seconds; then the command
    /// and its children are killed), `capture` (bytes kept of each stream, 1 MiB), `quiet` (do not
    /// show output as it comes), `fold` (show it at the end, equal outputs once, others by what
    /// differs).
    ///
    /// With a list, `tolerate` is the percentage of hosts that may fail: when more have, no further
    /// host is begun, and those get an error with the code `NotBegun`. `fail_fast` is `tolerate: 0`.
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
            let Running { mut command, spread, quiet, fold, .. } = running;
            command.spill = Some(output_folder(spot)?);
            let command = Arc::new(command);
            let results = each(spot, doing, &hosts, spread, move |ssh, host| {
                let (show, command) = (show.clone(), Arc::clone(&command));
                async move {
                    ssh.run(&host.target, &command, lines(&show, &host, quiet).as_ref()).await.map(Ran::from)
                }
            })?;
            if fold {
                show_folded(spot, &results)?;
            }
            Ok(results)
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
            let Running { mut command, spread, quiet, fold, arguments } =
                running("ssh::script", "", options)?;
            command.spill = Some(output_folder(spot)?);
            let (command, arguments) = (Arc::new(command), Arc::new(arguments));
            let show = spot.clone();
            let name = local.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let doing = Doing::changes(format!("run the script {}", spot.local_name(&local)));
            let results = each(spot, doing, &hosts, spread, move |ssh, host| {
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
            })?;
            if fold {
                show_folded(spot, &results)?;
            }
            Ok(results)
        })
    }

    /// Puts results with the same output together, the largest group first. Each group has `title`
    /// (`3 hosts: web[1-3]`, with as many names as fit), `hosts` (`web[1-3]`, all of them), `ids`,
    /// `count`, `output`, `difference` (the lines by which the output differs from that of the largest
    /// group; `()` for that group, and where they would be no fewer than those of the output) and
    /// `text` (all of it, to be printed). Hosts are called by their `name`, if they have one.
    ///
    /// ```rhai,host
    /// for group in ssh::fold(ssh::run(hosts, "uname -r", #{ quiet: true })) { print(group.text); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn fold(call: NativeCallContext, results: rhai::Array) -> Answer {
        answer(&call, |_| folded(&results))
    }

    /// Makes a port of this machine lead to a port of hosts until the recipe ends; results have
    /// `port` and `address` (`127.0.0.1:PORT`). Only this machine can use it.
    ///
    /// Options: `remote_port`, `remote_host` (as the host sees it, "localhost"), `local_port` (any
    /// that is free).
    ///
    /// ```rhai,host
    /// let tunnel = ssh::forward(host, #{ remote_port: 8080 });
    /// print(tunnel.address);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn forward(call: NativeCallContext, hosts: Dynamic, options: Map) -> Answer {
        #[derive(Serialize, Default)]
        struct Forwarded {
            port: u16,
            address: String,
        }
        impl Assumed for Forwarded {}
        answer(&call, |spot| {
            let mut options = Options::new("ssh::forward", options);
            let forwarding = Forwarding {
                remote_port: checked_port(options.required("remote_port")?, "remote_port")?,
                remote_address: options.or("remote_host", "localhost".to_owned())?,
                local_port: match options.optional::<i64>("local_port")? {
                    Some(number) => checked_port(number, "local_port")?,
                    None => 0,
                },
            };
            options.finish()?;
            each(spot, Doing::looks(), &hosts, CONCURRENCY, move |ssh, host| {
                let forwarding = forwarding.clone();
                async move {
                    let port = ssh.forward(&host.target, forwarding).await?;
                    Ok(Forwarded { port, address: format!("127.0.0.1:{port}") })
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
            let (ssh, id) = (spot.host_keys()?, id.to_owned());
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
    stdout_file: Option<String>,
    stderr_file: Option<String>,
    seconds: f64,
    error: Option<Ended>,
}

impl Assumed for Ran {
    fn assumed() -> Self {
        Ran { status: Some(0), stdout: ASSUMED.to_owned(), ..Ran::default() }
    }

    fn is_failure(&self) -> bool {
        self.error.is_some()
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
            stdout_file: output.stdout_file.map(|path| path.display().to_string()),
            stderr_file: output.stderr_file.map(|path| path.display().to_string()),
            seconds: output.duration.as_secs_f64(),
        }
    }
}

/// How commands and scripts run; shared by `run` and `script`.
struct Running {
    command: Command,
    spread: Spread,
    quiet: bool,
    /// Show the output at the end, folded.
    fold: bool,
    arguments: Vec<String>,
}

fn running(function: &'static str, line: &str, options: Map) -> Result<Running> {
    let mut options = Options::new(function, options);
    let environment: Option<BTreeMap<String, String>> =
        options.optional("environment")?.or(options.optional("env")?);
    let timeout = options.seconds("timeout", Duration::from_secs(30 * 60))?;
    let command = Command {
        line: line.to_owned(),
        sudo: options.or("sudo", false)?,
        directory: options.optional("directory")?.or(options.optional("cwd")?),
        environment: environment.unwrap_or_default().into_iter().collect(),
        stdin: options.optional::<String>("stdin")?.map(String::into_bytes),
        timeout: Some(timeout),
        capture_limit: options.or("capture", 1_usize << 20)?,
        spill: None,
        pty: options.or("pty", false)?,
    };
    let tolerate = options.optional::<f64>("tolerate")?;
    if let Some(percent) = tolerate.filter(|percent| !(0.0..=100.0).contains(percent)) {
        return Err(Error::script(format!(
            "{function}: option `tolerate`: expected a percentage from 0 to 100, found {percent}"
        )));
    }
    let tolerate = if options.or("fail_fast", false)? { Some(0.0) } else { tolerate };
    let fold = options.or("fold", false)?;
    let arguments = if function == "ssh::script" { options.or("arguments", Vec::new())? } else { Vec::new() };
    let running = Running {
        command,
        spread: Spread { concurrency: options.or("concurrency", CONCURRENCY)?, tolerate },
        quiet: options.or("quiet", false)? || fold,
        fold,
        arguments,
    };
    options.finish()?;
    Ok(running)
}

/// Output that memory does not hold is kept for this long.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// The folder for such output; what is too old in it is removed.
fn output_folder(spot: &Context) -> Result<PathBuf> {
    let folder = spot.private_folder()?.join("output");
    // Most runs have none, and a file that cannot be removed now is removed another time.
    let listing = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    for entry in listing {
        let age = entry.metadata().and_then(|about| about.modified()).ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > KEPT_FOR) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    Ok(folder)
}

fn checked_port(number: i64, option: &str) -> Result<u16> {
    u16::try_from(number).ok().filter(|port| *port > 0).ok_or_else(|| {
        Error::script(format!(
            "ssh::forward: option `{option}`: expected a port from 1 to 65535, found {number}"
        ))
    })
}

/// A group of hosts with the same output.
#[derive(Serialize)]
struct Folded {
    title: String,
    hosts: String,
    ids: Vec<String>,
    count: usize,
    output: String,
    difference: Option<String>,
    text: String,
}

/// Results by their outputs.
fn folded(results: &[Dynamic]) -> Result<Vec<Folded>> {
    let mut seen = Vec::with_capacity(results.len());
    for result in results {
        let map = result.as_map_ref().map_err(|found| {
            Error::script(format!("ssh::fold: expected a list of results of ssh::run, found {found}"))
        })?;
        let text =
            |key: &str| map.get(key).and_then(|value| value.clone().into_string().ok()).unwrap_or_default();
        let host = map.get("host").and_then(|host| host.as_map_ref().ok().map(|host| host.clone()));
        let name = host.as_ref().and_then(|host| host.get("name")?.clone().into_string().ok());
        let mut output = text("stdout");
        output.push_str(&text("stderr"));
        // A message names its host, so that no two are the same: the code says what they share.
        let error = map.get("error").and_then(|error| error.as_map_ref().ok().map(|error| error.clone()));
        if let Some(code) = error.and_then(|error| error.get("code")?.clone().into_string().ok()) {
            let status = map.get("status").and_then(|status| status.as_int().ok());
            let how = status.map_or(code, |status| format!("exited with status {status}"));
            output.push_str(&format!("[{how}]"));
        }
        seen.push((name.filter(|name| !name.is_empty()).unwrap_or_else(|| text("id")), text("id"), output));
    }
    // The hosts of a deployment may share a name, which then says nothing.
    let hosts = seen.iter().map(|(_, id, _)| id).collect::<HashSet<_>>().len();
    if seen.iter().map(|(name, _, _)| name).collect::<HashSet<_>>().len() < hosts {
        for (name, id, _) in &mut seen {
            name.clone_from(id);
        }
    }
    let groups = fold(seen.iter().map(|(_, _, output)| output.as_str()));
    Ok(groups
        .into_iter()
        .map(|group| {
            let members: Vec<_> = group.members.iter().filter_map(|at| seen.get(*at)).collect();
            let hosts = hosts_in_short(members.iter().map(|(name, _, _)| name.as_str()));
            let count = members.len();
            let title = format!("{count} host{}: {}", if count == 1 { "" } else { "s" }, beginning(&hosts));
            let shown = group.difference.as_ref().unwrap_or(&group.output);
            Folded {
                text: format!("{title}\n{shown}"),
                ids: members.iter().map(|(_, id, _)| id.clone()).collect(),
                title,
                hosts,
                count,
                output: group.output,
                difference: group.difference,
            }
        })
        .collect())
}

/// As many of the names as a heading has room for.
fn beginning(hosts: &str) -> String {
    const ROOM: usize = 80;
    if hosts.len() <= ROOM {
        return hosts.to_owned();
    }
    // A comma in brackets is part of a name.
    let mut depth = 0_usize;
    let commas = hosts.char_indices().filter_map(|(at, character)| {
        match character {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        (character == ',' && depth == 0).then_some(at)
    });
    match commas.take_while(|at| *at <= ROOM).last().and_then(|at| hosts.get(..at)) {
        Some(first) => format!("{first},…"),
        None => hosts.to_owned(),
    }
}

/// Shows outputs once that are the same.
fn show_folded(spot: &Context, results: &Dynamic) -> Result<()> {
    let one = std::slice::from_ref(results);
    let list = results.as_array_ref();
    for group in folded(list.as_deref().map_or(one, Vec::as_slice))? {
        let shown = group.difference.as_ref().unwrap_or(&group.output);
        for line in shown.lines() {
            let (host, line) = (group.title.clone(), line.to_owned());
            spot.emit(Event::Output { host, stream: ui::Stream::Stdout, line });
        }
    }
    Ok(())
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
        spill: None,
        pty: false,
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

#[cfg(test)]
mod tests {
    use super::beginning;

    #[test]
    fn a_heading_has_as_many_names_as_fit() {
        assert_eq!(beginning("web[1-3,7],db1"), "web[1-3,7],db1");
        let ids: Vec<String> = (0..300).map(|number| format!("i-{number:017x}")).collect();
        assert_eq!(beginning(&ids.join(",")), format!("{},…", ids[..4].join(",")));
        let brackets = format!("web[{}]", ids.join(","));
        assert_eq!(beginning(&brackets), brackets);
    }
}

//! A terminal on a host: what `spot ssh` does.

use rhai::Dynamic;
use tokio::sync::mpsc;

use super::context::Context;
use super::target;
use crate::error::Result;
use crate::ssh::{Ending, Interaction, Size, Terminal};
use crate::ui::{RawTerminal, terminal_size};

/// What `ssh` itself ends with when the connection failed or a signal ended the command.
const ENDED_BY_SIGNAL: u8 = 255;

/// Gives a host the terminal of this process, or its plain input and output, until it ends. Returns
/// the exit code of what ran there.
pub(crate) fn open(context: &Context, word: Option<&str>, words: &[String], tty: bool) -> Result<u8> {
    let command = (!words.is_empty()).then(|| words.join(" "));
    let list = format!("{} list --cached", context.called());
    let document = context.document()?;
    let id = match document.meant(word, &list) {
        Err(error) if document.instance_count() == 0 => {
            let elsewhere = match context.sandbox() {
                Some(_) => String::new(),
                None => ", and '--sandbox' is for those of the sandbox".to_owned(),
            };
            let create = format!("'{} create' launches them{elsewhere}", context.called());
            return Err(error.with_hint(create));
        }
        found => found?.id.clone(),
    };
    let host = target::host(context, &Dynamic::from(id.clone()))?;
    let what = command.clone().unwrap_or_else(|| "a shell".to_owned());
    if !context.may("ssh", || format!("run {what}"), vec![id])? {
        return Ok(0);
    }
    let ssh = context.ssh()?;
    // Whatever has to be asked (a passphrase) is asked before the terminal is the host's.
    let (first, place) = (ssh.clone(), host.target.clone());
    context.runtime().wait(async move { first.connect(&place).await })?;
    context.ui().suspend();
    let ended = converse(context, ssh, host.target, command, tty);
    context.ui().resume();
    let ending = ended?;
    Ok(match ending.status {
        Some(status) => u8::try_from(status).unwrap_or(ENDED_BY_SIGNAL),
        None => ENDED_BY_SIGNAL,
    })
}

fn converse(
    context: &Context,
    ssh: crate::ssh::Ssh,
    target: crate::ssh::Target,
    command: Option<String>,
    tty: bool,
) -> Result<Ending> {
    let wants_terminal = tty || command.is_none();
    // Restored when it goes out of scope, however that comes about.
    let raw = if wants_terminal { RawTerminal::enter()? } else { None };
    let terminal = raw.is_some() || tty;
    let ended = context.runtime().wait(async move {
        let (sender, sizes) = mpsc::channel(4);
        let size = || {
            let (columns, rows) = terminal_size().unwrap_or((80, 24));
            Size { columns: columns.into(), rows: rows.into() }
        };
        let watching = tokio::spawn(async move {
            let kind = tokio::signal::unix::SignalKind::window_change();
            let Ok(mut changes) = tokio::signal::unix::signal(kind) else { return };
            while changes.recv().await.is_some() {
                if sender.send(size()).await.is_err() {
                    return;
                }
            }
        });
        let terminal = terminal.then(|| Terminal {
            name: std::env::var("TERM").unwrap_or_else(|_| "xterm".to_owned()),
            size: size(),
            sizes,
        });
        let interaction = Interaction {
            command,
            terminal,
            input: tokio::io::stdin(),
            output: tokio::io::stdout(),
            errors: tokio::io::stderr(),
        };
        let ended = ssh.interact(&target, interaction).await;
        watching.abort();
        ended
    });
    drop(raw);
    ended
}

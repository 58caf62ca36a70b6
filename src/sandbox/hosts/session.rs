//! A channel of a connection: what the client wants to run there, and with what environment.

use std::net::SocketAddr;
use std::sync::Arc;

use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg};

use super::host::{Account, Host};
use super::process::{self, Program, Request, Terminal};
use super::sftp::Sftp;

/// The one subsystem.
pub(super) const SFTP: &str = "sftp";
/// The exit status for who should have logged in as somebody else.
const TURNED_AWAY: u32 = 142;
/// How many variables a client may set, and how long each may be.
const MAX_VARIABLES: usize = 256;
const MAX_VARIABLE: usize = 64 * 1024;

/// Whether a client may set the variable: a valid name that does not steer the dynamic linker or the
/// shell that starts the session.
pub(super) fn accepts_variable(name: &str) -> bool {
    let mut letters = name.chars();
    let starts = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let steers =
        name.starts_with("LD_") || matches!(name, "PATH" | "IFS" | "ENV" | "BASH_ENV" | "SHELLOPTS" | "HOME");
    starts && letters.all(|c| c.is_ascii_alphanumeric() || c == '_') && !steers
}

/// Serves a session channel until it is closed.
pub(super) async fn serve(
    host: Arc<Host>,
    account: Account,
    peer: SocketAddr,
    mut channel: Channel<Msg>,
    handle: Handle,
) {
    let spec = host.spec();
    let mut environment = vec![
        ("SSH_CLIENT".to_string(), format!("{} {} {}", peer.ip(), peer.port(), spec.port)),
        (
            "SSH_CONNECTION".to_string(),
            format!("{} {} {} {}", peer.ip(), peer.port(), spec.private_ip, spec.port),
        ),
    ];
    let mut terminal = None;
    while let Some(message) = channel.wait().await {
        let program = match message {
            ChannelMsg::SetEnv { variable_name, variable_value, .. } => {
                let fits = environment.len() < MAX_VARIABLES && variable_value.len() < MAX_VARIABLE;
                if accepts_variable(&variable_name) && fits && !variable_value.contains('\0') {
                    environment.push((variable_name, variable_value));
                }
                continue;
            }
            ChannelMsg::RequestPty { term, col_width, row_height, terminal_modes, .. } => {
                terminal = Some(Terminal::new(&term, row_height, col_width, &terminal_modes));
                continue;
            }
            ChannelMsg::Exec { command, .. } => Program::Command(command),
            ChannelMsg::RequestShell { .. } => Program::Shell,
            ChannelMsg::RequestSubsystem { name, .. } if name == SFTP => {
                return serve_files(&host, &account, channel).await;
            }
            ChannelMsg::Close => return,
            _ => continue,
        };
        let request = Request { program, environment, terminal, account };
        return process::run(&host, request, channel, &handle).await;
    }
}

/// Tells somebody to log in as another user, whatever they want to run, as the images of Ubuntu do.
pub(super) async fn turn_away<T>(mut channel: Channel<Msg>, text: String, open: T) {
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Exec { .. }
            | ChannelMsg::RequestShell { .. }
            | ChannelMsg::RequestSubsystem { .. } => break,
            ChannelMsg::Close => return,
            _ => {}
        }
    }
    // The client may have left meanwhile; there is nobody else to tell.
    let _ = channel.data_bytes(text.into_bytes()).await;
    let _ = channel.exit_status(TURNED_AWAY).await;
    let _ = channel.eof().await;
    let _ = channel.close().await;
    drop(open);
}

async fn serve_files(host: &Arc<Host>, account: &Account, channel: Channel<Msg>) {
    match host.files().await {
        Ok((files, namespace)) => {
            let disk = (host.trouble().clone(), host.quota().clone());
            let sftp = Sftp::new(files, account.home(), account.name.clone(), disk);
            russh_sftp::server::run(channel.into_stream(), sftp).await;
            drop(namespace);
        }
        Err(error) => {
            let _ = channel.extended_data_bytes(1, format!("sandbox: {error}\n").into_bytes()).await;
            let _ = channel.exit_status(process::NOT_STARTED).await;
            let _ = channel.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_that_steer_the_session_are_refused() {
        for name in ["LANG", "LC_ALL", "DEPLOY_ENV", "_x1"] {
            assert!(accepts_variable(name), "{name}");
        }
        for name in ["LD_PRELOAD", "BASH_ENV", "PATH", "", "1A", "A-B", "A=B", "a b", "$(x)"] {
            assert!(!accepts_variable(name), "{name}");
        }
    }
}

//! The SSH server of a host: who gets in, and what becomes of a channel.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, MethodKind, MethodSet, Pty};
use tokio::net::TcpStream;

use super::host::Host;
use super::process::{self, Program, Request};
use super::session;

/// How long a rejected key takes; nobody guesses keys on loopback.
const REJECTION_TIME: Duration = Duration::from_millis(20);
/// How many keys a client may try, as OpenSSH's MaxAuthTries.
const MAX_ATTEMPTS: usize = 20;

/// The configuration of every connection of a host.
pub(super) fn config(key: PrivateKey) -> Config {
    Config {
        server_id: russh::SshId::Standard("SSH-2.0-OpenSSH_9.6p1_spot_sandbox".into()),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: REJECTION_TIME,
        auth_rejection_time_initial: Some(Duration::ZERO),
        max_auth_attempts: MAX_ATTEMPTS,
        keys: vec![key],
        inactivity_timeout: None,
        nodelay: true,
        ..Config::default()
    }
}

/// One connection to a host.
pub(super) struct Connection {
    host: Arc<Host>,
    peer: SocketAddr,
    account: Option<String>,
    /// Channels that speak SFTP: these end with the client's last word.
    sftp: HashSet<ChannelId>,
}

impl Connection {
    /// A connection that nobody has logged in on yet.
    pub(super) fn new(host: Arc<Host>, peer: SocketAddr) -> Connection {
        Connection { host, peer, account: None, sftp: HashSet::new() }
    }

    /// Serves the connection until the client leaves or the host is halted.
    pub(super) async fn serve(self, stream: TcpStream, config: Arc<Config>) {
        let halted = self.host.halted().clone();
        // Who connects is about to run something: the namespaces are set up while keys are exchanged.
        let host = self.host.clone();
        tokio::spawn(async move { host.namespace().await.map(drop) });
        let Some(Ok(running)) =
            halted.run_until_cancelled(russh::server::run_stream(config, stream, self)).await
        else {
            return;
        };
        let handle = running.handle();
        if halted.run_until_cancelled(running).await.is_none() {
            let reason = russh::Disconnect::ByApplication;
            let goodbye = handle.disconnect(reason, "the host is halted".to_string(), String::new());
            let _ = tokio::time::timeout(Duration::from_secs(1), goodbye).await;
        }
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        let admitted = self.host.admits(user, offer.public_key).await;
        Ok(if admitted { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        if !self.host.admits(user, key.public_key).await {
            return Ok(Auth::reject());
        }
        self.account = Some(user.to_string());
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(account) = self.account.as_deref().and_then(|name| self.host.account(name)) else {
            return Ok(());
        };
        reply.accept().await;
        let (host, halted) = (self.host.clone(), self.host.halted().clone());
        let serving = session::serve(host, account.clone(), self.peer, channel, session.handle());
        tokio::spawn(async move { halted.run_until_cancelled(serving).await });
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host_to_connect: &str,
        port_to_connect: u32,
        _originator_address: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let account = self.account.as_deref().and_then(|name| self.host.account(name));
        let (Some(account), Ok(port)) = (account, u16::try_from(port_to_connect)) else { return Ok(()) };
        // The name becomes part of a path of the shell: nothing but a host name may.
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_');
        if host_to_connect.is_empty() || !host_to_connect.chars().all(name) {
            return Ok(());
        }
        reply.accept().await;
        let (host, halted) = (self.host.clone(), self.host.halted().clone());
        let (account, handle) = (account.clone(), session.handle());
        let program = Program::Forward(host_to_connect.to_string(), port);
        let request = Request { program, environment: Vec::new(), terminal: None, account };
        tokio::spawn(async move {
            halted.run_until_cancelled(process::run(&host, request, channel, &handle)).await
        });
        Ok(())
    }

    // The session task acts on these requests; the answers are given here, in the order of the
    // requests, because a client matches them by order.

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        _value: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if session::accepts_variable(name) {
            session.channel_success(channel)
        } else {
            session.channel_failure(channel)
        }
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if name != session::SFTP {
            return session.channel_failure(channel);
        }
        self.sftp.insert(channel);
        session.channel_success(channel)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }

    async fn channel_eof(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        if self.sftp.remove(&channel) {
            session.exit_status_request(channel, 0)?;
            session.close(channel)?;
        }
        Ok(())
    }
}

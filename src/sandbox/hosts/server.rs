//! The SSH server of a host: who gets in, and what becomes of a channel.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet, Pty};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::faults::{Ending, LoginFault, Moment};
use super::faulty_stream::FaultyStream;
use super::host::{Account, Host};
use super::process::{self, Program, Request};
use super::session;
use super::trouble::Stranger;

/// How long a rejected key takes; nobody guesses keys on loopback.
const REJECTION_TIME: Duration = Duration::from_millis(20);
/// How many keys a client may try, as OpenSSH's MaxAuthTries.
const MAX_ATTEMPTS: usize = 20;

/// What OpenSSH says when `MaxStartups` is reached.
const TOO_MANY: &[u8] = b"Exceeded MaxStartups\r\n";

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
    account: Option<Account>,
    /// Whom everybody who logs in is told to log in as instead.
    redirect: Option<String>,
    logged_in: Arc<AtomicBool>,
    stranger: Option<Stranger>,
    /// How many sessions are open.
    sessions: Arc<AtomicU32>,
    /// Channels that speak SFTP: these end with the client's last word.
    sftp: HashSet<ChannelId>,
}

impl Connection {
    /// A connection that nobody has logged in on yet.
    pub(super) fn new(host: Arc<Host>, peer: SocketAddr) -> Connection {
        Connection {
            host,
            peer,
            account: None,
            redirect: None,
            logged_in: Arc::default(),
            stranger: None,
            sessions: Arc::default(),
            sftp: HashSet::new(),
        }
    }

    /// Serves the connection until the client leaves or the host is halted.
    pub(super) async fn serve(mut self, mut stream: TcpStream) {
        let halted = self.host.halted().clone();
        let trouble = self.host.trouble().clone();
        let plan = trouble.of_next_connection();
        match plan {
            Some((Moment::Connect, Ending::Close)) => {
                halted.run_until_cancelled(say_goodbye(stream)).await;
                return;
            }
            Some((Moment::Connect, Ending::Reset)) => {
                // An error means that the client has gone already.
                let _ = stream.set_zero_linger();
                return;
            }
            Some((Moment::Connect, Ending::Silence)) => {
                halted.run_until_cancelled(until_closed(stream)).await;
                return;
            }
            _ => {}
        }
        self.stranger = trouble.admit();
        if self.stranger.is_none() {
            let _ = stream.write_all(TOO_MANY).await;
            halted.run_until_cancelled(say_goodbye(stream)).await;
            return;
        }
        // A host whose key cannot be read or written answers nobody, as sshd would not start.
        let Ok(config) = self.host.server() else { return };
        // Who connects is about to run something: the namespaces are set up while keys are exchanged.
        let host = self.host.clone();
        tokio::spawn(async move { host.namespace().await.map(drop) });
        let stream = FaultyStream::new(stream, trouble, plan, Arc::clone(&self.logged_in));
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

    /// Who logs in as this user with this key, and whom they are told to be instead.
    async fn admits(&self, user: &str, key: &PublicKey) -> Option<(Account, Option<String>)> {
        let main = &self.host.spec().user;
        let redirect = match &self.host.trouble().now().login {
            Some(LoginFault::Refused) => return None,
            Some(LoginFault::OtherUser(other)) => Some(other.clone()),
            // As the images of Ubuntu have it.
            None => (user == "root" && self.host.account(user).is_none()).then(|| main.clone()),
        };
        let account = self.host.account(if redirect.is_some() { main } else { user })?;
        self.host.admits(&account.name, key).await.then(|| (account.clone(), redirect))
    }
}

/// Closes a connection without the reset that what the client has sent would make of it.
async fn say_goodbye(mut stream: TcpStream) {
    // An error means that the client has gone already.
    let _ = stream.shutdown().await;
    until_closed(stream).await;
}

/// Waits until a client gives up.
async fn until_closed(mut stream: TcpStream) {
    let mut heard = [0; 1024];
    while stream.read(&mut heard).await.is_ok_and(|size| size > 0) {}
}

/// Counts an open session; dropping it makes room for the next.
struct OpenSession(Arc<AtomicU32>);

impl Drop for OpenSession {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        let admitted = self.admits(user, offer.public_key).await.is_some();
        Ok(if admitted { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        let Some((account, redirect)) = self.admits(user, key.public_key).await else {
            return Ok(Auth::reject());
        };
        self.redirect = redirect.map(|right| {
            format!("Please login as the user \"{right}\" rather than the user \"{user}\".\n\n")
        });
        self.account = Some(account);
        self.stranger = None;
        self.logged_in.store(true, Ordering::Relaxed);
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(account) = self.account.clone() else { return Ok(()) };
        let open = OpenSession(Arc::clone(&self.sessions));
        let before = self.sessions.fetch_add(1, Ordering::Relaxed);
        if self.host.trouble().now().max_sessions.is_some_and(|most| before >= most) {
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
            return Ok(());
        }
        reply.accept().await;
        if let Some(text) = self.redirect.clone() {
            tokio::spawn(session::turn_away(channel, text, open));
            return Ok(());
        }
        let (host, halted) = (self.host.clone(), self.host.halted().clone());
        let serving = session::serve(host, account, self.peer, channel, session.handle());
        tokio::spawn(async move {
            halted.run_until_cancelled(serving).await;
            drop(open);
        });
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
        let account = self.account.clone().filter(|_| self.redirect.is_none());
        let (Some(account), Ok(port)) = (account, u16::try_from(port_to_connect)) else { return Ok(()) };
        // The name becomes part of a path of the shell: nothing but a host name may.
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_');
        if host_to_connect.is_empty() || !host_to_connect.chars().all(name) {
            return Ok(());
        }
        reply.accept().await;
        let (host, halted) = (self.host.clone(), self.host.halted().clone());
        let handle = session.handle();
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

//! The SSH server of a puppet: everybody logs in, and every command is answered without being run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelMsg, MethodKind, MethodSet};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;

use super::fate::Fate;
use super::files::{Files, Shared};

/// The process id that a command is said to have.
const PROCESS: u32 = 4242;

/// The configuration of every connection of a puppet. Its host key follows from its id, so that it is
/// the same after a restart.
pub(super) fn config(id: &str) -> Config {
    let seed = Sha256::digest(format!("the host key of the puppet {id}"));
    let key = PrivateKey::from(Ed25519Keypair::from_seed(&seed.into()));
    Config {
        server_id: russh::SshId::Standard("SSH-2.0-spot_puppet".into()),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        auth_rejection_time: Duration::from_millis(1),
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key],
        inactivity_timeout: None,
        nodelay: true,
        ..Config::default()
    }
}

/// Serves the `number`th connection, from 1.
pub(super) async fn serve(stream: TcpStream, config: Arc<Config>, fate: Fate, number: u64, files: Shared) {
    if fate == Fate::Hangs {
        let _open = stream;
        return std::future::pending().await;
    }
    let drops = fate == Fate::Drops && number % 2 == 1;
    let connection = Connection { fails: fate == Fate::Fails, drops, files, opened: HashMap::new() };
    if let Ok(running) = russh::server::run_stream(config, stream, connection).await {
        // How it ended is the client's business.
        let _ = running.await;
    }
}

struct Connection {
    fails: bool,
    drops: bool,
    files: Shared,
    /// Channels that nothing was asked of yet.
    opened: HashMap<ChannelId, Channel<Msg>>,
}

impl Handler for Connection {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        _offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        _key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), russh::Error> {
        self.opened.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        if self.drops {
            return Err(russh::Error::Disconnect);
        }
        let Some(channel) = self.opened.remove(&id) else { return session.channel_failure(id) };
        tokio::spawn(answer(channel, self.fails));
        session.channel_success(id)
    }

    async fn subsystem_request(
        &mut self,
        id: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let channel = self.opened.remove(&id).filter(|_| name == "sftp");
        let Some(channel) = channel else { return session.channel_failure(id) };
        tokio::spawn(russh_sftp::server::run(channel.into_stream(), Files::new(self.files.clone())));
        session.channel_success(id)
    }
}

/// Reads what a command is given, and answers it. A client of ours sends its real instructions as
/// input, whose first line wants a mark and a process id on standard error before anything else.
async fn answer(mut channel: Channel<Msg>, fails: bool) {
    let mut input = Vec::new();
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => input.extend_from_slice(&data),
            ChannelMsg::Eof => break,
            ChannelMsg::Close => return,
            _ => {}
        }
    }
    let input = String::from_utf8_lossy(&input);
    let status = u32::from(fails && input.contains(".spot-script-"));
    let mark = input.split_once("echo \"").and_then(|(_, rest)| rest.split_once(" $$\""));
    // A client that has left hears nothing of it.
    if let Some((mark, _)) = mark {
        let _ = channel.extended_data_bytes(1, format!("{mark} {PROCESS}\n").into_bytes()).await;
    }
    if input.contains("echo gone") {
        let _ = channel.data_bytes(b"gone\n".to_vec()).await;
    }
    if status != 0 {
        let _ = channel.extended_data_bytes(1, b"it fails on purpose\n".to_vec()).await;
    }
    let _ = channel.exit_status(status).await;
    let _ = channel.eof().await;
    let _ = channel.close().await;
}

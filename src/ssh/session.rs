//! One authenticated connection to a host, and the channels opened on it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{Handle, Msg};
use russh::{
    Channel, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelStream, ChannelWriteHalf, Disconnect,
};
use tokio::time::{Instant, sleep, timeout};

use super::Settings;
use super::authentication::Login;
use super::handshake::{self, Client};
use super::keyring::Loaded;
use super::known_hosts::KnownHosts;
use super::route::Route;
use super::slots::{Slot, Slots};
use super::stream::Carrier;
use super::target::Target;
use crate::error::{Error, Result};

/// How long a server that refuses a channel though none is open, as far as we know, is asked again.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(10);
/// sshd frees the place of a channel a moment after it was closed, and refuses one that is asked for
/// in that moment. So only a refusal that persists says anything about its limit.
const REFUSAL_PAUSES: [Duration; 3] =
    [Duration::from_millis(5), Duration::from_millis(20), Duration::from_millis(60)];

/// OpenSSH's default for `MaxSessions`.
const MAX_SESSIONS: usize = 10;

/// An authenticated connection.
pub struct Session {
    target: Target,
    handle: Handle<Client>,
    /// The connection that this one runs through stands as long as this one is wanted.
    _through: Option<Arc<Session>>,
    used: Mutex<Instant>,
    channels: Arc<Slots>,
    open_timeout: Duration,
}

/// An open channel. It is closed, and its slot given back, when dropped.
pub struct SessionChannel {
    /// What the server sends.
    pub reader: ChannelReadHalf,
    /// What we send.
    pub writer: ChannelWriter,
    _slot: Option<Slot>,
}

/// The sending half of a channel; closes the channel when dropped.
pub struct ChannelWriter(Option<ChannelWriteHalf<Msg>>);

/// Why no channel was opened.
pub enum NoChannel {
    /// The connection is dead; another one may work. Nothing was sent.
    Dead(Error),
    /// The server is alive and said no.
    Refused(Error),
}

impl Session {
    /// Exchanges keys and logs in over a stream, which may run through another connection.
    pub async fn start(
        stream: Box<dyn Carrier>,
        through: Option<Arc<Session>>,
        route: &Route,
        settings: &Settings,
        known: &Arc<KnownHosts>,
        loaded: &Loaded,
    ) -> Result<Session> {
        let limit = settings.connect_timeout;
        let target = &route.target;
        let (mut handle, banner) = handshake::encrypt(stream, route, settings, known).await?;
        let login = Login::new(&mut handle, target, loaded).go(&route.credentials);
        let logged_in = match timeout(limit, login).await {
            Ok(logged_in) => logged_in,
            Err(_) => {
                let message = format!("{target} did not finish the login within {limit:?}");
                Err(Error::ssh(message).with_code("LoginTimeout").retryable(true))
            }
        };
        if let Err(error) = logged_in {
            let said = banner.text();
            return Err(match said.is_empty() {
                true => error,
                false => error.followed_by(format!("the host says: {}", said.replace('\n', " / "))),
            });
        }
        Ok(Session {
            target: target.clone(),
            handle,
            _through: through,
            used: Mutex::new(Instant::now()),
            channels: Slots::new(MAX_SESSIONS),
            open_timeout: limit,
        })
    }

    /// Notes that the connection is in use.
    pub fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// For how long nobody has used the connection.
    pub fn idle(&self) -> Duration {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Opens a stream to an address as seen from the host.
    ///
    /// # Errors
    /// Code `ConnectionRefused` (retryable) if there is nothing, `ForwardingRefused` if the host
    /// does not allow it, `SessionLost`.
    pub async fn stream_to(&self, address: &str, port: u16) -> Result<ChannelStream<Msg>> {
        self.touch();
        let opening = self.handle.channel_open_direct_tcpip(address, port.into(), "127.0.0.1", 0);
        let message = |reason: &str| format!("{} cannot connect to {address}:{port}: {reason}", self.target);
        match timeout(self.open_timeout, opening).await {
            Ok(Ok(channel)) => Ok(channel.into_stream()),
            Ok(Err(russh::Error::ChannelOpenFailure(ChannelOpenFailure::AdministrativelyProhibited))) => {
                Err(Error::ssh(message("it does not allow forwarding"))
                    .with_code("ForwardingRefused")
                    .with_hint("its sshd_config needs the line: AllowTcpForwarding yes"))
            }
            Ok(Err(russh::Error::ChannelOpenFailure(_))) => {
                Err(Error::ssh(message("refused")).with_code("ConnectionRefused").retryable(true))
            }
            Ok(Err(error)) => Err(self.lost(&error.to_string())),
            Err(_) => {
                let reason = format!("no answer within {:?}", self.open_timeout);
                Err(Error::ssh(message(&reason)).with_code("ConnectTimeout").retryable(true))
            }
        }
    }

    /// Whether the connection is known to be dead.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Opens a channel, waiting for its turn when the server allows no more at once.
    pub async fn open(&self) -> Result<SessionChannel, NoChannel> {
        let (channel, slot) = self.queue().await?;
        Ok(SessionChannel::new(channel, Some(slot)))
    }

    /// Opens a channel at once, outside of the queue: for ending a command that holds a slot.
    pub async fn open_at_once(&self) -> Result<SessionChannel, NoChannel> {
        Ok(SessionChannel::new(self.request_channel().await?, None))
    }

    /// Opens a channel with a subsystem such as `sftp` as a stream of bytes. The slot is to be kept
    /// as long as the stream.
    pub async fn subsystem(&self, name: &str) -> Result<(ChannelStream<Msg>, Slot), NoChannel> {
        let (mut channel, slot) = self.queue().await?;
        match self.start_subsystem(&mut channel, name).await {
            Ok(()) => Ok((channel.into_stream(), slot)),
            Err(reason) => {
                // It may be closed already; there is nobody to tell.
                let _ = channel.close().await;
                let message = format!("{} does not start the {name} subsystem: {reason}", self.target);
                Err(NoChannel::Refused(
                    Error::ssh(message)
                        .with_code("SubsystemRefused")
                        .with_hint("sshd_config needs the line: Subsystem sftp internal-sftp"),
                ))
            }
        }
    }

    async fn start_subsystem(&self, channel: &mut Channel<Msg>, name: &str) -> Result<(), String> {
        channel.request_subsystem(true, name).await.map_err(|error| error.to_string())?;
        loop {
            match timeout(self.open_timeout, channel.wait()).await {
                Ok(Some(ChannelMsg::Success)) => return Ok(()),
                Ok(Some(ChannelMsg::WindowAdjusted { .. })) => {}
                Ok(Some(ChannelMsg::Failure)) => return Err("the request was refused".to_owned()),
                Ok(_) => return Err("the channel was closed".to_owned()),
                Err(_) => return Err(format!("no answer within {:?}", self.open_timeout)),
            }
        }
    }

    async fn queue(&self) -> Result<(Channel<Msg>, Slot), NoChannel> {
        let mut patience = None;
        let mut delay = Duration::from_millis(20);
        loop {
            let slot = self.channels.acquire().await;
            let mut pauses = REFUSAL_PAUSES.into_iter();
            let refusal = loop {
                match self.request_channel().await {
                    Ok(channel) => {
                        self.channels.accepted();
                        return Ok((channel, slot));
                    }
                    Err(NoChannel::Dead(error)) => return Err(NoChannel::Dead(error)),
                    Err(NoChannel::Refused(error)) => match pauses.next() {
                        Some(pause) => sleep(pause).await,
                        None => break error,
                    },
                }
            };
            if self.channels.refused(slot) {
                patience = None;
                continue;
            }
            let until = *patience.get_or_insert_with(|| Instant::now() + REFUSAL_PATIENCE);
            if Instant::now() >= until {
                return Err(NoChannel::Refused(refusal));
            }
            sleep(delay).await;
            delay = (delay * 2).min(Duration::from_millis(500));
        }
    }

    async fn request_channel(&self) -> Result<Channel<Msg>, NoChannel> {
        self.touch();
        match timeout(self.open_timeout, self.handle.channel_open_session()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
                let message = format!("{} refused to open a channel ({reason:?})", self.target);
                Err(NoChannel::Refused(Error::ssh(message).with_code("ChannelRefused").retryable(true)))
            }
            Ok(Err(error)) => Err(NoChannel::Dead(self.lost(&error.to_string()))),
            Err(_) => {
                let reason = format!("no answer within {:?}", self.open_timeout);
                Err(NoChannel::Dead(self.lost(&reason)))
            }
        }
    }

    /// The error of a connection that broke while something was under way.
    pub fn lost(&self, reason: &str) -> Error {
        Error::ssh(format!("the connection to {} was lost: {reason}", self.target))
            .with_code("SessionLost")
            .retryable(true)
    }

    /// Says goodbye. The connection ends also for those who still use it.
    pub async fn close(&self) {
        // Nothing to do about a goodbye that does not get through.
        let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
    }
}

impl SessionChannel {
    fn new(channel: Channel<Msg>, slot: Option<Slot>) -> Self {
        let (reader, writer) = channel.split();
        SessionChannel { reader, writer: ChannelWriter(Some(writer)), _slot: slot }
    }
}

impl ChannelWriter {
    /// The half to write to.
    ///
    /// # Errors
    /// None in practice: it is there until dropped.
    pub fn half(&self) -> Result<&ChannelWriteHalf<Msg>> {
        self.0.as_ref().ok_or_else(|| Error::internal("a channel was used after it was closed"))
    }
}

impl Drop for ChannelWriter {
    fn drop(&mut self) {
        let Some(writer) = self.0.take() else { return };
        // Without a runtime the connection is gone anyway.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { writer.close().await });
        }
    }
}

//! One authenticated connection to a host, and the channels opened on it.

use std::sync::Arc;
use std::time::Duration;

use russh::client::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelStream, ChannelWriteHalf, Disconnect};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::Settings;
use super::authentication::Keyring;
use super::channels::{ChannelLimit, ChannelSlot};
use super::handshake::{self, Client};
use super::known_hosts::KnownHosts;
use super::target::Target;
use crate::error::{Error, Result};

/// How long a server that refuses a channel though none is open, as far as we know, is asked again.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(10);
/// sshd frees the place of a channel a moment after it was closed, and refuses one that is asked for
/// in that moment. So only a refusal that persists says anything about its limit.
const REFUSAL_PAUSES: [Duration; 3] =
    [Duration::from_millis(5), Duration::from_millis(20), Duration::from_millis(60)];

/// An authenticated connection.
pub struct Session {
    target: Target,
    handle: Handle<Client>,
    channels: Arc<ChannelLimit>,
    open_timeout: Duration,
}

/// An open channel. It is closed, and its slot given back, when dropped.
pub struct SessionChannel {
    /// What the server sends.
    pub reader: ChannelReadHalf,
    /// What we send.
    pub writer: ChannelWriter,
    _slot: Option<ChannelSlot>,
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
    /// Connects, exchanges keys and logs in.
    pub async fn connect(
        target: &Target,
        settings: &Settings,
        keyring: &Keyring,
        known: &Arc<KnownHosts>,
        handshakes: &Semaphore,
    ) -> Result<Session> {
        let limit = settings.connect_timeout;
        let stream = handshake::reach(target, limit).await?;
        let _turn = handshakes.acquire().await.map_err(|_| Error::interrupted())?;
        let mut handle = handshake::encrypt(stream, target, settings, known).await?;
        match timeout(limit, keyring.log_in(&mut handle, target)).await {
            Ok(logged_in) => logged_in?,
            Err(_) => {
                let message = format!("{target} did not finish the login within {limit:?}");
                return Err(Error::ssh(message).with_code("LoginTimeout").retryable(true));
            }
        }
        Ok(Session { target: target.clone(), handle, channels: ChannelLimit::new(), open_timeout: limit })
    }

    /// Whether the connection still stands and leads where `target` says.
    pub fn serves(&self, target: &Target) -> bool {
        !self.is_closed() && self.target.same_endpoint(target)
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
    pub async fn subsystem(&self, name: &str) -> Result<(ChannelStream<Msg>, ChannelSlot), NoChannel> {
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

    async fn queue(&self) -> Result<(Channel<Msg>, ChannelSlot), NoChannel> {
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
    fn new(channel: Channel<Msg>, slot: Option<ChannelSlot>) -> Self {
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

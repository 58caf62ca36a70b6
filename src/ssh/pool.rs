//! One connection per host for the whole run, made when first needed, replaced when it died.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::authentication::Keyring;
use super::known_hosts::KnownHosts;
use super::session::{NoChannel, Session, SessionChannel};
use super::target::Target;
use crate::error::{Error, Result};

/// Of up to 255 KiB each: at most 512 MiB.
const CHUNKS: usize = 2048;

/// The connections, and all that is needed to make them.
pub struct Pool {
    pub settings: Settings,
    pub keyring: Keyring,
    pub known: Arc<KnownHosts>,
    pub cancel: CancellationToken,
    /// Pieces of files that may be in memory at once, over all transfers.
    pub chunks: Semaphore,
    handshakes: Semaphore,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
}

/// One host: its lock is held while a connection is made, so that there is only ever one.
#[derive(Default)]
struct Host {
    connection: tokio::sync::Mutex<Connection>,
    /// Attempts that have ended; whoever waited through one shares its failure.
    ended: AtomicU64,
}

#[derive(Default)]
struct Connection {
    session: Option<Arc<Session>>,
    failure: Option<Error>,
}

/// How often a connection is attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempts {
    /// One attempt.
    One,
    /// As the settings' retry policy says.
    Policy,
}

impl Pool {
    /// An empty pool.
    pub fn new(settings: Settings, cancel: CancellationToken) -> Self {
        Pool {
            keyring: Keyring::new(settings.identities.clone(), settings.use_agent),
            known: Arc::new(KnownHosts::new(settings.known_hosts.clone())),
            chunks: Semaphore::new(CHUNKS),
            handshakes: Semaphore::new(settings.handshakes.max(1)),
            hosts: Mutex::new(HashMap::new()),
            settings,
            cancel,
        }
    }

    /// The connection to a host, made if there is none that stands.
    pub async fn session(&self, target: &Target, attempts: Attempts) -> Result<Arc<Session>> {
        let host = self.host(&target.id);
        let ended = host.ended.load(Ordering::Acquire);
        let mut connection = host.connection.lock().await;
        if let Some(session) = connection.session.as_ref().filter(|session| session.serves(target)) {
            return Ok(Arc::clone(session));
        }
        if host.ended.load(Ordering::Acquire) != ended
            && let Some(failure) = &connection.failure
        {
            return Err(failure.clone());
        }
        connection.session = None;
        let result = match attempts {
            Attempts::One => self.connect(target).await,
            Attempts::Policy => self.settings.retry.run(&self.cancel, |_| self.connect(target)).await,
        };
        host.ended.fetch_add(1, Ordering::AcqRel);
        match result {
            Ok(session) => {
                let session = Arc::new(session);
                connection.session = Some(Arc::clone(&session));
                connection.failure = None;
                Ok(session)
            }
            Err(error) => {
                connection.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Makes a connection that nobody shares.
    pub async fn connect(&self, target: &Target) -> Result<Session> {
        Session::connect(target, &self.settings, &self.keyring, &self.known, &self.handshakes).await
    }

    /// Opens a channel to a host. If the connection turns out to be dead before anything was sent,
    /// a new one is made, once.
    pub async fn open(&self, target: &Target, attempts: Attempts) -> Result<(Arc<Session>, SessionChannel)> {
        self.with_session(target, attempts, async |session| session.open().await).await
    }

    /// Opens something on the connection to a host, with a new connection if the first is dead.
    pub async fn with_session<T>(
        &self,
        target: &Target,
        attempts: Attempts,
        open: impl AsyncFn(&Session) -> Result<T, NoChannel>,
    ) -> Result<(Arc<Session>, T)> {
        let session = self.session(target, attempts).await?;
        match open(&session).await {
            Ok(opened) => return Ok((session, opened)),
            Err(NoChannel::Refused(error)) => return Err(error),
            Err(NoChannel::Dead(_)) => self.evict(target, &session).await,
        }
        let session = self.session(target, attempts).await?;
        match open(&session).await {
            Ok(opened) => Ok((session, opened)),
            Err(NoChannel::Refused(error) | NoChannel::Dead(error)) => Err(error),
        }
    }

    /// Takes a dead connection out. It is not closed: what still runs on it may yet end well.
    async fn evict(&self, target: &Target, dead: &Arc<Session>) {
        let host = self.host(&target.id);
        let mut connection = host.connection.lock().await;
        if connection.session.as_ref().is_some_and(|session| Arc::ptr_eq(session, dead)) {
            connection.session = None;
        }
    }

    /// Closes the connection to a host, if there is one.
    pub async fn close(&self, id: &str) {
        let host = self.hosts().remove(id);
        if let Some(host) = host {
            // A connection just being made is closed by being dropped: nobody finds it any more.
            if let Ok(mut connection) = host.connection.try_lock()
                && let Some(session) = connection.session.take()
            {
                session.close().await;
            }
        }
    }

    /// Closes every connection.
    pub async fn close_all(&self) {
        let ids: Vec<String> = self.hosts().keys().cloned().collect();
        for id in ids {
            self.close(&id).await;
        }
    }

    fn hosts(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Host>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn host(&self, id: &str) -> Arc<Host> {
        Arc::clone(self.hosts().entry(id.to_owned()).or_default())
    }
}

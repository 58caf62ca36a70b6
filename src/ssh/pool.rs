//! One connection per host for the whole run, made when first needed, replaced when it died, closed
//! when nobody has used it for a while.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Settings;
use super::keyring::Keyring;
use super::known_hosts::KnownHosts;
use super::route::{Route, Through};
use super::session::{NoChannel, Session, SessionChannel};
use super::slots::Slots;
use super::ssh_config::SshConfig;
use super::stream::{self, Carrier};
use super::target::Target;
use crate::error::{Error, Result};

/// Of up to 255 KiB each: at most 512 MiB.
const CHUNKS: usize = 2048;
/// Pauses between attempts at a server that drops connections while others log in.
const CROWDED_PAUSE: Duration = Duration::from_millis(100);

/// The connections, and all that is needed to make them.
pub struct Pool {
    pub settings: Settings,
    pub known: Arc<KnownHosts>,
    pub cancel: CancellationToken,
    /// Pieces of files that may be in memory at once, over all transfers.
    pub chunks: Semaphore,
    keyring: Keyring,
    config: OnceLock<Result<SshConfig>>,
    handshakes: Semaphore,
    /// Logins under way at one address.
    logins: Mutex<HashMap<(String, u16), Arc<Slots>>>,
    hosts: Mutex<HashMap<Vec<Target>, Arc<Host>>>,
    sweeping: AtomicBool,
    /// Cancelled when the connections are closed: what runs for as long as they do.
    closing: Mutex<CancellationToken>,
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
        let others = settings
            .config
            .iter()
            .flat_map(|files| [files.home.join(".ssh/known_hosts"), "/etc/ssh/ssh_known_hosts".into()]);
        Pool {
            keyring: Keyring::new(settings.passphrases.clone()),
            known: Arc::new(KnownHosts::new(settings.known_hosts.clone()).with_others(others.collect())),
            chunks: Semaphore::new(CHUNKS),
            config: OnceLock::new(),
            handshakes: Semaphore::new(settings.handshakes.max(1)),
            logins: Mutex::default(),
            hosts: Mutex::default(),
            sweeping: AtomicBool::new(false),
            closing: Mutex::default(),
            settings,
            cancel,
        }
    }

    /// The user's SSH configuration, read once.
    pub fn config(&self) -> Result<&SshConfig> {
        let read = || match &self.settings.config {
            Some(files) => SshConfig::read(files),
            None => Ok(SshConfig::default()),
        };
        self.config.get_or_init(read).as_ref().map_err(Error::clone)
    }

    fn route(&self, target: &Target) -> Result<Route> {
        Route::to(target, self.config()?, &self.settings)
    }

    /// The connection to a host, made if there is none that stands.
    pub async fn session(self: &Arc<Self>, target: &Target, attempts: Attempts) -> Result<Arc<Session>> {
        self.session_on(&self.route(target)?, attempts).await
    }

    async fn session_on(self: &Arc<Self>, route: &Route, attempts: Attempts) -> Result<Arc<Session>> {
        let host = self.host(route);
        let ended = host.ended.load(Ordering::Acquire);
        let mut connection = host.connection.lock().await;
        if let Some(session) = connection.session.as_ref().filter(|session| !session.is_closed()) {
            session.touch();
            return Ok(Arc::clone(session));
        }
        if host.ended.load(Ordering::Acquire) != ended
            && let Some(failure) = &connection.failure
        {
            return Err(failure.clone());
        }
        connection.session = None;
        let result = match attempts {
            Attempts::One => self.connect_on(route).await,
            Attempts::Policy => self.settings.retry.run(&self.cancel, |_| self.connect_on(route)).await,
        };
        host.ended.fetch_add(1, Ordering::AcqRel);
        match result {
            Ok(session) => {
                let session = Arc::new(session);
                connection.session = Some(Arc::clone(&session));
                connection.failure = None;
                self.sweep_from_now_on();
                Ok(session)
            }
            Err(error) => {
                connection.failure = Some(error.clone());
                Err(error)
            }
        }
    }

    /// Makes a connection that nobody shares.
    pub async fn connect(self: &Arc<Self>, target: &Target) -> Result<Session> {
        self.connect_on(&self.route(target)?).await
    }

    fn connect_on<'a>(self: &'a Arc<Self>, route: &'a Route) -> BoxFuture<'a, Result<Session>> {
        Box::pin(async move {
            let loaded = self.keyring.load(&route.credentials).await?;
            let logins = self.logins_at(&route.target);
            let until = Instant::now() + self.settings.retry.deadline;
            loop {
                let slot = logins.acquire().await;
                let attempt = async {
                    let (stream, through) = self.carrier(route).await?;
                    let _turn = self.handshakes.acquire().await.map_err(|_| Error::interrupted())?;
                    Session::start(stream, through, route, &self.settings, &self.known, &loaded).await
                };
                let error = match attempt.await {
                    Ok(session) => {
                        logins.accepted();
                        return Ok(session);
                    }
                    Err(error) => error,
                };
                // sshd drops connections when more than `MaxStartups` log in at once. That is no
                // failure as long as others do log in: wait for one of them.
                let dropped = matches!(error.code(), Some("ConnectionLost" | "HandshakeFailed"));
                if !dropped || self.cancel.is_cancelled() || Instant::now() >= until {
                    return Err(error);
                }
                if !logins.refused(slot) {
                    return Err(error);
                }
                tokio::time::sleep(CROWDED_PAUSE.mul_f64(rand::random_range(0.5..=1.5))).await;
            }
        })
    }

    /// The bytes of a new connection, and the connection that they run through.
    async fn carrier(self: &Arc<Self>, route: &Route) -> Result<(Box<dyn Carrier>, Option<Arc<Session>>)> {
        let target = &route.target;
        match &route.through {
            Through::Nothing => Ok((stream::reach(target, self.settings.connect_timeout).await?, None)),
            Through::Command(line) => Ok((stream::through_command(target, line)?, None)),
            Through::Hop(hop) => {
                let on_the_way = |error: Error| error.context(format_args!("on the way to {target}"));
                let session = self.session_on(hop, Attempts::One).await.map_err(on_the_way)?;
                let stream = session.stream_to(&target.address, target.port).await;
                if stream.as_ref().is_err_and(|error| error.code() == Some("SessionLost")) {
                    self.evict(hop, &session).await;
                }
                Ok((Box::new(stream.map_err(on_the_way)?), Some(session)))
            }
        }
    }

    /// Opens a channel to a host. If the connection turns out to be dead before anything was sent,
    /// a new one is made, once.
    pub async fn open(
        self: &Arc<Self>,
        target: &Target,
        attempts: Attempts,
    ) -> Result<(Arc<Session>, SessionChannel)> {
        self.with_session(target, attempts, async |session| session.open().await).await
    }

    /// Opens something on the connection to a host, with a new connection if the first is dead.
    pub async fn with_session<T>(
        self: &Arc<Self>,
        target: &Target,
        attempts: Attempts,
        open: impl AsyncFn(&Session) -> Result<T, NoChannel>,
    ) -> Result<(Arc<Session>, T)> {
        let route = self.route(target)?;
        let session = self.session_on(&route, attempts).await?;
        match open(&session).await {
            Ok(opened) => return Ok((session, opened)),
            Err(NoChannel::Refused(error)) => return Err(error),
            Err(NoChannel::Dead(_)) => self.evict(&route, &session).await,
        }
        let session = self.session_on(&route, attempts).await?;
        match open(&session).await {
            Ok(opened) => Ok((session, opened)),
            Err(NoChannel::Refused(error) | NoChannel::Dead(error)) => Err(error),
        }
    }

    /// Takes a dead connection out. It is not closed: what still runs on it may yet end well.
    async fn evict(&self, route: &Route, dead: &Arc<Session>) {
        let host = self.host(route);
        let mut connection = host.connection.lock().await;
        if connection.session.as_ref().is_some_and(|session| Arc::ptr_eq(session, dead)) {
            connection.session = None;
        }
    }

    /// Closes the connections to a host, if there are any.
    pub async fn close(&self, id: &str) {
        let is_it = |key: &[Target]| key.last().is_some_and(|target| target.id == id);
        let closed: Vec<_> = self.hosts().extract_if(|key, _| is_it(key)).collect();
        for (_, host) in closed {
            // A connection just being made is closed by being dropped: nobody finds it any more.
            if let Ok(mut connection) = host.connection.try_lock()
                && let Some(session) = connection.session.take()
            {
                session.close().await;
            }
        }
    }

    /// Cancelled when the connections are closed.
    pub fn closing(&self) -> CancellationToken {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes every connection, those that others run through last.
    pub async fn close_all(&self) {
        std::mem::take(&mut *self.closing.lock().unwrap_or_else(PoisonError::into_inner)).cancel();
        let mut keys: Vec<Vec<Target>> = self.hosts().keys().cloned().collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
        for id in keys.iter().filter_map(|key| key.last()) {
            self.close(&id.id).await;
        }
    }

    /// Closes connections that nobody has used for a while, from now on.
    fn sweep_from_now_on(self: &Arc<Self>) {
        if self.sweeping.swap(true, Ordering::Relaxed) {
            return;
        }
        let (pool, idle) = (Arc::downgrade(self), self.settings.idle);
        let every = (idle / 4).max(Duration::from_millis(50));
        let sweep = async move {
            loop {
                tokio::time::sleep(every).await;
                let Some(pool) = Weak::upgrade(&pool) else { return };
                pool.sweep(idle).await;
            }
        };
        tokio::spawn(sweep);
    }

    async fn sweep(&self, idle: Duration) {
        let hosts: Vec<Arc<Host>> = self.hosts().values().cloned().collect();
        for host in hosts {
            let Ok(mut connection) = host.connection.try_lock() else { continue };
            let Some(session) = &connection.session else { continue };
            // Whoever has something open on it, or runs through it, holds it too.
            if Arc::strong_count(session) > 1 {
                session.touch();
            } else if session.idle() >= idle
                && let Some(session) = connection.session.take()
            {
                session.close().await;
            }
        }
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<Vec<Target>, Arc<Host>>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn host(&self, route: &Route) -> Arc<Host> {
        Arc::clone(self.hosts().entry(route.key()).or_default())
    }

    fn logins_at(&self, target: &Target) -> Arc<Slots> {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let at = logins.entry((target.address.clone(), target.port));
        Arc::clone(at.or_insert_with(|| Slots::new(self.settings.handshakes)))
    }
}

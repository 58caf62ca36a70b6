//! Ports of this machine that lead to ports of hosts.

use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::TcpListener;

use super::pool::{Attempts, Pool};
use super::target::Target;
use crate::error::{Error, Result};

/// What a port of this machine leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarding {
    /// The port, as seen from the host.
    pub remote_port: u16,
    /// The address, as seen from the host; usually `localhost`.
    pub remote_address: String,
    /// The port of this machine; 0: any that is free.
    pub local_port: u16,
}

/// Opens a port on this machine's loopback address and returns its number. It stays until the
/// connections of the pool are closed.
pub async fn forward(pool: &Arc<Pool>, target: &Target, forwarding: Forwarding) -> Result<u16> {
    let cancelled = pool.cancel.cancelled();
    let opened = tokio::select! {
        biased;
        () = cancelled => return Err(Error::interrupted()),
        session = pool.session(target, Attempts::Policy) => session,
    };
    opened?;
    let asked = forwarding.local_port;
    let failed = |error: std::io::Error| {
        Error::ssh(format!("port {asked} of this machine cannot be opened: {error}"))
            .with_code("PortUnavailable")
            .with_hint("leave `local_port` out to get a port that is free")
    };
    let listener = TcpListener::bind(("127.0.0.1", asked)).await.map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    let (pool, target, closing) = (Arc::downgrade(pool), target.clone(), pool.closing());
    tokio::spawn(closing.run_until_cancelled_owned(async move {
        let mut streams = tokio::task::JoinSet::new();
        loop {
            let Ok((mut near, _)) = listener.accept().await else { return };
            let Some(pool) = pool.upgrade() else { return };
            let (target, forwarding) = (target.clone(), forwarding.clone());
            streams.spawn(async move {
                // A failure closes this one connection: whoever made it sees that.
                let Ok(session) = pool.session(&target, Attempts::Policy).await else { return };
                let far = session.stream_to(&forwarding.remote_address, forwarding.remote_port).await;
                if let Ok(mut far) = far {
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                }
            });
            while streams.try_join_next().is_some() {}
        }
    }));
    Ok(port)
}

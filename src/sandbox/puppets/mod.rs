//! Hosts that only pretend: SSH and SFTP are spoken, but nothing is executed and nothing is written to
//! the disk. For runs in which thousands of instances come and go and no command matters.
//!
//! | file | what lives there |
//! |---|---|
//! | `fate` | what goes wrong with which of them |
//! | `server` | the SSH server: who logs in, what a command is answered |
//! | `files` | SFTP, in memory |
//!
//! Whoever connects is let in: there is nothing to be had.

mod fate;
mod files;
mod server;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;

use super::ec2::{Machine, Machines};
use crate::error::{Error, Result};
use fate::Fate;
pub use fate::PuppetFaults;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 128;

/// The puppets of one sandbox; they live on the runtime on which [`Machines::boot`] is called.
pub(super) struct Puppets {
    port: u16,
    boot_time: Duration,
    faults: PuppetFaults,
    hosts: Mutex<HashMap<String, CancellationToken>>,
    /// How many have been booted in each region: what their fate hangs on.
    booted: Mutex<HashMap<String, u64>>,
}

impl Puppets {
    /// None yet.
    pub fn new(port: u16, boot_time: Duration, faults: PuppetFaults) -> Self {
        Puppets { port, boot_time, faults, hosts: Mutex::default(), booted: Mutex::default() }
    }

    /// Ends all of them.
    pub fn shutdown(&self) {
        for (_, end) in self.hosts.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            end.cancel();
        }
    }

    fn fate(&self, region: &str) -> Fate {
        let mut booted = self.booted.lock().unwrap_or_else(PoisonError::into_inner);
        let number = booted.entry(region.to_owned()).or_default();
        *number += 1;
        self.faults.fate(region, *number)
    }

    fn bind(&self, machine: &Machine) -> std::io::Result<TcpSocket> {
        let socket = TcpSocket::new_v4()?;
        // One that is started again finds connections of its former life.
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((machine.address, self.port)))?;
        Ok(socket)
    }
}

#[async_trait]
impl Machines for Puppets {
    async fn boot(&self, machine: Machine) -> Result<()> {
        let fate = self.fate(&machine.region);
        let socket = self.bind(&machine).map_err(|error| {
            Error::internal(format!("{} cannot listen on {}", machine.id, machine.address)).with_source(error)
        })?;
        let end = CancellationToken::new();
        let life = live(socket, machine.id.clone(), self.boot_time, fate, end.clone());
        let ended = end.clone();
        tokio::spawn(async move { ended.run_until_cancelled(life).await });
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).insert(machine.id, end);
        Ok(())
    }

    async fn stop(&self, id: &str) -> Result<()> {
        // Nothing of it lasts but its number: a start makes a new one.
        self.remove(id).await
    }

    async fn remove(&self, id: &str) -> Result<()> {
        if let Some(end) = self.hosts.lock().unwrap_or_else(PoisonError::into_inner).remove(id) {
            end.cancel();
        }
        Ok(())
    }
}

/// Boots and serves, until `end`.
async fn live(socket: TcpSocket, id: String, boot_time: Duration, fate: Fate, end: CancellationToken) {
    if fate == Fate::NeverBoots {
        // The socket is kept, without listening, so that nobody else answers at this address.
        let _held = socket;
        return std::future::pending().await;
    }
    tokio::time::sleep(boot_time).await;
    let Ok(listener) = socket.listen(BACKLOG) else { return };
    accept(listener, &id, fate, end).await;
}

async fn accept(listener: TcpListener, id: &str, fate: Fate, end: CancellationToken) {
    let config = Arc::new(server::config(id));
    let files = files::Shared::default();
    let mut number = 0;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: what is open now will be closed.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        number += 1;
        let _ = stream.set_nodelay(true);
        let serving = server::serve(stream, Arc::clone(&config), fate, number, files.clone());
        let ended = end.clone();
        tokio::spawn(async move { ended.run_until_cancelled(serving).await });
    }
}

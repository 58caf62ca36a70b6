//! A network that misbehaves, between us and a server, for tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of the connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Everything is passed on.
    None,
    /// Accepted, and nothing is ever said.
    Silence,
    /// Accepted and closed at once.
    Hangup,
    /// Reset after this many bytes of the server were passed on.
    ResetAfter(usize),
}

/// A relay on loopback; it ends when dropped.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    to: u16,
    fault: Fault,
    /// How many connections the fault is for; the others are passed on.
    faulty: AtomicUsize,
    /// Nothing is passed on any more, and nobody is told: a cable that was cut.
    cut: AtomicBool,
    seen: AtomicUsize,
}

impl Proxy {
    /// A relay to a port of this machine; the fault is for its first connections.
    pub async fn start(to: u16, fault: Fault, faulty: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            to,
            fault,
            faulty: AtomicUsize::new(faulty),
            cut: AtomicBool::new(false),
            seen: AtomicUsize::new(0),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Proxy { port, shared, task }
    }

    /// Cuts the cable: what is under way hears nothing any more, not even an end.
    pub fn cut(&self) {
        self.shared.cut.store(true, Ordering::SeqCst);
    }

    /// Mends the cable for new connections; those from before stay dead.
    pub fn mend(&self) {
        self.shared.cut.store(false, Ordering::SeqCst);
    }

    /// Connections so far.
    pub fn seen(&self) -> usize {
        self.shared.seen.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut tasks = tokio::task::JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        shared.seen.fetch_add(1, Ordering::SeqCst);
        let counted =
            shared.faulty.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        let fault = if counted.is_ok() { shared.fault } else { Fault::None };
        tasks.spawn(relay(client, fault, Arc::clone(&shared)));
    }
}

async fn relay(mut client: TcpStream, fault: Fault, shared: Arc<Shared>) {
    match fault {
        Fault::Hangup => return,
        Fault::Silence => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return;
        }
        Fault::None | Fault::ResetAfter(_) => {}
    }
    let address = SocketAddr::from(([127, 0, 0, 1], shared.to));
    let mut server = TcpStream::connect(address).await.unwrap();
    let mut left = match fault {
        Fault::ResetAfter(bytes) => Some(bytes),
        _ => None,
    };
    let (mut up, mut down) = ([0; 16384], [0; 16384]);
    loop {
        let (read, from_server) = tokio::select! {
            read = client.read(&mut up) => (read, false),
            read = server.read(&mut down) => (read, true),
        };
        let Ok(read @ 1..) = read else { return };
        if shared.cut.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            return;
        }
        if !from_server {
            if server.write_all(&up[..read]).await.is_err() {
                return;
            }
            continue;
        }
        let passed = left.map_or(read, |left| read.min(left));
        if client.write_all(&down[..passed]).await.is_err() {
            return;
        }
        if let Some(left) = &mut left {
            *left -= passed;
            if *left == 0 {
                // What was sent gets through; then the connection is reset.
                let _ = client.set_zero_linger();
                return;
            }
        }
    }
}

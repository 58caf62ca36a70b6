//! From an address to an encrypted connection with a host whose key is known.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{self, Handle};
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Preferred, cipher};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Settings;
use super::known_hosts::KnownHosts;
use super::target::Target;
use crate::error::{Error, Result};

/// Fastest first where the processor has AES instructions, as every EC2 type does.
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_256_CTR,
    cipher::AES_192_CTR,
    cipher::AES_128_CTR,
];

/// Keepalives without an answer after which a connection counts as dead.
const KEEPALIVE_MISSES: usize = 3;

/// Our side of a connection: it judges the host's key.
pub struct Client {
    target: Target,
    known: Arc<KnownHosts>,
}

/// Why a handshake failed: in russh's words, or in ours about the host key.
#[derive(Debug)]
pub enum Refusal {
    Protocol(russh::Error),
    HostKey(Error),
}

impl From<russh::Error> for Refusal {
    fn from(error: russh::Error) -> Self {
        Refusal::Protocol(error)
    }
}

impl client::Handler for Client {
    type Error = Refusal;

    async fn check_server_key(&mut self, offered: &PublicKeyOrCertificate) -> Result<bool, Refusal> {
        // We ask for no certificates; a server that sends one all the same proves nothing to us.
        let PublicKeyOrCertificate::PublicKey { key, .. } = offered else { return Ok(false) };
        let (known, target, key) = (Arc::clone(&self.known), self.target.clone(), key.clone());
        tokio::task::spawn_blocking(move || known.verify(&target, &key))
            .await
            .map_err(|error| {
                Refusal::HostKey(Error::internal(format!("checking a host key failed: {error}")))
            })?
            .map_err(Refusal::HostKey)?;
        Ok(true)
    }
}

/// Connects over TCP and waits until a server speaks.
///
/// This is apart from [`encrypt`] so that hosts which are not up yet take up no handshake.
///
/// # Errors
/// Codes `ConnectionRefused`, `ConnectTimeout`, `HostUnreachable`, `AddressUnknown`,
/// `ConnectionLost`; all retryable.
pub async fn reach(target: &Target, limit: Duration) -> Result<TcpStream> {
    let connecting = TcpStream::connect((target.address.as_str(), target.port));
    let stream = match timeout(limit, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unreachable_because(target, &error)),
        Err(_) => {
            return Err(failure("ConnectTimeout", format!("{target} did not answer within {limit:?}"))
                .with_hint("is the address public, and does the security group allow this port?"));
        }
    };
    // A failure to set an option is no reason to give up a connection.
    let _ = stream.set_nodelay(true);
    match timeout(limit, stream.peek(&mut [0])).await {
        Ok(Ok(1..)) => Ok(stream),
        Ok(Ok(_)) => {
            Err(failure("ConnectionLost", format!("{target} accepted the connection and closed it")))
        }
        Ok(Err(error)) => Err(unreachable_because(target, &error)),
        Err(_) => {
            let message =
                format!("{target} accepted the connection but no SSH server spoke within {limit:?}");
            Err(failure("ConnectTimeout", message))
        }
    }
}

/// Exchanges keys and checks the host's.
///
/// # Errors
/// Code `HandshakeFailed` (retryable), `NoCommonAlgorithm`, or those of [`KnownHosts::verify`].
pub async fn encrypt(
    stream: TcpStream,
    target: &Target,
    settings: &Settings,
    known: &Arc<KnownHosts>,
) -> Result<Handle<Client>> {
    let (lookup, id) = (Arc::clone(known), target.id.clone());
    let pinned = tokio::task::spawn_blocking(move || lookup.lookup(&id))
        .await
        .map_err(|error| Error::internal(format!("reading the known hosts failed: {error}")))??;
    let config = client::Config {
        keepalive_interval: Some(settings.keepalive),
        keepalive_max: KEEPALIVE_MISSES,
        nodelay: true,
        preferred: Preferred {
            cipher: Cow::Borrowed(CIPHERS),
            key: Cow::Owned(key_algorithms(&pinned)),
            ..Preferred::DEFAULT
        },
        ..client::Config::default()
    };
    let client = Client { target: target.clone(), known: Arc::clone(known) };
    let limit = settings.connect_timeout;
    match timeout(limit, client::connect_stream(Arc::new(config), stream, client)).await {
        Ok(Ok(handle)) => Ok(handle),
        Ok(Err(Refusal::HostKey(error))) => Err(error),
        Ok(Err(Refusal::Protocol(error))) => Err(broken(target, error)),
        Err(_) => {
            Err(failure("HandshakeFailed", format!("{target} did not finish the handshake within {limit:?}")))
        }
    }
}

/// The host key algorithms to ask for: those of recorded keys first, so that a server with several
/// keys shows the one we know. SHA-1 signatures are not accepted.
fn key_algorithms(pinned: &[PublicKey]) -> Vec<Algorithm> {
    let all = Preferred::DEFAULT.key.iter().filter(|name| !matches!(name, Algorithm::Rsa { hash: None }));
    let is_pinned = |name: &Algorithm| {
        pinned.iter().any(|key| match name {
            Algorithm::Rsa { hash: Some(HashAlg::Sha512 | HashAlg::Sha256) } => key.algorithm().is_rsa(),
            name => key.algorithm() == *name,
        })
    };
    let (mut first, rest): (Vec<_>, Vec<_>) = all.cloned().partition(is_pinned);
    first.extend(rest);
    first
}

fn broken(target: &Target, error: russh::Error) -> Error {
    if let russh::Error::NoCommonAlgo { kind, ours, theirs } = &error {
        return Error::ssh(format!(
            "{target} and we have no {kind:?} algorithm in common: it offers {}, we accept {}",
            theirs.join(", "),
            ours.join(", ")
        ))
        .with_code("NoCommonAlgorithm");
    }
    failure("HandshakeFailed", format!("the SSH handshake with {target} failed: {error}")).with_source(error)
}

fn unreachable_because(target: &Target, error: &io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::ConnectionRefused => "ConnectionRefused",
        io::ErrorKind::TimedOut => "ConnectTimeout",
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "HostUnreachable",
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => "ConnectionLost",
        _ if error.raw_os_error().is_none() => "AddressUnknown",
        _ => "ConnectFailed",
    };
    failure(code, format!("cannot connect to {target}: {error}"))
}

fn failure(code: &str, message: String) -> Error {
    Error::ssh(message).with_code(code).retryable(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_key_type_is_asked_for_first() {
        let rsa = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDDzjh6ZAzEGTD1RnI6jRZcT9JW2ZAE1JCZv+6oOQWUpHGu4mmJg0m3+3sxuHn8P0Gx0gHC+V4Zq0Gr3SM1vD1Ys5fTn5BvYuVCi1h0Bz9qv5wGYwqmvYyqBwH6V9N4gLr3Jw3iXo4mGm1Yq1oZ8PTVq3Fq8mSxWbE0bYtv9cQ4mQ==";
        let names: Vec<String> = key_algorithms(&[]).iter().map(ToString::to_string).collect();
        assert_eq!(names.first().map(String::as_str), Some("ssh-ed25519"));
        assert!(!names.contains(&"ssh-rsa".to_owned()), "no SHA-1: {names:?}");
        let Ok(rsa) = PublicKey::from_openssh(rsa) else { panic!("a key in the test is broken") };
        let names: Vec<String> = key_algorithms(&[rsa]).iter().map(ToString::to_string).collect();
        assert_eq!(names[..3], ["rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519"]);
    }

    #[tokio::test]
    async fn a_closed_port_is_refused_and_a_silent_one_times_out() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = Target { id: "i-1".into(), address: "127.0.0.1".into(), port, user: "root".into() };
        let error = reach(&target, Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(error.code(), Some("ConnectTimeout"), "{error}");
        drop(listener);
        let error = reach(&target, Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(error.code(), Some("ConnectionRefused"), "{error}");
        assert!(error.is_retryable());
    }
}

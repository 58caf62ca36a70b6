//! From a stream of bytes to an encrypted connection with a host whose key is known.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use russh::client::{self, Handle};
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};
use russh::{Preferred, cipher};
use tokio::time::timeout;

use super::Settings;
use super::first_contact::FirstContact;
use super::known_hosts::KnownHosts;
use super::route::Route;
use super::stream::Carrier;
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
    is_hop: bool,
    known: Arc<KnownHosts>,
    first_contact: FirstContact,
    banner: Banner,
}

/// What a server says before it lets anybody in.
#[derive(Debug, Clone, Default)]
pub struct Banner(Arc<Mutex<String>>);

/// The most of a banner that is kept, in bytes.
const BANNER_LIMIT: usize = 4096;

impl Banner {
    /// What was said so far, without the space around it.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).trim().to_owned()
    }

    fn add(&self, text: &str) {
        let mut banner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = BANNER_LIMIT.saturating_sub(banner.len());
        banner.extend(text.chars().take(room));
    }
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
        let is_hop = self.is_hop;
        if !is_hop && !known.knows(&target, is_hop, &key).map_err(Refusal::HostKey)? {
            self.first_contact.judge(&known, &target, &key).await.map_err(Refusal::HostKey)?;
        }
        tokio::task::spawn_blocking(move || known.verify(&target, is_hop, &key))
            .await
            .map_err(|error| {
                Refusal::HostKey(Error::internal(format!("checking a host key failed: {error}")))
            })?
            .map_err(Refusal::HostKey)?;
        Ok(true)
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut client::Session) -> Result<(), Refusal> {
        self.banner.add(banner);
        Ok(())
    }
}

/// Exchanges keys and checks the host's.
///
/// # Errors
/// Codes `HandshakeFailed` and `HandshakeTimeout` (retryable), `NoCommonAlgorithm`, or those of
/// [`KnownHosts::verify`] and [`FirstContact::judge`].
pub async fn encrypt(
    stream: Box<dyn Carrier>,
    route: &Route,
    settings: &Settings,
    known: &Arc<KnownHosts>,
) -> Result<(Handle<Client>, Banner)> {
    let target = &route.target;
    let is_hop = route.is_hop;
    // Read before, or as small as a file of keys is: not worth a thread.
    let pinned = known.lookup(&target.id, is_hop)?;
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
    let banner = Banner::default();
    let client = Client {
        target: target.clone(),
        is_hop,
        known: Arc::clone(known),
        first_contact: settings.first_contact.clone(),
        banner: banner.clone(),
    };
    let limit = settings.connect_timeout;
    match timeout(limit, client::connect_stream(Arc::new(config), stream, client)).await {
        Ok(Ok(handle)) => Ok((handle, banner)),
        Ok(Err(Refusal::HostKey(error))) => Err(error),
        Ok(Err(Refusal::Protocol(error))) => Err(broken(target, error)),
        Err(_) => {
            let message = format!("{target} did not finish the handshake within {limit:?}");
            Err(failure("HandshakeTimeout", message))
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
}

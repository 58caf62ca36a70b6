//! Whether the key that a host shows at the first contact is its own.
//!
//! SSH itself cannot tell: the first key is believed. But a new instance prints its keys on its console, which
//! EC2 tells over a connection of its own. What it says there decides, if it can be had.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use russh::keys::PublicKey;
use tokio::time::timeout;

use super::known_hosts::{KnownHosts, fingerprint};
use super::target::Target;
use crate::error::{Error, Result};

/// A connection is not kept waiting longer for what a witness says.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells the public keys of a host, as lines of OpenSSH's.
type Asked = dyn Fn(Target) -> BoxFuture<'static, Result<Vec<String>>> + Send + Sync;

/// Somebody who knows the keys of hosts by another way than SSH.
#[derive(Clone)]
pub struct Witness(Arc<Asked>);

impl Witness {
    /// Calls `ask` for each host that was never met; no keys: it does not know, or not yet.
    pub fn new(
        ask: impl Fn(Target) -> BoxFuture<'static, Result<Vec<String>>> + Send + Sync + 'static,
    ) -> Self {
        Witness(Arc::new(ask))
    }

    async fn ask(&self, target: &Target) -> Result<Vec<PublicKey>> {
        let lines = match timeout(PATIENCE, (self.0)(target.clone())).await {
            Ok(lines) => lines?,
            Err(_) => return Err(Error::ssh(format!("no answer within {PATIENCE:?}"))),
        };
        Ok(lines.iter().filter_map(|line| PublicKey::from_openssh(line).ok()).collect())
    }
}

impl fmt::Debug for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Witness")
    }
}

/// What is asked of the key that a host shows at the first contact.
#[derive(Debug, Clone, Default)]
pub enum FirstContact {
    /// Nothing: it is recorded.
    #[default]
    Trust,
    /// That the witness, if it knows, tells the same.
    Ask(Witness),
    /// That the witness tells the same.
    Require(Witness),
}

impl FirstContact {
    /// Judges the key of a host that was never met.
    ///
    /// # Errors
    /// Code `HostKeyForged` if the witness tells other keys; `HostKeyUnconfirmed` (retryable) if it has to
    /// tell and does not.
    pub(super) async fn judge(&self, known: &KnownHosts, target: &Target, offered: &PublicKey) -> Result<()> {
        let (witness, required) = match self {
            FirstContact::Trust => return Ok(()),
            FirstContact::Ask(witness) => (witness, false),
            FirstContact::Require(witness) => (witness, true),
        };
        let reason = match witness.ask(target).await {
            Ok(keys) if keys.is_empty() => "it has not printed its keys on its console yet".to_owned(),
            Ok(keys) if tells(&keys, offered) => return Ok(()),
            Ok(keys) => return Err(forged(target, offered, &keys)),
            Err(error) => format!("its console cannot be read: {}", error.message()),
        };
        if required {
            let message =
                format!("the host key of {target}, {}, is not confirmed: {reason}", fingerprint(offered));
            return Err(Error::ssh(message).with_code("HostKeyUnconfirmed").retryable(true).with_hint(
                "wait until it has booted; or have the first key believed: first_contact = \"console\" in [ssh]",
            ));
        }
        known.note_unconfirmed(&target.id);
        Ok(())
    }

    /// Judges once more, of a host that has booted meanwhile, what could not be judged at the first contact.
    /// The record of a key that turns out to be forged is taken back.
    ///
    /// # Errors
    /// Code `HostKeyForged`; kind `state` if the known hosts cannot be read or written.
    pub(super) async fn confirm(&self, known: &KnownHosts, target: &Target) -> Result<()> {
        let FirstContact::Ask(witness) = self else { return Ok(()) };
        if !known.take_unconfirmed(&target.id) {
            return Ok(());
        }
        // Who does not know now either leaves things as they are.
        let keys = witness.ask(target).await.unwrap_or_default();
        let recorded = known.lookup(&target.id, false)?;
        let Some(first) = recorded.first() else { return Ok(()) };
        if keys.is_empty() || recorded.iter().any(|key| tells(&keys, key)) {
            return Ok(());
        }
        known.forget(&target.id)?;
        Err(forged(target, first, &keys))
    }
}

fn tells(keys: &[PublicKey], offered: &PublicKey) -> bool {
    keys.iter().any(|key| key.key_data() == offered.key_data())
}

fn forged(target: &Target, offered: &PublicKey, keys: &[PublicKey]) -> Error {
    let told: Vec<String> = keys.iter().map(fingerprint).collect();
    Error::ssh(format!(
        "{target} shows the host key {}, but its console tells {}",
        fingerprint(offered),
        told.join(", ")
    ))
    .with_code("HostKeyForged")
    .with_hint("somebody else answers at its address: send nothing there, and destroy the instance")
}

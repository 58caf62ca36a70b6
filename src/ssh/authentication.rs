//! Proving who we are: key files and their certificates first, then what ssh-agent holds.

use std::path::Path;
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Certificate, HashAlg, PrivateKeyWithHashAlg, PublicKey};
use russh::{MethodKind, MethodSet};
use tokio::net::UnixStream;

use super::handshake::Client;
use super::keyring::Loaded;
use super::known_hosts::fingerprint;
use super::quote;
use super::route::Credentials;
use super::target::Target;
use crate::error::{Error, Result};

/// What became of one key.
enum Offer {
    Accepted,
    Rejected,
    /// The server wants no more keys: why.
    Final(String),
}

/// A login under way.
pub struct Login<'a> {
    handle: &'a mut Handle<Client>,
    target: &'a Target,
    loaded: &'a Loaded,
    offered: Vec<String>,
}

impl<'a> Login<'a> {
    /// A login with keys that were loaded before.
    pub fn new(handle: &'a mut Handle<Client>, target: &'a Target, loaded: &'a Loaded) -> Self {
        Login { handle, target, loaded, offered: Vec::new() }
    }

    /// Logs in with the first key the server takes.
    ///
    /// # Errors
    /// Code `KeyRejected` if the server takes none, `NoKey` if there is none to offer;
    /// `ConnectionLost`, retryable, if the connection breaks.
    pub async fn go(mut self, credentials: &Credentials) -> Result<()> {
        if self.offer_files().await? {
            return Ok(());
        }
        let mut problem = None;
        if let Some(socket) = &credentials.agent {
            match self.ask_agent(socket, credentials.only).await? {
                Asked::LoggedIn => return Ok(()),
                Asked::Not(reason) => problem = reason,
            }
        }
        if self.offered.is_empty() {
            return Err(self.loaded.no_key(problem));
        }
        Err(self.rejected(problem.as_deref()))
    }

    async fn offer_files(&mut self) -> Result<bool> {
        for identity in &self.loaded.identities {
            let public = identity.key.public_key();
            let shown = identity.path.display();
            // russh signs with an RSA certificate the SHA-1 way, which no server of today accepts.
            let usable = |certificate: &&Certificate| !certificate.algorithm().is_rsa();
            for certificate in self.loaded.certificates_of(public).filter(usable) {
                let label = format!("{shown} with certificate \"{}\"", certificate.key_id());
                let (user, key) = (self.target.user.clone(), Arc::clone(&identity.key));
                let answer = self.handle.authenticate_openssh_cert(user, key, certificate.clone()).await;
                if self.judge(label, answer.map_err(|error| error.to_string()))? {
                    return Ok(true);
                }
            }
            let label = format!("{shown} {}", fingerprint(public));
            let hash = rsa_hash(self.handle, public.algorithm().is_rsa()).await;
            let key = PrivateKeyWithHashAlg::new(Arc::clone(&identity.key), hash);
            let answer = self.handle.authenticate_publickey(self.target.user.clone(), key).await;
            if self.judge(label, answer.map_err(|error| error.to_string()))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Offers what the agent holds; `only` what was named, if that is wanted.
    async fn ask_agent(&mut self, socket: &Path, only: bool) -> Result<Asked> {
        let (mut agent, held) = match identities_of(socket).await {
            Ok(connected) => connected,
            Err(error) => return Ok(Asked::Not(Some(format!("ssh-agent did not answer: {error}")))),
        };
        let mut problem = None;
        for identity in held {
            let (public, comment) = match &identity {
                AgentIdentity::PublicKey { key, comment } => (key.clone(), comment.clone()),
                AgentIdentity::Certificate { certificate, comment } => {
                    (PublicKey::from(certificate.public_key().clone()), comment.clone())
                }
            };
            if only && !self.loaded.names(&public) {
                continue;
            }
            let certificates: Vec<Certificate> = match &identity {
                AgentIdentity::Certificate { certificate, .. } => vec![certificate.clone()],
                AgentIdentity::PublicKey { .. } => self.loaded.certificates_of(&public).cloned().collect(),
            };
            let hash = rsa_hash(self.handle, public.algorithm().is_rsa()).await;
            for certificate in certificates {
                let label = format!("agent certificate \"{}\"", certificate.key_id());
                let user = self.target.user.clone();
                let answer =
                    self.handle.authenticate_certificate_with(user, certificate, hash, &mut agent).await;
                if self.judge_agent(label, answer, &mut problem)? {
                    return Ok(Asked::LoggedIn);
                }
            }
            // A file of this key was offered already.
            let tried =
                self.loaded.identities.iter().any(|own| own.key.public_key().key_data() == public.key_data());
            if tried || matches!(identity, AgentIdentity::Certificate { .. }) {
                continue;
            }
            let label = format!("agent key {comment} {}", fingerprint(&public));
            let user = self.target.user.clone();
            let answer = self.handle.authenticate_publickey_with(user, public, hash, &mut agent).await;
            if self.judge_agent(label, answer, &mut problem)? {
                return Ok(Asked::LoggedIn);
            }
        }
        Ok(Asked::Not(problem))
    }

    fn judge_agent(
        &mut self,
        label: String,
        answer: Result<AuthResult, russh::AgentAuthError>,
        problem: &mut Option<String>,
    ) -> Result<bool> {
        match answer {
            // The agent would not sign: that says nothing about the next key.
            Err(russh::AgentAuthError::Key(error)) => {
                self.offered.push(label);
                *problem = Some(format!("ssh-agent would not sign: {error}"));
                Ok(false)
            }
            answer => self.judge(label, answer.map_err(|error| error.to_string())),
        }
    }

    /// Whether the server lets us in.
    fn judge(&mut self, label: String, answer: Result<AuthResult, String>) -> Result<bool> {
        self.offered.push(label);
        match verdict(answer, self.handle, self.target, self.offered.len())? {
            Offer::Accepted => Ok(true),
            Offer::Rejected => Ok(false),
            Offer::Final(reason) => Err(self.rejected(Some(&reason))),
        }
    }

    fn rejected(&self, reason: Option<&str>) -> Error {
        let mut message = format!("{} rejected every key offered: {}", self.target, self.offered.join(", "));
        if let Some(reason) = reason {
            message.push_str(&format!("; {reason}"));
        }
        let hint = match self.loaded.unusable.first().and_then(Error::hint) {
            Some(hint) => hint.to_owned(),
            None => format!(
                "check the user name ({}) and that the matching public key is in its ~/.ssh/authorized_keys",
                quote(&self.target.user)
            ),
        };
        Error::ssh(message).with_code("KeyRejected").with_hint(hint)
    }
}

enum Asked {
    LoggedIn,
    Not(Option<String>),
}

/// Connects to an agent and asks what it holds.
pub async fn identities_of(
    socket: &Path,
) -> Result<(AgentClient<UnixStream>, Vec<AgentIdentity>), russh::keys::Error> {
    let mut agent = AgentClient::connect_uds(socket).await?;
    let identities = agent.request_identities().await?;
    Ok((agent, identities))
}

/// The hash for an RSA signature: the best the server names, SHA-512 if it names none. Never SHA-1.
async fn rsa_hash(handle: &Handle<Client>, is_rsa: bool) -> Option<HashAlg> {
    if !is_rsa {
        return None;
    }
    match handle.best_supported_rsa_hash().await {
        Ok(Some(Some(hash))) => Some(hash),
        _ => Some(HashAlg::Sha512),
    }
}

fn verdict(
    answer: Result<AuthResult, String>,
    handle: &Handle<Client>,
    target: &Target,
    offered: usize,
) -> Result<Offer> {
    let (remaining, partial) = match answer {
        Ok(AuthResult::Success) => return Ok(Offer::Accepted),
        Ok(AuthResult::Failure { remaining_methods, partial_success }) => {
            (remaining_methods, partial_success)
        }
        Err(error) => return Err(lost(target).context(error)),
    };
    // sshd hangs up after `MaxAuthTries` wrong keys; a hang-up at the first one is something else.
    if remaining.is_empty() && !partial {
        if offered > 1 {
            return Ok(Offer::Final("the server hung up: too many keys were tried".to_owned()));
        }
        if handle.is_closed() {
            return Err(lost(target));
        }
    }
    if partial {
        return Ok(Offer::Final(format!("the server wants more than a key: {}", names(&remaining))));
    }
    if !remaining.is_empty() && !remaining.contains(&MethodKind::PublicKey) {
        return Ok(Offer::Final(format!("the server takes no keys, only {}", names(&remaining))));
    }
    Ok(Offer::Rejected)
}

fn names(methods: &MethodSet) -> String {
    methods.iter().map(<&str>::from).collect::<Vec<_>>().join(", ")
}

fn lost(target: &Target) -> Error {
    Error::ssh(format!("{target} closed the connection during login"))
        .with_code("ConnectionLost")
        .retryable(true)
}

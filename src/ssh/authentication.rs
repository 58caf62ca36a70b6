//! Proving who we are: key files first, then the keys of ssh-agent.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{MethodKind, MethodSet};
use tokio::sync::OnceCell;

use super::handshake::Client;
use super::known_hosts::fingerprint;
use super::target::Target;
use super::{keys, quote};
use crate::error::{Error, Result};

/// The keys we can log in with; the files are read once, at the first login.
pub struct Keyring {
    identities: Vec<PathBuf>,
    use_agent: bool,
    loaded: OnceCell<Arc<Loaded>>,
}

#[derive(Default)]
struct Loaded {
    keys: Vec<(PathBuf, Arc<PrivateKey>)>,
    /// Files that are there but have a passphrase: perhaps the agent holds them.
    encrypted: Vec<Error>,
    missing: Vec<Error>,
}

/// What became of one key.
enum Offer {
    Accepted,
    Rejected,
    /// The server wants no more keys: why.
    Final(String),
}

impl Keyring {
    /// A ring of key files and, if wanted, the agent at `SSH_AUTH_SOCK`.
    pub fn new(identities: Vec<PathBuf>, use_agent: bool) -> Self {
        Keyring { identities, use_agent, loaded: OnceCell::new() }
    }

    /// The first key file that exists, to show in a command line.
    pub fn shown(&self) -> Option<&Path> {
        self.identities.iter().find(|path| path.exists()).map(PathBuf::as_path)
    }

    /// Logs in with the first key the server takes.
    ///
    /// # Errors
    /// Code `KeyRejected` if the server takes none, `NoKey` if there is none to offer; those of
    /// [`keys::load`]; `ConnectionLost`, retryable, if the connection breaks.
    pub async fn log_in(&self, handle: &mut Handle<Client>, target: &Target) -> Result<()> {
        let loaded = self.loaded.get_or_try_init(|| self.load()).await?;
        let mut offered = Vec::new();
        for (path, key) in &loaded.keys {
            let label = format!("{} {}", path.display(), fingerprint(key.public_key()));
            let hash = rsa_hash(handle, key.public_key()).await;
            let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
            let answer = handle.authenticate_publickey(target.user.clone(), key).await;
            offered.push(label);
            match judge(answer.map_err(|error| error.to_string()), handle, target, offered.len())? {
                Offer::Accepted => return Ok(()),
                Offer::Rejected => {}
                Offer::Final(reason) => return Err(rejected(target, &offered, Some(&reason), loaded)),
            }
        }
        let agent_problem = match self.use_agent {
            true => match self.ask_agent(handle, target, loaded, &mut offered).await? {
                Asked::LoggedIn => return Ok(()),
                Asked::Not(problem) => problem,
            },
            false => None,
        };
        if offered.is_empty() {
            return Err(no_key(loaded, agent_problem));
        }
        Err(rejected(target, &offered, agent_problem.as_deref(), loaded))
    }

    async fn load(&self) -> Result<Arc<Loaded>> {
        let paths = self.identities.clone();
        let read = move || {
            let mut loaded = Loaded::default();
            for path in paths {
                match keys::load(&path) {
                    Ok(key) => loaded.keys.push((path, Arc::new(key))),
                    Err(error) if error.code() == Some("KeyEncrypted") => loaded.encrypted.push(error),
                    Err(error) if error.code() == Some("NoSuchKey") => loaded.missing.push(error),
                    Err(error) => return Err(error),
                }
            }
            Ok(Arc::new(loaded))
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|error| Error::internal(format!("reading the private keys failed: {error}")))?
    }

    async fn ask_agent(
        &self,
        handle: &mut Handle<Client>,
        target: &Target,
        loaded: &Loaded,
        offered: &mut Vec<String>,
    ) -> Result<Asked> {
        if std::env::var_os("SSH_AUTH_SOCK").is_none() {
            return Ok(Asked::Not(None));
        }
        let connected = async {
            let mut agent = AgentClient::connect_env().await?;
            let identities = agent.request_identities().await?;
            Ok::<_, russh::keys::Error>((agent, identities))
        };
        let (mut agent, identities) = match connected.await {
            Ok(connected) => connected,
            Err(error) => return Ok(Asked::Not(Some(format!("ssh-agent did not answer: {error}")))),
        };
        let mut problem = None;
        for identity in identities {
            let AgentIdentity::PublicKey { key, comment } = identity else { continue };
            if loaded.keys.iter().any(|(_, known)| known.public_key().key_data() == key.key_data()) {
                continue;
            }
            let hash = rsa_hash(handle, &key).await;
            offered.push(format!("agent key {comment} {}", fingerprint(&key)));
            let answer = handle.authenticate_publickey_with(target.user.clone(), key, hash, &mut agent).await;
            let answer = match answer {
                // The agent would not sign: that says nothing about the next key.
                Err(russh::AgentAuthError::Key(error)) => {
                    problem = Some(format!("ssh-agent would not sign: {error}"));
                    continue;
                }
                answer => answer.map_err(|error| error.to_string()),
            };
            match judge(answer, handle, target, offered.len())? {
                Offer::Accepted => return Ok(Asked::LoggedIn),
                Offer::Rejected => {}
                Offer::Final(reason) => return Err(rejected(target, offered, Some(&reason), loaded)),
            }
        }
        Ok(Asked::Not(problem))
    }
}

enum Asked {
    LoggedIn,
    Not(Option<String>),
}

/// The hash for an RSA signature: the best the server names, SHA-512 if it names none. Never SHA-1.
async fn rsa_hash(handle: &Handle<Client>, key: &PublicKey) -> Option<HashAlg> {
    if !key.algorithm().is_rsa() {
        return None;
    }
    match handle.best_supported_rsa_hash().await {
        Ok(Some(Some(hash))) => Some(hash),
        _ => Some(HashAlg::Sha512),
    }
}

fn judge(
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

fn rejected(target: &Target, offered: &[String], reason: Option<&str>, loaded: &Loaded) -> Error {
    let mut message = format!("{target} rejected every key offered: {}", offered.join(", "));
    if let Some(reason) = reason {
        message.push_str(&format!("; {reason}"));
    }
    let hint = match loaded.encrypted.first().and_then(Error::hint) {
        Some(hint) => hint.to_owned(),
        None => format!(
            "check the user name ({}) and that the matching public key is in its ~/.ssh/authorized_keys",
            quote(&target.user)
        ),
    };
    Error::ssh(message).with_code("KeyRejected").with_hint(hint)
}

fn no_key(loaded: &Loaded, agent_problem: Option<String>) -> Error {
    if let Some(error) = loaded.encrypted.first().or(loaded.missing.first()) {
        return error.clone();
    }
    let mut message = "there is no key to log in with".to_owned();
    if let Some(problem) = agent_problem {
        message.push_str(&format!("; {problem}"));
    }
    Error::config(message)
        .with_code("NoKey")
        .with_hint("name a private key file, or add one to ssh-agent: ssh-add ~/.ssh/id_ed25519")
}

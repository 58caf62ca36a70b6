//! Imported key pairs.

use serde::{Deserialize, Serialize};

use crate::sandbox::ec2::moment::Moment;

/// The public half of a key pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct KeyPair {
    pub id: String,
    pub name: String,
    /// An OpenSSH line: type, key, perhaps a comment.
    pub public_key: String,
    pub fingerprint: String,
    /// `rsa` or `ed25519`.
    pub kind: String,
    pub created: Moment,
}

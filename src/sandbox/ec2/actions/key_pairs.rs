//! Key pairs: CreateKeyPair, ImportKeyPair, DescribeKeyPairs, DeleteKeyPair.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use sha2::{Digest, Sha256};

use super::{Call, chosen};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, Filters, one};
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::key_pair::KeyPair;
use crate::sandbox::ec2::router::{Answer, FILTER, Operation};
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write("ImportKeyPair", import, &[&["*KeyName", "*PublicKeyMaterial"], TAG_SPECIFICATION]),
    Operation::write("CreateKeyPair", create, &[&["*KeyName", "KeyType", "KeyFormat"], TAG_SPECIFICATION]),
    Operation::read(
        "DescribeKeyPairs",
        describe,
        &[&["KeyName.N", "KeyPairId.N", "IncludePublicKey"], FILTER],
    ),
    Operation::write("DeleteKeyPair", delete, &[&["KeyName", "KeyPairId"]]),
];

const FIELDS: &[Field<KeyPair>] = &[
    ("key-name", |key, _| one(&key.name)),
    ("key-pair-id", |key, _| one(&key.id)),
    ("fingerprint", |key, _| one(&key.fingerprint)),
];

/// A name that a new key pair can have.
fn new_name<'a>(call: &Call<'a>) -> Result<&'a str, Fault> {
    let name = call.params.required("KeyName")?;
    let allowed = name.chars().all(|c| (' '..='~').contains(&c));
    if name.chars().count() > 255 || !allowed || name.trim() != name {
        return Err(Fault::value_of("keyName", name, "At most 255 ASCII characters are allowed"));
    }
    if call.region.key_pairs.contains_key(name) {
        return Err(Fault::new("InvalidKeyPair.Duplicate", "The keypair already exists"));
    }
    Ok(name)
}

/// Makes a key pair of type ED25519; only this answer has its private half.
fn create(call: &mut Call<'_>) -> Answer {
    let name = new_name(call)?;
    match call.params.text("KeyType") {
        Some("ed25519") => {}
        None | Some("rsa") => {
            let message = "the sandbox makes key pairs with KeyType=ed25519 only; import one of another type";
            return Err(Fault::unsupported(message));
        }
        Some(other) => return Err(Fault::value(format!("Invalid value '{other}' for KeyType."))),
    }
    match call.params.text("KeyFormat") {
        None | Some("pem") => {}
        Some("ppk") => return Err(Fault::unsupported("the sandbox tells private keys in PEM only")),
        Some(other) => return Err(Fault::value(format!("Invalid value '{other}' for KeyFormat."))),
    }
    let failed = |_| Fault::internal("the sandbox failed to make a key");
    let private = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(failed)?;
    let line = private.public_key().to_openssh().map_err(failed)?;
    let material = private.to_openssh(LineEnding::LF).map_err(failed)?;
    let (public_key, kind, blob) = public_key(&STANDARD.encode(line))?;
    let mut xml = add(call, name, public_key, kind, &blob)?;
    xml.text("keyMaterial", material.as_str());
    Ok(xml)
}

fn import(call: &mut Call<'_>) -> Answer {
    let name = new_name(call)?;
    let (public_key, kind, blob) = public_key(call.params.required("PublicKeyMaterial")?)?;
    add(call, name, public_key, kind, &blob)
}

/// Keeps a key pair and tells it.
fn add(call: &mut Call<'_>, name: &str, public_key: String, kind: &str, blob: &[u8]) -> Answer {
    let tags = tags::specified(call.params, "key-pair")?;
    let pair = KeyPair {
        id: id::KEY_PAIR.draw(&call.region.chance),
        name: name.to_owned(),
        public_key,
        fingerprint: fingerprint(kind, blob),
        kind: kind.to_owned(),
        created: call.now,
    };
    call.region.tag(&pair.id, &tags);
    let mut xml = Xml::new();
    xml.text("keyName", &pair.name).text("keyFingerprint", &pair.fingerprint).text("keyPairId", &pair.id);
    tags::write(&mut xml, call.region.tags.get(&pair.id));
    call.region.key_pairs.insert(name.to_owned(), pair);
    Ok(xml)
}

/// The OpenSSH line in the base64 of a request, its kind and its key.
fn public_key(material: &str) -> Result<(String, &'static str, Vec<u8>), Fault> {
    let wrong = || Fault::new("InvalidKey.Format", "Key is not in valid OpenSSH public key format");
    let line = STANDARD.decode(material.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let line = line.ok_or_else(wrong)?.trim().to_owned();
    let mut words = line.split_ascii_whitespace();
    let algorithm = words.next().ok_or_else(wrong)?;
    let kind = match algorithm {
        "ssh-ed25519" => "ed25519",
        "ssh-rsa" => "rsa",
        _ => return Err(wrong()),
    };
    let blob = words.next().and_then(|key| STANDARD.decode(key).ok()).ok_or_else(wrong)?;
    // The key repeats its algorithm, with its length before it.
    let mut start = (algorithm.len() as u32).to_be_bytes().to_vec();
    start.extend_from_slice(algorithm.as_bytes());
    if !blob.starts_with(&start) || line.contains(['\n', '\r']) {
        return Err(wrong());
    }
    Ok((line, kind, blob))
}

/// Base64 of SHA-256 for ED25519, as in EC2. For RSA, EC2 shows an MD5; the sandbox shows sixteen
/// bytes in the same form, of SHA-256.
fn fingerprint(kind: &str, blob: &[u8]) -> String {
    let digest = Sha256::digest(blob);
    if kind == "ed25519" {
        return STANDARD.encode(digest);
    }
    let pairs: Vec<String> = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    pairs.join(":")
}

fn describe(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, FIELDS)?;
    let include = call.params.flag("IncludePublicKey")?.unwrap_or(false);
    let names = call.params.list("KeyName");
    if let Some(unknown) = names.iter().find(|name| !call.region.key_pairs.contains_key(**name)) {
        return Err(missing(unknown));
    }
    let by_id: BTreeMap<String, &KeyPair> =
        call.region.key_pairs.values().map(|key| (key.id.clone(), key)).collect();
    let mut kept: Vec<&KeyPair> = chosen(&by_id, &id::KEY_PAIR, &call.params.list("KeyPairId"))?
        .into_iter()
        .map(|(_, key)| *key)
        .filter(|key| names.is_empty() || names.contains(&key.name.as_str()))
        .filter(|key| filters.accept(key, call.region, call.region.tags.get(&key.id)))
        .collect();
    kept.sort_by(|one, other| one.name.cmp(&other.name));
    let mut xml = Xml::new();
    xml.set("keySet", kept, |xml, key| {
        xml.text("keyPairId", &key.id).text("keyName", &key.name).text("keyType", &key.kind);
        xml.text("keyFingerprint", &key.fingerprint).time("createTime", key.created);
        xml.optional("publicKey", include.then_some(&key.public_key));
        tags::write(xml, call.region.tags.get(&key.id));
    });
    Ok(xml)
}

/// The error about a key pair name that is not known.
pub(super) fn missing(name: &str) -> Fault {
    Fault::new("InvalidKeyPair.NotFound", format!("The key pair '{name}' does not exist"))
}

/// Deletes a key pair; one that does not exist is no error, as in EC2.
fn delete(call: &mut Call<'_>) -> Answer {
    let name = match (call.params.text("KeyName"), call.params.text("KeyPairId")) {
        (Some(name), _) => Some(name.to_owned()),
        (None, Some(id)) => {
            id::KEY_PAIR.check(id)?;
            call.region.key_pairs.values().find(|key| key.id == id).map(|key| key.name.clone())
        }
        (None, None) => return Err(Fault::missing("KeyName or KeyPairId")),
    };
    let gone = name.and_then(|name| call.region.key_pairs.remove(&name));
    let mut xml = Xml::new();
    xml.text("return", true);
    if let Some(key) = gone {
        call.region.tags.remove(&key.id);
        xml.text("keyPairId", key.id);
    }
    Ok(xml)
}

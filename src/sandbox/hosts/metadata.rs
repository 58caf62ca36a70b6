//! What the instance metadata service of a host tells; `guest/metadata.pl` serves it inside.
//!
//! The network of a host is its own, so the service listens there, on a loopback address of the host,
//! and every session finds it through `AWS_EC2_METADATA_SERVICE_ENDPOINT`, the variable that the AWS
//! SDKs know. What it tells are files that only the outside can write.

use std::path::{Path, PathBuf};

use super::spec::HostSpec;

/// The folder within `runtime`.
const FOLDER: &str = "metadata";

/// The file of a path such as `spot/instance-action`, below `latest/meta-data`.
pub(super) fn file(runtime: &Path, path: &str) -> PathBuf {
    runtime.join(FOLDER).join("latest/meta-data").join(path)
}

/// Everything that is known of an instance from its launch on: path and content.
pub(super) fn of(spec: &HostSpec) -> Vec<(String, Vec<u8>)> {
    let document = serde_json::json!({
        "accountId": "123456789012",
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" },
        "availabilityZone": spec.zone,
        "imageId": spec.image_id,
        "instanceId": spec.id,
        "instanceType": spec.instance_type,
        "privateIp": spec.private_ip,
        "region": spec.region,
        "version": "2017-09-30",
    });
    let name = spec.hostname();
    let address = spec.address.to_string();
    let plain = [
        ("ami-id", spec.image_id.as_str()),
        ("hostname", &name),
        ("instance-id", &spec.id),
        ("instance-type", &spec.instance_type),
        ("local-hostname", &name),
        ("local-ipv4", &spec.private_ip),
        ("public-ipv4", &address),
        ("placement/availability-zone", &spec.zone),
        ("placement/region", &spec.region),
        ("ami-launch-index", "0"),
        ("instance-action", "none"),
        ("services/domain", "amazonaws.com"),
        ("services/partition", "aws"),
    ];
    let mut all: Vec<(String, Vec<u8>)> = plain
        .into_iter()
        .map(|(path, text)| (format!("{FOLDER}/latest/meta-data/{path}"), text.as_bytes().to_vec()))
        .collect();
    for (number, key) in spec.authorized_keys.iter().enumerate() {
        let path = format!("{FOLDER}/latest/meta-data/public-keys/{number}/openssh-key");
        all.push((path, format!("{}\n", key.trim_end()).into_bytes()));
    }
    for (key, value) in spec.metadata_tags.iter().flatten().filter(|(key, _)| is_tag(key)) {
        all.push((format!("{FOLDER}/latest/meta-data/tags/instance/{key}"), value.as_bytes().to_vec()));
    }
    if let Some(data) = spec.user_data.as_ref().filter(|data| !data.is_empty()) {
        all.push((format!("{FOLDER}/latest/user-data"), data.clone()));
    }
    if spec.metadata_v1 {
        all.push((format!("{FOLDER}/v1"), Vec::new()));
    }
    let path = format!("{FOLDER}/latest/dynamic/instance-identity/document");
    all.push((path, format!("{document:#}").into_bytes()));
    all
}

/// Takes away what an instance may no longer have when it starts again: its tags, and version 1.
pub(super) fn forget(runtime: &Path) -> std::io::Result<()> {
    let gone = |result: std::io::Result<()>| match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    };
    gone(std::fs::remove_dir_all(file(runtime, "tags")))?;
    gone(std::fs::remove_file(runtime.join(FOLDER).join("v1")))
}

/// Whether a tag can be told, as EC2 has it: its key has no space and no slash, and is not `.`, `..` or `_index`.
fn is_tag(key: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+-=.,_:@".contains(&b);
    !key.is_empty()
        && key.bytes().all(plain)
        && !matches!(key, "." | ".." | "_index")
        && !key.starts_with('.')
}

/// Whether a path is one of plain names, none of which leads out of the folder.
pub(super) fn is_plain(path: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    path.split('/').all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_their_folder() {
        assert!(is_plain("spot/instance-action"));
        for bad in ["", "/etc", "a//b", "../x", "a/../b", "a b"] {
            assert!(!is_plain(bad), "{bad}");
        }
    }
}

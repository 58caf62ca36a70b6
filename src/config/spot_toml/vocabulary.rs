//! Where a key belongs that stands in the wrong section, or comes from another tool.

use crate::config::suggestion::nearest;

/// The sections and their keys, to say where a misplaced key belongs. A test keeps it complete.
pub(super) const SECTIONS: &[(&str, &[&str])] = &[
    ("project", &["name", "deployment", "state", "state_kms_key"]),
    (
        "fleet",
        &[
            "count",
            "regions",
            "types",
            "image",
            "market",
            "max_price",
            "max_hourly",
            "on_demand_base",
            "spot_percent",
            "on_demand_fallback",
            "on_failure",
            "ttl",
            "strategy",
            "spread",
            "disk_gb",
            "disk_iops",
            "disk_throughput",
            "disk_encrypted",
            "disk_kms_key",
            "instance_profile",
            "placement_group",
            "user",
            "public_ip",
            "region",
        ],
    ),
    ("network", &["dedicated", "ssh_from", "ports", "vpc_id", "subnets", "ipv6"]),
    ("aws", &["connect_timeout", "read_timeout", "attempts", "retry_timeout"]),
    (
        "ssh",
        &["private_key", "public_key", "port", "address", "first_contact", "connect_timeout", "wait_timeout"],
    ),
    (
        "deploy",
        &[
            "files",
            "archives",
            "packages",
            "secrets",
            "services",
            "setup",
            "setup_timeout",
            "environment",
            "hooks",
            "ready",
        ],
    ),
    ("tags", &[]),
];

/// What other tools call it: Spot Deployer, Terraform, the AWS CLI, and those who guess.
pub(super) const ALSO_KNOWN_AS: &[(&str, &str, &str)] = &[
    ("total_instances", "count", "fleet"),
    ("instances", "count", "fleet"),
    ("instance_count", "count", "fleet"),
    ("machine_type", "types", "fleet"),
    ("instance_type", "types", "fleet"),
    ("instance_types", "types", "fleet"),
    ("ami", "image", "fleet"),
    ("spot_price_limit", "max_price", "fleet"),
    ("spot_price", "max_price", "fleet"),
    ("instance_storage_gb", "disk_gb", "fleet"),
    ("username", "user", "fleet"),
    ("associate_public_ip", "public_ip", "fleet"),
    ("use_dedicated_vpc", "dedicated", "network"),
    ("vpc", "vpc_id", "network"),
    ("subnet_id", "subnets", "network"),
    ("iam_instance_profile", "instance_profile", "fleet"),
    ("allocation_strategy", "strategy", "fleet"),
    ("budget", "max_hourly", "fleet"),
    ("retries", "attempts", "aws"),
    ("public_ssh_key_path", "public_key", "ssh"),
    ("private_ssh_key_path", "private_key", "ssh"),
    ("key", "private_key", "ssh"),
    ("timeout", "wait_timeout", "ssh"),
    ("files_directory", "files", "deploy"),
    ("startup_script", "setup", "deploy"),
    ("script", "setup", "deploy"),
    ("env", "environment", "deploy"),
    ("uploads", "files", "deploy"),
    ("scripts", "setup", "deploy"),
    ("tarballs", "archives", "deploy"),
    ("units", "services", "deploy"),
    ("health", "ready", "deploy"),
];

/// Where a key belongs that is unknown in this section.
pub(super) fn elsewhere(section: &str, key: &str) -> Option<String> {
    if let Some((name, _)) = SECTIONS.iter().find(|(name, keys)| *name != section && keys.contains(&key)) {
        return Some(format!("`{key}` belongs in [{name}]"));
    }
    if let Some((_, name, home)) = ALSO_KNOWN_AS.iter().find(|(other, _, _)| *other == key) {
        let place = if *home == section { "here".to_owned() } else { format!("in [{home}]") };
        return Some(format!("it is called `{name}` {place}"));
    }
    let meant = nearest(key, SECTIONS.iter().flat_map(|(_, keys)| keys.iter().copied()))?;
    let (home, _) = SECTIONS.iter().find(|(_, keys)| keys.contains(&meant))?;
    Some(format!("did you mean `{meant}` in [{home}]?"))
}

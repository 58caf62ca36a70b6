//! The options that natives take, by function. What reads them at run time asserts that it is here.

/// The options of one function.
#[derive(Debug)]
pub struct Takes {
    /// Its name: `ssh::run`.
    pub function: &'static str,
    /// What has to be given.
    pub required: &'static [&'static str],
    /// What may be given.
    pub optional: &'static [&'static str],
}

impl Takes {
    /// Every option, those first that have to be given.
    pub fn all(&self) -> impl Iterator<Item = &'static str> {
        self.required.iter().chain(self.optional).copied()
    }

    /// Whether there is an option of this name.
    pub fn has(&self, key: &str) -> bool {
        self.all().any(|known| known == key)
    }
}

const fn takes(
    function: &'static str,
    required: &'static [&'static str],
    optional: &'static [&'static str],
) -> Takes {
    Takes { function, required, optional }
}

const RUN: &[&str] = &[
    "environment",
    "env",
    "timeout",
    "sudo",
    "directory",
    "cwd",
    "stdin",
    "capture",
    "pty",
    "tolerate",
    "fail_fast",
    "fold",
    "concurrency",
    "quiet",
];

const HTTP: &[&str] = &[
    "headers",
    "bearer",
    "query",
    "body",
    "json",
    "form",
    "timeout",
    "attempts",
    "max_bytes",
    "check",
    "conceal",
    "repeatable",
];

/// Every function with options.
pub const OPTIONS: &[Takes] = &[
    takes(
        "aws::allocate",
        &["count"],
        &[
            "market",
            "on_demand_base",
            "spot_percent",
            "on_demand_last",
            "max_price",
            "max_hourly",
            "spread",
            "types",
            "image",
            "refresh",
            "regions",
            "architecture",
            "vcpu",
            "memory",
            "gpu",
            "burstable",
        ],
    ),
    takes("aws::delete_network", &["region"], &["everything"]),
    takes(
        "aws::ensure_network",
        &["region"],
        &["vpc_id", "subnets", "deployment", "creator", "dedicated", "ipv6", "ports", "ssh_from", "expires"],
    ),
    takes("aws::expired", &["region"], &["everything", "creator"]),
    takes("aws::extend", &["region"], &["ids", "by", "ttl", "never"]),
    takes("aws::find_image", &["region"], &["architecture", "image", "refresh"]),
    takes(
        "aws::find_network",
        &["region"],
        &["vpc_id", "subnets", "deployment", "creator", "dedicated", "ipv6", "ports", "ssh_from", "expires"],
    ),
    takes("aws::find_types", &["region"], &["limit", "architecture", "vcpu", "memory", "gpu", "burstable"]),
    takes("aws::instances", &["region"], &["ids", "everything", "deployment", "ended", "tags"]),
    takes(
        "aws::launch",
        &["region", "pools", "network", "count"],
        &[
            "user",
            "market",
            "expires",
            "shut_down",
            "user_data",
            "max_price",
            "disk",
            "disk_gb",
            "on_demand_base",
            "spot_percent",
            "on_demand_fallback",
            "strategy",
            "instance_profile",
            "placement_group",
            "ipv6",
            "public_ip",
            "key_name",
            "tags",
            "deployment",
            "creator",
            "name",
        ],
    ),
    takes("aws::network_parts", &["region"], &[]),
    takes("aws::notices", &[], &["metadata", "timeout", "concurrency"]),
    takes("aws::owned", &["region"], &["everything"]),
    takes("aws::placement_scores", &["types"], &["count", "regions", "zones"]),
    takes("aws::pools", &["region", "types", "network"], &["image", "market"]),
    takes("aws::price_history", &[], &["hours", "points"]),
    takes("aws::quotas", &["region"], &["types"]),
    takes("aws::unmanaged_spot", &["region"], &[]),
    takes("aws::wait_for", &[], &["timeout"]),
    takes("fail", &[], &["hint", "code"]),
    takes("http::delete", &[], HTTP),
    takes("http::get", &[], HTTP),
    takes("http::post", &[], HTTP),
    takes("http::put", &[], HTTP),
    takes("http::request", &[], HTTP),
    takes("retry", &[], &["attempts", "delay", "timeout", "any"]),
    takes("sandbox::capacity", &[], &["zone", "type", "lifecycle", "available"]),
    takes("sandbox::clock", &["speed"], &[]),
    takes("sandbox::faults", &[], &["add"]),
    takes("sandbox::interrupt", &[], &["notice", "rebalance"]),
    takes("ssh::forward", &["remote_port"], &["remote_host", "local_port"]),
    takes("ssh::run", &[], RUN),
    takes(
        "ssh::script",
        &[],
        &[
            "environment",
            "env",
            "timeout",
            "sudo",
            "directory",
            "cwd",
            "stdin",
            "capture",
            "pty",
            "tolerate",
            "fail_fast",
            "fold",
            "concurrency",
            "quiet",
            "arguments",
        ],
    ),
    takes("ssh::upload", &[], &["sudo", "mode", "delete", "verify", "fsync", "exclude", "concurrency"]),
    takes("ssh::wait", &[], &["timeout", "cloud_init", "concurrency"]),
    takes("state::adopt", &[], &["user", "take_over"]),
    takes("ui::chart", &[], &["title", "unit", "footer"]),
    takes("ui::chart row", &["label"], &["value", "values"]),
    takes("ui::live", &[], &["columns", "title", "footer"]),
    takes("ui::table", &[], &["columns", "title", "footer"]),
];

/// What a function takes.
pub fn options_of(function: &str) -> Option<&'static Takes> {
    OPTIONS.binary_search_by(|takes| takes.function.cmp(function)).ok().and_then(|index| OPTIONS.get(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_says_nothing_twice() {
        assert!(OPTIONS.is_sorted_by_key(|takes| takes.function));
        for takes in OPTIONS {
            let mut keys: Vec<_> = takes.all().collect();
            keys.sort_unstable();
            let count = keys.len();
            keys.dedup();
            assert_eq!(keys.len(), count, "{}", takes.function);
            assert!(options_of(takes.function).is_some());
        }
        assert!(options_of("aws::lunch").is_none());
    }
}

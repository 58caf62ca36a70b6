//! How many hosts suit the machine.

/// What a host needs while something runs on it: its processes, its connections, its share of caches.
const BYTES_PER_HOST: u64 = 4 << 20;
/// Every machine holds the fewest, and none more than the most unless it is told to: memory is not all
/// that hosts need, and who asks for thousands by mistake should hear of it at once.
const RANGE: (u64, u64) = (16, 2_000);

/// How many hosts may live at once on this machine: as many as its memory holds, or the part of it that
/// this process may use.
pub(super) fn of_machine() -> u32 {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    of(&read("/proc/meminfo"), &read("/sys/fs/cgroup/memory.max"))
}

fn of(meminfo: &str, cgroup: &str) -> u32 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let total = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    let total = total.map_or(u64::MAX, |kibibytes| kibibytes.saturating_mul(1024));
    // Without a limit the file says `max`.
    let allowed = cgroup.trim().parse::<u64>().unwrap_or(u64::MAX);
    let hosts = (total.min(allowed) / BYTES_PER_HOST).clamp(RANGE.0, RANGE.1);
    u32::try_from(hosts).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_memory_and_limit_counts() {
        let four = "MemTotal:        4194304 kB\nMemFree:  1 kB\n";
        assert_eq!(of(four, "max\n"), 1024);
        assert_eq!(of(four, "1073741824\n"), 256);
        assert_eq!(of(four, "1\n"), 16);
        assert_eq!(of("", ""), 2_000);
        assert!(of_machine() >= 16);
    }
}

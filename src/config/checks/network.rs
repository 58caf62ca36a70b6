//! CIDR blocks, ports, VPC ids and host names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::report::Report;
use crate::config::settings::{Address, PortRange};
use crate::config::suggestion::nearest;
use crate::config::tree::{Located, Node, Value};

/// Who may connect: `auto` or CIDR blocks, in canonical form.
pub(in super::super) fn sources(report: &Report, listed: Located<Vec<Located<String>>>) -> Vec<String> {
    if listed.value.is_empty() {
        let hint = "write [\"auto\"] for your own address".to_owned();
        report.error(listed.span, "`ssh_from` is empty: nobody could connect", Some(hint));
    }
    listed.value.iter().filter_map(|source| source_of(report, source)).collect()
}

fn source_of(report: &Report, source: &Located<String>) -> Option<String> {
    let text = source.value.as_str();
    if text == "auto" {
        return Some(source.value.clone());
    }
    match cidr(text) {
        Ok((network, prefix)) => {
            let canonical = format!("{network}/{prefix}");
            if prefix == 0 {
                let message = format!("`{text}` opens SSH and all `ports` to the whole internet");
                report.warning(source.span, message, Some("write \"auto\" for your own address".to_owned()));
            } else if canonical != text && text.parse::<IpAddr>().is_err() && !text.contains(':') {
                report.warning(
                    source.span,
                    format!("`{text}` stands for the block {canonical}"),
                    Some(format!("write \"{canonical}\"")),
                );
            }
            Some(canonical)
        }
        Err((message, hint)) => {
            report.error(source.span, message, Some(hint));
            None
        }
    }
}

/// The network and prefix length of a block, or a message and a hint.
fn cidr(text: &str) -> Result<(IpAddr, u8), (String, String)> {
    let usual = || "write \"auto\", or a block such as \"203.0.113.0/24\"".to_owned();
    let Some((address, prefix)) = text.split_once('/') else {
        let hint = match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => format!("write \"{text}/32\" for this one address"),
            Ok(IpAddr::V6(_)) => format!("write \"{text}/128\" for this one address"),
            Err(_) if nearest(text, ["auto"]).is_some() => "did you mean `auto`?".to_owned(),
            Err(_) => usual(),
        };
        return Err((format!("`{text}` is not a CIDR block"), hint));
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return Err((format!("`{text}` is not a CIDR block: `{address}` is not an address"), usual()));
    };
    let longest: u8 = if address.is_ipv4() { 32 } else { 128 };
    match prefix.parse::<u8>() {
        Ok(length) if length <= longest => Ok((network_of(address, length), length)),
        _ => {
            let message = format!("`{text}` is not a CIDR block: the prefix must be from 0 to {longest}");
            Err((message, format!("write \"{address}/{longest}\" for this one address")))
        }
    }
}

fn network_of(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

/// The ports of a list of numbers (`8080`) and ranges (`"8000-8100"`).
pub(in super::super) fn ports(report: &Report, node: &Node) -> Vec<PortRange> {
    let Value::List(items) = &node.value else {
        let message = format!("`ports`: expected a list, found {}", node.value.describe());
        let hint = match &node.value {
            Value::Integer(port) => Some(format!("write [{port}]")),
            Value::Text(ports) => Some(format!("write [\"{ports}\"]")),
            _ => None,
        };
        report.error(node.span, message, hint);
        return Vec::new();
    };
    items.iter().filter_map(|item| port(report, item)).collect()
}

fn port(report: &Report, node: &Node) -> Option<PortRange> {
    let written = match &node.value {
        Value::Integer(port) => port.to_string(),
        Value::Text(ports) => ports.trim().to_owned(),
        other => {
            let message = format!("`ports`: expected a port or a range, found {}", other.describe());
            report.error(node.span, message, Some("write 8080 or \"8000-8100\"".to_owned()));
            return None;
        }
    };
    let (from, to) =
        written.split_once('-').filter(|(from, _)| !from.is_empty()).unwrap_or((&written, &written));
    let number = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    match (number(from), number(to)) {
        (Some(from), Some(to)) if from <= to => Some(PortRange { from, to }),
        (Some(low), Some(high)) => {
            let message = format!("`{written}` is an empty range of ports");
            report.error(node.span, message, Some(format!("write \"{high}-{low}\"")));
            None
        }
        _ => {
            let message = format!("`{written}` is not a port or a range of ports from 1 to 65535");
            report.error(node.span, message, Some("write 8080 or \"8000-8100\"".to_owned()));
            None
        }
    }
}

/// An existing resource: its id, which starts with `prefix`, or `tag:KEY=VALUE`.
pub(in super::super) fn selector(report: &Report, said: Located<String>, prefix: &str) -> Option<String> {
    let digits = said.value.strip_prefix(prefix).unwrap_or_default();
    let is_id = matches!(digits.len(), 8 | 17)
        && digits.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    let tag = said.value.strip_prefix("tag:").and_then(|tag| tag.split_once('='));
    if is_id || tag.is_some_and(|(key, _)| !key.is_empty()) {
        return Some(said.value);
    }
    let (what, list) = match prefix {
        "vpc-" => ("a VPC", "describe-vpcs --query 'Vpcs[].VpcId'"),
        _ => ("a subnet", "describe-subnets --query 'Subnets[].SubnetId'"),
    };
    let message = format!(
        "`{}` is not {what}, expected {prefix} and 17 (or 8) hexadecimal digits, or tag:KEY=VALUE",
        said.value
    );
    report.error(said.span, message, Some(format!("`aws ec2 {list}` lists them")));
    None
}

/// Which address SSH connects to.
pub(in super::super) fn address(report: &Report, address: Located<String>) -> Option<Address> {
    let text = address.value;
    match text.as_str() {
        "public" => return Some(Address::Public),
        "private" => return Some(Address::Private),
        _ => {}
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if let Some(meant) = nearest(&text, ["public", "private"]) {
        report.error(
            address.span,
            format!("`{text}` is no kind of address"),
            Some(format!("did you mean `{meant}`?")),
        );
        return None;
    }
    if text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(is_label)) {
        return Some(Address::Host(text));
    }
    let message = format!("`{text}` is neither `public`, `private`, nor a host name or address");
    let hint = text.contains(':').then(|| "the port has a key of its own: `port`".to_owned());
    report.error(address.span, message, hint);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::problem::Severity;
    use crate::config::source::{Source, Span};

    fn with<T>(check: impl Fn(&Report) -> T) -> (T, Vec<(Severity, String, String)>) {
        let report = Report::new(Source::new("f", ""));
        let value = check(&report);
        let problems = report.into_problems().into_iter();
        (
            value,
            problems
                .map(|problem| (problem.severity, problem.message, problem.hint.unwrap_or_default()))
                .collect(),
        )
    }

    fn located(text: &str) -> Located<String> {
        Located::new(text.to_owned(), Span::default())
    }

    #[test]
    fn blocks_are_made_canonical() {
        let one = |text: &str| with(|report| source_of(report, &located(text)));
        assert_eq!(one("203.0.113.7/32"), (Some("203.0.113.7/32".into()), vec![]));
        assert_eq!(one("2001:DB8::/32"), (Some("2001:db8::/32".into()), vec![]));
        let (block, problems) = one("10.1.2.3/8");
        assert_eq!(block.as_deref(), Some("10.0.0.0/8"));
        assert_eq!(problems[0].0, Severity::Warning);
        let (block, problems) = one("0.0.0.0/0");
        assert_eq!(block.as_deref(), Some("0.0.0.0/0"));
        assert!(problems[0].1.contains("whole internet"));
        assert!(one("::/0").1[0].1.contains("whole internet"));
    }

    #[test]
    fn what_is_no_block_is_refused_with_the_right_hint() {
        let hint = |text: &str| with(|report| source_of(report, &located(text))).1.remove(0).2;
        assert_eq!(hint("203.0.113.7"), "write \"203.0.113.7/32\" for this one address");
        assert_eq!(hint("::1"), "write \"::1/128\" for this one address");
        assert_eq!(hint("10.0.0.0/33"), "write \"10.0.0.0/32\" for this one address");
        assert_eq!(hint("atuo"), "did you mean `auto`?");
        assert!(hint("300.1.1.1/8").contains("203.0.113.0/24"));
    }

    #[test]
    fn ports_are_numbers_and_ranges() {
        let list = |items: Vec<Value>| Node {
            value: Value::List(
                items.into_iter().map(|value| Node { value, span: Span::default() }).collect(),
            ),
            span: Span::default(),
        };
        let text = |text: &str| Value::Text(text.to_owned());
        let (ranges, problems) =
            with(|report| ports(report, &list(vec![Value::Integer(80), text("8000-8100"), text("443")])));
        assert!(problems.is_empty());
        assert_eq!(
            ranges.iter().map(|range| (range.from, range.to)).collect::<Vec<_>>(),
            [(80, 80), (8000, 8100), (443, 443)]
        );
        let bad = vec![
            Value::Integer(0),
            Value::Integer(-5),
            text("9-1"),
            text("http"),
            text("1-99999"),
            Value::Boolean(true),
        ];
        let (ranges, problems) = with(|report| ports(report, &list(bad.clone())));
        assert!(ranges.is_empty());
        assert_eq!(problems.len(), 6);
        assert_eq!(problems[2].2, "write \"1-9\"");
    }

    #[test]
    fn addresses_and_vpcs() {
        assert_eq!(
            with(|report| address(report, located("bastion.example.org"))).0,
            Some(Address::Host("bastion.example.org".into()))
        );
        assert_eq!(
            with(|report| address(report, located("127.0.0.1"))).0,
            Some(Address::Host("127.0.0.1".into()))
        );
        assert_eq!(with(|report| address(report, located("pubilc"))).1[0].2, "did you mean `public`?");
        assert_eq!(
            with(|report| address(report, located("host:22"))).1[0].2,
            "the port has a key of its own: `port`"
        );
        assert_eq!(with(|report| address(report, located("-oProxyCommand=x"))).0, None);
        assert!(with(|report| selector(report, located("vpc-0123456789abcdef0"), "vpc-")).0.is_some());
        assert!(with(|report| selector(report, located("subnet-1"), "vpc-")).0.is_none());
        assert!(with(|report| selector(report, located("tag:Name=prod"), "vpc-")).0.is_some());
        assert!(with(|report| selector(report, located("tag:=prod"), "subnet-")).0.is_none());
    }
}

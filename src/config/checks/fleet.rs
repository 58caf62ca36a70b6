//! Regions, instance types, images, prices and counts.

use crate::config::regions;
use crate::config::report::Report;
use crate::config::settings::{Fleet, Market};
use crate::config::source::Span;
use crate::config::suggestion::nearest;
use crate::config::tree::Located;
use crate::lifetime::Lifetime;

/// The regions that exist.
pub(in super::super) fn regions(report: &Report, listed: Located<Vec<Located<String>>>) -> Vec<String> {
    if listed.value.is_empty() {
        report.error(
            listed.span,
            "`regions` is empty, expected at least one",
            Some("write [\"us-west-2\"]".to_owned()),
        );
    }
    listed.value.into_iter().filter(|name| region(report, name)).map(|name| name.value).collect()
}

/// Whether a region exists.
pub(in super::super) fn region(report: &Report, name: &Located<String>) -> bool {
    match regions::mistake(&name.value) {
        None => true,
        Some((message, hint)) => {
            report.error(name.span, message, Some(hint));
            false
        }
    }
}

/// The instance types that are well formed.
pub(in super::super) fn types(report: &Report, listed: Located<Vec<Located<String>>>) -> Vec<String> {
    if listed.value.is_empty() {
        let hint = "write [\"t3.medium\", \"t3a.medium\"]".to_owned();
        report.error(listed.span, "`types` is empty, expected at least one", Some(hint));
    }
    listed.value.into_iter().filter(|name| instance_type(report, name)).map(|name| name.value).collect()
}

const SIZES: [&str; 9] =
    ["nano", "micro", "small", "medium", "large", "xlarge", "2xlarge", "4xlarge", "metal"];

/// Whether this has the form of an instance type: `t3.medium`.
pub(in super::super) fn instance_type(report: &Report, name: &Located<String>) -> bool {
    let malformed = |hint: String| {
        let message = format!(
            "`{}` is not an instance type, expected a family and a size such as t3.medium",
            name.value
        );
        report.error(name.span, message, Some(hint));
        false
    };
    let listing = "`aws ec2 describe-instance-types --query 'InstanceTypes[].InstanceType'` lists them";
    let Some((family, size)) = name.value.split_once('.') else {
        let cut = SIZES
            .iter()
            .find_map(|size| Some((name.value.strip_suffix(size)?.trim_end_matches(['-', '_', ' ']), size)));
        return malformed(match cut {
            Some((family, size)) if is_family(family) => format!("did you mean `{family}.{size}`?"),
            _ if is_family(&name.value) => format!("add a size: {}.medium", name.value),
            _ => listing.to_owned(),
        });
    };
    if !is_family(family)
        || size.is_empty()
        || !size.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    {
        let lowered = name.value.to_lowercase();
        let is_only_case =
            lowered != name.value && lowered.split_once('.').is_some_and(|(family, _)| is_family(family));
        return malformed(if is_only_case {
            format!("did you mean `{lowered}`?")
        } else {
            listing.to_owned()
        });
    }
    if is_size(size) {
        return true;
    }
    if let Some(meant) = nearest(size, SIZES) {
        return malformed(format!("did you mean `{family}.{meant}`?"));
    }
    let message = format!("`{size}` is a size of instances that spot does not know");
    report.warning(name.span, message, Some(listing.to_owned()));
    true
}

/// `t3`, `m5dn`, `u-6tb1`, `mac2-m2pro`.
fn is_family(family: &str) -> bool {
    family.starts_with(|c: char| c.is_ascii_lowercase())
        && family.contains(|c: char| c.is_ascii_digit())
        && family.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// `large`, `24xlarge`, `metal`, `metal-48xl`.
fn is_size(size: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    SIZES.contains(&size)
        || size.strip_suffix("xlarge").is_some_and(is_number)
        || size.strip_prefix("metal-").and_then(|size| size.strip_suffix("xl")).is_some_and(is_number)
}

/// How long instances live.
pub(in super::super) fn ttl(report: &Report, said: Located<String>) -> Option<String> {
    match said.value.parse::<Lifetime>() {
        Ok(_) => Some(said.value),
        Err(error) => {
            report.error(said.span, format!("ttl: {}", error.message()), error.hint().map(str::to_owned));
            None
        }
    }
}

/// One of some words.
pub(in super::super) fn word(
    report: &Report,
    key: &str,
    said: Located<String>,
    words: &[&str],
) -> Option<String> {
    if words.contains(&said.value.as_str()) {
        return Some(said.value);
    }
    let lowered = said.value.to_lowercase().replace(['_', ' '], "-");
    let hint = nearest(&lowered, words.iter().copied()).map(|name| format!("did you mean `{name}`?"));
    let all: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    report.error(said.span, format!("`{}` is no {key}, expected {}", said.value, all.join(", ")), hint);
    None
}

/// Whether this is `auto`, an image id, the path of an SSM parameter, or a pattern for names of images.
pub(in super::super) fn image(report: &Report, image: &Located<String>) -> bool {
    let name = image.value.as_str();
    if let Some(id) = name.strip_prefix("ami-") {
        let is_id =
            matches!(id.len(), 8 | 17) && id.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
        if !is_id {
            let message =
                format!("`{name}` is not an image id, expected ami- and 17 (or 8) hexadecimal digits");
            report.error(image.span, message, None);
        }
        return is_id;
    }
    if name.eq_ignore_ascii_case("auto") || nearest(name, ["auto"]).is_some() {
        if name != "auto" {
            report.error(
                image.span,
                format!("`{name}` is no image"),
                Some("did you mean `auto`?".to_owned()),
            );
        }
        return name == "auto";
    }
    if let Some(path) =
        name.strip_prefix("ssm:").or(Some(name)).filter(|path| path.starts_with("/aws/service/"))
    {
        let is_path = path.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
        if !is_path {
            report.error(image.span, format!("`{name}` is not the path of an SSM parameter"), None);
        }
        return is_path;
    }
    let is_pattern = (3..=128).contains(&name.chars().count())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "()[]. /-'@_*?".contains(c));
    if !is_pattern {
        let message =
            format!("`{name}` is no image: expected `auto`, an id (ami-…) or a pattern for names of images");
        report.error(image.span, message, Some("write \"auto\" for the newest Ubuntu".to_owned()));
    }
    is_pattern
}

/// How the instances are bought.
pub(in super::super) fn market(report: &Report, market: &Located<String>) -> Option<Market> {
    match market.value.as_str() {
        "spot" => return Some(Market::Spot),
        "on-demand" => return Some(Market::OnDemand),
        other => {
            let lowered = other.to_lowercase().replace(['_', ' '], "-");
            let meant = nearest(&lowered, ["spot", "on-demand", "ondemand"])
                .map(|name| if name == "spot" { name } else { "on-demand" });
            let hint = meant.map(|name| format!("did you mean `{name}`?"));
            report.error(
                market.span,
                format!("`{other}` is no market, expected `spot` or `on-demand`"),
                hint,
            );
        }
    }
    None
}

/// A price in USD per hour.
pub(in super::super) fn price(report: &Report, key: &str, price: Located<f64>) -> Option<f64> {
    if price.value.is_finite() && price.value > 0.0 {
        return Some(price.value);
    }
    let message = format!("`{key}` must be more than 0 USD per hour, found {}", price.value);
    report.error(price.span, message, Some("leave it out to pay at most the on-demand price".to_owned()));
    None
}

/// The user to log in as.
pub(in super::super) fn user(report: &Report, user: Located<String>) -> Option<String> {
    let name = user.value.as_str();
    let is_name = name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
    if !is_name {
        let message = format!("`{name}` is not the name of a Linux user");
        report.error(
            user.span,
            message,
            Some("write \"ubuntu\" for Ubuntu, \"ec2-user\" for Amazon Linux".to_owned()),
        );
    }
    is_name.then_some(user.value)
}

/// What settings of the fleet say about each other. The count of the fleet is at `count`, if it
/// was said; without it, regions that all have a count of their own make the sum.
pub(in super::super) fn together(
    report: &Report,
    fleet: &mut Fleet,
    count: Option<Span>,
    image: Option<Span>,
    price: Option<Span>,
) {
    if let (Market::OnDemand, Some(at)) = (fleet.market, price) {
        let hint = "remove it, or set market = \"spot\"".to_owned();
        report.warning(at, "`max_price` has no effect on on-demand instances", Some(hint));
    }
    let shared = fleet
        .regions
        .iter()
        .filter(|name| fleet.region.get(*name).is_none_or(|own| own.image.is_none()))
        .count();
    if let (Some(at), true, true) = (image, fleet.image.starts_with("ami-"), shared > 1) {
        let message = format!("an image id is valid in one region, but {shared} regions use this one");
        let region = fleet.regions.first().map_or("us-west-2", String::as_str);
        report.warning(
            at,
            message,
            Some(format!(
                "use a name pattern, or give each region its own: [fleet.region.{region}] image = \"{}\"",
                fleet.image
            )),
        );
    }
    let own: Vec<Option<u32>> = fleet.regions.iter().map(|name| fleet.count_in(name)).collect();
    let sum: u32 = own.iter().flatten().fold(0, |sum, count| sum.saturating_add(*count));
    let all = !own.is_empty() && own.iter().all(Option::is_some);
    let Some(at) = count else {
        fleet.count = if all { sum } else { fleet.count.max(sum) };
        return;
    };
    if sum > fleet.count || (all && sum != fleet.count) {
        let message = format!("`count` is {}, but the counts of the regions make {sum}", fleet.count);
        let hint = if all {
            format!("set count = {sum}, or leave it out")
        } else {
            format!("set count = {sum} or more")
        };
        report.error(at, message, Some(hint));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::Source;

    /// What a check reports about a value: nothing, or `message | hint`.
    fn said(value: &str, check: impl Fn(&Report, &Located<String>)) -> String {
        let report = Report::new(Source::new("f", value));
        check(&report, &Located::new(value.to_owned(), Span::default()));
        let problem = report.into_problems().into_iter().next();
        problem.map_or_else(String::new, |problem| {
            format!("{} | {}", problem.message, problem.hint.unwrap_or_default())
        })
    }

    #[test]
    fn instance_types_have_a_family_and_a_size() {
        let said = |value: &str| {
            said(value, |report, name| {
                instance_type(report, name);
            })
        };
        for good in [
            "t3.medium",
            "m5dn.24xlarge",
            "u-6tb1.metal",
            "mac2-m2pro.metal",
            "c7i.metal-48xl",
            "i4i.2xlarge",
        ] {
            assert_eq!(said(good), "", "{good}");
        }
        assert!(said("t3medium").ends_with("did you mean `t3.medium`?"));
        assert!(said("t3").ends_with("add a size: t3.medium"));
        assert!(said("t3.meduim").ends_with("did you mean `t3.medium`?"));
        assert!(said("T3.Medium").ends_with("did you mean `t3.medium`?"));
        assert!(said("medium.t3.x").contains("is not an instance type"));
        assert!(said("t9.gigantic").starts_with("`gigantic` is a size of instances that spot does not know"));
    }

    #[test]
    fn images_are_auto_an_id_or_a_pattern() {
        let said = |value: &str| {
            said(value, |report, name| {
                image(report, name);
            })
        };
        for good in
            ["auto", "ami-0123456789abcdef0", "ami-01234567", "ubuntu/images/hvm-ssd*/ubuntu-*-24.04-amd64-*"]
        {
            assert_eq!(said(good), "", "{good}");
        }
        assert!(said("ami-xyz").contains("is not an image id"));
        assert!(said("atuo").ends_with("did you mean `auto`?"));
        assert!(said("a;b").contains("is no image"));
    }

    #[test]
    fn markets_and_users() {
        let market_said = |value: &str| {
            said(value, |report, name| {
                market(report, name);
            })
        };
        assert_eq!(market_said("on-demand"), "");
        assert!(market_said("on_demand").ends_with("did you mean `on-demand`?"));
        assert!(market_said("cheap").contains("expected `spot` or `on-demand`"));
        let user_said = |value: &str| {
            said(value, |report, name| {
                user(report, name.clone());
            })
        };
        assert_eq!(user_said("ec2-user"), "");
        assert!(user_said("Bob Smith").contains("is not the name of a Linux user"));
    }
}

//! EC2's filters, applied to resources that EC2 does not know.

use super::element::Element;
use super::request::Asked;

/// Filters whose names are not simply the path of an element.
const PATHS: &[(&str, &[&str])] = &[
    ("instance-state-name", &["instanceState", "name"]),
    ("instance-state-code", &["instanceState", "code"]),
    ("instance.group-id", &["groupSet", "groupId"]),
    ("attachment.vpc-id", &["attachmentSet", "vpcId"]),
    ("attachment.state", &["attachmentSet", "state"]),
    ("association.main", &["associationSet", "main"]),
    ("association.subnet-id", &["associationSet", "subnetId"]),
    ("association.route-table-id", &["associationSet", "routeTableId"]),
    ("association.route-table-association-id", &["associationSet", "routeTableAssociationId"]),
    ("route.gateway-id", &["routeSet", "gatewayId"]),
    ("route.destination-cidr-block", &["routeSet", "destinationCidrBlock"]),
    ("availability-zone", &["placement", "availabilityZone"]),
    ("availability-zone", &["availabilityZone"]),
    ("cidr", &["cidrBlock"]),
    ("description", &["groupDescription"]),
    ("group-id", &["groupSet", "groupId"]),
    ("fleet-state", &["fleetState"]),
    ("egress-only-internet-gateway-id", &["egressOnlyInternetGatewayId"]),
];

/// Whether a resource passes all filters of a request.
pub(super) fn accepts(item: &Element, asked: &Asked) -> bool {
    asked.groups("Filter").iter().all(|filter| {
        let wanted = filter.list("Value");
        let found = values(item, filter.get("Name").unwrap_or_default());
        found.iter().any(|value| wanted.iter().any(|pattern| matches(pattern, value)))
    })
}

/// What a resource has under the name of a filter.
fn values<'a>(item: &'a Element, name: &str) -> Vec<&'a str> {
    if let Some(key) = name.strip_prefix("tag:") {
        let tags = item.find("tagSet").into_iter().flat_map(|set| &set.children);
        return tags.filter(|tag| tag.text_of("key") == key).map(|tag| tag.text_of("value")).collect();
    }
    if name == "tag-key" {
        return item.at(&["tagSet", "key"]);
    }
    let parts: Vec<String> = name.split('.').map(camel).collect();
    let direct: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mut found = item.at(&direct);
    for (_, path) in PATHS.iter().filter(|(known, _)| *known == name) {
        found.extend(item.at(path));
    }
    found
}

/// `group-name` as `groupName`.
fn camel(name: &str) -> String {
    let mut parts = name.split('-');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let mut letters = part.chars();
        text.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}

/// EC2's wildcards: `*` for any letters, `?` for one (which a literal `?` is too).
fn matches(pattern: &str, text: &str) -> bool {
    fn at(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                at(rest, text) || text.split_first().is_some_and(|(_, text)| at(pattern, text))
            }
            (Some(('?', rest)), Some((_, text))) => at(rest, text),
            (Some((letter, rest)), Some((other, text))) => letter == other && at(rest, text),
            _ => false,
        }
    }
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    at(&pattern, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_elements_and_wildcards_match() {
        let item = Element::new("item")
            .with("groupName", "spot-web")
            .child(Element::set("tagSet", [Element::new("").with("key", "k").with("value", "v")]))
            .child(Element::new("instanceState").with("name", "running"));
        for (name, value, passes) in [
            ("group-name", "spot-web", true),
            ("group-name", "spot-*", true),
            ("group-name", "web", false),
            ("tag:k", "v", true),
            ("tag:k", "w", false),
            ("tag-key", "k", true),
            ("instance-state-name", "running", true),
            ("no-such-thing", "x", false),
        ] {
            let found = values(&item, name);
            assert_eq!(found.iter().any(|text| matches(value, text)), passes, "{name}={value}");
        }
        assert!(matches("i-?1", "i-?1") && !matches("i-?1", "i-?11"));
    }
}

//! The regions of AWS, and what is wrong with a name that is none of them.

use super::suggestion::nearest;

/// The commercial regions and where they are, by name.
pub const REGIONS: &[(&str, &str)] = &[
    ("af-south-1", "Cape Town"),
    ("ap-east-1", "Hong Kong"),
    ("ap-east-2", "Taipei"),
    ("ap-northeast-1", "Tokyo"),
    ("ap-northeast-2", "Seoul"),
    ("ap-northeast-3", "Osaka"),
    ("ap-south-1", "Mumbai"),
    ("ap-south-2", "Hyderabad"),
    ("ap-southeast-1", "Singapore"),
    ("ap-southeast-2", "Sydney"),
    ("ap-southeast-3", "Jakarta"),
    ("ap-southeast-4", "Melbourne"),
    ("ap-southeast-5", "Malaysia"),
    ("ap-southeast-6", "New Zealand"),
    ("ap-southeast-7", "Thailand"),
    ("ca-central-1", "Montreal"),
    ("ca-west-1", "Calgary"),
    ("eu-central-1", "Frankfurt"),
    ("eu-central-2", "Zurich"),
    ("eu-north-1", "Stockholm"),
    ("eu-south-1", "Milan"),
    ("eu-south-2", "Spain"),
    ("eu-west-1", "Ireland"),
    ("eu-west-2", "London"),
    ("eu-west-3", "Paris"),
    ("il-central-1", "Tel Aviv"),
    ("me-central-1", "UAE"),
    ("me-south-1", "Bahrain"),
    ("mx-central-1", "Mexico"),
    ("sa-east-1", "São Paulo"),
    ("us-east-1", "N. Virginia"),
    ("us-east-2", "Ohio"),
    ("us-west-1", "N. California"),
    ("us-west-2", "Oregon"),
];

/// Regions of the other partitions, which need an account of their own: accepted, never suggested.
const OTHER_PARTITIONS: &[&str] =
    &["cn-north-1", "cn-northwest-1", "eusc-de-east-1", "us-gov-east-1", "us-gov-west-1"];

/// Whether AWS has a region of this name.
pub fn exists(name: &str) -> bool {
    is_commercial(name) || OTHER_PARTITIONS.contains(&name)
}

/// Why this is no region, as a message and a hint; `None` if it is one.
pub(super) fn mistake(name: &str) -> Option<(String, String)> {
    if exists(name) {
        return None;
    }
    let zone_of = name.strip_suffix(|c: char| c.is_ascii_lowercase()).filter(|region| exists(region));
    if let Some(region) = zone_of {
        let message = format!("`{name}` is an availability zone, expected a region");
        return Some((message, format!("write \"{region}\"; spot picks among its zones")));
    }
    let lowered = name.trim().to_lowercase().replace(['_', ' '], "-");
    let by_place = || {
        REGIONS.iter().find(|(_, place)| place.to_lowercase() == name.to_lowercase()).map(|(name, _)| *name)
    };
    let meant = nearest(&lowered, REGIONS.iter().map(|(name, _)| *name)).or_else(by_place);
    let hint = match meant {
        Some(region) => format!("did you mean `{region}`?"),
        None => "`aws ec2 describe-regions --all-regions --output table` lists the regions".to_owned(),
    };
    Some((format!("AWS has no region `{name}`"), hint))
}

fn is_commercial(name: &str) -> bool {
    REGIONS.binary_search_by_key(&name, |(region, _)| region).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_complete() {
        assert!(REGIONS.is_sorted());
        assert_eq!(REGIONS.len(), 34);
        assert!(exists("us-west-2") && exists("us-gov-west-1") && !exists("us-west-9"));
    }

    #[test]
    fn a_wrong_region_gets_the_right_suggestion() {
        let hint = |name| mistake(name).map(|(_, hint)| hint);
        assert_eq!(hint("us-west-2"), None);
        assert_eq!(hint("us-wets-2").as_deref(), Some("did you mean `us-west-2`?"));
        assert_eq!(hint("US_WEST_2").as_deref(), Some("did you mean `us-west-2`?"));
        assert_eq!(hint("Frankfurt").as_deref(), Some("did you mean `eu-central-1`?"));
        assert_eq!(hint("us-west-2a").as_deref(), Some("write \"us-west-2\"; spot picks among its zones"));
        assert!(hint("the moon").is_some_and(|hint| hint.contains("describe-regions")));
    }
}

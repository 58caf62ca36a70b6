//! Tags: reading them from a request, their limits, and writing them.

use std::collections::BTreeMap;

use super::fault::Fault;
use super::model::region::Tags;
use super::request::Params;
use super::xml::Xml;

/// Most tags of one resource.
pub(super) const MOST: usize = 50;
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;

/// The parameters that carry tags for resources about to be made.
pub(super) const TAG_SPECIFICATION: &[&str] =
    &["TagSpecification.N.ResourceType", "TagSpecification.N.Tag.N.Key", "TagSpecification.N.Tag.N.Value"];

/// The tags of `TagSpecification.N`, by resource type; only the types in `allowed` are taken.
pub(super) fn specifications(params: &Params, allowed: &[&str]) -> Result<BTreeMap<String, Tags>, Fault> {
    let mut all = BTreeMap::new();
    for specification in params.members("TagSpecification") {
        let kind = specification
            .text("ResourceType")
            .ok_or_else(|| Fault::value("Tag specification resource type must have a value"))?;
        if !allowed.contains(&kind) {
            return Err(Fault::value(format!(
                "'{kind}' is not a valid taggable resource type for this operation."
            )));
        }
        let tags = read(specification)?;
        if tags.is_empty() {
            return Err(Fault::value("Tag specification must have at least one tag"));
        }
        if all.insert(kind.to_owned(), tags).is_some() {
            let message = format!(
                "The same resource type may not be specified more than once in tag specifications: {kind}"
            );
            return Err(Fault::value(message));
        }
    }
    Ok(all)
}

/// The tags of a specification for the one type of resource that an action makes.
pub(super) fn specified(params: &Params, kind: &str) -> Result<Tags, Fault> {
    Ok(specifications(params, &[kind])?.remove(kind).unwrap_or_default())
}

/// The tags `Tag.N.Key` / `Tag.N.Value`.
pub(super) fn read(params: &Params) -> Result<Tags, Fault> {
    let mut tags = Tags::new();
    for tag in params.members("Tag") {
        let key = tag.text("Key").ok_or_else(|| Fault::value("Tag key cannot be null or empty"))?;
        let value = tag.text("Value").unwrap_or_default();
        check(key, value)?;
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(Fault::value(format!("Duplicate tag key '{key}' specified.")));
        }
    }
    check_count(tags.len())?;
    Ok(tags)
}

/// Refuses more tags than a resource can have.
pub(super) fn check_count(count: usize) -> Result<(), Fault> {
    if count <= MOST {
        return Ok(());
    }
    let message = format!("More than the maximum number of tags ({MOST}) specified");
    Err(Fault::new("TagLimitExceeded", message))
}

fn check(key: &str, value: &str) -> Result<(), Fault> {
    if key.chars().count() > LONGEST_KEY {
        return Err(Fault::value(format!("Tag key exceeds the maximum length of {LONGEST_KEY} characters")));
    }
    if value.chars().count() > LONGEST_VALUE {
        return Err(Fault::value(format!(
            "Tag value exceeds the maximum length of {LONGEST_VALUE} characters"
        )));
    }
    if key.to_ascii_lowercase().starts_with("aws:") {
        return Err(Fault::value("Tag keys starting with 'aws:' are reserved for internal use"));
    }
    Ok(())
}

/// `<tagSet>`.
pub(super) fn write(xml: &mut Xml, tags: Option<&Tags>) {
    xml.set("tagSet", tags.into_iter().flatten(), |xml, (key, value)| {
        xml.text("key", key).text("value", value);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Tags, Fault> {
        specified(&Params::parse(query.as_bytes()).unwrap(), "vpc")
    }

    #[test]
    fn specifications_are_checked() {
        let start = "TagSpecification.1.ResourceType=vpc&TagSpecification.1.Tag.1.Key";
        assert_eq!(parse(&format!("{start}=a")).unwrap(), Tags::from([("a".into(), String::new())]));
        for bad in [
            "TagSpecification.1.ResourceType=subnet&TagSpecification.1.Tag.1.Key=a".to_owned(),
            "TagSpecification.1.ResourceType=vpc".to_owned(),
            format!("{start}=aws:x"),
            format!("{start}={}", "k".repeat(129)),
            format!("{start}=a&TagSpecification.1.Tag.2.Key=a"),
        ] {
            assert_eq!(parse(&bad).unwrap_err().code, "InvalidParameterValue", "{bad}");
        }
    }
}

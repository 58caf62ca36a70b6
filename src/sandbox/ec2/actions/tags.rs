//! CreateTags, DeleteTags, DescribeTags.

use super::{Call, done};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, Filters, one};
use crate::sandbox::ec2::model::id::{IdKind, TAGGABLE};
use crate::sandbox::ec2::page::Page;
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags::{check_count, read};
use crate::sandbox::ec2::xml::Xml;

const TAGS: &[&str] = &["*ResourceId.N", "Tag.N.Key", "Tag.N.Value"];

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write("CreateTags", create, &[TAGS, &["*Tag"]]),
    Operation::write("DeleteTags", delete, &[TAGS]),
    Operation::read("DescribeTags", describe, &[FILTER, PAGE]),
];

fn kind_of(id: &str) -> Option<&'static IdKind> {
    TAGGABLE
        .iter()
        .copied()
        .find(|kind| id.strip_prefix(kind.prefix).is_some_and(|rest| rest.starts_with('-')))
}

fn check(call: &Call<'_>) -> Result<Vec<String>, Fault> {
    let ids = call.params.list("ResourceId");
    for id in &ids {
        let kind =
            kind_of(id).ok_or_else(|| Fault::new("InvalidID", format!("The ID '{id}' is not valid")))?;
        kind.check(id)?;
        if !call.region.exists(kind, id) {
            return Err(kind.missing(&[id]));
        }
    }
    Ok(ids.into_iter().map(str::to_owned).collect())
}

fn create(call: &mut Call<'_>) -> Answer {
    let ids = check(call)?;
    let tags = read(call.params)?;
    for id in &ids {
        let mut merged = call.region.tags.get(id).cloned().unwrap_or_default();
        merged.extend(tags.clone());
        // The tags that AWS itself puts on do not count.
        check_count(merged.keys().filter(|key| !key.starts_with("aws:")).count())?;
    }
    for id in &ids {
        call.region.tag(id, &tags);
    }
    done()
}

/// Removes the tags of the keys named (of a value, only where it has that value), or all of them.
fn delete(call: &mut Call<'_>) -> Answer {
    let ids = check(call)?;
    let named: Vec<(String, Option<String>)> = call
        .params
        .members("Tag")
        .into_iter()
        .map(|tag| Ok((tag.required("Key")?.to_owned(), tag.given("Value").map(str::to_owned))))
        .collect::<Result<_, Fault>>()?;
    for id in ids {
        let Some(tags) = call.region.tags.get_mut(&id) else { continue };
        tags.retain(|key, value| {
            let hit = |(k, v): &(String, Option<String>)| k == key && v.as_ref().is_none_or(|v| v == value);
            !named.is_empty() && !named.iter().any(hit)
        });
        if tags.is_empty() {
            call.region.tags.remove(&id);
        }
    }
    done()
}

struct Tag {
    resource: String,
    kind: &'static IdKind,
    key: String,
    value: String,
}

const FIELDS: &[Field<Tag>] = &[
    ("key", |tag, _| one(&tag.key)),
    ("value", |tag, _| one(&tag.value)),
    ("resource-id", |tag, _| one(&tag.resource)),
    ("resource-type", |tag, _| one(tag.kind.resource_type)),
];

fn describe(call: &mut Call<'_>) -> Answer {
    let page = Page::parse(call.params, 5..=1000)?;
    let filters = Filters::parse(call.params, FIELDS)?;
    let mut all = Vec::new();
    for (resource, tags) in &call.region.tags {
        let Some(kind) = kind_of(resource) else { continue };
        let of_resource = tags.iter().map(|(key, value)| Tag {
            resource: resource.clone(),
            kind,
            key: key.clone(),
            value: value.clone(),
        });
        all.extend(of_resource.filter(|tag| filters.accept(tag, call.region, Some(tags))));
    }
    let (tags, next) = page.cut(all, |tag| format!("{}/{}", tag.resource, tag.key));
    let mut xml = Xml::new();
    xml.set("tagSet", tags, |xml, tag| {
        xml.text("resourceId", tag.resource).text("resourceType", tag.kind.resource_type);
        xml.text("key", tag.key).text("value", tag.value);
    });
    xml.optional("nextToken", next);
    Ok(xml)
}

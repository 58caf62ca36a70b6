//! From the SDK's tags, times and instances to ours and back.

use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use aws_sdk_ec2::types::{self, Filter, InstanceLifecycleType, ResourceType, TagSpecification};

use crate::cloud::expiry::NEVER;
use crate::cloud::tags::{self, Owner, Tags};
use crate::cloud::{Instance, InstanceState, Market};

pub(super) fn filter<V: Into<String>>(name: &str, values: impl IntoIterator<Item = V>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().map(Into::into).collect())).build()
}

/// Filters that let through what carries all these tags.
pub(super) fn tag_filters(tags: &Tags) -> Vec<Filter> {
    tags.iter().map(|(key, value)| filter(&format!("tag:{key}"), [value.as_str()])).collect()
}

pub(super) fn owner_filters(owner: &Owner) -> Vec<Filter> {
    tag_filters(&owner.tags())
}

pub(super) fn sdk_tags(tags: &Tags) -> Vec<types::Tag> {
    tags.iter().map(|(key, value)| types::Tag::builder().key(key).value(value).build()).collect()
}

pub(super) fn tag_specification(kind: ResourceType, tags: &Tags) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(sdk_tags(tags))).build()
}

pub(super) fn read_tags(tags: Option<&[types::Tag]>) -> Tags {
    tags.unwrap_or_default()
        .iter()
        .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned())))
        .collect()
}

pub(super) fn time(time: Option<&DateTime>) -> Option<String> {
    time.and_then(|time| time.fmt(DateTimeFormat::DateTime).ok())
}

/// An instance as EC2 describes it. What was asked for at the launch (`asked`) stands in for tags that
/// the answer leaves out.
pub(super) fn instance(region: &str, it: &types::Instance, asked: &Tags) -> Instance {
    let mut all = asked.clone();
    all.extend(read_tags(it.tags.as_deref()));
    let tag = |key: &str| all.get(key).filter(|value| !value.is_empty()).cloned();
    let state = it.state().and_then(|state| state.name()).map(|name| InstanceState::from_word(name.as_str()));
    // An instance whose groups were given with its interface may list them there only.
    let of_interfaces = it.network_interfaces().iter().flat_map(|interface| interface.groups());
    let group = it.security_groups().iter().chain(of_interfaces).find_map(|group| group.group_id());
    let text = |value: Option<&str>| value.filter(|value| !value.is_empty()).map(str::to_owned);
    Instance {
        id: it.instance_id().unwrap_or_default().to_owned(),
        region: region.to_owned(),
        zone: it.placement().and_then(|place| place.availability_zone()).unwrap_or_default().to_owned(),
        instance_type: it.instance_type().map(|it| it.as_str().to_owned()).unwrap_or_default(),
        state: state.unwrap_or_default(),
        status: None,
        state_reason: text(it.state_reason().and_then(|reason| reason.message())),
        public_ip: text(it.public_ip_address()),
        private_ip: text(it.private_ip_address()),
        created: time(it.launch_time()),
        ami: text(it.image_id()),
        vpc_id: text(it.vpc_id()),
        subnet_id: text(it.subnet_id()),
        security_group_id: text(group),
        market: match it.instance_lifecycle() {
            Some(InstanceLifecycleType::Spot) => Market::Spot,
            _ => Market::OnDemand,
        },
        spot_request_id: text(it.spot_instance_request_id()),
        name: tag(tags::NAME),
        project: tag(tags::PROJECT),
        deployment_id: tag(tags::DEPLOYMENT),
        creator: tag(tags::CREATED_BY),
        token: tag(tags::TOKEN),
        expires: tag(tags::EXPIRES).filter(|end| end != NEVER),
        tags: all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_own_tags_win_over_what_was_asked() {
        let asked = Tags::from([
            (tags::PROJECT.to_owned(), "web".to_owned()),
            (tags::NAME.to_owned(), "asked".to_owned()),
        ]);
        let it = types::Instance::builder()
            .instance_id("i-1")
            .public_ip_address("")
            .tags(types::Tag::builder().key(tags::NAME).value("answered").build())
            .build();
        let instance = instance("us-west-2", &it, &asked);
        assert_eq!(instance.name.as_deref(), Some("answered"));
        assert_eq!(instance.project.as_deref(), Some("web"));
        assert_eq!(instance.public_ip, None);
        assert_eq!(instance.state, InstanceState::Unknown);
        assert_eq!(instance.market, Market::OnDemand);
    }
}

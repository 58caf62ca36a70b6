//! Network interfaces of other services of AWS, such as a load balancer's: they hold a subnet and its
//! groups, and the account cannot delete them.

use serde::Deserialize;

use super::actions::interfaces::add;
use super::fault::Fault;
use super::model::cloud::Cloud;
use super::model::id;
use super::moment::Moment;

/// What `POST /_sandbox/hold` asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hold {
    subnet_id: String,
    #[serde(default)]
    group_ids: Vec<String>,
    /// `ELB app/web/0123`.
    description: String,
    /// `amazon-elb`.
    requester: String,
}

/// What `POST /_sandbox/release` asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    network_interface_id: String,
}

/// Puts an interface into a subnet; its id.
pub(super) fn hold(cloud: &mut Cloud, wanted: &Hold, now: Moment) -> Result<String, Fault> {
    id::SUBNET.check(&wanted.subnet_id)?;
    let mut regions = cloud.regions.values_mut();
    let region = regions
        .find(|region| region.subnets.contains_key(&wanted.subnet_id))
        .ok_or_else(|| id::SUBNET.missing(&[&wanted.subnet_id]))?;
    let groups: Vec<&str> = wanted.group_ids.iter().map(String::as_str).collect();
    let id = add(region, &wanted.subnet_id, &groups, None, &wanted.description, now)?;
    if let Some(interface) = region.interfaces.get_mut(&id) {
        interface.requester = Some(wanted.requester.clone());
    }
    Ok(id)
}

/// Takes an interface away again, as the service that made it does when it has no more use for it.
pub(super) fn release(cloud: &mut Cloud, wanted: &Release) -> Result<(), Fault> {
    let id = &wanted.network_interface_id;
    id::INTERFACE.check(id)?;
    let mut regions = cloud.regions.values_mut();
    let region = regions
        .find(|region| region.interfaces.contains_key(id))
        .ok_or_else(|| id::INTERFACE.missing(&[id]))?;
    region.interfaces.remove(id);
    region.tags.remove(id);
    Ok(())
}

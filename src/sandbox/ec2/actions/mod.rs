//! What each action does, a file per family of resources.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::filter::{Field, Filters};
use super::model::id::IdKind;
use super::model::region::{Region, Token};
use super::moment::Moment;
use super::page::Page;
use super::regions::Place;
use super::request::Params;
use super::router::{Answer, Operation};
use super::xml::Xml;
use super::{Machine, Warning, fault::Fault, force::Force};
use crate::sandbox::faults::dice::Lot;

pub(super) mod addresses;
pub(super) mod attachments;
pub(super) mod attributes;
mod block_devices;
pub(super) mod cidr_blocks;
pub(super) mod egress_gateways;
mod fleet_launch;
mod fleet_request;
pub(super) mod fleets;
pub(super) mod gateways;
pub(super) mod images;
pub(super) mod instance_types;
pub(super) mod instances;
pub(super) mod interfaces;
pub(super) mod key_pairs;
pub(super) mod launch;
mod launch_request;
pub(super) mod launch_templates;
pub(super) mod permissions;
mod placement;
pub(super) mod placement_groups;
pub(super) mod placement_scores;
pub(super) mod power;
pub(super) mod regions;
pub(super) mod requirements;
pub(super) mod route_tables;
pub(super) mod security_groups;
pub(super) mod security_rules;
pub(super) mod spot;
pub(super) mod status;
pub(super) mod subnets;
pub(super) mod tags;
pub(super) mod volumes;
pub(super) mod vpcs;

/// Every row of the router's table.
pub(super) static FAMILIES: &[&[Operation]] = &[
    regions::OPERATIONS,
    images::OPERATIONS,
    instance_types::OPERATIONS,
    launch_templates::OPERATIONS,
    launch::OPERATIONS,
    fleets::OPERATIONS,
    placement_groups::OPERATIONS,
    placement_scores::OPERATIONS,
    requirements::OPERATIONS,
    instances::OPERATIONS,
    status::OPERATIONS,
    power::OPERATIONS,
    attributes::OPERATIONS,
    spot::OPERATIONS,
    tags::OPERATIONS,
    vpcs::OPERATIONS,
    subnets::OPERATIONS,
    cidr_blocks::OPERATIONS,
    gateways::OPERATIONS,
    egress_gateways::OPERATIONS,
    route_tables::OPERATIONS,
    security_groups::OPERATIONS,
    security_rules::OPERATIONS,
    interfaces::OPERATIONS,
    key_pairs::OPERATIONS,
    volumes::OPERATIONS,
    attachments::OPERATIONS,
    addresses::OPERATIONS,
];

/// One request, and what its handler may touch.
pub(super) struct Call<'a> {
    /// What was asked.
    pub params: &'a Params,
    /// The region it was asked in.
    pub place: &'static Place,
    /// What is in that region.
    pub region: &'a mut Region,
    /// The addresses in use in all regions.
    pub addresses: &'a mut BTreeSet<Ipv4Addr>,
    /// The other regions, for the actions that look beyond one.
    pub elsewhere: BTreeMap<String, Region>,
    /// The service-linked roles of the account.
    pub roles: &'a mut BTreeSet<String>,
    /// How many spot instances there have ever been.
    pub spot_launched: &'a mut u64,
    /// The faults in force.
    pub faults: &'a Force,
    /// What chance has for this request.
    pub lot: Lot,
    /// How many instances may live at once, in all regions.
    pub limit: u32,
    /// When.
    pub now: Moment,
    /// What the machine has printed whose console is asked for.
    pub console: &'a str,
    /// What is to be done to the machines once the change is stored.
    pub effects: Vec<Effect>,
}

/// A change to a machine.
#[derive(Debug, Clone)]
pub(super) enum Effect {
    /// Start the machine of an instance.
    Boot(Machine),
    /// Stop the machine of an instance, if it runs, and start it.
    Restart(Machine),
    /// Stop the machine of the instance with this id.
    Stop(String),
    /// Remove the machine of the instance with this id.
    Remove(String),
    /// Tell the machine of the instance with this id.
    Warn(String, Warning),
}

/// A page of resources with their ids, and the token of the next page.
type Listed<'a, T> = (Vec<(&'a String, &'a T)>, Option<String>);

impl Call<'_> {
    /// The resources that a `Describe` action asks for: those of the ids given (each must exist), or
    /// all of them, filtered, one page.
    fn list<'a, T>(
        &'a self,
        all: &'a BTreeMap<String, T>,
        kind: &IdKind,
        id_parameter: &str,
        fields: &'static [Field<T>],
    ) -> Result<Listed<'a, T>, Fault> {
        let filters = Filters::parse(self.params, fields)?;
        let page = self.page(id_parameter)?;
        let found = chosen(all, kind, &self.params.list(id_parameter))?;
        let kept = found
            .into_iter()
            .filter(|(id, resource)| filters.accept(resource, self.region, self.region.tags.get(*id)))
            .collect();
        Ok(page.cut(kept, |(id, _)| (*id).clone()))
    }

    /// `MaxResults` and `NextToken`, which do not go with a list of ids.
    fn page(&self, id_parameter: &str) -> Result<Page, Fault> {
        if self.params.has("MaxResults") && self.params.has(id_parameter) {
            // EC2 calls this one as its answers do.
            let name = if id_parameter == "InstanceId" { "instancesSet" } else { id_parameter };
            let message = format!("The parameter {name} cannot be used with the parameter maxResults");
            return Err(Fault::combination(message));
        }
        Page::parse(self.params, 5..=1000)
    }

    /// What an earlier request with the same client token made, if this one is a repetition.
    fn repeated(&self, action: &str) -> Result<Option<String>, Fault> {
        let Some(token) = self.params.text("ClientToken") else { return Ok(None) };
        if token.len() > 64 || !token.is_ascii() {
            return Err(Fault::value_of("clientToken", token, "At most 64 ASCII characters are allowed"));
        }
        let Some(known) = self.region.tokens.get(&format!("{action}/{token}")) else { return Ok(None) };
        if known.digest == self.digest() {
            return Ok(Some(known.result.clone()));
        }
        Err(Fault::new(
            "IdempotentParameterMismatch",
            "Arguments on this idempotent request are inconsistent with arguments used in previous \
             request(s).",
        ))
    }

    /// Remembers what a request with a client token made.
    fn remember(&mut self, action: &str, result: &str) {
        let Some(token) = self.params.text("ClientToken") else { return };
        let known = Token { digest: self.digest(), result: result.to_owned(), at: self.now };
        self.region.tokens.insert(format!("{action}/{token}"), known);
    }

    fn digest(&self) -> String {
        self.params.digest(&["ClientToken", "DryRun"])
    }
}

/// The resources of these ids, or all if there are none.
fn chosen<'a, T>(
    all: &'a BTreeMap<String, T>,
    kind: &IdKind,
    ids: &[&str],
) -> Result<Vec<(&'a String, &'a T)>, Fault> {
    if ids.is_empty() {
        return Ok(all.iter().collect());
    }
    for id in ids {
        kind.check(id)?;
    }
    let missing: Vec<&str> = ids.iter().copied().filter(|id| !all.contains_key(*id)).collect();
    if !missing.is_empty() {
        return Err(kind.missing(&missing));
    }
    let wanted: BTreeSet<&str> = ids.iter().copied().collect();
    Ok(wanted.into_iter().filter_map(|id| all.get_key_value(id)).collect())
}

/// `<return>true</return>`.
fn done() -> Answer {
    let mut xml = Xml::new();
    xml.text("return", true);
    Ok(xml)
}

//! EC2 Fleets: CreateFleet, DescribeFleets, DescribeFleetInstances, DeleteFleets.

use super::fleet_launch::fulfil;
use super::fleet_request::{FleetRequest, PARAMETERS};
use super::instances::{BY_USER, finish};
use super::{Call, chosen, requirements};
use crate::sandbox::ec2::echo;
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, one};
use crate::sandbox::ec2::model::fleet::{Fleet, Launched, Pool, Refused};
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::region::find;
use crate::sandbox::ec2::request::Params;
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write("CreateFleet", create, &[PARAMETERS, TAG_SPECIFICATION])
        .with("LaunchTemplateConfigs.N.Overrides.N.InstanceRequirements", &[requirements::PARAMETERS]),
    Operation::read("DescribeFleets", describe, &[&["FleetId.N"], FILTER, PAGE]),
    Operation::read("DescribeFleetInstances", instances, &[&["*FleetId"], FILTER, PAGE]),
    Operation::write("DeleteFleets", delete, &[&["*FleetId.N", "*TerminateInstances"]]),
];

const FIELDS: &[Field<Fleet>] = &[
    ("activity-status", |_, _| one("fulfilled")),
    ("excess-capacity-termination-policy", |_, _| Vec::new()),
    ("fleet-state", |fleet, _| one(&fleet.state)),
    ("replace-unhealthy-instances", |_, _| one(false)),
    ("type", |_, _| one("instant")),
];

fn create(call: &mut Call<'_>) -> Answer {
    let id = match call.repeated("CreateFleet")? {
        Some(id) if call.region.fleets.contains_key(&id) => id,
        _ => {
            let request = FleetRequest::parse(call)?;
            let id = id::FLEET.draw(&call.region.chance);
            let outcome = fulfil(call, &id, &request);
            if let Some(tags) = request.tags.get("fleet") {
                call.region.tag(&id, tags);
            }
            let fleet = Fleet {
                id: id.clone(),
                created: call.now,
                client_token: call.params.text("ClientToken").map(str::to_owned),
                state: "active".to_owned(),
                request: call.params.clone(),
                groups: outcome.groups,
                errors: outcome.errors,
                fulfilled: outcome.fulfilled,
            };
            call.region.fleets.insert(id.clone(), fleet);
            call.remember("CreateFleet", &id);
            id
        }
    };
    let fleet = find(&call.region.fleets, &id::FLEET, &id)?;
    let mut xml = Xml::new();
    xml.text("fleetId", &fleet.id);
    write_outcome(&mut xml, fleet);
    Ok(xml)
}

fn write_outcome(xml: &mut Xml, fleet: &Fleet) {
    xml.set("errorSet", &fleet.errors, |xml, refused: &Refused| {
        write_pool(xml, &refused.pool);
        xml.text("lifecycle", &refused.lifecycle).text("errorCode", &refused.code);
        xml.text("errorMessage", &refused.message);
    });
    xml.set("fleetInstanceSet", &fleet.groups, |xml, group: &Launched| {
        write_pool(xml, &group.pool);
        xml.text("lifecycle", &group.lifecycle).words("instanceIds", &group.instances);
        xml.text("instanceType", &group.kind);
    });
}

fn write_pool(xml: &mut Xml, pool: &Pool) {
    xml.element("launchTemplateAndOverrides", |xml| {
        xml.element("launchTemplateSpecification", |xml| {
            xml.text("launchTemplateId", &pool.template).text("version", pool.version);
        });
        xml.element("overrides", |xml| echo::write(xml, &pool.overrides));
    });
}

fn describe(call: &mut Call<'_>) -> Answer {
    let (mut fleets, next) = call.list(&call.region.fleets, &id::FLEET, "FleetId", FIELDS)?;
    // As in EC2: instant fleets are told only to who names them.
    if !call.params.has("FleetId") {
        fleets.clear();
    }
    let mut xml = Xml::new();
    xml.set("fleetSet", fleets, |xml, (id, fleet)| {
        xml.text("activityStatus", "fulfilled").time("createTime", fleet.created).text("fleetId", id);
        xml.text("fleetState", &fleet.state);
        xml.optional("clientToken", fleet.client_token.as_ref());
        xml.text("fulfilledCapacity", fleet.fulfilled.0 + fleet.fulfilled.1);
        xml.text("fulfilledOnDemandCapacity", fleet.fulfilled.1);
        xml.set("launchTemplateConfigs", fleet.request.members("LaunchTemplateConfigs"), write_config);
        for (name, element) in [
            ("TargetCapacitySpecification", "targetCapacitySpecification"),
            ("SpotOptions", "spotOptions"),
            ("OnDemandOptions", "onDemandOptions"),
        ] {
            if let Some(group) = fleet.request.group(name) {
                xml.element(element, |xml| echo::write(xml, group));
            }
        }
        xml.text("terminateInstancesWithExpiration", false).text("type", "instant");
        xml.text("replaceUnhealthyInstances", false);
        write_outcome(xml, fleet);
        tags::write(xml, call.region.tags.get(id));
    });
    xml.optional("nextToken", next);
    Ok(xml)
}

fn write_config(xml: &mut Xml, config: &Params) {
    if let Some(specification) = config.group("LaunchTemplateSpecification") {
        xml.element("launchTemplateSpecification", |xml| echo::write(xml, specification));
    }
    xml.set("overrides", config.members("Overrides"), echo::write);
}

fn instances(call: &mut Call<'_>) -> Answer {
    let id = call.params.required("FleetId")?;
    let fleet = find(&call.region.fleets, &id::FLEET, id)?;
    if call.params.has("Filter") {
        return Err(Fault::unsupported("the sandbox does not filter the instances of a fleet"));
    }
    let living: Vec<_> = fleet
        .groups
        .iter()
        .flat_map(|group| &group.instances)
        .filter_map(|id| call.region.instances.get(id))
        .filter(|instance| !instance.state.ended())
        .collect();
    let page = super::Page::parse(call.params, 1..=1000)?;
    let (living, next) = page.cut(living, |instance| instance.id.clone());
    let mut xml = Xml::new();
    xml.text("fleetId", id);
    xml.set("activeInstanceSet", living, |xml, instance| {
        xml.text("instanceId", &instance.id).text("instanceType", &instance.kind);
        xml.optional("spotInstanceRequestId", instance.spot_request.as_ref())
            .text("instanceHealth", "healthy");
    });
    xml.optional("nextToken", next);
    Ok(xml)
}

/// Deletes fleets, each for itself: one that does not exist does not keep the others.
fn delete(call: &mut Call<'_>) -> Answer {
    let terminate = call.params.flag("TerminateInstances")?.unwrap_or(false);
    let ids: Vec<String> = call.params.list("FleetId").into_iter().map(str::to_owned).collect();
    if !terminate {
        // As in EC2: the instances of an instant fleet cannot outlive it.
        let message = "Instances of an instant fleet must be terminated with it (TerminateInstances).";
        return Err(Fault::new("NoTerminateInstancesNotSupported", message));
    }
    let (mut gone, mut failed) = (Vec::new(), Vec::new());
    for id in ids {
        if let Err(fault) = id::FLEET.check(&id) {
            failed.push((id, "fleetIdMalformed", fault.message));
            continue;
        }
        let Some(fleet) = call.region.fleets.get(&id) else {
            failed.push((id, "fleetIdDoesNotExist", "The fleet ID does not exist".to_owned()));
            continue;
        };
        let before = fleet.state.clone();
        let members: Vec<String> = fleet.groups.iter().flat_map(|group| group.instances.clone()).collect();
        let living = chosen(&call.region.instances, &id::INSTANCE, &[])?
            .into_iter()
            .any(|(id, instance)| members.contains(id) && !instance.state.ended());
        for member in members {
            finish(call, &member, BY_USER, "User initiated shutdown");
        }
        let state = if living { "deleted_terminating" } else { "deleted" };
        if let Some(fleet) = call.region.fleets.get_mut(&id) {
            fleet.state = state.to_owned();
        }
        gone.push((id, before, state));
    }
    let mut xml = Xml::new();
    xml.set("successfulFleetDeletionSet", gone, |xml, (id, before, state)| {
        xml.text("currentFleetState", state);
        xml.text("previousFleetState", before).text("fleetId", id);
    });
    xml.set("unsuccessfulFleetDeletionSet", failed, |xml, (id, code, message)| {
        xml.element("error", |xml| {
            xml.text("code", code).text("message", message);
        });
        xml.text("fleetId", id);
    });
    Ok(xml)
}

//! StopInstances, StartInstances, RebootInstances.
//!
//! A stopped instance keeps its files and volumes. With EC2 it gets another public address when it starts;
//! here it keeps the one at which its machine listens.

use super::instances::{by_ids, write_state};
use super::{Call, Effect, done};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::model::instance::{Instance, State};
use crate::sandbox::ec2::model::region::Tags;
use crate::sandbox::ec2::router::{Answer, Operation};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::write("StopInstances", stop, &[&["*InstanceId.N", "Force", "Hibernate", "SkipOsShutdown"]]),
    Operation::write("StartInstances", start, &[&["*InstanceId.N", "AdditionalInfo"]]),
    Operation::write("RebootInstances", reboot, &[&["*InstanceId.N"]]),
];

/// The ids of instances that all pass a check.
fn checked(call: &Call<'_>, check: impl Fn(&Instance) -> Result<(), Fault>) -> Result<Vec<String>, Fault> {
    let instances = by_ids(call)?;
    instances.iter().try_for_each(|instance| check(instance))?;
    Ok(instances.into_iter().map(|instance| instance.id.clone()).collect())
}

fn unfit(instance: &Instance, doing: &str) -> Fault {
    let message = format!("The instance '{}' is not in a state from which it can be {doing}.", instance.id);
    Fault::new("IncorrectInstanceState", message)
}

fn stop(call: &mut Call<'_>) -> Answer {
    if call.params.flag("Hibernate")?.unwrap_or(false) {
        return Err(Fault::new(
            "UnsupportedHibernationConfiguration",
            "Hibernation is not configured for this instance.",
        ));
    }
    let ids = checked(call, |instance| {
        if instance.spot_request.is_some() {
            let message = format!(
                "You can't stop the Spot Instance '{}' because it is associated with a one-time Spot Instance \
                 request. You can only stop Spot Instances associated with persistent Spot Instance requests.",
                instance.id
            );
            return Err(Fault::unsupported(message));
        }
        match instance.state {
            State::Running | State::Stopping | State::Stopped => Ok(()),
            _ => Err(unfit(instance, "stopped")),
        }
    })?;
    let now = call.now;
    change(call, ids, |instance, _| {
        if instance.state != State::Running {
            return None;
        }
        instance.state = State::Stopping;
        instance.halted = Some(now);
        instance.checked = false;
        Some(Effect::Stop(instance.id.clone()))
    })
}

fn start(call: &mut Call<'_>) -> Answer {
    let ids = checked(call, |instance| match instance.state {
        State::Stopped | State::Pending | State::Running => Ok(()),
        _ => Err(unfit(instance, "started")),
    })?;
    let (now, region) = (call.now, call.place.name);
    change(call, ids, |instance, tags| {
        if instance.state != State::Stopped {
            return None;
        }
        instance.state = State::Pending;
        instance.halted = None;
        instance.launched = now;
        Some(Effect::Restart(instance.machine(region, tags)))
    })
}

/// Changes instances and tells their states before and after.
fn change(
    call: &mut Call<'_>,
    ids: Vec<String>,
    change: impl Fn(&mut Instance, Option<&Tags>) -> Option<Effect>,
) -> Answer {
    let mut xml = Xml::new();
    xml.set("instancesSet", ids, |xml, id| {
        let Some(instance) = call.region.instances.get_mut(&id) else { return };
        let before = instance.state;
        call.effects.extend(change(instance, call.region.tags.get(&id)));
        xml.text("instanceId", &id);
        write_state(xml, "currentState", instance.state);
        write_state(xml, "previousState", before);
    });
    Ok(xml)
}

fn reboot(call: &mut Call<'_>) -> Answer {
    let ids = checked(call, |instance| match instance.state {
        State::Running | State::Pending => Ok(()),
        _ => Err(unfit(instance, "rebooted")),
    })?;
    for id in ids {
        if let Some(instance) = call.region.instances.get(&id) {
            call.effects.push(Effect::Restart(instance.machine(call.place.name, call.region.tags.get(&id))));
        }
    }
    done()
}

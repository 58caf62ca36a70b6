//! Spot instances that AWS takes back: a recommendation, a notice, the end.

use std::time::Duration;

use serde::Deserialize;

use super::Warning;
use super::actions::instances::end;
use super::actions::{Call, Effect};
use super::fault::Fault;
use super::model::cloud::Cloud;
use super::model::id;
use super::model::instance::{Doom, Instance};
use super::moment::Moment;
use super::types::InstanceType;

/// What `POST /_sandbox/interrupt` asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Interrupt {
    instance_id: String,
    /// Whether a rebalance recommendation is given now. Without `seconds`, that is all.
    #[serde(default)]
    rebalance: bool,
    /// How long after the notice, which is given now, the instance ends; 120 unless it is only for a
    /// recommendation.
    #[serde(default)]
    seconds: Option<f64>,
}

/// How a spot instance that is just being launched will be taken back, if the faults say so.
pub(super) fn planned(call: &mut Call<'_>, kind: &InstanceType, zone: &str) -> Option<Doom> {
    let number = *call.spot_launched;
    *call.spot_launched += 1;
    let lot = call.lot;
    let plan = call.faults.interruptions.iter().find(|plan| {
        plan.which.picks(number, zone, kind.name, lot.fraction(&format!("interruption {number}")))
    })?;
    let notice = call.now.plus(plan.after);
    Some(Doom {
        rebalance: plan.rebalance.map(|before| notice.minus(before).max(call.now)),
        notice: Some(notice),
        end: Some(notice.plus(plan.notice)),
    })
}

/// Dooms an instance as asked.
pub(super) fn ask(cloud: &mut Cloud, wanted: &Interrupt, now: Moment) -> Result<(), Fault> {
    id::INSTANCE.check(&wanted.instance_id)?;
    let mut regions = cloud.regions.values_mut();
    let instance = regions
        .find_map(|region| region.instances.get_mut(&wanted.instance_id))
        .ok_or_else(|| id::INSTANCE.missing(&[&wanted.instance_id]))?;
    if instance.spot_request.is_none() || instance.state.ended() {
        let message = format!("{} is not a living spot instance", instance.id);
        return Err(Fault::new("IncorrectInstanceState", message));
    }
    let seconds = match wanted.seconds {
        None if wanted.rebalance => None,
        None => Some(120.0),
        Some(seconds) if (0.0..=86_400.0).contains(&seconds) => Some(seconds),
        Some(other) => return Err(Fault::value_of("seconds", &other.to_string(), "Expecting 0 to 86400.")),
    };
    let doom = instance.doom.get_or_insert_default();
    if wanted.rebalance {
        doom.rebalance = Some(now);
    }
    if let Some(seconds) = seconds {
        doom.notice = Some(now);
        doom.end = Some(now.plus(Duration::from_secs_f64(seconds)));
    }
    Ok(())
}

/// When something is due next.
pub(super) fn next(cloud: &Cloud) -> Option<Moment> {
    let instances = cloud.regions.values().flat_map(|region| region.instances.values());
    instances.filter(|instance| !instance.state.ended()).filter_map(|it| it.doom.as_ref()?.next()).min()
}

/// Does what is due, and says what is to be done to the machines.
pub(super) fn carry_out(cloud: &mut Cloud, now: Moment) -> Vec<Effect> {
    let mut effects = Vec::new();
    for region in cloud.regions.values_mut() {
        for instance in region.instances.values_mut() {
            if instance.state.ended()
                || instance.doom.as_ref().and_then(Doom::next).is_none_or(|next| next > now)
            {
                continue;
            }
            let request = instance.spot_request.as_ref().and_then(|id| region.spot_requests.get_mut(id));
            let (status, ended) = advance(instance, now, &mut effects);
            let Some(request) = request.filter(|request| request.state == "active") else { continue };
            match (status, ended) {
                (_, true) => {
                    let message = "Your Spot Instance was terminated because there is no Spot capacity \
                                   available that matches your request.";
                    request.turn("closed", "instance-terminated-no-capacity", message, now);
                }
                (true, false) => {
                    let message = "Your Spot Instance is marked for termination because there is no Spot \
                                   capacity available that matches your request.";
                    request.turn("active", "marked-for-termination", message, now);
                }
                (false, false) => {}
            }
        }
    }
    effects
}

/// One instance: whether it has now been given notice, and whether it has ended.
fn advance(instance: &mut Instance, now: Moment, effects: &mut Vec<Effect>) -> (bool, bool) {
    let Some(doom) = &mut instance.doom else { return (false, false) };
    if let Some(at) = doom.rebalance.take_if(|at| *at <= now) {
        effects.push(Effect::Warn(instance.id.clone(), Warning::Rebalance(at.time())));
    }
    let mut marked = false;
    if doom.notice.take_if(|at| *at <= now).is_some() {
        marked = true;
        let at = doom.end.unwrap_or(now).time();
        effects.push(Effect::Warn(instance.id.clone(), Warning::Termination(at)));
    }
    if doom.end.take_if(|at| *at <= now).is_none() {
        return (marked, false);
    }
    end(instance, now, "Server.SpotInstanceTermination", "Spot instance termination");
    effects.push(Effect::Remove(instance.id.clone()));
    (marked, true)
}

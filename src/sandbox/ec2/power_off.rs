//! Instances that shut themselves down: from inside, now or at a time.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use super::actions::Effect;
use super::actions::instances::end;
use super::model::cloud::Cloud;
use super::model::instance::{Instance, PowerOff, State};
use super::moment::Moment;

/// Notes what machines have been told; whether anything of it is news.
pub(super) fn note(cloud: &mut Cloud, told: &[(String, String)], now: Moment) -> bool {
    let told: HashMap<&str, &str> = told.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
    let mut news = false;
    for instance in instances(cloud).filter(|instance| !instance.state.ended()) {
        // A machine that nobody can look into, as one that only just boots, is no news.
        let Some(text) = told.get(instance.id.as_str()) else { continue };
        if instance.power_off.as_ref().map_or("", |known| &known.told) == *text {
            continue;
        }
        let known = read(text, now);
        news |= instance.power_off != known;
        instance.power_off = known;
    }
    news
}

/// `at SECONDS …` since 1970, or `in SECONDS …` from now; nothing for other words.
fn read(text: &str, now: Moment) -> Option<PowerOff> {
    let mut words = text.split(' ');
    let (kind, seconds) = (words.next()?, words.next()?.parse::<u32>().ok()?);
    let seconds = Duration::from_secs(seconds.into());
    let at = match kind {
        "at" => Moment::from_time(UNIX_EPOCH + seconds),
        "in" => now.plus(seconds),
        _ => return None,
    };
    Some(PowerOff { told: text.to_owned(), at, done: false })
}

/// When something is due next.
pub(super) fn next(cloud: &Cloud) -> Option<Moment> {
    let instances = cloud.regions.values().flat_map(|region| region.instances.values());
    let coming = instances.filter(|instance| is_on(instance)).filter_map(|it| it.power_off.as_ref());
    coming.filter(|power_off| !power_off.done).map(|power_off| power_off.at).min()
}

/// Ends or stops what is off by now, and says what is to be done to the machines.
pub(super) fn carry_out(cloud: &mut Cloud, now: Moment) -> Vec<Effect> {
    let mut effects = Vec::new();
    for region in cloud.regions.values_mut() {
        for instance in region.instances.values_mut() {
            let on = is_on(instance);
            let due = |power_off: &&mut PowerOff| on && !power_off.done && power_off.at <= now;
            let Some(power_off) = instance.power_off.as_mut().filter(due) else { continue };
            power_off.done = true;
            if instance.spot_request.is_none() && !instance.options.ends_at_shutdown {
                instance.state = State::Stopping;
                instance.halted = Some(now);
                instance.checked = false;
                effects.push(Effect::Stop(instance.id.clone()));
                continue;
            }
            end(instance, now, "Client.InstanceInitiatedShutdown", "Instance initiated shutdown");
            effects.push(Effect::Remove(instance.id.clone()));
            let request = instance.spot_request.as_ref().and_then(|id| region.spot_requests.get_mut(id));
            if let Some(request) = request.filter(|request| request.state == "active") {
                let message = "Spot Instance terminated due to user-initiated termination.";
                request.turn("closed", "instance-terminated-by-user", message, now);
            }
        }
    }
    effects
}

fn is_on(instance: &Instance) -> bool {
    matches!(instance.state, State::Pending | State::Running)
}

fn instances(cloud: &mut Cloud) -> impl Iterator<Item = &mut Instance> {
    cloud.regions.values_mut().flat_map(|region| region.instances.values_mut())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_absolute_or_from_when_it_is_seen() {
        let now = Moment::from_time(UNIX_EPOCH + Duration::from_secs(1000));
        let at = |text: &str| read(text, now).map(|power_off| power_off.at);
        assert_eq!(at("in 60 123"), Some(now.plus(Duration::from_secs(60))));
        assert_eq!(at("at 1060 spot-expire.timer"), Some(now.plus(Duration::from_secs(60))));
        for wrong in ["", "in", "in soon", "at -1", "on 5", "at 99999999999999"] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
    }
}

//! The names that a setting may use for actions, places and types: a misspelt one would never apply.

use super::actions::FAMILIES;
use super::filter::wildcard;
use super::regions::PLACES;
use super::types::TYPES;
use crate::error::nearest;

/// Whether a pattern, in which `*` stands for any text, is about this name.
pub(in crate::sandbox) fn matches(pattern: &str, name: &str) -> bool {
    pattern == name || wildcard(pattern, name)
}

/// Refuses a pattern that is about no action.
pub(in crate::sandbox) fn check_action(pattern: &str) -> Result<(), String> {
    let names = || FAMILIES.iter().flat_map(|family| family.iter()).map(|operation| operation.name);
    match names().any(|name| matches(pattern, name)) {
        true => Ok(()),
        false => Err(unknown("action", pattern, names())),
    }
}

/// Refuses a name that is no enabled region.
pub(in crate::sandbox) fn check_region(name: &str) -> Result<(), String> {
    let mut names = PLACES.iter().filter(|place| place.enabled()).map(|place| place.name);
    match names.clone().any(|known| known == name) {
        true => Ok(()),
        false => Err(unknown("region", name, &mut names)),
    }
}

/// Refuses a name that is no Availability Zone.
pub(in crate::sandbox) fn check_zone(name: &str) -> Result<(), String> {
    let zones: Vec<String> = PLACES.iter().flat_map(|place| place.zones()).map(|zone| zone.name).collect();
    match zones.iter().any(|zone| zone == name) {
        true => Ok(()),
        false => Err(unknown("Availability Zone", name, zones.iter().map(String::as_str))),
    }
}

/// Refuses a name that is no instance type of the sandbox.
pub(in crate::sandbox) fn check_type(name: &str) -> Result<(), String> {
    let names = || TYPES.iter().map(|kind| kind.name);
    match names().any(|known| known == name) {
        true => Ok(()),
        false => Err(unknown("instance type", name, names())),
    }
}

fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(near) => format!("unknown {what} `{name}`, did you mean `{near}`?"),
        None => format!("unknown {what} `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_are_told_with_the_nearest() {
        assert_eq!(check_action("RunInstances"), Ok(()));
        assert_eq!(check_action("Describe*"), Ok(()));
        let told = check_action("RunInstnaces").unwrap_err();
        assert_eq!(told, "unknown action `RunInstnaces`, did you mean `RunInstances`?");
        assert!(check_action("Explode*").is_err());
        assert_eq!(
            check_region("us-wset-2").unwrap_err(),
            "unknown region `us-wset-2`, did you mean `us-west-2`?"
        );
        assert!(check_region("af-south-1").is_err(), "a region that is not enabled");
        assert!(check_zone("us-west-2a").is_ok() && check_zone("us-west-2z").is_err());
        assert!(check_type("t3.medium").is_ok() && check_type("t3.meduim").is_err());
    }
}

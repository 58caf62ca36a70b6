//! When resources are to go: what their tag says, and which of them may go now.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::tags::{EXPIRES, Tags};
use super::{Owned, ResourceKind};

/// What the tag says of what is to stay although it once had an end.
pub const NEVER: &str = "never";

/// What a resource's tag says of its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expiry {
    /// There is no end: no tag, or one that says so.
    Never,
    /// It may go from this time on.
    At(Timestamp),
    /// Nobody knows what the tag means.
    Unreadable(String),
}

impl Expiry {
    /// What tags say.
    pub fn of(tags: &Tags) -> Expiry {
        tags.get(EXPIRES).map_or(Expiry::Never, |text| Expiry::parse(text))
    }

    /// What the value of the tag says: a time with its zone (RFC 3339), or [`NEVER`].
    pub fn parse(text: &str) -> Expiry {
        if text == NEVER {
            return Expiry::Never;
        }
        text.parse::<Timestamp>().map_or_else(|_| Expiry::Unreadable(text.to_owned()), Expiry::At)
    }
}

/// A time as the tag says it: UTC, to the second.
pub fn written(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The resources of a region by what their tags say of their end. Those without an end are in none of
/// the lists.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Expired {
    /// What may go now.
    pub expired: Vec<Owned>,
    /// What could go, but belongs to an instance that may not; `note` would say which.
    pub held: Vec<Held>,
    /// What has a tag that nobody can read.
    pub unreadable: Vec<Owned>,
    /// How many have an end that is to come.
    pub later: usize,
}

/// An expired resource that stays for the sake of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The resource.
    #[serde(flatten)]
    pub resource: Owned,
    /// The instance.
    pub by: String,
}

impl Expired {
    /// Sorts all that an owner has in a region. What is not `in_scope` stays, and what it needs too.
    pub fn sort(owned: Vec<Owned>, now: Timestamp, in_scope: impl Fn(&Owned) -> bool) -> Expired {
        let is_over = |it: &Owned| matches!(Expiry::of(&it.tags), Expiry::At(end) if end <= now);
        let goes = |it: &Owned| in_scope(it) && is_over(it) && !it.protected;
        let ending = |it: &Owned| it.state.as_deref() == Some("shutting-down");
        let stays: Vec<Owned> = owned
            .iter()
            .filter(|it| it.kind == ResourceKind::Instance && !goes(it) && !ending(it))
            .cloned()
            .collect();
        let mut sorted = Expired::default();
        for it in owned.into_iter().filter(|it| in_scope(it)) {
            match Expiry::of(&it.tags) {
                Expiry::Never => {}
                Expiry::Unreadable(_) => sorted.unreadable.push(it),
                Expiry::At(end) if end > now => sorted.later += 1,
                Expiry::At(_) => match stays.iter().find(|instance| needs(instance, &it)) {
                    Some(instance) => sorted.held.push(Held { by: instance.id.clone(), resource: it }),
                    None => sorted.expired.push(it),
                },
            }
        }
        sorted
    }
}

/// Whether an instance may need a resource: deployments of a project share its network, and all else
/// belongs to one deployment.
fn needs(instance: &Owned, it: &Owned) -> bool {
    if it.kind == ResourceKind::Instance || instance.project != it.project {
        return false;
    }
    it.kind.is_network() || it.deployment.is_none() || it.deployment == instance.deployment
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-06-01T12:00:00Z";

    fn owned(kind: ResourceKind, id: &str, deployment: &str, expires: Option<&str>) -> Owned {
        Owned {
            project: Some("web-1".to_owned()),
            deployment: Some(deployment.to_owned()),
            tags: expires.map(|end| (EXPIRES.to_owned(), end.to_owned())).into_iter().collect(),
            ..Owned::new(kind, id, "us-west-2")
        }
    }

    fn sort(owned: Vec<Owned>) -> Expired {
        Expired::sort(owned, NOW.parse().unwrap(), |_| true)
    }

    fn ids<'a>(list: impl IntoIterator<Item = &'a Owned>) -> Vec<&'a str> {
        list.into_iter().map(|it| it.id.as_str()).collect()
    }

    #[test]
    fn only_what_is_over_goes_and_what_is_unreadable_never() {
        let instance = |id: &str, expires| owned(ResourceKind::Instance, id, "d1", expires);
        let sorted = sort(vec![
            instance("i-over", Some("2026-06-01T11:59:59Z")),
            instance("i-now", Some(NOW)),
            instance("i-offset", Some("2026-06-01T13:00:00+02:00")),
            instance("i-later", Some("2026-06-01T12:00:01Z")),
            instance("i-none", None),
            instance("i-never", Some(NEVER)),
            instance("i-local", Some("2026-06-01T11:00:00")),
            instance("i-date", Some("2026-06-01")),
            instance("i-empty", Some("")),
            instance("i-words", Some("yesterday")),
        ]);
        assert_eq!(ids(&sorted.expired), ["i-over", "i-now", "i-offset"]);
        assert_eq!(ids(&sorted.unreadable), ["i-local", "i-date", "i-empty", "i-words"]);
        assert_eq!((sorted.later, sorted.held.len()), (1, 0));
    }

    #[test]
    fn what_an_instance_needs_that_stays_is_held() {
        let over = Some("2026-06-01T00:00:00Z");
        let network = || owned(ResourceKind::SecurityGroup, "sg-1", "d1", over);
        let volume = || owned(ResourceKind::Volume, "vol-1", "d1", over);
        let gone = owned(ResourceKind::Instance, "i-1", "d1", over);
        let stays = owned(ResourceKind::Instance, "i-2", "d2", None);
        let sorted = sort(vec![network(), volume(), gone.clone()]);
        assert_eq!(ids(&sorted.expired), ["sg-1", "vol-1", "i-1"]);
        let sorted = sort(vec![network(), volume(), gone.clone(), stays.clone()]);
        assert_eq!(ids(&sorted.expired), ["vol-1", "i-1"]);
        assert_eq!((sorted.held[0].resource.id.as_str(), sorted.held[0].by.as_str()), ("sg-1", "i-2"));

        // Another project's instance needs nothing of it; one that ends needs nothing any more.
        let other = Owned { project: Some("api-1".to_owned()), ..stays.clone() };
        assert!(sort(vec![network(), other]).held.is_empty());
        let ending = Owned { state: Some("shutting-down".to_owned()), ..stays.clone() };
        assert!(sort(vec![network(), ending]).held.is_empty());
        // What is protected stays, and so does what it needs.
        let kept = Owned { protected: true, ..gone.clone() };
        assert_eq!(ids(&sort(vec![network(), kept]).expired), ["i-1"], "aws::remove says that it is kept");

        // Somebody else's expired instance is not in scope: it stays, with its network.
        let sorted = Expired::sort(vec![network(), gone], NOW.parse().unwrap(), |it| it.id != "i-1");
        assert!(sorted.expired.is_empty() && sorted.held.len() == 1);
    }

    #[test]
    fn a_time_reads_back_to_the_second() {
        let time: Timestamp = "2026-06-01T12:00:00.75Z".parse().unwrap();
        assert_eq!(written(time), NOW);
        assert_eq!(Expiry::parse(&written(time)), Expiry::At(NOW.parse().unwrap()));
    }
}

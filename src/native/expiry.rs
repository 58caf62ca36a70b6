//! `aws::` functions about the end of what spot made: when it is, what is over, putting it off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rhai::plugin::*;
use serde::Serialize;

use crate::cloud::expiry::{Expired, Expiry, NEVER, written};
use crate::cloud::{Owned, Owner, ResourceKind, Tags, tags};
use crate::error::{Error, Result};
use crate::lifetime::Lifetime;
use crate::native::aws::{each_region, project};
use crate::native::options::Options;
use crate::native::thrown::{Answer, answer};

/// When what spot made is to go.
#[export_module]
pub mod expiry {
    use super::*;

    /// The present time where the cloud is, RFC 3339 in UTC: of the sandbox in one, otherwise of this
    /// machine, which EC2 keeps within minutes of its own.
    ///
    /// ```rhai
    /// print(aws::now());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn now(call: NativeCallContext) -> Answer {
        answer(&call, |spot| Ok(written(spot.now()?)))
    }

    /// When something that lives for so long from now on is to go: RFC 3339 in UTC, for the option
    /// `expires` of `aws::launch` and `aws::ensure_network`. The time to live is minutes, hours, days or
    /// weeks such as "90m", "6h" or "1d12h", at least five minutes and at most 365 days; "never" is `()`.
    ///
    /// ```rhai
    /// print(aws::expiry("6h"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn expiry(call: NativeCallContext, ttl: &str) -> Answer {
        answer(&call, |spot| {
            if ttl == NEVER {
                return Ok(None);
            }
            let lifetime: Lifetime = ttl.parse()?;
            Ok(Some(written(after(spot.now()?, lifetime)?)))
        })
    }

    /// What has expired in a region, by the tag `spot:expires`: `expired` (as `aws::owned` gives it, for
    /// `aws::remove`), `held` (expired, but `by` names an instance that may need it and has not),
    /// `unreadable` (nobody knows what the tag says), `later` (how many have an end that is to come).
    /// What has no such tag is in none of them. Options: `region`, `everything` (of all projects and
    /// people), `creator` (of all projects, what this one made; without it and `everything`, what the
    /// project has).
    ///
    /// ```rhai
    /// print(aws::expired(#{ region: "us-west-2", everything: true }).expired.len());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn expired(call: NativeCallContext, options: Dynamic) -> Answer {
        #[derive(Serialize)]
        struct Answered {
            region: String,
            #[serde(flatten)]
            sorted: Expired,
        }
        answer(&call, |spot| {
            let (document, now) = (spot.document()?, spot.now()?);
            let paid = document.instances().filter_map(|it| Some((it.id.clone(), it.price?)));
            let paid: Arc<std::collections::HashMap<String, f64>> = Arc::new(paid.collect());
            each_region(spot, "aws::expired", options, |options| {
                let region: String = options.required("region")?;
                let everything = options.or("everything", false)?;
                let creator: Option<String> = options.optional("creator")?.filter(|_| !everything);
                let owner = match document.project() {
                    _ if everything || creator.is_some() => Some(Owner::Everything),
                    project => project.map(|project| Owner::Project(project.to_owned())),
                };
                let (cloud, paid) = (spot.cloud()?, Arc::clone(&paid));
                Ok(async move {
                    let owned = match owner {
                        Some(owner) => cloud.owned(&region, &owner).await?,
                        None => Vec::new(),
                    };
                    let in_scope = |it: &Owned| {
                        creator.as_ref().is_none_or(|creator| it.tags.get(tags::CREATED_BY) == Some(creator))
                    };
                    let mut sorted = Expired::sort(owned, now, in_scope);
                    super::super::removal::price(cloud.as_ref(), &region, &paid, &mut sorted.expired).await;
                    Ok(Answered { region, sorted })
                })
            })
        })
    }

    /// Puts off, brings forward or takes away the end of the project's instances in a region: `changed`,
    /// one object for each instance: `id`, `region`, `before`, `expires` (`()` for no end). Volumes and
    /// the like go with their instances; the network stays as long as the last of them.
    ///
    /// Options: `region`, `ids` (all of the project without them), and one of `by` (so much longer, from
    /// now if it is over; instances without an end have none afterwards), `ttl` (from now), and `never:
    /// true`. Times are as for `aws::expiry`. State is not changed: note `expires` with `state::update`.
    ///
    /// ```rhai
    /// print(aws::extend(#{ region: "us-west-2", by: "2h" }).changed.len());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn extend(call: NativeCallContext, options: Dynamic) -> Answer {
        answer(&call, |spot| {
            let owner = Owner::Project(project(spot)?);
            let now = spot.now()?;
            each_region(spot, "aws::extend", options, |options| {
                let region: String = options.required("region")?;
                let ids: Option<BTreeSet<String>> = options.optional("ids")?;
                let change = change(options)?;
                let (cloud, owner) = (spot.cloud()?, owner.clone());
                Ok(async move {
                    let owned = cloud.owned(&region, &owner).await?;
                    let plan = Extension::of(&owned, ids.as_ref(), change, now)?;
                    for (value, resources) in &plan.tags {
                        let tags = Tags::from([(tags::EXPIRES.to_owned(), value.clone())]);
                        cloud.tag(&region, resources, &tags).await?;
                    }
                    Ok(Changes { region, changed: plan.changed })
                })
            })
        })
    }

    /// Seconds since 1970 of an RFC 3339 time, for programs on a host; throws when the text is none.
    ///
    /// ```rhai
    /// print(aws::epoch("2026-01-01T00:00:00Z"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn epoch(call: NativeCallContext, time: &str) -> Answer {
        answer(&call, |_| Ok(read_end("aws::epoch", time)?.as_second()))
    }

    /// Seconds until an RFC 3339 time, below 0 when it is over, by the clock of `aws::now`; `()` if the
    /// text is no time. Given a list of texts, a list.
    ///
    /// ```rhai
    /// print(aws::time_left(aws::expiry("6h")) > 21000.0);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn time_left(call: NativeCallContext, times: Dynamic) -> Answer {
        answer(&call, |spot| {
            let now = spot.now()?;
            let left = |time: &Dynamic| {
                let end = time.clone().into_string().ok()?.parse::<Timestamp>().ok()?;
                Some(end.duration_since(now).as_secs_f64())
            };
            match times.as_array_ref() {
                Ok(list) => Ok(serde_json::json!(list.iter().map(left).collect::<Vec<_>>())),
                Err(_) => Ok(serde_json::json!(left(&times))),
            }
        })
    }
}

/// A time so much later.
fn after(now: Timestamp, lifetime: Lifetime) -> Result<Timestamp> {
    let length = SignedDuration::try_from(lifetime.duration())
        .map_err(|error| Error::internal("a time to live overflows").with_source(error))?;
    now.checked_add(length).map_err(|error| Error::usage("the end is too far away").with_source(error))
}

/// The end that an option of a launch says, which must be to come.
pub(crate) fn end_option(options: &mut Options, function: &str, now: Timestamp) -> Result<Option<Timestamp>> {
    let Some(text) = options.optional::<String>("expires")? else { return Ok(None) };
    let end = read_end(function, &text)?;
    if end <= now {
        return Err(Error::script(format!("{function}: option `expires`: {text} is over already"))
            .with_hint("aws::expiry(\"6h\") gives the time six hours from now"));
    }
    Ok(Some(end))
}

fn read_end(function: &str, text: &str) -> Result<Timestamp> {
    text.parse().map_err(|_| {
        Error::script(format!("{function}: expected a time with its zone (RFC 3339), found `{text}`"))
            .with_hint("aws::expiry(\"6h\") gives the time six hours from now")
    })
}

/// How an end is changed.
#[derive(Debug, Clone, Copy)]
enum Change {
    By(Lifetime),
    Ttl(Lifetime),
    Never,
}

fn change(options: &mut Options) -> Result<Change> {
    let by: Option<String> = options.optional("by")?;
    let ttl: Option<String> = options.optional("ttl")?;
    let never = options.or("never", false)?;
    match (by, ttl, never) {
        (Some(by), None, false) => Ok(Change::By(by.parse()?)),
        (None, Some(ttl), false) => Ok(Change::Ttl(ttl.parse()?)),
        (None, None, true) => Ok(Change::Never),
        _ => Err(Error::script("aws::extend: expected one of the options `by`, `ttl` and `never`")),
    }
}

#[derive(Debug, Serialize)]
struct Changes {
    region: String,
    changed: Vec<Changed>,
}

/// The end of an instance before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Changed {
    id: String,
    region: String,
    before: Option<String>,
    expires: Option<String>,
}

/// What is to be written where.
#[derive(Debug, Default)]
struct Extension {
    /// Ids by the value of their tag.
    tags: BTreeMap<String, Vec<String>>,
    changed: Vec<Changed>,
}

impl Extension {
    fn of(
        owned: &[Owned],
        ids: Option<&BTreeSet<String>>,
        change: Change,
        now: Timestamp,
    ) -> Result<Extension> {
        let mut extension = Extension::default();
        let is_ending = |it: &Owned| it.state.as_deref() == Some("shutting-down");
        let instances = || owned.iter().filter(|it| it.kind == ResourceKind::Instance && !is_ending(it));
        // The end of each deployment: the last of its instances' ends; nothing for no end.
        let mut deployments: BTreeMap<Option<String>, Option<Timestamp>> = BTreeMap::new();
        for it in instances() {
            let before = Expiry::of(&it.tags);
            let mut end = match before {
                Expiry::At(end) => Some(end),
                Expiry::Never | Expiry::Unreadable(_) => None,
            };
            if ids.is_none_or(|ids| ids.contains(&it.id)) {
                let new = match (change, end) {
                    (Change::Never, _) | (Change::By(_), None) => None,
                    (Change::By(by), Some(end)) => Some(after(end.max(now), by)?),
                    (Change::Ttl(ttl), _) => Some(after(now, ttl)?),
                };
                // Nothing can be added to an end that nobody can read: it stays as it is.
                let unreadable = matches!(before, Expiry::Unreadable(_));
                if new != end || (unreadable && !matches!(change, Change::By(_))) {
                    extension.note(&it.id, new);
                }
                extension.changed.push(Changed {
                    id: it.id.clone(),
                    region: it.region.clone(),
                    before: it.tags.get(tags::EXPIRES).filter(|text| *text != NEVER).cloned(),
                    expires: new.map(written),
                });
                end = new;
            }
            let last = deployments.entry(it.deployment.clone()).or_insert(end);
            *last = (*last).zip(end).map(|(one, other)| one.max(other));
        }
        // What is shared lasts as long as the last instance that may need it. What had no end gets none.
        let of_all = deployments.values().copied().reduce(|one, other| Some(one?.max(other?)));
        for it in owned.iter().filter(|it| it.kind != ResourceKind::Instance) {
            let Expiry::At(before) = Expiry::of(&it.tags) else { continue };
            let own = deployments.get(&it.deployment).copied();
            let wanted = if it.kind.is_network() || it.deployment.is_none() { of_all } else { own };
            if let Some(wanted) = wanted
                && wanted != Some(before)
            {
                extension.note(&it.id, wanted);
            }
        }
        Ok(extension)
    }

    fn note(&mut self, id: &str, end: Option<Timestamp>) {
        let value = end.map_or_else(|| NEVER.to_owned(), written);
        self.tags.entry(value).or_default().push(id.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-06-01T12:00:00Z";

    fn owned(kind: ResourceKind, id: &str, deployment: &str, expires: Option<&str>) -> Owned {
        Owned {
            deployment: Some(deployment.to_owned()),
            tags: expires.map(|end| (tags::EXPIRES.to_owned(), end.to_owned())).into_iter().collect(),
            ..Owned::new(kind, id, "us-west-2")
        }
    }

    fn site() -> Vec<Owned> {
        vec![
            owned(ResourceKind::Instance, "i-1", "d1", Some("2026-06-01T13:00:00Z")),
            owned(ResourceKind::Volume, "vol-1", "d1", Some("2026-06-01T13:00:00Z")),
            owned(ResourceKind::Instance, "i-2", "d2", Some("2026-06-01T09:00:00Z")),
            owned(ResourceKind::Volume, "vol-2", "d2", Some("2026-06-01T09:00:00Z")),
            owned(ResourceKind::SecurityGroup, "sg-1", "d1", Some("2026-06-01T13:00:00Z")),
            owned(ResourceKind::Vpc, "vpc-1", "d1", None),
        ]
    }

    fn extend(owned: &[Owned], ids: Option<&[&str]>, change: Change) -> Extension {
        let ids = ids.map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
        Extension::of(owned, ids.as_ref(), change, NOW.parse().unwrap()).unwrap()
    }

    #[test]
    fn an_end_is_put_off_from_itself_or_from_now_and_the_network_lasts_longest() {
        let extension = extend(&site(), None, Change::By("2h".parse().unwrap()));
        let expected = [
            ("2026-06-01T14:00:00Z", vec!["i-2", "vol-2"]),
            ("2026-06-01T15:00:00Z", vec!["i-1", "vol-1", "sg-1"]),
        ];
        let found: Vec<(&str, Vec<&str>)> = extension
            .tags
            .iter()
            .map(|(value, ids)| (value.as_str(), ids.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(extension.changed[0].before.as_deref(), Some("2026-06-01T13:00:00Z"));
    }

    #[test]
    fn one_instance_alone_does_not_shorten_what_the_others_need() {
        let extension = extend(&site(), Some(&["i-2"]), Change::Ttl("5m".parse().unwrap()));
        assert_eq!(extension.tags.len(), 1);
        assert_eq!(extension.tags["2026-06-01T12:05:00Z"], ["i-2", "vol-2"]);
        assert_eq!(extension.changed.len(), 1);

        let never = extend(&site(), Some(&["i-1"]), Change::Never);
        assert_eq!(never.tags[NEVER], ["i-1", "vol-1", "sg-1"]);
        assert_eq!(never.changed[0].expires, None);
    }

    #[test]
    fn an_instance_without_an_end_gets_one_only_from_now() {
        let alone = [owned(ResourceKind::Instance, "i-1", "d1", None)];
        assert!(extend(&alone, None, Change::By("2h".parse().unwrap())).tags.is_empty());
        assert_eq!(
            extend(&alone, None, Change::Ttl("2h".parse().unwrap())).tags["2026-06-01T14:00:00Z"],
            ["i-1"]
        );
        let unreadable = [owned(ResourceKind::Instance, "i-1", "d1", Some("soon"))];
        assert_eq!(extend(&unreadable, None, Change::Never).tags[NEVER], ["i-1"]);
        assert!(extend(&unreadable, None, Change::By("2h".parse().unwrap())).tags.is_empty());
    }
}

//! `state::adopt`: what exists in the cloud is taken into state.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures::future::join_all;
use rhai::plugin::*;
use rhai::{Array, Map};
use serde::Serialize;

use super::record::{Journal, Prices, UNATTACHED, with_parts};
use crate::cloud::{
    Cloud, Instance, InstanceFilter, InstanceState, Market, Owned, Owner, ResourceKind, tags,
};
use crate::error::{Error, Kind, Result};
use crate::native::Context;
use crate::native::options::Options;
use crate::native::thrown::{Answer, answer};
use crate::state::Writer;

/// Taking into state what it does not know.
#[export_module]
pub mod adoption {
    use super::*;

    /// Takes what exists in the cloud into state: for each `kind`, `id`, `region`, `ok`, `outcome`
    /// ("adopted", "known" or "failed"), `code`, `message`.
    ///
    /// Give objects with `id` and `region`, such as `state::compare` and `aws::instances` return;
    /// without a `kind` they are instances. Instances that somebody else launched get the project's
    /// tags, the intent first: from then on `list`, `destroy` and `nuke` take them for the project's.
    /// Their network stays whose it is. Options: `user` (who logs in to them), `take_over` (also those
    /// of another project of spot).
    ///
    /// ```rhai
    /// print(state::adopt([], #{ user: "ubuntu" }));
    /// ```
    #[rhai_fn(name = "adopt", return_raw)]
    pub fn adopt_with_options(call: NativeCallContext, resources: Array, options: Map) -> Answer {
        answer(&call, |spot| {
            let mut options = Options::new("state::adopt", options);
            let user = options.optional("user")?;
            let take_over = options.or("take_over", false)?;
            options.finish()?;
            adopt_all(spot, &resources, user, take_over)
        })
    }

    /// Takes what exists in the cloud into state.
    ///
    /// ```rhai
    /// print(state::adopt([]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn adopt(call: NativeCallContext, resources: Array) -> Answer {
        answer(&call, |spot| adopt_all(spot, &resources, None, false))
    }
}

/// What became of one resource.
#[derive(Serialize)]
struct Adopted {
    kind: ResourceKind,
    id: String,
    region: String,
    ok: bool,
    outcome: &'static str,
    code: Option<String>,
    message: Option<String>,
}

fn adopt_all(
    spot: &Context,
    resources: &Array,
    user: Option<String>,
    take_over: bool,
) -> Result<Vec<Adopted>> {
    let wanted = resources.iter().map(resource).collect::<Result<Vec<Owned>>>()?;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    spot.may_keep("state::adopt")?;
    let writer = spot.writer()?;
    let mut outcomes: HashMap<(String, String), Result<&'static str>> = HashMap::new();
    let mut regions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for it in wanted.iter().filter(|it| it.kind == ResourceKind::Instance) {
        regions.entry(it.region.clone()).or_default().push(it.id.clone());
    }
    let (cloud, project) = (spot.cloud()?, writer.project());
    let calls: Vec<_> = regions
        .into_iter()
        .map(|(region, ids)| {
            let (cloud, spot, project) = (cloud.clone(), spot.clone(), project.clone());
            let user = user.clone();
            async move {
                let place = Place { cloud: cloud.as_ref(), spot: &spot, region: &region, project: &project };
                let answer = place.adopt(&ids, user, take_over).await;
                (region, ids, answer)
            }
        })
        .collect();
    for (region, ids, answer) in spot.runtime().wait(async move { Ok(join_all(calls).await) })? {
        match answer {
            Ok(done) => outcomes.extend(done.into_iter().map(|(id, done)| ((region.clone(), id), done))),
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            Err(error) => {
                outcomes.extend(ids.into_iter().map(|id| ((region.clone(), id), Err(error.clone()))))
            }
        }
    }
    for ((region, id), done) in adopt_parts(&writer, &wanted)? {
        outcomes.insert((region, id), done);
    }
    let results = wanted.into_iter().filter_map(|it| {
        let done = outcomes.remove(&(it.region.clone(), it.id.clone()))?;
        let error = done.as_ref().err();
        Some(Adopted {
            kind: it.kind,
            id: it.id,
            region: it.region,
            ok: error.is_none(),
            code: error.and_then(|error| error.code().map(str::to_owned)),
            message: error.map(|error| error.message().to_owned()),
            outcome: done.unwrap_or("failed"),
        })
    });
    Ok(results.collect())
}

fn resource(value: &Dynamic) -> Result<Owned> {
    let text = |key: &str| {
        let map = value.as_map_ref().ok()?;
        map.get(key)?.clone().into_string().ok().filter(|text| !text.is_empty())
    };
    let (Some(id), Some(region)) = (text("id"), text("region")) else {
        return Err(Error::script(format!(
            "state::adopt: expected objects with `id` and `region`, found {value}"
        )));
    };
    let kind = match text("kind") {
        None => ResourceKind::Instance,
        Some(word) => serde_json::from_value(word.as_str().into()).map_err(|_| {
            Error::script(format!("state::adopt: {id}: there is no kind of resource `{word}`"))
        })?,
    };
    if kind != ResourceKind::Instance && !kind.is_network() {
        return Err(Error::script(format!("state::adopt: {id}: state keeps no account of a {kind}")));
    }
    Ok(Owned::new(kind, id, region))
}

/// One region in which instances are adopted.
struct Place<'a> {
    cloud: &'a dyn Cloud,
    spot: &'a Context,
    region: &'a str,
    project: &'a str,
}

impl Place<'_> {
    /// What became of each id.
    async fn adopt(
        &self,
        ids: &[String],
        user: Option<String>,
        take_over: bool,
    ) -> Result<Vec<(String, Result<&'static str>)>> {
        let found = self.cloud.instances(self.region, &InstanceFilter::ids(ids.iter().cloned())).await?;
        let mut found: HashMap<String, Instance> =
            found.into_iter().map(|instance| (instance.id.clone(), instance)).collect();
        let owner = Owner::Project(self.project.to_owned());
        let (mut done, mut ours, mut foreign) = (Vec::new(), Vec::new(), Vec::new());
        for id in ids.iter().collect::<BTreeSet<_>>() {
            let Some(instance) = found.remove(id) else {
                done.push((id.clone(), Err(missing(id, self.region))));
                continue;
            };
            match check(&instance, self.project, take_over) {
                Err(error) => done.push((id.clone(), Err(error))),
                Ok(()) if owner.owns(&instance.tags) => ours.push(instance),
                Ok(()) => foreign.push(instance),
            }
        }
        let prices = self.prices(ours.iter().chain(&foreign)).await;
        let writer = self.spot.writer()?;
        let journal = Journal::new(self.spot)?.for_adoption(prices, user);
        for instance in ours {
            let known = writer.instance(&instance.id).is_some();
            if !known {
                writer.put(journal.known(&instance)?)?;
            }
            done.push((instance.id, Ok(if known { "known" } else { "adopted" })));
        }
        if !foreign.is_empty() {
            // One that state knows, and whose tags were taken away, keeps what state knows of it.
            let kept: Vec<_> = foreign.iter().filter_map(|it| writer.instance(&it.id)).collect();
            let tagged = self.cloud.adopt(self.region, &foreign, &owner.tags(), &journal).await;
            for instance in kept {
                writer.put(instance)?;
            }
            for instance in foreign {
                done.push((instance.id, tagged.clone().map(|()| "adopted")));
            }
        }
        Ok(done)
    }

    /// US dollars an hour, as the market has them now; a price that nobody knows stays unknown.
    async fn prices<'b>(&self, instances: impl Iterator<Item = &'b Instance> + Clone) -> Prices {
        let types = |market: Market| -> Vec<String> {
            let paid = instances.clone().filter(|it| it.market == market);
            paid.map(|it| it.instance_type.clone()).collect::<BTreeSet<_>>().into_iter().collect()
        };
        let (spot, on_demand) = (types(Market::Spot), types(Market::OnDemand));
        let mut prices = Prices::new();
        if !spot.is_empty() {
            let found = self.cloud.prices(self.region, &spot).await.unwrap_or_default();
            prices.extend(found.into_iter().map(|it| ((it.instance_type, it.zone, Market::Spot), it.hourly)));
        }
        if !on_demand.is_empty() {
            let found = self.cloud.on_demand_prices(self.region, &on_demand).await.unwrap_or_default();
            for it in instances.filter(|it| it.market == Market::OnDemand) {
                let price = found.iter().find(|price| price.instance_type == it.instance_type);
                let pool = (it.instance_type.clone(), it.zone.clone(), Market::OnDemand);
                prices.extend(price.map(|price| (pool, price.hourly)));
            }
        }
        prices
    }
}

fn missing(id: &str, region: &str) -> Error {
    Error::aws(format!("there is no instance {id} in {region}")).with_code("InvalidInstanceID.NotFound")
}

/// Refuses what is not there any more, and what another project of spot takes for its own.
fn check(instance: &Instance, project: &str, take_over: bool) -> Result<()> {
    let Instance { id, state, tags, .. } = instance;
    if state.is_ending() || *state == InstanceState::Unknown {
        return Err(Error::aws(format!("{id} is {state}")).with_code("InstanceEnded"));
    }
    match tags.get(tags::PROJECT) {
        Some(other) if other != project && !take_over => {
            Err(Error::aws(format!("{id} belongs to another project of spot, {other}"))
                .with_code("ForeignProject"))
        }
        _ => Ok(()),
    }
}

type Done = ((String, String), Result<&'static str>);

/// Parts of networks: their tags are the project's already.
fn adopt_parts(writer: &Writer, wanted: &[Owned]) -> Result<Vec<Done>> {
    let mut regions: BTreeMap<&str, Vec<&Owned>> = BTreeMap::new();
    for it in wanted.iter().filter(|it| it.kind != ResourceKind::Instance) {
        regions.entry(&it.region).or_default().push(it);
    }
    let mut done = Vec::new();
    for (region, parts) in regions {
        let made = parts.iter().find(|it| it.kind == ResourceKind::Vpc).map(|it| it.id.clone());
        let vpc = made.or_else(|| only_vpc(writer, region));
        let network = with_parts(writer, region, vpc.as_deref(), parts.iter().map(|it| it.id.clone()));
        writer.put_network(network)?;
        done.extend(parts.iter().map(|it| ((it.region.clone(), it.id.clone()), Ok("adopted"))));
    }
    Ok(done)
}

/// The VPC of a region in which state knows just one.
fn only_vpc(writer: &Writer, region: &str) -> Option<String> {
    writer.with(|document| {
        let networks = document.networks().iter();
        let mut there = networks.filter(|it| it.region == region && it.vpc_id != UNATTACHED);
        there.next().filter(|_| there.next().is_none()).map(|it| it.vpc_id.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Tags;

    #[test]
    fn what_has_ended_or_is_anothers_is_refused() {
        let running =
            |tags| Instance { id: "i-1".into(), state: InstanceState::Running, tags, ..Instance::default() };
        let of = |project: &str| Owner::Project(project.to_owned()).tags();
        assert!(check(&running(Tags::new()), "web", false).is_ok());
        assert!(check(&running(of("web")), "web", false).is_ok());
        let refused = check(&running(of("api")), "web", false).unwrap_err();
        assert_eq!(refused.message(), "i-1 belongs to another project of spot, api");
        assert!(check(&running(of("api")), "web", true).is_ok());
        let ended = Instance { state: InstanceState::Terminated, ..running(Tags::new()) };
        assert_eq!(check(&ended, "web", true).unwrap_err().code(), Some("InstanceEnded"));
    }
}

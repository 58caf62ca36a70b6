//! `aws::` functions that find what spot made, and remove it.

use crate::cloud::{Fate, Market, Owned, Owner, Removal, ResourceKind};
use crate::error::{Error, Kind, Result};
use crate::native::aws::{each_region, project};
use crate::native::record::Journal;
use crate::native::thrown::{Answer, answer};
use futures::future::join_all;
use rhai::Array;
use rhai::plugin::*;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What spot made: finding it, and removing it.
#[export_module]
pub mod removal {
    use super::*;

    /// Everything in a region that carries the project's tags: `owned` (`kind`, `id`, `region`,
    /// `name`, `project`, `deployment`, `created`, `expires`, `hourly`, `keep`, `tags`; for instances also
    /// `type`, `zone`, `market`, `state`).
    ///
    /// `kind` is one of "fleet", "spot-request", "instance", "launch-template", "volume", "address",
    /// "network-interface", "key-pair", "security-group", "subnet", "route-table",
    /// "internet-gateway", "egress-only-gateway" and "vpc". `hourly` is US dollars where it is known:
    /// of instances, from state or from the spot market. `keep` says that the tag
    /// `spot:protect` keeps it from being removed. All kinds of all regions are asked for at once. Options: `region`,
    /// `everything` (of all projects).
    ///
    /// ```rhai
    /// print(aws::owned(#{ region: "us-west-2", everything: true }).owned.len());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn owned(call: NativeCallContext, options: Dynamic) -> Answer {
        answer(&call, |spot| {
            let document = spot.document()?;
            let paid = document.instances().filter_map(|it| Some((it.id.clone(), it.price?)));
            let paid: Arc<HashMap<String, f64>> = Arc::new(paid.collect());
            each_region(spot, "aws::owned", options, |options| {
                let region: String = options.required("region")?;
                let everything = options.or("everything", false)?;
                let owner = match document.project() {
                    _ if everything => Some(Owner::Everything),
                    project => project.map(|project| Owner::Project(project.to_owned())),
                };
                let (cloud, paid) = (spot.cloud()?, Arc::clone(&paid));
                Ok(async move {
                    let mut owned = match owner {
                        Some(owner) => cloud.owned(&region, &owner).await?,
                        None => Vec::new(),
                    };
                    price(cloud.as_ref(), &region, &paid, &mut owned).await;
                    Ok(Listed { region, owned })
                })
            })
        })
    }

    /// What became of the parts of the networks that state knows in a region, looked for by id, whatever
    /// tags they carry: `owned`, those that exist, as `aws::owned` gives them, and `missing`, the ids of
    /// those that do not. Options: `region`.
    ///
    /// ```rhai
    /// print(aws::network_parts(#{ region: "us-west-2" }).missing);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn network_parts(call: NativeCallContext, options: Dynamic) -> Answer {
        #[derive(Serialize)]
        struct Parts {
            region: String,
            owned: Vec<Owned>,
            missing: Vec<String>,
        }
        answer(&call, |spot| {
            let document = spot.document()?;
            each_region(spot, "aws::network_parts", options, |options| {
                let region: String = options.required("region")?;
                let networks = document.networks().iter().filter(|it| it.region == region);
                let made: BTreeSet<&String> = networks.flat_map(|it| &it.created).collect();
                let named = made.into_iter().filter_map(|id| Some((ResourceKind::of_id(id)?, id.clone())));
                let (named, cloud): (Vec<_>, _) = (named.collect(), spot.cloud()?);
                Ok(async move {
                    let owned =
                        if named.is_empty() { Vec::new() } else { cloud.existing(&region, &named).await? };
                    let gone = |id: &String| !owned.iter().any(|it| it.id == *id);
                    let missing = named.into_iter().map(|(_, id)| id).filter(gone).collect();
                    Ok(Parts { region, owned, missing })
                })
            })
        })
    }

    /// The spot instances of a region that spot did not make, of the whole account: `owned`, as
    /// `aws::owned` gives it. Options: `region`.
    ///
    /// ```rhai
    /// print(aws::unmanaged_spot(#{ region: "us-west-2" }).owned.len());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn unmanaged_spot(call: NativeCallContext, options: Dynamic) -> Answer {
        answer(&call, |spot| {
            each_region(spot, "aws::unmanaged_spot", options, |options| {
                let region: String = options.required("region")?;
                let cloud = spot.cloud()?;
                Ok(async move {
                    let mut owned = cloud.unmanaged_spot(&region).await?;
                    price(cloud.as_ref(), &region, &HashMap::new(), &mut owned).await;
                    Ok(Listed { region, owned })
                })
            })
        })
    }

    /// Removes resources, given as `aws::owned` gives them (`kind`, `id` and `region` are enough), of
    /// any kind and in the order of dependence: instances first, their networks last. Regions go side
    /// by side.
    ///
    /// For each, in their order: `kind`, `id`, `region`, `ok`, `outcome` ("removed", "gone", "left"
    /// or "failed"), `code`, `message`. Left is what is protected (the tag `spot:protect`, or an
    /// instance's termination protection) and what that needs, default VPCs and main route tables;
    /// `message` says why. What fails names what holds it. It waits until instances are gone.
    ///
    /// ```rhai
    /// print(aws::remove([]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn remove(call: NativeCallContext, resources: Array) -> Answer {
        #[derive(Serialize)]
        struct Item {
            region: String,
            #[serde(flatten)]
            removal: Removal,
        }
        answer(&call, |spot| {
            let resources = resources.iter().map(resource).collect::<Result<Vec<Owned>>>()?;
            if resources.is_empty() {
                return Ok(Vec::new());
            }
            let mut regions: BTreeMap<String, Vec<Owned>> = BTreeMap::new();
            for it in &resources {
                regions.entry(it.region.clone()).or_default().push(it.clone());
            }
            let (cloud, journal) = (spot.cloud()?, Journal::new(spot)?);
            let answers = spot.runtime().wait(async move {
                let calls = regions.iter().map(|(region, resources)| {
                    let (cloud, journal) = (&cloud, &journal);
                    async move { (resources.clone(), cloud.remove(region, resources, journal).await) }
                });
                Ok(join_all(calls).await)
            })?;
            let mut removals: HashMap<(String, String), Removal> = HashMap::new();
            for (asked, answer) in answers {
                match answer {
                    Ok(done) => removals.extend(
                        asked.into_iter().zip(done).map(|(it, removal)| ((it.region, it.id), removal)),
                    ),
                    Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                    Err(error) => removals.extend(asked.into_iter().map(|it| {
                        let fate = Fate::Failed(error.clone());
                        ((it.region, it.id.clone()), Removal { kind: it.kind, id: it.id, fate })
                    })),
                }
            }
            let items = resources.into_iter().filter_map(|it| {
                let removal = removals.remove(&(it.region.clone(), it.id))?;
                Some(Item { region: it.region, removal })
            });
            Ok(items.collect())
        })
    }

    /// Deletes the network that the project made in a region: `removed` (`kind`, `id`, `gone`).
    ///
    /// In the order of dependence: the project's instances there first (it waits until they are
    /// gone), then interfaces, groups with the rules in which they name each other, subnets,
    /// gateways, route tables, VPCs. Nothing without the project's tags is touched, and never the
    /// default VPC. What another thing still needs is waited for; after 120 seconds it throws
    /// `ResourcesRemain` and names what holds it. Options: `region`, `everything` (of all projects
    /// that spot made).
    ///
    /// ```rhai
    /// print(aws::delete_network(#{ region: "us-east-2" }).removed);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn delete_network(call: NativeCallContext, options: Dynamic) -> Answer {
        #[derive(Serialize)]
        struct Deleted {
            region: String,
            removed: Vec<crate::cloud::Removed>,
        }
        answer(&call, |spot| {
            let journal = Arc::new(Journal::new(spot)?);
            each_region(spot, "aws::delete_network", options, |options| {
                let region: String = options.required("region")?;
                let owner = if options.or("everything", false)? {
                    Owner::Everything
                } else {
                    Owner::Project(project(spot)?)
                };
                let (cloud, journal) = (spot.cloud()?, Arc::clone(&journal));
                Ok(async move {
                    let removed = cloud.delete_network(&region, &owner, journal.as_ref()).await?;
                    Ok(Deleted { region, removed })
                })
            })
        })
    }
}

#[derive(Serialize)]
struct Listed {
    region: String,
    owned: Vec<Owned>,
}

fn resource(value: &Dynamic) -> Result<Owned> {
    let read: std::result::Result<Owned, _> = rhai::serde::from_dynamic(value);
    let owned = read.map_err(|error| {
        Error::script(format!("aws::remove: expected what aws::owned gives, found {value}"))
            .with_source(error)
    })?;
    if owned.region.is_empty() {
        return Err(Error::script(format!("aws::remove: the {} {} has no `region`", owned.kind, owned.id)));
    }
    Ok(owned)
}

/// What instances cost: as state knows it, otherwise as the spot market has it now. A price that
/// nobody knows stays unknown, also when the market does not answer.
pub(super) async fn price(
    cloud: &dyn crate::cloud::Cloud,
    region: &str,
    paid: &HashMap<String, f64>,
    owned: &mut [Owned],
) {
    let instances = owned.iter_mut().filter(|it| it.kind == ResourceKind::Instance);
    let mut unknown: Vec<&mut Owned> = Vec::new();
    for it in instances {
        it.hourly = paid.get(&it.id).copied();
        if it.hourly.is_none() && it.market == Some(Market::Spot) {
            unknown.push(it);
        }
    }
    let types: BTreeSet<String> = unknown.iter().filter_map(|it| it.instance_type.clone()).collect();
    if types.is_empty() {
        return;
    }
    let types: Vec<String> = types.into_iter().collect();
    let prices = cloud.prices(region, &types).await.unwrap_or_default();
    for it in unknown {
        let same = |price: &&crate::cloud::Price| {
            Some(&price.instance_type) == it.instance_type.as_ref() && Some(&price.zone) == it.zone.as_ref()
        };
        it.hourly = prices.iter().find(same).map(|price| price.hourly);
    }
}

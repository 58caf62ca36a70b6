//! Instances and networks in the cloud.

use crate::cloud::allocation::Refused;
use crate::cloud::expiry::written;
use crate::cloud::{
    Architecture, Cloud, Disk, Image, ImageQuery, Instance, InstanceFilter, LaunchRequest, Market, Offering,
    Outcome, Owner, Pool, Price, Refusal, Strategy, Subnet, Until, arm_shutdown,
};
use crate::error::{Error, Kind, Result, nearest};
use crate::native::Context;
use crate::native::expiry::end_option;
use crate::native::market::remember_refusals;
use crate::native::options::Options;
use crate::native::record::{Journal, Prices};
use crate::native::target::row;
use crate::native::thrown::{Answer, answer, error_value, to_value};
use crate::ui::{Event, Level};
use futures::future::{join_all, try_join_all};
use rhai::plugin::*;
use rhai::{Array, Map};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::Future;
use std::time::Duration;

/// Instances and networks in EC2.
///
/// Functions that work on one region take an object map, or a list of them, which they work through
/// at once. A list never throws: each result has `ok`, `region` and `error`. A single map throws
/// what went wrong.
#[export_module]
pub mod aws {
    use super::*;

    /// Who the credentials belong to: `account`, `arn`, `user_id`.
    ///
    /// ```rhai
    /// print(aws::identity().account);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn identity(call: NativeCallContext) -> Answer {
        answer(&call, |spot| {
            let cloud = spot.cloud()?;
            let identity = spot.runtime().wait(async move { cloud.identity().await })?;
            spot.emit(Event::Account { account: identity.account.clone() });
            Ok(identity)
        })
    }

    /// The names of the regions that are enabled for the account.
    ///
    /// ```rhai
    /// print(aws::regions().len() > 10);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn regions(call: NativeCallContext) -> Answer {
        answer(&call, |spot| {
            let cloud = spot.cloud()?;
            let regions = spot.runtime().wait(async move { cloud.regions().await })?;
            Ok(regions.into_iter().map(|region| region.name).collect::<Vec<_>>())
        })
    }

    /// The names of the zones of a region.
    ///
    /// ```rhai
    /// print(aws::zones("us-west-2"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn zones(call: NativeCallContext, region: &str) -> Answer {
        answer(&call, |spot| {
            let (cloud, region) = (spot.cloud()?, region.to_owned());
            let zones = spot.runtime().wait(async move { cloud.zones(&region).await })?;
            Ok(zones.into_iter().map(|zone| zone.name).collect::<Vec<_>>())
        })
    }

    /// The address from which this machine reaches the cloud.
    ///
    /// ```rhai
    /// print(aws::caller_address());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn caller_address(call: NativeCallContext) -> Answer {
        answer(&call, |spot| {
            let cloud = spot.cloud()?;
            spot.runtime().wait(async move { Ok(cloud.caller_address().await?.to_string()) })
        })
    }

    /// What instance types are: `name`, `architecture`, `vcpu`, `memory_mib`, `spot`.
    ///
    /// ```rhai
    /// print(aws::instance_types("us-west-2", ["t3.medium"])[0].vcpu);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn instance_types(call: NativeCallContext, region: &str, names: Array) -> Answer {
        answer(&call, |spot| {
            let (cloud, region) = (spot.cloud()?, region.to_owned());
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            spot.runtime().wait(async move { cloud.instance_types(&region, &names).await })
        })
    }

    /// The newest image that fits: `id`, `name`, `architecture`, `region`.
    ///
    /// Options: `region`, `image` ("auto" for the newest Ubuntu LTS, an id, a name pattern, or the path
    /// of a public SSM parameter, in which `{arch}` stands for `x86_64` or `arm64` and `{deb}` for
    /// `amd64` or `arm64`), `architecture` ("x86_64" or "arm64"), `refresh` (look again: public answers
    /// are kept for a day, and have `known_since` then).
    ///
    /// ```rhai
    /// print(aws::find_image(#{ region: "us-west-2" }).name);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn find_image(call: NativeCallContext, options: Dynamic) -> Answer {
        answer(&call, |spot| {
            each_region(spot, "aws::find_image", options, |options| {
                let region: String = options.required("region")?;
                let architecture: Architecture = options.or("architecture", "x86_64".to_owned())?.parse()?;
                let query = ImageQuery::parse(&options.or("image", "auto".to_owned())?, architecture)
                    .refreshed(options.or("refresh", false)?);
                let cloud = spot.cloud()?;
                Ok(async move { cloud.find_image(&region, &query).await })
            })
        })
    }

    /// The value of a parameter of Systems Manager in a region, deciphered. The name
    /// `/aws/reference/secretsmanager/NAME` gives a secret of Secrets Manager.
    ///
    /// ```rhai
    /// let image = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id";
    /// print(aws::parameter("us-west-2", image));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn parameter(call: NativeCallContext, region: &str, name: &str) -> Answer {
        answer(&call, |spot| {
            let (cloud, region, name) = (spot.cloud()?, region.to_owned(), name.to_owned());
            spot.runtime().wait(async move {
                let missing = |error: crate::error::Error| match error.code() {
                    Some("ParameterNotFound") => {
                        Error::aws(format!("there is no parameter `{name}` in {region}"))
                            .with_code("ParameterNotFound")
                            .with_hint("check the name, and the region")
                    }
                    _ => error,
                };
                cloud.parameter(&region, &name).await.map_err(missing)
            })
        })
    }

    /// The pools of a region that can be launched into: each type in each zone that offers it, with
    /// its image and its spot price, in the order of the types.
    ///
    /// Options: `region`, `types`, `image` (as for `find_image`), `network` (a result of
    /// `ensure_network`), `market` ("spot" or "on-demand"; prices are known for spot).
    ///
    /// ```rhai
    /// let network = aws::ensure_network(#{ region: "us-west-2" });
    /// let found = aws::pools(#{ region: "us-west-2", types: ["t3.medium"], network: network });
    /// print(found.pools[0].type);
    /// ```
    #[rhai_fn(name = "pools", return_raw)]
    pub fn find_pools(call: NativeCallContext, options: Dynamic) -> Answer {
        #[derive(Deserialize)]
        struct Subnets {
            subnets: Vec<Subnet>,
        }
        answer(&call, |spot| {
            each_region(spot, "aws::pools", options, |options| {
                let region: String = options.required("region")?;
                let types: Vec<String> = options.required("types")?;
                let image: String = options.or("image", "auto".to_owned())?;
                let network: Subnets = options.required("network")?;
                let market = market(&options.or("market", "spot".to_owned())?)?;
                let cloud = spot.cloud()?;
                Ok(async move {
                    let pools =
                        pools_of(cloud.as_ref(), &region, &types, &image, &network.subnets, market).await?;
                    Ok(Pools { region, pools })
                })
            })
        })
    }

    /// Launches instances in a region, pool after pool until there are enough: `instances`,
    /// `refusals` (`zone`, `type`, `code`, `message`), `missing`.
    ///
    /// Every instance is in state before this returns, and the intent to launch it before it is
    /// asked for. Options: `region`, `count`, `pools` (of `aws::pools`), `network`, `market`,
    /// `max_price` (US dollars an hour), `strategy` ("price-capacity-optimized": EC2 Fleet chooses among
    /// all pools; "capacity-optimized", "lowest-price", or "ordered": one pool after the other),
    /// `on_demand_base` and `spot_percent` (a mix), `on_demand_fallback` (on-demand for what spot does not
    /// give), `disk_gb` or `disk` (`size_gb`, `iops`, `throughput`, `encrypted`, `kms_key`),
    /// `instance_profile`, `placement_group`, `key_name`, `public_ip`, `ipv6`, `user_data`, `user` (who
    /// logs in), `tags`, `deployment`, `creator`, `name`, `expires` (when `spot reap` may remove them, as
    /// `aws::expiry` gives it), `shut_down` (true: with `expires`, their user data also arm a timer that shuts
    /// them down then, and EC2 terminates them).
    ///
    /// ```rhai
    /// let network = aws::ensure_network(#{ region: "us-west-2" });
    /// let found = aws::pools(#{ region: "us-west-2", types: ["t3.micro"], network: network });
    /// let made = aws::launch(#{ region: "us-west-2", count: 1, pools: found.pools, network: network });
    /// print(made.instances.len());
    /// aws::terminate(made.instances);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn launch(call: NativeCallContext, options: Dynamic) -> Answer {
        #[derive(Deserialize)]
        struct Group {
            security_group_id: String,
            vpc_id: String,
        }
        answer(&call, |spot| {
            let project = project(spot)?;
            let (config, now) = (spot.config()?, spot.now()?);
            each_region(spot, "aws::launch", options, |options| {
                let region: String = options.required("region")?;
                let pools: Vec<PricedPool> = options.required("pools")?;
                let group: Group = options.required("network")?;
                let user: String = options.or("user", config.fleet.user.clone())?;
                let first = pools.iter().find_map(|priced| priced.pool.image.clone()).unwrap_or_default();
                let asked = market(&options.or("market", "spot".to_owned())?)?;
                let mut prices = Prices::new();
                for PricedPool { pool, price, on_demand } in &pools {
                    let of = |market| (pool.instance_type.clone(), pool.zone.clone(), market);
                    prices.extend(on_demand.map(|price| (of(Market::OnDemand), price)));
                    prices.extend(price.map(|price| (of(asked), price)));
                }
                let journal = Journal::new(spot)?.for_launch(prices.clone(), user.clone());
                let end = end_option(options, "aws::launch", now)?;
                let shut_down = options.or("shut_down", true)?;
                let timer = end.filter(|_| shut_down);
                let user_data = options.optional::<String>("user_data")?.map(String::into_bytes);
                let user_data = match timer {
                    Some(end) => Some(arm_shutdown(user_data.as_deref(), end)?),
                    None => user_data,
                };
                let request = LaunchRequest {
                    region: region.clone(),
                    count: options.required("count")?,
                    pools: pools.iter().map(|priced| priced.pool.clone()).collect(),
                    image: first,
                    market: asked,
                    max_price: options.optional("max_price")?,
                    disk: disk(options)?,
                    on_demand_base: options.or("on_demand_base", 0)?,
                    spot_percent: options.optional("spot_percent")?,
                    on_demand_fallback: options.or("on_demand_fallback", false)?,
                    strategy: options.or("strategy", Strategy::default().as_str().to_owned())?.parse()?,
                    instance_profile: options.optional("instance_profile")?,
                    placement_group: options.optional("placement_group")?,
                    vpc_id: Some(group.vpc_id),
                    ipv6: options.or("ipv6", false)?,
                    security_group_id: group.security_group_id,
                    public_ip: options.or("public_ip", true)?,
                    user_data,
                    key_name: options.optional("key_name")?,
                    tags: options.or("tags", BTreeMap::new())?,
                    project: project.clone(),
                    deployment: options.or("deployment", String::new())?,
                    creator: options.or("creator", String::new())?,
                    name: options.or("name", format!("spot-{region}"))?,
                    expires: end.map(written),
                    ends_at_shutdown: timer.is_some(),
                };
                let (cloud, spot) = (spot.cloud()?, spot.clone());
                Ok(async move {
                    let mut launch = cloud.launch(&request, &journal).await?;
                    for refusal in launch.refusals.iter_mut().filter(|it| it.code == "SpotMaxPriceTooLow") {
                        let pool = (refusal.instance_type.clone(), refusal.zone.clone(), Market::Spot);
                        if let Some(price) = prices.get(&pool) {
                            refusal.message = format!("{} (the price is ${price} now)", refusal.message);
                        }
                    }
                    if !launch.refusals.is_empty()
                        && let Ok(identity) = cloud.identity().await
                    {
                        let refused =
                            launch.refusals.iter().map(|it| refused(&region, it)).collect::<Vec<_>>();
                        remember_refusals(&spot, &identity.account, &refused);
                    }
                    let document = spot.document()?;
                    let known =
                        launch.instances.iter().map(|instance| match document.instance(&instance.id) {
                            Some(known) => super::super::state::instance_value(known),
                            None => to_value(instance),
                        });
                    let instances = known.collect::<Result<Vec<_>>>()?;
                    // What was launched is worth more than the error that came after it.
                    if let Some(error) = launch.error {
                        let told = !instances.is_empty() || !launch.refusals.is_empty();
                        if !told || error.kind() == Kind::Interrupted {
                            return Err(error);
                        }
                        let text = format!("{region}: {}", error.message());
                        spot.emit(crate::ui::Event::Message {
                            level: crate::ui::Level::Warning,
                            text,
                            hint: error.hint().map(str::to_owned),
                        });
                    }
                    Ok(Launched { region, instances, refusals: launch.refusals, missing: launch.missing })
                })
            })
        })
    }

    /// Instances of the project that the cloud knows in a region: `instances`.
    ///
    /// Options: `region`, `ids`, `tags` (a map: the instances that carry all of these, whoever made
    /// them; `*` in a value stands for anything), `deployment`, `everything` (of all projects, not only
    /// this one), `ended` (also those that are terminated).
    ///
    /// ```rhai
    /// print(aws::instances(#{ region: "us-west-2" }).instances.len());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn instances(call: NativeCallContext, options: Dynamic) -> Answer {
        #[derive(Serialize)]
        struct Found {
            region: String,
            instances: Vec<Instance>,
        }
        answer(&call, |spot| {
            let document = spot.document()?;
            each_region(spot, "aws::instances", options, |options| {
                let region: String = options.required("region")?;
                let filter = instance_filter(options, document.project())?;
                let cloud = spot.cloud()?;
                Ok(async move {
                    let instances = match filter {
                        Some(filter) => cloud.instances(&region, &filter).await?,
                        None => Vec::new(),
                    };
                    Ok(Found { region, instances })
                })
            })
        })
    }

    /// The region that was asked for with `--region`, or `()`.
    ///
    /// ```rhai
    /// print(aws::region());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn region(call: NativeCallContext) -> Answer {
        answer(&call, |spot| Ok(spot.asked_region().map(str::to_owned)))
    }

    /// The region that was asked for, otherwise that of the environment or the profile, or `()`.
    ///
    /// ```rhai
    /// print(aws::default_region());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn default_region(call: NativeCallContext) -> Answer {
        answer(&call, |spot| {
            let cloud = spot.cloud()?;
            spot.runtime().wait(async move { Ok(cloud.default_region().await) })
        })
    }

    /// Waits until instances are "running", "status-ok" (running, and EC2's status checks passed),
    /// "terminated" or have an "address", and returns them as they are then; those that did not make
    /// it are among them. One call per region and poll. Options: `timeout` (300 seconds).
    ///
    /// ```rhai,host
    /// let hosts = aws::wait_for(hosts, "address", #{ timeout: 120 });
    /// ```
    #[rhai_fn(name = "wait_for", return_raw)]
    pub fn wait_for_with_options(
        call: NativeCallContext,
        instances: Array,
        until: &str,
        options: Map,
    ) -> Answer {
        answer(&call, |spot| {
            let mut options = Options::new("aws::wait_for", options);
            let timeout = options.seconds("timeout", Duration::from_secs(300))?;
            options.finish()?;
            wait_until(spot, &instances, until, timeout)
        })
    }

    /// Waits until instances are "running", "status-ok", "terminated" or have an "address", for 300
    /// seconds.
    ///
    /// ```rhai,host
    /// let hosts = aws::wait_for(hosts, "running");
    /// ```
    #[rhai_fn(name = "wait_for", return_raw)]
    pub fn wait_for(call: NativeCallContext, instances: Array, until: &str) -> Answer {
        answer(&call, |spot| wait_until(spot, &instances, until, Duration::from_secs(300)))
    }

    /// Terminates instances, one call per region: for each `id`, `ok`, `outcome` ("terminated",
    /// "gone" or "failed"), `code`, `message`. Gone counts as done. They end some time later: wait
    /// with `aws::wait_for(instances, "terminated")`.
    ///
    /// ```rhai
    /// print(aws::terminate([]));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn terminate(call: NativeCallContext, instances: Array) -> Answer {
        #[derive(Serialize)]
        struct Terminated {
            id: String,
            region: String,
            ok: bool,
            outcome: &'static str,
            code: Option<String>,
            message: Option<String>,
        }
        answer(&call, |spot| {
            if instances.is_empty() {
                return Ok(Vec::new());
            }
            let regions = by_region("aws::terminate", &instances)?;
            let (cloud, journal) = (spot.cloud()?, Journal::new(spot)?);
            let ended = spot.runtime().wait(async move {
                let calls = regions.iter().map(|(region, ids)| {
                    let (cloud, journal) = (&cloud, &journal);
                    async move {
                        let terminations = cloud.terminate(region, ids, journal).await;
                        (region.clone(), ids.clone(), terminations)
                    }
                });
                Ok(join_all(calls).await)
            })?;
            let mut results: HashMap<String, Terminated> = HashMap::new();
            for (region, ids, terminations) in ended {
                let terminations = match terminations {
                    Ok(terminations) => terminations,
                    Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                    Err(error) => ids
                        .into_iter()
                        .map(|id| crate::cloud::Termination { id, outcome: Outcome::Failed(error.clone()) })
                        .collect(),
                };
                for termination in terminations {
                    let (ok, outcome, error) = match termination.outcome {
                        Outcome::Terminated => (true, "terminated", None),
                        Outcome::Gone => (true, "gone", None),
                        Outcome::Failed(error) => (false, "failed", Some(error)),
                    };
                    let result = Terminated {
                        id: termination.id.clone(),
                        region: region.clone(),
                        ok,
                        outcome,
                        code: error.as_ref().and_then(|error| error.code().map(str::to_owned)),
                        message: error.as_ref().map(|error| error.message().to_owned()),
                    };
                    results.insert(termination.id, result);
                }
            }
            // In the order of the argument.
            Ok(instances.iter().filter_map(|value| results.remove(&id_of(value)?)).collect::<Vec<_>>())
        })
    }

    /// Writes tags on instances, or on whatever else has an `id` and a `region`; a tag that exists is
    /// replaced. Returns how many were tagged. The tag `spot:protect` keeps an instance from `nuke`.
    ///
    /// ```rhai,host
    /// aws::tag(hosts, #{ team: "blue" });
    /// ```
    #[rhai_fn(return_raw)]
    pub fn tag(call: NativeCallContext, resources: Array, tags: Map) -> Answer {
        answer(&call, |spot| {
            let tags: BTreeMap<String, String> =
                tags.into_iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
            let regions = by_region("aws::tag", &resources)?;
            let cloud = spot.cloud()?;
            spot.runtime().wait(async move {
                let calls = regions.iter().map(|(region, ids)| cloud.tag(region, ids, &tags));
                try_join_all(calls).await.map(drop)
            })?;
            Ok(resources.len())
        })
    }
}

/// A place that can give instances, with what one costs there.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct PricedPool {
    #[serde(flatten)]
    pool: Pool,
    /// US dollars an hour in the market that is asked for.
    price: Option<f64>,
    /// US dollars an hour on demand, where it is known.
    #[serde(default)]
    on_demand: Option<f64>,
}

#[derive(Serialize)]
struct Pools {
    region: String,
    pools: Vec<PricedPool>,
}

async fn pools_of(
    cloud: &dyn Cloud,
    region: &str,
    types: &[String],
    image: &str,
    subnets: &[Subnet],
    market: Market,
) -> Result<Vec<PricedPool>> {
    let prices = async {
        match market {
            Market::Spot => cloud.prices(region, types).await,
            Market::OnDemand => Ok(Vec::new()),
        }
    };
    let kinds = cloud.instance_types(region, types);
    let offers = cloud.offerings(region, types);
    let (kinds, offers, prices): (_, Vec<Offering>, Vec<Price>) = futures::try_join!(kinds, offers, prices)?;
    let architectures: BTreeSet<&str> = kinds.iter().map(|kind| kind.architecture.as_str()).collect();
    let images = try_join_all(architectures.into_iter().map(|architecture| async move {
        let query = ImageQuery::parse(image, architecture.parse()?);
        Ok::<_, Error>((architecture, cloud.find_image(region, &query).await?))
    }))
    .await?;
    let images: HashMap<&str, Image> = images.into_iter().collect();
    let mut pools = Vec::new();
    for pool in Pool::each(types, subnets, &offers) {
        let kind = kinds.iter().find(|kind| kind.name == pool.instance_type);
        let image = kind.and_then(|kind| images.get(kind.architecture.as_str())).cloned();
        let price = prices
            .iter()
            .find(|price| price.zone == pool.zone && price.instance_type == pool.instance_type)
            .map(|price| price.hourly);
        pools.push(PricedPool { pool: Pool { image, ..pool }, price, on_demand: None });
    }
    if pools.is_empty() {
        return Err(Error::aws(format!("no zone of {region} offers {}", types.join(" or ")))
            .with_code("NoPool")
            .with_hint("choose other instance types or another region"));
    }
    Ok(pools)
}

#[derive(Serialize)]
struct Launched {
    region: String,
    instances: Vec<rhai::Dynamic>,
    refusals: Vec<Refusal>,
    missing: u32,
}

fn refused(region: &str, refusal: &Refusal) -> Refused {
    Refused {
        region: region.to_owned(),
        zone: refusal.zone.clone(),
        instance_type: refusal.instance_type.clone(),
        market: refusal.market,
        code: refusal.code.clone(),
    }
}

/// Which instances are meant; nothing when the project has no id yet and so has made nothing.
fn instance_filter(options: &mut Options, project: Option<&str>) -> Result<Option<InstanceFilter>> {
    let ids: Option<Vec<String>> = options.optional("ids")?;
    let everything = options.or("everything", false)?;
    let deployment: Option<String> = options.optional("deployment")?;
    let ended = options.or("ended", false)?;
    let tags: Option<BTreeMap<String, String>> = options.optional("tags")?;
    let filter = match (ids, project) {
        (ids, _) if tags.is_some() => {
            InstanceFilter { ids, tags: tags.unwrap_or_default(), ..InstanceFilter::default() }
        }
        (Some(ids), _) => InstanceFilter::ids(ids),
        (None, _) if everything => InstanceFilter::owner(&Owner::Everything),
        (None, None) => return Ok(None),
        (None, Some(project)) => InstanceFilter::owner(&match deployment {
            Some(deployment) => Owner::Deployment { project: project.to_owned(), deployment },
            None => Owner::Project(project.to_owned()),
        }),
    };
    Ok(Some(if ended { filter } else { filter.alive() }))
}

fn wait_until(spot: &Context, instances: &Array, until: &str, timeout: Duration) -> Result<Vec<Dynamic>> {
    // In a plan one look has to do: what was planned has come true already.
    let timeout = if spot.is_plan() { Duration::ZERO } else { spot.scaled(timeout) };
    let words = Until::WORDS.map(|(word, _)| word);
    let Some((_, until)) = Until::WORDS.into_iter().find(|(word, _)| *word == until) else {
        let wanted = words.map(|word| format!("\"{word}\"")).join(", ");
        let error = Error::script(format!("aws::wait_for: expected one of {wanted}, found \"{until}\""));
        return Err(match nearest(until, words) {
            Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
            None => error,
        });
    };
    let regions = by_region("aws::wait_for", instances)?;
    let (cloud, show) = (spot.cloud()?, spot.clone());
    let answers = spot.runtime().wait(async move {
        let on_change = |instance: &Instance| {
            if let Ok(map) = to_value(instance).map(|value| value.try_cast::<Map>().unwrap_or_default()) {
                show.emit(row(&map, instance.state.as_str(), None, false));
            }
        };
        let waits = regions.iter().map(|(region, ids)| {
            let waiting = cloud.wait(region, ids, until, timeout, &on_change);
            async move { (region.clone(), waiting.await) }
        });
        Ok(join_all(waits).await)
    })?;
    let mut latest: HashMap<String, Instance> = HashMap::new();
    for (region, answer) in answers {
        match answer {
            Ok(found) => latest.extend(found.into_iter().map(|instance| (instance.id.clone(), instance))),
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            // The other regions go on; the instances of this one stay as they were known.
            Err(error) => {
                spot.message(Level::Warning, format!("{region} did not answer: {}", error.message()))
            }
        }
    }
    // What the state knows of an instance stays; what the cloud knows now is newer.
    let merge = |value: &Dynamic| {
        let mut map = value.clone().try_cast::<Map>().unwrap_or_default();
        let id = map.get("id").map(ToString::to_string).unwrap_or_default();
        if let Some(instance) = latest.remove(&id) {
            let now = to_value(&instance)?.try_cast::<Map>().unwrap_or_default();
            for (key, value) in now {
                if !value.is_unit() || !map.contains_key(&key) {
                    map.insert(key, value);
                }
            }
        }
        Ok(Dynamic::from_map(map))
    };
    instances.iter().map(merge).collect()
}

// ---- shared --------------------------------------------------------------------------------

pub(super) fn project(spot: &Context) -> Result<String> {
    Ok(spot.writer()?.project())
}

/// The root volume: `disk_gb` alone, or a map `disk` with everything.
fn disk(options: &mut Options) -> Result<Disk> {
    let size: Option<u32> = options.optional("disk_gb")?;
    let disk: Option<Disk> = options.optional("disk")?;
    let mut disk = disk.unwrap_or_default();
    disk.size_gb = disk.size_gb.or(size);
    disk.validate()?;
    Ok(disk)
}

pub(super) fn market(text: &str) -> Result<Market> {
    match text {
        "spot" => Ok(Market::Spot),
        "on-demand" => Ok(Market::OnDemand),
        other => {
            Err(Error::script(format!("expected the market \"spot\" or \"on-demand\", found \"{other}\"")))
        }
    }
}

pub(super) fn id_of(value: &Dynamic) -> Option<String> {
    value.as_map_ref().ok()?.get("id")?.clone().into_string().ok()
}

/// Ids of instances by their region.
pub(super) fn by_region(function: &str, instances: &Array) -> Result<Vec<(String, Vec<String>)>> {
    let mut regions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for value in instances {
        let region = value.as_map_ref().ok().and_then(|map| map.get("region")?.clone().into_string().ok());
        let (Some(id), Some(region)) = (id_of(value), region) else {
            return Err(Error::script(format!(
                "{function}: expected instances with `id` and `region`, found {value}"
            )));
        };
        regions.entry(region).or_default().push(id);
    }
    Ok(regions.into_iter().collect())
}

/// Reads the options of one region, or of several at once, and runs the call that each asks for.
/// All options are read before the first call is made.
pub(super) fn each_region<T, F>(
    spot: &Context,
    function: &'static str,
    input: Dynamic,
    prepare: impl Fn(&mut Options) -> Result<F>,
) -> Result<Dynamic>
where
    T: Serialize + Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let single = !input.is_array();
    let list = if single { vec![input] } else { input.into_array().unwrap_or_default() };
    let mut calls = Vec::with_capacity(list.len());
    let mut regions = Vec::with_capacity(list.len());
    for value in list {
        let region = value.as_map_ref().ok().and_then(|map| map.get("region").cloned()).unwrap_or_default();
        let mut options = Options::of(function, value)?;
        let call = prepare(&mut options)?;
        options.finish()?;
        regions.push(region);
        calls.push(call);
    }
    let results = spot.runtime().wait(async move { Ok(join_all(calls).await) })?;
    let mut items = Array::with_capacity(regions.len());
    for (region, result) in regions.into_iter().zip(results) {
        if let Err(error) = &result
            && (single || error.kind() == Kind::Interrupted)
        {
            return Err(error.clone());
        }
        let (mut map, error) = match result {
            Ok(value) => (to_value(&value)?.try_cast::<Map>().unwrap_or_default(), Dynamic::UNIT),
            Err(error) => (Map::new(), Dynamic::from_map(error_value(&error))),
        };
        map.insert("ok".into(), error.is_unit().into());
        map.insert("error".into(), error);
        map.insert("region".into(), region);
        items.push(Dynamic::from_map(map));
    }
    Ok(if single { items.pop().unwrap_or_default() } else { items.into() })
}

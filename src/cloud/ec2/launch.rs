//! Launching: which pools are asked, in which order, until there are enough; whatever came is kept.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Instant;

use base64::Engine;
use futures::future::join;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::Ec2;
use super::mutation::{Lost, close, settling, token_filters};
use super::owned::undo_of;
use crate::cloud::codes::{self, Class};
use crate::cloud::{
    Image, Instance, Intent, Launch, LaunchRequest, Market, Owner, Pool, Record, Refusal, Strategy, Tags,
    pack_user_data, tags,
};
use crate::error::{Error, Result};

/// Where the root volume of an image is that does not say so itself.
pub(super) const USUAL_ROOT_DEVICE: &str = "/dev/sda1";

/// What is said of parts that were made a moment ago and are not known everywhere yet.
const SETTLING: [&str; 4] = [
    "InvalidGroup.NotFound",
    "InvalidSecurityGroupID.NotFound",
    "InvalidSubnetID.NotFound",
    "InvalidLaunchTemplateName.NotFoundException",
];

/// What all orders of a launch have in common.
pub(super) struct Blueprint<'a> {
    pub(super) request: &'a LaunchRequest,
    /// As EC2 takes it: packed and in base64.
    pub(super) user_data: Option<String>,
    /// Sets the tokens of this launch apart from those of any other.
    seed: u128,
}

/// Instances of one market that are to be launched.
struct Ask<'a> {
    blueprint: &'a Blueprint<'a>,
    market: Market,
    count: u32,
    /// The launch template, when EC2 is to choose the pool.
    template: Option<&'a str>,
    /// Tells the orders of this launch apart; the fallback goes on where the first ask ended.
    first_number: u32,
}

/// What an order brought, and why not more.
#[derive(Default)]
pub(super) struct Brought {
    pub(super) instances: Vec<Instance>,
    pub(super) refusals: Vec<Refusal>,
    /// What makes further orders useless; with instances: their record could not be written.
    pub(super) error: Option<Error>,
}

impl Ec2 {
    pub(super) async fn launch_in_pools(
        &self,
        request: &LaunchRequest,
        record: &dyn Record,
    ) -> Result<Launch> {
        request.validate()?;
        let blueprint = Blueprint::new(request)?;
        // One pool leaves nothing to choose: it is asked directly, which saves the template.
        let chosen_by_ec2 = request.strategy != Strategy::Ordered && request.pools.len() > 1;
        let template = if chosen_by_ec2 {
            match self.make_template(&blueprint, record).await {
                Ok(name) => Some(name),
                Err(error) => {
                    return Ok(Launch { missing: request.count, error: Some(error), ..Launch::default() });
                }
            }
        } else {
            None
        };
        let launch = self.launch_shares(&blueprint, template.as_deref(), record).await;
        let image_is_missing = |code: &str| code.starts_with("InvalidAMIID");
        if launch.error.as_ref().and_then(Error::code).is_some_and(image_is_missing) {
            let of_pools = request.pools.iter().filter_map(|pool| pool.image.as_ref());
            of_pools.chain([&request.image]).for_each(|image| self.forget_image(&image.id));
        }
        if let Some(name) = &template {
            // It has served; one that stays is found by its tags, and costs nothing.
            drop(self.delete_template(&blueprint, name, record).await);
        }
        Ok(launch)
    }

    /// Spot and on-demand at the same time; then, if the request allows it, on-demand for what spot
    /// did not give.
    async fn launch_shares(
        &self,
        blueprint: &Blueprint<'_>,
        template: Option<&str>,
        record: &dyn Record,
    ) -> Launch {
        let request = blueprint.request;
        let shares = request.shares();
        let ask = |market, count, first_number| Ask { blueprint, market, count, template, first_number };
        let (spot_ask, on_demand_ask) =
            (ask(Market::Spot, shares.spot, 0), ask(Market::OnDemand, shares.on_demand, 1_000));
        let (spot, on_demand) =
            join(self.fulfil(&spot_ask, record), self.fulfil(&on_demand_ask, record)).await;
        let mut launch = Launch {
            missing: spot.missing + on_demand.missing,
            instances: spot.instances.into_iter().chain(on_demand.instances).collect(),
            refusals: spot.refusals.into_iter().chain(on_demand.refusals).collect(),
            error: on_demand.error.clone().or_else(|| spot.error.clone()),
        };
        let exhausted = spot.error.as_ref().is_none_or(is_about_capacity);
        let fallback =
            request.on_demand_fallback && spot.missing > 0 && exhausted && on_demand.error.is_none();
        if fallback {
            let rest = self.fulfil(&ask(Market::OnDemand, spot.missing, 2_000), record).await;
            launch.missing = on_demand.missing + rest.missing;
            launch.instances.extend(rest.instances);
            launch.refusals.extend(rest.refusals);
            launch.error = rest.error;
        }
        launch
    }

    async fn fulfil(&self, ask: &Ask<'_>, record: &dyn Record) -> Launch {
        match ask.template {
            Some(template) => self.let_ec2_choose(ask, template, record).await,
            None => self.one_after_the_other(ask, record).await,
        }
    }

    /// Pool after pool in their order.
    async fn one_after_the_other(&self, ask: &Ask<'_>, record: &dyn Record) -> Launch {
        let mut launch = Launch { missing: ask.count, ..Launch::default() };
        let mut number = ask.first_number;
        for pool in &ask.blueprint.request.pools {
            // A pool may give fewer than it is asked for; it is asked again until it refuses.
            while launch.missing > 0 {
                number += 1;
                let order =
                    super::run::RunOrder::new(ask.blueprint, pool, ask.market, launch.missing, number);
                let brought = self.run_instances(&order, record).await;
                launch.take(brought.instances);
                let Some(error) = brought.error else { continue };
                if error.code().is_some() {
                    launch.refusals.push(refusal(pool, ask.market, &error));
                }
                if is_about_capacity(&error) {
                    break;
                }
                launch.error = Some(error);
                return launch;
            }
        }
        launch
    }

    /// All pools in one call; those that refused are left out of the next, until there are enough or
    /// no pool is left.
    async fn let_ec2_choose(&self, ask: &Ask<'_>, template: &str, record: &dyn Record) -> Launch {
        let mut launch = Launch { missing: ask.count, ..Launch::default() };
        let mut number = ask.first_number;
        let mut pools: Vec<&Pool> = ask.blueprint.request.pools.iter().collect();
        let started = Instant::now();
        while launch.missing > 0 && !pools.is_empty() {
            number += 1;
            let order = super::fleet::FleetOrder::new(
                ask.blueprint,
                template,
                &pools,
                ask.market,
                launch.missing,
                number,
            );
            let brought = self.create_fleet(&order, record).await;
            let came = !brought.instances.is_empty();
            launch.take(brought.instances);
            // A network that was made a moment ago may not be known everywhere: the same pools are asked
            // again, with a token of their own, since the old one would bring the old answer.
            let unknown = !came && !brought.refusals.is_empty() && brought.refusals.iter().all(is_settling);
            if unknown && brought.error.is_none() && started.elapsed() < self.settings().visibility {
                tokio::select! {
                    () = tokio::time::sleep(self.settings().poll) => continue,
                    () = self.cancel.cancelled() => {
                        launch.error = Some(Error::interrupted());
                        return launch;
                    }
                }
            }
            let refused: BTreeSet<(String, String)> =
                brought.refusals.iter().map(|it| (it.zone.clone(), it.instance_type.clone())).collect();
            let ends = brought.error.or_else(|| brought.refusals.iter().find_map(fatal));
            launch.refusals.extend(brought.refusals);
            if let Some(error) = ends {
                launch.error = Some(error);
                return launch;
            }
            let before = pools.len();
            pools.retain(|pool| !refused.contains(&(pool.zone.clone(), pool.instance_type.clone())));
            // Fewer than asked for, without a reason: asking the same again would not end.
            if !came && pools.len() == before {
                break;
            }
        }
        if launch.missing > 0 {
            // Quotas are of a family of types: the pools of others were asked first.
            launch.error = launch.refusals.iter().find_map(quota);
        }
        launch
    }

    /// One journalled order. When an answer is lost, a look by the order's token comes before the
    /// repetition; the repetition itself carries the same token, so that EC2 answers with what it
    /// launched already.
    pub(super) async fn place_order<F, Fut>(&self, intent: Intent, record: &dyn Record, send: F) -> Brought
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<(Vec<Instance>, Vec<Refusal>)>>,
    {
        let (region, token) = (intent.region.clone(), intent.token.clone());
        let asked = intent.parameters["count"].as_u64().unwrap_or(u64::MAX);
        let id = match record.started(intent) {
            Ok(id) => id,
            Err(error) => return Brought { error: Some(error), ..Brought::default() },
        };
        let lost = Lost::default();
        let attempt = |_| async {
            if lost.get() {
                // Fewer than asked for may be a part that shows already: the repetition, with the same
                // token, brings the whole answer.
                let found = self.described(&region, token_filters(&token)).await?;
                if found.len() as u64 >= asked {
                    return Ok((found, Vec::new()));
                }
            }
            send().await.map_err(|error| patient(lost.note(error)))
        };
        let mut result = self.settings().retry.run(&self.cancel, attempt).await;
        if result.is_err() && lost.get() {
            // The last chance to learn what the lost answer said; Ctrl-C does not take it away.
            let free = self.with_cancel(CancellationToken::new());
            if let Ok(found) = free.described(&region, token_filters(&token)).await
                && !found.is_empty()
            {
                result = Ok((found, Vec::new()));
            }
        }
        let (instances, refusals) = result.as_ref().ok().cloned().unwrap_or_default();
        let closed = close(record, id, result, lost.get(), |(made, _)| {
            let ids: Vec<&str> = made.iter().map(|it| it.id.as_str()).collect();
            (json!({ "instances": ids }), made.clone())
        });
        Brought { instances, refusals, error: closed.err() }
    }
}

impl Launch {
    fn take(&mut self, made: Vec<Instance>) {
        self.missing = self.missing.saturating_sub(u32::try_from(made.len()).unwrap_or(u32::MAX));
        self.instances.extend(made);
    }
}

impl<'a> Blueprint<'a> {
    pub(super) fn new(request: &'a LaunchRequest) -> Result<Self> {
        let user_data = match &request.user_data {
            None => None,
            Some(data) => Some(base64::engine::general_purpose::STANDARD.encode(pack_user_data(data)?)),
        };
        Ok(Blueprint { request, user_data, seed: rand::random() })
    }

    /// A token for exactly this order: EC2 refuses one that comes back with other parameters, and
    /// answers one that comes back with the same with the instances it already launched.
    pub(super) fn token(&self, number: u32, parameters: &Value) -> String {
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(number.to_be_bytes());
        hash.update(parameters.to_string());
        hash.update(self.user_data.as_deref().unwrap_or_default());
        let digest = hash.finalize();
        let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        format!("spot-{hex}")
    }

    /// The tags of what an order makes.
    pub(super) fn tags(&self, token: &str) -> Tags {
        let LaunchRequest { project, deployment, creator, name, expires, .. } = self.request;
        let expires = expires.as_deref().unwrap_or_default();
        let mut all = self.request.tags.clone();
        all.extend(Owner::Deployment { project: project.clone(), deployment: deployment.clone() }.tags());
        let own = [
            (tags::NAME, name.as_str()),
            (tags::CREATED_BY, creator),
            (tags::TOKEN, token),
            (tags::EXPIRES, expires),
        ];
        for (key, value) in own {
            if !value.is_empty() {
                all.insert(key.to_owned(), value.to_owned());
            }
        }
        all
    }

    pub(super) fn image(&self, pool: &'a Pool) -> &'a Image {
        pool.image.as_ref().unwrap_or(&self.request.image)
    }

    /// What every instance of the launch is asked to be, for the journal and the token.
    pub(super) fn parameters(&self) -> Value {
        let request = self.request;
        json!({
            "max_price": request.max_price,
            "disk": request.disk,
            "security_group": request.security_group_id,
            "public_ip": request.public_ip,
            "ipv6": request.ipv6,
            "key_name": request.key_name,
            "instance_profile": request.instance_profile,
            "placement_group": request.placement_group,
            "project": request.project,
            "expires": request.expires,
            "ends_at_shutdown": request.ends_at_shutdown,
        })
    }

    pub(super) fn intent(&self, action: &str, token: &str, parameters: Value) -> Intent {
        Intent {
            action: action.to_owned(),
            region: self.request.region.clone(),
            token: token.to_owned(),
            deployment: self.request.deployment.clone(),
            parameters,
            undo: undo_of(action, token),
        }
    }
}

/// The journal's view of an order: its own parameters, then those of all instances of the launch.
pub(super) fn merged(own: Value, common: Value) -> Value {
    match (own, common) {
        (Value::Object(mut own), Value::Object(common)) => {
            own.extend(common);
            Value::Object(own)
        }
        (own, _) => own,
    }
}

pub(super) fn refusal(pool: &Pool, market: Market, error: &Error) -> Refusal {
    Refusal {
        zone: pool.zone.clone(),
        instance_type: pool.instance_type.clone(),
        market,
        code: error.code().unwrap_or_default().to_owned(),
        message: error.message().to_owned(),
    }
}

/// Whether other pools may still give what this one refused.
fn is_about_capacity(error: &Error) -> bool {
    error.code().is_some_and(|code| codes::classify(code) == Class::Capacity)
}

/// The error of a refusal that no other pool will mend: a missing permission, a missing image.
fn fatal(refusal: &Refusal) -> Option<Error> {
    // What is wrong with one type says nothing of the others.
    let of_the_pool = matches!(
        refusal.code.as_str(),
        "InvalidParameterCombination"
            | "InvalidParameterValue"
            | "UnsupportedOperation"
            | "InvalidInstanceType"
    );
    match codes::classify(&refusal.code) {
        // What passes is worth another call, with the pools that are left.
        Class::Capacity | Class::Quota | Class::Retryable => None,
        Class::Gone | Class::Terminal if of_the_pool => None,
        Class::Gone | Class::Terminal => Some(refusal_error(refusal)),
    }
}

/// The error of a refusal for want of quota.
fn quota(refusal: &Refusal) -> Option<Error> {
    (codes::classify(&refusal.code) == Class::Quota).then(|| refusal_error(refusal))
}

fn refusal_error(refusal: &Refusal) -> Error {
    let region = refusal.zone.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let error = Error::aws(refusal.message.clone()).with_code(&refusal.code);
    match codes::hint_about(&refusal.code, &refusal.message, "ec2:CreateFleet", region) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Whether a pool was refused for a part of the network that is just being made known.
fn is_settling(refusal: &Refusal) -> bool {
    SETTLING.contains(&refusal.code.as_str())
}

/// The network may have been made a moment ago and not be shown everywhere yet; so may the template.
fn patient(error: Error) -> Error {
    if error.code().is_some_and(|code| SETTLING.contains(&code)) { settling(error) } else { error }
}

pub(super) fn nothing_came(region: &str) -> Error {
    Error::aws(format!("RunInstances in {region}: the answer names no instance"))
        .with_code("InsufficientCapacity")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn request() -> LaunchRequest {
        LaunchRequest {
            region: "us-west-2".to_owned(),
            project: "web".to_owned(),
            deployment: "d1".to_owned(),
            creator: "ann".to_owned(),
            name: "web".to_owned(),
            tags: Tags::from([
                ("ManagedBy".to_owned(), "me".to_owned()),
                ("team".to_owned(), "x".to_owned()),
            ]),
            ..LaunchRequest::default()
        }
    }

    #[test]
    fn our_tags_cannot_be_replaced() {
        let request = request();
        let tags = Blueprint::new(&request).unwrap().tags("t1");
        assert_eq!(tags.get("ManagedBy").map(String::as_str), Some("spot"));
        assert_eq!(tags.get("team").map(String::as_str), Some("x"));
        assert_eq!(tags.get("spot:token").map(String::as_str), Some("t1"));
        assert_eq!(tags.get("spot:created-by").map(String::as_str), Some("ann"));
    }

    #[test]
    fn a_missing_permission_ends_the_launch_and_capacity_does_not() {
        let refused = |code: &str| Refusal {
            zone: "us-west-2a".to_owned(),
            instance_type: "t3.medium".to_owned(),
            market: Market::Spot,
            code: code.to_owned(),
            message: "no".to_owned(),
        };
        for code in ["InsufficientInstanceCapacity", "UnfulfillableCapacity", "MaxFleetCountExceeded"] {
            assert!(fatal(&refused(code)).is_none(), "{code}");
        }
        assert!(fatal(&refused("MaxSpotInstanceCountExceeded")).is_none(), "other families have their own");
        let error = quota(&refused("MaxSpotInstanceCountExceeded")).unwrap();
        assert!(error.hint().is_some_and(|hint| hint.contains("L-34B43A08") && hint.contains("us-west-2")));
        assert!(fatal(&refused("UnauthorizedOperation")).is_some());
    }
}

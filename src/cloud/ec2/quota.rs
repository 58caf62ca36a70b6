//! How many vCPUs the account may run in a region, and how many it runs.

use std::collections::HashMap;

use aws_sdk_ec2::types::{self, InstanceLifecycleType};
use futures::future::join_all;

use super::Ec2;
use super::convert::filter;
use crate::cloud::{Family, Market, Quota};
use crate::error::{Error, Kind, Result};

const MARKETS: [Market; 2] = [Market::Spot, Market::OnDemand];

impl Ec2 {
    /// The quotas of families, in both markets. A limit that cannot be read is unknown, which is no
    /// error; a family whose quota has no known code is left out.
    pub(super) async fn vcpu_quotas(&self, region: &str, families: &[Family]) -> Result<Vec<Quota>> {
        let of_family = |family: &Family| MARKETS.map(|market| (*family, market));
        let wanted: Vec<(Family, Market, &'static str)> = families
            .iter()
            .flat_map(of_family)
            .filter_map(|(family, market)| Some((family, market, family.quota_code(market)?)))
            .collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let config = aws_sdk_servicequotas::config::Builder::from(self.config().await)
            .region(aws_sdk_servicequotas::config::Region::new(region.to_owned()))
            .build();
        let client = aws_sdk_servicequotas::Client::from_conf(config);
        let limits = join_all(wanted.iter().map(|(_, _, code)| self.limit(&client, region, code)));
        let (limits, used) = futures::join!(limits, self.used_vcpus(region));
        let used = used?;
        wanted
            .into_iter()
            .zip(limits)
            .map(|((family, market, code), limit)| {
                let limit = match limit {
                    Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                    limit => limit.ok().flatten(),
                };
                Ok(Quota {
                    region: region.to_owned(),
                    market,
                    family,
                    code: code.to_owned(),
                    limit,
                    used: used.get(&(family, market)).copied().unwrap_or(0),
                })
            })
            .collect::<Result<Vec<Quota>, Error>>()
    }

    async fn limit(
        &self,
        client: &aws_sdk_servicequotas::Client,
        region: &str,
        code: &str,
    ) -> Result<Option<u32>> {
        let answer = self
            .ask(region, "servicequotas:GetServiceQuota", || {
                client.get_service_quota().service_code("ec2").quota_code(code).send()
            })
            .await?;
        let value = answer.quota().and_then(|quota| quota.value());
        // A float's cast saturates; a quota is a whole number.
        Ok(value.filter(|value| value.is_finite() && *value >= 0.0).map(|value| value.floor() as u32))
    }

    /// vCPUs of everything in the region that counts against a quota, whoever made it.
    async fn used_vcpus(&self, region: &str) -> Result<HashMap<(Family, Market), u32>> {
        let reservations = self
            .pages(region, "DescribeInstances", |client, token| {
                let states = filter("instance-state-name", ["pending", "running"]);
                async move {
                    let request = client.describe_instances().filters(states).max_results(1000);
                    let answer = request.set_next_token(token).send().await?;
                    Ok((answer.reservations, answer.next_token))
                }
            })
            .await?;
        let mut used = HashMap::new();
        for it in reservations.iter().flat_map(|reservation| reservation.instances()) {
            let name = it.instance_type().map(|it| it.as_str()).unwrap_or_default();
            let market = match it.instance_lifecycle() {
                Some(InstanceLifecycleType::Spot) => Market::Spot,
                _ => Market::OnDemand,
            };
            *used.entry((Family::of(name), market)).or_insert(0) += vcpus(it, name);
        }
        Ok(used)
    }
}

fn vcpus(it: &types::Instance, name: &str) -> u32 {
    let stated = it.cpu_options().and_then(|options| {
        let number = |value: Option<i32>| u32::try_from(value?).ok().filter(|value| *value > 0);
        number(options.core_count())?.checked_mul(number(options.threads_per_core()).unwrap_or(1))
    });
    stated.unwrap_or_else(|| by_size(name))
}

/// What most types of a size have, for an answer that does not say.
fn by_size(name: &str) -> u32 {
    match name.split('.').nth(1).unwrap_or_default() {
        "xlarge" => 4,
        size => match size.strip_suffix("xlarge").and_then(|times| times.parse::<u32>().ok()) {
            Some(times) => times.saturating_mul(4),
            None => 2,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vcpus_are_cores_times_threads_and_otherwise_those_of_the_size() {
        let options = types::CpuOptions::builder().core_count(4).threads_per_core(2).build();
        let stated = types::Instance::builder().cpu_options(options).build();
        assert_eq!(vcpus(&stated, "m5.large"), 8);
        let silent = types::Instance::builder().build();
        for (name, vcpu) in
            [("t3.micro", 2), ("m5.large", 2), ("m5.xlarge", 4), ("m5.24xlarge", 96), ("odd", 2)]
        {
            assert_eq!(vcpus(&silent, name), vcpu, "{name}");
        }
    }
}

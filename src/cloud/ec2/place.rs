//! Regions, zones, instance types and what they cost.

use std::collections::HashMap;
use std::time::SystemTime;

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{self, AvailabilityZoneState, LocationType, UsageClassType};
use futures::future::try_join_all;

use super::Ec2;
use super::convert::{filter, time};
use crate::cloud::{Architecture, InstanceType, Offering, Price, Region, Zone};
use crate::error::{Error, Result, nearest};

/// The code of an error about an instance type that does not exist.
const INVALID_TYPE: &str = "InvalidInstanceType";
/// Types that one request may name.
const NAMES: usize = 100;

impl Ec2 {
    pub(super) async fn enabled_regions(&self) -> Result<Vec<Region>> {
        let home = self.home().await;
        let answer = self
            .look(&home, "DescribeRegions", |client| async move { client.describe_regions().send().await })
            .await?;
        let mut regions: Vec<Region> = answer
            .regions()
            .iter()
            .filter(|region| region.opt_in_status() != Some("not-opted-in"))
            .filter_map(|region| {
                let opt_in = region.opt_in_status().unwrap_or("opt-in-not-required").to_owned();
                Some(Region { name: region.region_name()?.to_owned(), opt_in })
            })
            .collect();
        regions.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(regions)
    }

    pub(super) async fn available_zones(&self, region: &str) -> Result<Vec<Zone>> {
        let answer = self
            .look(region, "DescribeAvailabilityZones", |client| async move {
                client.describe_availability_zones().send().await
            })
            .await?;
        let mut zones: Vec<Zone> =
            answer.availability_zones().iter().filter_map(|it| zone(region, it)).collect();
        zones.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(zones)
    }

    pub(super) async fn types(&self, region: &str, names: &[String]) -> Result<Vec<InstanceType>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let portions = names.chunks(NAMES).map(|names| self.described_types(region, names));
        let found = try_join_all(portions).await.map(|portions| portions.concat());
        let found = match found {
            Err(error) if error.code() == Some(INVALID_TYPE) => {
                return Err(self.explain_unknown(region, names, error).await);
            }
            found => found?,
        };
        let known: HashMap<String, InstanceType> =
            found.iter().filter_map(instance_type).map(|it| (it.name.clone(), it)).collect();
        names
            .iter()
            .map(|name| known.get(name).cloned().ok_or_else(|| unknown_types(region, &[name.as_str()], None)))
            .collect()
    }

    async fn described_types(&self, region: &str, names: &[String]) -> Result<Vec<types::InstanceTypeInfo>> {
        let wanted: Vec<types::InstanceType> = names.iter().map(|name| name.as_str().into()).collect();
        self.pages(region, "DescribeInstanceTypes", |client, token| {
            let wanted = wanted.clone();
            async move {
                let request = client.describe_instance_types().set_instance_types(Some(wanted));
                let answer = request.set_next_token(token).send().await?;
                Ok((answer.instance_types, answer.next_token))
            }
        })
        .await
    }

    /// Names the types that the region does not have, with the nearest that it has.
    async fn explain_unknown(&self, region: &str, names: &[String], refusal: Error) -> Error {
        let Ok(offered) = self.region_types(region).await else {
            return refusal;
        };
        let unknown: Vec<&str> =
            names.iter().filter(|name| !offered.contains(name)).map(String::as_str).collect();
        match unknown.first() {
            None => refusal,
            Some(first) => {
                unknown_types(region, &unknown, nearest(first, offered.iter().map(String::as_str)))
            }
        }
    }

    /// The names of all types that a region offers.
    async fn region_types(&self, region: &str) -> Result<Vec<String>> {
        let offerings = self
            .pages(region, "DescribeInstanceTypeOfferings", |client, token| async move {
                let request = client.describe_instance_type_offerings().location_type(LocationType::Region);
                let answer = request.max_results(1000).set_next_token(token).send().await?;
                Ok((answer.instance_type_offerings, answer.next_token))
            })
            .await?;
        Ok(offerings.iter().filter_map(|it| Some(it.instance_type()?.as_str().to_owned())).collect())
    }

    pub(super) async fn offered(&self, region: &str, types: &[String]) -> Result<Vec<Offering>> {
        if types.is_empty() {
            return Ok(Vec::new());
        }
        let found = self
            .pages(region, "DescribeInstanceTypeOfferings", |client, token| {
                let types = filter("instance-type", types);
                async move {
                    let request = client.describe_instance_type_offerings().filters(types);
                    let request = request.location_type(LocationType::AvailabilityZone).max_results(1000);
                    let answer = request.set_next_token(token).send().await?;
                    Ok((answer.instance_type_offerings, answer.next_token))
                }
            })
            .await?;
        let mut offerings: Vec<Offering> = found
            .iter()
            .filter_map(|it| {
                let instance_type = it.instance_type()?.as_str().to_owned();
                Some(Offering { zone: it.location()?.to_owned(), instance_type })
            })
            .collect();
        offerings.sort_by(|a, b| (&a.zone, &a.instance_type).cmp(&(&b.zone, &b.instance_type)));
        Ok(offerings)
    }

    pub(super) async fn spot_prices(&self, region: &str, types: &[String]) -> Result<Vec<Price>> {
        // A history that starts now is the price that holds now, one entry for each zone and type.
        let history = self.spot_price_changes(region, types, SystemTime::now()).await?;
        Ok(newest_prices(history))
    }

    /// Every change of the spot prices since a moment, and for each pool what held then.
    pub(super) async fn spot_price_changes(
        &self,
        region: &str,
        types: &[String],
        since: SystemTime,
    ) -> Result<Vec<Price>> {
        if types.is_empty() {
            return Ok(Vec::new());
        }
        let wanted: Vec<types::InstanceType> = types.iter().map(|name| name.as_str().into()).collect();
        let since = DateTime::from(since);
        let history = self
            .pages(region, "DescribeSpotPriceHistory", |client, token| {
                let wanted = wanted.clone();
                async move {
                    let request = client.describe_spot_price_history().set_instance_types(Some(wanted));
                    let request =
                        request.product_descriptions("Linux/UNIX").start_time(since).max_results(1000);
                    let answer = request.set_next_token(token).send().await?;
                    Ok((answer.spot_price_history, answer.next_token))
                }
            })
            .await?;
        Ok(history.iter().filter_map(|it| price(region, it)).collect())
    }
}

fn zone(region: &str, it: &types::AvailabilityZone) -> Option<Zone> {
    let usable = it.state().is_none_or(|state| *state == AvailabilityZoneState::Available);
    // Local and wavelength zones have few types and need networks of their own.
    let ordinary = it.zone_type().is_none_or(|kind| kind == "availability-zone");
    if !usable || !ordinary {
        return None;
    }
    Some(Zone {
        name: it.zone_name()?.to_owned(),
        id: it.zone_id().unwrap_or_default().to_owned(),
        region: region.to_owned(),
    })
}

pub(super) fn instance_type(it: &types::InstanceTypeInfo) -> Option<InstanceType> {
    let architecture = it
        .processor_info()?
        .supported_architectures()
        .iter()
        .find_map(|name| name.as_str().parse::<Architecture>().ok())?;
    let number = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok()).unwrap_or(0);
    Some(InstanceType {
        name: it.instance_type()?.as_str().to_owned(),
        architecture,
        vcpu: number(it.v_cpu_info().and_then(|info| info.default_v_cpus())),
        memory_mib: it
            .memory_info()
            .and_then(|info| info.size_in_mib())
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or(0),
        spot: it.supported_usage_classes().contains(&UsageClassType::Spot),
        gpus: it.gpu_info().map(|info| info.gpus().iter().map(|gpu| number(gpu.count())).sum()).unwrap_or(0),
        burstable: it.burstable_performance_supported().unwrap_or(false),
    })
}

fn unknown_types(region: &str, names: &[&str], suggestion: Option<&str>) -> Error {
    let list: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let error = Error::aws(format!("the region {region} has no instance type {}", list.join(" and no ")))
        .with_code(INVALID_TYPE);
    match suggestion {
        Some(nearest) => error.with_hint(format!("did you mean `{nearest}`?")),
        None => error.with_hint(format!(
            "list them: `aws ec2 describe-instance-type-offerings --region {region} --query 'InstanceTypeOfferings[].InstanceType'`"
        )),
    }
}

fn price(region: &str, it: &types::SpotPrice) -> Option<Price> {
    Some(Price {
        region: region.to_owned(),
        zone: it.availability_zone()?.to_owned(),
        instance_type: it.instance_type()?.as_str().to_owned(),
        hourly: it.spot_price()?.parse().ok()?,
        since: time(it.timestamp()),
    })
}

/// The newest price of each zone and type, cheapest first.
fn newest_prices(history: Vec<Price>) -> Vec<Price> {
    let mut newest: HashMap<(String, String), Price> = HashMap::new();
    for price in history {
        let key = (price.zone.clone(), price.instance_type.clone());
        match newest.get(&key) {
            Some(known) if known.since >= price.since => {}
            _ => drop(newest.insert(key, price)),
        }
    }
    let mut prices: Vec<Price> = newest.into_values().collect();
    prices.sort_by(|a, b| {
        a.hourly
            .total_cmp(&b.hourly)
            .then_with(|| (&a.zone, &a.instance_type).cmp(&(&b.zone, &b.instance_type)))
    });
    prices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(zone: &str, price: &str, second: i64) -> types::SpotPrice {
        types::SpotPrice::builder()
            .availability_zone(zone)
            .instance_type(types::InstanceType::from("t3.medium"))
            .spot_price(price)
            .timestamp(DateTime::from_secs(second))
            .build()
    }

    #[test]
    fn the_newest_price_of_each_zone_counts_and_the_cheapest_comes_first() {
        let history: Vec<Price> =
            [entry("a", "0.03", 10), entry("b", "0.02", 10), entry("a", "0.01", 20), entry("a", "junk", 30)]
                .iter()
                .filter_map(|it| price("r", it))
                .collect();
        let prices: Vec<(String, f64)> =
            newest_prices(history).into_iter().map(|price| (price.zone, price.hourly)).collect();
        assert_eq!(prices, [("a".to_owned(), 0.01), ("b".to_owned(), 0.02)]);
    }
}

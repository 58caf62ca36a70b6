//! What is to be launched, where it may be, and what came of it.

use std::io::Write;

use serde::{Deserialize, Serialize};

use super::{Image, Instance, Market, Offering, Subnet};
use crate::error::{Error, Result};

/// EC2's limit for user data, before it is encoded, in bytes.
pub const USER_DATA_LIMIT: usize = 16 * 1024;

/// A place that can give instances: one type in one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// The zone.
    pub zone: String,
    /// The subnet in that zone.
    pub subnet_id: String,
    /// The image for this pool, when it is not the request's (another architecture).
    #[serde(default)]
    pub image: Option<Image>,
}

impl Pool {
    /// Every type in every subnet, the types in the order given and the zones inside each type,
    /// without the pairs that are not offered. When `offerings` is empty nothing is left out.
    pub fn each(types: &[String], subnets: &[Subnet], offerings: &[Offering]) -> Vec<Pool> {
        let offered = |instance_type: &String, zone: &String| {
            offerings.is_empty()
                || offerings.iter().any(|it| it.instance_type == *instance_type && it.zone == *zone)
        };
        types
            .iter()
            .flat_map(|instance_type| subnets.iter().map(move |subnet| (instance_type, subnet)))
            .filter(|(instance_type, subnet)| offered(instance_type, &subnet.zone))
            .map(|(instance_type, subnet)| Pool {
                instance_type: instance_type.clone(),
                zone: subnet.zone.clone(),
                subnet_id: subnet.id.clone(),
                image: None,
            })
            .collect()
    }
}

/// How the pool is chosen for each instance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// EC2 chooses among all pools at once: those least likely to be interrupted, and of them the
    /// cheapest. What AWS recommends for spot.
    #[default]
    PriceCapacityOptimized,
    /// EC2 chooses among all pools at once: those with the most spare capacity, at any price.
    CapacityOptimized,
    /// EC2 chooses among all pools at once: the cheapest, which are interrupted most.
    LowestPrice,
    /// One pool after the other, in their order.
    Ordered,
}

impl Strategy {
    /// All of them, the recommended one first.
    pub const ALL: [Strategy; 4] = [
        Strategy::PriceCapacityOptimized,
        Strategy::CapacityOptimized,
        Strategy::LowestPrice,
        Strategy::Ordered,
    ];

    /// EC2's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Strategy::PriceCapacityOptimized => "price-capacity-optimized",
            Strategy::CapacityOptimized => "capacity-optimized",
            Strategy::LowestPrice => "lowest-price",
            Strategy::Ordered => "ordered",
        }
    }
}

impl std::str::FromStr for Strategy {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let words = Strategy::ALL.map(Strategy::as_str);
        Strategy::ALL.into_iter().find(|strategy| strategy.as_str() == text).ok_or_else(|| {
            let error = Error::usage(format!(
                "there is no launch strategy `{text}`, expected {} or {}",
                words[..3].join(", "),
                words[3]
            ));
            match crate::error::nearest(text, words) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error,
            }
        })
    }
}

/// The root volume of each instance (gp3). What is absent is as EC2 or the image has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Disk {
    /// The size in GiB.
    pub size_gb: Option<u32>,
    /// Operations in a second, 3,000 to 80,000.
    pub iops: Option<u32>,
    /// MiB in a second, 125 to 2,000.
    pub throughput: Option<u32>,
    /// Whether it is encrypted, with the account's default key unless `kms_key` names another.
    pub encrypted: Option<bool>,
    /// The key that encrypts it: an id, an alias or an ARN.
    pub kms_key: Option<String>,
}

impl Disk {
    /// Refuses what gp3 volumes cannot be (EC2 user guide, "General Purpose SSD volumes").
    pub fn validate(&self) -> Result<()> {
        let within = |what: &str, value: Option<u32>, least: u32, most: u32| match value {
            Some(value) if !(least..=most).contains(&value) => Err(Error::usage(format!(
                "a disk with {what} of {value} is impossible, expected {least} to {most}"
            ))),
            _ => Ok(()),
        };
        within("a size in GiB", self.size_gb, 1, 65_536)?;
        within("iops", self.iops, 3_000, 80_000)?;
        within("a throughput in MiB/s", self.throughput, 125, 2_000)?;
        if self.kms_key.is_some() && self.encrypted == Some(false) {
            return Err(Error::usage("a disk with a `kms_key` is encrypted, but `encrypted` is false"));
        }
        Ok(())
    }

    /// Whether it is encrypted, if that was said; a key means that it is.
    pub fn encryption(&self) -> Option<bool> {
        self.encrypted.or(self.kms_key.as_ref().map(|_| true))
    }

    /// Whether anything is asked of it.
    pub fn is_default(&self) -> bool {
        *self == Disk::default()
    }
}

/// How many of the instances are paid for in which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// At the spot price.
    pub spot: u32,
    /// At the list price.
    pub on_demand: u32,
}

/// Instances to launch in one region.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LaunchRequest {
    /// The region.
    pub region: String,
    /// How many.
    pub count: u32,
    /// Where they may be, the preferred pool first.
    pub pools: Vec<Pool>,
    /// The image.
    pub image: Image,
    /// How they are paid for.
    pub market: Market,
    /// With the spot market: how many are on-demand all the same, before any is spot.
    pub on_demand_base: u32,
    /// With the spot market: how many of a hundred of the others are spot; the rest is on-demand.
    /// Absent: all.
    pub spot_percent: Option<u8>,
    /// With the spot market: whether what no spot pool gives is launched on-demand.
    pub on_demand_fallback: bool,
    /// How a pool is chosen.
    pub strategy: Strategy,
    /// The most that a spot instance may cost, in US dollars for an hour; EC2's own limit is the
    /// on-demand price.
    pub max_price: Option<f64>,
    /// The root volume.
    pub disk: Disk,
    /// The IAM instance profile, by name or ARN, whose role programs on the instance get.
    pub instance_profile: Option<String>,
    /// The placement group, by name.
    pub placement_group: Option<String>,
    /// The VPC of the subnets, if known, for the records of instances.
    pub vpc_id: Option<String>,
    /// Whether they get an IPv6 address; the subnets must have a range.
    pub ipv6: bool,
    /// The security group.
    pub security_group_id: String,
    /// Whether they get a public IPv4 address.
    pub public_ip: bool,
    /// What cloud-init gets; compressed when it is larger than [`USER_DATA_LIMIT`].
    pub user_data: Option<Vec<u8>>,
    /// A key pair that EC2 has, if any.
    pub key_name: Option<String>,
    /// Further tags; spot's own keys cannot be replaced.
    pub tags: super::tags::Tags,
    /// The project.
    pub project: String,
    /// The deployment.
    pub deployment: String,
    /// Who asks.
    pub creator: String,
    /// What the tag `Name` says.
    pub name: String,
    /// Whether an instance that shuts itself down is terminated; otherwise an on-demand instance stops.
    pub ends_at_shutdown: bool,
    /// When the instances may be removed, for the tag: RFC 3339 in UTC.
    pub expires: Option<String>,
}

impl LaunchRequest {
    /// How many instances are spot and how many on-demand: the base first, then the percentage of
    /// the rest, rounded in favour of spot.
    pub fn shares(&self) -> Shares {
        if self.market == Market::OnDemand {
            return Shares { spot: 0, on_demand: self.count };
        }
        let base = self.on_demand_base.min(self.count);
        let rest = self.count - base;
        let percent = u64::from(self.spot_percent.unwrap_or(100).min(100));
        let on_demand = u64::from(rest) * (100 - percent) / 100;
        let on_demand = base + u32::try_from(on_demand).unwrap_or(rest);
        Shares { spot: self.count - on_demand, on_demand }
    }

    /// Refuses what EC2 would refuse, before anything is created.
    pub fn validate(&self) -> Result<()> {
        if self.count == 0 {
            return Err(Error::usage("cannot launch 0 instances, expected a count of at least 1"));
        }
        if self.pools.is_empty() {
            return Err(Error::usage(format!(
                "no pool to launch in {}: no zone offers any of the types",
                self.region
            ))
            .with_hint("choose other instance types or another region"));
        }
        if let Some(price) = self.max_price
            && (!price.is_finite() || price <= 0.0)
        {
            return Err(Error::usage(format!(
                "a price limit of {price} is impossible, expected US dollars above 0"
            )));
        }
        if self.project.is_empty() {
            return Err(Error::usage(
                "the launch names no project, so its instances could not be found again",
            ));
        }
        self.disk.validate()?;
        if let Some(percent) = self.spot_percent
            && percent > 100
        {
            return Err(Error::usage(format!(
                "a spot share of {percent} % is impossible, expected 0 to 100"
            )));
        }
        for image in self.pools.iter().filter_map(|pool| pool.image.as_ref()).chain([&self.image]) {
            self.fits(image)?;
        }
        Ok(())
    }

    fn fits(&self, image: &Image) -> Result<()> {
        match (self.disk.size_gb, image.minimum_disk_gb) {
            (Some(asked), Some(needed)) if i64::from(asked) < i64::from(needed) => {
                Err(Error::usage(format!(
                    "a disk of {asked} GiB is too small for the image {} ({}), which needs {needed} GiB",
                    image.id, image.name
                )))
            }
            _ => Ok(()),
        }
    }
}

/// A pool that gave less than was asked for, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The zone.
    pub zone: String,
    /// The instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// How it would have been paid for.
    #[serde(default)]
    pub market: Market,
    /// The error code.
    pub code: String,
    /// The cloud's words.
    pub message: String,
}

/// What came of a launch. Instances that were launched are here, whatever else went wrong.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    /// The instances.
    pub instances: Vec<Instance>,
    /// The pools that refused, in the order they were asked.
    pub refusals: Vec<Refusal>,
    /// How many instances are missing.
    pub missing: u32,
    /// What ended the launch before all pools were asked: a quota, a missing permission, Ctrl-C.
    pub error: Option<Error>,
}

/// User data as EC2 takes it: as it is when it is small enough, else compressed with gzip (which
/// cloud-init unpacks); an error when that is still too large.
pub fn pack_user_data(data: &[u8]) -> Result<Vec<u8>> {
    if data.len() <= USER_DATA_LIMIT {
        return Ok(data.to_vec());
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let packed = encoder
        .write_all(data)
        .and_then(|()| encoder.finish())
        .map_err(|error| Error::internal("cannot compress the user data").with_source(error))?;
    if packed.len() <= USER_DATA_LIMIT {
        return Ok(packed);
    }
    Err(Error::usage(format!(
        "the user data has {} bytes ({} compressed), EC2 takes at most {USER_DATA_LIMIT}",
        data.len(),
        packed.len()
    ))
    .with_hint("upload large files over SSH instead: ssh::upload(hosts, …)"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn subnet(zone: &str) -> Subnet {
        Subnet { id: format!("subnet-{zone}"), zone: zone.to_owned(), cidr: String::new() }
    }

    fn request() -> LaunchRequest {
        LaunchRequest {
            region: "us-west-2".to_owned(),
            count: 1,
            pools: vec![Pool::default()],
            project: "web".to_owned(),
            ..LaunchRequest::default()
        }
    }

    #[test]
    fn pools_keep_the_order_of_the_types_and_leave_out_what_is_not_offered() {
        let types = ["b".to_owned(), "a".to_owned()];
        let subnets = [subnet("z1"), subnet("z2")];
        let order = |offerings: &[Offering]| -> Vec<String> {
            Pool::each(&types, &subnets, offerings)
                .iter()
                .map(|p| format!("{}@{}", p.instance_type, p.zone))
                .collect()
        };
        assert_eq!(order(&[]), ["b@z1", "b@z2", "a@z1", "a@z2"]);
        let offering = |t: &str, z: &str| Offering { zone: z.to_owned(), instance_type: t.to_owned() };
        assert_eq!(order(&[offering("a", "z1"), offering("b", "z2")]), ["b@z2", "a@z1"]);
    }

    #[test]
    fn impossible_requests_are_refused_before_anything_exists() {
        assert!(request().validate().is_ok());
        assert!(LaunchRequest { count: 0, ..request() }.validate().is_err());
        assert!(LaunchRequest { pools: Vec::new(), ..request() }.validate().is_err());
        assert!(LaunchRequest { max_price: Some(f64::NAN), ..request() }.validate().is_err());
        assert!(LaunchRequest { project: String::new(), ..request() }.validate().is_err());
        let image = Image { minimum_disk_gb: Some(30), ..Image::default() };
        let error = LaunchRequest { disk: Disk { size_gb: Some(8), ..Disk::default() }, image, ..request() }
            .validate()
            .unwrap_err();
        assert!(error.message().contains("30 GiB"), "{error}");
    }

    #[test]
    fn the_base_is_on_demand_and_the_percentage_is_of_the_rest() {
        let shares = |count, base, percent| {
            let mixed = LaunchRequest {
                count,
                on_demand_base: base,
                spot_percent: percent,
                ..LaunchRequest::default()
            };
            let shares = mixed.shares();
            assert_eq!(shares.spot + shares.on_demand, count);
            shares.on_demand
        };
        assert_eq!(shares(10, 0, None), 0);
        assert_eq!(shares(10, 2, None), 2);
        assert_eq!(shares(10, 2, Some(50)), 6);
        assert_eq!(shares(3, 0, Some(50)), 1);
        assert_eq!(shares(2, 5, Some(0)), 2);
        let listed = LaunchRequest { count: 4, market: Market::OnDemand, ..LaunchRequest::default() };
        assert_eq!(listed.shares(), Shares { spot: 0, on_demand: 4 });
    }

    #[test]
    fn impossible_disks_and_unknown_strategies_are_refused() {
        let disk = |disk: Disk| disk.validate().is_ok();
        assert!(disk(Disk {
            size_gb: Some(100),
            iops: Some(4000),
            throughput: Some(250),
            ..Disk::default()
        }));
        assert!(!disk(Disk { iops: Some(100), ..Disk::default() }));
        assert!(!disk(Disk { throughput: Some(5000), ..Disk::default() }));
        assert!(!disk(Disk { kms_key: Some("k".into()), encrypted: Some(false), ..Disk::default() }));
        let error = "lowest-prise".parse::<Strategy>().unwrap_err();
        assert!(error.hint().is_some_and(|hint| hint.contains("lowest-price")), "{error:?}");
    }

    #[test]
    fn large_user_data_is_compressed_and_larger_refused() {
        let small = b"#!/bin/sh\n".to_vec();
        assert_eq!(pack_user_data(&small).unwrap(), small);
        let large = vec![b'x'; 100_000];
        let packed = pack_user_data(&large).unwrap();
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, large);
        let noise: Vec<u8> =
            (0..60_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        assert!(pack_user_data(&noise).unwrap_err().message().contains("16384"));
    }
}

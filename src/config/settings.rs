//! The typed configuration, whatever file it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::problem::Problem;

/// Everything that a project's configuration says, checked, with defaults filled in.
///
/// It serializes to the object that scripts see, under the same names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Config {
    /// The file it was loaded from; `None` when there is none and everything is a default.
    pub source: Option<PathBuf>,
    /// What the project is called, and where it is.
    pub project: Project,
    /// Which instances to launch.
    pub fleet: Fleet,
    /// Where they are on the network, and who may reach them.
    pub network: Network,
    /// How the AWS API is spoken to.
    pub aws: Aws,
    /// How to log in.
    pub ssh: Ssh,
    /// What to put and run on them.
    pub deploy: Deploy,
    /// The user's tags for every resource; none of them is a tag of ours.
    pub tags: BTreeMap<String, String>,
    /// What is probably not as it was meant, in the order of the file.
    pub warnings: Vec<Problem>,
}

/// The project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Project {
    /// At most 64 of `A-Z a-z 0-9 . _ -`, the first a letter or digit; by default the folder's name.
    pub name: String,
    /// The project folder, absolute.
    pub directory: PathBuf,
    /// The deployment that commands work on unless they are told another; `None` is the default one.
    pub deployment: Option<String>,
    /// Where a team shares the state; `None` is this folder alone.
    pub state: Option<SharedState>,
}

/// Objects of an S3 bucket, in which a team shares the state of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SharedState {
    /// The bucket's name.
    pub bucket: String,
    /// What the keys begin with, without slashes at its ends; may be empty.
    pub prefix: String,
    /// The KMS key that encrypts them, as an ARN, an id or `alias/NAME`; `None` is the bucket's own
    /// default, which is never weaker than AES-256 with a key of S3.
    pub kms_key: Option<String>,
}

impl std::fmt::Display for SharedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "s3://{}{slash}{}", self.bucket, self.prefix)
    }
}

/// The instances to launch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fleet {
    /// How many instances in all regions together, 1 to 1000.
    pub count: u32,
    /// The regions to spread them over: at least one, each exists.
    pub regions: Vec<String>,
    /// Instance types, any of which will do; at least one.
    pub types: Vec<String>,
    /// `auto` (the newest Ubuntu), an image id (`ami-…`), or a pattern for image names.
    pub image: String,
    /// How the instances are bought.
    pub market: Market,
    /// The most to pay for an instance, in USD per hour; `None` is the on-demand price.
    pub max_price: Option<f64>,
    /// The most that all instances together may cost, in USD per hour.
    pub max_hourly: Option<f64>,
    /// With the spot market: how many instances are on-demand before any is spot.
    pub on_demand_base: u32,
    /// With the spot market: how many of a hundred of the others are spot, 0 to 100.
    pub spot_percent: u32,
    /// With the spot market: whether what no spot pool gives is launched on-demand.
    pub on_demand_fallback: bool,
    /// How EC2 chooses among the pools of a region: one of [`STRATEGIES`].
    pub strategy: String,
    /// How the instances are spread over the regions: one of [`SPREADS`].
    pub spread: String,
    /// The size of the root disk in GiB, 8 to 65536.
    pub disk_gb: u32,
    /// Its operations in a second, 3,000 to 80,000; `None`: 3,000.
    pub disk_iops: Option<u32>,
    /// Its MiB in a second, 125 to 2,000; `None`: 125.
    pub disk_throughput: Option<u32>,
    /// Whether it is encrypted; `None`: as the account has it.
    pub disk_encrypted: Option<bool>,
    /// The KMS key that encrypts it; `None`: the account's.
    pub disk_kms_key: Option<String>,
    /// The IAM instance profile whose role programs on the instance get, by name or ARN.
    pub instance_profile: Option<String>,
    /// The placement group, by name.
    pub placement_group: Option<String>,
    /// How long instances live: `6h`, `1d12h`; `None`: until they are destroyed.
    pub ttl: Option<String>,
    /// What becomes of what a failed run made: one of [`ON_FAILURE`]; `None` when it was not said.
    pub on_failure: Option<String>,
    /// The user to log in as.
    pub user: String,
    /// Whether instances get a public address.
    pub public_ip: bool,
    /// What differs by region.
    pub region: BTreeMap<String, RegionFleet>,
}

/// What `strategy` can be, the default first.
pub const STRATEGIES: [&str; 4] =
    ["price-capacity-optimized", "capacity-optimized", "lowest-price", "ordered"];
/// What `first_contact` can be, the default first: that the instance's console tells the same key, if it tells
/// any; that it tells it, and nothing is sent before; nothing.
pub const FIRST_CONTACT: [&str; 3] = ["console", "confirmed", "trust"];
/// What `on_failure` can be.
pub const ON_FAILURE: [&str; 3] = ["keep", "rollback", "ask"];
/// What `spread` can be, the default first.
pub const SPREADS: [&str; 4] = ["even", "balanced", "cheapest", "capacity"];

impl Fleet {
    /// The instance types for a region: its own, or those of the fleet.
    pub fn types_in(&self, region: &str) -> &[String] {
        self.region.get(region).and_then(|own| own.types.as_deref()).unwrap_or(&self.types)
    }

    /// The image for a region: its own, or that of the fleet.
    pub fn image_in(&self, region: &str) -> &str {
        self.region.get(region).and_then(|own| own.image.as_deref()).unwrap_or(&self.image)
    }

    /// How many instances a region is to have, if it was said; the other regions share the rest.
    pub fn count_in(&self, region: &str) -> Option<u32> {
        self.region.get(region).and_then(|own| own.count)
    }
}

/// What is different in one region; `None` is as in the fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RegionFleet {
    /// Instance types for this region.
    pub types: Option<Vec<String>>,
    /// The image for this region.
    pub image: Option<String>,
    /// How many of the fleet's instances are to be in this region, at least 1.
    pub count: Option<u32>,
}

/// How instances are bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// Spare capacity: cheap, and taken back with two minutes' notice.
    Spot,
    /// The list price, and kept until terminated.
    OnDemand,
}

/// The network of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Network {
    /// Whether spot makes a VPC for the project, instead of using the region's default VPC.
    pub dedicated: bool,
    /// Who may connect: `auto` (the caller's own address) or CIDR blocks in canonical form.
    pub ssh_from: Vec<String>,
    /// TCP ports to open besides SSH, to the same sources.
    pub ports: Vec<PortRange>,
    /// An existing VPC to use, its id or `tag:KEY=VALUE`; never together with `dedicated`.
    pub vpc_id: Option<String>,
    /// Existing subnets to use, ids or `tag:KEY=VALUE`; never together with `dedicated`. None: all.
    pub subnets: Vec<String>,
    /// Whether a dedicated VPC, or instances in an existing one, get IPv6 addresses.
    pub ipv6: bool,
}

/// How patiently the AWS API is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Aws {
    /// Seconds for a connection to come up, 1 to 600.
    pub connect_timeout: u64,
    /// Seconds for an answer, 1 to 3600.
    pub read_timeout: u64,
    /// How often a call that failed in passing is made in all, 1 to 20. Throttled calls do not count.
    pub attempts: u32,
    /// Seconds after which a call that failed or was throttled is not made again, 1 to 3600.
    pub retry_timeout: u64,
}

impl Default for Aws {
    fn default() -> Self {
        Aws { connect_timeout: 10, read_timeout: 60, attempts: 6, retry_timeout: 120 }
    }
}

/// TCP ports from one to another, both included; `from` is at most `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct PortRange {
    /// The first port, at least 1.
    pub from: u16,
    /// The last port.
    pub to: u16,
}

/// How to log in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ssh {
    /// The private key file, absolute; `None`: the project gets a key of its own under `.spot/`.
    pub private_key: Option<PathBuf>,
    /// The public key file, absolute; there is one exactly when there is a private key.
    pub public_key: Option<PathBuf>,
    /// The TCP port of the SSH server.
    pub port: u16,
    /// Which address of an instance to connect to.
    pub address: Address,
    /// What is asked of the key that a host shows at the first contact: one of [`FIRST_CONTACT`].
    pub first_contact: String,
    /// Seconds for one connection attempt, 1 to 600.
    pub connect_timeout: u64,
    /// Seconds until a new instance must let us in, 1 to 86400.
    pub wait_timeout: u64,
}

/// Which address of an instance SSH connects to; scripts see a string.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Address {
    /// Its public address.
    Public,
    /// Its private address: from inside the VPC, or through a VPN.
    Private,
    /// This host name or address for every instance: a tunnel or a test.
    #[serde(untagged)]
    Host(String),
}

/// What to put and run on the instances.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct Deploy {
    /// What to upload, in this order.
    pub files: Vec<FileTransfer>,
    /// Tarballs to unpack, in this order.
    pub archives: Vec<Archive>,
    /// Packages to install, by the names that the instances' package manager knows.
    pub packages: Vec<String>,
    /// What becomes `/opt/secrets/NAME`, by name: `env:NAME`, `file:PATH` (absolute), `ssm:/PATH` or
    /// `secretsmanager:NAME`. No value of a secret is in here.
    pub secrets: BTreeMap<String, String>,
    /// Units to install, in this order.
    pub services: Vec<Service>,
    /// The scripts to run after the upload, absolute, in this order.
    pub setup: Vec<PathBuf>,
    /// Seconds for each setup script, 1 to 86400.
    pub setup_timeout: u64,
    /// The environment of the setup scripts and hooks.
    pub environment: BTreeMap<String, String>,
    /// Scripts to run before and after a step, absolute, by one of [`HOOKS`].
    pub hooks: BTreeMap<String, PathBuf>,
    /// What must hold on an instance before it counts as ready.
    pub ready: Option<Check>,
}

/// When a hook can run.
pub const HOOKS: [&str; 8] = [
    "before_launch",
    "after_launch",
    "before_upload",
    "after_upload",
    "before_setup",
    "after_setup",
    "before_destroy",
    "after_destroy",
];

impl fmt::Debug for Deploy {
    /// Without the values of the environment: they may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deploy")
            .field("files", &self.files)
            .field("archives", &self.archives)
            .field("packages", &self.packages)
            .field("secrets", &self.secrets.keys().collect::<Vec<_>>())
            .field("services", &self.services)
            .field("setup", &self.setup)
            .field("setup_timeout", &self.setup_timeout)
            .field("environment", &self.environment.keys().collect::<Vec<_>>())
            .field("hooks", &self.hooks)
            .field("ready", &self.ready)
            .finish()
    }
}

/// One file or folder to upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileTransfer {
    /// A file or folder of the project, absolute.
    pub source: PathBuf,
    /// The absolute path on the instance; of a folder, where its content goes.
    pub destination: String,
    /// The permission bits of the files, 0 to 0o7777; `None` keeps those of the source. Scripts see
    /// an octal text such as `"0644"`.
    #[serde(serialize_with = "octal")]
    pub mode: Option<u32>,
    /// Whether root puts it there.
    pub sudo: bool,
    /// Whose it is to be there, `USER` or `USER:GROUP`; `None`: whoever puts it there.
    pub owner: Option<String>,
    /// Whether `{{ name }}` in the files stands for what is known of the instance.
    pub template: bool,
    /// What of a folder is left out: patterns as in a `.gitignore`.
    pub exclude: Vec<String>,
}

/// Permission bits as scripts give them to `ssh::upload`.
fn octal<S: serde::Serializer>(mode: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    mode.map(|mode| format!("{mode:04o}")).serialize(serializer)
}

/// A tarball to unpack on the instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Archive {
    /// A file of the project, absolute, or a URL (`https://…`) that the instances fetch.
    pub source: String,
    /// The SHA-256 it must have, 64 hexadecimal digits; there is one for every URL.
    pub sha256: Option<String>,
    /// The absolute path of the folder on the instance that its content goes to.
    pub destination: String,
    /// How many leading folders of its names are left out, 0 to 20.
    pub strip: u32,
    /// Whose it is to be, `USER` or `USER:GROUP`; `None`: root's.
    pub owner: Option<String>,
}

/// A unit of systemd to install.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Service {
    /// The name of the unit: `app.service`.
    pub name: String,
    /// The unit file, absolute.
    pub file: PathBuf,
    /// Whether it starts with the instance.
    pub enabled: bool,
    /// Whether it is started now, and again when something of the deployment has changed.
    pub started: bool,
    /// What must hold once it is started.
    pub health: Option<Check>,
}

/// Something that must hold on an instance within a time. Exactly one of `command`, `port` and `http`
/// says what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// A shell command that ends with status 0.
    pub command: Option<String>,
    /// A TCP port of the instance that takes connections.
    pub port: Option<u16>,
    /// A URL, asked for on the instance, that answers with a status below 400.
    pub http: Option<String>,
    /// Seconds until it must hold, 1 to 86400.
    pub timeout: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_see_an_address_as_one_string() {
        let json = |address: &Address| serde_json::to_string(address).unwrap();
        assert_eq!(json(&Address::Public), "\"public\"");
        assert_eq!(json(&Address::Host("10.0.0.1".into())), "\"10.0.0.1\"");
        assert_eq!(serde_json::to_string(&Market::OnDemand).unwrap(), "\"on-demand\"");
    }

    #[test]
    fn debug_output_names_the_environment_without_its_values() {
        let environment = BTreeMap::from([("TOKEN".to_owned(), "hunter2".to_owned())]);
        let deploy = Deploy { environment, ..Deploy::default() };
        let debug = format!("{deploy:?}");
        assert!(debug.contains("TOKEN") && !debug.contains("hunter2"), "{debug}");
    }
}

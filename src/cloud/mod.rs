//! Instances and networks of a cloud, and nothing of scripts.
//!
//! | file | what lives there |
//! |---|---|
//! | `mod.rs` | [`Cloud`], what any cloud must be able to do |
//! | `resource.rs` | every kind of resource, what spot owns, what a removal came to |
//! | `interruption.rs` | what EC2 says of spot instances that it takes back |
//! | `console.rs` | what an instance has printed on its console |
//! | [`metadata`] | what an instance's metadata say of its end |
//! | `record.rs` | [`Record`], the journal as the cloud sees it |
//! | `tags.rs` | the tags that are written and searched, [`tags::Owner`] |
//! | [`expiry`] | what the tag of an end says, and what may go now |
//! | `shutdown.rs` | user data by which an instance ends itself |
//! | `plan.rs` | calls that change something, made, refused or planned; placeholders |
//! | `codes.rs` | what each error code means, and what to do about it |
//! | `endpoint.rs` | which cloud, as whom, how patiently |
//! | `cache_file.rs` `image_cache.rs` | files that spare the next run a look |
//! | `place.rs` `image.rs` `network.rs` `cidr.rs` `launch.rs` `instance.rs` | requests and answers |
//! | `market.rs` `quota.rs` `refusals.rs` | what the market and the account have, and who refused lately |
//! | [`price_history`] | what a spot price was over some hours |
//! | [`survey`] | all that is read before a decision, at once |
//! | [`allocation`] | where to launch: a decision over prices, scores, quotas and refusals |
//! | [`ec2`] | Amazon EC2; the only folder that names the AWS SDK |

pub mod allocation;
mod answered;
mod cache_file;
mod cidr;
pub mod codes;
mod console;
pub mod ec2;
mod endpoint;
pub mod expiry;
mod image;
mod image_cache;
mod instance;
mod interruption;
mod launch;
mod market;
pub mod metadata;
mod network;
mod place;
pub mod plan;
pub mod price_history;
mod quota;
mod record;
mod refusals;
mod resource;
mod shutdown;
pub mod survey;
pub mod tags;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

pub use answered::{Answered, Listener};
pub use cidr::Cidr;
pub use endpoint::{Endpoint, Keys, Names, Settings};
pub use image::{Image, ImageQuery, ImageSource, UbuntuRelease};
pub use image_cache::ImageCache;
pub use instance::{Instance, InstanceFilter, InstanceState, Market, Outcome, Termination, Until};
pub use interruption::{Interruption, SpotStatus};
pub use launch::{
    Disk, Launch, LaunchRequest, Pool, Refusal, Shares, Strategy, USER_DATA_LIMIT, pack_user_data,
};
pub use market::{Bounds, ListPrice, PlacementScore, ScoreQuery, SpotRole, TypeQuery};
pub use network::{FoundNetwork, Ingress, Network, NetworkRequest, Ports, Selector, Subnet, group_name};
pub use place::{Architecture, Identity, InstanceType, Offering, Price, Region, Zone};
pub use quota::{Family, Quota};
pub use record::{Intent, IntentId, Record, Settled, Undo, Unrecorded};
pub use refusals::{Refusals, Remembered};
pub use resource::{Fate, Owned, Removal, Removed, ResourceKind};
pub use shutdown::arm as arm_shutdown;
pub use tags::{Owner, Tags};

use crate::error::Result;

/// Called with each instance whose state or address changed while it is waited for.
pub type OnChange<'a> = dyn Fn(&Instance) + Send + Sync + 'a;

/// A cloud that spot can launch instances in.
///
/// Calls that change something write an intent to the [`Record`] first and close it afterwards. An
/// answer that got lost is never taken for a refusal: the call is repeated only after a look for what
/// it made, and when that too fails its intent stays open, for [`Cloud::settle`].
///
/// Errors have the kind `aws`, the service's code, and a hint where one is known.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// Who the credentials belong to.
    ///
    /// # Errors
    /// `NoCredentials` when there are none, `ExpiredToken` when they were good once.
    async fn identity(&self) -> Result<Identity>;

    /// The region that calls go to when the user names none: the endpoint's, else the environment's
    /// or the profile's.
    async fn default_region(&self) -> Option<String>;

    /// The regions that are enabled for the account, by name.
    async fn regions(&self) -> Result<Vec<Region>>;

    /// The zones of a region that can be used, by name.
    async fn zones(&self, region: &str) -> Result<Vec<Zone>>;

    /// The newest image that fits a query.
    ///
    /// # Errors
    /// When none fits, it is for another architecture, or it is deprecated.
    async fn find_image(&self, region: &str, query: &ImageQuery) -> Result<Image>;

    /// The value of a parameter of Systems Manager, deciphered. `/aws/reference/secretsmanager/NAME` is a
    /// secret of Secrets Manager.
    ///
    /// # Errors
    /// `ParameterNotFound`, and what the permissions and keys of the caller do not allow.
    async fn parameter(&self, region: &str, name: &str) -> Result<String>;

    /// What instance types are, in the order of `names`.
    ///
    /// # Errors
    /// `InvalidInstanceType`, which names those that the region does not know.
    async fn instance_types(&self, region: &str, names: &[String]) -> Result<Vec<InstanceType>>;

    /// Which zones of a region offer which of the types.
    async fn offerings(&self, region: &str, types: &[String]) -> Result<Vec<Offering>>;

    /// What there is of the project's network; one round trip. The next [`Cloud::ensure_network`] for
    /// the same request starts from what this saw, instead of looking again.
    ///
    /// # Errors
    /// As [`Cloud::ensure_network`], for what cannot be used.
    async fn find_network(&self, request: &NetworkRequest) -> Result<FoundNetwork>;

    /// Finds the project's network, makes what is missing of it, and adjusts who may reach it.
    ///
    /// Called twice it returns the same network; killed in the middle, the next call completes it.
    ///
    /// # Errors
    /// `DefaultVpcDoesNotExist` when the region has no default VPC and none of its own is asked for.
    async fn ensure_network(&self, request: &NetworkRequest, record: &dyn Record) -> Result<Network>;

    /// Removes what the owner has of networks, in the order of dependence: instances first, then
    /// interfaces, groups with the rules in which they refer to each other, subnets, gateways, route
    /// tables, VPCs; never a default VPC, and nothing without the owner's tags. Called again after a
    /// kill it removes what is left.
    ///
    /// # Errors
    /// `ResourcesRemain` when something refuses to go within the time; it names what holds it.
    async fn delete_network(&self, region: &str, owner: &Owner, record: &dyn Record) -> Result<Vec<Removed>>;

    /// Launches instances, pool after pool until there are enough.
    ///
    /// # Errors
    /// Only when the request is impossible; whatever happens after that is in the [`Launch`].
    async fn launch(&self, request: &LaunchRequest, record: &dyn Record) -> Result<Launch>;

    /// The instances that fit a filter.
    async fn instances(&self, region: &str, filter: &InstanceFilter) -> Result<Vec<Instance>>;

    /// Terminates instances; the answer has one entry for each id, in their order. An id that does not
    /// exist is [`Outcome::Gone`] and does not keep the others from being terminated.
    ///
    /// # Errors
    /// Only when the record cannot be written; refusals are in the entries.
    async fn terminate(&self, region: &str, ids: &[String], record: &dyn Record) -> Result<Vec<Termination>>;

    /// Waits until every instance has become what is waited for, or never will, or the time is over;
    /// returns all of them in the order of `ids`, as they were last seen. Ask [`Until::met`] which
    /// made it. One call per poll, however many they are.
    async fn wait(
        &self,
        region: &str,
        ids: &[String],
        until: Until,
        timeout: Duration,
        on_change: &OnChange<'_>,
    ) -> Result<Vec<Instance>>;

    /// The newest spot price of each type in each zone, cheapest first.
    async fn prices(&self, region: &str, types: &[String]) -> Result<Vec<Price>>;

    /// Every change of the spot prices of some types since a moment (EC2 keeps 90 days), in no order, and
    /// for each pool the price that held then.
    async fn price_changes(&self, region: &str, types: &[String], since: SystemTime) -> Result<Vec<Price>>;

    /// How likely regions or zones are to have what is wanted, the likeliest first. Zones are named when
    /// the query names their regions.
    async fn placement_scores(&self, query: &ScoreQuery) -> Result<Vec<PlacementScore>>;

    /// The instance types of a region that fit a query, by name.
    async fn find_types(&self, region: &str, query: &TypeQuery) -> Result<Vec<InstanceType>>;

    /// The on-demand prices of instance types in a region; those that are unknown are left out.
    async fn on_demand_prices(&self, region: &str, types: &[String]) -> Result<Vec<ListPrice>>;

    /// How many vCPUs of some families the account may run in a region, and how many it runs, in both
    /// markets. A limit that cannot be read is `None`.
    async fn quotas(&self, region: &str, families: &[Family]) -> Result<Vec<Quota>>;

    /// Whether the account has the role that the spot market needs.
    async fn spot_role(&self) -> Result<SpotRole>;

    /// Makes the role that the spot market needs; false when it was there already.
    ///
    /// # Errors
    /// `AccessDenied` when the caller may not; an administrator makes it once for the account.
    async fn make_spot_role(&self, record: &dyn Record) -> Result<bool>;

    /// Writes tags on resources; a tag that exists is replaced.
    async fn tag(&self, region: &str, ids: &[String], tags: &Tags) -> Result<()>;

    /// Makes instances the owner's that somebody else launched: writes the owner's tags on them, the
    /// intent before, and gives them to the record as made by it.
    async fn adopt(
        &self,
        region: &str,
        instances: &[Instance],
        tags: &Tags,
        record: &dyn Record,
    ) -> Result<()>;

    /// The address from which this machine reaches the internet; loopback when the cloud is on it.
    async fn caller_address(&self) -> Result<IpAddr>;

    /// Everything that carries the owner's tags, of all kinds, except what is already terminated or
    /// closed. All kinds are asked for at once: one round trip, and one more for each further page.
    async fn owned(&self, region: &str, owner: &Owner) -> Result<Vec<Owned>>;

    /// Those of the named resources that exist in a region, whatever tags they carry.
    async fn existing(&self, region: &str, named: &[(ResourceKind, String)]) -> Result<Vec<Owned>>;

    /// The living spot instances of a region that do not carry spot's tags.
    async fn unmanaged_spot(&self, region: &str) -> Result<Vec<Owned>>;

    /// Removes resources of a region, of any kind and in the order of dependence; what is protected,
    /// and what that needs, is left. The answer has one entry for each, in their order.
    ///
    /// # Errors
    /// Only when the region cannot be asked or the record cannot be written; refusals are in the
    /// entries.
    async fn remove(&self, region: &str, resources: &[Owned], record: &dyn Record) -> Result<Vec<Removal>>;

    /// The public host keys that an instance has printed on its console, as lines of OpenSSH's; none: not yet, or
    /// its image prints none.
    async fn host_keys(&self, region: &str, id: &str) -> Result<Vec<String>>;

    /// What EC2 says of the requests behind spot instances; those without a request are left out. One
    /// call, however many they are.
    async fn spot_status(&self, region: &str, ids: &[String]) -> Result<Vec<SpotStatus>>;

    /// What an intent that was never closed has really made, found by its token, or what has become of
    /// those that it was to terminate.
    async fn settle(&self, open: &Intent) -> Result<Settled>;
}

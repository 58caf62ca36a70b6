//! An EC2-compatible endpoint on loopback: the query protocol of API version 2016-11-15, and
//! what a deployment needs of STS, SSM, Secrets Manager, CloudWatch, S3, Service Quotas, IAM and Pricing, so that
//! the real SDK (or boto3, or the AWS CLI) can talk to it.
//!
//! It knows nothing of the machines behind its instances but the [`Machines`] trait. The cloud is
//! kept in `cloud.json`, what other services hold in `services.json` and `s3/`; all outlives the process.
//!
//! | file | what lives there |
//! |---|---|
//! | `http` | connections, and what a request is before it is an action |
//! | `service` | carrying out an action: change, store, then start or remove machines |
//! | `held` | the cloud under its lock, and the order of work at each machine |
//! | `router` | the table of actions, their handlers and parameters |
//! | `echo` | parameters told again, as descriptions of templates and fleets have them |
//! | `actions/` | the handlers, a file per family of resources |
//! | `services/` | SSM, Secrets Manager, CloudWatch, S3, Service Quotas, IAM and Pricing |
//! | `signature` | whether a request is signed as it should be |
//! | `consistency` | what is not seen yet |
//! | `market` `quotas` | prices, capacity and what the account may have |
//! | `force` `struck` | the faults in force, and those that struck |
//! | `body` | answers that break off |
//! | `names` | the names that a setting may use |
//! | `interruptions` | spot instances that AWS takes back |
//! | `inventory` | everything that the account has |
//! | `holders` | interfaces that other services of AWS keep in a subnet |
//! | `calls` | the calls that were made |
//! | `status` | what the endpoint says of itself |
//! | `model/` | what the cloud consists of |
//! | `store` | `cloud.json` |
//! | `regions` `types` `images` `prices` | what AWS offers |

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use super::clock::Clock;
pub use super::faults::{
    CapacityFault, Faults, Interruption, Latency, Lifecycle, Market, PriceFault, QuotaSetting, Refusal,
};
use crate::error::{Error, Result};
pub use calls::{CallLog, RecordedCall};
pub use inventory::Holding;
pub(super) use store::lock;

mod actions;
mod authorization;
mod body;
mod calls;
mod consistency;
mod echo;
mod fault;
mod filter;
mod force;
mod held;
mod holders;
mod http;
mod images;
mod interruptions;
mod inventory;
mod market;
mod model;
mod moment;
pub(super) mod names;
mod page;
mod power_off;
mod prices;
mod quotas;
mod regions;
mod request;
mod response;
mod router;
mod service;
mod services;
mod signature;
mod status;
mod store;
mod struck;
mod tags;
mod types;
mod xml;

/// The machines behind the instances.
#[async_trait]
pub trait Machines: Send + Sync {
    /// Starts the machine of a new instance, or starts it again after the process has ended.
    ///
    /// `RunInstances` is answered once this returns, so it should not wait for the machine to be
    /// reachable. An error ends the instance with the state reason `Server.InternalError`.
    async fn boot(&self, machine: Machine) -> Result<()>;

    /// Removes the machine of an instance for good; one that is not there is no error.
    ///
    /// It is called after `boot` has returned, and again for an instance whose removal failed.
    async fn remove(&self, id: &str) -> Result<()>;

    /// Stops the machine of an instance, whose files stay; one that does not run is no error.
    ///
    /// It is called after `boot` has returned; `boot` starts it again.
    async fn stop(&self, id: &str) -> Result<()>;

    /// Makes things go wrong with a machine on purpose, as the one who started the sandbox describes it.
    async fn spoil(&self, id: &str, faults: serde_json::Value) -> Result<()> {
        let _ = faults;
        Err(Error::usage(format!("{id} cannot be made to fail")))
    }

    /// What the running machines have been told, inside, about shutting themselves down: the instance's
    /// id, and `at SECONDS` since 1970 or `in SECONDS` from when this is first seen, followed by anything;
    /// nothing if it is to stay on.
    async fn power_offs(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// What goes wrong with a machine now, as [`Machines::spoil`] takes it; what does not go wrong is told
    /// only if it is to be `all`.
    async fn spoilt(&self, id: &str, all: bool) -> Result<serde_json::Value> {
        let _ = all;
        Err(Error::usage(format!("{id} cannot be made to fail")))
    }

    /// Other faults are in force from now on: their rules about hosts count for machines that boot.
    fn expect(&self, faults: &Faults) {
        let _ = faults;
    }

    /// What the machine has printed on its console, besides what every machine prints.
    async fn console(&self, id: &str) -> String {
        let _ = id;
        String::new()
    }

    /// What the machine was asked for so far, a JSON object per line.
    async fn commands(&self, id: &str) -> Result<String> {
        let _ = id;
        Ok(String::new())
    }

    /// Lets what runs inside the machine of a spot instance know that it is to end.
    ///
    /// It is called after `boot` has returned. An error changes nothing for the instance.
    async fn warn(&self, id: &str, warning: Warning) -> Result<()> {
        let _ = (id, warning);
        Ok(())
    }
}

/// What AWS tells a spot instance about its future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warning {
    /// It is more likely than others to be taken back; told at this time.
    Rebalance(SystemTime),
    /// It will be taken back at this time.
    Termination(SystemTime),
}

/// What the machine of an instance is to be.
#[derive(Clone)]
pub struct Machine {
    /// `i-…`, unique for all time.
    pub id: String,
    /// Where it is to listen: an address of 127.64.0.0/10 that no other instance has.
    pub address: Ipv4Addr,
    /// Its address inside the VPC.
    pub private_ip: String,
    /// `us-west-2`.
    pub region: String,
    /// `us-west-2a`.
    pub zone: String,
    /// `t3.medium`.
    pub instance_type: String,
    /// `ami-…`.
    pub image_id: String,
    /// OpenSSH lines of the EC2 key pair; none if the instance was launched without one.
    pub authorized_keys: Vec<String>,
    /// The user data, decoded; at most 16 KiB.
    pub user_data: Option<Vec<u8>>,
    /// When the instance was launched.
    pub launched: SystemTime,
    /// The tags of the instance, if its metadata service is to tell them (`InstanceMetadataTags`).
    pub metadata_tags: Option<Vec<(String, String)>>,
    /// Whether its metadata service also answers without a token (`HttpTokens=optional`).
    pub metadata_v1: bool,
}

// User data often holds secrets: Debug shows only its size.
impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine")
            .field("id", &self.id)
            .field("address", &self.address)
            .field("private_ip", &self.private_ip)
            .field("region", &self.region)
            .field("zone", &self.zone)
            .field("instance_type", &self.instance_type)
            .field("image_id", &self.image_id)
            .field("authorized_keys", &self.authorized_keys.len())
            .field("user_data_bytes", &self.user_data.as_ref().map(Vec::len))
            .field("launched", &self.launched)
            .finish()
    }
}

/// How an [`Endpoint`] behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where `cloud.json` lives (mode 0600); made, mode 0700, if it is not there.
    pub folder: PathBuf,
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// How long an instance stays `pending`.
    pub pending: Duration,
    /// How long after its start the status checks of an instance pass; with EC2 itself, minutes.
    pub status_checks: Duration,
    /// How long an instance stays `shutting-down`.
    pub shutting_down: Duration,
    /// Whether every call is recorded, see [`Endpoint::calls`].
    pub record: bool,
    /// The port of 127.0.0.1 on which it listens; 0 for any that is free.
    pub port: u16,
    /// The time that everything in the cloud goes by.
    pub clock: Clock,
    /// How many instances may live at once.
    pub limit: u32,
    /// Whether requests must be signed with [`Options::access_key`] and [`Options::secret_key`], at a time
    /// that is at most five minutes off by the endpoint's clock; otherwise any signature will do.
    pub check_signatures: bool,
    /// The access key of the account.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// How long a resource that was just made is not yet seen by anybody else: `Describe…` does not tell
    /// it, and whoever names it is told `….NotFound`. A repetition with the same `ClientToken` finds it all
    /// the same. EC2 makes no promise; seconds are usual.
    pub consistency_delay: Duration,
}

impl Options {
    /// No faults, and 300 ms for each transition.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let transition = Duration::from_millis(300);
        Options {
            folder: folder.into(),
            faults: Faults::default(),
            pending: transition,
            status_checks: transition,
            shutting_down: transition,
            record: false,
            port: 0,
            clock: Clock::default(),
            limit: u32::MAX,
            check_signatures: false,
            access_key: "sandbox".to_owned(),
            secret_key: "sandbox".to_owned(),
            consistency_delay: Duration::ZERO,
        }
    }
}

/// A running endpoint. Dropping it makes it stop listening; [`Endpoint::shutdown`] also waits for
/// the requests under way.
#[derive(Debug)]
pub struct Endpoint {
    server: http::Server,
}

impl Endpoint {
    /// Loads the cloud of `options.folder`, boots the machines of its instances again and listens on
    /// its port of 127.0.0.1.
    ///
    /// # Errors
    /// A state error if the folder cannot be used or `cloud.json` cannot be read, a locked error if
    /// another endpoint uses the same folder, an internal error if no port can be had.
    pub async fn start(options: Options, machines: Arc<dyn Machines>) -> Result<Endpoint> {
        let port = options.port;
        let service = service::Service::open(options, machines).await?;
        Ok(Endpoint { server: http::Server::start(Arc::new(service), port).await? })
    }

    /// `http://127.0.0.1:PORT`, to be set as `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The calls so far, in the order in which they were answered; none unless [`Options::record`] is
    /// set. `GET /_sandbox/calls` tells them too, a JSON object per line.
    pub fn calls(&self) -> Vec<RecordedCall> {
        self.server.service().calls().all()
    }

    /// A view of the calls that outlives the endpoint.
    pub fn log(&self) -> CallLog {
        CallLog(Arc::clone(self.server.service().calls()))
    }

    /// The seed of the faults in force, also if it was drawn; none if nothing is left to chance.
    pub fn seed(&self) -> Option<u64> {
        self.server.service().force().seed
    }

    /// Stops listening, lets the requests under way finish and stores what is not stored yet.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

#[cfg(test)]
mod tests;

//! What the sandbox's cloud consists of; all of it is stored in `cloud.json`.

pub(super) mod address;
pub(super) mod chance;
pub(super) mod cidr;
pub(super) mod cloud;
pub(super) mod fleet;
pub(super) mod group;
pub(super) mod id;
pub(super) mod instance;
pub(super) mod interface;
pub(super) mod ipv6;
pub(super) mod key_pair;
pub(super) mod network;
pub(super) mod placement_group;
pub(super) mod region;
pub(super) mod spot_request;
pub(super) mod template;
pub(super) mod volume;

/// The account that owns everything.
pub(super) const ACCOUNT: &str = "123456789012";

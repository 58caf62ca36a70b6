//! The project's network in each region.

use std::sync::Arc;

use jiff::Timestamp;
use rhai::plugin::*;
use serde::Deserialize;

use crate::cloud::expiry::written;
use crate::cloud::{Network, NetworkRequest, Ports, Selector};
use crate::error::{Error, Result};
use crate::native::aws::{each_region, project};
use crate::native::expiry::end_option;
use crate::native::options::Options;
use crate::native::record::{Journal, UNATTACHED, with_parts};
use crate::native::thrown::{Answer, answer};
use crate::state::Writer;

/// Networks of the project.
#[export_module]
pub mod network {
    use super::*;

    /// What there is of the project's network in a region, without making anything: `vpc_id` (`()`
    /// when it would be made), `subnets`, `security_group_id`, `missing` (what `ensure_network` would
    /// make). One round trip; `ensure_network` with the same options goes on from there.
    ///
    /// Options: as for `ensure_network`.
    ///
    /// ```rhai
    /// print(aws::find_network(#{ region: "us-west-2", dedicated: true }).missing);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn find_network(call: NativeCallContext, options: Dynamic) -> Answer {
        answer(&call, |spot| {
            let (project, now) = (project(spot)?, spot.now()?);
            each_region(spot, "aws::find_network", options, |options| {
                let request = request(options, &project, now)?;
                let cloud = spot.cloud()?;
                Ok(async move { cloud.find_network(&with_address(cloud.as_ref(), request).await?).await })
            })
        })
    }

    /// Finds or makes the project's network in a region: `vpc_id`, `subnets`, `security_group_id`,
    /// `created` (ids of what was made now).
    ///
    /// Options: `region`; `dedicated` (a VPC of its own, otherwise the default VPC with a security
    /// group of the project); `vpc_id` (an existing VPC in place of the default one, an id or
    /// "tag:KEY=VALUE"); `subnets` (those to use, ids or tags); `ipv6` (ranges for a dedicated VPC);
    /// `ports` (TCP ports to open besides 22: numbers, or ranges such as `#{ from: 9000, to: 9100 }`);
    /// `ssh_from` (address ranges, or "auto" for the address of this machine); `expires` (when
    /// `spot reap` may remove what is made now, unless an instance needs it). What is made is in state at
    /// once.
    ///
    /// ```rhai
    /// print(aws::ensure_network(#{ region: "us-west-2" }).subnets.len());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn ensure_network(call: NativeCallContext, options: Dynamic) -> Answer {
        answer(&call, |spot| {
            let journal = Arc::new(Journal::new(spot)?);
            let (project, now) = (project(spot)?, spot.now()?);
            each_region(spot, "aws::ensure_network", options, |options| {
                let request = request(options, &project, now)?;
                let (cloud, journal, writer) = (spot.cloud()?, Arc::clone(&journal), spot.writer()?);
                Ok(async move {
                    let request = with_address(cloud.as_ref(), request).await?;
                    let network = cloud.ensure_network(&request, journal.as_ref()).await?;
                    writer.put_network(known_network(&writer, &network))?;
                    // What was made before it had a VPC is part of this one now.
                    writer.remove_network(&network.region, UNATTACHED)?;
                    Ok(network)
                })
            })
        })
    }
}

fn request(options: &mut Options, project: &str, now: Timestamp) -> Result<NetworkRequest> {
    let vpc: Option<String> = options.optional("vpc_id")?;
    let subnets: Vec<String> = options.or("subnets", Vec::new())?;
    let request = NetworkRequest {
        region: options.required("region")?,
        project: project.to_owned(),
        deployment: options.or("deployment", String::new())?,
        creator: options.or("creator", String::new())?,
        dedicated: options.or("dedicated", false)?,
        vpc: vpc.map(|vpc| Selector::parse(&vpc, "vpc-")).transpose()?,
        subnets: subnets.iter().map(|it| Selector::parse(it, "subnet-")).collect::<Result<_>>()?,
        ipv6: options.or("ipv6", false)?,
        ports: ports(options.or("ports", Vec::new())?)?,
        sources: options.or("ssh_from", vec!["auto".to_owned()])?,
        expires: end_option(options, "aws::ensure_network", now)?.map(written),
    };
    if request.dedicated && (request.vpc.is_some() || !request.subnets.is_empty()) {
        return Err(Error::script(
            "a `dedicated` VPC is made by spot: it excludes `vpc_id` and `subnets`, which name what exists",
        ));
    }
    Ok(request)
}

/// Puts this machine's address in the place of `auto`.
async fn with_address(
    cloud: &dyn crate::cloud::Cloud,
    mut request: NetworkRequest,
) -> Result<NetworkRequest> {
    if request.sources.iter().any(|source| source == "auto") {
        let address = cloud.caller_address().await?;
        request.sources.retain(|source| source != "auto");
        request.sources.push(address.to_string());
    }
    Ok(request)
}

/// A port as a number, or a range of ports.
#[derive(Deserialize)]
#[serde(untagged)]
enum PortOption {
    One(u16),
    Range(Ports),
}

fn ports(options: Vec<PortOption>) -> Result<Vec<Ports>> {
    let range = |option| match option {
        PortOption::One(port) => Ports { from: port, to: port },
        PortOption::Range(range) => range,
    };
    let ports: Vec<Ports> = options.into_iter().map(range).collect();
    match ports.iter().find(|ports| ports.from == 0 || ports.from > ports.to) {
        Some(wrong) => Err(Error::script(format!("there are no ports {}-{}", wrong.from, wrong.to))),
        None => Ok(ports),
    }
}

fn known_network(writer: &Writer, network: &Network) -> crate::state::Network {
    let mut known =
        with_parts(writer, &network.region, Some(&network.vpc_id), network.created.iter().cloned());
    known.subnet_ids = network.subnets.iter().map(|subnet| subnet.id.clone()).collect();
    known.security_group_id = Some(network.security_group_id.clone());
    known.other.insert("dedicated".to_owned(), network.dedicated.into());
    known
}

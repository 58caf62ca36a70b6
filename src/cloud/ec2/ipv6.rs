//! IPv6 ranges for a dedicated network: one for the VPC, and one of its parts for each subnet.

use std::net::Ipv6Addr;
use std::time::Instant;

use aws_sdk_ec2::types::{self, SubnetCidrBlockStateCode, VpcCidrBlockStateCode};
use futures::future::join_all;
use serde_json::json;

use super::Ec2;
use super::convert::filter;
use super::network::part_intent;
use crate::cloud::{NetworkRequest, Record, Subnet};
use crate::error::{Error, Result};

impl Ec2 {
    /// Gives a VPC and its subnets IPv6 ranges, unless they have them.
    pub(super) async fn ensure_ipv6(
        &self,
        request: &NetworkRequest,
        vpc: &str,
        subnets: &[Subnet],
        record: &dyn Record,
    ) -> Result<()> {
        let region = request.region.as_str();
        let (vpcs, present) = futures::future::try_join(
            self.vpcs(region, vec![filter("vpc-id", [vpc])]),
            self.subnets(region, vec![filter("vpc-id", [vpc])]),
        )
        .await?;
        let range = match vpcs.iter().find_map(vpc_range) {
            Some(range) => range,
            None => {
                let intent =
                    part_intent(request, "AssociateVpcCidrBlock", json!({ "vpc": vpc, "ipv6": true }));
                self.alter(record, intent, &[], |client| {
                    client.associate_vpc_cidr_block().vpc_id(vpc).amazon_provided_ipv6_cidr_block(true).send()
                })
                .await?;
                self.vpc_range(region, vpc).await?
            }
        };
        let bare = present.iter().filter(|it| !has_range(it)).filter_map(|it| it.subnet_id());
        let bare: Vec<&str> = bare.filter(|id| subnets.iter().any(|it| it.id == **id)).collect();
        let taken: Vec<String> = present.iter().flat_map(ranges).collect();
        let free = parts(&range)?.filter(|part| !taken.contains(part));
        let given = bare.iter().zip(free).map(|(subnet, part)| async move {
            let intent =
                part_intent(request, "AssociateSubnetCidrBlock", json!({ "subnet": subnet, "ipv6": part }));
            self.alter(record, intent, &[], |client| {
                client.associate_subnet_cidr_block().subnet_id(*subnet).ipv6_cidr_block(&part).send()
            })
            .await
        });
        join_all(given).await.into_iter().collect::<Result<Vec<bool>>>()?;
        Ok(())
    }

    /// The range that EC2 gives a VPC some moments after it was asked for.
    async fn vpc_range(&self, region: &str, vpc: &str) -> Result<String> {
        let started = Instant::now();
        loop {
            let vpcs = self.vpcs(region, vec![filter("vpc-id", [vpc])]).await?;
            if let Some(range) = vpcs.iter().find_map(vpc_range) {
                return Ok(range);
            }
            if started.elapsed() >= self.settings().dependency_timeout {
                return Err(Error::timeout(format!(
                    "EC2 gave the VPC {vpc} of {region} no IPv6 range in {} seconds",
                    self.settings().dependency_timeout.as_secs()
                )));
            }
            tokio::select! {
                () = tokio::time::sleep(self.settings().poll) => {}
                () = self.cancel.cancelled() => return Err(Error::interrupted()),
            }
        }
    }
}

/// The IPv6 range of a VPC, when it is ready.
fn vpc_range(vpc: &types::Vpc) -> Option<String> {
    vpc.ipv6_cidr_block_association_set().iter().find_map(|it| {
        let state = it.ipv6_cidr_block_state().and_then(|state| state.state());
        let ready = state.is_none_or(|state| *state == VpcCidrBlockStateCode::Associated);
        it.ipv6_cidr_block().filter(|block| ready && !block.is_empty()).map(str::to_owned)
    })
}

/// Whether a subnet has an IPv6 range, or is getting one.
pub(super) fn has_range(subnet: &types::Subnet) -> bool {
    ranges(subnet).next().is_some()
}

fn ranges(subnet: &types::Subnet) -> impl Iterator<Item = String> + '_ {
    subnet.ipv6_cidr_block_association_set().iter().filter_map(|it| {
        let state = it.ipv6_cidr_block_state().and_then(|state| state.state());
        let gone = state.is_some_and(|state| {
            matches!(
                state,
                SubnetCidrBlockStateCode::Disassociated
                    | SubnetCidrBlockStateCode::Disassociating
                    | SubnetCidrBlockStateCode::Failed
            )
        });
        it.ipv6_cidr_block().filter(|block| !gone && !block.is_empty()).map(str::to_owned)
    })
}

/// The ranges of 64 bits that a VPC's range of 56 bits is made of.
fn parts(range: &str) -> Result<impl Iterator<Item = String> + use<>> {
    let wrong = || {
        Error::aws(format!("the VPC has the IPv6 range `{range}`, expected one like `2600:1f14:a:b00::/56`"))
    };
    let (start, length) = range.split_once('/').ok_or_else(wrong)?;
    let start: Ipv6Addr = start.parse().map_err(|_| wrong())?;
    if length != "56" {
        return Err(wrong());
    }
    let start = u128::from(start);
    Ok((0..256_u128).map(move |index| format!("{}/64", Ipv6Addr::from(start | (index << 64)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vpc_s_range_has_256_parts_that_do_not_overlap() {
        let all: Vec<String> = parts("2600:1f14:abc:de00::/56").unwrap().collect();
        assert_eq!(all.len(), 256);
        assert_eq!(all[0], "2600:1f14:abc:de00::/64");
        assert_eq!(all[1], "2600:1f14:abc:de01::/64");
        assert_eq!(all[255], "2600:1f14:abc:deff::/64");
        assert!(parts("10.0.0.0/16").is_err() && parts("2600::/48").is_err());
    }
}

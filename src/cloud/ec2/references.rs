//! Rules in which security groups refer to each other: a group goes only when no other one names it.

use std::collections::HashSet;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{IpPermission, SecurityGroup};
use futures::future::join_all;

use super::Ec2;
use super::removal::Job;

impl Ec2 {
    /// Revokes the rules, in both directions, in which groups that are to be removed refer to each
    /// other. The rules of other groups are not touched: those groups are named as holders instead.
    /// A rule that stays shows in the refusal of the group that it names.
    pub(super) async fn revoke_references(
        &self,
        job: &Job<'_>,
        groups: &[SecurityGroup],
        doomed: &HashSet<String>,
    ) {
        let orders = groups.iter().filter_map(|group| {
            let id = group.group_id().filter(|id| doomed.contains(*id))?;
            let ingress = references(id, group.ip_permissions(), doomed);
            let egress = references(id, group.ip_permissions_egress(), doomed);
            (!ingress.is_empty() || !egress.is_empty()).then_some((id, ingress, egress))
        });
        let orders = orders.map(|(id, ingress, egress)| async move {
            if !ingress.is_empty() {
                let send = |client: Client| {
                    let request = client.revoke_security_group_ingress().group_id(id);
                    request.set_ip_permissions(Some(ingress.clone())).send()
                };
                drop(self.order(job, "RevokeSecurityGroupIngress", id, send).await);
            }
            if !egress.is_empty() {
                let send = |client: Client| {
                    let request = client.revoke_security_group_egress().group_id(id);
                    request.set_ip_permissions(Some(egress.clone())).send()
                };
                drop(self.order(job, "RevokeSecurityGroupEgress", id, send).await);
            }
        });
        join_all(orders).await;
    }
}

/// The parts of a group's rules that name other groups which are to be removed. A group that names
/// itself may go with that rule.
fn references(own: &str, rules: &[IpPermission], doomed: &HashSet<String>) -> Vec<IpPermission> {
    rules
        .iter()
        .filter_map(|rule| {
            let others = rule.user_id_group_pairs().iter();
            let others: Vec<_> = others
                .filter(|pair| pair.group_id().is_some_and(|id| id != own && doomed.contains(id)))
                .cloned()
                .collect();
            (!others.is_empty()).then(|| {
                IpPermission::builder()
                    .set_ip_protocol(rule.ip_protocol().map(str::to_owned))
                    .set_from_port(rule.from_port())
                    .set_to_port(rule.to_port())
                    .set_user_id_group_pairs(Some(others))
                    .build()
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{IpRange, UserIdGroupPair};

    use super::*;

    #[test]
    fn only_references_to_other_doomed_groups_are_revoked() {
        let pair = |id: &str| UserIdGroupPair::builder().group_id(id).build();
        let rule = IpPermission::builder()
            .ip_protocol("tcp")
            .from_port(22)
            .to_port(22)
            .ip_ranges(IpRange::builder().cidr_ip("10.0.0.0/8").build())
            .user_id_group_pairs(pair("sg-1"))
            .user_id_group_pairs(pair("sg-2"))
            .user_id_group_pairs(pair("sg-foreign"))
            .build();
        let plain = IpPermission::builder().ip_protocol("-1").build();
        let doomed = HashSet::from(["sg-1".to_owned(), "sg-2".to_owned()]);
        let found = references("sg-1", &[rule, plain], &doomed);
        assert_eq!(found.len(), 1);
        assert!(found[0].ip_ranges().is_empty() && found[0].from_port() == Some(22));
        let named: Vec<_> = found[0].user_id_group_pairs().iter().map(|pair| pair.group_id()).collect();
        assert_eq!(named, [Some("sg-2")]);
    }
}

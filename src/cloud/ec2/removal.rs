//! Removing networks, in the order of dependence, and saying what holds what refuses to go.

use std::future::Future;
use std::time::Instant;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures::future::{join, join_all, try_join, try_join5};
use serde_json::json;

use super::Ec2;
use super::convert::{filter, owner_filters};
use super::mutation::{Lost, close, fresh_token};
use crate::cloud::codes::{self, Class};
use crate::cloud::{Intent, Owner, Record, Removed, ResourceKind};
use crate::error::{Error, RESOURCES_REMAIN, Result};

/// The codes of a refusal because something else still needs the resource.
const IN_USE: [&str; 3] = ["DependencyViolation", "InvalidGroup.InUse", "InvalidNetworkInterface.InUse"];

/// What is removed, for whom.
struct Removal<'a> {
    region: &'a str,
    deployment: &'a str,
    record: &'a dyn Record,
}

/// What became of the removals so far.
#[derive(Default)]
struct Tally {
    removed: Vec<Removed>,
    refused: Vec<(ResourceKind, String, Error)>,
}

impl Tally {
    fn add(&mut self, results: Vec<(ResourceKind, String, Result<bool>)>) {
        for (kind, id, result) in results {
            match result {
                Ok(changed) => self.removed.push(Removed { kind, id, gone: !changed }),
                Err(error) => self.refused.push((kind, id, error)),
            }
        }
    }
}

impl Ec2 {
    pub(super) async fn remove_network(
        &self,
        region: &str,
        owner: &Owner,
        record: &dyn Record,
    ) -> Result<Vec<Removed>> {
        let ours = || owner_filters(owner);
        let id = |owned: Vec<crate::cloud::Owned>| owned.into_iter().map(|it| it.id).collect::<Vec<String>>();
        let ((groups, subnets, tables, gateways, vpcs), interfaces) = try_join(
            try_join5(
                self.tagged(region, ResourceKind::SecurityGroup, ours()),
                self.tagged(region, ResourceKind::Subnet, ours()),
                self.tables(region, ours()),
                self.gateways(region, ours()),
                self.vpcs(region, ours()),
            ),
            self.loose_interfaces(region, ours()),
        )
        .await?;
        let vpcs: Vec<String> = vpcs
            .iter()
            .filter(|vpc| vpc.is_default() != Some(true))
            .filter_map(|vpc| vpc.vpc_id().map(str::to_owned))
            .collect();
        let deployment = match owner {
            Owner::Deployment { deployment, .. } => deployment.as_str(),
            Owner::Project(_) | Owner::Everything => "",
        };
        let removal = Removal { region, deployment, record };
        let mut tally = Tally::default();
        // Side by side within a stage; each stage frees what the next one removes.
        tally.add(
            join_all(
                interfaces.into_iter().map(|id| self.remove(&removal, ResourceKind::NetworkInterface, id)),
            )
            .await,
        );
        let associations =
            join_all(tables.iter().flat_map(subnet_associations).map(|id| self.dissociate(&removal, id)));
        let groups = id(groups).into_iter().map(|id| (ResourceKind::SecurityGroup, id));
        let subnets = id(subnets).into_iter().map(|id| (ResourceKind::Subnet, id));
        let parts = join_all(groups.chain(subnets).map(|(kind, id)| self.remove(&removal, kind, id)));
        let (parts, associations) = join(parts, associations).await;
        tally.add(parts);
        // A table that keeps an association refuses to go and is reported then; other errors end here.
        associations.into_iter().collect::<Result<Vec<bool>>>()?;
        let tables = tables.into_iter().filter_map(|table| table.route_table_id);
        let tables = join_all(tables.map(|id| self.remove(&removal, ResourceKind::RouteTable, id)));
        let gateways = join_all(gateways.iter().map(|gateway| self.remove_gateway(&removal, gateway)));
        let (tables, gateways) = join(tables, gateways).await;
        tally.add(tables);
        tally.add(gateways);
        tally.add(join_all(vpcs.into_iter().map(|id| self.remove(&removal, ResourceKind::Vpc, id))).await);
        if tally.refused.is_empty() {
            return Ok(tally.removed);
        }
        Err(self.explain(region, tally.refused).await)
    }

    /// Interfaces of ours that no instance holds; the others go with their instance.
    async fn loose_interfaces(&self, region: &str, mut filters: Vec<types::Filter>) -> Result<Vec<String>> {
        filters.push(filter("status", ["available"]));
        let interfaces = self.interfaces(region, filters).await?;
        Ok(interfaces.into_iter().filter_map(|it| it.network_interface_id).collect())
    }

    async fn interfaces(
        &self,
        region: &str,
        filters: Vec<types::Filter>,
    ) -> Result<Vec<types::NetworkInterface>> {
        self.pages(region, "DescribeNetworkInterfaces", |client, token| {
            let request = client.describe_network_interfaces().set_filters(Some(filters.clone()));
            async move {
                let answer = request.set_next_token(token).send().await?;
                Ok((answer.network_interfaces, answer.next_token))
            }
        })
        .await
    }

    async fn remove(
        &self,
        removal: &Removal<'_>,
        kind: ResourceKind,
        id: String,
    ) -> (ResourceKind, String, Result<bool>) {
        let it = id.as_str();
        let result = match kind {
            ResourceKind::NetworkInterface => {
                let send = |client: Client| client.delete_network_interface().network_interface_id(it).send();
                self.order(removal, "DeleteNetworkInterface", it, send).await
            }
            ResourceKind::SecurityGroup => {
                let send = |client: Client| client.delete_security_group().group_id(it).send();
                self.order(removal, "DeleteSecurityGroup", it, send).await
            }
            ResourceKind::Subnet => {
                let send = |client: Client| client.delete_subnet().subnet_id(it).send();
                self.order(removal, "DeleteSubnet", it, send).await
            }
            ResourceKind::RouteTable => {
                let send = |client: Client| client.delete_route_table().route_table_id(it).send();
                self.order(removal, "DeleteRouteTable", it, send).await
            }
            ResourceKind::InternetGateway => {
                let send = |client: Client| client.delete_internet_gateway().internet_gateway_id(it).send();
                self.order(removal, "DeleteInternetGateway", it, send).await
            }
            ResourceKind::Vpc => {
                let send = |client: Client| client.delete_vpc().vpc_id(it).send();
                self.order(removal, "DeleteVpc", it, send).await
            }
            ResourceKind::Instance
            | ResourceKind::SpotRequest
            | ResourceKind::Volume
            | ResourceKind::KeyPair => Err(Error::internal(format!("a {kind} is no part of a network"))),
        };
        (kind, id, result)
    }

    async fn remove_gateway(
        &self,
        removal: &Removal<'_>,
        gateway: &types::InternetGateway,
    ) -> (ResourceKind, String, Result<bool>) {
        let id = gateway.internet_gateway_id().unwrap_or_default();
        for vpc in gateway.attachments().iter().filter_map(|it| it.vpc_id()) {
            let send =
                |client: Client| client.detach_internet_gateway().internet_gateway_id(id).vpc_id(vpc).send();
            if let Err(error) = self.order(removal, "DetachInternetGateway", id, send).await {
                return (ResourceKind::InternetGateway, id.to_owned(), Err(error));
            }
        }
        self.remove(removal, ResourceKind::InternetGateway, id.to_owned()).await
    }

    /// Takes a subnet off its route table; a table with subnets cannot be removed.
    async fn dissociate(&self, removal: &Removal<'_>, id: &str) -> Result<bool> {
        let send = |client: Client| client.disassociate_route_table().association_id(id).send();
        self.order(removal, "DisassociateRouteTable", id, send).await
    }

    /// One removal: repeated while something still depends on the resource, up to the time limit.
    /// The answer is whether it was there.
    async fn order<T, E, F, Fut>(
        &self,
        removal: &Removal<'_>,
        action: &str,
        id: &str,
        request: F,
    ) -> Result<bool>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let intent = Intent {
            action: action.to_owned(),
            region: removal.region.to_owned(),
            token: fresh_token(),
            deployment: removal.deployment.to_owned(),
            parameters: json!({ "id": id }),
            undo: None,
        };
        let number = removal.record.started(intent)?;
        let lost = Lost::default();
        let started = Instant::now();
        let result = loop {
            let error = match self.change(removal.region, action, &request).await {
                Ok(_) => break Ok(true),
                Err(error) => lost.note(error),
            };
            let code = error.code().unwrap_or_default();
            if codes::classify(code) == Class::Gone {
                break Ok(false);
            }
            if !IN_USE.contains(&code) || started.elapsed() >= self.settings().dependency_timeout {
                break Err(error);
            }
            tokio::select! {
                () = tokio::time::sleep(self.settings().poll) => {}
                () = self.cancel.cancelled() => break Err(Error::interrupted()),
            }
        };
        close(removal.record, number, result, lost.get(), |changed| {
            (json!({ "changed": changed }), Vec::new())
        })
    }

    /// One error for all that refused to go, with what holds each.
    async fn explain(&self, region: &str, refused: Vec<(ResourceKind, String, Error)>) -> Error {
        if let Some((_, _, error)) =
            refused.iter().find(|(_, _, error)| error.kind() == crate::error::Kind::Interrupted)
        {
            return error.clone().with_code(RESOURCES_REMAIN);
        }
        let lines = refused.iter().map(|(kind, id, error)| async move {
            let code = error.code().unwrap_or_default();
            let holders =
                if IN_USE.contains(&code) { self.holders(region, *kind, id).await } else { Vec::new() };
            if holders.is_empty() {
                return format!("the {kind} {id}: {}", error.message());
            }
            format!("the {kind} {id}, held by {}", holders.join(", "))
        });
        let lines = join_all(lines).await;
        let error = Error::aws(format!("these refuse to go in {region}: {}", lines.join("; ")))
            .with_code(RESOURCES_REMAIN)
            .with_hint("end what holds them, then run the command again: what is gone already is skipped");
        match refused.into_iter().next() {
            Some((_, _, first)) => error.with_source(first),
            None => error,
        }
    }

    /// The network interfaces behind a refusal, in words.
    async fn holders(&self, region: &str, kind: ResourceKind, id: &str) -> Vec<String> {
        let name = match kind {
            ResourceKind::SecurityGroup => "group-id",
            ResourceKind::Subnet => "subnet-id",
            ResourceKind::Vpc => "vpc-id",
            _ => return Vec::new(),
        };
        let interfaces = self.interfaces(region, vec![filter(name, [id])]).await.unwrap_or_default();
        interfaces.iter().map(holder).collect()
    }
}

/// The associations of a table with subnets; the one that makes it a VPC's main table cannot be ended.
fn subnet_associations(table: &types::RouteTable) -> impl Iterator<Item = &str> {
    let with_subnets = table.associations().iter().filter(|it| it.main() != Some(true));
    with_subnets.filter_map(|it| it.route_table_association_id())
}

fn holder(interface: &types::NetworkInterface) -> String {
    let id = interface.network_interface_id().unwrap_or("an interface");
    let instance = interface.attachment().and_then(|attachment| attachment.instance_id());
    let description = interface.description().filter(|text| !text.is_empty());
    match (instance, description) {
        (Some(instance), _) => format!("the network interface {id} of {instance}"),
        (None, Some(description)) => format!("the network interface {id} ({description})"),
        (None, None) => format!("the network interface {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_named_with_its_instance_or_its_purpose() {
        let attachment = types::NetworkInterfaceAttachment::builder().instance_id("i-1").build();
        let interface = types::NetworkInterface::builder().network_interface_id("eni-1");
        assert_eq!(
            holder(&interface.clone().attachment(attachment).build()),
            "the network interface eni-1 of i-1"
        );
        let of_balancer = interface.description("ELB app/x").build();
        assert_eq!(holder(&of_balancer), "the network interface eni-1 (ELB app/x)");
    }
}

//! Removing one resource: the order for it, and waiting for what still holds it.

use std::collections::HashSet;
use std::future::Future;
use std::time::Instant;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures::future::{BoxFuture, join_all};
use serde_json::json;

use super::Ec2;
use super::convert::filter;
use super::mutation::{Lost, close, fresh_token};
use super::removal::Job;
use crate::cloud::codes::{self, Class};
use crate::cloud::{Fate, Intent, ResourceKind};
use crate::error::{Error, Result};

/// EC2 takes so many spot requests in one order to cancel.
const REQUESTS_PER_ORDER: usize = 100;

/// The codes of a refusal because something else still needs the resource.
const IN_USE: [&str; 7] = [
    "DependencyViolation",
    "InvalidGroup.InUse",
    "InvalidNetworkInterface.InUse",
    "InvalidIPAddress.InUse",
    "VolumeInUse",
    "IncorrectState",
    "ResourceInUse",
];

/// Whether a resource was refused because something else still needs it.
pub(super) fn in_use(error: &Error) -> bool {
    let code = error.code().unwrap_or_default();
    // An interface that is attached is refused with the code of a wrong value.
    IN_USE.contains(&code) || (code == "InvalidParameterValue" && error.message().contains("in use"))
}

fn fate(result: Result<bool>) -> Fate {
    match result {
        Ok(true) => Fate::Removed,
        Ok(false) => Fate::Gone,
        Err(error) => Fate::Failed(error),
    }
}

impl Ec2 {
    /// Removes what takes one order; the kinds that take more have functions of their own.
    pub(super) async fn delete(&self, job: &Job<'_>, kind: ResourceKind, id: String) -> (String, Fate) {
        let it = id.as_str();
        // One kind: the action, the client's method, and how it takes the id.
        macro_rules! order {
            ($action:literal, $method:ident, $id:ident) => {
                self.order(job, $action, it, |client: Client| client.$method().$id(it).send()).await
            };
        }
        let result = match kind {
            ResourceKind::LaunchTemplate => {
                order!("DeleteLaunchTemplate", delete_launch_template, launch_template_id)
            }
            ResourceKind::Volume => order!("DeleteVolume", delete_volume, volume_id),
            ResourceKind::NetworkInterface => {
                order!("DeleteNetworkInterface", delete_network_interface, network_interface_id)
            }
            ResourceKind::KeyPair => order!("DeleteKeyPair", delete_key_pair, key_pair_id),
            ResourceKind::SecurityGroup => order!("DeleteSecurityGroup", delete_security_group, group_id),
            ResourceKind::Subnet => order!("DeleteSubnet", delete_subnet, subnet_id),
            ResourceKind::RouteTable => order!("DeleteRouteTable", delete_route_table, route_table_id),
            ResourceKind::InternetGateway => {
                order!("DeleteInternetGateway", delete_internet_gateway, internet_gateway_id)
            }
            ResourceKind::EgressOnlyGateway => order!(
                "DeleteEgressOnlyInternetGateway",
                delete_egress_only_internet_gateway,
                egress_only_internet_gateway_id
            ),
            ResourceKind::Vpc => order!("DeleteVpc", delete_vpc, vpc_id),
            ResourceKind::Fleet
            | ResourceKind::SpotRequest
            | ResourceKind::Instance
            | ResourceKind::Address => Err(Error::internal(format!("a {kind} takes more than one order"))),
        };
        (id, fate(result))
    }

    /// Takes a gateway off its VPC and removes it.
    pub(super) async fn delete_gateway(
        &self,
        job: &Job<'_>,
        id: String,
        gateway: Option<&types::InternetGateway>,
    ) -> (String, Fate) {
        let attachments = gateway.map(|it| it.attachments()).unwrap_or_default();
        for vpc in attachments.iter().filter_map(|it| it.vpc_id()) {
            let send =
                |client: Client| client.detach_internet_gateway().internet_gateway_id(&id).vpc_id(vpc).send();
            if let Err(error) = self.order(job, "DetachInternetGateway", &id, send).await {
                return (id, Fate::Failed(error));
            }
        }
        self.delete(job, ResourceKind::InternetGateway, id).await
    }

    /// Takes an address off what uses it and gives it back, unless one of the instances uses it that
    /// are kept.
    pub(super) async fn release(&self, job: &Job<'_>, id: String, kept: &HashSet<String>) -> (String, Fate) {
        let known = self
            .look(job.region, "DescribeAddresses", |client| {
                client.describe_addresses().filters(filter("allocation-id", [&id])).send()
            })
            .await;
        let known = match &known {
            Ok(known) => known.addresses(),
            Err(error) => return (id, Fate::Failed(error.clone())),
        };
        if let Some(user) = known.iter().filter_map(|it| it.instance_id()).find(|it| kept.contains(*it)) {
            return (id, Fate::Left(format!("the instance {user} needs it")));
        }
        let association = known.iter().find_map(|it| it.association_id());
        if let Some(association) = association {
            let send = |client: Client| client.disassociate_address().association_id(association).send();
            if let Err(error) = self.order(job, "DisassociateAddress", association, send).await {
                return (id, Fate::Failed(error));
            }
        }
        let send = |client: Client| client.release_address().allocation_id(&id).send();
        let result = self.order(job, "ReleaseAddress", &id, send).await;
        (id, fate(result))
    }

    /// Ends a fleet and its instances. EC2 refuses inside an answer that says success.
    pub(super) async fn delete_fleet(&self, job: &Job<'_>, id: String) -> (String, Fate) {
        let send = |client: Client| client.delete_fleets().fleet_ids(&id).terminate_instances(true).send();
        let result = self
            .order_with(job, "DeleteFleets", &id, send, |answer| {
                let refusal = answer.unsuccessful_fleet_deletions().iter().find_map(|it| it.error());
                let Some(refusal) = refusal else { return Ok(()) };
                let code = refusal.code().map(|code| code.as_str()).unwrap_or("UnsuccessfulFleetDeletion");
                let code = if code == "fleetIdDoesNotExist" { "InvalidFleetId.NotFound" } else { code };
                Err(Error::aws(refusal.message().unwrap_or("the fleet refuses to go")).with_code(code))
            })
            .await;
        (id, fate(result))
    }

    /// Cancels spot requests, many in one order; one that refuses does not keep the others.
    pub(super) async fn cancel_requests(&self, job: &Job<'_>, ids: Vec<String>) -> Vec<(String, Fate)> {
        let orders = ids.chunks(REQUESTS_PER_ORDER).map(|ids| async move {
            let all = self.cancel_batch(job, ids).await;
            if ids.len() == 1 || all.is_ok() {
                let fate = fate(all);
                return ids.iter().map(|id| (id.clone(), fate.clone())).collect::<Vec<_>>();
            }
            join_all(ids.iter().map(|id| async move {
                let result = self.cancel_batch(job, std::slice::from_ref(id)).await;
                (id.clone(), fate(result))
            }))
            .await
        });
        join_all(orders).await.concat()
    }

    async fn cancel_batch(&self, job: &Job<'_>, ids: &[String]) -> Result<bool> {
        let send = |client: Client| {
            client.cancel_spot_instance_requests().set_spot_instance_request_ids(Some(ids.to_vec())).send()
        };
        self.order(job, "CancelSpotInstanceRequests", &ids.join(","), send).await
    }

    /// Takes a subnet off its route table; a table with subnets cannot be removed.
    pub(super) async fn dissociate(&self, job: &Job<'_>, id: &str) -> Result<bool> {
        let send = |client: Client| client.disassociate_route_table().association_id(id).send();
        self.order(job, "DisassociateRouteTable", id, send).await
    }

    /// Orders the removal of something, again and again while something else still needs it; the
    /// answer is whether this changed anything, `false` when it was gone already.
    ///
    /// Boxed where it is made: the futures of all kinds in one function would need more stack than a
    /// thread has.
    pub(super) fn order<'a, T, E, F, Fut>(
        &'a self,
        job: &'a Job<'a>,
        action: &'a str,
        id: &'a str,
        request: F,
    ) -> BoxFuture<'a, Result<bool>>
    where
        T: Send + 'a,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Fn(Client) -> Fut + Send + Sync + 'a,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>> + Send + 'a,
    {
        Box::pin(self.order_with(job, action, id, request, |_| Ok(())))
    }

    /// Like [`Ec2::order`]; `accept` finds the refusal inside an answer.
    async fn order_with<T, E, F, Fut>(
        &self,
        job: &Job<'_>,
        action: &str,
        id: &str,
        request: F,
        accept: impl Fn(&T) -> Result<()>,
    ) -> Result<bool>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let intent = Intent {
            action: action.to_owned(),
            region: job.region.to_owned(),
            token: fresh_token(),
            deployment: job.deployment.to_owned(),
            parameters: json!({ "id": id }),
            undo: None,
        };
        let number = job.record.started(intent)?;
        let lost = Lost::default();
        let started = Instant::now();
        let result = loop {
            let answer = self.change(job.region, action, &request).await;
            let error = match answer.and_then(|answer| accept(&answer)) {
                Ok(()) => break Ok(true),
                Err(error) => lost.note(error),
            };
            if codes::classify(error.code().unwrap_or_default()) == Class::Gone {
                break Ok(false);
            }
            if !in_use(&error) {
                break Err(error);
            }
            if started.elapsed() >= job.patience(self.settings().dependency_timeout) {
                job.give_up();
                break Err(error);
            }
            tokio::select! {
                () = tokio::time::sleep(self.settings().poll) => {}
                () = self.cancel.cancelled() => break Err(Error::interrupted()),
            }
        };
        close(job.record, number, result, lost.get(), |changed| (json!({ "changed": changed }), Vec::new()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attached_interface_is_in_use_and_a_wrong_value_is_not() {
        let error = |message: &str| Error::aws(message).with_code("InvalidParameterValue");
        assert!(in_use(&error("Network interface 'eni-1' is currently in use.")));
        assert!(!in_use(&error("the id is malformed")));
        assert!(in_use(&Error::aws("x").with_code("DependencyViolation")));
        assert!(!in_use(&Error::aws("x")));
    }
}

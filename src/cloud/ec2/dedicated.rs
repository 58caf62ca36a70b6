//! A VPC of the project's own: a subnet in each zone, a gateway, a route, a security group. Found by
//! its tags; whatever a killed run left out is completed.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{self, ResourceType};
use futures::future::{join, join_all, join3};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Ec2;
use super::convert::tag_specification;
use super::network::{Part, one_per_zone, part_intent, part_tags};
use super::survey::Found;
use crate::cloud::{Network, NetworkRequest, Record, ResourceKind, Subnet, Zone};
use crate::error::{Error, Result};

/// Where the route to the internet leads.
const EVERYWHERE: &str = "0.0.0.0/0";
const EVERYWHERE_IPV6: &str = "::/0";
/// A VPC of 65,536 addresses holds so many subnets of 4,096.
const MOST_SUBNETS: usize = 16;

/// A network under construction.
struct Site<'a> {
    request: &'a NetworkRequest,
    record: &'a dyn Record,
    found: &'a Found,
    vpc: &'a str,
    cidr: &'a str,
}

impl Ec2 {
    pub(super) async fn dedicated_network(
        &self,
        request: &NetworkRequest,
        found: &Found,
        record: &dyn Record,
    ) -> Result<Network> {
        // Each stage runs its requests side by side and to the end: a request whose answer nobody
        // awaits would be a resource that nobody knows.
        let (vpc, gateway) =
            join(self.ensure_vpc(request, found, record), self.ensure_gateway(request, found, record)).await;
        let ((vpc, cidr), gateway) = (vpc?, gateway?);
        let site = Site { request, record, found, vpc: &vpc.id, cidr: &cidr };
        // The group and its rules need nothing but the VPC: they do not hold up the routes.
        let group = self.ensure_group(request, &vpc.id, &found.groups, record);
        let (ways, group) = join(self.ensure_ways(&site, &gateway), group).await;
        let (table, subnets, mut created) = ways?;
        let group = group?;
        if request.ipv6 {
            self.ensure_ipv6(request, &vpc.id, &subnets, record).await?;
            self.route_ipv6(&site, &table, &gateway.id).await?;
        }
        created.extend(
            [&vpc, &gateway, &table, &group].iter().filter(|part| part.made).map(|part| part.id.clone()),
        );
        Ok(Network {
            region: request.region.clone(),
            vpc_id: vpc.id,
            dedicated: true,
            subnets,
            security_group_id: group.id,
            ipv6: request.ipv6,
            created,
        })
    }

    /// The subnets and their way to the internet; with the ids of the subnets made now.
    async fn ensure_ways(&self, site: &Site<'_>, gateway: &Part) -> Result<(Part, Vec<Subnet>, Vec<String>)> {
        let (attached, table, subnets) =
            join3(self.attach(site, gateway), self.ensure_table(site), self.ensure_subnets(site)).await;
        let (table, (subnets, created)) = (attached.and(table)?, subnets?);
        let (routed, associated) =
            join(self.route(site, &table, &gateway.id), self.associate(site, &table, &subnets)).await;
        routed.and(associated)?;
        Ok((table, subnets, created))
    }

    pub(super) async fn gateways(
        &self,
        region: &str,
        filters: Vec<types::Filter>,
    ) -> Result<Vec<types::InternetGateway>> {
        self.pages(region, "DescribeInternetGateways", |client, token| {
            let request = client.describe_internet_gateways().set_filters(Some(filters.clone()));
            async move {
                let answer = request.set_next_token(token).send().await?;
                Ok((answer.internet_gateways, answer.next_token))
            }
        })
        .await
    }

    pub(super) async fn tables(
        &self,
        region: &str,
        filters: Vec<types::Filter>,
    ) -> Result<Vec<types::RouteTable>> {
        self.pages(region, "DescribeRouteTables", |client, token| {
            let request = client.describe_route_tables().set_filters(Some(filters.clone()));
            async move {
                let answer = request.set_next_token(token).send().await?;
                Ok((answer.route_tables, answer.next_token))
            }
        })
        .await
    }

    /// The VPC and its address range. When a race has made two, all processes take the same one.
    async fn ensure_vpc(
        &self,
        request: &NetworkRequest,
        found: &Found,
        record: &dyn Record,
    ) -> Result<(Part, String)> {
        if let Some((id, vpc)) = chosen_vpc(found) {
            let cidr = vpc.cidr_block().unwrap_or_default().to_owned();
            return Ok((Part { id: id.to_owned(), made: false }, cidr));
        }
        let cidr = vpc_cidr(&request.project);
        let intent = part_intent(request, "CreateVpc", json!({ "cidr": cidr }));
        let tags = part_tags(request, &request.group_name()?, &intent.token);
        let specification = tag_specification(ResourceType::Vpc, &tags);
        let id = self
            .create(record, intent, ResourceKind::Vpc, |client| {
                let request = client.create_vpc().cidr_block(&cidr).tag_specifications(specification.clone());
                async move { Ok(request.send().await?.vpc.and_then(|vpc| vpc.vpc_id)) }
            })
            .await?;
        Ok((Part { id, made: true }, cidr))
    }

    async fn ensure_gateway(
        &self,
        request: &NetworkRequest,
        found: &Found,
        record: &dyn Record,
    ) -> Result<Part> {
        if let Some(id) = chosen_gateway(found) {
            return Ok(Part { id: id.to_owned(), made: false });
        }
        let intent = part_intent(request, "CreateInternetGateway", json!({}));
        let tags = part_tags(request, &request.group_name()?, &intent.token);
        let specification = tag_specification(ResourceType::InternetGateway, &tags);
        let id = self
            .create(record, intent, ResourceKind::InternetGateway, |client| {
                let request = client.create_internet_gateway().tag_specifications(specification.clone());
                async move { Ok(request.send().await?.internet_gateway.and_then(|it| it.internet_gateway_id)) }
            })
            .await?;
        Ok(Part { id, made: true })
    }

    async fn attach(&self, site: &Site<'_>, gateway: &Part) -> Result<()> {
        if site
            .found
            .gateways
            .iter()
            .any(|it| it.internet_gateway_id() == Some(&gateway.id) && attached(it, site.vpc))
        {
            return Ok(());
        }
        let parameters = json!({ "gateway": gateway.id, "vpc": site.vpc });
        let intent = part_intent(site.request, "AttachInternetGateway", parameters);
        self.alter(site.record, intent, &["Resource.AlreadyAssociated"], |client| {
            client.attach_internet_gateway().internet_gateway_id(&gateway.id).vpc_id(site.vpc).send()
        })
        .await?;
        Ok(())
    }

    async fn ensure_table(&self, site: &Site<'_>) -> Result<Part> {
        if let Some(id) = site.table().and_then(|table| table.route_table_id()) {
            return Ok(Part { id: id.to_owned(), made: false });
        }
        let intent = part_intent(site.request, "CreateRouteTable", json!({ "vpc": site.vpc }));
        let tags = part_tags(site.request, &site.request.group_name()?, &intent.token);
        let specification = tag_specification(ResourceType::RouteTable, &tags);
        let token = intent.token.clone();
        let id = self
            .create(site.record, intent, ResourceKind::RouteTable, |client| {
                let request = client.create_route_table().vpc_id(site.vpc).client_token(&token);
                let request = request.tag_specifications(specification.clone());
                async move { Ok(request.send().await?.route_table.and_then(|it| it.route_table_id)) }
            })
            .await?;
        Ok(Part { id, made: true })
    }

    /// All subnets, and the ids of those made now.
    async fn ensure_subnets(&self, site: &Site<'_>) -> Result<(Vec<Subnet>, Vec<String>)> {
        let mut subnets = one_per_zone(&site.subnets());
        let missing: Vec<&Zone> =
            site.found.zones.iter().filter(|zone| !subnets.iter().any(|it| it.zone == zone.name)).collect();
        let taken: BTreeSet<&str> = site.found.subnets.iter().filter_map(|it| it.cidr_block()).collect();
        let free = subnet_cidrs(site.cidr)?.into_iter().filter(|cidr| !taken.contains(cidr.as_str()));
        let made = missing.into_iter().zip(free).map(|(zone, cidr)| self.create_subnet(site, zone, cidr));
        let mut created = Vec::new();
        for subnet in join_all(made).await {
            let subnet = subnet?;
            created.push(subnet.id.clone());
            subnets.push(subnet);
        }
        if subnets.is_empty() {
            return Err(Error::aws(format!(
                "the region {} has no zone to put a subnet in",
                site.request.region
            )));
        }
        subnets.sort_by(|a, b| a.zone.cmp(&b.zone));
        Ok((subnets, created))
    }

    async fn create_subnet(&self, site: &Site<'_>, zone: &Zone, cidr: String) -> Result<Subnet> {
        let parameters = json!({ "vpc": site.vpc, "zone": zone.name, "cidr": cidr });
        let intent = part_intent(site.request, "CreateSubnet", parameters);
        let name = format!("{}-{}", site.request.group_name()?, zone.name);
        let specification =
            tag_specification(ResourceType::Subnet, &part_tags(site.request, &name, &intent.token));
        let id = self
            .create(site.record, intent, ResourceKind::Subnet, |client| {
                let request =
                    client.create_subnet().vpc_id(site.vpc).availability_zone(&zone.name).cidr_block(&cidr);
                let request = request.tag_specifications(specification.clone());
                async move { Ok(request.send().await?.subnet.and_then(|it| it.subnet_id)) }
            })
            .await?;
        Ok(Subnet { id, zone: zone.name.clone(), cidr })
    }

    async fn route(&self, site: &Site<'_>, table: &Part, gateway: &str) -> Result<()> {
        let present = |route: &types::Route| {
            route.destination_cidr_block() == Some(EVERYWHERE) && route.gateway_id() == Some(gateway)
        };
        if site.table().is_some_and(|table| table.routes().iter().any(present)) {
            return Ok(());
        }
        let parameters = json!({ "table": table.id, "gateway": gateway, "to": EVERYWHERE });
        let intent = part_intent(site.request, "CreateRoute", parameters);
        self.alter(site.record, intent, &["RouteAlreadyExists"], |client| {
            let request = client.create_route().route_table_id(&table.id).gateway_id(gateway);
            request.destination_cidr_block(EVERYWHERE).send()
        })
        .await?;
        Ok(())
    }

    async fn route_ipv6(&self, site: &Site<'_>, table: &Part, gateway: &str) -> Result<()> {
        let present = |route: &types::Route| {
            route.destination_ipv6_cidr_block() == Some(EVERYWHERE_IPV6)
                && route.gateway_id() == Some(gateway)
        };
        if site.table().is_some_and(|table| table.routes().iter().any(present)) {
            return Ok(());
        }
        let parameters = json!({ "table": table.id, "gateway": gateway, "to": EVERYWHERE_IPV6 });
        let intent = part_intent(site.request, "CreateRoute", parameters);
        self.alter(site.record, intent, &["RouteAlreadyExists"], |client| {
            let request = client.create_route().route_table_id(&table.id).gateway_id(gateway);
            request.destination_ipv6_cidr_block(EVERYWHERE_IPV6).send()
        })
        .await?;
        Ok(())
    }

    async fn associate(&self, site: &Site<'_>, table: &Part, subnets: &[Subnet]) -> Result<()> {
        let done: BTreeSet<&str> = site
            .table()
            .map(|table| table.associations().iter().filter_map(|it| it.subnet_id()).collect())
            .unwrap_or_default();
        let missing = subnets.iter().filter(|subnet| !done.contains(subnet.id.as_str()));
        let requests = missing.map(|subnet| async move {
            let parameters = json!({ "table": table.id, "subnet": subnet.id });
            let intent = part_intent(site.request, "AssociateRouteTable", parameters);
            self.alter(site.record, intent, &["Resource.AlreadyAssociated"], |client| {
                client.associate_route_table().route_table_id(&table.id).subnet_id(&subnet.id).send()
            })
            .await
        });
        join_all(requests).await.into_iter().collect::<Result<Vec<bool>>>()?;
        Ok(())
    }
}

impl Site<'_> {
    fn subnets(&self) -> Vec<types::Subnet> {
        self.found.subnets.iter().filter(|it| it.vpc_id() == Some(self.vpc)).cloned().collect()
    }

    fn table(&self) -> Option<&types::RouteTable> {
        self.found
            .tables
            .iter()
            .filter(|it| it.vpc_id() == Some(self.vpc))
            .min_by_key(|it| it.route_table_id())
    }
}

pub(super) fn chosen_vpc(found: &Found) -> Option<(&str, &types::Vpc)> {
    let ours = found.vpcs.iter().filter(|vpc| vpc.is_default() != Some(true));
    ours.filter_map(|vpc| Some((vpc.vpc_id()?, vpc))).min_by_key(|(id, _)| *id)
}

/// The gateway of the chosen VPC, else one of ours that no VPC has yet.
pub(super) fn chosen_gateway(found: &Found) -> Option<&str> {
    let vpc = chosen_vpc(found).map(|(id, _)| id);
    let mine = found.gateways.iter().find(|it| vpc.is_some_and(|vpc| attached(it, vpc)));
    let loose = || {
        found
            .gateways
            .iter()
            .filter(|it| it.attachments().is_empty())
            .min_by_key(|it| it.internet_gateway_id())
    };
    mine.or_else(loose).and_then(|it| it.internet_gateway_id())
}

fn attached(gateway: &types::InternetGateway, vpc: &str) -> bool {
    gateway.attachments().iter().any(|it| it.vpc_id() == Some(vpc))
}

/// `10.x.0.0/16` with an x that belongs to the project, so that two projects can be peered.
fn vpc_cidr(project: &str) -> String {
    let second = Sha256::digest(project).first().copied().unwrap_or_default();
    format!("10.{second}.0.0/16")
}

/// The ranges of the subnets of a VPC.
fn subnet_cidrs(vpc: &str) -> Result<Vec<String>> {
    let wrong = || {
        Error::aws(format!(
            "the project's VPC has the address range `{vpc}`, expected one like `10.7.0.0/16`"
        ))
    };
    let start = vpc.strip_suffix(".0.0/16").ok_or_else(wrong)?;
    Ok((0..MOST_SUBNETS).map(|index| format!("{start}.{}.0/20", index * 16)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_always_gets_the_same_range_and_its_subnets_do_not_overlap() {
        assert_eq!(vpc_cidr("web"), vpc_cidr("web"));
        assert!(vpc_cidr("web").starts_with("10.") && vpc_cidr("web").ends_with(".0.0/16"));
        let cidrs = subnet_cidrs("10.7.0.0/16").unwrap();
        assert_eq!(cidrs.first().map(String::as_str), Some("10.7.0.0/20"));
        assert_eq!(cidrs.last().map(String::as_str), Some("10.7.240.0/20"));
        assert_eq!(cidrs.iter().collect::<BTreeSet<_>>().len(), MOST_SUBNETS);
        assert!(subnet_cidrs("192.168.0.0/24").is_err());
    }

    #[test]
    fn a_loose_gateway_of_a_killed_run_is_used_and_one_of_another_vpc_is_not() {
        let gateway = |id: &str, vpc: Option<&str>| {
            let attachment = vpc.map(|vpc| types::InternetGatewayAttachment::builder().vpc_id(vpc).build());
            types::InternetGateway::builder()
                .internet_gateway_id(id)
                .set_attachments(attachment.map(|it| vec![it]))
                .build()
        };
        let vpc = |id: &str| types::Vpc::builder().vpc_id(id).build();
        let mut found = Found {
            vpcs: vec![vpc("vpc-2"), vpc("vpc-1")],
            subnets: Vec::new(),
            gateways: vec![gateway("igw-a", Some("vpc-2"))],
            tables: Vec::new(),
            groups: Vec::new(),
            zones: Vec::new(),
        };
        assert_eq!(chosen_vpc(&found).map(|(id, _)| id), Some("vpc-1"));
        assert_eq!(chosen_gateway(&found), None);
        found.gateways.push(gateway("igw-b", None));
        assert_eq!(chosen_gateway(&found), Some("igw-b"));
        found.gateways.push(gateway("igw-c", Some("vpc-1")));
        assert_eq!(chosen_gateway(&found), Some("igw-c"));
    }
}

//! What there is of a project's network, seen in one round trip. A survey serves the next call that
//! makes what is missing, so that a plan is not paid for twice.

use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{self, Filter};
use futures::future::{try_join, try_join3, try_join5};

use super::Ec2;
use super::convert::{filter, owner_filters};
use super::dedicated::{chosen_gateway, chosen_vpc};
use super::network::one_per_zone;
use crate::cloud::{FoundNetwork, NetworkRequest, Owner, Selector, Subnet, Zone, codes};
use crate::error::{Error, Result};

/// How long a survey is good for: a person may look at a plan for a while before it is carried out.
const FRESH: Duration = Duration::from_secs(300);

/// A survey that was made for a request, and when.
pub(super) struct Kept {
    request: NetworkRequest,
    found: Survey,
    at: Instant,
}

/// What was seen.
#[derive(Debug, Clone)]
pub(super) enum Survey {
    /// Of a VPC that spot makes.
    Dedicated(Found),
    /// Of a VPC that exists.
    Shared(Existing),
}

/// What there is of a dedicated network.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub(super) vpcs: Vec<types::Vpc>,
    pub(super) subnets: Vec<types::Subnet>,
    pub(super) gateways: Vec<types::InternetGateway>,
    pub(super) tables: Vec<types::RouteTable>,
    pub(super) groups: Vec<types::SecurityGroup>,
    pub(super) zones: Vec<Zone>,
}

/// A VPC that was there before, with the subnets to use.
#[derive(Debug, Clone)]
pub(super) struct Existing {
    pub(super) vpc: String,
    pub(super) subnets: Vec<Subnet>,
    pub(super) ipv6: bool,
    /// Groups with the project's name, in any VPC.
    pub(super) groups: Vec<types::SecurityGroup>,
}

impl Ec2 {
    pub(super) async fn look_for_network(&self, request: &NetworkRequest) -> Result<FoundNetwork> {
        let found = self.survey(request).await?;
        let seen = found.told(request);
        self.keep_survey(Kept { request: request.clone(), found, at: Instant::now() });
        Ok(seen)
    }

    /// What an earlier look saw, once and while it is fresh; otherwise a look of its own.
    pub(super) async fn surveyed(&self, request: &NetworkRequest) -> Result<Survey> {
        match self.take_survey(|kept| kept.request.same_place(request)) {
            Some(kept) if kept.at.elapsed() < FRESH => Ok(kept.found),
            _ => self.survey(request).await,
        }
    }

    async fn survey(&self, request: &NetworkRequest) -> Result<Survey> {
        request.ingress()?;
        if request.dedicated {
            Ok(Survey::Dedicated(self.survey_dedicated(request).await?))
        } else {
            Ok(Survey::Shared(self.survey_existing(request).await?))
        }
    }

    async fn survey_dedicated(&self, request: &NetworkRequest) -> Result<Found> {
        let region = request.region.as_str();
        let ours = || owner_filters(&Owner::Project(request.project.clone()));
        let name = request.group_name()?;
        let ((vpcs, subnets, gateways, tables, groups), zones) = try_join(
            try_join5(
                self.vpcs(region, ours()),
                self.subnets(region, ours()),
                self.gateways(region, ours()),
                self.tables(region, ours()),
                self.groups_named(region, &name),
            ),
            self.available_zones(region),
        )
        .await?;
        Ok(Found { vpcs, subnets, gateways, tables, groups, zones })
    }

    /// All in one round trip: subnets and groups are asked for without knowing the VPC's id.
    async fn survey_existing(&self, request: &NetworkRequest) -> Result<Existing> {
        let region = request.region.as_str();
        let which_vpc = match &request.vpc {
            Some(vpc) => vec![selecting("vpc-id", vpc)],
            // Subnets say where they are; the default VPC is not asked for then.
            None if !request.subnets.is_empty() => Vec::new(),
            None => vec![filter("is-default", ["true"])],
        };
        let vpcs =
            async { if which_vpc.is_empty() { Ok(Vec::new()) } else { self.vpcs(region, which_vpc).await } };
        let (vpcs, subnets, groups) =
            try_join3(vpcs, self.chosen_subnets(request), self.groups_named(region, &request.group_name()?))
                .await?;
        let vpc = the_vpc(request, &vpcs, &subnets)?;
        let inside: Vec<types::Subnet> =
            subnets.into_iter().filter(|subnet| subnet.vpc_id() == Some(&vpc)).collect();
        if inside.is_empty() {
            return Err(no_subnet(request, &vpc));
        }
        // In the default VPC those that EC2 made itself come first; they are public.
        let (default, own): (Vec<_>, Vec<_>) =
            inside.into_iter().partition(|subnet| subnet.default_for_az() == Some(true));
        let prefer_default = request.vpc.is_none() && request.subnets.is_empty() && !default.is_empty();
        let usable = if prefer_default { default } else { [default, own].concat() };
        Ok(Existing {
            subnets: one_per_zone(&usable),
            ipv6: usable.iter().all(super::ipv6::has_range),
            vpc,
            groups,
        })
    }

    async fn chosen_subnets(&self, request: &NetworkRequest) -> Result<Vec<types::Subnet>> {
        let region = request.region.as_str();
        let (ids, tags): (Vec<_>, Vec<_>) =
            request.subnets.iter().partition(|subnet| matches!(subnet, Selector::Id(_)));
        let mut asks: Vec<Vec<Filter>> = Vec::new();
        if !ids.is_empty() {
            asks.push(vec![filter("subnet-id", ids.iter().map(ToString::to_string))]);
        }
        asks.extend(tags.into_iter().map(|tag| vec![selecting("subnet-id", tag)]));
        if asks.is_empty() {
            asks.push(match &request.vpc {
                Some(Selector::Id(id)) => vec![filter("vpc-id", [id.as_str()])],
                // The VPC's id is not known yet: what is in others is left out afterwards.
                _ => Vec::new(),
            });
        }
        let found =
            futures::future::try_join_all(asks.into_iter().map(|filters| self.subnets(region, filters)));
        let found: Vec<types::Subnet> = found.await?.into_iter().flatten().collect();
        let known = |id: &Selector| found.iter().any(|it| it.subnet_id() == Some(&id.to_string()));
        match ids.into_iter().find(|id| !known(id)) {
            Some(missing) => Err(Error::aws(format!("there is no subnet {missing} in {region}"))
                .with_code("InvalidSubnetID.NotFound")
                .with_hint(format!("list them: `aws ec2 describe-subnets --region {region}`"))),
            None => Ok(found),
        }
    }
}

impl NetworkRequest {
    /// Whether both speak of the same network, whoever may reach it.
    fn same_place(&self, other: &NetworkRequest) -> bool {
        let place = |it: &NetworkRequest| {
            (it.region.clone(), it.project.clone(), it.dedicated, it.vpc.clone(), it.subnets.clone())
        };
        place(self) == place(other)
    }
}

impl Survey {
    fn told(&self, request: &NetworkRequest) -> FoundNetwork {
        let mut told = FoundNetwork { region: request.region.clone(), ..FoundNetwork::default() };
        let group = |groups: &[types::SecurityGroup], vpc: Option<&str>| {
            let inside = groups.iter().find(|group| vpc.is_some() && group.vpc_id() == vpc);
            inside.and_then(|group| group.group_id()).map(str::to_owned)
        };
        match self {
            Survey::Shared(existing) => {
                told.vpc_id = Some(existing.vpc.clone());
                told.subnets.clone_from(&existing.subnets);
                told.security_group_id = group(&existing.groups, Some(&existing.vpc));
            }
            Survey::Dedicated(found) => {
                let vpc = chosen_vpc(found).map(|(id, _)| id);
                let inside: Vec<types::Subnet> =
                    found.subnets.iter().filter(|it| vpc.is_some() && it.vpc_id() == vpc).cloned().collect();
                told.subnets = one_per_zone(&inside);
                told.security_group_id = group(&found.groups, vpc);
                let table = found.tables.iter().any(|it| vpc.is_some() && it.vpc_id() == vpc);
                let parts = [
                    (vpc.is_none(), "VPC"),
                    (chosen_gateway(found).is_none(), "internet gateway"),
                    (!table, "route table"),
                ];
                told.missing
                    .extend(parts.iter().filter(|(missing, _)| *missing).map(|(_, it)| (*it).to_owned()));
                let zones =
                    found.zones.iter().filter(|zone| !told.subnets.iter().any(|it| it.zone == zone.name));
                told.missing.extend(zones.map(|zone| format!("subnet in {}", zone.name)));
                told.vpc_id = vpc.map(str::to_owned);
                // Instances can be planned for zones whose subnets are still to be made.
                let planned =
                    found.zones.iter().filter(|zone| !told.subnets.iter().any(|it| it.zone == zone.name));
                let planned: Vec<Subnet> =
                    planned.map(|zone| Subnet { zone: zone.name.clone(), ..Subnet::default() }).collect();
                told.subnets.extend(planned);
                told.subnets.sort_by(|a, b| a.zone.cmp(&b.zone));
            }
        }
        if told.security_group_id.is_none() {
            told.missing.push("security group".to_owned());
        }
        told
    }
}

fn selecting(id_filter: &str, selector: &Selector) -> Filter {
    match selector {
        Selector::Id(id) => filter(id_filter, [id.as_str()]),
        Selector::Tag { key, value } => filter(&format!("tag:{key}"), [value.as_str()]),
    }
}

/// The one VPC that is meant.
fn the_vpc(request: &NetworkRequest, vpcs: &[types::Vpc], subnets: &[types::Subnet]) -> Result<String> {
    let region = request.region.as_str();
    let mut candidates: Vec<&str> = match (&request.vpc, request.subnets.is_empty()) {
        (None, false) => subnets.iter().filter_map(|it| it.vpc_id()).collect(),
        _ => vpcs.iter().filter_map(|it| it.vpc_id()).collect(),
    };
    candidates.sort_unstable();
    candidates.dedup();
    match (candidates.as_slice(), &request.vpc) {
        ([one], _) => Ok((*one).to_owned()),
        ([], Some(vpc)) => {
            Err(Error::aws(format!("there is no VPC {vpc} in {region}")).with_code("InvalidVpcID.NotFound"))
        }
        ([], None) if !request.subnets.is_empty() => Err(no_subnet(request, "the region")),
        ([], None) => Err(Error::aws(format!("the region {region} has no default VPC"))
            .with_code("DefaultVpcDoesNotExist")
            .with_hint(codes::no_default_vpc_hint(region))),
        (many, vpc) => {
            let by = vpc.as_ref().map_or_else(
                || "the subnets that were named are in several VPCs".to_owned(),
                |vpc| format!("{vpc} is the tag of several VPCs"),
            );
            Err(Error::aws(format!("{by} of {region}: {}", many.join(", ")))
                .with_code("AmbiguousVpc")
                .with_hint("name one of them by its id: `vpc_id` in the section [network]"))
        }
    }
}

fn no_subnet(request: &NetworkRequest, vpc: &str) -> Error {
    let region = request.region.as_str();
    if request.subnets.is_empty() {
        return Error::aws(format!("the VPC {vpc} of {region} has no subnet"))
            .with_code("DefaultSubnetDoesNotExist")
            .with_hint(codes::no_default_vpc_hint(region));
    }
    let named: Vec<String> = request.subnets.iter().map(ToString::to_string).collect();
    Error::aws(format!("none of the subnets {} is in {vpc} ({region})", named.join(", ")))
        .with_code("InvalidSubnetID.NotFound")
        .with_hint(format!("list them: `aws ec2 describe-subnets --region {region}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> NetworkRequest {
        NetworkRequest {
            region: "us-west-2".to_owned(),
            project: "web".to_owned(),
            ..NetworkRequest::default()
        }
    }

    #[test]
    fn a_tag_that_several_vpcs_carry_is_refused_with_their_ids() {
        let vpc = |id: &str| types::Vpc::builder().vpc_id(id).build();
        let tag = Selector::parse("tag:Name=prod", "vpc-").unwrap();
        let tagged = NetworkRequest { vpc: Some(tag), ..request() };
        let error = the_vpc(&tagged, &[vpc("vpc-1"), vpc("vpc-2")], &[]).unwrap_err();
        assert_eq!(error.code(), Some("AmbiguousVpc"));
        assert!(error.message().contains("vpc-1, vpc-2"), "{error}");
        assert_eq!(the_vpc(&tagged, &[vpc("vpc-2")], &[]).unwrap(), "vpc-2");
        assert_eq!(the_vpc(&tagged, &[], &[]).unwrap_err().code(), Some("InvalidVpcID.NotFound"));
        let plain = the_vpc(&request(), &[], &[]).unwrap_err();
        assert_eq!(plain.code(), Some("DefaultVpcDoesNotExist"));
    }

    #[test]
    fn subnets_say_which_vpc_is_meant() {
        let subnet = |id: &str, vpc: &str| types::Subnet::builder().subnet_id(id).vpc_id(vpc).build();
        let named = NetworkRequest { subnets: vec![Selector::Id("subnet-1".to_owned())], ..request() };
        assert_eq!(the_vpc(&named, &[], &[subnet("subnet-1", "vpc-9")]).unwrap(), "vpc-9");
        let apart = [subnet("subnet-1", "vpc-9"), subnet("subnet-2", "vpc-8")];
        assert_eq!(the_vpc(&named, &[], &apart).unwrap_err().code(), Some("AmbiguousVpc"));
    }

    #[test]
    fn an_empty_region_misses_everything_and_still_has_zones_to_plan_for() {
        let zone = Zone { name: "us-west-2a".to_owned(), id: String::new(), region: "us-west-2".to_owned() };
        let dedicated = NetworkRequest { dedicated: true, ..request() };
        let told = Survey::Dedicated(Found { zones: vec![zone], ..Found::default() }).told(&dedicated);
        assert_eq!(
            told.missing,
            ["VPC", "internet gateway", "route table", "subnet in us-west-2a", "security group"]
        );
        assert_eq!(told.subnets.len(), 1);
        assert!(told.vpc_id.is_none() && told.subnets[0].id.is_empty());
    }
}

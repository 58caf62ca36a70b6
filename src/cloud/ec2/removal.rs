//! Removing resources in the order of dependence, whatever their kind.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_ec2::types::{self, Filter};
use futures::future::{join, join_all, join3, join4, try_join_all};

use super::Ec2;
use super::convert::{filter, owner_filters, read_tags};
use super::listing::living;
use crate::cloud::instance::unique;
use crate::cloud::{Fate, Outcome, Owned, Owner, Record, Removal, Removed, ResourceKind, Until, tags};
use crate::error::{Error, Kind, RESOURCES_REMAIN, Result};

/// EC2 takes so many values in one filter.
const IDS_PER_FILTER: usize = 200;
/// Instances shut down for longer than other things hold on to each other.
const ENDING: u32 = 3;

/// The tag by which EC2 says which fleet an instance belongs to.
const FLEET: &str = "aws:ec2:fleet-id";

/// What is removed, for whom, and whether it still pays to wait.
pub(super) struct Job<'a> {
    pub(super) region: &'a str,
    pub(super) deployment: &'a str,
    pub(super) record: &'a dyn Record,
    /// Something was waited for in vain: what depends on it is not waited for again.
    gave_up: AtomicBool,
}

impl<'a> Job<'a> {
    fn new(region: &'a str, deployment: &'a str, record: &'a dyn Record) -> Self {
        Job { region, deployment, record, gave_up: AtomicBool::new(false) }
    }

    /// How long to wait for what holds a resource.
    pub(super) fn patience(&self, timeout: Duration) -> Duration {
        if self.gave_up.load(Ordering::Relaxed) { Duration::ZERO } else { timeout }
    }

    /// Notes that something was waited for in vain.
    pub(super) fn give_up(&self) {
        self.gave_up.store(true, Ordering::Relaxed);
    }
}

/// What EC2 says of the resources that are to be removed, as far as the order depends on it.
#[derive(Default)]
pub(super) struct Site {
    instances: Vec<types::Instance>,
    interfaces: Vec<types::NetworkInterface>,
    groups: Vec<types::SecurityGroup>,
    subnets: Vec<types::Subnet>,
    tables: Vec<types::RouteTable>,
    gateways: Vec<types::InternetGateway>,
    vpcs: Vec<types::Vpc>,
}

/// The resources with what became of each so far.
struct Tally<'a> {
    resources: &'a [Owned],
    fates: HashMap<String, Fate>,
}

impl Tally<'_> {
    /// The ids of a kind that nothing is decided about yet.
    fn open(&self, kind: ResourceKind) -> Vec<String> {
        let open = self.resources.iter().filter(|it| it.kind == kind && !self.fates.contains_key(&it.id));
        unique(&open.map(|it| it.id.clone()).collect::<Vec<_>>())
    }

    /// The instances that are not removed.
    fn kept(&self) -> HashSet<String> {
        let instances = self.resources.iter().filter(|it| it.kind == ResourceKind::Instance);
        let kept =
            instances.filter(|it| matches!(self.fates.get(&it.id), Some(Fate::Left(_) | Fate::Failed(_))));
        kept.map(|it| it.id.clone()).collect()
    }

    fn add(&mut self, fates: impl IntoIterator<Item = (String, Fate)>) {
        self.fates.extend(fates);
    }

    fn leave(&mut self, id: &str, reason: String) {
        self.fates.insert(id.to_owned(), Fate::Left(reason));
    }
}

impl Ec2 {
    pub(super) async fn remove_network(
        &self,
        region: &str,
        owner: &Owner,
        record: &dyn Record,
    ) -> Result<Vec<Removed>> {
        let ours = || vec![owner_filters(owner)];
        let mut alive = owner_filters(owner);
        alive.push(living());
        let questions = Questions {
            instances: vec![alive],
            interfaces: ours(),
            groups: ours(),
            subnets: ours(),
            tables: ours(),
            gateways: ours(),
            vpcs: ours(),
        };
        let egress = self.tagged(region, ResourceKind::EgressOnlyGateway, owner_filters(owner));
        let (site, egress) = join(self.survey_site(region, questions), egress).await;
        let (site, egress) = (site?, egress?);
        let mut resources = site.resources(region);
        resources.extend(egress);
        let deployment = match owner {
            Owner::Deployment { deployment, .. } => deployment.as_str(),
            Owner::Project(_) | Owner::Everything => "",
        };
        let job = Job::new(region, deployment, record);
        let removals = Box::pin(self.run(&job, &resources, &site)).await?;
        let mut removed = Vec::new();
        let mut refused = Vec::new();
        for Removal { kind, id, fate } in removals {
            match fate {
                // Not of the network, but what it had to wait for.
                Fate::Removed | Fate::Gone if kind == ResourceKind::Instance => {}
                Fate::Removed => removed.push(Removed { kind, id, gone: false }),
                Fate::Gone => removed.push(Removed { kind, id, gone: true }),
                Fate::Left(reason) => refused.push((kind, id, Error::aws(reason))),
                Fate::Failed(error) => refused.push((kind, id, error)),
            }
        }
        if refused.is_empty() { Ok(removed) } else { Err(remaining(region, refused)) }
    }

    pub(super) async fn remove_resources(
        &self,
        region: &str,
        resources: &[Owned],
        record: &dyn Record,
    ) -> Result<Vec<Removal>> {
        let of = |kind, name: &str| {
            let ids: Vec<&str> =
                resources.iter().filter(|it| it.kind == kind).map(|it| it.id.as_str()).collect();
            ids.chunks(IDS_PER_FILTER).map(|ids| vec![filter(name, ids.iter().copied())]).collect::<Vec<_>>()
        };
        let site = self
            .survey_site(
                region,
                Questions {
                    instances: of(ResourceKind::Instance, "instance-id"),
                    interfaces: of(ResourceKind::NetworkInterface, "network-interface-id"),
                    groups: of(ResourceKind::SecurityGroup, "group-id"),
                    subnets: of(ResourceKind::Subnet, "subnet-id"),
                    tables: of(ResourceKind::RouteTable, "route-table-id"),
                    gateways: of(ResourceKind::InternetGateway, "internet-gateway-id"),
                    vpcs: of(ResourceKind::Vpc, "vpc-id"),
                },
            )
            .await?;
        Box::pin(self.run(&Job::new(region, "", record), resources, &site)).await
    }

    /// Asks all questions at once.
    async fn survey_site(&self, region: &str, ask: Questions) -> Result<Site> {
        let instances = try_join_all(ask.instances.into_iter().map(|it| self.raw_instances(region, it)));
        let interfaces = try_join_all(ask.interfaces.into_iter().map(|it| self.interfaces(region, it)));
        let groups = try_join_all(ask.groups.into_iter().map(|it| self.groups_by(region, it)));
        let subnets = try_join_all(ask.subnets.into_iter().map(|it| self.subnets(region, it)));
        let tables = try_join_all(ask.tables.into_iter().map(|it| self.tables(region, it)));
        let gateways = try_join_all(ask.gateways.into_iter().map(|it| self.gateways(region, it)));
        let vpcs = try_join_all(ask.vpcs.into_iter().map(|it| self.vpcs(region, it)));
        let ((instances, interfaces, groups, subnets), (tables, gateways, vpcs)) =
            join(join4(instances, interfaces, groups, subnets), join3(tables, gateways, vpcs)).await;
        Ok(Site {
            instances: instances?.concat(),
            interfaces: interfaces?.concat(),
            groups: groups?.concat(),
            subnets: subnets?.concat(),
            tables: tables?.concat(),
            gateways: gateways?.concat(),
            vpcs: vpcs?.concat(),
        })
    }

    /// Removes stage after stage; side by side within a stage. Each stage frees what the next removes.
    async fn run(&self, job: &Job<'_>, resources: &[Owned], site: &Site) -> Result<Vec<Removal>> {
        let mut tally = Tally { resources, fates: HashMap::new() };
        // The tag may be newer than what the caller saw.
        let fresh = site.instances.iter().filter(|it| tags::protects(&read_tags(it.tags.as_deref())));
        let fresh: Vec<&str> = fresh.filter_map(|it| it.instance_id()).collect();
        for it in resources.iter().filter(|it| it.protected || fresh.contains(&it.id.as_str())) {
            tally.leave(&it.id, format!("it carries the tag {}", tags::PROTECT));
        }
        site.keep_what_is_needed(&mut tally);
        // What would replace an instance goes before the instances.
        let (fleets, requests) = join(
            join_all(tally.open(ResourceKind::Fleet).into_iter().map(|id| self.delete_fleet(job, id))),
            self.cancel_requests(job, tally.open(ResourceKind::SpotRequest)),
        )
        .await;
        tally.add(fleets);
        tally.add(requests);
        let alone = [ResourceKind::LaunchTemplate, ResourceKind::KeyPair];
        let alone = alone.into_iter().flat_map(|kind| tally.open(kind).into_iter().map(move |id| (kind, id)));
        let (ended, alone) = join(
            Box::pin(self.end_instances(job, tally.open(ResourceKind::Instance))),
            join_all(alone.map(|(kind, id)| self.delete(job, kind, id))),
        )
        .await;
        tally.add(ended?);
        tally.add(alone);
        site.keep_what_is_needed(&mut tally);

        tally.add(site.gone_with_their_instance(&tally));
        let kept = tally.kept();
        let volumes = self.remaining_volumes(job.region, tally.open(ResourceKind::Volume)).await?;
        let stay = |id: &String| !volumes.contains(id);
        let gone: Vec<String> = tally.open(ResourceKind::Volume).into_iter().filter(stay).collect();
        tally.add(gone.into_iter().map(|id| (id, Fate::Gone)));
        let (volumes, addresses, interfaces) = join3(
            self.delete_all(job, &tally, ResourceKind::Volume),
            join_all(tally.open(ResourceKind::Address).into_iter().map(|id| self.release(job, id, &kept))),
            self.delete_all(job, &tally, ResourceKind::NetworkInterface),
        )
        .await;
        tally.add(volumes.into_iter().chain(addresses).chain(interfaces));

        let open: HashSet<String> = tally.open(ResourceKind::SecurityGroup).into_iter().collect();
        let groups = async {
            self.revoke_references(job, &site.groups, &open).await;
            self.delete_all(job, &tally, ResourceKind::SecurityGroup).await
        };
        let open: HashSet<String> = tally.open(ResourceKind::RouteTable).into_iter().collect();
        let tables = site.tables.iter().filter(|it| it.route_table_id().is_some_and(|id| open.contains(id)));
        // A table that keeps an association refuses to go and is reported then.
        let free = join_all(tables.flat_map(subnet_associations).map(|id| self.dissociate(job, id)));
        let (groups, subnets, _) =
            join3(groups, self.delete_all(job, &tally, ResourceKind::Subnet), free).await;
        tally.add(groups.into_iter().chain(subnets));

        let open = tally.open(ResourceKind::InternetGateway);
        let attached = |id: &str| site.gateways.iter().find(|it| it.internet_gateway_id() == Some(id));
        let gateways = open.into_iter().map(|id| {
            let gateway = attached(&id);
            self.delete_gateway(job, id, gateway)
        });
        let (tables, gateways, egress) = join3(
            self.delete_all(job, &tally, ResourceKind::RouteTable),
            join_all(gateways),
            self.delete_all(job, &tally, ResourceKind::EgressOnlyGateway),
        )
        .await;
        tally.add(tables.into_iter().chain(gateways).chain(egress));
        let vpcs = self.delete_all(job, &tally, ResourceKind::Vpc).await;
        tally.add(vpcs);

        let interrupted =
            |fate: &Fate| matches!(fate, Fate::Failed(error) if error.kind() == Kind::Interrupted);
        if self.cancel.is_cancelled() && tally.fates.values().any(interrupted) {
            return Err(Error::interrupted().with_code(RESOURCES_REMAIN));
        }
        self.name_holders(job.region, resources, &mut tally.fates).await;
        let removal = |it: &Owned| {
            let fate = tally.fates.get(&it.id).cloned().unwrap_or(Fate::Gone);
            Removal { kind: it.kind, id: it.id.clone(), fate }
        };
        Ok(resources.iter().map(removal).collect())
    }

    async fn delete_all(&self, job: &Job<'_>, tally: &Tally<'_>, kind: ResourceKind) -> Vec<(String, Fate)> {
        join_all(tally.open(kind).into_iter().map(|id| self.delete(job, kind, id))).await
    }

    /// Terminates instances and waits until they are gone: they hold all else.
    async fn end_instances(&self, job: &Job<'_>, ids: Vec<String>) -> Result<Vec<(String, Fate)>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut fates = HashMap::new();
        let mut ending = Vec::new();
        for ended in self.terminate_all(job.region, &ids, job.record).await? {
            let fate = match ended.outcome {
                Outcome::Terminated => {
                    ending.push(ended.id.clone());
                    Fate::Removed
                }
                Outcome::Gone => Fate::Gone,
                Outcome::Failed(error) if error.code() == Some("OperationNotPermitted") => {
                    Fate::Left("termination protection is on".to_owned())
                }
                Outcome::Failed(error) => Fate::Failed(error),
            };
            fates.insert(ended.id, fate);
        }
        let patience = self.settings().dependency_timeout.saturating_mul(ENDING);
        let last = self.wait_until(job.region, &ending, Until::Terminated, patience, &|_| {}).await?;
        for instance in last.into_iter().filter(|it| !Until::Terminated.met(it)) {
            job.give_up();
            let message = format!("it is still {} after {} s", instance.state, patience.as_secs());
            fates.insert(instance.id, Fate::Failed(Error::aws(message).with_code("StillThere")));
        }
        Ok(fates.into_iter().collect())
    }

    /// The volumes that did not go with their instance.
    async fn remaining_volumes(&self, region: &str, ids: Vec<String>) -> Result<HashSet<String>> {
        let parts = ids.chunks(IDS_PER_FILTER).map(|ids| {
            let filters = vec![filter("volume-id", ids)];
            self.tagged(region, ResourceKind::Volume, filters)
        });
        Ok(try_join_all(parts).await?.into_iter().flatten().map(|it| it.id).collect())
    }

    pub(super) async fn interfaces(
        &self,
        region: &str,
        filters: Vec<Filter>,
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

    pub(super) async fn groups_by(
        &self,
        region: &str,
        filters: Vec<Filter>,
    ) -> Result<Vec<types::SecurityGroup>> {
        self.pages(region, "DescribeSecurityGroups", |client, token| {
            let request = client.describe_security_groups().set_filters(Some(filters.clone()));
            async move {
                let answer = request.set_next_token(token).send().await?;
                Ok((answer.security_groups, answer.next_token))
            }
        })
        .await
    }

    async fn raw_instances(&self, region: &str, filters: Vec<Filter>) -> Result<Vec<types::Instance>> {
        let reservations = self
            .pages(region, "DescribeInstances", |client, token| {
                let request = client.describe_instances().set_filters(Some(filters.clone()));
                async move {
                    let answer = request.set_next_token(token).send().await?;
                    Ok((answer.reservations, answer.next_token))
                }
            })
            .await?;
        Ok(reservations.into_iter().filter_map(|it| it.instances).flatten().collect())
    }
}

/// The filters of each kind; none for a kind that is not asked for.
struct Questions {
    instances: Vec<Vec<Filter>>,
    interfaces: Vec<Vec<Filter>>,
    groups: Vec<Vec<Filter>>,
    subnets: Vec<Vec<Filter>>,
    tables: Vec<Vec<Filter>>,
    gateways: Vec<Vec<Filter>>,
    vpcs: Vec<Vec<Filter>>,
}

impl Site {
    /// All of it as resources to remove.
    fn resources(&self, region: &str) -> Vec<Owned> {
        let own = |kind, id: Option<&str>, tags: Option<&[types::Tag]>| {
            let tags = read_tags(tags);
            Some(Owned { protected: tags::protects(&tags), tags, ..Owned::new(kind, id?, region) })
        };
        let instances = self
            .instances
            .iter()
            .filter_map(|it| own(ResourceKind::Instance, it.instance_id(), it.tags.as_deref()));
        let interfaces = self.interfaces.iter().filter_map(|it| {
            own(ResourceKind::NetworkInterface, it.network_interface_id(), it.tag_set.as_deref())
        });
        let groups = self.groups.iter();
        let groups =
            groups.filter_map(|it| own(ResourceKind::SecurityGroup, it.group_id(), it.tags.as_deref()));
        let subnets = self.subnets.iter();
        let subnets = subnets.filter_map(|it| own(ResourceKind::Subnet, it.subnet_id(), it.tags.as_deref()));
        let tables = self.tables.iter();
        let tables =
            tables.filter_map(|it| own(ResourceKind::RouteTable, it.route_table_id(), it.tags.as_deref()));
        let gateways = self.gateways.iter().filter_map(|it| {
            own(ResourceKind::InternetGateway, it.internet_gateway_id(), it.tags.as_deref())
        });
        let vpcs = self.vpcs.iter();
        let vpcs = vpcs.filter_map(|it| own(ResourceKind::Vpc, it.vpc_id(), it.tags.as_deref()));
        instances
            .chain(interfaces)
            .chain(groups)
            .chain(subnets)
            .chain(tables)
            .chain(gateways)
            .chain(vpcs)
            .collect()
    }

    /// Leaves what is never removed: default VPCs, main route tables, and all that an instance needs
    /// which is left itself.
    fn keep_what_is_needed(&self, tally: &mut Tally<'_>) {
        for vpc in self.vpcs.iter().filter(|it| it.is_default() == Some(true)) {
            tally.leave(vpc.vpc_id().unwrap_or_default(), "it is the region's default VPC".to_owned());
        }
        for table in
            self.tables.iter().filter(|it| it.associations().iter().any(|it| it.main() == Some(true)))
        {
            tally.leave(
                table.route_table_id().unwrap_or_default(),
                "the main route table goes with its VPC".to_owned(),
            );
        }
        let kept = tally.kept();
        // A gateway for IPv6 does not say in a list of ids which VPC it is for.
        if let Some(instance) = kept.iter().next() {
            for id in tally.open(ResourceKind::EgressOnlyGateway) {
                tally.leave(&id, format!("the instance {instance} may need it"));
            }
        }
        for instance in &self.instances {
            let id = instance.instance_id().unwrap_or_default();
            if !kept.contains(id) {
                continue;
            }
            let reason = format!("the instance {id} needs it");
            for needed in self.needed_by(instance) {
                if !tally.fates.contains_key(needed) {
                    tally.leave(needed, reason.clone());
                }
            }
        }
    }

    /// The interfaces that EC2 removes itself with the instances that are gone now.
    fn gone_with_their_instance(&self, tally: &Tally<'_>) -> Vec<(String, Fate)> {
        let gone = |it: &&types::NetworkInterface| {
            let attachment = it.attachment().filter(|it| it.delete_on_termination() == Some(true));
            let instance = attachment.and_then(|it| it.instance_id());
            let fate = instance.and_then(|instance| tally.fates.get(instance));
            matches!(fate, Some(Fate::Removed | Fate::Gone))
        };
        let ids = self.interfaces.iter().filter(gone).filter_map(|it| it.network_interface_id());
        ids.filter(|id| !tally.fates.contains_key(*id)).map(|id| (id.to_owned(), Fate::Removed)).collect()
    }

    fn needed_by<'a>(&'a self, instance: &'a types::Instance) -> impl Iterator<Item = &'a str> {
        let vpc = instance.vpc_id();
        let groups = instance.security_groups().iter().filter_map(|it| it.group_id());
        let interfaces = instance.network_interfaces().iter();
        let groups =
            groups.chain(interfaces.clone().flat_map(|it| it.groups()).filter_map(|it| it.group_id()));
        let volumes = instance.block_device_mappings().iter();
        let volumes = volumes.filter_map(|it| it.ebs().and_then(|disk| disk.volume_id()));
        let in_vpc = move |other: Option<&str>| vpc.is_some() && other == vpc;
        let subnets =
            self.subnets.iter().filter(move |it| in_vpc(it.vpc_id())).filter_map(|it| it.subnet_id());
        let tables = self.tables.iter().filter(move |it| in_vpc(it.vpc_id()));
        let gateways = self.gateways.iter();
        let gateways = gateways.filter(move |it| it.attachments().iter().any(|it| in_vpc(it.vpc_id())));
        // A fleet goes with all its instances.
        let fleet =
            instance.tags().iter().filter(|tag| tag.key() == Some(FLEET)).filter_map(|tag| tag.value());
        vpc.into_iter()
            .chain(fleet)
            .chain(groups)
            .chain(interfaces.filter_map(|it| it.network_interface_id()))
            .chain(volumes)
            .chain(instance.spot_instance_request_id())
            .chain(subnets)
            .chain(tables.filter_map(|it| it.route_table_id()))
            .chain(gateways.filter_map(|it| it.internet_gateway_id()))
    }
}

/// The associations of a table with subnets; the one that makes it a VPC's main table cannot be ended.
fn subnet_associations(table: &types::RouteTable) -> impl Iterator<Item = &str> {
    let with_subnets = table.associations().iter().filter(|it| it.main() != Some(true));
    with_subnets.filter_map(|it| it.route_table_association_id())
}

/// One error for all that refused to go, with what holds each.
fn remaining(region: &str, refused: Vec<(ResourceKind, String, Error)>) -> Error {
    let line = |(kind, id, error): &(ResourceKind, String, Error)| {
        let comma = if error.message().starts_with(super::holders::HELD_BY) { "," } else { ":" };
        format!("the {kind} {id}{comma} {}", error.message())
    };
    let lines: Vec<String> = refused.iter().map(line).collect();
    let error = Error::aws(format!("these refuse to go in {region}: {}", lines.join("; ")))
        .with_code(RESOURCES_REMAIN)
        .with_hint("end what holds them, then run the command again: what is gone already is skipped");
    match refused.into_iter().next() {
        Some((_, _, first)) => error.with_source(first),
        None => error,
    }
}

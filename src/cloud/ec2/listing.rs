//! One kind of resource by its tags, read into [`Owned`].

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::{self, Filter};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use futures::future::BoxFuture;

use super::Ec2;
use super::convert::{filter, read_tags, time};
use crate::cloud::{Instance, InstanceState, Owned, ResourceKind, Tags, tags};
use crate::error::Result;

/// The code of an endpoint that does not know an action, and so can have nothing that it lists.
const UNKNOWN_ACTION: &str = "InvalidAction";

impl Ec2 {
    /// The resources of one kind that pass EC2's filters, except what is already terminated or closed.
    pub(super) fn tagged<'a>(
        &'a self,
        region: &'a str,
        kind: ResourceKind,
        filters: Vec<Filter>,
    ) -> BoxFuture<'a, Result<Vec<Owned>>> {
        Box::pin(async move {
            match self.list(region, kind, filters).await {
                Err(error) if error.code() == Some(UNKNOWN_ACTION) => Ok(Vec::new()),
                listed => listed,
            }
        })
    }

    async fn list(&self, region: &str, kind: ResourceKind, mut filters: Vec<Filter>) -> Result<Vec<Owned>> {
        let found = Found { region, kind };
        // Describes one kind: the client's method, the list in its answer, and how to read an element.
        macro_rules! describe {
            ($action:literal, $method:ident, $list:ident, $read:expr) => {{
                let filters = filters.clone();
                let answers = self
                    .known_pages(region, $action, move |client, token| {
                        let filters = filters.clone();
                        async move {
                            let request = client.$method().set_filters(Some(filters));
                            let answer = request.set_next_token(token).send().await?;
                            Ok((answer.$list, answer.next_token))
                        }
                    })
                    .await?;
                answers.iter().filter_map($read).collect()
            }};
        }
        Ok(match kind {
            ResourceKind::Instance => {
                filters.push(living());
                self.described(region, filters).await?.into_iter().map(owned_instance).collect()
            }
            ResourceKind::SpotRequest => {
                filters.push(filter("state", ["open", "active"]));
                describe!(
                    "DescribeSpotInstanceRequests",
                    describe_spot_instance_requests,
                    spot_instance_requests,
                    |it| {
                        let tags = read_tags(it.tags.as_deref());
                        Some(found.owned(it.spot_instance_request_id()?, None, time(it.create_time()), tags))
                    }
                )
            }
            ResourceKind::Fleet => self.fleets(&found, &filters).await?,
            ResourceKind::LaunchTemplate => {
                describe!("DescribeLaunchTemplates", describe_launch_templates, launch_templates, |it| {
                    let (id, created) = (it.launch_template_id()?, time(it.create_time()));
                    Some(found.owned(id, it.launch_template_name(), created, read_tags(it.tags.as_deref())))
                })
            }
            ResourceKind::Volume => {
                describe!("DescribeVolumes", describe_volumes, volumes, |it| {
                    let tags = read_tags(it.tags.as_deref());
                    Some(found.owned(it.volume_id()?, None, time(it.create_time()), tags))
                })
            }
            ResourceKind::Address => {
                let answer = self
                    .look(region, "DescribeAddresses", |client| {
                        client.describe_addresses().set_filters(Some(filters.clone())).send()
                    })
                    .await?;
                let read = |it: &types::Address| {
                    let tags = read_tags(it.tags.as_deref());
                    Some(found.owned(it.allocation_id()?, it.public_ip(), None, tags))
                };
                answer.addresses().iter().filter_map(read).collect()
            }
            ResourceKind::NetworkInterface => {
                describe!(
                    "DescribeNetworkInterfaces",
                    describe_network_interfaces,
                    network_interfaces,
                    |it| {
                        let tags = read_tags(it.tag_set.as_deref());
                        Some(found.owned(it.network_interface_id()?, None, None, tags))
                    }
                )
            }
            ResourceKind::KeyPair => {
                let answer = self
                    .look(region, "DescribeKeyPairs", |client| {
                        client.describe_key_pairs().set_filters(Some(filters.clone())).send()
                    })
                    .await?;
                let read = |it: &types::KeyPairInfo| {
                    let tags = read_tags(it.tags.as_deref());
                    Some(found.owned(it.key_pair_id()?, it.key_name(), time(it.create_time()), tags))
                };
                answer.key_pairs().iter().filter_map(read).collect()
            }
            ResourceKind::SecurityGroup => {
                describe!("DescribeSecurityGroups", describe_security_groups, security_groups, |it| {
                    Some(found.owned(it.group_id()?, it.group_name(), None, read_tags(it.tags.as_deref())))
                })
            }
            ResourceKind::Subnet => describe!("DescribeSubnets", describe_subnets, subnets, |it| {
                Some(found.owned(it.subnet_id()?, None, None, read_tags(it.tags.as_deref())))
            }),
            ResourceKind::RouteTable => {
                describe!("DescribeRouteTables", describe_route_tables, route_tables, |it| {
                    Some(found.owned(it.route_table_id()?, None, None, read_tags(it.tags.as_deref())))
                })
            }
            ResourceKind::InternetGateway => {
                describe!("DescribeInternetGateways", describe_internet_gateways, internet_gateways, |it| {
                    Some(found.owned(it.internet_gateway_id()?, None, None, read_tags(it.tags.as_deref())))
                })
            }
            ResourceKind::EgressOnlyGateway => describe!(
                "DescribeEgressOnlyInternetGateways",
                describe_egress_only_internet_gateways,
                egress_only_internet_gateways,
                |it| {
                    let tags = read_tags(it.tags.as_deref());
                    Some(found.owned(it.egress_only_internet_gateway_id()?, None, None, tags))
                }
            ),
            ResourceKind::Vpc => describe!("DescribeVpcs", describe_vpcs, vpcs, |it| {
                Some(found.owned(it.vpc_id()?, None, None, read_tags(it.tags.as_deref())))
            }),
        })
    }

    /// Fleets that still keep instances alive. EC2 has no filter for their tags, and lists those of
    /// the type `instant` by id only: they are nothing but their instances.
    async fn fleets(&self, found: &Found<'_>, filters: &[Filter]) -> Result<Vec<Owned>> {
        let fleets = self
            .known_pages(found.region, "DescribeFleets", |client, token| async move {
                let answer = client.describe_fleets().set_next_token(token).send().await?;
                Ok((answer.fleets, answer.next_token))
            })
            .await?;
        let alive = fleets.iter().filter(|it| {
            !it.fleet_state().is_some_and(|state| state.as_str().starts_with("deleted"))
                && it.r#type() != Some(&types::FleetType::Instant)
        });
        Ok(alive
            .filter_map(|it| {
                let tags = read_tags(it.tags.as_deref());
                Some(found.owned(it.fleet_id()?, None, time(it.create_time()), tags))
            })
            .filter(|fleet| passes(&fleet.tags, filters))
            .collect())
    }

    /// All pages of a description; an endpoint that does not know the action has none. Boxed where it
    /// is made: many of these futures in one function would need more stack than a thread has.
    pub(super) fn known_pages<'a, T, E, F, Fut>(
        &'a self,
        region: &'a str,
        action: &'a str,
        page: F,
    ) -> BoxFuture<'a, Result<Vec<T>>>
    where
        T: Send + 'a,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Fn(aws_sdk_ec2::Client, Option<String>) -> Fut + Send + Sync + 'a,
        Fut: Future<Output = Result<(Option<Vec<T>>, Option<String>), SdkError<E, HttpResponse>>> + Send + 'a,
    {
        Box::pin(async move {
            match self.pages(region, action, page).await {
                Err(error) if error.code() == Some(UNKNOWN_ACTION) => Ok(Vec::new()),
                answer => answer,
            }
        })
    }
}

/// Whether tags pass EC2's filters for tags, for a description that knows none.
fn passes(tags: &Tags, filters: &[Filter]) -> bool {
    filters.iter().all(|filter| {
        let Some(key) = filter.name().and_then(|name| name.strip_prefix("tag:")) else { return true };
        tags.get(key).is_some_and(|value| filter.values().contains(value))
    })
}

/// Instances that exist or are on their way out.
pub(super) fn living() -> Filter {
    let alive = InstanceState::ALIVE.iter().map(|state| state.as_str()).chain(["shutting-down"]);
    filter("instance-state-name", alive)
}

/// An instance as one of the things that were found.
pub(super) fn owned_instance(it: Instance) -> Owned {
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    Owned {
        name: it.name,
        project: it.project,
        deployment: it.deployment_id,
        created: it.created,
        instance_type: text(it.instance_type),
        zone: text(it.zone),
        market: Some(it.market),
        state: Some(it.state.as_str().to_owned()),
        protected: tags::protects(&it.tags),
        expires: it.expires,
        tags: it.tags,
        ..Owned::new(ResourceKind::Instance, it.id, it.region)
    }
}

/// Where resources were found, and of what kind.
struct Found<'a> {
    region: &'a str,
    kind: ResourceKind,
}

impl Found<'_> {
    fn owned(&self, id: &str, name: Option<&str>, created: Option<String>, tags: Tags) -> Owned {
        Owned {
            name: tags.get(tags::NAME).cloned().or_else(|| name.map(str::to_owned)),
            project: tags.get(tags::PROJECT).cloned(),
            deployment: tags.get(tags::DEPLOYMENT).cloned(),
            created,
            expires: tags.get(tags::EXPIRES).cloned(),
            protected: tags::protects(&tags),
            tags,
            ..Owned::new(self.kind, id, self.region)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Owner;
    use crate::cloud::ec2::convert::owner_filters;

    #[test]
    fn what_ec2_cannot_filter_is_filtered_here() {
        let web = Owner::Project("web".to_owned());
        assert!(passes(&web.tags(), &owner_filters(&web)));
        assert!(passes(&web.tags(), &owner_filters(&Owner::Everything)));
        assert!(!passes(&web.tags(), &owner_filters(&Owner::Project("api".to_owned()))));
        assert!(!passes(&Tags::new(), &owner_filters(&Owner::Everything)));
    }

    #[test]
    fn a_tag_protects_and_its_value_false_does_not() {
        let found = Found { region: "us-west-2", kind: ResourceKind::Volume };
        let of = |value: &str| {
            let tags = Tags::from([(tags::PROTECT.to_owned(), value.to_owned())]);
            found.owned("vol-1", None, None, tags).protected
        };
        assert!(of("") && of("true") && !of("False"));
        assert!(!found.owned("vol-1", None, None, Tags::new()).protected);
    }
}

//! What planned launches are answered with: by RunInstances, and by templates and fleets.

use super::answers::{done, tag_set};
use super::element::Element;
use super::overlay::{Overlay, Patch};
use super::request::Asked;

/// The answer to a call about launch templates, fleets and instances; `None` for other calls.
pub(super) fn answer(overlay: &mut Overlay, asked: &Asked) -> Option<Vec<Element>> {
    Some(match asked.action.as_str() {
        "RunInstances" => run(overlay, asked),
        "CreateFleet" => create_fleet(overlay, asked),
        "DeleteFleets" => delete_fleets(overlay, asked),
        "CreateLaunchTemplate" | "CreateLaunchTemplateVersion" => create_template(overlay, asked),
        "ModifyLaunchTemplate" => vec![template_of(overlay, asked)],
        "DeleteLaunchTemplate" => {
            let template = template_of(overlay, asked);
            for id in [asked.get("LaunchTemplateId"), Some(template.text_of("launchTemplateId"))]
                .into_iter()
                .flatten()
            {
                overlay.remove(id);
            }
            vec![template]
        }
        "DeleteLaunchTemplateVersions" => vec![
            Element::new("successfullyDeletedLaunchTemplateVersionSet"),
            Element::new("unsuccessfullyDeletedLaunchTemplateVersionSet"),
        ],
        "TerminateInstances" => {
            let ids = asked.list("InstanceId");
            let items: Vec<Element> = ids.iter().map(|id| ending(id)).collect();
            overlay.ended.extend(ids.into_iter().map(str::to_owned));
            vec![Element::set("instancesSet", items)]
        }
        "CancelSpotInstanceRequests" => {
            let ids = asked.list("SpotInstanceRequestId");
            for id in &ids {
                overlay.patch(id, Patch::Put(&["state"], "cancelled".to_owned()));
            }
            let item =
                |id: &&str| Element::new("").with("spotInstanceRequestId", *id).with("state", "cancelled");
            vec![Element::set("spotInstanceRequestSet", ids.iter().map(item))]
        }
        "CreatePlacementGroup" => {
            let id = overlay.name("pg");
            let name = asked.get("GroupName").unwrap_or_default();
            let item = Element::new("placementGroup")
                .with("groupId", id.clone())
                .with("groupName", name)
                .with("state", "available")
                .maybe("strategy", asked.get("Strategy"))
                .child(tag_set(&asked.tags("placement-group")));
            overlay.add("pg", asked, &id, item.clone());
            [done(), vec![item]].concat()
        }
        _ => return None,
    })
}

/// The answer that an instance is being terminated.
fn ending(id: &str) -> Element {
    let state = |name: &str, code: &str, word: &str| Element::new(name).with("code", code).with("name", word);
    Element::new("").with("instanceId", id).child(state("currentState", "32", "shutting-down")).child(state(
        "previousState",
        "16",
        "running",
    ))
}

/// What an instance is launched with, whoever says so.
struct Order {
    instance_type: String,
    image: String,
    subnet: Option<String>,
    zone: Option<String>,
    groups: Vec<String>,
    public: bool,
    spot: bool,
    tags: Vec<(String, String)>,
    request_tags: Vec<(String, String)>,
    token: String,
}

impl Order {
    /// Out of the parameters of RunInstances, or the data of a template, which have the same names.
    fn read(asked: &Asked) -> Order {
        let text = |name: &str| asked.get(name).unwrap_or_default().to_owned();
        let interface = asked.groups("NetworkInterface").into_iter().next();
        let of_interface = |name: &str| interface.as_ref().and_then(|it| it.get(name)).map(str::to_owned);
        let listed =
            |group: &Asked, name: &str| group.list(name).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let mut groups = listed(asked, "SecurityGroupId");
        groups.extend(interface.iter().flat_map(|it| listed(it, "SecurityGroupId")));
        Order {
            instance_type: text("InstanceType"),
            image: text("ImageId"),
            subnet: of_interface("SubnetId").or_else(|| asked.get("SubnetId").map(str::to_owned)),
            zone: asked.get("Placement.AvailabilityZone").map(str::to_owned),
            groups,
            public: of_interface("AssociatePublicIpAddress").as_deref() != Some("false"),
            spot: asked.get("InstanceMarketOptions.MarketType") == Some("spot"),
            tags: asked.tags("instance"),
            request_tags: asked.tags("spot-instances-request"),
            token: text("ClientToken"),
        }
    }

    fn launch(&self, overlay: &mut Overlay, asked: &Asked) -> Element {
        let id = overlay.name("i");
        let subnet = self.subnet.clone().unwrap_or_default();
        let (zone, vpc) = overlay.subnets.get(&subnet).cloned().unwrap_or_default();
        let zone = self.zone.clone().unwrap_or(zone);
        let groups: Vec<Element> =
            self.groups.iter().map(|group| Element::new("").with("groupId", group.clone())).collect();
        let interface = Element::new("")
            .with("networkInterfaceId", overlay.name("eni"))
            .with("subnetId", subnet.clone())
            .child(Element::set("groupSet", groups.clone()));
        let mut item = Element::new("item")
            .with("instanceId", id.clone())
            .with("imageId", self.image.clone())
            .child(Element::new("instanceState").with("code", "16").with("name", "running"))
            .with("instanceType", self.instance_type.clone())
            .with("launchTime", jiff::Timestamp::now().to_string())
            .child(Element::new("placement").with("availabilityZone", zone))
            .with("clientToken", self.token.clone())
            .with("privateIpAddress", overlay.name("ip"))
            .child(Element::set("groupSet", groups))
            .child(Element::set("networkInterfaceSet", [interface]))
            .child(tag_set(&self.tags));
        for (name, value) in [("subnetId", subnet), ("vpcId", vpc)] {
            item = item.maybe(name, Some(value.as_str()).filter(|value| !value.is_empty()));
        }
        if self.public {
            item = item.with("ipAddress", overlay.name("ip"));
        }
        if self.spot {
            let request = overlay.name("sir");
            item = item.with("instanceLifecycle", "spot").with("spotInstanceRequestId", request.clone());
            let described = Element::new("")
                .with("spotInstanceRequestId", request.clone())
                .with("state", "active")
                .with("instanceId", id.clone())
                .child(tag_set(&self.request_tags));
            overlay.add("sir", asked, &request, described);
        }
        overlay.add("i", asked, &id, item.clone());
        item
    }
}

fn run(overlay: &mut Overlay, asked: &Asked) -> Vec<Element> {
    let mut order = Order::read(asked);
    if let Some(template) = asked.group("LaunchTemplate").and_then(|it| template_data(overlay, &it)) {
        order = order.over(Order::read(&template));
    }
    let count: u32 = asked.get("MaxCount").and_then(|count| count.parse().ok()).unwrap_or(1);
    let instances: Vec<Element> = (0..count).map(|_| order.launch(overlay, asked)).collect();
    vec![Element::leaf("reservationId", overlay.name("r")), Element::set("instancesSet", instances)]
}

impl Order {
    /// What this order says, and for the rest what `under` says.
    fn over(self, under: Order) -> Order {
        let text = |own: String, other: String| if own.is_empty() { other } else { own };
        let mut tags = under.tags;
        tags.retain(|(key, _)| !self.tags.iter().any(|(own, _)| own == key));
        tags.extend(self.tags);
        Order {
            instance_type: text(self.instance_type, under.instance_type),
            image: text(self.image, under.image),
            subnet: self.subnet.or(under.subnet),
            zone: self.zone.or(under.zone),
            groups: if self.groups.is_empty() { under.groups } else { self.groups },
            public: self.public && under.public,
            spot: self.spot || under.spot,
            tags,
            request_tags: if self.request_tags.is_empty() { under.request_tags } else { self.request_tags },
            token: self.token,
        }
    }
}

/// The data of the template that a specification (`LaunchTemplateId` or `LaunchTemplateName`) means;
/// `None` for one that was not planned.
fn template_data(overlay: &Overlay, specification: &Asked) -> Option<Asked> {
    let key = specification.get("LaunchTemplateId").or_else(|| specification.get("LaunchTemplateName"))?;
    let versions = overlay.templates.get(key)?;
    let number = specification.get("Version").and_then(|version| version.parse::<usize>().ok());
    number.and_then(|number| versions.get(number.checked_sub(1)?)).or_else(|| versions.last()).cloned()
}

fn create_fleet(overlay: &mut Overlay, asked: &Asked) -> Vec<Element> {
    let id = overlay.name("fleet");
    let target = asked.group("TargetCapacitySpecification");
    let number =
        |name: &str| target.as_ref().and_then(|it| it.get(name)).and_then(|text| text.parse::<u32>().ok());
    let total = number("TotalTargetCapacity").unwrap_or(1);
    let default_spot = target.as_ref().and_then(|it| it.get("DefaultTargetCapacityType")) == Some("spot");
    let on_demand = match (number("OnDemandTargetCapacity"), number("SpotTargetCapacity")) {
        (Some(on_demand), _) if default_spot => on_demand.min(total),
        (None, _) if default_spot => 0,
        (_, Some(spot)) => total.saturating_sub(spot),
        _ => total,
    };
    let config = asked.groups("LaunchTemplateConfigs").into_iter().next();
    let specification = config.as_ref().and_then(|config| config.group("LaunchTemplateSpecification"));
    let template = specification.as_ref().and_then(|it| template_data(overlay, it));
    // Which pool EC2 would choose is not known: the first stands for all.
    let pool = config.as_ref().and_then(|config| config.groups("Overrides").into_iter().next());
    let mut made = Vec::new();
    for (spot, count) in [(false, on_demand), (true, total - on_demand)] {
        if count == 0 {
            continue;
        }
        let nothing = Asked { parameters: Default::default(), ..asked.clone() };
        let mut order = Order::read(pool.as_ref().unwrap_or(&nothing));
        if let Some(template) = &template {
            order = order.over(Order::read(template));
        }
        let of_fleet = Order { tags: asked.tags("instance"), ..Order::read(&nothing) };
        order = of_fleet.over(order);
        order.spot = spot;
        order.tags.push(("aws:ec2:fleet-id".to_owned(), id.clone()));
        order.token = asked.get("ClientToken").unwrap_or_default().to_owned();
        let instances: Vec<Element> = (0..count).map(|_| order.launch(overlay, asked)).collect();
        // One instance in each item: the shape in which EC2 answers for pools of one.
        for instance in instances {
            let chosen = Element::new("overrides")
                .with("instanceType", order.instance_type.clone())
                .maybe("subnetId", order.subnet.as_deref())
                .with(
                    "availabilityZone",
                    instance
                        .find("placement")
                        .map(|it| it.text_of("availabilityZone").to_owned())
                        .unwrap_or_default(),
                );
            let ids = Element {
                name: "instanceIds".to_owned(),
                text: String::new(),
                children: vec![Element::leaf("item", instance.text_of("instanceId"))],
            };
            made.push(
                Element::new("")
                    .child(
                        Element::new("launchTemplateAndOverrides")
                            .child(specification_element(specification.as_ref()))
                            .child(chosen),
                    )
                    .with("lifecycle", if spot { "spot" } else { "on-demand" })
                    .child(ids)
                    .with("instanceType", order.instance_type.clone()),
            );
        }
    }
    let described = Element::new("")
        .with("fleetId", id.clone())
        .with("fleetState", "active")
        .maybe("type", asked.get("Type"))
        .maybe("clientToken", asked.get("ClientToken"))
        .child(Element::set("fleetInstanceSet", made.clone()))
        .child(tag_set(&asked.tags("fleet")));
    overlay.add("fleet", asked, &id, described);
    vec![Element::leaf("fleetId", id), Element::new("errorSet"), Element::set("fleetInstanceSet", made)]
}

fn specification_element(specification: Option<&Asked>) -> Element {
    let get = |name: &str| specification.and_then(|it| it.get(name));
    Element::new("launchTemplateSpecification")
        .maybe("launchTemplateId", get("LaunchTemplateId"))
        .maybe("launchTemplateName", get("LaunchTemplateName"))
        .maybe("version", get("Version"))
}

fn delete_fleets(overlay: &mut Overlay, asked: &Asked) -> Vec<Element> {
    let ids: Vec<String> = asked.list("FleetId").into_iter().map(str::to_owned).collect();
    let terminate = asked.get("TerminateInstances") == Some("true");
    for id in &ids {
        if terminate && let Some(fleet) = overlay.find(id) {
            let members: Vec<String> = fleet
                .item
                .at(&["fleetInstanceSet", "instanceIds", "item"])
                .into_iter()
                .map(str::to_owned)
                .collect();
            overlay.ended.extend(members);
        }
        overlay.remove(id);
    }
    let state = if terminate { "deleted_terminating" } else { "deleted_running" };
    let items = ids.into_iter().map(|id| {
        Element::new("")
            .with("fleetId", id)
            .with("currentFleetState", state)
            .with("previousFleetState", "active")
    });
    vec![Element::set("successfulFleetDeletionSet", items), Element::new("unsuccessfulFleetDeletionSet")]
}

fn create_template(overlay: &mut Overlay, asked: &Asked) -> Vec<Element> {
    let data = asked
        .group("LaunchTemplateData")
        .unwrap_or_else(|| Asked { parameters: Default::default(), ..asked.clone() });
    if asked.action == "CreateLaunchTemplate" {
        let id = overlay.name("lt");
        let name = asked.get("LaunchTemplateName").unwrap_or_default();
        let item = Element::new("launchTemplate")
            .with("launchTemplateId", id.clone())
            .with("launchTemplateName", name)
            .with("createTime", jiff::Timestamp::now().to_string())
            .with("defaultVersionNumber", "1")
            .with("latestVersionNumber", "1")
            .child(tag_set(&asked.tags("launch-template")));
        overlay.templates.insert(id.clone(), vec![data.clone()]);
        overlay.templates.insert(name.to_owned(), vec![data]);
        overlay.add("lt", asked, &id, item.clone());
        return vec![item];
    }
    let template = template_of(overlay, asked);
    let mut version = 0;
    for key in ["launchTemplateId", "launchTemplateName"] {
        let versions = overlay.templates.entry(template.text_of(key).to_owned()).or_default();
        versions.push(data.clone());
        version = versions.len();
    }
    let latest = Patch::Put(&["latestVersionNumber"], version.to_string());
    overlay.patch(template.text_of("launchTemplateId"), latest);
    vec![
        Element::new("launchTemplateVersion")
            .with("launchTemplateId", template.text_of("launchTemplateId"))
            .with("launchTemplateName", template.text_of("launchTemplateName"))
            .with("versionNumber", version.to_string())
            .with("defaultVersion", "false"),
    ]
}

/// The template that a call is about, as far as it is known.
fn template_of(overlay: &Overlay, asked: &Asked) -> Element {
    let (id, name) = (asked.get("LaunchTemplateId"), asked.get("LaunchTemplateName"));
    let known = overlay.planned.iter().find(|planned| {
        planned.kind == "lt"
            && (Some(planned.id.as_str()) == id || Some(planned.item.text_of("launchTemplateName")) == name)
    });
    match known {
        Some(planned) => planned.item.clone(),
        None => {
            Element::new("launchTemplate").maybe("launchTemplateId", id).maybe("launchTemplateName", name)
        }
    }
}

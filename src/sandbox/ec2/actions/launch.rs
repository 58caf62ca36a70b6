//! RunInstances.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::instances::write_reservation;
use super::launch_request::{INSTANCE, Ipv6, LaunchRequest, RUN, TAGGED};
use super::placement::{self, Placement};
use super::{Call, Effect, key_pairs, launch_templates, placement_groups};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::interruptions;
use crate::sandbox::ec2::market;
use crate::sandbox::ec2::model::chance::Chance;
use crate::sandbox::ec2::model::cloud::take_address;
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::instance::{Instance, Interface, State};
use crate::sandbox::ec2::model::region::{Region, Tags};
use crate::sandbox::ec2::model::spot_request::SpotRequest;
use crate::sandbox::ec2::model::volume::{Attached, Volume};
use crate::sandbox::ec2::request::Params;
use crate::sandbox::ec2::router::{Answer, Operation};
use crate::sandbox::ec2::services::iam::SPOT_ROLE;
use crate::sandbox::ec2::tags::{self, TAG_SPECIFICATION};
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] =
    &[Operation::write("RunInstances", run, &[RUN, INSTANCE, TAG_SPECIFICATION])];

/// Where a launch comes from, and what that adds to its instances.
#[derive(Default)]
pub(super) struct Origin {
    pub client_token: Option<String>,
    /// Tags by kind of resource, beside those of the request.
    pub tags: BTreeMap<String, Tags>,
    /// Tags that AWS itself puts on the instances.
    pub system_tags: Tags,
}

impl Origin {
    /// The launch uses a version of a template.
    pub fn uses(&mut self, template: &str, version: u64) {
        self.system_tags.insert("aws:ec2launchtemplate:id".to_owned(), template.to_owned());
        self.system_tags.insert("aws:ec2launchtemplate:version".to_owned(), version.to_string());
    }

    /// Tags, on top of those there are.
    pub fn add_tags(&mut self, tags: BTreeMap<String, Tags>) {
        for (kind, tags) in tags {
            self.tags.entry(kind).or_default().extend(tags);
        }
    }
}

fn run(call: &mut Call<'_>) -> Answer {
    if let Some(reservation) = call.repeated("RunInstances")?
        && call.region.instances.values().any(|instance| instance.reservation == reservation)
    {
        return answer(call, &reservation);
    }
    let mut origin =
        Origin { client_token: call.params.text("ClientToken").map(str::to_owned), ..Origin::default() };
    let mut params = call.params.clone();
    if let Some(specification) = call.params.group("LaunchTemplate") {
        let mut base = launch_templates::resolve(call.region, specification)?;
        origin.uses(&base.id, base.version);
        origin.add_tags(tags::specifications(&base.data, TAGGED)?);
        base.data.take("TagSpecification");
        params = base.data.overlaid(&params);
    }
    let (reservation, _) = launch(call, &params, origin)?;
    call.remember("RunInstances", &reservation);
    answer(call, &reservation)
}

/// Launches what the parameters of a `RunInstances` ask for; answers the reservation and the ids.
pub(super) fn launch(
    call: &mut Call<'_>,
    params: &Params,
    mut origin: Origin,
) -> Result<(String, Vec<String>), Fault> {
    let request = LaunchRequest::parse(params, call.place.name)?;
    origin.add_tags(request.tags.clone());
    if request.spot.is_none() && origin.tags.contains_key("spot-instances-request") {
        let message = "You cannot specify tags for Spot instances requests if there are no Spot instances \
                       requests being created by the request.";
        return Err(Fault::value(message));
    }
    let authorized_keys = match &request.key_name {
        None => Vec::new(),
        Some(name) => {
            let key = call.region.key_pairs.get(name).ok_or_else(|| key_pairs::missing(name))?;
            vec![key.public_key.clone()]
        }
    };
    if let Some(group) = &request.options.placement_group
        && !call.region.placement_groups.contains_key(group)
    {
        return Err(placement_groups::unknown(group));
    }
    if request.spot.is_some() && !call.roles.contains(SPOT_ROLE) {
        let message = "The provided credentials do not have permission to create the service-linked role for \
                       EC2 Spot Instances.";
        return Err(Fault::new("AuthFailure.ServiceLinkedRoleCreationNotPermitted", message));
    }
    let placement = placement::place(call, &request)?;
    let zone = placement.subnet.zone.as_str();
    market::refusal(call, Some((zone, request.kind, request.lifecycle())))?;
    check_price(call, &request, &placement)?;
    let private = placement::private_addresses(call.region, &placement.subnet, placement.count)?;
    let ipv6 = ipv6_addresses(call.region, &request.network.ipv6, &placement)?;
    let addresses = loopback_addresses(call, placement.count)?;
    let reservation = id::RESERVATION.draw(&call.region.chance);
    let batch = Batch {
        request: &request,
        placement: &placement,
        authorized_keys,
        reservation: &reservation,
        origin: &origin,
    };
    let mut ids = Vec::new();
    for (index, ((private_ip, address), ipv6)) in private.into_iter().zip(addresses).zip(ipv6).enumerate() {
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        ids.push(batch.launch(call, number, Addresses { private_ip, address, ipv6 }));
    }
    Ok((reservation, ids))
}

fn answer(call: &Call<'_>, reservation: &str) -> Answer {
    let mut launched: Vec<&Instance> =
        call.region.instances.values().filter(|instance| instance.reservation == reservation).collect();
    launched.sort_by_key(|instance| instance.launch_index);
    let mut xml = Xml::new();
    write_reservation(&mut xml, &launched, call.region);
    Ok(xml)
}

/// Refuses a spot request that would pay less than the spot price.
fn check_price(call: &Call<'_>, request: &LaunchRequest, placement: &Placement) -> Result<(), Fault> {
    let asked = request.spot.as_ref().and_then(|spot| spot.max_price.as_deref());
    let Some(asked) = asked else { return Ok(()) };
    let zone = &placement.subnet.zone;
    let current = market::spot_price(call.faults, call.place, zone, request.kind, 0.0, call.now);
    if asked.parse::<f64>().is_ok_and(|asked| asked >= current) {
        return Ok(());
    }
    let message = format!(
        "Your Spot request price of {asked} is lower than the minimum required Spot request fulfillment \
         price of {current}."
    );
    Err(Fault::new("SpotMaxPriceTooLow", message))
}

/// The IPv6 addresses of each instance: none, unless the request or the subnet says so.
fn ipv6_addresses(
    region: &Region,
    wanted: &Ipv6,
    placement: &Placement,
) -> Result<Vec<Vec<Ipv6Addr>>, Fault> {
    let subnet = &placement.subnet;
    let count = match (wanted.count, wanted.addresses.len()) {
        (Some(count), _) => count as usize,
        (None, 0) => usize::from(subnet.assign_ipv6),
        (None, given) => given,
    };
    let instances = placement.count as usize;
    if count == 0 {
        return Ok(vec![Vec::new(); instances]);
    }
    let Some(block) = &subnet.ipv6 else {
        let message = format!("Subnet {} does not have any IPv6 CIDR blocks", subnet.id);
        return Err(Fault::value(message));
    };
    let taken = |address: &Ipv6Addr| region.attached().any(|instance| instance.ipv6.contains(address));
    if wanted.addresses.is_empty() {
        return Ok((0..instances)
            .map(|_| (0..count).map(|_| block.random(&region.chance)).collect())
            .collect());
    }
    for address in &wanted.addresses {
        if !block.contains(*address) {
            let message = format!("Address {address} does not fall within the subnet's address range");
            return Err(Fault::value(message));
        }
        if taken(address) || instances > 1 {
            return Err(Fault::new("InvalidIPAddress.InUse", format!("Address {address} is in use.")));
        }
    }
    Ok(vec![wanted.addresses.clone()])
}

fn loopback_addresses(call: &mut Call<'_>, count: u32) -> Result<Vec<Ipv4Addr>, Fault> {
    let taken: Vec<Ipv4Addr> = (0..count).map_while(|_| take_address(call.addresses)).collect();
    if taken.len() == count as usize {
        return Ok(taken);
    }
    for address in taken {
        call.addresses.remove(&address);
    }
    let message = "There are not enough free public addresses to satisfy the requested number of instances.";
    Err(Fault::with_status(500, "InsufficientAddressCapacity", message))
}

/// What the instances of one launch have in common.
struct Batch<'a> {
    request: &'a LaunchRequest,
    placement: &'a Placement,
    authorized_keys: Vec<String>,
    reservation: &'a str,
    origin: &'a Origin,
}

/// The addresses of one instance.
struct Addresses {
    private_ip: Ipv4Addr,
    address: Ipv4Addr,
    ipv6: Vec<Ipv6Addr>,
}

impl Batch<'_> {
    fn launch(&self, call: &mut Call<'_>, index: u32, addresses: Addresses) -> String {
        let Addresses { private_ip, address, ipv6 } = addresses;
        let Batch { request, placement, .. } = self;
        let subnet = &placement.subnet;
        let id = id::INSTANCE.draw(&call.region.chance);
        let interface = Interface {
            id: id::INTERFACE.draw(&call.region.chance),
            attachment: id::ATTACHMENT.draw(&call.region.chance),
            mac: mac(&call.region.chance),
            description: request.network.description.clone(),
        };
        self.tag(call, "instance", &id);
        call.region.tag(&id, &self.origin.system_tags);
        self.tag(call, "network-interface", &interface.id);
        let spot_request = self.request_spot(call, &id);
        let volumes = self.add_volumes(call, &id);
        let instance = Instance {
            id: id.clone(),
            reservation: self.reservation.to_owned(),
            launch_index: index,
            image: request.image.id.clone(),
            root_device: request.image.root_device.to_owned(),
            kind: request.kind.name.to_owned(),
            architecture: request.image.architecture.to_owned(),
            vpc: subnet.vpc.clone(),
            subnet: subnet.id.clone(),
            zone: subnet.zone.clone(),
            zone_id: subnet.zone_id.clone(),
            groups: placement.groups.clone(),
            interface,
            volumes,
            address,
            public: request.network.public.unwrap_or(subnet.map_public),
            private_ip,
            ipv6,
            key_name: request.key_name.clone(),
            authorized_keys: self.authorized_keys.clone(),
            user_data: request.user_data.clone(),
            client_token: self.origin.client_token.clone(),
            spot_request,
            options: request.options.clone(),
            launched: call.now,
            state: State::Pending,
            checked: false,
            doom: self
                .request
                .spot
                .as_ref()
                .and_then(|_| interruptions::planned(call, self.request.kind, &subnet.zone)),
            ending: None,
            power_off: None,
            halted: None,
        };
        call.effects.push(Effect::Boot(instance.machine(call.place.name, call.region.tags.get(&id))));
        call.region.instances.insert(id.clone(), instance);
        id
    }

    fn tag(&self, call: &mut Call<'_>, kind: &str, id: &str) {
        if let Some(tags) = self.origin.tags.get(kind) {
            call.region.tag(id, tags);
        }
    }

    fn request_spot(&self, call: &mut Call<'_>, instance: &str) -> Option<String> {
        let spot = self.request.spot.as_ref()?;
        let id = id::SPOT_REQUEST.draw(&call.region.chance);
        let on_demand = self.request.kind.on_demand * call.place.price_level;
        let request = SpotRequest {
            id: id.clone(),
            instance: instance.to_owned(),
            max_price: spot.max_price.clone().unwrap_or_else(|| format!("{on_demand:.6}")),
            created: call.now,
            state: "active".to_owned(),
            status: "fulfilled".to_owned(),
            status_message: "Your spot request is fulfilled.".to_owned(),
            updated: call.now,
        };
        call.region.spot_requests.insert(id.clone(), request);
        self.tag(call, "spot-instances-request", &id);
        Some(id)
    }

    fn add_volumes(&self, call: &mut Call<'_>, instance: &str) -> Vec<String> {
        let mut ids = Vec::new();
        for device in &self.request.devices {
            let id = id::VOLUME.draw(&call.region.chance);
            let volume = Volume {
                id: id.clone(),
                size: device.size,
                kind: device.kind.clone(),
                iops: device.iops,
                throughput: device.throughput,
                encrypted: device.encrypted,
                key: device.key.clone(),
                snapshot: device.snapshot.clone(),
                zone: self.placement.subnet.zone.clone(),
                created: call.now,
                attachment: Some(Attached {
                    instance: instance.to_owned(),
                    device: device.name.clone(),
                    delete_on_termination: device.delete_on_termination,
                }),
            };
            self.tag(call, "volume", &id);
            call.region.volumes.insert(id.clone(), volume);
            ids.push(id);
        }
        ids
    }
}

/// A hardware address of the locally administered kind, as EC2's are.
pub(super) fn mac(chance: &Chance) -> String {
    let bytes = chance.next().to_be_bytes();
    let tail: Vec<String> = bytes.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    format!("02:{}", tail.join(":"))
}

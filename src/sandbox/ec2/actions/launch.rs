//! RunInstances.

use std::net::Ipv4Addr;

use rand::RngExt as _;

use super::instances::write_reservation;
use super::launch_request::{LaunchRequest, PARAMETERS};
use super::placement::{self, Placement};
use super::{Call, Effect, key_pairs};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::model::cloud::take_address;
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::instance::{Instance, Interface, State};
use crate::sandbox::ec2::model::spot_request::SpotRequest;
use crate::sandbox::ec2::model::volume::{Attached, Volume};
use crate::sandbox::ec2::prices;
use crate::sandbox::ec2::router::{Answer, Operation};
use crate::sandbox::ec2::tags::TAG_SPECIFICATION;
use crate::sandbox::ec2::xml::Xml;

pub(in super::super) const OPERATIONS: &[Operation] =
    &[Operation::write("RunInstances", run, &[PARAMETERS, TAG_SPECIFICATION])];

fn run(call: &mut Call<'_>) -> Answer {
    if let Some(reservation) = call.repeated("RunInstances")?
        && call.region.instances.values().any(|instance| instance.reservation == reservation)
    {
        return answer(call, &reservation);
    }
    let request = LaunchRequest::parse(call.params, call.place.name)?;
    let authorized_keys = match &request.key_name {
        None => Vec::new(),
        Some(name) => {
            let key = call.region.key_pairs.get(name).ok_or_else(|| key_pairs::missing(name))?;
            vec![key.public_key.clone()]
        }
    };
    let placement = placement::place(call, &request)?;
    check_price(call, &request, &placement)?;
    let private = placement::private_addresses(call.region, &placement.subnet, placement.count)?;
    let addresses = loopback_addresses(call, placement.count)?;
    let reservation = id::RESERVATION.generate();
    let batch =
        Batch { request: &request, placement: &placement, authorized_keys, reservation: &reservation };
    for (index, (private_ip, address)) in private.into_iter().zip(addresses).enumerate() {
        batch.launch(call, u32::try_from(index).unwrap_or(u32::MAX), private_ip, address);
    }
    call.remember("RunInstances", &reservation);
    answer(call, &reservation)
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
    let current = prices::spot(call.faults.seed, call.place, zone, request.kind, 0.0, call.now);
    if asked.parse::<f64>().is_ok_and(|asked| asked >= current) {
        return Ok(());
    }
    let message = format!(
        "Your Spot request price of {asked} is lower than the minimum required Spot request fulfillment \
         price of {current}."
    );
    Err(Fault::new("SpotMaxPriceTooLow", message))
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
}

impl Batch<'_> {
    fn launch(&self, call: &mut Call<'_>, index: u32, private_ip: Ipv4Addr, address: Ipv4Addr) {
        let Batch { request, placement, .. } = self;
        let subnet = &placement.subnet;
        let id = id::INSTANCE.generate();
        let interface = Interface {
            id: id::INTERFACE.generate(),
            attachment: id::ATTACHMENT.generate(),
            mac: mac(),
            description: request.network.description.clone(),
        };
        self.tag(call, "instance", &id);
        self.tag(call, "network-interface", &interface.id);
        let spot_request = self.request_spot(call, &id);
        let volumes = self.add_volumes(call, &id);
        let instance = Instance {
            id: id.clone(),
            reservation: self.reservation.to_owned(),
            launch_index: index,
            image: request.image.id.clone(),
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
            key_name: request.key_name.clone(),
            authorized_keys: self.authorized_keys.clone(),
            user_data: request.user_data.clone(),
            client_token: call.params.text("ClientToken").map(str::to_owned),
            spot_request,
            options: request.options.clone(),
            launched: call.now,
            state: State::Pending,
            ending: None,
        };
        call.effects.push(Effect::Boot(instance.machine(call.place.name)));
        call.region.instances.insert(id, instance);
    }

    fn tag(&self, call: &mut Call<'_>, kind: &str, id: &str) {
        if let Some(tags) = self.request.tags.get(kind) {
            call.region.tag(id, tags);
        }
    }

    fn request_spot(&self, call: &mut Call<'_>, instance: &str) -> Option<String> {
        let spot = self.request.spot.as_ref()?;
        let id = id::SPOT_REQUEST.generate();
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
            let id = id::VOLUME.generate();
            let volume = Volume {
                id: id.clone(),
                size: device.size,
                kind: device.kind.clone(),
                iops: device.iops,
                encrypted: device.encrypted,
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
fn mac() -> String {
    let bytes: [u8; 5] = rand::rng().random();
    let tail: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("02:{}", tail.join(":"))
}

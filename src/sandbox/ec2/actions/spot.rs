//! Spot: DescribeSpotInstanceRequests, CancelSpotInstanceRequests, DescribeSpotPriceHistory.

use super::Call;
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::filter::{Field, Filters, one};
use crate::sandbox::ec2::market;
use crate::sandbox::ec2::model::id;
use crate::sandbox::ec2::model::instance::Instance;
use crate::sandbox::ec2::model::region::Region;
use crate::sandbox::ec2::model::spot_request::SpotRequest;
use crate::sandbox::ec2::moment::Moment;
use crate::sandbox::ec2::page::Page;
use crate::sandbox::ec2::prices::{HISTORY, PRODUCTS};
use crate::sandbox::ec2::router::{Answer, FILTER, Operation, PAGE};
use crate::sandbox::ec2::tags;
use crate::sandbox::ec2::types::{InstanceType, TYPES};
use crate::sandbox::ec2::xml::Xml;

const IDS: &[&str] = &["SpotInstanceRequestId.N"];

pub(in super::super) const OPERATIONS: &[Operation] = &[
    Operation::read("DescribeSpotInstanceRequests", describe, &[IDS, FILTER, PAGE]),
    Operation::write("CancelSpotInstanceRequests", cancel, &[&["*SpotInstanceRequestId.N"]]),
    Operation::read(
        "DescribeSpotPriceHistory",
        price_history,
        &[
            &[
                "AvailabilityZone",
                "AvailabilityZoneId",
                "InstanceType.N",
                "ProductDescription.N",
                "StartTime",
                "EndTime",
            ],
            FILTER,
            PAGE,
        ],
    ),
];

const FIELDS: &[Field<SpotRequest>] = &[
    ("spot-instance-request-id", |request, _| one(&request.id)),
    ("instance-id", |request, _| one(&request.instance)),
    ("state", |request, _| one(&request.state)),
    ("status-code", |request, _| one(&request.status)),
    ("spot-price", |request, _| one(&request.max_price)),
    ("type", |_, _| one("one-time")),
    ("create-time", |request, _| one(request.created)),
    ("launch.instance-type", |request, region| of_instance(request, region, |instance| &instance.kind)),
    ("launch.image-id", |request, region| of_instance(request, region, |instance| &instance.image)),
    ("launched-availability-zone", |request, region| of_instance(request, region, |instance| &instance.zone)),
    ("product-description", |_, _| one("Linux/UNIX")),
];

fn of_instance(request: &SpotRequest, region: &Region, read: fn(&Instance) -> &String) -> Vec<String> {
    region.instances.get(&request.instance).map(read).into_iter().cloned().collect()
}

fn describe(call: &mut Call<'_>) -> Answer {
    let all = &call.region.spot_requests;
    let (requests, next) = call.list(all, &id::SPOT_REQUEST, "SpotInstanceRequestId", FIELDS)?;
    let mut xml = Xml::new();
    xml.set("spotInstanceRequestSet", requests, |xml, (_, request)| write(xml, request, call.region));
    xml.optional("nextToken", next);
    Ok(xml)
}

fn write(xml: &mut Xml, request: &SpotRequest, region: &Region) {
    xml.text("spotInstanceRequestId", &request.id).text("spotPrice", &request.max_price);
    xml.text("type", "one-time").text("state", &request.state);
    xml.element("status", |xml| {
        xml.text("code", &request.status).text("message", &request.status_message);
        xml.time("updateTime", request.updated);
    });
    if let Some(instance) = region.instances.get(&request.instance) {
        xml.element("launchSpecification", |xml| {
            xml.text("imageId", &instance.image).optional("keyName", instance.key_name.as_ref());
            super::instances::write_group_set(xml, &instance.groups, region);
            xml.text("instanceType", &instance.kind).text("subnetId", &instance.subnet);
            xml.element("placement", |xml| {
                xml.text("availabilityZone", &instance.zone);
            });
            xml.element("monitoring", |xml| {
                xml.text("enabled", instance.options.monitoring);
            });
        });
        xml.text("launchedAvailabilityZone", &instance.zone);
    }
    xml.text("instanceId", &request.instance).time("createTime", request.created);
    xml.text("productDescription", "Linux/UNIX").text("instanceInterruptionBehavior", "terminate");
    tags::write(xml, region.tags.get(&request.id));
}

/// Cancels requests; as in EC2, their instances go on running.
fn cancel(call: &mut Call<'_>) -> Answer {
    let ids = call.params.list("SpotInstanceRequestId");
    super::chosen(&call.region.spot_requests, &id::SPOT_REQUEST, &ids)?;
    let mut xml = Xml::new();
    xml.set("spotInstanceRequestSet", ids, |xml, id| {
        let Some(request) = call.region.spot_requests.get_mut(id) else { return };
        if request.state == "active" {
            let message = "Your Spot request is canceled, but your instance is still running.";
            request.turn("cancelled", "request-canceled-and-instance-running", message, call.now);
        }
        xml.text("spotInstanceRequestId", id).text("state", &request.state);
    });
    Ok(xml)
}

struct Price {
    zone: String,
    zone_id: String,
    kind: &'static InstanceType,
    product: &'static str,
    price: f64,
    since: Moment,
}

const PRICE_FIELDS: &[Field<Price>] = &[
    ("availability-zone", |price, _| one(&price.zone)),
    ("availability-zone-id", |price, _| one(&price.zone_id)),
    ("instance-type", |price, _| one(price.kind.name)),
    ("product-description", |price, _| one(price.product)),
    ("spot-price", |price, _| one(format!("{:.6}", price.price))),
    ("timestamp", |price, _| one(price.since)),
];

fn price_history(call: &mut Call<'_>) -> Answer {
    let filters = Filters::parse(call.params, PRICE_FIELDS)?;
    let page = Page::parse(call.params, 1..=1000)?;
    let earliest = call.now.minus(HISTORY);
    let from = time(call, "StartTime")?.unwrap_or(earliest).max(earliest);
    let to = time(call, "EndTime")?.unwrap_or(call.now).min(call.now);
    let mut kept = wanted_prices(call, from, to)?;
    kept.retain(|price| filters.accept(price, call.region, None));
    // Newest first: the key counts down.
    let key = |price: &Price| {
        let newest_first = u64::MAX - price.since.seconds();
        format!("{newest_first}/{}/{}/{}", price.kind.name, price.zone, price.product)
    };
    let (prices, next) = page.cut(kept, key);
    let mut xml = Xml::new();
    xml.set("spotPriceHistorySet", prices, |xml, price| {
        xml.text("instanceType", price.kind.name).text("productDescription", price.product);
        xml.text("spotPrice", format!("{:.6}", price.price)).time("timestamp", price.since);
        xml.text("availabilityZone", price.zone).text("availabilityZoneId", price.zone_id);
    });
    // This action alone tells the end with an empty token.
    xml.text("nextToken", next.unwrap_or_default());
    Ok(xml)
}

fn wanted_prices(call: &Call<'_>, from: Moment, to: Moment) -> Result<Vec<Price>, Fault> {
    let zones = call.place.zones();
    let zone = call.params.text("AvailabilityZone");
    let zone_id = call.params.text("AvailabilityZoneId");
    if let Some(name) = zone
        && zones.iter().all(|known| known.name != name)
    {
        return Err(Fault::value(format!("Invalid availability zone: [{name}]")));
    }
    let names = call.params.list("InstanceType");
    let products = call.params.list("ProductDescription");
    let mut all = Vec::new();
    for kind in TYPES.iter().filter(|kind| names.is_empty() || names.contains(&kind.name)) {
        for known in zones.iter().filter(|known| kind.offered_in(&known.name)) {
            if zone.is_some_and(|name| known.name != name) || zone_id.is_some_and(|id| known.id != id) {
                continue;
            }
            for (product, licence) in PRODUCTS {
                // EC2 also takes the name with "(Amazon VPC)".
                let asked = |asked: &&str| asked.trim_end_matches(" (Amazon VPC)") == *product;
                // Windows does not run on ARM.
                let exists = *licence == 0.0 || kind.family.architecture == "x86_64";
                if !exists || !products.is_empty() && !products.iter().any(asked) {
                    continue;
                }
                all.extend(market::price_changes(call.faults, from, to).into_iter().map(|since| Price {
                    zone: known.name.clone(),
                    zone_id: known.id.clone(),
                    kind,
                    product,
                    price: market::spot_price(call.faults, call.place, &known.name, kind, *licence, since),
                    since,
                }));
            }
        }
    }
    Ok(all)
}

fn time(call: &Call<'_>, name: &str) -> Result<Option<Moment>, Fault> {
    let Some(text) = call.params.text(name) else { return Ok(None) };
    let moment = Moment::parse(text);
    moment.map(Some).ok_or_else(|| Fault::value_of(name, text, "Invalid date format"))
}

//! Pricing: GetProducts for on-demand instances, in the shape of AWS's price list.

use serde_json::{Value, json};

use super::{Desk, check, required};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::regions::{PLACES, Place};
use crate::sandbox::ec2::types::{InstanceType, TYPES};

const INVALID: &str = "InvalidParameterException";
/// Most products of a page.
const PAGE: u64 = 100;

pub(super) fn get_products(_desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["ServiceCode", "Filters", "FormatVersion", "MaxResults", "NextToken"], INVALID)?;
    if required(input, "ServiceCode", INVALID)? != "AmazonEC2" {
        return Err(Fault::new("NotFoundException", "the sandbox has prices of AmazonEC2 only"));
    }
    let filters = filters(input)?;
    let most = input.get("MaxResults").and_then(Value::as_u64).unwrap_or(PAGE).clamp(1, PAGE) as usize;
    let from = match input.get("NextToken").and_then(Value::as_str) {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .map_err(|_| Fault::new("InvalidNextTokenException", "The pagination token is not valid."))?,
    };
    let mut kept = Vec::new();
    for place in PLACES.iter().filter(|place| place.enabled()) {
        for kind in TYPES {
            let attributes = attributes(place, kind);
            let fits = |(field, wanted): &(String, String)| {
                field == "ServiceCode"
                    || attributes.get(field).and_then(Value::as_str).is_some_and(|actual| actual == wanted)
            };
            if filters.iter().all(fits) {
                kept.push(product(place, kind, attributes));
            }
        }
    }
    let total = kept.len();
    let page: Vec<String> =
        kept.into_iter().skip(from).take(most).map(|product| product.to_string()).collect();
    let mut answer = json!({ "FormatVersion": "aws_v1", "PriceList": page });
    if from + most < total {
        answer["NextToken"] = json!((from + most).to_string());
    }
    Ok(answer)
}

fn filters(input: &Value) -> Result<Vec<(String, String)>, Fault> {
    let empty = Vec::new();
    let mut all = Vec::new();
    for filter in input.get("Filters").and_then(Value::as_array).unwrap_or(&empty) {
        if required(filter, "Type", INVALID)? != "TERM_MATCH" {
            return Err(Fault::new(INVALID, "the sandbox filters prices by TERM_MATCH only"));
        }
        let field = required(filter, "Field", INVALID)?.to_owned();
        all.push((field, required(filter, "Value", INVALID)?.to_owned()));
    }
    Ok(all)
}

fn attributes(place: &Place, kind: &InstanceType) -> Value {
    let size = kind.name.split('.').next().unwrap_or_default();
    json!({
        "servicecode": "AmazonEC2",
        "servicename": "Amazon Elastic Compute Cloud",
        "locationType": "AWS Region",
        "location": place.name,
        "regionCode": place.name,
        "instanceType": kind.name,
        "instanceFamily": if kind.gpus() > 0 { "GPU instance" } else { "General purpose" },
        "currentGeneration": "Yes",
        "vcpu": kind.vcpus.to_string(),
        "memory": format!("{} GiB", f64::from(kind.memory) / 1024.0),
        "physicalProcessor": kind.family.manufacturer,
        "processorArchitecture": "64-bit",
        "networkPerformance": kind.network,
        "operatingSystem": "Linux",
        "licenseModel": "No License required",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
        "operation": "RunInstances",
        "usagetype": format!("BoxUsage:{}", kind.name),
        "instancesku": size,
    })
}

fn product(place: &Place, kind: &InstanceType, attributes: Value) -> Value {
    let sku = format!("{}{}", place.short, kind.name).to_ascii_uppercase().replace(['.', '-'], "");
    let term = format!("{sku}.JRTCKXETXF");
    let dimension = format!("{term}.6YS6EN2CT7");
    let dollars = format!("{:.10}", kind.on_demand * place.price_level);
    json!({
        "product": {
            "productFamily": "Compute Instance",
            "attributes": attributes,
            "sku": sku,
        },
        "serviceCode": "AmazonEC2",
        "terms": { "OnDemand": { (term): {
            "priceDimensions": { (dimension.clone()): {
                "unit": "Hrs",
                "endRange": "Inf",
                "description": format!("${dollars} per On Demand Linux {} Instance Hour", kind.name),
                "appliesTo": [],
                "rateCode": dimension,
                "beginRange": "0",
                "pricePerUnit": { "USD": dollars },
            } },
            "sku": sku,
            "effectiveDate": "2026-11-01T00:00:00Z",
            "offerTermCode": "JRTCKXETXF",
            "termAttributes": {},
        } } },
        "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
    })
}

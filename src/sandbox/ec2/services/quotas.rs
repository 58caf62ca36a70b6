//! Service Quotas: GetServiceQuota, ListServiceQuotas.

use serde_json::{Value, json};

use super::{Desk, check, required};
use crate::sandbox::ec2::fault::Fault;
use crate::sandbox::ec2::model::ACCOUNT;
use crate::sandbox::ec2::quotas::{QUOTAS, Quota, value};

const INVALID: &str = "IllegalArgumentException";

pub(super) fn get(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["ServiceCode", "QuotaCode"], INVALID)?;
    let service = required(input, "ServiceCode", INVALID)?;
    let code = required(input, "QuotaCode", INVALID)?;
    let quota = QUOTAS.iter().find(|quota| quota.service == service && quota.code == code);
    match quota {
        Some(quota) => Ok(json!({ "Quota": tell(desk, quota) })),
        None => Err(Fault::new(
            "NoSuchResourceException",
            format!(
                "The request failed because the specified service quota {service}/{code} does not exist."
            ),
        )),
    }
}

pub(super) fn list(desk: &mut Desk<'_>, input: &Value) -> Result<Value, Fault> {
    check(input, &["ServiceCode", "QuotaCode", "MaxResults", "NextToken"], INVALID)?;
    let service = required(input, "ServiceCode", INVALID)?;
    if QUOTAS.iter().all(|quota| quota.service != service) {
        let message = format!("The request failed because the specified service {service} does not exist.");
        return Err(Fault::new("NoSuchResourceException", message));
    }
    let code = input.get("QuotaCode").and_then(Value::as_str);
    let most = input.get("MaxResults").and_then(Value::as_u64).unwrap_or(100).clamp(1, 100) as usize;
    let from = match input.get("NextToken").and_then(Value::as_str) {
        None => 0,
        Some(token) => token.parse::<usize>().map_err(|_| {
            Fault::new("InvalidPaginationTokenException", "The pagination token is not valid.")
        })?,
    };
    let wanted =
        QUOTAS.iter().filter(|quota| quota.service == service && code.is_none_or(|code| quota.code == code));
    let all: Vec<&Quota> = wanted.collect();
    let quotas: Vec<Value> = all.iter().skip(from).take(most).map(|quota| tell(desk, quota)).collect();
    let mut answer = json!({ "Quotas": quotas });
    if from + most < all.len() {
        answer["NextToken"] = json!((from + most).to_string());
    }
    Ok(answer)
}

fn tell(desk: &Desk<'_>, quota: &Quota) -> Value {
    let Quota { service, code, name, .. } = quota;
    let region = desk.place.name;
    let service_name = if *service == "ec2" {
        "Amazon Elastic Compute Cloud (Amazon EC2)"
    } else {
        "Amazon Virtual Private Cloud"
    };
    json!({
        "ServiceCode": service,
        "ServiceName": service_name,
        "QuotaArn": format!("arn:aws:servicequotas:{region}:{ACCOUNT}:{service}/{code}"),
        "QuotaCode": code,
        "QuotaName": name,
        "Value": value(desk.faults, region, code),
        "Unit": "None",
        "Adjustable": true,
        "GlobalQuota": false,
        "QuotaAppliedAtLevel": "ACCOUNT",
    })
}

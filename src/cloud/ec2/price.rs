//! List prices, out of the price list of all of AWS.

use aws_sdk_pricing::types::{Filter, FilterType};
use futures::StreamExt;
use futures::stream;
use serde_json::Value;

use super::Ec2;
use super::service::GLOBAL;
use crate::cloud::ListPrice;
use crate::error::{Error, Result};

/// Requests under way at once: the price list throttles early.
const AT_ONCE: usize = 20;

/// What an ordinary Linux instance is, in the words of the price list.
const ORDINARY: &[(&str, &str)] = &[
    ("operatingSystem", "Linux"),
    ("tenancy", "Shared"),
    ("capacitystatus", "Used"),
    ("preInstalledSw", "NA"),
    ("marketoption", "OnDemand"),
];

impl Ec2 {
    /// One request for each type, all at once. A type without a price is left out; when no request
    /// succeeds, the first error is returned.
    pub(super) async fn list_prices(&self, region: &str, types: &[String]) -> Result<Vec<ListPrice>> {
        // China has a price list of its own, in another currency.
        if types.is_empty() || region.starts_with("cn-") {
            return Ok(Vec::new());
        }
        let config = aws_sdk_pricing::config::Builder::from(self.config().await)
            .region(aws_sdk_pricing::config::Region::new(GLOBAL))
            .build();
        let client = aws_sdk_pricing::Client::from_conf(config);
        let asked = types.iter().map(|name| {
            let client = client.clone();
            let (region, name) = (region.to_owned(), name.clone());
            async move { self.list_price(&client, &region, &name).await }
        });
        let asked: Vec<_> = asked.collect();
        let answers: Vec<Result<Option<ListPrice>>> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        let mut prices = Vec::new();
        let mut failed: Option<Error> = None;
        let mut answered = false;
        for answer in answers {
            match answer {
                Ok(price) => {
                    answered = true;
                    prices.extend(price);
                }
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        match failed {
            Some(error) if !answered => Err(error),
            _ => Ok(prices),
        }
    }

    async fn list_price(
        &self,
        client: &aws_sdk_pricing::Client,
        region: &str,
        instance_type: &str,
    ) -> Result<Option<ListPrice>> {
        let own = [("regionCode", region), ("instanceType", instance_type)];
        let filters: Vec<Filter> = ORDINARY
            .iter()
            .copied()
            .chain(own)
            .filter_map(|(field, value)| {
                let filter = Filter::builder().r#type(FilterType::TermMatch).field(field).value(value);
                filter.build().ok()
            })
            .collect();
        let answer = self
            .ask(GLOBAL, "pricing:GetProducts", || {
                let request = client.get_products().service_code("AmazonEC2").format_version("aws_v1");
                request.set_filters(Some(filters.clone())).max_results(100).send()
            })
            .await?;
        let hourly =
            answer.price_list().iter().filter_map(|product| on_demand(product)).min_by(f64::total_cmp);
        Ok(hourly.map(|hourly| ListPrice {
            region: region.to_owned(),
            instance_type: instance_type.to_owned(),
            hourly,
        }))
    }
}

/// The on-demand price of a product in US dollars for an hour: `terms.OnDemand.*.priceDimensions.*`.
/// Anything else than that, and prices of 0 (for what runs on a reserved host), are none.
fn on_demand(product: &str) -> Option<f64> {
    let product: Value = serde_json::from_str(product).ok()?;
    let terms = product.get("terms")?.get("OnDemand")?.as_object()?;
    terms
        .values()
        .filter_map(|term| term.get("priceDimensions")?.as_object())
        .flat_map(|dimensions| dimensions.values())
        .filter(|dimension| {
            let unit = dimension.get("unit").and_then(Value::as_str).unwrap_or("Hrs");
            unit.eq_ignore_ascii_case("hrs") || unit.eq_ignore_ascii_case("hours")
        })
        .filter_map(|dimension| dimension.get("pricePerUnit")?.get("USD")?.as_str()?.parse::<f64>().ok())
        .find(|price| price.is_finite() && *price > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_is_found_and_what_is_none_is_passed_over() {
        let product = |terms: &str| format!(r#"{{"product":{{"sku":"X"}},"terms":{{"OnDemand":{terms}}}}}"#);
        let dimension = |unit: &str, usd: &str| {
            product(&format!(
                r#"{{"X.JRTC":{{"priceDimensions":{{"X.JRTC.6YS6":{{"unit":"{unit}","pricePerUnit":{{"USD":"{usd}"}}}}}}}}}}"#
            ))
        };
        assert_eq!(on_demand(&dimension("Hrs", "0.0416000000")), Some(0.0416));
        for none in [
            dimension("Hrs", "0.0000000000"),
            dimension("Hrs", "free"),
            dimension("Quantity", "3"),
            product("{}"),
            product("[]"),
            r#"{"terms":{"OnDemand":{"a":{"priceDimensions":{"b":{"unit":"Hrs","pricePerUnit":{"CNY":"1"}}}}}}}"#
                .to_owned(),
            "{}".to_owned(),
            "torn".to_owned(),
        ] {
            assert_eq!(on_demand(&none), None, "{none}");
        }
    }
}

//! Looking for instance types by what they have.

use aws_sdk_ec2::types::Filter;

use super::Ec2;
use super::convert::filter;
use super::place::instance_type;
use crate::cloud::{InstanceType, TypeQuery};
use crate::error::Result;

/// Filters take this many values.
const VALUES: u64 = 200;
/// Without an upper bound, types with so many times the wanted vCPUs are not looked at: they cost so
/// many times as much, and all types of a region are nine pages, one after the other.
const TIMES: u64 = 4;

impl Ec2 {
    /// All types of a region that fit, by name.
    pub(super) async fn search_types(&self, region: &str, query: &TypeQuery) -> Result<Vec<InstanceType>> {
        let filters = filters(query);
        let found = self
            .pages(region, "DescribeInstanceTypes", |client, token| {
                let filters = Some(filters.clone()).filter(|filters| !filters.is_empty());
                async move {
                    let request = client.describe_instance_types().set_filters(filters).max_results(100);
                    let answer = request.set_next_token(token).send().await?;
                    Ok((answer.instance_types, answer.next_token))
                }
            })
            .await?;
        // The filters make the answer small; what counts is decided here.
        let mut fitting: Vec<InstanceType> =
            found.iter().filter_map(instance_type).filter(|it| query.fits(it)).collect();
        fitting.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(fitting)
    }
}

fn filters(query: &TypeQuery) -> Vec<Filter> {
    let mut filters = Vec::new();
    if !query.names.is_empty() {
        // A filter, unlike the parameter of that name, is no error for what the region does not have.
        filters.push(filter("instance-type", &query.names));
    } else if !query.previous_generation {
        filters.push(filter("current-generation", ["true"]));
    }
    if let Some(architecture) = query.architecture {
        filters.push(filter("processor-info.supported-architecture", [architecture.as_str()]));
    }
    if let Some(burstable) = query.burstable {
        filters.push(filter("burstable-performance-supported", [burstable.to_string()]));
    }
    let min = query.vcpu.min.unwrap_or(1).max(1);
    let unbounded = query.gpus.min.is_some() || query.vcpu.min.is_none();
    let max = query.vcpu.max.or_else(|| (!unbounded).then(|| min.saturating_mul(TIMES)));
    if let Some(max) = max.filter(|max| *max >= min && max - min < VALUES) {
        filters.push(filter("vcpu-info.default-vcpus", (min..=max).map(|vcpu| vcpu.to_string())));
    }
    filters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::{Architecture, Bounds};

    fn values(query: &TypeQuery, name: &str) -> Option<Vec<String>> {
        let found = filters(query);
        found.iter().find(|filter| filter.name() == Some(name)).map(|filter| filter.values().to_vec())
    }

    #[test]
    fn the_service_filters_what_it_can() {
        let query = TypeQuery {
            vcpu: Bounds::at_least(2),
            architecture: Some(Architecture::Arm64),
            burstable: Some(false),
            ..TypeQuery::default()
        };
        let vcpus = values(&query, "vcpu-info.default-vcpus").unwrap();
        assert_eq!((vcpus.first().unwrap().as_str(), vcpus.last().unwrap().as_str()), ("2", "8"));
        assert_eq!(values(&query, "processor-info.supported-architecture").unwrap(), ["arm64"]);
        assert_eq!(values(&query, "burstable-performance-supported").unwrap(), ["false"]);
        assert_eq!(values(&query, "current-generation").unwrap(), ["true"]);
        let graphics = TypeQuery { gpus: Bounds::at_least(1), ..query };
        assert_eq!(values(&graphics, "vcpu-info.default-vcpus"), None);
        let named = TypeQuery { names: vec!["g5.xlarge".to_owned()], ..TypeQuery::default() };
        assert_eq!(values(&named, "instance-type").unwrap(), ["g5.xlarge"]);
        assert_eq!(values(&named, "current-generation"), None);
        let any = TypeQuery { previous_generation: true, ..TypeQuery::default() };
        assert!(filters(&any).is_empty());
        let wide = TypeQuery { vcpu: Bounds { min: Some(1), max: Some(500) }, ..TypeQuery::default() };
        assert_eq!(values(&wide, "vcpu-info.default-vcpus"), None);
    }
}

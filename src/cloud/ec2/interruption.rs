//! The requests behind spot instances: EC2 says there that it takes an instance back, and why.

use futures::future::try_join_all;

use super::Ec2;
use super::convert::{filter, time};
use crate::cloud::SpotStatus;
use crate::cloud::instance::unique;
use crate::error::Result;

/// EC2 takes so many values in one filter.
const IDS_PER_FILTER: usize = 200;

impl Ec2 {
    pub(super) async fn spot_requests_of(&self, region: &str, ids: &[String]) -> Result<Vec<SpotStatus>> {
        let ids = unique(ids);
        let parts = ids.chunks(IDS_PER_FILTER).map(|ids| {
            let filters = vec![filter("instance-id", ids)];
            self.pages(region, "DescribeSpotInstanceRequests", move |client, token| {
                let request = client.describe_spot_instance_requests().set_filters(Some(filters.clone()));
                async move {
                    let answer = request.set_next_token(token).send().await?;
                    Ok((answer.spot_instance_requests, answer.next_token))
                }
            })
        });
        let requests = try_join_all(parts).await?;
        let read = |it: &aws_sdk_ec2::types::SpotInstanceRequest| {
            let status = it.status();
            Some(SpotStatus {
                id: it.instance_id()?.to_owned(),
                request: it.spot_instance_request_id().unwrap_or_default().to_owned(),
                code: status.and_then(|status| status.code()).unwrap_or_default().to_owned(),
                message: status.and_then(|status| status.message()).map(str::to_owned),
                since: time(status.and_then(|status| status.update_time())),
            })
        };
        Ok(requests.iter().flatten().filter_map(read).collect())
    }
}

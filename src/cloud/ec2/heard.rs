//! Connections whose answers somebody hears of.

use std::time::Instant;

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use super::plan::name_of;
use crate::cloud::{Answered, Listener};

/// Headers in which services name a request; S3 has a name of its own for it.
const REQUEST_ID: [&str; 2] = ["x-amzn-requestid", "x-amz-request-id"];

/// A connector that tells of every request that belongs to a service's API.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) listener: Listener,
    pub(super) inner: SharedHttpConnector,
}

impl HttpConnector for Heard {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Some((service, region, action)) = name_of(&request) else { return self.inner.call(request) };
        let (listener, inner) = (self.listener.clone(), self.inner.clone());
        HttpConnectorFuture::new(async move {
            let started = Instant::now();
            let result = inner.call(request).await;
            let header = |name: &&str| result.as_ref().ok()?.headers().get(*name).map(str::to_owned);
            listener.tell(Answered {
                service,
                region,
                action,
                status: result.as_ref().ok().map(|response| response.status().as_u16()),
                request_id: REQUEST_ID.iter().find_map(header),
                took: started.elapsed(),
                error: result.as_ref().err().map(ToString::to_string),
            });
            result
        })
    }
}

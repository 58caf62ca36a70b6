//! Requests to the services beside EC2: quotas, prices, roles. They share connections, credentials and
//! configuration with it. What they say is good to know and never worth a long wait.

use std::future::Future;
use std::time::Duration;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::{Ec2, errors};
use crate::error::{Error, Result};
use crate::retry::Retry;

/// Where services live that belong to no region: roles, and the price list.
pub(super) const GLOBAL: &str = "us-east-1";
/// No further attempt starts later than this after the first.
const PATIENCE: Duration = Duration::from_secs(10);
/// Calls in all.
const ATTEMPTS: u32 = 3;

impl Ec2 {
    /// The patience for what is good to know.
    pub(super) fn brief(&self) -> Retry {
        let own = &self.settings().retry;
        Retry { attempts: own.attempts.min(ATTEMPTS), deadline: own.deadline.min(PATIENCE), ..own.clone() }
    }

    /// A request that changes nothing, `action` with its service such as `pricing:GetProducts`:
    /// repeated when that may help, given up at once on cancellation.
    pub(super) async fn ask<T, E, F, Fut>(&self, region: &str, action: &str, request: F) -> Result<T>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Fn() -> Fut,
        Fut: Future<Output = std::result::Result<T, SdkError<E, HttpResponse>>>,
    {
        let retry = self.brief();
        let attempts = retry.run(&self.cancel, |_| async {
            request().await.map_err(|error| errors::convert(action, region, &error))
        });
        tokio::select! {
            result = attempts => result,
            () = self.cancel.cancelled() => Err(Error::interrupted()),
        }
    }
}

//! Intent, call, closing: every request that changes something goes through here.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde_json::{Value, json};

use super::Ec2;
use super::convert::{filter, tag_filters};
use crate::cloud::codes::{self, Class};
use crate::cloud::{Instance, Intent, IntentId, Record, ResourceKind, Tags, tags};
use crate::error::{Error, Result};

/// An idempotency token that nobody else has, with a word for the reader of the journal.
pub(super) fn fresh_token() -> String {
    format!("spot-{:032x}", rand::random::<u128>())
}

/// Whether what failed may have taken effect, over all attempts of one request.
#[derive(Default)]
pub(super) struct Lost(AtomicBool);

impl Lost {
    /// Notes how an attempt failed; hands the error on.
    pub(super) fn note(&self, error: Error) -> Error {
        if error.code().is_some_and(codes::outcome_unknown) {
            self.0.store(true, Ordering::Relaxed);
        }
        error
    }

    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// EC2 shows what was just made only after a moment: until then a missing part is worth another try.
pub(super) fn settling(error: Error) -> Error {
    let missing = error.code().is_some_and(|code| codes::classify(code) == Class::Gone);
    if missing { error.retryable(true) } else { error }
}

/// Closes an intent with the result of its request; one whose outcome is unknown stays open.
pub(super) fn close<T>(
    record: &dyn Record,
    id: IntentId,
    result: Result<T>,
    lost: bool,
    describe: impl FnOnce(&T) -> (Value, Vec<Instance>),
) -> Result<T> {
    match &result {
        Ok(made) => {
            let (value, launched) = describe(made);
            record.succeeded(id, value, &launched)?;
        }
        Err(_) if lost => {}
        // When this cannot be written the intent stays open, which is safe; the error of the request
        // says more than that of the journal.
        Err(error) => drop(record.failed(id, error)),
    }
    result
}

impl Ec2 {
    /// Makes a resource that carries the intent's token as its tag; returns its id. When the answer is
    /// lost, a look by the token comes before the repetition, so that no second one is made.
    pub(super) async fn create<E, F, Fut>(
        &self,
        record: &dyn Record,
        intent: Intent,
        kind: ResourceKind,
        request: F,
    ) -> Result<String>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<Option<String>, SdkError<E, HttpResponse>>>,
    {
        let Intent { region, action, token, .. } = &intent;
        let id = record.started(intent.clone())?;
        let lost = Lost::default();
        let attempt = |_| async {
            if lost.get()
                && let Some(made) = self.tagged(region, kind, token_filters(token)).await?.pop()
            {
                return Ok(made.id);
            }
            let made =
                self.attempt(region, action, &request).await.map_err(|error| settling(lost.note(error)))?;
            made.ok_or_else(|| lost.note(no_id(action, region)))
        };
        let result = self.settings().retry.run(&self.cancel, attempt).await;
        close(record, id, result, lost.get(), |made| (json!({ "id": made }), Vec::new()))
    }

    /// Changes something in a way that may happen twice without harm. An error with one of the codes
    /// `done` means that it was so already; the answer is whether this call changed it.
    pub(super) async fn alter<T, E, F, Fut>(
        &self,
        record: &dyn Record,
        intent: Intent,
        done: &[&str],
        request: F,
    ) -> Result<bool>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Fn(Client) -> Fut,
        Fut: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let Intent { region, action, .. } = &intent;
        let id = record.started(intent.clone())?;
        let lost = Lost::default();
        let attempt = |_| async {
            match self.attempt(region, action, &request).await {
                Ok(_) => Ok(true),
                Err(error) if error.code().is_some_and(|code| done.contains(&code)) => Ok(false),
                Err(error) => Err(settling(lost.note(error))),
            }
        };
        let result = self.settings().retry.run(&self.cancel, attempt).await;
        close(record, id, result, lost.get(), |changed| (json!({ "changed": changed }), Vec::new()))
    }
}

/// Filters that let through what a token made.
pub(super) fn token_filters(token: &str) -> Vec<aws_sdk_ec2::types::Filter> {
    let managed = Tags::from([(tags::MANAGED_BY.to_owned(), tags::SPOT.to_owned())]);
    let mut filters = tag_filters(&managed);
    filters.push(filter(&format!("tag:{}", tags::TOKEN), [token]));
    filters
}

fn no_id(action: &str, region: &str) -> Error {
    Error::aws(format!("{action} in {region}: the answer has no id")).with_code(codes::INVALID_RESPONSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_after_a_lost_answer_does_not_make_it_certain() {
        let lost = Lost::default();
        drop(lost.note(Error::aws("x").with_code("RequestLimitExceeded")));
        assert!(!lost.get());
        drop(lost.note(Error::aws("x").with_code(codes::CONNECTION_FAILED)));
        drop(lost.note(Error::aws("x").with_code("InvalidParameterValue")));
        assert!(lost.get());
    }

    #[test]
    fn tokens_differ_and_fit_the_limit_of_ec2() {
        assert_ne!(fresh_token(), fresh_token());
        assert!(fresh_token().len() <= 64);
    }
}

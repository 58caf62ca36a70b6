//! Terminating instances: batches with an outcome for each id.

use std::collections::{HashMap, VecDeque};

use aws_sdk_ec2::Client;
use serde_json::json;

use super::Ec2;
use super::mutation::fresh_token;
use crate::cloud::codes::{self, Class};
use crate::cloud::instance::unique;
use crate::cloud::{Intent, Outcome, Record, Termination};
use crate::error::{Error, Result};

/// EC2 takes so many ids in one order to terminate.
const IDS_PER_TERMINATION: usize = 1000;

impl Ec2 {
    pub(super) async fn terminate_all(
        &self,
        region: &str,
        ids: &[String],
        record: &dyn Record,
    ) -> Result<Vec<Termination>> {
        let ids = unique(ids);
        let mut outcomes: HashMap<String, Outcome> = HashMap::new();
        let mut batches: VecDeque<Vec<String>> =
            ids.chunks(IDS_PER_TERMINATION).map(<[String]>::to_vec).collect();
        let mut looked_again = self.settings().visibility.is_zero();
        loop {
            self.terminate_batches(region, &mut batches, &mut outcomes, record).await?;
            let gone = ids.iter().filter(|id| matches!(outcomes.get(*id), Some(Outcome::Gone)));
            let gone: Vec<String> = gone.cloned().collect();
            if looked_again || gone.is_empty() || self.cancel.is_cancelled() {
                break;
            }
            // EC2 shows an instance only some moments after its launch: one that was just launched is
            // not taken for gone at once.
            tokio::select! {
                () = tokio::time::sleep(self.settings().visibility) => {}
                () = self.cancel.cancelled() => {}
            }
            looked_again = true;
            batches = gone.chunks(IDS_PER_TERMINATION).map(<[String]>::to_vec).collect();
        }
        Ok(ids
            .into_iter()
            .map(|id| {
                let outcome = outcomes.remove(&id).unwrap_or(Outcome::Gone);
                Termination { id, outcome }
            })
            .collect())
    }

    async fn terminate_batches(
        &self,
        region: &str,
        batches: &mut VecDeque<Vec<String>>,
        outcomes: &mut HashMap<String, Outcome>,
        record: &dyn Record,
    ) -> Result<()> {
        while let Some(batch) = batches.pop_front() {
            match self.terminate_batch(region, &batch, record).await? {
                Ok(()) => outcomes.extend(batch.into_iter().map(|id| (id, Outcome::Terminated))),
                Err(error) => {
                    let split = split(batch, &error);
                    let verdict = |id| (id, verdict(&error));
                    outcomes.extend(split.blamed.into_iter().map(verdict));
                    batches.extend(split.again);
                }
            }
        }
        Ok(())
    }

    /// The outer error is the record's, the inner one EC2's.
    async fn terminate_batch(&self, region: &str, ids: &[String], record: &dyn Record) -> Result<Result<()>> {
        let intent = Intent {
            action: "TerminateInstances".to_owned(),
            region: region.to_owned(),
            token: fresh_token(),
            deployment: String::new(),
            parameters: json!({ "ids": ids }),
            undo: None,
        };
        let id = record.started(intent)?;
        let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let send = |client: Client| client.terminate_instances().set_instance_ids(Some(ids.to_vec())).send();
        let attempt = |_| self.attempt_on(region, "TerminateInstances", count, &send);
        let result = self.settings().retry.run(&self.cancel, attempt).await;
        match result {
            Ok(_) => record.succeeded(id, json!({ "terminated": ids }), &[]).map(Ok),
            Err(error) => {
                if !error.code().is_some_and(codes::outcome_unknown) {
                    record.failed(id, &error)?;
                }
                Ok(Err(error))
            }
        }
    }
}

/// What a refused batch is to be done with.
struct Split {
    /// The ids that the refusal is about.
    blamed: Vec<String>,
    /// Batches that deserve another order.
    again: Vec<Vec<String>>,
}

/// Finds out which ids of a batch a refusal is about: those that its message names, or, when it names
/// none, by halving. A refusal that is not about ids is about all of them.
fn split(batch: Vec<String>, error: &Error) -> Split {
    let about_ids = error.code().is_some_and(|code| {
        codes::classify(code) == Class::Gone
            || code.starts_with("InvalidInstanceID")
            || matches!(code, "OperationNotPermitted" | "UnsupportedOperation" | "IncorrectInstanceState")
    });
    if !about_ids || batch.len() == 1 {
        return Split { blamed: batch, again: Vec::new() };
    }
    let (blamed, rest): (Vec<String>, Vec<String>) =
        batch.into_iter().partition(|id| names(error.message(), id));
    if !blamed.is_empty() {
        let again = if rest.is_empty() { Vec::new() } else { vec![rest] };
        return Split { blamed, again };
    }
    let half = rest.len().div_ceil(2);
    Split { blamed, again: rest.chunks(half).map(<[String]>::to_vec).collect() }
}

/// Whether a message names an id, and not only one that begins like it.
pub(super) fn names(message: &str, id: &str) -> bool {
    message.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|word| word == id)
}

fn verdict(error: &Error) -> Outcome {
    match error.code().map(codes::classify) {
        Some(Class::Gone) => Outcome::Gone,
        _ => Outcome::Failed(error.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn a_refusal_blames_the_ids_that_it_names() {
        let error =
            Error::aws("the instance IDs 'i-12, i-3' do not exist").with_code("InvalidInstanceID.NotFound");
        let split = split(batch(&["i-1", "i-12", "i-2", "i-3"]), &error);
        assert_eq!(split.blamed, ["i-12", "i-3"]);
        assert_eq!(split.again, [batch(&["i-1", "i-2"])]);
        assert!(matches!(verdict(&error), Outcome::Gone));
    }

    #[test]
    fn a_refusal_that_names_nobody_is_found_by_halving() {
        let error = Error::aws("termination protection").with_code("OperationNotPermitted");
        let halves = split(batch(&["a", "b", "c"]), &error);
        assert!(halves.blamed.is_empty());
        assert_eq!(halves.again, [batch(&["a", "b"]), batch(&["c"])]);
        assert_eq!(split(batch(&["c"]), &error).blamed, ["c"]);
        assert!(matches!(verdict(&error), Outcome::Failed(_)));
    }

    #[test]
    fn a_refusal_of_the_caller_is_about_all() {
        let error = Error::aws("not authorized").with_code("UnauthorizedOperation");
        let split = split(batch(&["a", "b"]), &error);
        assert_eq!(split.blamed.len(), 2);
        assert!(split.again.is_empty());
    }
}

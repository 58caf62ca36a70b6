//! Describing, awaiting, tagging and terminating instances.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::Filter;
use futures::future::try_join_all;
use serde_json::json;

use super::Ec2;
use super::convert::{filter, instance, sdk_tags, tag_filters};
use super::mutation::fresh_token;
use crate::cloud::codes::{self, Class};
use crate::cloud::instance::unique;
use crate::cloud::{
    Instance, InstanceFilter, InstanceState, Intent, OnChange, Outcome, Record, Tags, Termination, Until,
};
use crate::error::{Error, Result};

/// EC2 takes so many values in one filter.
const IDS_PER_FILTER: usize = 200;
/// EC2 takes so many ids in one order to terminate.
const IDS_PER_TERMINATION: usize = 1000;

impl Ec2 {
    pub(super) async fn describe(&self, region: &str, wanted: &InstanceFilter) -> Result<Vec<Instance>> {
        let mut filters = tag_filters(&wanted.tags);
        if !wanted.states.is_empty() {
            filters.push(filter("instance-state-name", wanted.states.iter().map(|state| state.as_str())));
        }
        let Some(ids) = &wanted.ids else {
            return self.described(region, filters).await;
        };
        // Ids as a filter, not as a parameter: an unknown one is left out instead of failing them all.
        let parts = ids.chunks(IDS_PER_FILTER).map(|ids| {
            let mut filters = filters.clone();
            filters.push(filter("instance-id", ids));
            self.described(region, filters)
        });
        Ok(try_join_all(parts).await?.into_iter().flatten().collect())
    }

    /// The instances that pass EC2's own filters.
    pub(super) async fn described(&self, region: &str, filters: Vec<Filter>) -> Result<Vec<Instance>> {
        let reservations = self
            .pages(region, "DescribeInstances", |client, token| {
                let filters = filters.clone();
                async move {
                    let request = client.describe_instances().set_filters(Some(filters)).max_results(1000);
                    let answer = request.set_next_token(token).send().await?;
                    Ok((answer.reservations, answer.next_token))
                }
            })
            .await?;
        let none = Tags::new();
        Ok(reservations.iter().flat_map(|it| it.instances()).map(|it| instance(region, it, &none)).collect())
    }

    pub(super) async fn wait_until(
        &self,
        region: &str,
        ids: &[String],
        until: Until,
        timeout: Duration,
        on_change: &OnChange<'_>,
    ) -> Result<Vec<Instance>> {
        let ids = unique(ids);
        let started = Instant::now();
        let mut last: HashMap<String, Instance> = HashMap::new();
        loop {
            let open: Vec<String> =
                ids.iter().filter(|id| !last.get(*id).is_some_and(|it| until.settled(it))).cloned().collect();
            if open.is_empty() {
                break;
            }
            let shown = self.describe(region, &InstanceFilter::ids(open.iter().cloned())).await?;
            if until == Until::Terminated && started.elapsed() >= self.settings().visibility {
                // EC2 forgets terminated instances after an hour; one that it never showed is as gone.
                for id in open.iter().filter(|id| !shown.iter().any(|it| it.id == **id)) {
                    let mut gone = last.get(id).cloned().unwrap_or_else(|| unseen(region, id));
                    gone.state = InstanceState::Terminated;
                    note(&mut last, gone, on_change);
                }
            }
            for seen in shown {
                note(&mut last, seen, on_change);
            }
            let settled = ids.iter().all(|id| last.get(id).is_some_and(|it| until.settled(it)));
            if settled || started.elapsed() >= timeout {
                break;
            }
            let pause = self.settings().poll.min(timeout.saturating_sub(started.elapsed()));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.cancel.cancelled() => return Err(Error::interrupted()),
            }
        }
        Ok(ids.iter().map(|id| last.remove(id).unwrap_or_else(|| unseen(region, id))).collect())
    }

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
        Ok(ids
            .into_iter()
            .map(|id| {
                let outcome = outcomes.remove(&id).unwrap_or(Outcome::Gone);
                Termination { id, outcome }
            })
            .collect())
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
        let result = self
            .change(region, "TerminateInstances", |client| {
                client.terminate_instances().set_instance_ids(Some(ids.to_vec())).send()
            })
            .await;
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

    pub(super) async fn write_tags(&self, region: &str, ids: &[String], tags: &Tags) -> Result<()> {
        if tags.is_empty() {
            return Ok(());
        }
        let tags = sdk_tags(tags);
        for ids in ids.chunks(IDS_PER_TERMINATION) {
            self.change(region, "CreateTags", |client| {
                client.create_tags().set_resources(Some(ids.to_vec())).set_tags(Some(tags.clone())).send()
            })
            .await?;
        }
        Ok(())
    }
}

fn unseen(region: &str, id: &str) -> Instance {
    Instance { id: id.to_owned(), region: region.to_owned(), ..Instance::default() }
}

/// Keeps what was seen, and tells of it when it is news.
fn note(last: &mut HashMap<String, Instance>, seen: Instance, on_change: &OnChange<'_>) {
    let news = last.get(&seen.id).is_none_or(|known| {
        (known.state, &known.public_ip, &known.private_ip) != (seen.state, &seen.public_ip, &seen.private_ip)
    });
    if news {
        on_change(&seen);
    }
    last.insert(seen.id.clone(), seen);
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
    let words: Vec<&str> = error
        .message()
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|word| !word.is_empty())
        .collect();
    let (blamed, rest): (Vec<String>, Vec<String>) =
        batch.into_iter().partition(|id| words.contains(&id.as_str()));
    if !blamed.is_empty() {
        let again = if rest.is_empty() { Vec::new() } else { vec![rest] };
        return Split { blamed, again };
    }
    let half = rest.len().div_ceil(2);
    Split { blamed, again: rest.chunks(half).map(<[String]>::to_vec).collect() }
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

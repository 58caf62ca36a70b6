//! Describing, awaiting and tagging instances.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use aws_sdk_ec2::types::{self, Filter};
use futures::future::try_join_all;

use super::Ec2;
use super::convert::{filter, instance, sdk_tags, tag_filters};
use crate::cloud::codes::{self, Class};
use crate::cloud::instance::unique;
use crate::cloud::{Instance, InstanceFilter, InstanceState, OnChange, Tags, Until};
use crate::error::{Error, Result};

/// EC2 takes so many values in one filter.
const IDS_PER_FILTER: usize = 200;
/// EC2 takes so many ids in one call.
const IDS_PER_CALL: usize = 1000;
/// EC2 takes so many ids in one question for their status checks.
const IDS_PER_STATUS: usize = 100;

impl Ec2 {
    pub(super) async fn describe(&self, region: &str, wanted: &InstanceFilter) -> Result<Vec<Instance>> {
        let mut filters = tag_filters(&wanted.tags);
        if !wanted.states.is_empty() {
            filters.push(filter("instance-state-name", wanted.states.iter().map(|state| state.as_str())));
        }
        let Some(ids) = &wanted.ids else {
            return self.described(region, filters).await;
        };
        if ids.len() > IDS_PER_FILTER {
            let parts = ids.chunks(IDS_PER_CALL).map(|ids| self.described_by_id(region, ids, &filters));
            return Ok(try_join_all(parts).await?.into_iter().flatten().collect());
        }
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // Ids as a filter, not as a parameter: an unknown one is left out instead of failing them all.
        filters.push(filter("instance-id", ids));
        self.described(region, filters).await
    }

    /// Instances by more ids than a filter takes, in one call; unknown ids, which fail the call by
    /// their names, are taken out of the next one.
    async fn described_by_id(
        &self,
        region: &str,
        ids: &[String],
        filters: &[Filter],
    ) -> Result<Vec<Instance>> {
        let mut ids = ids.to_vec();
        while !ids.is_empty() {
            let asked = self
                .pages(region, "DescribeInstances", |client, token| {
                    let (ids, filters) = (ids.clone(), filters.to_vec());
                    async move {
                        let request = client.describe_instances().set_instance_ids(Some(ids));
                        let request = request.set_filters(Some(filters)).set_next_token(token);
                        let answer = request.send().await?;
                        Ok((answer.reservations, answer.next_token))
                    }
                })
                .await;
            let Some(left) = asked.as_ref().err().and_then(|error| without_unknown(&ids, error)) else {
                return Ok(read(region, &asked?));
            };
            ids = left;
        }
        Ok(Vec::new())
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
        Ok(read(region, &reservations))
    }

    /// The status checks of instances with their state, and nothing else of them. One call, however
    /// many they are: beyond the number of ids that EC2 takes, those of the region that are settled.
    async fn statuses(&self, region: &str, ids: &[String]) -> Result<Vec<Instance>> {
        let mut ids = ids.to_vec();
        let answers = loop {
            let named = ids.len() <= IDS_PER_STATUS;
            let asked = self
                .pages(region, "DescribeInstanceStatus", |client, token| {
                    let request = client.describe_instance_status().include_all_instances(true);
                    let request = if named {
                        request.set_instance_ids(Some(ids.clone()))
                    } else {
                        request.max_results(1000)
                    };
                    async move {
                        let answer = request.set_next_token(token).send().await?;
                        Ok((answer.instance_statuses, answer.next_token))
                    }
                })
                .await;
            match asked.as_ref().err().and_then(|error| without_unknown(&ids, error)) {
                Some(left) if left.is_empty() => return Ok(Vec::new()),
                Some(left) => ids = left,
                None => break asked?,
            }
        };
        let wanted: HashSet<&str> = ids.iter().map(String::as_str).collect();
        let read = |it: &types::InstanceStatus| {
            let id = it.instance_id().filter(|id| wanted.contains(id))?;
            Some(Instance { status: checks(it), state: state(it), ..unseen(region, id) })
        };
        Ok(answers.iter().filter_map(read).collect())
    }

    /// Instances as a wait sees them.
    async fn looked_at(&self, region: &str, ids: &[String], until: Until) -> Result<Vec<Instance>> {
        match until {
            Until::StatusOk => self.statuses(region, ids).await,
            _ => self.describe(region, &InstanceFilter::ids(ids.iter().cloned())).await,
        }
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
            let shown = self.looked_at(region, &open, until).await?;
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
        if until == Until::StatusOk && !ids.is_empty() {
            // The checks come without addresses and all else that is known of the instances.
            for mut seen in self.describe(region, &InstanceFilter::ids(ids.iter().cloned())).await? {
                seen.status = last.remove(&seen.id).and_then(|it| it.status);
                last.insert(seen.id.clone(), seen);
            }
        }
        Ok(ids.iter().map(|id| last.remove(id).unwrap_or_else(|| unseen(region, id))).collect())
    }

    pub(super) async fn write_tags(&self, region: &str, ids: &[String], tags: &Tags) -> Result<()> {
        if tags.is_empty() {
            return Ok(());
        }
        let tags = sdk_tags(tags);
        for ids in ids.chunks(IDS_PER_CALL) {
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

fn read(region: &str, reservations: &[types::Reservation]) -> Vec<Instance> {
    let none = Tags::new();
    reservations.iter().flat_map(|it| it.instances()).map(|it| instance(region, it, &none)).collect()
}

fn state(it: &types::InstanceStatus) -> InstanceState {
    let name = it.instance_state().and_then(|state| state.name());
    name.map(|name| InstanceState::from_word(name.as_str())).unwrap_or_default()
}

/// `ok` when both checks passed, otherwise what the first says that did not.
fn checks(it: &types::InstanceStatus) -> Option<String> {
    let words = [it.system_status(), it.instance_status()];
    let mut words = words.into_iter().map(|check| check.and_then(|check| check.status()));
    let word = words.find(|word| word.is_none_or(|word| word.as_str() != "ok"));
    match word {
        None => Some("ok".to_owned()),
        Some(word) => word.map(|word| word.as_str().to_owned()),
    }
}

/// The ids without those that a refusal calls unknown; `None` when it is about something else or does
/// not say which.
fn without_unknown(ids: &[String], error: &Error) -> Option<Vec<String>> {
    if error.code().map(codes::classify) != Some(Class::Gone) {
        return None;
    }
    let left: Vec<String> =
        ids.iter().filter(|id| !super::termination::names(error.message(), id)).cloned().collect();
    (left.len() < ids.len()).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_ids_are_taken_out_and_other_refusals_stay() {
        let ids: Vec<String> = ["i-1", "i-12", "i-2"].map(str::to_owned).to_vec();
        let unknown =
            Error::aws("The instance IDs 'i-1, i-2' do not exist").with_code("InvalidInstanceID.NotFound");
        assert_eq!(without_unknown(&ids, &unknown), Some(vec!["i-12".to_owned()]));
        let nameless = Error::aws("some do not exist").with_code("InvalidInstanceID.NotFound");
        assert_eq!(without_unknown(&ids, &nameless), None);
        assert_eq!(without_unknown(&ids, &Error::aws("i-1").with_code("AuthFailure")), None);
    }

    #[test]
    fn checks_are_ok_when_both_are() {
        let summary = |word: &str| types::InstanceStatusSummary::builder().status(word.into()).build();
        let of = |system: &str, instance: &str| {
            checks(
                &types::InstanceStatus::builder()
                    .system_status(summary(system))
                    .instance_status(summary(instance))
                    .build(),
            )
        };
        assert_eq!(of("ok", "ok").as_deref(), Some("ok"));
        assert_eq!(of("ok", "initializing").as_deref(), Some("initializing"));
        assert_eq!(of("impaired", "ok").as_deref(), Some("impaired"));
        assert_eq!(checks(&types::InstanceStatus::builder().build()), None);
    }
}

//! `aws::` functions that hear of spot instances that EC2 takes back.

use crate::cloud::{Interruption, SpotStatus, metadata};
use crate::error::{Error, Kind, Result};
use crate::native::Context;
use crate::native::aws::{by_region, id_of};
use crate::native::options::Options;
use crate::native::target::{self, CONCURRENCY};
use crate::native::thrown::{Answer, answer, to_value};
use crate::ssh::Command;
use futures::future::join_all;
use futures::stream::StreamExt;
use rhai::plugin::*;
use rhai::{Array, Map};
use serde::Serialize;
use std::collections::HashMap;
use std::time::Duration;

/// EC2 gives spot instances so many seconds from the notice to the end.
const WARNING_SECONDS: i64 = 120;

/// Spot instances that EC2 takes back.
#[export_module]
pub mod interruption {
    use super::*;

    /// What EC2 says of the end of spot instances; see `notices(hosts, options)`.
    ///
    /// ```rhai,host
    /// for n in aws::notices(hosts) { print(n.event); }
    /// ```
    #[rhai_fn(name = "notices", return_raw)]
    pub fn notices(call: NativeCallContext, hosts: Array) -> Answer {
        notices_with_options(call, hosts, Map::new())
    }

    /// What EC2 says of the end of spot instances, one object for each host in their order: `id`,
    /// `region`, `host`, `event`, `action` ("terminate", "stop", "hibernate"), `time` (RFC 3339: when
    /// it happens, or since when), `seconds` (left until then, 0 when it is over), `code`, `message`,
    /// `asked` (who answered: "requests", "metadata"), `unasked` (why others did not).
    ///
    /// `event` is "interruption" (it is taken back within two minutes), "interrupted" (EC2 has taken
    /// it back), "ended" (somebody has ended it), "rebalance" (EC2 recommends to replace it) or `()`:
    /// nothing is due as far as those in `asked` know. With nobody in `asked` nothing is known.
    ///
    /// It asks EC2 for the spot requests, one call per region, and every host for its metadata over
    /// SSH, all at once. Options: `metadata` (true), `timeout` (seconds for a host, 10),
    /// `concurrency` (64 hosts at once).
    ///
    /// ```rhai,host
    /// let due = aws::notices(hosts, #{ timeout: 5 }).filter(|n| n.event != ());
    /// ```
    #[rhai_fn(name = "notices", return_raw)]
    pub fn notices_with_options(call: NativeCallContext, hosts: Array, options: Map) -> Answer {
        answer(&call, |spot| {
            let mut options = Options::new("aws::notices", options);
            let over_ssh = options.or("metadata", true)?;
            let timeout = options.seconds("timeout", Duration::from_secs(10))?;
            let concurrency = options.or("concurrency", CONCURRENCY)?.max(1);
            options.finish()?;
            heard(spot, &hosts, over_ssh, timeout, concurrency)
        })
    }
}

/// What is known of the end of one host.
#[derive(Debug, Default, Serialize)]
struct Notice {
    id: String,
    region: String,
    event: Option<&'static str>,
    action: Option<String>,
    time: Option<String>,
    seconds: Option<i64>,
    code: Option<String>,
    message: Option<String>,
    asked: Vec<&'static str>,
    unasked: Vec<String>,
}

impl Notice {
    /// Takes an event unless a more certain one is known.
    fn hear(&mut self, event: &'static str, time: Option<String>) -> bool {
        const CERTAIN: [&str; 4] = ["rebalance", "interruption", "interrupted", "ended"];
        let rank = |event: Option<&str>| CERTAIN.iter().position(|it| Some(*it) == event);
        if rank(Some(event)) <= rank(self.event) {
            return false;
        }
        self.event = Some(event);
        self.seconds = time.as_deref().and_then(seconds_until).filter(|_| event != "rebalance");
        self.time = time;
        true
    }

    fn of_request(&mut self, status: &SpotStatus) {
        self.asked.push("requests");
        let Some(meaning) = status.interruption() else { return };
        let news = match meaning {
            Interruption::Due => {
                let end = status.since.as_deref().and_then(|since| later(since, WARNING_SECONDS));
                self.hear("interruption", end)
            }
            Interruption::Interrupted => self.hear("interrupted", status.since.clone()),
            Interruption::Ended => self.hear("ended", status.since.clone()),
        };
        if news {
            let word = if status.code.contains("stop") { "stop" } else { "terminate" };
            self.action = Some(word.to_owned());
            self.code = Some(status.code.clone());
            self.message.clone_from(&status.message);
        }
    }

    fn of_metadata(&mut self, found: &metadata::Notices) {
        self.asked.push("metadata");
        if let Some((action, time)) = &found.action {
            let time = Some(time.clone()).filter(|time| !time.is_empty());
            if self.hear("interruption", time) {
                self.code = Some("instance-action".to_owned());
                self.message = Some(format!("EC2 will {action} the instance"));
            }
            self.action = Some(action.clone());
        }
        if let Some(time) = &found.rebalance
            && self.hear("rebalance", Some(time.clone()))
        {
            self.code = Some("rebalance-recommendation".to_owned());
            self.message = Some("EC2 recommends to replace the instance".to_owned());
        }
    }
}

fn seconds_until(time: &str) -> Option<i64> {
    let then: jiff::Timestamp = time.parse().ok()?;
    Some(then.duration_since(jiff::Timestamp::now()).as_secs().max(0))
}

fn later(time: &str, seconds: i64) -> Option<String> {
    let then: jiff::Timestamp = time.parse().ok()?;
    let then = then.checked_add(jiff::SignedDuration::from_secs(seconds)).ok()?;
    Some(then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn heard(
    spot: &Context,
    hosts: &Array,
    over_ssh: bool,
    timeout: Duration,
    concurrency: usize,
) -> Result<Array> {
    // A result about a host has the host in it.
    let maps: Array = hosts
        .iter()
        .map(|value| {
            let inner = value.as_map_ref().ok().and_then(|map| map.get("host").cloned());
            inner.filter(Dynamic::is_map).unwrap_or_else(|| value.clone())
        })
        .collect();
    if maps.is_empty() {
        return Ok(Array::new());
    }
    let regions = by_region("aws::notices", &maps)?;
    let (cloud, ssh) = (spot.cloud()?, if over_ssh { Some(spot.ssh()?) } else { None });
    let targets: Vec<(String, Result<target::Host>)> = maps
        .iter()
        .filter(|_| over_ssh)
        .filter_map(|value| Some((id_of(value)?, target::host(spot, value))))
        .collect();
    let (requests, metadata) = spot.runtime().wait(async move {
        let requests = regions.into_iter().map(|(region, ids)| {
            let cloud = &cloud;
            async move {
                let answer = cloud.spot_status(&region, &ids).await;
                (ids, answer)
            }
        });
        let ask = Command {
            timeout: Some(timeout),
            ..Command::new(format!("exec sh -c {}", crate::ssh::quote(metadata::SCRIPT)))
        };
        let questions = targets.into_iter().map(|(id, host)| {
            let (ssh, ask) = (ssh.clone(), ask.clone());
            Box::pin(async move {
                let found = async {
                    let (Some(ssh), host) = (ssh, host?) else {
                        return Err(Error::internal("no SSH to ask the metadata over"));
                    };
                    // Connecting counts too: who waits for a dead host misses the notices of the others.
                    let run = ssh.run(&host.target, &ask, &|_, _| {});
                    let output = tokio::time::timeout(timeout, run).await.map_err(|_| {
                        Error::ssh(format!("no answer within {} s", timeout.as_secs_f64()))
                            .with_code("Timeout")
                    })??;
                    metadata::read(&output.stdout)
                };
                (id, found.await)
            })
        });
        let questions = futures::stream::iter(questions).buffer_unordered(concurrency).collect::<Vec<_>>();
        Ok(futures::future::join(join_all(requests), questions).await)
    })?;
    let mut known: HashMap<String, Notice> = HashMap::new();
    for (ids, answer) in requests {
        match answer {
            Ok(found) => {
                for status in &found {
                    known.entry(status.id.clone()).or_default().of_request(status);
                }
                for id in ids {
                    let notice = known.entry(id).or_default();
                    if !notice.asked.contains(&"requests") {
                        notice.unasked.push("EC2 knows no spot request of it".to_owned());
                    }
                }
            }
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            Err(error) => {
                for id in ids {
                    known.entry(id).or_default().unasked.push(error.message().to_owned());
                }
            }
        }
    }
    for (id, answer) in metadata {
        let notice = known.entry(id).or_default();
        match answer {
            Ok(found) => notice.of_metadata(&found),
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            Err(error) => notice.unasked.push(error.message().to_owned()),
        }
    }
    maps.into_iter()
        .map(|host| {
            let map = host.as_map_ref().map(|map| map.clone()).unwrap_or_default();
            let mut notice = id_of(&host).and_then(|id| known.remove(&id)).unwrap_or_default();
            notice.id = id_of(&host).unwrap_or_default();
            notice.region = map.get("region").map(ToString::to_string).unwrap_or_default();
            let mut value = to_value(&notice)?.try_cast::<Map>().unwrap_or_default();
            value.insert("host".into(), Dynamic::from_map(map));
            Ok(Dynamic::from_map(value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: &str) -> SpotStatus {
        SpotStatus {
            code: code.to_owned(),
            since: Some("2026-01-02T03:04:05Z".to_owned()),
            ..SpotStatus::default()
        }
    }

    #[test]
    fn the_more_certain_event_wins_whoever_tells_it_first() {
        let hint = metadata::Notices { action: None, rebalance: Some("2026-01-02T03:00:00Z".to_owned()) };
        let mut notice = Notice::default();
        notice.of_metadata(&hint);
        assert_eq!((notice.event, notice.seconds), (Some("rebalance"), None));
        notice.of_request(&status("marked-for-termination"));
        assert_eq!((notice.event, notice.action.as_deref()), (Some("interruption"), Some("terminate")));
        assert_eq!(notice.time.as_deref(), Some("2026-01-02T03:06:05Z"));
        assert_eq!(notice.seconds, Some(0));
        notice.of_request(&status("instance-terminated-no-capacity"));
        assert_eq!(notice.event, Some("interrupted"));
        notice.of_metadata(&hint);
        assert_eq!(notice.event, Some("interrupted"));
    }

    #[test]
    fn nothing_due_is_something_else_than_nobody_asked() {
        let mut notice = Notice::default();
        assert!(notice.asked.is_empty());
        notice.of_request(&status("fulfilled"));
        notice.of_metadata(&metadata::Notices::default());
        assert_eq!((notice.event, notice.asked), (None, vec!["requests", "metadata"]));
    }

    #[test]
    fn a_notice_says_how_long_is_left() {
        let soon = later(&jiff::Timestamp::now().to_string(), 100).unwrap();
        let action = Some(("stop".to_owned(), soon));
        let mut notice = Notice::default();
        notice.of_metadata(&metadata::Notices { action, rebalance: None });
        assert!(notice.seconds.is_some_and(|left| (90..=100).contains(&left)), "{notice:?}");
        assert_eq!(notice.action.as_deref(), Some("stop"));
    }
}

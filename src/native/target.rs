//! From script values to hosts: what `ssh::` functions take, and the rows of the live view.

use std::collections::HashSet;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::stream::StreamExt;
use rhai::{Dynamic, Map};
use serde::Serialize;

use super::context::Context;
use super::thrown::{error_value, to_value};
use crate::cloud::plan::placeholder;
use crate::config::Address;
use crate::error::{Error, Kind, Result};
use crate::ssh::{Ssh, Target};
use crate::ui::Event;

/// Hosts at once unless said otherwise.
pub(crate) const CONCURRENCY: usize = 64;

/// How many hosts at once, and when to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub concurrency: usize,
    /// The share of hosts in percent that may fail before no further host is begun; none: all.
    pub tolerate: Option<f64>,
}

impl From<usize> for Spread {
    fn from(concurrency: usize) -> Self {
        Spread { concurrency, tolerate: None }
    }
}

impl Spread {
    /// Whether so many failures of so many hosts are too many.
    fn is_over(&self, failed: usize, hosts: usize) -> bool {
        self.tolerate.is_some_and(|percent| failed as f64 * 100.0 > percent * hosts as f64)
    }
}

/// A host with everything that is known of it, as the script passed it.
#[derive(Clone)]
pub(crate) struct Host {
    pub target: Target,
    pub map: Map,
}

fn text(map: &Map, key: &str) -> Option<String> {
    map.get(key).and_then(|value| value.clone().into_string().ok()).filter(|text| !text.is_empty())
}

/// A host out of an instance map, a result that has one as `host`, or an instance id of the state.
pub(crate) fn host(spot: &Context, value: &Dynamic) -> Result<Host> {
    let map = match value.as_map_ref() {
        Ok(map) => match map.get("host").and_then(|host| host.as_map_ref().ok()) {
            Some(host) => host.clone(),
            None => map.clone(),
        },
        Err(_) => known(spot, value)?,
    };
    let id = text(&map, "id").ok_or_else(|| {
        Error::script("a host needs an `id`")
            .with_hint("pass an instance, a result of ssh::, or an instance id")
    })?;
    let config = spot.config()?;
    let (address, kind) = match &config.ssh.address {
        Address::Public => (text(&map, "public_ip"), "public"),
        Address::Private => (text(&map, "private_ip"), "private"),
        Address::Host(fixed) => (Some(fixed.clone()), "configured"),
    };
    let address = address.ok_or_else(|| {
        Error::ssh(format!("{id} has no {kind} address yet"))
            .with_code("NoAddress")
            .with_hint("wait for it with aws::wait_for(instances, \"running\")")
            .retryable(true)
    })?;
    let user = match text(&map, "user") {
        Some(user) => user,
        None => spot.ssh()?.configured_user(&id, &address)?.unwrap_or_else(|| config.fleet.user.clone()),
    };
    Ok(Host { target: Target { id, address, port: spot.ssh_port()?, user }, map })
}

fn known(spot: &Context, value: &Dynamic) -> Result<Map> {
    let Ok(id) = value.clone().into_string() else {
        return Err(Error::script(format!(
            "expected an instance, a list of instances or an instance id, found {}",
            value.type_name()
        )));
    };
    let document = spot.document()?;
    let instance = document.instance(&id);
    let value = instance.map(super::state::instance_value).transpose()?;
    value.and_then(|value| value.try_cast::<Map>()).ok_or_else(|| {
        Error::script(format!("there is no instance {id} in the state"))
            .with_hint("spot list shows the instances")
    })
}

/// The live view's row of a host.
pub(crate) fn row(map: &Map, phase: &str, detail: Option<String>, failed: bool) -> Event {
    Event::Host {
        id: text(map, "id").unwrap_or_default(),
        region: text(map, "region").unwrap_or_default(),
        zone: text(map, "zone"),
        instance_type: text(map, "type"),
        address: text(map, "public_ip"),
        phase: phase.to_owned(),
        detail,
        failed,
        hourly: map.get("price").and_then(|price| price.as_float().ok()),
    }
}

/// What is to be done on hosts, for plans and for runs that may only read.
pub(crate) struct Doing {
    /// In words; nothing for what changes nothing.
    change: Option<String>,
}

impl Doing {
    /// Something that only looks.
    pub fn looks() -> Self {
        Doing { change: None }
    }

    /// Something that may change the hosts, in words such as "run `uptime`".
    pub fn changes(text: impl Into<String>) -> Self {
        Doing { change: Some(text.into()) }
    }
}

/// A result that a plan assumes in place of the real one.
pub(crate) trait Assumed: Default {
    /// What a success would bring.
    fn assumed() -> Self {
        Self::default()
    }

    /// Whether what came back is a failure all the same.
    fn is_failure(&self) -> bool {
        false
    }
}

/// Runs `work` for one host, or for each of a list at once; results keep the order of the list. In a
/// plan nothing is done on hosts that do not exist, and nothing that changes something on any.
///
/// A list never throws: each result has `ok`, `id`, `host` and `error`, so that no failure hides
/// another, and the fields of a success with empty values. A single host throws what went wrong.
pub(crate) fn each<T, F, W>(
    spot: &Context,
    doing: Doing,
    hosts: &Dynamic,
    spread: impl Into<Spread>,
    work: W,
) -> Result<Dynamic>
where
    T: Serialize + Assumed + Send + 'static,
    F: Future<Output = Result<T>> + Send,
    W: Fn(Ssh, Host) -> F + Send + Sync + 'static,
{
    let ssh = spot.ssh()?;
    let spread = spread.into();
    let Ok(list) = hosts.as_array_ref() else {
        let host = host(spot, hosts)?;
        let map = host.map.clone();
        let (assumed, _) = assume(spot, &doing, std::slice::from_ref(&host))?;
        if assumed {
            return item(&map, Ok(T::assumed()), true);
        }
        let result = spot.runtime().wait(async move { work(ssh, host).await })?;
        return item(&map, Ok(result), false);
    };
    let resolved: Vec<(Map, Result<Host>)> = list
        .iter()
        .map(|value| {
            let map = value.as_map_ref().map(|map| map.clone()).unwrap_or_default();
            let host = host(spot, value);
            (host.as_ref().map(|host| host.map.clone()).unwrap_or(map), host)
        })
        .collect();
    // A value that is no host at all is a mistake of the recipe, not a failure of a host.
    if let Some((_, Err(error))) =
        resolved.iter().find(|(_, host)| host.as_ref().is_err_and(|e| e.kind() == Kind::Script))
    {
        return Err(error.clone());
    }
    let (maps, hosts): (Vec<Map>, Vec<Result<Host>>) = resolved.into_iter().unzip();
    let reachable: Vec<Host> = hosts.iter().filter_map(|host| host.as_ref().ok().cloned()).collect();
    let (_, assumed) = assume(spot, &doing, &reachable)?;
    let (all, failed) = (hosts.len(), AtomicUsize::new(0));
    let mut results = spot.runtime().wait(async move {
        let failed = &failed;
        let calls = hosts.into_iter().enumerate().map(|(index, host)| {
            let (ssh, work, assumed) = (ssh.clone(), &work, &assumed);
            async move {
                if spread.is_over(failed.load(Ordering::Relaxed), all) {
                    return (index, Err(not_begun(failed.load(Ordering::Relaxed), all)), false);
                }
                let ended = match host {
                    Ok(host) if assumed.contains(&host.target.id) => (index, Ok(T::assumed()), true),
                    Ok(host) => (index, work(ssh, host).await, false),
                    Err(error) => (index, Err(error), false),
                };
                if ended.1.as_ref().map_or(true, T::is_failure) {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
                ended
            }
        });
        Ok(futures::stream::iter(calls).buffer_unordered(spread.concurrency.max(1)).collect::<Vec<_>>().await)
    })?;
    results.sort_by_key(|(index, _, _)| *index);
    let mut items = rhai::Array::with_capacity(maps.len());
    for (map, (_, result, assumed)) in maps.iter().zip(results) {
        if let Err(error) = &result
            && error.kind() == Kind::Interrupted
        {
            return Err(error.clone());
        }
        items.push(item(map, result, assumed)?);
    }
    Ok(items.into())
}

fn not_begun(failed: usize, all: usize) -> Error {
    Error::ssh(format!("not begun: {failed} of {all} hosts had failed by then")).with_code("NotBegun")
}

/// Tells of what would be done. Whether a result is assumed for all of the hosts, or for which.
fn assume(spot: &Context, doing: &Doing, hosts: &[Host]) -> Result<(bool, HashSet<String>)> {
    let ids = || hosts.iter().map(|host| host.target.id.clone());
    if let Some(text) = doing.change.as_ref().filter(|_| !hosts.is_empty())
        && !spot.may("ssh", || text.clone(), ids().collect())?
    {
        return Ok((true, ids().collect()));
    }
    let assumed: HashSet<String> = ids().filter(|id| spot.is_plan() && placeholder(id).is_some()).collect();
    Ok((assumed.len() == hosts.len() && !hosts.is_empty(), assumed))
}

/// A result as scripts see it: the fields of the value, and `ok`, `id`, `host`, `error`, `assumed`.
fn item<T: Serialize + Default>(host: &Map, result: Result<T>, assumed: bool) -> Result<Dynamic> {
    let (value, failure) = match result {
        Ok(value) => (value, None),
        Err(error) => (T::default(), Some(Dynamic::from_map(error_value(&error)))),
    };
    let mut fields = to_value(&value)?.try_cast::<Map>().unwrap_or_default();
    // What ran and failed says so itself.
    let own = fields.remove("error").filter(|error| !error.is_unit());
    let error = failure.or(own).unwrap_or_default();
    fields.insert("ok".into(), error.is_unit().into());
    fields.insert("assumed".into(), assumed.into());
    fields.insert("error".into(), error);
    fields.insert("id".into(), host.get("id").cloned().unwrap_or_default());
    fields.insert("host".into(), Dynamic::from_map(host.clone()));
    Ok(Dynamic::from_map(fields))
}

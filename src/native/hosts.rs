//! Lists of hosts at hand: methods of arrays that the REPL and recipes share.

use rhai::plugin::*;
use rhai::{Array, Map};

use super::context::Context;
use super::selection::Pattern;
use super::state::instance_value;
use super::thrown::{Answer, answer};
use crate::error::{Error, Result, nearest};

/// The instances that state knows, as scripts see them.
pub(crate) fn known(spot: &Context) -> Result<Dynamic> {
    let hosts = spot.document()?.instances().map(instance_value).collect::<Result<Array>>()?;
    Ok(hosts.into())
}

/// Their ids and names.
pub(crate) fn known_names(spot: &Context) -> Result<Vec<String>> {
    let document = spot.document()?;
    let named = document.instances().flat_map(|it| [Some(it.id.clone()), it.name.clone()]);
    Ok(named.flatten().collect())
}

/// Methods of lists of hosts, called without a namespace.
#[export_module]
pub mod hosts {
    use super::*;

    /// Runs a shell command on hosts and shows equal outputs once; returns the results as `ssh::run`
    /// does. Made for `fleet.run("uptime")` in the REPL.
    ///
    /// ```rhai,host
    /// let results = hosts.run("uname -r");
    /// print(results.len());
    /// ```
    #[rhai_fn(name = "run", return_raw)]
    pub fn run(call: NativeCallContext, hosts: Array, command: &str) -> Answer {
        run_with_options(call, hosts, command, Map::new())
    }

    /// Runs a shell command on hosts with the options of `ssh::run`; equal outputs are shown once
    /// unless `fold` is false.
    ///
    /// ```rhai,host
    /// hosts.run("systemctl is-active ssh", #{ sudo: true, timeout: 10 });
    /// ```
    #[rhai_fn(name = "run", return_raw)]
    pub fn run_with_options(call: NativeCallContext, hosts: Array, command: &str, options: Map) -> Answer {
        let mut options = options;
        options.entry("fold".into()).or_insert(true.into());
        super::super::ssh::ssh::run_with_options(call, hosts.into(), command, options)
    }

    /// The hosts of a list that a pattern names, in the order of the list. A pattern has parts with
    /// commas between them, each an id, a name, the beginning of an id, a region, a zone, a place in
    /// the list from 1 (`3`, `2-5`), or a name with ranges or `*`: `web[1-20]`, `web[1-3,7]`, `db*`.
    /// Throws when a part names no host.
    ///
    /// ```rhai,host
    /// print(hosts.select("1").len());
    /// ```
    #[rhai_fn(name = "select", return_raw)]
    pub fn select(call: NativeCallContext, hosts: Array, pattern: &str) -> Answer {
        answer(&call, |_| selected(&hosts, pattern))
    }
}

/// What of a host a pattern can name.
const NAMES: [&str; 4] = ["id", "name", "region", "zone"];

fn selected(hosts: &Array, pattern: &str) -> Result<Array> {
    let names: Vec<Vec<String>> = hosts.iter().map(names).collect::<Result<_>>()?;
    let mut chosen = vec![false; hosts.len()];
    for pattern in Pattern::parse(pattern)? {
        let mut hit = false;
        for (place, (names, chosen)) in names.iter().zip(&mut chosen).enumerate() {
            if pattern.is_place(place + 1) || names.iter().any(|name| pattern.matches(name)) {
                (*chosen, hit) = (true, true);
            }
        }
        if !hit {
            let error = Error::script(format!("no host is meant by `{pattern}`"));
            let all = names.iter().flatten().map(String::as_str);
            return Err(match nearest(&pattern.to_string(), all) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error.with_hint(format!("there are {} hosts to choose from", hosts.len())),
            });
        }
    }
    let kept = hosts.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(host, _)| host.clone());
    Ok(kept.collect())
}

/// The names of a host: a map, or its id alone.
fn names(host: &Dynamic) -> Result<Vec<String>> {
    if let Ok(id) = host.clone().into_string() {
        return Ok(vec![id]);
    }
    let map = host.as_map_ref().map_err(|found| {
        Error::script(format!("select: expected a list of hosts, found one with {found} in it"))
    })?;
    let texts = NAMES.iter().filter_map(|name| map.get(*name)?.clone().into_string().ok());
    Ok(texts.collect())
}

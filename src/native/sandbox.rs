//! The sandbox that a run works in, for rehearsals and tests.

use crate::control::Control;
use crate::error::{Error, Result};
use crate::native::Context;
use crate::native::options::Options;
use crate::native::thrown::{Answer, answer, to_json};
use rhai::plugin::*;
use rhai::{Dynamic, Map};
use serde_json::{Value, json};

/// The sandbox that a run works in: what goes wrong there on purpose. Refused outside of one.
#[export_module]
pub mod sandbox {
    use super::*;

    /// Whether the run works in a sandbox (`spot --sandbox`).
    ///
    /// ```rhai
    /// if sandbox::running() { print("a rehearsal"); }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn running(call: NativeCallContext) -> Answer {
        answer(&call, |spot| Ok(spot.sandbox().is_some()))
    }

    /// Takes a spot instance back as EC2 does, with two minutes' notice; see `interrupt(id, options)`.
    ///
    /// ```rhai,no_run
    /// sandbox::interrupt(host.id);
    /// ```
    #[rhai_fn(name = "interrupt", return_raw)]
    pub fn interrupt(call: NativeCallContext, id: &str) -> Answer {
        interrupt_with_options(call, id, Map::new())
    }

    /// Takes a spot instance back as EC2 does. Options: `notice` (seconds from the notice, which is given
    /// now, to the end, 0 to 86400; 120, and no notice with `rebalance`), `rebalance` (false: whether a
    /// rebalance recommendation is given now).
    ///
    /// ```rhai,host
    /// sandbox::interrupt(host.id, #{ rebalance: true });
    /// ```
    #[rhai_fn(name = "interrupt", return_raw)]
    pub fn interrupt_with_options(call: NativeCallContext, id: &str, options: Map) -> Answer {
        answer(&call, |spot| {
            let mut options = Options::new("sandbox::interrupt", options);
            let notice: Option<f64> = options.optional("notice")?;
            let rebalance = options.or("rebalance", false)?;
            options.finish()?;
            let control = control(spot, "sandbox::interrupt")?;
            if !spot.may("sandbox", || format!("interrupt {id}"), vec![id.to_owned()])? {
                return Ok(());
            }
            let body = json!({ "instance_id": id, "rebalance": rebalance, "seconds": notice });
            control.post("/_sandbox/interrupt", &body).map(drop)
        })
    }

    /// What goes wrong in the sandbox on purpose, with the keys of a `faults.toml`; see docs/sandbox.md.
    ///
    /// ```rhai
    /// print(sandbox::faults().throttle);
    /// ```
    #[rhai_fn(name = "faults", return_raw)]
    pub fn faults(call: NativeCallContext) -> Answer {
        answer(&call, |spot| control(spot, "sandbox::faults")?.get("/_sandbox/faults"))
    }

    /// Lets these faults, and no others, go wrong from now on; see `faults(wanted, options)`.
    ///
    /// ```rhai
    /// let before = sandbox::faults();
    /// sandbox::faults(["throttle=0.5", "capacity:us-west-2a=0"]);
    /// sandbox::faults(#{ throttle: 0.1, seed: 7 });
    /// sandbox::faults(before);
    /// ```
    #[rhai_fn(name = "faults", return_raw)]
    pub fn set_faults(call: NativeCallContext, wanted: Dynamic) -> Answer {
        set_faults_with_options(call, wanted, Map::new())
    }

    /// Changes what goes wrong from now on, and returns what is in force then: a short form
    /// (`"throttle=0.2"`), a list of them, or an object with the keys of a `faults.toml`. Options: `add`
    /// (false: beside what goes wrong already, in place of all that did).
    ///
    /// ```rhai
    /// sandbox::faults("lost-answers=0.1", #{ add: true });
    /// sandbox::faults([]);
    /// ```
    #[rhai_fn(name = "faults", return_raw)]
    pub fn set_faults_with_options(call: NativeCallContext, wanted: Dynamic, options: Map) -> Answer {
        answer(&call, |spot| {
            let mut options = Options::new("sandbox::faults", options);
            let add = options.or("add", false)?;
            options.finish()?;
            let mut change = json!({ "clear_all": !add });
            match to_json(&wanted) {
                Value::String(text) => change["short"] = json!([text]),
                list @ Value::Array(_) => change["short"] = list,
                map @ Value::Object(_) => change["faults"] = map,
                _ => {
                    return Err(Error::script(format!(
                        "sandbox::faults: expected a short form, a list of them or an object map, found {}",
                        wanted.type_name()
                    )));
                }
            }
            let control = control(spot, "sandbox::faults")?;
            if !spot.may("sandbox", || format!("let {wanted} go wrong"), Vec::new())? {
                return Ok(Value::Null);
            }
            control.post("/_sandbox/faults", &change)
        })
    }

    /// Sets how many instances fit into the pools of a zone, a type and a lifecycle from now on; in place of
    /// what was said of the same pools before. Options: `zone` and `type` (all, unless given), `lifecycle`
    /// (`"spot"` or `"on-demand"`; both together, unless given), `available` (0: how many fit).
    ///
    /// ```rhai
    /// sandbox::capacity(#{ zone: "us-west-2a", type: "t3.medium", available: 0 });
    /// sandbox::faults([]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn capacity(call: NativeCallContext, options: Map) -> Answer {
        answer(&call, |spot| {
            let mut options = Options::new("sandbox::capacity", options);
            let zone: Option<String> = options.optional("zone")?;
            let kind: Option<String> = options.optional("type")?;
            let lifecycle: Option<String> = options.optional("lifecycle")?;
            let available = options.or("available", 0_u32)?;
            options.finish()?;
            let control = control(spot, "sandbox::capacity")?;
            let pool = json!({ "zone": zone, "type": kind, "lifecycle": lifecycle, "available": available });
            if !spot.may("sandbox", || format!("let {pool} be the capacity"), Vec::new())? {
                return Ok(());
            }
            control.post("/_sandbox/faults", &json!({ "faults": { "capacity": [pool] } })).map(drop)
        })
    }

    /// What the sandbox's clock shows (`now`), and how many times as fast as the real time it goes
    /// (`speed`).
    ///
    /// ```rhai
    /// print(sandbox::clock().now);
    /// ```
    #[rhai_fn(name = "clock", return_raw)]
    pub fn clock(call: NativeCallContext) -> Answer {
        answer(&call, |spot| control(spot, "sandbox::clock")?.get("/_sandbox/clock"))
    }

    /// Makes the sandbox's clock go faster or slower from now on, and returns what it shows. Options: `speed`
    /// (0, at which it stands still, to 100000; 1 is usual).
    ///
    /// ```rhai
    /// sandbox::clock(#{ speed: 60 });
    /// sandbox::clock(#{ speed: 1 });
    /// ```
    #[rhai_fn(name = "clock", return_raw)]
    pub fn set_clock(call: NativeCallContext, options: Map) -> Answer {
        answer(&call, |spot| {
            let mut options = Options::new("sandbox::clock", options);
            let speed: f64 = options.required("speed")?;
            options.finish()?;
            turn(spot, "sandbox::clock", &format!("let the clock go at {speed}"), &json!({ "speed": speed }))
        })
    }

    /// Sets the sandbox's clock ahead by so many seconds, 0 to a year, and returns what it shows. What is due
    /// then (a state, the end of an interrupted instance, a price) has happened when this returns; pauses and
    /// time limits of recipes go by the real time.
    ///
    /// ```rhai
    /// let later = sandbox::advance(3 * 3600).now;
    /// ```
    #[rhai_fn(return_raw)]
    pub fn advance(call: NativeCallContext, seconds: Dynamic) -> Answer {
        answer(&call, |spot| {
            let number = seconds.as_int().map(|whole| whole as f64).or_else(|_| seconds.as_float());
            let number = number.map_err(|found| {
                Error::script(format!("sandbox::advance: expected a number of seconds, found {found}"))
            })?;
            let doing = format!("set the clock ahead by {number} seconds");
            turn(spot, "sandbox::advance", &doing, &json!({ "advance": number }))
        })
    }

    /// What goes wrong on purpose with a host (`faults`, which has only what does), and what its stand-ins for
    /// `apt-get`, `systemctl`, `docker` and others were asked for so far (`commands`: objects with `time`,
    /// `user`, `folder`, `command`, `arguments`). A list of hosts gives a list.
    ///
    /// ```rhai,host
    /// let asked = sandbox::host(host).commands.map(|it| it.command);
    /// ```
    #[rhai_fn(name = "host", return_raw)]
    pub fn host(call: NativeCallContext, target: Dynamic) -> Answer {
        answer(&call, |spot| {
            let control = control(spot, "sandbox::host")?;
            let told: Result<Vec<Value>> = ids(&target)?.iter().map(|id| told(control, id)).collect();
            let told = told?;
            Ok(if target.is_array() { told.into() } else { told.into_iter().next().unwrap_or_default() })
        })
    }

    /// Makes things go wrong with a host, or a list of them, from now on, in place of what did before: a
    /// short form (`"refuses"`, `"latency=0.2"`, `"command:apt-get=100"`), a list of them, or an object; none
    /// for nothing any more. See docs/sandbox.md.
    ///
    /// ```rhai,host
    /// sandbox::host(host, "latency=0.01");
    /// sandbox::host(hosts, #{ max_startups: 100, disk: #{ full_after: 1000000000 } });
    /// sandbox::host(hosts, []);
    /// ```
    #[rhai_fn(name = "host", return_raw)]
    pub fn spoil_host(call: NativeCallContext, target: Dynamic, faults: Dynamic) -> Answer {
        answer(&call, |spot| {
            let control = control(spot, "sandbox::host")?;
            let ids = ids(&target)?;
            let wanted = match to_json(&faults) {
                Value::String(text) => json!([text]),
                value @ (Value::Array(_) | Value::Object(_)) => value,
                _ => {
                    return Err(Error::script(format!(
                        "sandbox::host: expected a short form, a list of them or an object map, found {}",
                        faults.type_name()
                    )));
                }
            };
            if !spot.may("sandbox", || format!("let {faults} go wrong with hosts"), ids.clone())? {
                return Ok(());
            }
            for id in ids {
                control.post("/_sandbox/host", &json!({ "instance_id": id, "faults": wanted }))?;
            }
            Ok(())
        })
    }
}

/// Moves the clock; what it shows then.
fn turn(spot: &Context, function: &str, doing: &str, wanted: &Value) -> Result<Value> {
    let control = control(spot, function)?;
    match spot.may("sandbox", || doing.to_owned(), Vec::new())? {
        true => control.post("/_sandbox/clock", wanted),
        false => control.get("/_sandbox/clock"),
    }
}

/// What is known of a host.
fn told(control: &Control, id: &str) -> Result<Value> {
    let faults = control.get(&format!("/_sandbox/hosts/{id}?unusual"))?;
    let commands = control.text(&format!("/_sandbox/hosts/{id}/commands"))?;
    // The host can write this file itself: what is no JSON is told as it is.
    let commands = commands.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| line.into()));
    Ok(json!({ "id": id, "faults": faults, "commands": commands.collect::<Vec<Value>>() }))
}

/// The ids of an instance, a result that has one as `host`, an id, or a list of these.
fn ids(target: &Dynamic) -> Result<Vec<String>> {
    if let Ok(list) = target.as_array_ref() {
        let each = list.iter().map(ids).collect::<Result<Vec<_>>>()?;
        return Ok(each.into_iter().flatten().collect());
    }
    let id = match target.as_map_ref() {
        Ok(map) => match map.get("host").and_then(|host| host.as_map_ref().ok()) {
            Some(host) => host.get("id").cloned(),
            None => map.get("id").cloned(),
        },
        Err(_) => Some(target.clone()),
    };
    let id = id.and_then(|id| id.into_string().ok()).ok_or_else(|| {
        Error::script(format!("sandbox::host: expected an instance or its id, found {}", target.type_name()))
    })?;
    // It becomes part of an address.
    match id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && !id.is_empty() {
        true => Ok(vec![id]),
        false => Err(Error::script(format!("sandbox::host: `{id}` is no instance id"))),
    }
}

/// The sandbox that the run works in.
fn control<'a>(spot: &'a Context, function: &str) -> Result<&'a Control> {
    spot.act()?;
    spot.sandbox().ok_or_else(|| {
        Error::script(format!("{function}: this run does not work in a sandbox"))
            .with_hint("spot --sandbox … does; sandbox::running() tells")
    })
}

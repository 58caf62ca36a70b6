//! The sandbox that a run works in, for rehearsals and tests.

use crate::control::Control;
use crate::error::{Error, Result};
use crate::native::Context;
use crate::native::options::Options;
use crate::native::thrown::{Answer, answer};
use rhai::Map;
use rhai::plugin::*;
use serde_json::json;

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
}

/// The sandbox that the run works in.
fn control<'a>(spot: &'a Context, function: &str) -> Result<&'a Control> {
    spot.act()?;
    spot.sandbox().ok_or_else(|| {
        Error::script(format!("{function}: this run does not work in a sandbox"))
            .with_hint("spot --sandbox … does; sandbox::running() tells")
    })
}

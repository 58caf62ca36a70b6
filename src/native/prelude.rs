//! Functions without a namespace: arguments, failure, concurrency, retries, other recipes.

use crate::error::{Error, Kind, Result};
use crate::native::context::Context;
use crate::native::options::Options;
use crate::native::recipe;
use crate::native::runtime::STACK_SIZE;
use crate::native::thrown::{Answer, answer, answer_raw, error_value, from_thrown, throw};
use crate::script::Argument;
use rhai::plugin::*;
use rhai::{Array, FnPtr, Map};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Arguments, failure, concurrency, retries and other recipes; called without a namespace.
#[export_module]
pub mod prelude {
    use super::*;

    /// Declares the recipe's arguments and returns their values as an object map.
    ///
    /// Each key becomes a flag of the command line (`max_price` is `--max-price`), and the type of
    /// its default is the type it takes. Give a default alone, or with help through `option`, or
    /// take the words without a flag through `positional`. Unknown flags are refused here, so call
    /// it before anything else happens; `spot NAME --help` runs the recipe only up to this call.
    ///
    /// ```rhai
    /// let opt = args(#{ count: option(3, "instances in all"), name: () });
    /// print(opt.count);
    /// ```
    #[rhai_fn(name = "args", return_raw)]
    pub fn declare(call: NativeCallContext, declaration: Map) -> Answer<Map> {
        let position = call.call_position();
        answer_raw(&call, |spot| {
            let declared = declaration
                .into_iter()
                .map(|(name, value)| argument(name.to_string(), value))
                .collect::<Result<Vec<_>>>()
                .map_err(|error| throw(&error, position))?;
            match spot.declare(declared) {
                Ok(Some(values)) => Ok(values),
                // Help wants the declaration only: the script ends here.
                Ok(None) => Err(Box::new(EvalAltResult::ErrorTerminated(Dynamic::UNIT, position))),
                Err(error) => Err(throw(&error, position)),
            }
        })
    }

    /// A default with its line of help, for `args`.
    ///
    /// ```rhai
    /// let opt = args(#{ count: option(3, "instances in all") });
    /// ```
    pub fn option(default: Dynamic, help: &str) -> Map {
        [("default".into(), default), ("help".into(), help.into())].into_iter().collect()
    }

    /// A default with its line of help and the only values allowed, for `args`.
    ///
    /// ```rhai
    /// let opt = args(#{ market: option("spot", "how to pay", ["spot", "on-demand"]) });
    /// ```
    #[rhai_fn(name = "option")]
    pub fn option_with_choices(default: Dynamic, help: &str, choices: Array) -> Map {
        let mut map = option(default, help);
        map.insert(CHOICES.into(), choices.into());
        map
    }

    /// Takes the words of the command line that stand without a flag, for `args`.
    ///
    /// ```rhai
    /// let opt = args(#{ ids: positional("instances to destroy") });
    /// print(opt.ids.len());
    /// ```
    pub fn positional(help: &str) -> Map {
        let mut map = option(Dynamic::from_array(Array::new()), help);
        map.insert(POSITIONAL.into(), true.into());
        map
    }

    /// Ends the recipe with an error.
    ///
    /// ```rhai
    /// try { fail("nothing to do"); } catch (e) { print(e.message); }
    /// ```
    #[rhai_fn(name = "fail", return_raw)]
    pub fn fail(call: NativeCallContext, message: &str) -> Answer<()> {
        Err(throw(&Error::script(message), call.call_position()))
    }

    /// Ends the recipe with an error and a hint: a command to run or a change to make.
    ///
    /// ```rhai
    /// try { fail("no instances", "spot create"); } catch (e) { print(e.hint); }
    /// ```
    #[rhai_fn(name = "fail", return_raw)]
    pub fn fail_with_hint(call: NativeCallContext, message: &str, hint: &str) -> Answer<()> {
        Err(throw(&Error::script(message).with_hint(hint), call.call_position()))
    }

    /// Ends the recipe with an error; options: `hint`, `code`.
    ///
    /// The code `PartialFailure` ends the process with exit code 3, `ResourcesRemain` with 5, `Drift`
    /// with 6.
    ///
    /// ```rhai
    /// try { fail("1 of 3 hosts failed", #{ code: "PartialFailure" }); } catch (e) { print(e.code); }
    /// ```
    #[rhai_fn(name = "fail", return_raw)]
    pub fn fail_with_options(call: NativeCallContext, message: &str, options: Map) -> Answer<()> {
        let build = || {
            let mut options = Options::new("fail", options);
            let mut error = Error::script(message);
            if let Some(hint) = options.optional::<String>("hint")? {
                error = error.with_hint(hint);
            }
            if let Some(code) = options.optional::<String>("code")? {
                error = error.with_code(code);
            }
            options.finish()?;
            Ok(error)
        };
        let error = build().unwrap_or_else(|error: Error| error);
        Err(throw(&error, call.call_position()))
    }

    /// Calls a function for every item of a list at once, up to 64 at a time, and returns the
    /// results in the order of the list.
    ///
    /// All calls end before it returns. If any failed, the error that is thrown says how many, and
    /// its `results` holds each result or error in order, so that no failure hides another.
    ///
    /// ```rhai
    /// let squares = parallel([1, 2, 3], |x| x * x);
    /// print(squares);
    /// ```
    #[rhai_fn(name = "parallel", return_raw)]
    pub fn parallel(call: NativeCallContext, list: Array, function: FnPtr) -> Answer<Array> {
        run_parallel(&call, list, 64, &function)
    }

    /// Like `parallel(list, function)`, at most `limit` at a time.
    ///
    /// ```rhai
    /// print(parallel([1, 2, 3], 2, |x| x + 1));
    /// ```
    #[rhai_fn(name = "parallel", return_raw)]
    pub fn parallel_with_limit(
        call: NativeCallContext,
        list: Array,
        limit: i64,
        function: FnPtr,
    ) -> Answer<Array> {
        let position = call.call_position();
        let limit =
            usize::try_from(limit).ok().filter(|limit| (1..=1000).contains(limit)).ok_or_else(|| {
                throw(
                    &Error::script(format!("parallel: expected a limit from 1 to 1000, found {limit}")),
                    position,
                )
            })?;
        run_parallel(&call, list, limit, &function)
    }

    /// Calls a function until it succeeds; only errors with `retryable` true are tried again, unless
    /// `any` is true.
    ///
    /// Options: `attempts` (5), `delay` (0.5 seconds before the second, doubled each time with
    /// jitter), `timeout` (120 seconds in all), `any` (false).
    ///
    /// ```rhai
    /// let n = retry(#{ attempts: 3 }, || 42);
    /// print(n);
    /// ```
    #[rhai_fn(name = "retry", return_raw)]
    pub fn retry(call: NativeCallContext, options: Map, function: FnPtr) -> Answer {
        let position = call.call_position();
        answer_raw(&call, |spot| {
            let read = || {
                let mut options = Options::new("retry", options);
                let policy = crate::retry::Retry {
                    attempts: options.or("attempts", 5_u32)?.max(1),
                    base: options.seconds("delay", Duration::from_millis(500))?,
                    cap: Duration::from_secs(20),
                    deadline: options.seconds("timeout", Duration::from_secs(120))?,
                };
                let any = options.or("any", false)?;
                options.finish()?;
                Ok::<_, Error>((policy, any))
            };
            let (policy, any) = read().map_err(|error| throw(&error, position))?;
            let started = std::time::Instant::now();
            let mut attempt = 1;
            loop {
                let error = match function.call_within_context::<Dynamic>(&call, ()) {
                    Ok(value) => return Ok(value),
                    Err(error) => error,
                };
                let again = !ends_script(&error) && (any || recipe::error_of(&error).is_retryable());
                let Some(delay) = policy.next_delay(attempt, started.elapsed()).filter(|_| again) else {
                    return Err(error);
                };
                pause(spot, delay).map_err(|error| throw(&error, position))?;
                attempt += 1;
            }
        })
    }

    /// Waits for a number of seconds; Ctrl-C ends the wait.
    ///
    /// ```rhai
    /// sleep(0.01);
    /// sleep(0);
    /// ```
    #[rhai_fn(name = "sleep", return_raw)]
    pub fn sleep(call: NativeCallContext, seconds: f64) -> Answer {
        answer(&call, |spot| {
            let delay = Duration::try_from_secs_f64(seconds)
                .map_err(|_| Error::script(format!("sleep: expected seconds from 0, found {seconds}")))?;
            pause(spot, delay)
        })
    }

    // The same for a whole number; without a text of its own, the reference lists it once.
    #[rhai_fn(name = "sleep", return_raw)]
    pub fn sleep_whole(call: NativeCallContext, seconds: i64) -> Answer {
        sleep(call, seconds as f64)
    }

    /// Runs another recipe, by name or path, and returns its value.
    ///
    /// ```rhai,no_run
    /// run("list");
    /// ```
    #[rhai_fn(name = "run", return_raw)]
    pub fn run(call: NativeCallContext, name: &str) -> Answer {
        recipe::run(&call, name, Map::new())
    }

    /// Runs another recipe with arguments and returns its value.
    ///
    /// ```rhai,no_run
    /// run("create", #{ count: 1 });
    /// ```
    #[rhai_fn(name = "run", return_raw)]
    pub fn run_with_arguments(call: NativeCallContext, name: &str, arguments: Map) -> Answer {
        recipe::run(&call, name, arguments)
    }

    /// The error object of any thrown value, for messages: `kind`, `code`, `message`, `hint`,
    /// `retryable`, `causes`.
    ///
    /// ```rhai
    /// try { throw "boom"; } catch (e) { print(as_error(e).message); }
    /// ```
    #[rhai_fn(name = "as_error")]
    pub fn as_error(thrown: Dynamic) -> Map {
        let error = from_thrown(&thrown);
        match error.kind() {
            Kind::Script if !thrown.is_map() => error_value(&Error::script(error.message())),
            _ => error_value(&error),
        }
    }
}

const CHOICES: &str = "choices";

const POSITIONAL: &str = "positional";

fn argument(name: String, value: Dynamic) -> Result<Argument> {
    let mut parts = match value.clone().try_cast::<Map>() {
        Some(map) if map.contains_key("default") && map.contains_key("help") => map,
        Some(_) => {
            return Err(Error::script(format!("args: `{name}` cannot be an object map"))
                .with_hint("write name: option(default, \"help\")"));
        }
        None => [("default".into(), value), ("help".into(), "".into())].into_iter().collect(),
    };
    let mut part = |key: &str| parts.remove(key).unwrap_or(Dynamic::UNIT);
    let default = part("default");
    if !matches!(default.type_name(), "i64" | "f64" | "bool" | "string" | "array" | "()") {
        return Err(Error::script(format!(
            "args: `{name}` cannot have a default of type {}",
            default.type_name()
        )));
    }
    let choices = part(CHOICES).into_array().unwrap_or_default();
    Ok(Argument {
        name,
        default,
        help: part("help").into_string().unwrap_or_default(),
        positional: part(POSITIONAL).as_bool().unwrap_or(false),
        choices: choices.iter().map(ToString::to_string).collect(),
    })
}

fn run_parallel(call: &NativeCallContext, list: Array, limit: usize, function: &FnPtr) -> Answer<Array> {
    let position = call.call_position();
    let spot = Context::of(call).map_err(|error| throw(&error, position))?;
    let total = list.len();
    let items: Vec<Mutex<Option<Dynamic>>> = list.into_iter().map(|item| Mutex::new(Some(item))).collect();
    let results: Vec<Mutex<Option<Answer>>> = (0..total).map(|_| Mutex::new(None)).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let (Some(item), Some(slot)) = (items.get(index), results.get(index)) else { return };
            let item = item.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
            let result = function.call_within_context::<Dynamic>(call, (item,));
            // A call that ends the script ends what has not begun, too.
            if result.as_ref().is_err_and(|error| ends_script(error)) {
                next.store(total, Ordering::Relaxed);
            }
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    };
    let parent = spot.current_step();
    let started = std::thread::scope(|scope| {
        (0..limit.min(total)).try_for_each(|_| {
            let thread = std::thread::Builder::new().name("spot-parallel".to_owned()).stack_size(STACK_SIZE);
            let spawned = thread.spawn_scoped(scope, || spot.as_worker(parent, work));
            // Those that run end with the call they are at.
            spawned.map(drop).inspect_err(|_| next.store(total, Ordering::Relaxed))
        })
    });
    started.map_err(|error| throw(&no_thread(error), position))?;
    collect(call, results)
}

fn no_thread(error: std::io::Error) -> Error {
    Error::internal("parallel could not start its threads")
        .with_source(error)
        .with_hint("give parallel a lower limit, or check that on processes: ulimit -u")
}

/// Whether an error is the end of the script, which nothing may catch: an interrupt, or `exit`.
fn ends_script(error: &EvalAltResult) -> bool {
    matches!(error, EvalAltResult::ErrorTerminated(..) | EvalAltResult::Exit(..))
}

/// The values of all calls, or the one error that says which of them failed.
fn collect(call: &NativeCallContext, results: Vec<Mutex<Option<Answer>>>) -> Answer<Array> {
    let total = results.len();
    let mut results: Vec<Option<Answer>> =
        results.into_iter().map(|slot| slot.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
    let end = results.iter().position(|slot| matches!(slot, Some(Err(error)) if ends_script(error)));
    if let Some(Some(Err(error))) = end.map(|index| results.swap_remove(index)) {
        return Err(error);
    }
    let mut values = Array::with_capacity(total);
    let mut first: Option<Error> = None;
    let mut failed = 0;
    for slot in results {
        match slot {
            Some(Ok(value)) => values.push(value),
            Some(Err(error)) => {
                let error = recipe::error_of(&error);
                values.push(Dynamic::from_map(error_value(&error)));
                failed += 1;
                first.get_or_insert(error);
            }
            None => {
                return Err(throw(
                    &Error::internal("a parallel call ended without a result"),
                    call.call_position(),
                ));
            }
        }
    }
    let Some(first) = first else { return Ok(values) };
    let mut error =
        Error::new(first.kind(), format!("{failed} of {total} calls failed: {}", first.message()));
    if let Some(code) = first.code() {
        error = error.with_code(code);
    }
    if let Some(hint) = first.hint() {
        error = error.with_hint(hint);
    }
    let mut value = error_value(&error);
    value.insert("results".into(), values.into());
    Err(Box::new(EvalAltResult::ErrorRuntime(value.into(), call.call_position())))
}

pub(crate) fn pause(spot: &crate::native::Context, delay: Duration) -> Result<()> {
    if spot.is_plan() {
        return spot.planning().pause();
    }
    let (cancel, delay) = (spot.runtime().cancellation(), spot.scaled(delay));
    spot.runtime().wait(async move {
        tokio::select! {
            () = tokio::time::sleep(delay) => Ok(()),
            () = cancel.cancelled() => Err(Error::interrupted()),
        }
    })
}

//! What recipes show while it changes: bars that fill, and tables that are drawn anew.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::native::options::Options;
use crate::native::prelude::pause;
use crate::native::thrown::{Answer, answer, answer_raw, throw};
use crate::native::{Context, table};
use crate::ui::{Event, Table};
use rhai::plugin::*;
use rhai::{Array, FnPtr, Map};

/// Bars and tables that change.
#[export_module]
pub mod live {
    use super::*;

    /// Calls a function for each item of a list, one after the other, below a bar that shows how many
    /// are done, and returns the results in order.
    ///
    /// ```rhai
    /// let squares = ui::progress("square", [1, 2, 3], |x| x * x);
    /// print(squares);
    /// ```
    #[rhai_fn(name = "progress", return_raw)]
    pub fn progress_of_list(
        call: NativeCallContext,
        title: &str,
        list: Array,
        function: FnPtr,
    ) -> Answer<Array> {
        answer_raw(&call, |spot| {
            let bar = spot.begin_bar(title, list.len() as u64);
            let mut results = Array::with_capacity(list.len());
            for item in list {
                match function.call_within_context(&call, (item,)) {
                    Ok(result) => results.push(result),
                    Err(error) => {
                        spot.end_bar(bar, false);
                        return Err(error);
                    }
                }
                // The bar cannot be gone: it ends below.
                let _ = spot.advance_bar(bar, 1);
            }
            spot.end_bar(bar, true);
            Ok(results)
        })
    }

    /// Calls a function below a bar for so many things, and returns what the function returns. It gets
    /// the bar, for `ui::advance`.
    ///
    /// ```rhai
    /// ui::progress("ask", 3, |bar| parallel([1, 2, 3], |x| ui::advance(bar)));
    /// ```
    #[rhai_fn(name = "progress", return_raw)]
    pub fn progress_of_count(call: NativeCallContext, title: &str, total: i64, function: FnPtr) -> Answer {
        let position = call.call_position();
        answer_raw(&call, |spot| {
            let total = u64::try_from(total).map_err(|_| {
                let error = Error::script(format!("ui::progress: expected a total from 0, found {total}"));
                throw(&error, position)
            })?;
            let bar = spot.begin_bar(title, total);
            let result = function.call_within_context(&call, (bar as i64,));
            spot.end_bar(bar, result.is_ok());
            result
        })
    }

    /// Says that one more of the things of a bar is done.
    ///
    /// ```rhai
    /// ui::progress("count", 2, |bar| { ui::advance(bar); ui::advance(bar); });
    /// ```
    #[rhai_fn(name = "advance", return_raw)]
    pub fn advance(call: NativeCallContext, bar: i64) -> Answer {
        advance_by(call, bar, 1)
    }

    /// Says that so many more of the things of a bar are done.
    ///
    /// ```rhai
    /// ui::progress("count", 10, |bar| ui::advance(bar, 10));
    /// ```
    #[rhai_fn(name = "advance", return_raw)]
    pub fn advance_by(call: NativeCallContext, bar: i64, count: i64) -> Answer {
        answer(&call, |spot| {
            let count = u64::try_from(count)
                .map_err(|_| Error::script(format!("ui::advance: expected a count from 0, found {count}")))?;
            spot.advance_bar(u64::try_from(bar).unwrap_or(u64::MAX), count)
        })
    }

    /// Shows a table that is made anew every few seconds, until the function that makes it returns `()`
    /// or the run is interrupted.
    ///
    /// The function returns rows, as `ui::table` takes them, or a map with `rows` and the options of
    /// `ui::table`. On a terminal the table changes where it stands and its last version stays; elsewhere
    /// each version that differs from the one before is shown. `every` is in seconds, from 0.1.
    ///
    /// ```rhai
    /// let left = #{ n: 2 };
    /// ui::live(0.1, || {
    ///     if left.n == 0 { return (); }
    ///     left.n -= 1;
    ///     [#{ left: left.n }]
    /// });
    /// ```
    #[rhai_fn(name = "live", return_raw)]
    pub fn live(call: NativeCallContext, every: f64, rows: FnPtr) -> Answer {
        let position = call.call_position();
        answer_raw(&call, |spot| {
            let fail = |error: Error| throw(&error, position);
            let delay = Duration::try_from_secs_f64(every)
                .ok()
                .filter(|delay| *delay >= Duration::from_millis(100))
                .ok_or_else(|| {
                    fail(Error::script(format!("ui::live: expected seconds from 0.1, found {every}")))
                })?;
            let view = View { spot, id: spot.next_id() };
            let mut shown: Option<Table> = None;
            loop {
                let value: Dynamic = rows.call_within_context(&call, ())?;
                if value.is_unit() {
                    return Ok(Dynamic::UNIT);
                }
                let table = table_of(value).map_err(fail)?;
                if shown.as_ref() != Some(&table) {
                    spot.emit(Event::View { id: view.id, table: table.clone() });
                    shown = Some(table);
                }
                if spot.is_plan() {
                    // One look shows what it does.
                    return Ok(Dynamic::UNIT);
                }
                pause(spot, delay).map_err(fail)?;
            }
        })
    }

    // The same for a whole number; without a text of its own, the reference lists it once.
    #[rhai_fn(name = "live", return_raw)]
    pub fn live_whole(call: NativeCallContext, every: i64, rows: FnPtr) -> Answer {
        live(call, every as f64, rows)
    }
}

/// A view, which ends however its recipe does.
struct View<'a> {
    spot: &'a Context,
    id: u64,
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        self.spot.emit(Event::ViewEnded { id: self.id });
    }
}

fn table_of(value: Dynamic) -> Result<Table> {
    let found = value.type_name();
    if let Some(rows) = value.read_lock::<Array>() {
        return table::of_maps(&rows, None, None, None);
    }
    let map = value.try_cast::<Map>().ok_or_else(|| {
        Error::script(format!("ui::live: expected rows, a map that has `rows`, or (), found {found}"))
    })?;
    let mut map = map;
    let rows = map.remove("rows").and_then(Dynamic::try_cast::<Array>).ok_or_else(|| {
        Error::script("ui::live: expected an array under `rows` in the map that the function returned")
    })?;
    let mut options = Options::new("ui::live", map);
    let columns = options.optional::<Vec<String>>("columns")?;
    let title = options.optional::<String>("title")?;
    let footer = options.optional::<String>("footer")?;
    options.finish()?;
    table::of_maps(&rows, columns, title, footer)
}

//! What recipes show and ask.

use crate::error::{Error, Result};
use crate::native::options::Options;
use crate::native::thrown::{Answer, answer, answer_raw};
use crate::native::unknown::ASSUMED;
use crate::native::{Context, table, target};
use crate::ui::{Answer as Reply, Chart, Event, Level, Question, Series};
use rhai::plugin::*;
use rhai::{Array, FnPtr, Map};

/// Messages, steps, tables and questions.
#[export_module]
pub mod ui {
    use super::*;

    /// Says that something was achieved.
    ///
    /// ```rhai
    /// ui::success("6 hosts are ready");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn success(call: NativeCallContext, text: &str) -> Answer {
        say(&call, Level::Success, text)
    }

    /// Says that something failed; the recipe goes on.
    ///
    /// ```rhai
    /// ui::error("i-1 did not answer");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn error(call: NativeCallContext, text: &str) -> Answer {
        say(&call, Level::Error, text)
    }

    /// Says that something may need attention.
    ///
    /// ```rhai
    /// ui::warn("only 2 of 3 zones have capacity");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn warn(call: NativeCallContext, text: &str) -> Answer {
        say(&call, Level::Warning, text)
    }

    /// Says something worth knowing.
    ///
    /// ```rhai
    /// ui::info("using the default network");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn info(call: NativeCallContext, text: &str) -> Answer {
        say(&call, Level::Info, text)
    }

    /// Says something that only `-v` shows.
    ///
    /// ```rhai
    /// ui::detail("3 regions scanned");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn detail(call: NativeCallContext, text: &str) -> Answer {
        say(&call, Level::Debug, text)
    }

    /// Shows a step with its time while a function runs, and returns what the function returns.
    ///
    /// Steps inside steps are shown below them; the outermost ones make up the time line at the end.
    ///
    /// ```rhai
    /// let sum = ui::step("add", || 1 + 2);
    /// print(sum);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn step(call: NativeCallContext, title: &str, work: FnPtr) -> Answer {
        answer_raw(&call, |spot| spot.step(title, || work.call_within_context(&call, ())))
    }

    /// Prints a table of object maps, a row each, with the keys of the first row as columns.
    ///
    /// ```rhai
    /// ui::table([#{ region: "us-west-2", count: 3 }]);
    /// ```
    #[rhai_fn(name = "table", return_raw)]
    pub fn table_of(call: NativeCallContext, rows: Array) -> Answer {
        table_with_options(call, rows, Map::new())
    }

    /// Prints a table of object maps, a row each.
    ///
    /// Options: `columns` (keys to show, in order), `title`, `footer`. Cells of the words `failed`,
    /// `gone`, `error` and the like are marked. The table goes to standard output.
    ///
    /// ```rhai
    /// ui::table([#{ id: "i-1", region: "us-west-2" }], #{ columns: ["id"], title: "Fleet" });
    /// ```
    #[rhai_fn(name = "table", return_raw)]
    pub fn table_with_options(call: NativeCallContext, rows: Array, options: Map) -> Answer {
        answer(&call, |spot| {
            let mut options = Options::new("ui::table", options);
            let columns = options.optional::<Vec<String>>("columns")?;
            let title = options.optional::<String>("title")?;
            let footer = options.optional::<String>("footer")?;
            options.finish()?;
            spot.emit(Event::Table(table::of_maps(&rows, columns, title, footer)?));
            Ok(())
        })
    }

    /// Prints a chart: a bar for each `value`, or a line for each list of `values`.
    ///
    /// Each row is a map with a `label` and a `value` (a number), or `values` (numbers, `()` for a gap).
    /// Lines share one scale and end with their lowest, highest and last number.
    ///
    /// ```rhai
    /// ui::chart([#{ label: "us-west-2", value: 3 }, #{ label: "eu-west-1", value: 1.5 }]);
    /// ```
    #[rhai_fn(name = "chart", return_raw)]
    pub fn chart_of(call: NativeCallContext, rows: Array) -> Answer {
        chart_with_options(call, rows, Map::new())
    }

    /// Prints a chart. Options: `title`, `unit` (such as "$/h"), `footer`.
    ///
    /// ```rhai
    /// ui::chart([#{ label: "us-west-2a", values: [0.031, 0.034, (), 0.029] }], #{ unit: "$/h" });
    /// ```
    #[rhai_fn(name = "chart", return_raw)]
    pub fn chart_with_options(call: NativeCallContext, rows: Array, options: Map) -> Answer {
        answer(&call, |spot| {
            let mut options = Options::new("ui::chart", options);
            let title = options.optional::<String>("title")?;
            let unit = options.optional::<String>("unit")?;
            let footer = options.optional::<String>("footer")?;
            options.finish()?;
            let series = rows.into_iter().map(series).collect::<Result<_>>()?;
            spot.emit(Event::Chart(Chart { title, unit, series, footer }));
            Ok(())
        })
    }

    /// Shows what a host is doing in the live view: a word such as `waiting`, `ready` or `failed`.
    ///
    /// ```rhai
    /// ui::host(#{ id: "i-1", region: "us-west-2" }, "draining");
    /// ```
    #[rhai_fn(name = "host", return_raw)]
    pub fn host(call: NativeCallContext, host: Map, phase: &str) -> Answer {
        answer(&call, |spot| {
            spot.emit(target::row(&host, phase, None, phase == "failed"));
            Ok(())
        })
    }

    /// Shows what a host is doing in the live view, with a detail or the reason of a failure.
    ///
    /// ```rhai
    /// ui::host(#{ id: "i-1", region: "us-west-2" }, "failed", "setup.sh ended with 1");
    /// ```
    #[rhai_fn(name = "host", return_raw)]
    pub fn host_with_detail(call: NativeCallContext, host: Map, phase: &str, detail: &str) -> Answer {
        answer(&call, |spot| {
            spot.emit(target::row(&host, phase, Some(detail.to_owned()), phase == "failed"));
            Ok(())
        })
    }

    /// Asks for yes or no; `--yes` answers yes. On a pipe without `--yes` it is an error.
    ///
    /// ```rhai
    /// if !ui::confirm("destroy 3 instances?") { return; }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn confirm(call: NativeCallContext, text: &str) -> Answer {
        answer(&call, |spot| {
            let question = Question::Confirm { text: text.to_owned(), default: false, must_type: None };
            match ask(spot, &question)? {
                Reply::Confirmed(yes) => Ok(yes),
                _ => Err(unexpected()),
            }
        })
    }

    /// Asks to type a word, such as an account id, before something that cannot be taken back.
    /// `--yes` alone does not answer it; `--answer WORD` does.
    ///
    /// ```rhai,no_run
    /// if !ui::confirm_typed("this removes everything", "123456789012") { return; }
    /// ```
    #[rhai_fn(return_raw)]
    pub fn confirm_typed(call: NativeCallContext, text: &str, word: &str) -> Answer {
        answer(&call, |spot| {
            let must_type = Some(word.to_owned());
            let question = Question::Confirm { text: text.to_owned(), default: false, must_type };
            match ask(spot, &question)? {
                Reply::Confirmed(yes) => Ok(yes),
                _ => Err(unexpected()),
            }
        })
    }

    /// Asks for a text.
    ///
    /// ```rhai,no_run
    /// let name = ui::ask("name of the project?", "demo");
    /// ```
    #[rhai_fn(name = "ask", return_raw)]
    pub fn ask_text(call: NativeCallContext, text: &str, default: &str) -> Answer {
        answer(&call, |spot| {
            let question = Question::Text { text: text.to_owned(), default: Some(default.to_owned()) };
            match ask(spot, &question)? {
                Reply::Text(text) => Ok(text),
                _ => Err(unexpected()),
            }
        })
    }

    /// Asks to choose one of several texts, and returns it.
    ///
    /// ```rhai,no_run
    /// let market = ui::select("how to pay?", ["spot", "on-demand"]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn select(call: NativeCallContext, text: &str, choices: Array) -> Answer {
        answer(&call, |spot| {
            let choices: Vec<String> = choices.iter().map(ToString::to_string).collect();
            let question = Question::Select { text: text.to_owned(), choices: choices.clone() };
            match ask(spot, &question)? {
                Reply::Selected(index) => choices.get(index).cloned().ok_or_else(unexpected),
                _ => Err(unexpected()),
            }
        })
    }

    /// Asks for a text that is not shown while it is typed.
    ///
    /// ```rhai,no_run
    /// let token = ui::secret("token of the orchestrator?");
    /// ```
    #[rhai_fn(return_raw)]
    pub fn secret(call: NativeCallContext, text: &str) -> Answer {
        answer(&call, |spot| match ask(spot, &Question::Secret { text: text.to_owned() })? {
            Reply::Secret(text) => Ok(text),
            _ => Err(unexpected()),
        })
    }
}

/// A row of a chart: `label` with `value` or `values`.
fn series(mut row: Dynamic) -> Result<Series> {
    if let Some(mut row) = row.write_lock::<Map>()
        && let Some(mut values) = row.get_mut("values").and_then(|values| values.write_lock::<Array>())
    {
        // Whole numbers will do where any are wanted.
        for value in values.iter_mut() {
            if let Ok(whole) = value.as_int() {
                *value = (whole as f64).into();
            }
        }
    }
    let mut row = Options::of("ui::chart row", row)?;
    let label = row.required::<String>("label")?;
    let value = row.optional::<f64>("value")?;
    let values = row.optional::<Vec<Option<f64>>>("values")?;
    row.finish()?;
    let finite = |value: f64| Some(value).filter(|value| value.is_finite());
    match (value, values) {
        (Some(value), None) => Ok(Series { label, values: vec![finite(value)] }),
        (None, Some(values)) => {
            Ok(Series { label, values: values.into_iter().map(|value| value.and_then(finite)).collect() })
        }
        (None, None) => Ok(Series { label, values: vec![None] }),
        (Some(_), Some(_)) => {
            Err(Error::script(format!("ui::chart: {label}: `value` and `values` exclude each other")))
        }
    }
}

fn say(call: &NativeCallContext, level: Level, text: &str) -> Answer {
    answer(call, |spot| {
        spot.message(level, text);
        Ok(())
    })
}

fn ask(spot: &Context, question: &Question) -> Result<Reply> {
    spot.act()?;
    if !spot.is_plan() {
        return spot.ui().ask(question);
    }
    let (text, said, answer) = match question {
        Question::Confirm { text, .. } => (text, "yes".to_owned(), Reply::Confirmed(true)),
        Question::Text { text, default } => {
            let word = default.clone().unwrap_or_default();
            (text, word.clone(), Reply::Text(word))
        }
        Question::Select { text, choices } => {
            (text, choices.first().cloned().unwrap_or_default(), Reply::Selected(0))
        }
        Question::Secret { text } => (text, "a secret".to_owned(), Reply::Secret(ASSUMED.to_owned())),
    };
    spot.may("ui", || format!("{text} assumed: {said}"), Vec::new())?;
    Ok(answer)
}

fn unexpected() -> Error {
    Error::internal("the terminal gave an answer of another kind than was asked for")
}

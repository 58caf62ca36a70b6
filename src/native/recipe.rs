//! Recipes that run other recipes, and what an engine error says in our words.

use rhai::{Dynamic, EvalAltResult, Map, NativeCallContext, Scope};

use super::context::Context;
use super::thrown::{Answer, answer_raw, from_thrown, throw};
use crate::error::{Error, Kind, Result};
use crate::script::{Given, Library, Script};

/// How deep recipes may run inside each other: enough for real use, and an end to a recipe that
/// runs itself.
const DEPTH: usize = 16;

/// Runs a recipe inside the one that calls.
pub(crate) fn run(call: &NativeCallContext, name: &str, arguments: Map) -> Answer {
    let position = call.call_position();
    answer_raw(call, |spot| {
        let throw = |error: Error| throw(&error, position);
        let script = find(spot, name).map_err(throw)?;
        let engine = call.engine();
        let ast = spot.compile(engine, &script).map_err(|error| {
            Box::new(EvalAltResult::ErrorInModule(
                script.origin.to_string(),
                Box::new(error.into()),
                position,
            ))
        })?;
        let given = Given::values(arguments);
        spot.check().arguments(&script.name, &ast, &given).map_err(throw)?;
        let result = match spot.check().first_error(engine, &script.text, &ast) {
            Some(mistake) => Err(mistake.thrown()),
            None => {
                let before = spot.enter(&script.name, given, false);
                let result = engine.eval_ast_with_scope::<Dynamic>(&mut Scope::new(), &ast);
                spot.leave(before);
                result
            }
        };
        // The frame of the other recipe: its origin is where the inner position points to.
        result.map_err(|error| {
            Box::new(EvalAltResult::ErrorInFunctionCall(
                format!("recipe {}", script.name),
                script.origin.to_string(),
                error,
                position,
            ))
        })
    })
}

/// The recipe that another one may run: by name, or by a path inside the project.
fn find(spot: &Context, name: &str) -> Result<Script> {
    spot.act()?;
    if spot.is_worker() {
        return Err(Error::script(format!("run(\"{name}\") cannot be called inside parallel"))
            .with_hint("run recipes one after the other; each may do its own work in parallel"));
    }
    if spot.depth() >= DEPTH {
        return Err(Error::script(format!("recipes run each other more than {DEPTH} deep: {name}")));
    }
    if !Library::is_path(name) {
        return spot.library().recipe(name);
    }
    let path = spot.local_path(name)?;
    spot.library().recipe(&path.to_string_lossy())
}

/// The error behind an engine error: ours when a native threw it, otherwise one of kind `script`.
pub(crate) fn error_of(error: &EvalAltResult) -> Error {
    match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => {
            error_of(inner)
        }
        EvalAltResult::ErrorRuntime(value, _) => from_thrown(value),
        EvalAltResult::ErrorTerminated(value, _) if value.is_map() => from_thrown(value),
        EvalAltResult::ErrorTerminated(..) => Error::interrupted(),
        EvalAltResult::ErrorParsing(problem, _) => Error::script(lower_first(&problem.to_string())),
        EvalAltResult::ErrorFunctionNotFound(signature, _) => {
            Error::script(format!("unknown function {signature}"))
        }
        EvalAltResult::ErrorVariableNotFound(name, _) => Error::script(format!("unknown variable `{name}`")),
        EvalAltResult::ErrorPropertyNotFound(name, _) => {
            Error::script(format!("there is no property `{name}`"))
        }
        EvalAltResult::ErrorModuleNotFound(name, _) => Error::script(format!("unknown namespace `{name}`")),
        EvalAltResult::ErrorStackOverflow(_) => Error::script("functions call each other too deep")
            .with_hint("a function that calls itself needs an end"),
        EvalAltResult::ErrorSystem(..) => Error::new(Kind::Internal, lower_first(&error.to_string())),
        other => Error::script(lower_first(strip_position(&other.to_string()))),
    }
}

/// Engine messages end in `(line 3, position 5)`, which we show in our own way.
fn strip_position(text: &str) -> &str {
    text.rfind(" (line ").map_or(text, |end| &text[..end])
}

/// The text as one of our messages begins; a word in capitals stays.
fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    let mut rest = letters.clone().skip(1);
    match letters.next() {
        Some(first) if rest.next().is_some_and(char::is_lowercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_begin_small_unless_it_is_a_name() {
        assert_eq!(lower_first("Function not found"), "function not found");
        assert_eq!(lower_first("JSON expected"), "JSON expected");
        assert_eq!(lower_first("A"), "A");
        assert_eq!(lower_first(""), "");
    }
}

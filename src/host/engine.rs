//! The Rhai engine that recipes run on: limits, natives, stdlib.

use std::sync::Arc;

use rhai::{AST, Dynamic, Engine, EvalAltResult, Module, OptimizationLevel, Scope};
use serde_json::Value;

use super::failure::Failure;
use crate::native::{Context, register, watch_unknowns};
use crate::script::ProjectModules;
use crate::ui::{Event, Level};

/// Calls of script functions inside each other.
const CALL_LEVELS: usize = 100;
/// Nesting of expressions: far beyond what people write, far below what overflows a stack.
const EXPRESSION_DEPTH: usize = 64;
/// Bytes of one string: outputs of hosts are bounded far lower.
const STRING_SIZE: usize = 64 << 20;
/// Items of one array or object map.
const COLLECTION_SIZE: usize = 1 << 20;

/// An engine with everything registered that scripts can use.
///
/// # Errors
/// A stdlib module of the project or the user that does not compile.
pub(crate) fn build(context: &Context) -> Result<(Engine, Vec<Loaded>), Failure> {
    let mut engine = Engine::new();
    engine
        .set_max_call_levels(CALL_LEVELS)
        .set_max_expr_depths(EXPRESSION_DEPTH, EXPRESSION_DEPTH)
        .set_max_string_size(STRING_SIZE)
        .set_max_array_size(COLLECTION_SIZE)
        .set_max_map_size(COLLECTION_SIZE)
        .set_max_functions(10_000)
        .set_max_modules(1_000)
        .set_strict_variables(true)
        // The check has to see what is written.
        .set_optimization_level(OptimizationLevel::None)
        .set_fail_on_invalid_map_property(true)
        .set_module_resolver(ProjectModules::new(context.project()));
    engine.set_default_tag(Dynamic::from(context.clone()));

    let watched = context.clone();
    engine.on_progress(move |_| watched.runtime().is_interrupted().then_some(Dynamic::UNIT));
    let printer = context.clone();
    engine.on_print(move |text| printer.emit(Event::Data(Value::from(text))));
    let debugger = context.clone();
    engine.on_debug(move |text, source, position| {
        let place = source.map(|source| format!("{source}:{}: ", position.line().unwrap_or(0)));
        debugger.message(Level::Debug, format!("{}{text}", place.unwrap_or_default()));
    });

    if context.is_plan() {
        watch_unknowns(&mut engine);
    }
    register(&mut engine);
    let modules = register_stdlib(&mut engine, context)?;
    // Only now is everything there that an imported module may call.
    engine.set_module_resolver(ProjectModules::new(context.project()).checked(context.check()));
    Ok((engine, modules))
}

/// A stdlib module as it was compiled, to be checked like a recipe.
pub(crate) struct Loaded {
    pub origin: String,
    /// Part of the binary, and checked when that was tested.
    pub embedded: bool,
    pub text: Arc<str>,
    pub ast: AST,
}

/// Registers every stdlib module as a namespace of its stem. Modules may use each other: their names
/// are known before the first is compiled.
fn register_stdlib(engine: &mut Engine, context: &Context) -> Result<Vec<Loaded>, Failure> {
    let scripts = context.library().modules()?;
    for script in &scripts {
        engine.register_static_module(&script.name, Module::new().into());
    }
    let mut loaded = Vec::with_capacity(scripts.len());
    for script in &scripts {
        let origin = script.origin.to_string();
        let ast = context
            .compile(engine, script)
            .map_err(|error| Failure::of(context, &origin, &EvalAltResult::from(error)))?;
        let module = Module::eval_ast_as_new(Scope::new(), &ast, engine)
            .map_err(|error| Failure::of(context, &origin, &error))?;
        engine.register_static_module(&script.name, module.into());
        loaded.push(Loaded {
            origin,
            embedded: script.origin.path().is_none(),
            text: Arc::clone(&script.text),
            ast,
        });
    }
    Ok(loaded)
}

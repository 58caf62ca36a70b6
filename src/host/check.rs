//! What can be known of a script before it runs: every function it calls must exist.
//!
//! Strict variables make misspelt variables and namespaces compile errors; misspelt functions would
//! only be found when the call is reached, perhaps when instances already run.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Engine, Expr, FnCallExpr, Position, Stmt};

use crate::error::{Error, nearest};

/// Engine names of operators, getters and the like begin with one of these.
const INTERNAL: [&str; 4] = ["get$", "set$", "index$", "anon$"];

/// A call of something that does not exist.
pub(super) struct Mistake {
    pub error: Error,
    pub position: Position,
}

/// Functions that nearly every script calls. A script that calls nothing else needs no list of all,
/// which takes longer to make than everything else at start-up.
const COMMON: [&str; 24] = [
    "args",
    "option",
    "positional",
    "fail",
    "sleep",
    "print",
    "len",
    "map",
    "filter",
    "find",
    "some",
    "all",
    "reduce",
    "push",
    "pop",
    "split",
    "contains",
    "is_empty",
    "keys",
    "values",
    "to_string",
    "to_int",
    "trim",
    "call",
];

/// The names of all functions that can be called: `print`, `ssh::run`.
pub(super) fn known_functions(engine: &Engine) -> BTreeSet<String> {
    let name = |signature: String| signature.split('(').next().unwrap_or_default().to_owned();
    let mut known: BTreeSet<String> = engine.gen_fn_signatures(true).into_iter().map(name).collect();
    // Parts of the language that look like functions.
    known.extend(
        [
            "call",
            "curry",
            "Fn",
            "eval",
            "is_def_var",
            "is_def_fn",
            "is_shared",
            "type_of",
            "print",
            "debug",
            "to_json",
        ]
        .map(str::to_owned),
    );
    known
}

/// The calls of functions that do not exist, in the order of the script.
pub(super) fn unknown_functions<'a>(ast: &AST, known: impl Fn() -> &'a BTreeSet<String>) -> Vec<Mistake> {
    let own: BTreeSet<String> = ast.iter_functions().map(|function| function.name.to_owned()).collect();
    // Variables may hold closures, which are called as `keep.call(…)` or, as methods, by their name.
    let mut imports: BTreeSet<String> = BTreeSet::new();
    let mut keys: BTreeSet<String> = BTreeSet::new();
    ast.walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Stmt(Stmt::Import(import, _))) => {
                imports.insert(import.1.name.to_string());
            }
            Some(ASTNode::Expr(Expr::Map(map, _))) => {
                keys.extend(map.0.iter().map(|(key, _)| key.name.to_string()))
            }
            _ => {}
        }
        true
    });
    let mut mistakes = Vec::new();
    ast.walk(&mut |path| {
        let call = match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, position) | Expr::MethodCall(call, position))) => {
                Some((call, position))
            }
            Some(ASTNode::Stmt(Stmt::FnCall(call, position))) => Some((call, position)),
            _ => None,
        };
        if let Some((call, position)) = call {
            let name = qualified_name(call);
            let imported =
                call.namespace.path.first().is_some_and(|root| imports.contains(root.name.as_str()));
            let internal =
                call.op_token.is_some() || INTERNAL.iter().any(|prefix| call.name.starts_with(prefix));
            let exists = || {
                own.contains(&name)
                    || keys.contains(&name)
                    || COMMON.contains(&name.as_str())
                    || known().contains(&name)
            };
            if !imported && !internal && !exists() {
                mistakes.push(Mistake { error: explain(&name, &own, known()), position: *position });
            }
        }
        true
    });
    mistakes
}

fn qualified_name(call: &FnCallExpr) -> String {
    let mut name: String = call.namespace.path.iter().map(|part| format!("{}::", part.name)).collect();
    name.push_str(&call.name);
    name
}

fn explain(name: &str, own: &BTreeSet<String>, known: &BTreeSet<String>) -> Error {
    let error = Error::script(format!("there is no function `{name}`"));
    match nearest(name, own.iter().chain(known).map(String::as_str)) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error.with_hint("spot repl, then help, lists all functions"),
    }
}

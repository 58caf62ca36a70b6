//! What can be known of a script before it runs: every function it calls must exist.
//!
//! Strict variables make misspelt variables and namespaces compile errors; misspelt functions would
//! only be found when the call is reached, perhaps when instances already run.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use rhai::{AST, ASTNode, Dynamic, Engine, EvalAltResult, Expr, FnCallExpr, Map, Position, Stmt};

use super::arguments::Given;
use crate::error::{Error, Result, nearest};

/// Engine names of operators, getters and the like begin with one of these.
const INTERNAL: [&str; 4] = ["get$", "set$", "index$", "anon$"];

/// A call of something that does not exist.
#[derive(Debug)]
pub struct Mistake {
    /// Which function, and what was perhaps meant.
    pub error: Error,
    /// Where it is called.
    pub position: Position,
}

impl Mistake {
    /// The same as a script would have thrown it there.
    pub fn thrown(&self) -> Box<EvalAltResult> {
        let hint = self.error.hint().map_or(Dynamic::UNIT, |hint| hint.to_owned().into());
        let value: Map = [
            ("kind", Dynamic::from(self.error.kind().as_str())),
            ("code", Dynamic::UNIT),
            ("message", self.error.message().to_owned().into()),
            ("hint", hint),
            ("retryable", false.into()),
            ("causes", Dynamic::from_array(Vec::new())),
        ]
        .into_iter()
        .map(|(key, value)| (key.into(), value))
        .collect();
        Box::new(EvalAltResult::ErrorRuntime(value.into(), self.position))
    }
}

/// The check of scripts for one engine. Clones share the list of its functions, which is made when a
/// script first needs it; by then everything has to be registered.
#[derive(Debug, Clone, Default)]
pub struct Check {
    known: Arc<OnceLock<BTreeSet<String>>>,
}

impl Check {
    /// The first call of a function that does not exist.
    pub fn unknown_function(&self, engine: &Engine, ast: &AST) -> Option<Mistake> {
        let known = || self.known.get_or_init(|| known_functions(engine));
        unknown_functions(ast, known).into_iter().next()
    }

    /// Refuses arguments for a recipe that declares none, which would be lost on it.
    ///
    /// # Errors
    /// [`Usage`](crate::error::Kind::Usage), naming the first of them.
    pub fn arguments(&self, recipe: &str, ast: &AST, given: &Given) -> Result<()> {
        if given.is_empty() || calls_args(ast) {
            return Ok(());
        }
        Err(Error::usage(format!("recipe {recipe} takes no arguments, but got `{}`", given.first()))
            .with_hint("a recipe declares its arguments with args(#{…})"))
    }
}

/// Whether a script calls `args` anywhere.
pub fn calls_args(ast: &AST) -> bool {
    let mut found = false;
    ast.walk(&mut |path| {
        let call = match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, _))) | Some(ASTNode::Stmt(Stmt::FnCall(call, _))) => call,
            _ => return !found,
        };
        found |= call.name == "args" && !call.is_qualified();
        !found
    });
    found
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
fn known_functions(engine: &Engine) -> BTreeSet<String> {
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

/// Names that a script defines, besides the functions of the engine.
#[derive(Default)]
struct Names {
    functions: BTreeSet<String>,
    imports: BTreeSet<String>,
    /// Properties may hold closures, which are called like methods: `m.greet()`.
    properties: BTreeSet<String>,
}

impl Names {
    fn of(ast: &AST) -> Self {
        let mut names = Names::default();
        names.functions.extend(ast.iter_functions().map(|function| function.name.to_owned()));
        ast.walk(&mut |path| {
            match path.last() {
                Some(ASTNode::Stmt(Stmt::Import(import, _))) => {
                    names.imports.insert(import.1.name.to_string());
                }
                Some(ASTNode::Stmt(Stmt::Assignment(assignment))) => {
                    names.add_assigned(&assignment.1.lhs);
                }
                Some(ASTNode::Expr(Expr::Map(map, _))) => {
                    names.properties.extend(map.0.iter().map(|(key, _)| key.name.to_string()));
                }
                _ => {}
            }
            true
        });
        names
    }

    /// The properties in what is assigned to: `m.greet`, `m["greet"]`.
    fn add_assigned(&mut self, target: &Expr) {
        target.walk(&mut Vec::new(), &mut |path| {
            match path.last() {
                Some(ASTNode::Expr(Expr::Property(property, _))) => {
                    self.properties.insert(property.2.to_string());
                }
                Some(ASTNode::Expr(Expr::StringConstant(key, _))) => {
                    self.properties.insert(key.to_string());
                }
                _ => {}
            }
            true
        });
    }
}

/// The calls of functions that do not exist, in the order of the script.
fn unknown_functions<'a>(ast: &AST, known: impl Fn() -> &'a BTreeSet<String>) -> Vec<Mistake> {
    let names = Names::of(ast);
    let mut mistakes = Vec::new();
    ast.walk(&mut |path| {
        let (call, position, method) = match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, position))) => (call, position, false),
            Some(ASTNode::Stmt(Stmt::FnCall(call, position))) => (call, position, false),
            Some(ASTNode::Expr(Expr::MethodCall(call, position))) => (call, position, true),
            _ => return true,
        };
        let name = qualified_name(call);
        let root = call.namespace.path.first();
        let imported = root.is_some_and(|root| names.imports.contains(root.name.as_str()));
        let internal = call.op_token.is_some() || INTERNAL.iter().any(|prefix| call.name.starts_with(prefix));
        let exists = || {
            names.functions.contains(&name)
                || names.properties.contains(&name)
                || COMMON.contains(&name.as_str())
                || known().contains(&name)
        };
        if imported || internal || exists() {
            return true;
        }
        let near = nearest(&name, names.functions.iter().chain(known()).map(String::as_str));
        // Any map may hold a closure of any name: as a method, only what looks misspelt is refused.
        if near.is_some() || !method {
            mistakes.push(Mistake { error: explain(&name, near), position: *position });
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

fn explain(name: &str, near: Option<&str>) -> Error {
    let error = Error::script(format!("there is no function `{name}`"));
    match near {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error.with_hint("spot repl, then help, lists all functions"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<String> {
        let engine = Engine::new();
        let ast = engine.compile(text).unwrap();
        Check::default().unknown_function(&engine, &ast).map(|mistake| mistake.error.message().to_owned())
    }

    #[test]
    fn misspelt_functions_are_refused_and_closures_of_maps_are_not() {
        assert_eq!(refused("prnt(1)").as_deref(), Some("there is no function `prnt`"));
        assert_eq!(refused("nothing_like_it(1)").as_deref(), Some("there is no function `nothing_like_it`"));
        assert_eq!(refused("let l = []; l.psuh(1);").as_deref(), Some("there is no function `psuh`"));
        for text in [
            "let m = #{}; m.greet = || 1; m.greet()",
            // As near to `push` as the misspelling above, but a property.
            "let m = #{}; m.psuh = || 1; m.psuh()",
            "let m = #{}; m[\"psuh\"] = || 1; m.psuh()",
            "let m = #{ a: #{} }; m.a.psuh = || 1; m.a.psuh()",
            "fn use_it(plan) { plan.celebrate() }",
        ] {
            assert_eq!(refused(text), None, "{text}");
        }
    }
}

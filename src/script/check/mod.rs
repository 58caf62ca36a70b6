//! What can be known of a script before it runs: `spot check`, and what every run does first.
//!
//! Strict variables make misspelt variables and namespaces compile errors; everything else would only be
//! found when it is reached, perhaps when instances already run.

mod calls;
mod code;
mod finding;
mod flow;
mod habits;
mod known;
mod names;
mod options;
mod properties;

use std::sync::{Arc, OnceLock};

use rhai::{AST, ASTNode, Dynamic, Engine, EvalAltResult, Expr, Map, Stmt};

use super::arguments::Given;
use crate::error::{Error, Result};

pub use code::{CODES, Code, SYNTAX, Severity, code};
pub use finding::Finding;
pub(crate) use options::options_of;

use known::Known;
use names::Names;

impl Finding {
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

/// The check of scripts for one engine. Clones share what it knows of the engine, which is found out when
/// the first script is checked; by then everything has to be registered.
#[derive(Debug, Clone, Default)]
pub struct Check {
    known: Arc<OnceLock<Known>>,
}

impl Check {
    fn known(&self, engine: &Engine) -> &Known {
        self.known.get_or_init(|| Known::of(engine))
    }

    /// The first thing in a script that fails when it is reached.
    pub fn first_error(&self, engine: &Engine, text: &str, ast: &AST) -> Option<Finding> {
        let (known, names) = (self.known(engine), Names::of(ast));
        let mut findings = Vec::new();
        calls::check(ast, known, &names, &mut findings);
        properties::check(ast, known, &names, &mut findings);
        let mut findings = finding::apply_allows(text, findings);
        findings.retain(|finding| finding.severity == Severity::Error);
        findings.into_iter().min_by_key(|finding| (finding.line(), finding.column()))
    }

    /// Everything that is wrong with a script or seems to be, in its order.
    pub fn findings(&self, engine: &Engine, text: &str, ast: &AST) -> Vec<Finding> {
        let (known, names) = (self.known(engine), Names::of(ast));
        let mut findings = Vec::new();
        calls::check(ast, known, &names, &mut findings);
        properties::check(ast, known, &names, &mut findings);
        flow::check(ast, text, &mut findings);
        habits::check(ast, text, known, &names, &mut findings);
        let mut findings = finding::apply_allows(text, findings);
        findings.sort_by_key(|finding| (finding.line(), finding.column(), finding.severity));
        // One place, one finding: the worst.
        findings.dedup_by_key(|finding| (finding.line(), finding.column()));
        findings
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Option<String> {
        let engine = Engine::new();
        let ast = engine.compile(text).unwrap();
        Check::default().first_error(&engine, text, &ast).map(|finding| finding.error.message().to_owned())
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

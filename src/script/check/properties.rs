//! Properties that nothing has: of the recipe's arguments, and of any value.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, ImmutableString, Position, Stmt};

use super::code::{Severity, UNKNOWN_ARGUMENT, UNKNOWN_PROPERTY};
use super::finding::Finding;
use super::known::Known;
use super::names::Names;
use crate::error::{Error, nearest};

/// Shorter names are near to too many others.
const SHORTEST: usize = 3;
/// What these return has properties that only others know.
const FOREIGN: [&str; 1] = ["parse_json"];
/// The namespace of functions whose answers come from others.
const FOREIGN_NAMESPACE: &str = "http";
/// The options of those whose maps go to others.
const SENT: [&str; 4] = ["json", "form", "query", "headers"];

pub(super) fn check(ast: &AST, known: &Known, names: &Names, findings: &mut Vec<Finding>) {
    let arguments = Arguments::of(ast, names);
    let mut foreign = false;
    let mut reported: BTreeSet<(usize, usize)> = BTreeSet::new();
    let place = |position: Position| (position.line().unwrap_or(0), position.position().unwrap_or(0));
    let mut elsewhere: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut unknown: Vec<(ImmutableString, Position)> = Vec::new();
    ast.walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, _) | Expr::MethodCall(call, _)))
            | Some(ASTNode::Stmt(Stmt::FnCall(call, _))) => {
                let namespace = call.namespace.path.first();
                foreign |= FOREIGN.contains(&call.name.as_str())
                    || namespace.is_some_and(|root| root.name == FOREIGN_NAMESPACE);
            }
            Some(ASTNode::Expr(Expr::Dot(sides, ..))) => {
                if let Some((name, position)) = arguments.as_ref().and_then(|it| it.missing(sides, names)) {
                    reported.insert(place(position));
                    let declared = arguments.iter().flat_map(|it| it.keys.iter().map(String::as_str));
                    let error = Error::script(format!("the recipe's args do not declare `{name}`"));
                    let error = match nearest(name, declared.clone()) {
                        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                        None => error
                            .with_hint(format!("they declare: {}", declared.collect::<Vec<_>>().join(", "))),
                    };
                    findings.push(Finding::new(&UNKNOWN_ARGUMENT, error, position));
                }
            }
            Some(ASTNode::Expr(Expr::Property(property, position)))
                if !reported.contains(&place(*position)) =>
            {
                unknown.push((property.2.clone(), *position));
            }
            Some(ASTNode::Expr(Expr::Map(map, position))) => {
                // What is sent to somebody else is read there.
                let is_sent = elsewhere.contains(&place(*position));
                let sent = map.0.iter().filter(|(key, _)| is_sent || SENT.contains(&key.name.as_str()));
                let inner = sent.filter_map(|(_, value)| match value {
                    Expr::Map(_, position) => Some(place(*position)),
                    _ => None,
                });
                elsewhere.extend(inner);
                if !is_sent {
                    unknown.extend(map.0.iter().map(|(key, _)| (key.name.clone(), key.pos)));
                }
            }
            _ => {}
        }
        true
    });
    for (name, position) in &unknown {
        let (name, position) = (name.as_str(), *position);
        if name.len() < SHORTEST || known.properties.contains(name) {
            continue;
        }
        let (text, near, severity) = if names.properties.contains(name) {
            // What the script sets itself and reads elsewhere is its own affair.
            if names.occurrences.get(name) != Some(&1) {
                continue;
            }
            let near = nearest(name, known.properties.iter().map(String::as_str));
            (format!("`{name}` is set here and never read"), near, Severity::Warning)
        } else {
            let all = known.properties.iter().chain(&names.properties).map(String::as_str);
            let severity = if foreign { Severity::Warning } else { Severity::Error };
            (format!("nothing has a property `{name}`"), nearest(name, all), severity)
        };
        let Some(near) = near else { continue };
        let error = Error::script(text).with_hint(format!("did you mean `{near}`?"));
        findings.push(Finding { severity, ..Finding::new(&UNKNOWN_PROPERTY, error, position) });
    }
}

/// The variable that holds what `args(#{…})` returned.
struct Arguments {
    variable: String,
    keys: BTreeSet<String>,
}

impl Arguments {
    /// None when there is no such variable, or when its name means something else elsewhere.
    fn of(ast: &AST, names: &Names) -> Option<Self> {
        let statements: &[Stmt] = ast.as_ref();
        let found = statements.iter().find_map(|statement| {
            let Stmt::Var(variable, ..) = statement else { return None };
            let Expr::FnCall(call, _) = &variable.1 else { return None };
            let Some(Expr::Map(entries, _)) = call.args.first().filter(|_| call.name == "args") else {
                return None;
            };
            let keys = entries.0.iter().map(|(key, _)| key.name.to_string()).collect();
            Some(Arguments { variable: variable.0.name.to_string(), keys })
        })?;
        (names.declared.get(&found.variable) == Some(&1)).then_some(found)
    }

    /// The property of the variable that `variable.property…` reads, if nobody ever put it there.
    fn missing<'a>(&self, sides: &'a rhai::BinaryExpr, names: &Names) -> Option<(&'a str, Position)> {
        let Expr::Variable(variable, ..) = &sides.lhs else { return None };
        if variable.1 != self.variable || !variable.2.path.is_empty() {
            return None;
        }
        let first = match &sides.rhs {
            Expr::Dot(inner, ..) | Expr::Index(inner, ..) => &inner.lhs,
            other => other,
        };
        let Expr::Property(property, position) = first else { return None };
        let name = property.2.as_str();
        // Other maps of the script may have been added to it.
        (!self.keys.contains(name) && !names.properties.contains(name)).then_some((name, *position))
    }
}

//! Calls that would fail: of functions that do not exist, with too many arguments, of the wrong type, or
//! with options that the function does not have.

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::code::{MISSING_OPTION, UNKNOWN_FUNCTION, UNKNOWN_OPTION, WRONG_ARGUMENTS, WRONG_TYPE};
use super::finding::Finding;
use super::known::{Known, Literal, Signature};
use super::names::{CLOSURE, Names};
use super::options::{Takes, options_of};
use crate::error::{Error, nearest};

/// Engine names of operators, getters and the like begin with one of these.
const INTERNAL: [&str; 4] = ["get$", "set$", "index$", CLOSURE];

/// The calls of a script, in its order.
pub(super) fn check(ast: &AST, known: &Known, names: &Names, findings: &mut Vec<Finding>) {
    ast.walk(&mut |path| {
        let (call, position, method) = match path.last() {
            Some(ASTNode::Expr(Expr::FnCall(call, position))) => (call, *position, false),
            Some(ASTNode::Stmt(Stmt::FnCall(call, position))) => (call, *position, false),
            Some(ASTNode::Expr(Expr::MethodCall(call, position))) => (call, *position, true),
            _ => return true,
        };
        let internal = call.op_token.is_some() || INTERNAL.iter().any(|prefix| call.name.starts_with(prefix));
        let root = call.namespace.path.first();
        let imported = root.is_some_and(|root| names.imports.contains(root.name.as_str()));
        if !internal && !imported {
            let call = Call { name: qualified_name(call), call, position, method };
            findings.extend(call.wrong(known, names));
        }
        true
    });
}

struct Call<'a> {
    name: String,
    call: &'a FnCallExpr,
    position: Position,
    method: bool,
}

impl Call<'_> {
    fn wrong(&self, known: &Known, names: &Names) -> Vec<Finding> {
        let own = names.functions.get(&self.name);
        let signatures = known.functions.get(&self.name);
        // Any map may hold a closure of any name.
        let maybe_closure = names.properties.contains(&self.name);
        if own.is_none() && signatures.is_none() {
            return if maybe_closure { Vec::new() } else { self.unknown(known, names).into_iter().collect() };
        }
        // A part of the language.
        if maybe_closure || signatures.is_some_and(Vec::is_empty) {
            return Vec::new();
        }
        let given = self.call.args.len();
        // The object of a method is its first argument, or `this` in a function of the script.
        let counts =
            |count: usize| count == given + usize::from(self.method) || (self.method && count == given);
        if own.is_some_and(|own| own.iter().any(|count| counts(*count))) {
            return Vec::new();
        }
        let total = given + usize::from(self.method);
        let signatures = signatures.map(Vec::as_slice).unwrap_or_default();
        let fitting: Vec<&Signature> = signatures.iter().filter(|it| it.count == total).collect();
        if fitting.is_empty() {
            return vec![self.count(own, signatures)];
        }
        if let Some(finding) = self.types(&fitting) {
            return vec![finding];
        }
        match options_of(&self.name).filter(|_| fitting.iter().any(|it| it.has_options)) {
            Some(takes) => self.options(takes),
            None => Vec::new(),
        }
    }

    fn unknown(&self, known: &Known, names: &Names) -> Option<Finding> {
        let all = names.functions.keys().chain(known.functions.keys()).map(String::as_str);
        let near = nearest(&self.name, all.filter(|name| !name.contains('$')));
        // As a method it may be a closure in any map: only what looks misspelt is refused.
        if near.is_none() && self.method {
            return None;
        }
        let error = Error::script(format!("there is no function `{}`", self.name));
        let error = match near {
            Some(near) => error.with_hint(format!("did you mean `{near}`?")),
            None => error.with_hint("spot repl, then help, lists all functions"),
        };
        Some(Finding::new(&UNKNOWN_FUNCTION, error, self.position))
    }

    fn count(&self, own: Option<&Vec<usize>>, signatures: &[Signature]) -> Finding {
        let object = usize::from(self.method);
        let known = signatures.iter().map(|it| it.count).filter(|count| *count >= object);
        let mut counts: Vec<usize> =
            known.map(|count| count - object).chain(own.into_iter().flatten().copied()).collect();
        counts.sort_unstable();
        counts.dedup();
        let wanted: Vec<String> = counts.iter().map(ToString::to_string).collect();
        let wanted = match wanted.split_last() {
            None => "no object before the dot".to_owned(),
            Some((last, [])) => counted(last),
            Some((last, others)) => format!("{} or {}", others.join(", "), counted(last)),
        };
        let given = self.call.args.len();
        let error = Error::script(format!("`{}` takes {wanted}, and got {given}", self.name));
        let error = error.with_hint(format!("`help {}` in spot repl shows how it is called", self.name));
        Finding::new(&WRONG_ARGUMENTS, error, self.position)
    }

    /// A literal that no way to call the function takes where it stands.
    fn types(&self, fitting: &[&Signature]) -> Option<Finding> {
        let object = usize::from(self.method);
        let literals: Vec<(usize, Literal, Position)> = (object..)
            .zip(&self.call.args)
            .filter_map(|(place, argument)| Some((place, literal(argument)?, argument.position())))
            .collect();
        let takes = |signature: &&&Signature| {
            literals.iter().all(|(place, literal, _)| signature.takes(*place, *literal))
        };
        if fitting.iter().any(|signature| takes(&signature)) {
            return None;
        }
        let refused =
            |it: &&(usize, Literal, Position)| !fitting.iter().any(|signature| signature.takes(it.0, it.1));
        let (place, found, position) = literals.iter().find(refused).or(literals.first())?;
        let mut wanted: Vec<&str> = fitting.iter().filter_map(|signature| signature.wants(*place)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let wanted = if wanted.is_empty() { "something else".to_owned() } else { wanted.join(" or ") };
        let text = format!(
            "`{}`: argument {}: expected {wanted}, found {}",
            self.name,
            place - object + 1,
            found.word()
        );
        Some(Finding::new(&WRONG_TYPE, Error::script(text), *position))
    }

    /// The keys of a literal map of options, or of each map of a literal list.
    fn options(&self, takes: &Takes) -> Vec<Finding> {
        let maps: Vec<&Expr> = match self.call.args.last() {
            Some(map @ Expr::Map(..)) => vec![map],
            Some(Expr::Array(list, _)) => list.iter().filter(|item| matches!(item, Expr::Map(..))).collect(),
            _ => return Vec::new(),
        };
        let mut findings = Vec::new();
        for map in maps {
            let Expr::Map(entries, position) = map else { continue };
            for (key, _) in &entries.0 {
                if takes.has(&key.name) {
                    continue;
                }
                let error = Error::script(format!("`{}` has no option `{}`", self.name, key.name));
                let error = match nearest(&key.name, takes.all()) {
                    Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                    None => {
                        error.with_hint(format!("it takes: {}", takes.all().collect::<Vec<_>>().join(", ")))
                    }
                };
                findings.push(Finding::new(&UNKNOWN_OPTION, error, key.pos));
            }
            let given = |wanted: &&&str| entries.0.iter().any(|(key, _)| key.name == **wanted);
            for missing in takes.required.iter().filter(|wanted| !given(wanted)) {
                let error = Error::script(format!("`{}`: the option `{missing}` is missing", self.name));
                findings.push(Finding::new(&MISSING_OPTION, error, *position));
            }
        }
        findings
    }
}

fn counted(count: &str) -> String {
    format!("{count} argument{}", if count == "1" { "" } else { "s" })
}

/// How a function is called: `print`, `ssh::run`.
pub(super) fn qualified_name(call: &FnCallExpr) -> String {
    let mut name: String = call.namespace.path.iter().map(|part| format!("{}::", part.name)).collect();
    name.push_str(&call.name);
    name
}

fn literal(expression: &Expr) -> Option<Literal> {
    Some(match expression {
        Expr::IntegerConstant(..) => Literal::Integer,
        Expr::FloatConstant(..) => Literal::Float,
        Expr::StringConstant(..) | Expr::InterpolatedString(..) => Literal::Text,
        Expr::CharConstant(..) => Literal::Character,
        Expr::BoolConstant(..) => Literal::Truth,
        Expr::Array(..) => Literal::List,
        Expr::Map(..) => Literal::Object,
        Expr::Unit(_) => Literal::Nothing,
        _ => return None,
    })
}

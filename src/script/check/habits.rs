//! What works, and is probably not meant: names that are never used or hide others, secrets in the text,
//! and scripts that do not say what they do.

use rhai::{AST, ASTNode, Expr, Position, Stmt};

use super::code::{SECRET_LITERAL, SHADOWED_FUNCTION, UNDOCUMENTED, UNUSED_IMPORT, UNUSED_VARIABLE};
use super::finding::Finding;
use super::known::{Known, Signature};
use super::names::{CLOSURE, Names};
use crate::error::Error;
use crate::script::arguments::names_a_secret;

pub(super) fn check(ast: &AST, text: &str, known: &Known, names: &Names, findings: &mut Vec<Finding>) {
    ast.walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Stmt(Stmt::Var(variable, _, position))) => {
                let name = variable.0.name.as_str();
                if !names.read.contains(name) && !name.starts_with('_') {
                    let error = Error::script(format!("the variable `{name}` is never read"));
                    findings.push(Finding::new(
                        &UNUSED_VARIABLE,
                        error.with_hint(format!("`_{name}` says that it is meant so")),
                        *position,
                    ));
                }
                findings.extend(secret(name, &variable.1));
            }
            Some(ASTNode::Stmt(Stmt::Import(import, position))) => {
                let name = import.1.name.as_str();
                if !name.is_empty() && !names.roots.contains(name) {
                    let error = Error::script(format!("the module `{name}` is never used"));
                    findings.push(Finding::new(&UNUSED_IMPORT, error, *position));
                }
            }
            Some(ASTNode::Expr(Expr::Map(map, _))) => {
                for (key, value) in &map.0 {
                    findings.extend(secret(&key.name, value));
                }
            }
            Some(ASTNode::Expr(Expr::StringConstant(value, position))) if is_a_key(value) => {
                findings.push(told("a secret key stands here", *position));
            }
            _ => {}
        }
        true
    });
    // The functions of a module have its name before theirs.
    let statements: &[Stmt] = ast.as_ref();
    let is_module =
        statements.iter().all(|it| matches!(it, Stmt::Import(..) | Stmt::Var(..) | Stmt::Noop(_)));
    let own = ast.iter_functions().filter(|function| !is_module && !function.name.starts_with(CLOSURE));
    for function in own {
        let fits = |ways: &Vec<Signature>| {
            ways.is_empty() || ways.iter().any(|way| way.count == function.params.len())
        };
        if known.functions.get(function.name).is_some_and(fits) {
            let error =
                Error::script(format!("the function `{}` takes the place of a built-in one", function.name));
            findings.push(Finding::new(&SHADOWED_FUNCTION, error, declared(text, function.name)));
        }
    }
    let documented = text.lines().any(|line| line.trim_start().starts_with("//!"));
    if !documented {
        let error = Error::script("the script does not say what it does");
        let error =
            error.with_hint("lines that begin with //! at its top are what `spot list-recipes` shows");
        findings.push(Finding::new(&UNDOCUMENTED, error, Position::new(1, 0)));
    }
}

/// Where a function is declared: the engine does not keep it.
fn declared(text: &str, name: &str) -> Position {
    let is_declaration = |line: &str| {
        let rest = line.trim_start();
        let rest = rest.strip_prefix("private ").unwrap_or(rest);
        rest.strip_prefix("fn ").is_some_and(|rest| {
            rest.trim_start().strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('('))
        })
    };
    let line = text.lines().position(is_declaration).map_or(1, |index| index + 1);
    Position::new(u16::try_from(line).unwrap_or(u16::MAX), 0)
}

/// A text of some length under a name such as `api_token`.
fn secret(name: &str, value: &Expr) -> Option<Finding> {
    let Expr::StringConstant(text, position) = value else { return None };
    let plain = text.len() >= 8 && !text.contains(['/', ' ', '$', '{', ':', '*', '<']);
    (plain && names_a_secret(name)).then(|| told(&format!("`{name}` seems to be a secret"), *position))
}

fn told(text: &str, position: Position) -> Finding {
    let error = Error::script(text).with_hint("read it with sys::env, fs::read or aws::parameter");
    Finding::new(&SECRET_LITERAL, error, position)
}

/// Access keys of AWS, and private keys.
fn is_a_key(text: &str) -> bool {
    let access = ["AKIA", "ASIA"].iter().any(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            rest.len() == 16 && rest.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        })
    });
    access || (text.contains("-----BEGIN ") && text.contains("PRIVATE KEY-----"))
}

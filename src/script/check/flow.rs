//! Statements that are never reached, results that nobody looks at, and changes made in parallel.

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::calls::qualified_name;
use super::code::{IGNORED_RESULT, PARALLEL_MUTATION, UNREACHABLE};
use super::finding::Finding;
use crate::error::Error;

/// Given a list of hosts, these do not fail when hosts do.
const FALLIBLE: [&str; 5] = ["ssh::run", "ssh::script", "ssh::upload", "ssh::download", "aws::terminate"];
/// What makes a list of others, or returns one.
const LISTS: [&str; 4] = ["filter", "map", "instances", "select"];

pub(super) fn check(ast: &AST, text: &str, findings: &mut Vec<Finding>) {
    let whole: &[Stmt] = ast.as_ref();
    block(whole, true, findings);
    ast.walk(&mut |path| {
        match path.last() {
            Some(ASTNode::Stmt(Stmt::Block(inner))) => block(inner.statements(), false, findings),
            Some(ASTNode::Stmt(
                Stmt::If(flow, _) | Stmt::While(flow, _) | Stmt::Do(flow, ..) | Stmt::TryCatch(flow, _),
            )) => {
                block(flow.body.statements(), false, findings);
                block(flow.branch.statements(), false, findings);
            }
            Some(ASTNode::Stmt(Stmt::For(each, _))) => block(each.2.body.statements(), true, findings),
            Some(ASTNode::Expr(Expr::Stmt(inner))) => block(inner.statements(), false, findings),
            Some(ASTNode::Expr(Expr::FnCall(call, position)))
            | Some(ASTNode::Stmt(Stmt::FnCall(call, position)))
                if call.name == "parallel" =>
            {
                findings.extend(parallel(call, *position, text));
            }
            _ => {}
        }
        true
    });
}

/// One block; `discards` when the value of its last statement is nobody's.
fn block(statements: &[Stmt], discards: bool, findings: &mut Vec<Finding>) {
    let live: Vec<&Stmt> = statements.iter().filter(|it| !matches!(it, Stmt::Noop(_))).collect();
    for (index, statement) in live.iter().enumerate() {
        let next = live.get(index + 1);
        if let Some(next) = next.filter(|_| leaves(statement)) {
            let error = Error::script("nothing ever gets here");
            let error = error.with_hint("the statement before it leaves the block in any case");
            findings.push(Finding::new(&UNREACHABLE, error, next.position()));
            break;
        }
        if (next.is_some() || discards)
            && let Some((call, position)) = called(statement)
            && FALLIBLE.contains(&qualified_name(call).as_str())
            && call.args.first().is_some_and(is_list)
        {
            let name = qualified_name(call);
            let error =
                Error::script(format!("`{name}` does not fail when hosts do, and its results are ignored"));
            let hint = format!("let results = {name}(…), and look at `ok` and `error` of each");
            findings.push(Finding::new(&IGNORED_RESULT, error.with_hint(hint), position));
        }
    }
}

/// Whether nothing after a statement is reached.
fn leaves(statement: &Stmt) -> bool {
    match statement {
        Stmt::Return(..) | Stmt::BreakLoop(..) => true,
        Stmt::Block(inner) => inner.statements().iter().any(leaves),
        Stmt::If(flow, _) => {
            flow.body.statements().iter().any(leaves) && flow.branch.statements().iter().any(leaves)
        }
        other => called(other).is_some_and(|(call, _)| call.name == "fail" && call.namespace.is_empty()),
    }
}

fn called(statement: &Stmt) -> Option<(&FnCallExpr, Position)> {
    match statement {
        Stmt::FnCall(call, position) => Some((call, *position)),
        Stmt::Expr(expression) => match &**expression {
            Expr::FnCall(call, position) => Some((call, *position)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an expression is certainly a list.
fn is_list(expression: &Expr) -> bool {
    match expression {
        Expr::Array(..) => true,
        Expr::FnCall(call, _) | Expr::MethodCall(call, _) => LISTS.contains(&call.name.as_str()),
        Expr::Dot(sides, ..) => is_list(&sides.rhs),
        _ => false,
    }
}

/// Variables from outside that a function given to `parallel` assigns to. The engine keeps the bodies of
/// closures apart from where they stand, so that the text has to tell.
fn parallel(call: &FnCallExpr, position: Position, text: &str) -> Vec<Finding> {
    let mut captured: Vec<String> = Vec::new();
    for argument in &call.args {
        argument.walk(&mut Vec::new(), &mut |path| {
            match path.last() {
                Some(ASTNode::Stmt(Stmt::Share(shared))) => {
                    captured.extend(shared.iter().map(|(name, _)| name.name.to_string()));
                }
                Some(ASTNode::Expr(Expr::FnCall(curry, _))) if curry.name == "curry" => {
                    captured.extend(curry.args.iter().filter_map(|argument| match argument {
                        Expr::Variable(variable, ..) => Some(variable.1.to_string()),
                        _ => None,
                    }));
                }
                _ => {}
            }
            true
        });
    }
    captured.sort();
    captured.dedup();
    let Some(body) = from(text, position).map(until_closed) else { return Vec::new() };
    let changed = captured.into_iter().filter(|name| is_assigned(body, name));
    let finding = |name: String| {
        let error = Error::script(format!("workers that run in parallel change `{name}`"));
        let error = error.with_hint("return a value from the function, and combine what `parallel` returns");
        Finding::new(&PARALLEL_MUTATION, error, position)
    };
    changed.map(finding).collect()
}

/// The text from a position on.
fn from(text: &str, position: Position) -> Option<&str> {
    let (line, column) = (position.line()?, position.position().unwrap_or(1));
    let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = text.get(start..)?;
    let offset = rest.char_indices().nth(column.saturating_sub(1)).map_or(0, |(index, _)| index);
    rest.get(offset..)
}

/// Up to the parenthesis that closes the first one.
fn until_closed(text: &str) -> &str {
    let mut depth = 0_usize;
    for (index, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' if depth == 1 => return text.get(..index).unwrap_or(text),
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    text
}

/// Whether `name = …`, `name += …` or `name.push(…)` occurs.
fn is_assigned(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(index, _)| {
        let before = text.get(..index).and_then(|text| text.chars().next_back());
        let word = |character: char| character.is_alphanumeric() || character == '_' || character == '.';
        let after = text.get(index + name.len()..).unwrap_or_default();
        if before.is_some_and(word) || after.starts_with(|next: char| next.is_alphanumeric() || next == '_') {
            return false;
        }
        let after = after.trim_start();
        let operator = after.trim_start_matches(['+', '-', '*', '/', '|', '&']);
        let assigns = operator.starts_with('=') && !operator.starts_with("==") && !operator.starts_with("=>");
        assigns || after.starts_with(".push(") || after.starts_with(".insert(")
    })
}

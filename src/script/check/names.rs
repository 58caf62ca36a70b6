//! The names that a script defines and uses.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Expr, FnCallExpr, Stmt};

/// Names that a script defines, besides the functions of the engine.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Its functions, with the numbers of their parameters.
    pub functions: BTreeMap<String, Vec<usize>>,
    /// The modules that it imports, by the name it gives them.
    pub imports: BTreeSet<String>,
    /// Keys of maps, assigned properties and texts that could be one: properties may hold closures, which
    /// are called like methods (`m.greet()`).
    pub properties: BTreeSet<String>,
    /// How often each of these, and each property that is read, occurs.
    pub occurrences: BTreeMap<String, usize>,
    /// Variables and parameters that are read.
    pub read: BTreeSet<String>,
    /// The first parts of qualified names: `ssh` of `ssh::run`.
    pub roots: BTreeSet<String>,
    /// How often a variable of a name is declared, parameters of functions included.
    pub declared: BTreeMap<String, usize>,
}

/// The engine's names of functions that come from closures begin so.
pub(super) const CLOSURE: &str = "anon$";

impl Names {
    pub fn of(ast: &AST) -> Self {
        let mut names = Names::default();
        for function in ast.iter_functions() {
            names.functions.entry(function.name.to_owned()).or_default().push(function.params.len());
            // A closure has what it captures as parameters too.
            if !function.name.starts_with(CLOSURE) {
                for parameter in function.params {
                    *names.declared.entry(parameter.to_owned()).or_default() += 1;
                }
            }
        }
        ast.walk(&mut |path| {
            match path.last() {
                Some(ASTNode::Stmt(statement)) => names.add_statement(statement),
                Some(ASTNode::Expr(expression)) => names.add_expression(expression),
                _ => {}
            }
            true
        });
        names
    }

    fn declare(&mut self, name: &str) {
        *self.declared.entry(name.to_owned()).or_default() += 1;
    }

    fn count(&mut self, name: &str) {
        *self.occurrences.entry(name.to_owned()).or_default() += 1;
    }

    fn add_statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Import(import, _) => {
                self.imports.insert(import.1.name.to_string());
            }
            Stmt::Var(variable, ..) => self.declare(&variable.0.name),
            Stmt::For(each, _) => {
                self.declare(&each.0.name);
                each.1.iter().for_each(|counter| self.declare(&counter.name));
            }
            Stmt::Assignment(assignment) => self.add_assigned(&assignment.1.lhs),
            Stmt::Share(shared) => {
                for (name, _) in shared.iter() {
                    self.read.insert(name.name.to_string());
                }
            }
            Stmt::Export(export, _) => {
                self.read.insert(export.0.name.to_string());
            }
            Stmt::FnCall(call, _) => self.add_call(call),
            _ => {}
        }
    }

    fn add_expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Map(map, _) => {
                for (key, _) in &map.0 {
                    self.properties.insert(key.name.to_string());
                    self.count(&key.name);
                }
            }
            Expr::StringConstant(text, _) => {
                self.properties.insert(text.to_string());
                self.count(text);
            }
            Expr::Property(property, _) => self.count(&property.2),
            Expr::Variable(variable, ..) => {
                self.read.insert(variable.1.to_string());
                if let Some(root) = variable.2.path.first() {
                    self.roots.insert(root.name.to_string());
                }
            }
            Expr::FnCall(call, _) | Expr::MethodCall(call, _) => self.add_call(call),
            _ => {}
        }
    }

    fn add_call(&mut self, call: &FnCallExpr) {
        if let Some(root) = call.namespace.path.first() {
            self.roots.insert(root.name.to_string());
        }
    }

    /// The properties in what is assigned to: `m.greet`.
    fn add_assigned(&mut self, target: &Expr) {
        target.walk(&mut Vec::new(), &mut |path| {
            if let Some(ASTNode::Expr(Expr::Property(property, _))) = path.last() {
                self.properties.insert(property.2.to_string());
            }
            true
        });
    }
}

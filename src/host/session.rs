//! Lines typed one after the other: the REPL's half that knows the engine.

use std::time::Instant;

use rhai::{AST, Dynamic, EvalAltResult, LexError, ParseError, ParseErrorType, Scope};

use super::{Failure, Host};
use crate::script::{Given, Origin, Script};

/// What became of a line.
#[derive(Debug, Clone)]
pub enum Submission {
    /// More lines are needed before it can run.
    Incomplete,
    /// Its value.
    Value(Dynamic),
}

/// Variables and functions that live from line to line.
pub struct Session<'host> {
    host: &'host Host,
    scope: Scope<'static>,
    functions: AST,
    lines: usize,
    /// Whether the variable [`FLEET`] is the one that is set here.
    is_ours: bool,
}

/// The variable with the project's instances.
const FLEET: &str = "fleet";

impl<'host> Session<'host> {
    pub(super) fn new(host: &'host Host) -> Self {
        Session { host, scope: Scope::new(), functions: AST::empty(), lines: 0, is_ours: false }
    }

    /// Runs a line, or says that it is not complete.
    ///
    /// The state's lock is taken by the first line that changes something and given back when the
    /// line ends, so that an open prompt does not keep others waiting.
    ///
    /// # Errors
    /// [`Failure`] as from [`Host::run`]; the session goes on, also after an interrupt.
    pub fn submit(&mut self, text: &str) -> Result<Submission, Failure> {
        let _turn = self.host.turn();
        // An interrupt that came while nothing ran is for nothing.
        self.host.forget_interrupt();
        let engine = &self.host.engine;
        let context = &self.host.context;
        if text.contains(FLEET) {
            self.look_at_fleet()?;
        }
        let origin = format!("line {}", self.lines + 1);
        let script =
            Script { name: "repl".into(), origin: Origin::File(origin.clone().into()), text: text.into() };
        // Remembers the text for errors; strict variables need the scope, hence the second compile.
        let _ = context.compile(engine, &script);
        let mut ast = match engine.compile_with_scope(&self.scope, text) {
            Ok(ast) => ast,
            Err(error) if is_incomplete(&error, text) => return Ok(Submission::Incomplete),
            Err(error) => return Err(Failure::of(context, &origin, &EvalAltResult::from(error))),
        };
        self.lines += 1;
        ast.set_source(origin.clone());
        let whole = self.functions.merge(&ast);
        let started = Instant::now();
        context.begin_entry("repl", &origin, vec![text.trim().to_owned()]);
        let before = context.enter("repl", Given::default(), false);
        let depth = self.scope.len();
        let scope = &mut self.scope;
        let result = self.host.on_script_thread(|| engine.eval_ast_with_scope::<Dynamic>(scope, &whole));
        context.leave(before);
        let settled = context.settle();
        self.host.forget_interrupt();
        let result = match result {
            Ok(Ok(value)) => {
                self.functions = self.functions.merge(&ast.clone_functions_only());
                settled.map(|()| Submission::Value(value)).map_err(Failure::from)
            }
            Ok(Err(error)) => {
                // Variables of a line that failed half-way would surprise.
                self.scope.rewind(depth);
                Err(Failure::of(context, &origin, &error))
            }
            Err(error) => Err(error.into()),
        };
        let exit_code = result.as_ref().map_or_else(Failure::exit_code, |_| 0);
        let reason = result.as_ref().err().map(Failure::summary);
        context.end_entry(started.elapsed().as_secs_f64(), exit_code, reason);
        result
    }

    /// Sets `fleet` to the instances that state knows now, unless a line has made a variable of that
    /// name its own.
    fn look_at_fleet(&mut self) -> Result<(), Failure> {
        let hosts = crate::native::known_hosts(&self.host.context)?;
        match self.scope.iter().filter(|(name, ..)| *name == FLEET).count() {
            0 => drop(self.scope.push_dynamic(FLEET, hosts)),
            1 if self.is_ours => drop(self.scope.set_value(FLEET, hosts)),
            _ => return Ok(()),
        }
        self.is_ours = true;
        Ok(())
    }

    /// Ids and names of the instances that state knows; none while it cannot be read.
    pub fn instance_names(&self) -> Vec<String> {
        crate::native::host_names(&self.host.context).unwrap_or_default()
    }

    /// Names and values of the variables, oldest first.
    pub fn variables(&self) -> Vec<(String, Dynamic)> {
        self.scope.iter().map(|(name, _, value)| (name.to_owned(), value)).collect()
    }
}

/// Whether a text that does not compile might, with more lines.
fn is_incomplete(error: &ParseError, text: &str) -> bool {
    let at_end = || {
        let position = error.position();
        let lines = text.lines().count();
        let last = text.lines().last().map_or(0, |line| line.trim_end().chars().count());
        match (position.line(), position.position()) {
            (Some(line), Some(column)) => line > lines || (line == lines && column > last),
            _ => true,
        }
    };
    match error.err_type() {
        ParseErrorType::UnexpectedEOF => true,
        ParseErrorType::BadInput(LexError::UnterminatedString) => true,
        ParseErrorType::MissingToken(..) => at_end(),
        _ => false,
    }
}

//! Scripts run here: the [`Host`], its builder, and why a run failed.

mod aftermath;
mod builder;
mod engine;
mod failure;
mod reference;
mod session;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rhai::{AST, Dynamic, Engine, EvalAltResult, Scope};
use serde_json::Value;

pub use crate::cloud::plan::Mode;
pub use builder::HostBuilder;
pub use failure::{Details, Failure};
pub use reference::{Function, Reference};
pub use session::{Session, Submission};

use crate::error::{Error, Result};
use crate::native::Context;
pub use crate::native::OnFailure;
pub(crate) use crate::native::{Deployment, to_json};
use crate::script::{Argument, Finding, Given, Library, SYNTAX, Script, calls_args};
use crate::ui::{Event, Level};

/// A place where recipes run: one project, one cloud, one terminal or other consumer of events.
///
/// A host is made by [`Host::builder`]. It has no global state, prints nothing and handles no
/// signals, so several can live in one process.
///
/// One host does one thing at a time: calls of [`run`](Host::run), [`describe`](Host::describe) and
/// [`Session::submit`] from several threads wait for each other. Make a host for each thread to run
/// recipes at once. An interrupted run ends, and the host can run the next.
pub struct Host {
    context: Context,
    engine: Engine,
    modules: Vec<engine::Loaded>,
    /// Held by what runs now: the state of a run is one per host.
    turn: Mutex<()>,
}

/// What a recipe came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The value of its last expression, or what it returned.
    pub value: Value,
    /// How long it took.
    pub seconds: f64,
    /// Its outermost steps, each with the seconds it took.
    pub timeline: Vec<(String, f64)>,
}

/// A recipe as `--help` shows it.
#[derive(Debug, Clone)]
pub struct Description {
    /// The recipe.
    pub script: Script,
    /// What it declared with `args(#{…})`.
    pub arguments: Vec<Argument>,
}

/// A way to interrupt a host from another thread or a signal handler.
#[derive(Clone)]
pub struct Interrupter {
    context: Context,
}

impl Interrupter {
    /// The first call lets work under way end in good order and starts none; the second stops
    /// waiting for it. What was recorded stays recorded either way.
    ///
    /// Returns how often the current run has been interrupted by now: at 3, whoever asks has lost
    /// patience, and a program may well leave.
    pub fn interrupt(&self) -> u32 {
        self.context.runtime().interrupt()
    }

    /// Says that the program is to end soon, as a SIGTERM asks it to: what a run made is not asked about at
    /// its end any more, but kept, unless it is to be rolled back anyway.
    pub fn leave(&self) {
        self.context.stop_asking();
    }
}

impl Host {
    /// Begins to describe a host.
    pub fn builder() -> HostBuilder {
        HostBuilder::default()
    }

    fn new(context: Context) -> Result<Self, Failure> {
        let (engine, modules) = engine::build(&context)?;
        Ok(Host { context, engine, modules, turn: Mutex::default() })
    }

    /// Runs a recipe, by name or path, with the words of a command line.
    ///
    /// Blocks until it ends; inside an async runtime, call it from `spawn_blocking` or accept that
    /// the thread waits.
    ///
    /// # Errors
    /// [`Failure`], with the place in the script; its `exit_code` follows the documented table.
    pub fn run<W: Into<String>>(
        &self,
        recipe: &str,
        words: impl IntoIterator<Item = W>,
    ) -> std::result::Result<Outcome, Failure> {
        self.run_given(recipe, Given::words(words))
    }

    /// Runs a recipe with typed values: an object whose keys are those of its `args(#{…})`.
    ///
    /// # Errors
    /// As [`Host::run`]; also when `arguments` is not an object.
    pub fn run_with(&self, recipe: &str, arguments: &Value) -> std::result::Result<Outcome, Failure> {
        let values = rhai::serde::to_dynamic(arguments)
            .ok()
            .and_then(|value| value.try_cast::<rhai::Map>())
            .ok_or_else(|| Error::usage("the arguments of a recipe must be a JSON object"))?;
        self.run_given(recipe, Given::values(values))
    }

    fn run_given(&self, recipe: &str, given: Given) -> std::result::Result<Outcome, Failure> {
        let _turn = self.turn();
        let result = self.run_alone(recipe, given);
        self.forget_interrupt();
        result
    }

    fn run_alone(&self, recipe: &str, given: Given) -> std::result::Result<Outcome, Failure> {
        let script = self.context.library().recipe(recipe)?;
        let started = Instant::now();
        self.context.emit(Event::RunStarted {
            recipe: script.name.clone(),
            origin: script.origin.to_string(),
            spot_version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        // Nobody should take one deployment for another.
        if let Some(name) = self.context.deployment() {
            self.context.message(Level::Info, format!("deployment {name}"));
        }
        self.context.planning().begin();
        self.context.begin_entry(&script.name, &script.origin.to_string(), given.shown());
        let mut result = self.execute(&script, given, false).map(|(value, _)| value);
        if self.context.is_plan() {
            result = self.end_plan(result);
        }
        if let Err(failure) = &mut result {
            self.see_to_remains(failure);
        }
        match self.context.settle() {
            Err(error) if result.is_ok() => {
                let mut failure = Failure::from(error);
                self.see_to_remains(&mut failure);
                result = Err(failure);
            }
            _ => {}
        }
        let seconds = started.elapsed().as_secs_f64();
        let timeline = self.context.timeline();
        let exit_code = result.as_ref().map_or_else(Failure::exit_code, |_| 0);
        self.context.end_entry(seconds, exit_code, result.as_ref().err().map(Failure::summary));
        self.context.emit(Event::RunEnded {
            recipe: script.name.clone(),
            ok: result.is_ok(),
            exit_code,
            seconds,
            timeline: timeline.clone(),
        });
        let value = to_json(&result?);
        Ok(Outcome { value, seconds, timeline })
    }

    /// Shows the plan as a whole. A plan of calls that are not permitted is a failure.
    fn end_plan(
        &self,
        result: std::result::Result<Dynamic, Failure>,
    ) -> std::result::Result<Dynamic, Failure> {
        let (event, refused) = self.context.planning().ended(result.is_ok(), self.context.hourly());
        self.context.emit(event);
        match (result, refused) {
            (Ok(_), 1..) => Err(Error::aws(format!("{refused} of the planned calls are not permitted"))
                .with_code("UnauthorizedOperation")
                .with_hint("ask for the permissions of the actions marked above")
                .into()),
            (result, _) => result,
        }
    }

    /// What a recipe is for and which arguments it takes. The recipe runs up to its `args(#{…})`.
    ///
    /// # Errors
    /// When it does not compile, or acts before it declares its arguments.
    pub fn describe(&self, recipe: &str) -> std::result::Result<Description, Failure> {
        let _turn = self.turn();
        let result = self.describe_alone(recipe);
        self.forget_interrupt();
        result
    }

    fn describe_alone(&self, recipe: &str) -> std::result::Result<Description, Failure> {
        let script = self.context.library().recipe(recipe)?;
        let arguments = if calls_args(&self.compile(&script)?) {
            self.execute(&script, Given::default(), true)?.1
        } else {
            Vec::new()
        };
        Ok(Description { script, arguments })
    }

    /// Waits until nothing else runs on this host.
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An interrupt is for one run: the next one starts afresh.
    fn forget_interrupt(&self) {
        if self.context.runtime().is_interrupted() {
            self.context.recover();
        }
    }

    /// Gives an instance of the project the terminal of this process, or its input and output: for a
    /// shell, or for the words of a command. The instance is named by its id, the beginning of one, or
    /// its place in the state, from 1; no name means the only one. Returns the exit code of what ran.
    ///
    /// # Errors
    /// When there is no such instance, or it cannot be reached.
    pub fn shell(
        &self,
        instance: Option<&str>,
        command: &[String],
        tty: bool,
    ) -> std::result::Result<u8, Failure> {
        let _turn = self.turn();
        let result = crate::native::open_shell(&self.context, instance, command, tty);
        let settled = self.context.settle();
        self.forget_interrupt();
        let code = result?;
        settled?;
        Ok(code)
    }

    /// Compiles a recipe without running it.
    ///
    /// # Errors
    /// Syntax errors, unknown variables, namespaces and functions, with their place.
    pub fn check(&self, recipe: &str) -> std::result::Result<(), Failure> {
        let script = self.context.library().recipe(recipe)?;
        self.compile(&script).map(drop)
    }

    /// Reads a recipe, and nothing more: whether its syntax is right and all its variables exist.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn parse(&self, recipe: &str) -> std::result::Result<(), Failure> {
        let script = self.context.library().recipe(recipe)?;
        let parsed = self.context.compile(&self.engine, &script);
        parsed.map(drop).map_err(|error| {
            Failure::of(&self.context, &script.origin.to_string(), &EvalAltResult::from(error))
        })
    }

    /// Everything that is wrong with a script, or seems to be, in its order: what `spot check` shows. What
    /// has the severity of an error keeps the script from running.
    pub fn findings(&self, script: &Script) -> Vec<Finding> {
        match self.context.compile(&self.engine, script) {
            Ok(ast) => self.context.check().findings(&self.engine, &script.text, &ast),
            Err(error) => {
                let position = error.position();
                let failure =
                    Failure::of(&self.context, &script.origin.to_string(), &EvalAltResult::from(error));
                vec![Finding {
                    code: &SYNTAX,
                    severity: SYNTAX.severity,
                    error: failure.error.clone(),
                    position,
                }]
            }
        }
    }

    /// A session for lines typed one after the other.
    pub fn session(&self) -> Session<'_> {
        Session::new(self)
    }

    /// The recipes and modules that this host finds.
    pub fn library(&self) -> &Library {
        self.context.library()
    }

    /// Interrupts this host from elsewhere.
    pub fn interrupter(&self) -> Interrupter {
        Interrupter { context: self.context.clone() }
    }

    /// All functions that recipes can call, with their texts.
    ///
    /// # Errors
    /// [`Internal`](crate::Kind::Internal) when the engine's metadata cannot be read.
    pub fn reference(&self) -> Result<Reference> {
        Reference::of(self)
    }

    fn metadata(&self) -> Result<String> {
        self.engine
            .gen_fn_metadata_to_json(false)
            .map_err(|error| Error::internal("the reference could not be made").with_source(error))
    }

    fn compile(&self, script: &Script) -> std::result::Result<AST, Failure> {
        let origin = script.origin.to_string();
        let ast = self
            .context
            .compile(&self.engine, script)
            .map_err(|error| Failure::of(&self.context, &origin, &EvalAltResult::from(error)))?;
        self.refuse_errors(&origin, &script.text, &ast)?;
        for module in self.modules.iter().filter(|module| !module.embedded) {
            self.refuse_errors(&module.origin, &module.text, &module.ast)?;
        }
        Ok(ast)
    }

    fn refuse_errors(&self, origin: &str, text: &str, ast: &AST) -> std::result::Result<(), Failure> {
        let found = self.context.check().first_error(&self.engine, text, ast);
        let Some(finding) = found else { return Ok(()) };
        let mut failure = Failure::from(finding.error);
        failure.source = failure::source_frame(&self.context, origin, finding.position);
        Err(failure)
    }

    /// Runs a script on a thread of its own, whose stack fits the depth that scripts may reach.
    fn execute(
        &self,
        script: &Script,
        given: Given,
        describe: bool,
    ) -> std::result::Result<(Dynamic, Vec<Argument>), Failure> {
        let ast = self.compile(script)?;
        self.context.check().arguments(&script.name, &ast, &given)?;
        let before = self.context.enter(&script.name, given, describe);
        let result =
            self.on_script_thread(|| self.engine.eval_ast_with_scope::<Dynamic>(&mut Scope::new(), &ast));
        let declared = self.context.leave(before).unwrap_or_default();
        match result? {
            Ok(value) => Ok((value, declared)),
            Err(error)
                if describe
                    && matches!(*error, EvalAltResult::ErrorTerminated(ref value, _) if value.is_unit()) =>
            {
                Ok((Dynamic::UNIT, declared))
            }
            Err(error) => Err(Failure::of(&self.context, &script.origin.to_string(), &error)),
        }
    }

    fn on_script_thread<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("spot-script".to_owned())
                .stack_size(Context::STACK_SIZE)
                .spawn_scoped(scope, work)
                .map_err(|error| {
                    Error::internal("the script thread could not be started").with_source(error)
                })?;
            thread.join().map_err(|_| Error::internal("the script thread panicked"))
        })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A session may have left sessions and the lock open; there is nobody to tell of a failure.
        let _ = self.context.settle();
    }
}

//! What a native function may touch: the project, the cloud, the hosts, the state, the terminal.
//!
//! One context belongs to one [`Host`](crate::Host). It reaches every native function through the
//! engine's default tag, also from modules and from closures on other threads; there are no globals.

use std::collections::{BTreeSet, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use rhai::{AST, Engine, Map, NativeCallContext, ParseError};

use super::on_failure::OnFailure;
use super::past::Entry;
use super::planning::Planning;
use super::rollback::Made;
use super::runtime::{self, Runtime};
use super::shared_state;
use crate::cloud::plan::read_only;
use crate::cloud::{
    Answered, Cloud, Endpoint, ImageCache, IntentId, Listener, Settings as CloudSettings, ec2,
};
use crate::config::{self, Config, SharedState};
use crate::control::Control;
use crate::error::{Error, Result, nearest};
use crate::http::Client;
use crate::retry::Retry;
use crate::script::{Argument, Check, Given, Library, Script};
use crate::ssh::{ConfigFiles, FirstContact, Passphrases, Settings as SshSettings, Ssh, Witness, keys};
use crate::state::{Document, Holder, Store, Writer};
use crate::ui::{Answer, Event, Level, Question, Ui, Unit};

/// How long a second writer waits for the first before it gives up with exit code 4.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Where a run takes place; filled in by [`HostBuilder`](crate::HostBuilder).
pub(crate) struct Place {
    pub project: PathBuf,
    pub config: Option<PathBuf>,
    /// Folder of `instances.json`, `.spot/known_hosts` and the project's own key.
    pub state: PathBuf,
    /// The name of the deployment; `None` is the default one.
    pub deployment: Option<String>,
    /// Where a team shares the state.
    pub shared: Option<SharedState>,
    pub endpoint: Endpoint,
    pub ssh_port: Option<u16>,
    /// The control API of the sandbox, in one.
    pub sandbox: Option<Control>,
    pub allowed: Vec<PathBuf>,
    pub lock_wait: Option<Duration>,
    pub user: Option<PathBuf>,
    pub cloud: Option<Arc<dyn Cloud>>,
    /// What every pause and time limit is multiplied with.
    pub time_scale: f64,
    /// What the run may change.
    pub planning: Arc<Planning>,
    /// What becomes of what a failed run made, as the command line or the embedding program has it.
    pub on_failure: Option<OnFailure>,
}

/// The state of one run, and of the runs that it starts with `run`.
#[derive(Default)]
struct Run {
    recipe: String,
    given: Given,
    declared: Option<Vec<Argument>>,
    /// Only the declaration of arguments is wanted (`--help`): nothing may act.
    describe: bool,
    depth: usize,
    /// The open steps of the script's own thread, innermost last.
    steps: Vec<u64>,
    /// The open steps of each worker of `parallel`, below the one that was open when it began.
    workers: HashMap<ThreadId, Vec<u64>>,
    timeline: Vec<(String, f64)>,
    /// Ids of the instances launched in this run.
    launched: Vec<String>,
    /// What the entries of the journal made in this run, in their order.
    made: Vec<(IntentId, Made)>,
    /// What becomes of that if the run fails, as the recipe has it.
    on_failure: Option<OnFailure>,
}

impl Run {
    /// The open steps of the thread that asks.
    fn steps_here(&mut self) -> &mut Vec<u64> {
        self.workers.get_mut(&std::thread::current().id()).unwrap_or(&mut self.steps)
    }
}

struct Inner {
    place: Place,
    library: Library,
    check: Check,
    runtime: Runtime,
    ui: Arc<dyn Ui>,
    store: Store,
    writer: Mutex<Option<Writer>>,
    /// What the project's history says of this run.
    entry: Entry,
    config: Mutex<Option<Arc<Config>>>,
    cloud: Mutex<Option<Arc<dyn Cloud>>>,
    ssh: Mutex<Option<Ssh>>,
    http: OnceLock<Client>,
    run: Mutex<Run>,
    steps: AtomicU64,
    /// The bars of recipes: title, done, total.
    bars: Mutex<HashMap<u64, (String, u64, u64)>>,
    /// Whether the process is to end: nobody is asked anything that can be left as it is.
    leaving: AtomicBool,
    /// Text of every script that was compiled, by origin: errors show the line they are about.
    sources: Mutex<HashMap<String, Arc<str>>>,
}

fn call_event(answered: Answered) -> Event {
    Event::Call {
        service: answered.service,
        region: answered.region,
        action: answered.action,
        status: answered.status,
        request_id: answered.request_id,
        seconds: answered.took.as_secs_f64(),
        error: answered.error,
    }
}

/// The handle that natives get; cheap to clone.
#[derive(Clone)]
pub(crate) struct Context(Arc<Inner>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    /// Stack of the threads that scripts run on.
    pub const STACK_SIZE: usize = runtime::STACK_SIZE;

    pub fn new(place: Place, ui: Arc<dyn Ui>) -> Self {
        let cloud = Mutex::new(place.cloud.clone());
        let writes = place.planning.mode() == crate::cloud::plan::Mode::Act;
        let (shared, named) = (place.shared.as_ref(), place.deployment.as_deref());
        let store = shared_state::open(&place.state, shared, named, &place.endpoint, writes, &ui);
        Context(Arc::new(Inner {
            library: Library::new(&place.project, place.user.clone()),
            store,
            place,
            check: Check::default(),
            runtime: Runtime::default(),
            ui,
            writer: Mutex::default(),
            entry: Entry::default(),
            config: Mutex::default(),
            cloud,
            ssh: Mutex::default(),
            http: OnceLock::new(),
            run: Mutex::default(),
            steps: AtomicU64::new(1),
            bars: Mutex::default(),
            leaving: AtomicBool::new(false),
            sources: Mutex::default(),
        }))
    }

    /// The context of the engine that makes this call.
    pub fn of(call: &NativeCallContext) -> Result<Context> {
        call.tag()
            .and_then(|tag| tag.clone().try_cast::<Context>())
            .ok_or_else(|| Error::internal("this engine was not built by spot::Host"))
    }

    pub fn runtime(&self) -> &Runtime {
        &self.0.runtime
    }

    pub fn library(&self) -> &Library {
        &self.0.library
    }

    /// What can be known of a script before it runs.
    pub fn check(&self) -> &Check {
        &self.0.check
    }

    pub fn project(&self) -> &Path {
        &self.0.place.project
    }

    /// The control API of the sandbox that the run works in, if it does.
    pub fn sandbox(&self) -> Option<&Control> {
        self.0.place.sandbox.as_ref()
    }

    /// How spot has to be called to work on the same things, for hints.
    pub fn called(&self) -> String {
        let sandbox = if self.sandbox().is_some() { " --sandbox" } else { "" };
        let deployment = self.deployment().map(|name| format!(" --deployment {name}")).unwrap_or_default();
        format!("spot{sandbox}{deployment}")
    }

    /// The name of the deployment that is worked on; `None` is the default one.
    pub fn deployment(&self) -> Option<&str> {
        self.0.place.deployment.as_deref()
    }

    /// The region that the command line or the embedding program asked for.
    pub fn asked_region(&self) -> Option<&str> {
        self.0.place.endpoint.region.as_deref()
    }

    pub fn ui(&self) -> &Arc<dyn Ui> {
        &self.0.ui
    }

    pub fn emit(&self, event: Event) {
        self.0.ui.emit(event);
    }

    pub fn message(&self, level: Level, text: impl Into<String>) {
        self.emit(Event::Message { level, text: text.into(), hint: None });
    }

    /// The project's configuration, loaded and checked once; its warnings are shown then.
    pub fn config(&self) -> Result<Arc<Config>> {
        let mut slot = lock(&self.0.config);
        if let Some(config) = slot.as_ref() {
            return Ok(Arc::clone(config));
        }
        let loaded = config::load(self.project(), self.0.place.config.as_deref())?;
        for warning in &loaded.warnings {
            self.emit(Event::Message {
                level: Level::Warning,
                text: format!(
                    "{}:{}:{}: {}",
                    warning.file.display(),
                    warning.line,
                    warning.column,
                    warning.message
                ),
                hint: warning.hint.clone(),
            });
        }
        let config = Arc::new(loaded);
        *slot = Some(Arc::clone(&config));
        Ok(config)
    }

    /// The cloud, connected at the first call that needs it.
    pub fn cloud(&self) -> Result<Arc<dyn Cloud>> {
        self.act()?;
        if let Some(cloud) = lock(&self.0.cloud).as_ref() {
            return Ok(Arc::clone(cloud));
        }
        let settings = self.cloud_settings();
        let cancel = self.0.runtime.cancellation();
        let mut slot = lock(&self.0.cloud);
        let cloud = slot.get_or_insert_with(|| {
            let planning = self.planning();
            let observer = planning.observer(&self.0.ui);
            let ui = Arc::clone(&self.0.ui);
            let listener = Listener::new(move |answered| ui.emit(call_event(answered)));
            let endpoint = Endpoint { listener: Some(listener), ..self.0.place.endpoint.clone() };
            Arc::new(ec2::Ec2::watched(endpoint, settings, cancel, planning.mode(), observer))
        });
        Ok(Arc::clone(cloud))
    }

    /// How patiently the cloud is spoken to. A broken configuration keeps nobody from looking and
    /// destroying: it is the usual patience then.
    fn cloud_settings(&self) -> CloudSettings {
        let patience = self.config().map(|config| config.aws.clone()).unwrap_or_default();
        let mut settings = CloudSettings::for_endpoint(&self.0.place.endpoint);
        settings.connect_timeout = Duration::from_secs(patience.connect_timeout);
        settings.read_timeout = Duration::from_secs(patience.read_timeout);
        settings.retry.attempts = patience.attempts;
        settings.retry.deadline = Duration::from_secs(patience.retry_timeout);
        if !self.is_plan() {
            settings.images = self.private_folder().ok().map(|folder| ImageCache::in_folder(&folder));
        }
        if self.is_plan() {
            // What is planned shows at once, and nothing is worth waiting for.
            settings.visibility = Duration::ZERO;
            settings.dependency_timeout = Duration::ZERO;
        }
        settings.scaled(self.0.place.time_scale)
    }

    /// The time where the cloud is: a sandbox has a clock of its own.
    pub fn now(&self) -> Result<jiff::Timestamp> {
        let Some(control) = self.sandbox() else { return Ok(jiff::Timestamp::now()) };
        let told = control.get("/_sandbox/clock")?;
        let now = told.get("now").and_then(serde_json::Value::as_str).and_then(|now| now.parse().ok());
        now.ok_or_else(|| Error::internal("the sandbox does not say what time it is there"))
    }

    /// A pause or a time limit as long as it is to be in this run.
    pub fn scaled(&self, time: Duration) -> Duration {
        match self.0.place.time_scale {
            1.0 => time,
            factor => time.mul_f64(factor),
        }
    }

    /// Whether the cloud is elsewhere, so that what it does takes a while to show.
    pub fn is_remote(&self) -> bool {
        !CloudSettings::for_endpoint(&self.0.place.endpoint).visibility.is_zero()
    }

    /// What this run may change, and what it would have.
    pub fn planning(&self) -> &Arc<Planning> {
        &self.0.place.planning
    }

    /// Whether this run only says what it would do.
    pub fn is_plan(&self) -> bool {
        self.planning().mode().is_plan()
    }

    /// Whether something that changes something is to be done; in a plan it is noted instead.
    ///
    /// # Errors
    /// `ReadOnly` in a run that may only read.
    pub fn may(&self, namespace: &str, text: impl FnOnce() -> String, hosts: Vec<String>) -> Result<bool> {
        self.act()?;
        self.planning().may(self.0.ui.as_ref(), namespace, text, hosts)
    }

    /// Refuses a change of the state in a run that may only read; a plan changes its copy.
    ///
    /// # Errors
    /// `ReadOnly`, naming `function`.
    pub fn may_keep(&self, function: &str) -> Result<()> {
        match self.planning().mode() {
            crate::cloud::plan::Mode::ReadOnly => Err(read_only(function)),
            _ => Ok(()),
        }
    }

    /// US dollars an hour of the instances that this run has launched, or would; as far as known.
    pub fn hourly(&self) -> Option<f64> {
        let document = self.document().ok()?;
        let launched = self.launched();
        let prices = launched.iter().filter_map(|id| document.instance(id)?.price);
        prices.fold(None, |sum, price| Some(sum.unwrap_or(0.0) + price))
    }

    /// Lets a session go on after an interrupt: what was cancelled is made anew when it is needed.
    pub fn recover(&self) {
        self.0.runtime.reset();
        *lock(&self.0.cloud) = self.0.place.cloud.clone();
        *lock(&self.0.ssh) = None;
    }

    /// The connections of this run to web services.
    pub fn http(&self) -> Client {
        let retry = || Retry::default().scaled(self.0.place.time_scale);
        self.0.http.get_or_init(|| Client::new(retry())).clone()
    }

    /// The SSH sessions of this run.
    pub fn ssh(&self) -> Result<Ssh> {
        self.act()?;
        let mut slot = lock(&self.0.ssh);
        if let Some(ssh) = slot.as_ref() {
            return Ok(ssh.clone());
        }
        let config = self.config()?;
        let usual = SshSettings::default();
        let settings = SshSettings {
            identities: vec![self.private_key()?],
            use_agent: true,
            passphrases: Some(self.passphrases()),
            config: self.openssh_files(),
            known_hosts: self.private_folder()?.join("known_hosts"),
            first_contact: self.first_contact(&config.ssh.first_contact),
            connect_timeout: self.scaled(Duration::from_secs(config.ssh.connect_timeout)),
            retry: usual.retry.scaled(self.0.place.time_scale),
            wait_pause: self.scaled(usual.wait_pause),
            ..usual
        };
        let ssh = Ssh::new(settings, self.0.runtime.cancellation())?;
        *slot = Some(ssh.clone());
        Ok(ssh)
    }

    /// The keys of hosts that are known, to forget them. Needs neither a key nor a valid configuration:
    /// destroying must work without both.
    pub fn host_keys(&self) -> Result<Ssh> {
        let settings =
            SshSettings { known_hosts: self.private_folder()?.join("known_hosts"), ..SshSettings::default() };
        Ssh::new(settings, self.0.runtime.cancellation())
    }

    /// What a host's key is held against at the first contact: what the console of the instance tells.
    fn first_contact(&self, asked: &str) -> FirstContact {
        // The context has the connections, which are not to keep it.
        let context = Arc::downgrade(&self.0);
        let witness = Witness::new(move |target| {
            let spot = context.upgrade().map(Context);
            Box::pin(async move {
                let Some(spot) = spot else { return Ok(Vec::new()) };
                // Of hosts that are no instances of ours there is no console to ask for.
                let region = spot.document()?.instance(&target.id).map(|instance| instance.region.clone());
                match region {
                    Some(region) => spot.cloud()?.host_keys(&region, &target.id).await,
                    None => Ok(Vec::new()),
                }
            })
        });
        match asked {
            "confirmed" => FirstContact::Require(witness),
            "trust" => FirstContact::Trust,
            _ => FirstContact::Ask(witness),
        }
    }

    /// Passphrases are asked of whoever sits at the terminal.
    fn passphrases(&self) -> Passphrases {
        let ui = Arc::clone(self.ui());
        Passphrases::new(move |question| match ui.ask(&Question::Secret { text: question.to_owned() })? {
            Answer::Secret(passphrase) => Ok(passphrase),
            _ => Err(Error::internal("a question for a secret got another answer")),
        })
    }

    /// OpenSSH's configuration. The hosts of a sandbox are on this machine: it says nothing of them.
    fn openssh_files(&self) -> Option<ConfigFiles> {
        if self.0.place.ssh_port.is_some() {
            return None;
        }
        let home = etcetera::home_dir().ok()?;
        let system = Some(PathBuf::from("/etc/ssh/ssh_config"));
        Some(ConfigFiles { user: home.join(".ssh/config"), system, home })
    }

    /// The port on which hosts are reached: the sandbox's, otherwise the configured one.
    pub fn ssh_port(&self) -> Result<u16> {
        match self.0.place.ssh_port {
            Some(port) => Ok(port),
            None => Ok(self.config()?.ssh.port),
        }
    }

    /// The private key with which hosts are reached: the configured one, otherwise a key of the
    /// project's own, made at its first use.
    pub fn private_key(&self) -> Result<PathBuf> {
        if let Some(path) = &self.config()?.ssh.private_key {
            keys::check_private(path)?;
            return Ok(path.clone());
        }
        let path = self.private_folder()?.join("id_ed25519");
        if path.exists() {
            keys::check_private(&path)?;
        } else {
            keys::generate(&path, "spot project key")?;
        }
        Ok(path)
    }

    /// The public half of [`Context::private_key`], as a line of `authorized_keys`.
    pub fn public_key(&self) -> Result<String> {
        let config = self.config()?;
        if let Some(path) = &config.ssh.public_key {
            let text = std::fs::read_to_string(path).map_err(|error| {
                Error::config(format!("the public key {} cannot be read", path.display())).with_source(error)
            })?;
            return Ok(text.trim().to_owned());
        }
        keys::public_line(&self.private_key()?)
    }

    /// `.spot/` beside the state, made with mode 0700.
    pub fn private_folder(&self) -> Result<PathBuf> {
        self.0.store.private_folder()
    }

    /// What is known of the project's instances and networks; never waits.
    pub fn document(&self) -> Result<Document> {
        self.0.store.read()
    }

    /// The right to change the state, taken at the first change and kept until the run ends.
    pub fn writer(&self) -> Result<Writer> {
        self.act()?;
        let open = lock(&self.0.writer).clone();
        if let Some(writer) = open {
            return Ok(writer);
        }
        let command = format!("spot {}", lock(&self.0.run).recipe);
        let wait = self.0.place.lock_wait.unwrap_or(LOCK_WAIT);
        let tell = |holder: &Holder| {
            self.message(Level::Warning, format!("waiting for another run to end: {holder}"));
        };
        // Nothing is locked here meanwhile: the store itself sees to it that threads share one writer.
        let interrupted = || self.0.runtime.is_interrupted();
        let writer = self.0.store.writer_unless(&command, wait, &tell, &interrupted)?;
        *lock(&self.0.writer) = Some(writer.clone());
        if let Err(error) = self.0.entry.taken(&self.0.store, &writer) {
            self.message(Level::Warning, format!("the history lacks this run: {}", error.message()));
        }
        Ok(writer)
    }

    /// Gives up the right to change the state until the next change; returns whether it was held.
    pub fn release_writer(&self) -> bool {
        let writer = lock(&self.0.writer).take();
        if let Some(writer) = &writer {
            self.0.entry.given_back(writer);
        }
        writer.is_some()
    }

    /// Says what is about to run, for the history; it is written down when it first changes something.
    pub fn begin_entry(&self, recipe: &str, origin: &str, arguments: Vec<String>) {
        self.0.entry.expect(recipe, origin, arguments);
    }

    /// Writes down how the run ended, if it is in the history.
    pub fn end_entry(&self, seconds: f64, exit_code: u8, error: Option<String>) {
        if let Err(error) = self.0.entry.end(&self.0.store, seconds, exit_code, error) {
            self.message(
                Level::Warning,
                format!("the history lacks the end of this run: {}", error.message()),
            );
        }
    }

    /// Refuses to act while only a recipe's declaration is wanted.
    pub fn act(&self) -> Result<()> {
        if lock(&self.0.run).describe {
            return Err(Error::script("the recipe acts before it has called args()")
                .with_hint("call args(#{…}) before the first function of aws::, ssh:: or state::"));
        }
        Ok(())
    }

    /// A path of the project, or of a folder that was allowed, with links resolved.
    ///
    /// # Errors
    /// When it leads elsewhere: recipes reach only the project's folder unless permitted.
    pub fn local_path(&self, path: &str) -> Result<PathBuf> {
        let joined = self.project().join(path);
        let real = resolve(&joined)
            .map_err(|error| Error::script(format!("the path `{path}` cannot be used")).with_source(error))?;
        let roots = std::iter::once(self.project()).chain(self.0.place.allowed.iter().map(PathBuf::as_path));
        for root in roots {
            if root.canonicalize().is_ok_and(|root| real.starts_with(root)) {
                return Ok(real);
            }
        }
        Err(Error::script(format!("`{path}` is outside the project folder {}", self.project().display()))
            .with_code("PathNotAllowed")
            .with_hint(format!("run with --allow {} to permit it", parent_text(&real))))
    }

    /// A path as people call it: from the project's folder, if it is there.
    pub fn local_name(&self, path: &Path) -> String {
        let root = self.project().canonicalize().unwrap_or_else(|_| self.project().to_owned());
        path.strip_prefix(&root)
            .or_else(|_| path.strip_prefix(self.project()))
            .unwrap_or(path)
            .display()
            .to_string()
    }

    /// Compiles a script so that its errors can name and show their line.
    pub fn compile(&self, engine: &Engine, script: &Script) -> std::result::Result<AST, ParseError> {
        let origin = script.origin.to_string();
        lock(&self.0.sources).insert(origin.clone(), Arc::clone(&script.text));
        let mut ast = engine.compile(script.source())?;
        ast.set_source(origin);
        Ok(ast)
    }

    /// Line number `line` (from 1) of a script that was compiled.
    pub fn source_line(&self, origin: &str, line: usize) -> Option<String> {
        let sources = lock(&self.0.sources);
        sources.get(origin)?.lines().nth(line.checked_sub(1)?).map(str::to_owned)
    }

    /// The word of the scripts that is most like `name`, and not the same: what was meant by a
    /// property that is not there.
    pub fn similar_word(&self, name: &str) -> Option<String> {
        let sources = lock(&self.0.sources);
        let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
        let words: BTreeSet<&str> = sources
            .values()
            .flat_map(|text| text.split(|letter| !is_word(letter)))
            .filter(|word| *word != name && word.len() > 1)
            .collect();
        nearest(name, words).map(str::to_owned)
    }

    // ---- the run -------------------------------------------------------------------------------

    /// Begins a run (`depth` 0) or a recipe run by another one; returns what to restore at its end.
    pub fn enter(&self, recipe: &str, given: Given, describe: bool) -> Entered {
        let mut run = lock(&self.0.run);
        let before = Entered {
            recipe: std::mem::replace(&mut run.recipe, recipe.to_owned()),
            given: std::mem::replace(&mut run.given, given),
            declared: run.declared.take(),
            describe: run.describe,
        };
        run.describe = describe || run.describe;
        run.depth += 1;
        if run.depth == 1 {
            run.timeline.clear();
            run.launched.clear();
            run.made.clear();
            run.on_failure = None;
            run.steps.clear();
            run.workers.clear();
        }
        before
    }

    /// Ends what [`Context::enter`] began and returns the arguments that the recipe declared.
    pub fn leave(&self, before: Entered) -> Option<Vec<Argument>> {
        let mut run = lock(&self.0.run);
        run.depth = run.depth.saturating_sub(1);
        run.recipe = before.recipe;
        run.given = before.given;
        run.describe = before.describe;
        std::mem::replace(&mut run.declared, before.declared)
    }

    /// How many recipes run inside each other now.
    pub fn depth(&self) -> usize {
        lock(&self.0.run).depth
    }

    /// Records the declaration of arguments and gives their values; `None` when only the
    /// declaration was wanted.
    pub fn declare(&self, declared: Vec<Argument>) -> Result<Option<Map>> {
        declared.iter().try_for_each(Argument::check_name)?;
        let mut run = lock(&self.0.run);
        if run.declared.is_some() {
            return Err(
                Error::script("args() was called twice").with_hint("declare all arguments in one args(#{…})")
            );
        }
        let values = if run.describe { None } else { Some(run.given.resolve(&run.recipe, &declared)?) };
        run.declared = Some(declared);
        Ok(values)
    }

    /// Shows a step while `work` runs; steps inside it are shown below it.
    pub fn step<T, E>(
        &self,
        title: &str,
        work: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let id = self.0.steps.fetch_add(1, Ordering::Relaxed);
        let parent = {
            let mut run = lock(&self.0.run);
            let steps = run.steps_here();
            let parent = steps.last().copied();
            steps.push(id);
            parent
        };
        self.emit(Event::StepStarted { id, parent, title: title.to_owned() });
        let started = Instant::now();
        let result = work();
        let seconds = started.elapsed().as_secs_f64();
        {
            let mut run = lock(&self.0.run);
            run.steps_here().retain(|step| *step != id);
            if parent.is_none() {
                run.timeline.push((title.to_owned(), seconds));
            }
        }
        self.emit(Event::StepEnded {
            id,
            title: title.to_owned(),
            ok: result.is_ok(),
            seconds,
            detail: None,
        });
        result
    }

    /// The innermost open step of the thread that asks.
    pub fn current_step(&self) -> Option<u64> {
        lock(&self.0.run).steps_here().last().copied()
    }

    /// Runs a worker of `parallel` on the thread that calls: its steps are shown below `parent`, and
    /// not below those of the other workers.
    pub fn as_worker<T>(&self, parent: Option<u64>, work: impl FnOnce() -> T) -> T {
        let this = std::thread::current().id();
        lock(&self.0.run).workers.insert(this, parent.into_iter().collect());
        let result = work();
        lock(&self.0.run).workers.remove(&this);
        result
    }

    /// Whether the thread that asks is a worker of `parallel`.
    pub fn is_worker(&self) -> bool {
        lock(&self.0.run).workers.contains_key(&std::thread::current().id())
    }

    /// A bar for so many things, until [`end_bar`](Self::end_bar).
    pub fn begin_bar(&self, title: &str, total: u64) -> u64 {
        let id = self.next_id();
        lock(&self.0.bars).insert(id, (title.to_owned(), 0, total));
        self.emit(Event::Progress {
            id,
            title: title.to_owned(),
            done: 0,
            total: Some(total),
            unit: Unit::Items,
        });
        id
    }

    /// So many more things of a bar are done; never more than it is for.
    pub fn advance_bar(&self, id: u64, count: u64) -> Result<()> {
        let mut bars = lock(&self.0.bars);
        let Some((title, done, total)) = bars.get_mut(&id) else {
            return Err(Error::script("ui::advance: this bar has ended, or never was one")
                .with_hint("the function that `ui::progress` calls gets the bar"));
        };
        *done = done.saturating_add(count).min(*total);
        let (title, done, total) = (title.clone(), *done, Some(*total));
        // Under the lock, so that no later number is overtaken by an earlier one.
        self.emit(Event::Progress { id, title, done, total, unit: Unit::Items });
        Ok(())
    }

    pub fn end_bar(&self, id: u64, ok: bool) {
        lock(&self.0.bars).remove(&id);
        self.emit(Event::ProgressEnded { id, ok });
    }

    /// A number for a progress bar.
    pub fn next_id(&self) -> u64 {
        self.0.steps.fetch_add(1, Ordering::Relaxed)
    }

    /// How long each top-level step took.
    pub fn timeline(&self) -> Vec<(String, f64)> {
        lock(&self.0.run).timeline.clone()
    }

    /// Notes an instance that this run launched.
    pub fn note_launched(&self, id: &str) {
        lock(&self.0.run).launched.push(id.to_owned());
    }

    /// Ids of the instances launched in this run.
    pub fn launched(&self) -> Vec<String> {
        lock(&self.0.run).launched.clone()
    }

    /// Notes what a call is about to make, and what would take it back.
    pub fn note_started(&self, id: IntentId, made: Made) {
        lock(&self.0.run).made.push((id, made));
    }

    /// Notes what a call has made, if its answer says so.
    pub fn note_made(&self, id: IntentId, ids: Vec<String>) {
        let mut run = lock(&self.0.run);
        if let Some((_, made)) = run.made.iter_mut().rev().find(|(known, _)| *known == id) {
            made.ids = ids;
        }
    }

    /// Notes that a call has made nothing, or that what a token made is gone again.
    pub fn note_unmade(&self, gone: impl Fn(IntentId, &Made) -> bool) {
        lock(&self.0.run).made.retain(|(id, made)| !gone(*id, made));
    }

    /// What this run has made, or may have made, in its order.
    pub fn made(&self) -> Vec<Made> {
        lock(&self.0.run).made.iter().map(|(_, made)| made.clone()).collect()
    }

    /// Says what becomes of what the run has made if it fails; the command line wins.
    pub fn set_on_failure(&self, policy: OnFailure) {
        lock(&self.0.run).on_failure = Some(policy);
    }

    /// What becomes of what the run has made now that it has failed: as the command line has it,
    /// otherwise the recipe, otherwise the configuration. Otherwise whoever sits there is asked.
    pub fn on_failure(&self) -> OnFailure {
        let said = self.0.place.on_failure.or_else(|| lock(&self.0.run).on_failure);
        // The run may have failed for a broken configuration, which has been told then.
        let configured = || self.config().ok()?.fleet.on_failure.as_deref()?.parse().ok();
        let usual = || if self.0.ui.has_listener() { OnFailure::Ask } else { OnFailure::Keep };
        match said.or_else(configured).unwrap_or_else(usual) {
            OnFailure::Ask if self.0.leaving.load(Ordering::SeqCst) => OnFailure::Keep,
            policy => policy,
        }
    }

    /// Says that the process is to end.
    pub fn stop_asking(&self) {
        self.0.leaving.store(true, Ordering::SeqCst);
    }

    /// Puts everything in order at the end of a run: sessions closed, state compacted, lock freed.
    pub fn settle(&self) -> Result<()> {
        // Taken in statements of their own: a guard in the head of a `match` lives as long as that.
        let ssh = lock(&self.0.ssh).take();
        let writer = lock(&self.0.writer).take();
        if let Some(writer) = &writer {
            self.0.entry.given_back(writer);
        }
        let hung_up = ssh.map_or(Ok(()), |ssh| {
            self.0.runtime.finish(async move {
                ssh.close().await;
                Ok(())
            })
        });
        // Whatever became of the sessions: the state is what matters, and others wait for its lock.
        let written = writer.map_or(Ok(()), |writer| writer.close());
        written.and(hung_up)
    }
}

/// What [`Context::enter`] replaced.
pub(crate) struct Entered {
    recipe: String,
    given: Given,
    declared: Option<Vec<Argument>>,
    describe: bool,
}

/// The real path, also of a file that is yet to be made: links of the existing part are resolved,
/// and the rest may not go up.
fn resolve(path: &Path) -> std::io::Result<PathBuf> {
    let mut existing = path.to_owned();
    let mut rest = Vec::new();
    loop {
        match existing.canonicalize() {
            Ok(mut real) => {
                real.extend(rest.iter().rev());
                return Ok(real);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let last = existing.components().next_back();
                let Some(Component::Normal(name)) = last else { return Err(error) };
                // A dangling link would be followed when the file is made.
                if existing.is_symlink() {
                    return Err(error);
                }
                rest.push(name.to_owned());
                if !existing.pop() {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn parent_text(path: &Path) -> String {
    path.parent().unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_files_resolve_through_links_of_their_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("real")).unwrap();
        std::os::unix::fs::symlink(root.join("real"), root.join("link")).unwrap();
        assert_eq!(resolve(&root.join("link/new/file")).unwrap(), root.join("real/new/file"));
        assert!(resolve(&root.join("new/../../file")).is_err());
        std::os::unix::fs::symlink("/nowhere/at/all", root.join("dangling")).unwrap();
        assert!(resolve(&root.join("dangling")).is_err());
    }
}

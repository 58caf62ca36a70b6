//! One command of a run, in this process or in one of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::plan::{Moment, Trouble};
use crate::error::{Error, Result};
use crate::host::{Host, Interrupter};
use crate::sandbox::Sandbox;
use crate::ui::{Answer, Event, Question, Ui};

/// What every pause and time limit of a command is multiplied with.
pub(super) const TIME_SCALE: f64 = 0.02;
/// How often it is looked whether the moment has come.
const POLL: Duration = Duration::from_millis(1);
/// How often it is looked whether the time is over.
const SLICE: Duration = Duration::from_millis(20);
/// How long a command that was told to end may take to do so.
const GRACE: Duration = Duration::from_secs(15);
/// Between two interrupts.
const BETWEEN: Duration = Duration::from_millis(5);
/// The journal below the project's folder.
const JOURNAL: &str = ".spot/journal.jsonl";

/// Where a command acts.
pub(super) struct Place<'a> {
    pub folder: &'a Path,
    pub sandbox: &'a Sandbox,
    /// The program to start for a process of its own.
    pub spot: &'a Path,
    /// How long it may take, in turns of whoever waits for it: on a machine that is so busy that nobody
    /// gets on, time does not count.
    pub limit: Duration,
}

/// What came of a command.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    /// Its exit code; none if it was killed.
    pub code: Option<i32>,
    /// What it said, for people.
    pub said: Vec<String>,
    pub seconds: f64,
    /// Whether it had to be stopped because its time was over.
    pub late: bool,
    /// Whether it did not even stop then.
    pub stuck: bool,
}

/// Runs a recipe with words.
pub(super) fn act(place: &Place<'_>, recipe: &str, words: &[String], trouble: Trouble) -> Result<Ended> {
    match trouble {
        Trouble::None | Trouble::Interrupt(..) => here(place, recipe, words, trouble),
        Trouble::Alone | Trouble::Kill(_) | Trouble::Signal(..) => alone(place, recipe, words, trouble),
    }
}

/// Sees the moments of a command pass.
struct Watch<'a> {
    sandbox: &'a Sandbox,
    journal: PathBuf,
    calls: usize,
    records: usize,
}

impl<'a> Watch<'a> {
    fn begin(place: &Place<'a>) -> Self {
        let journal = place.folder.join(JOURNAL);
        let records = records(&journal);
        Watch { sandbox: place.sandbox, calls: place.sandbox.call_count(), records, journal }
    }

    fn is_past(&self, moment: Moment) -> bool {
        let (seen, wanted) = match moment {
            Moment::Calls(number) => (self.sandbox.call_count().saturating_sub(self.calls), number),
            Moment::Records(number) => (records(&self.journal).saturating_sub(self.records), number),
        };
        seen as u64 >= wanted
    }
}

/// How many records a journal has; it begins anew when it was folded into the state.
fn records(journal: &Path) -> usize {
    let text = std::fs::read(journal).unwrap_or_default();
    text.iter().filter(|byte| **byte == b'\n').count()
}

// ---- in this process ------------------------------------------------------------------------------

/// Says yes to everything and remembers what is said.
#[derive(Default)]
struct Agreeable(Mutex<Vec<String>>);

impl Agreeable {
    fn said(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Ui for Agreeable {
    fn emit(&self, event: Event) {
        let text = match event {
            Event::Message { level, text, .. } => format!("{level:?}: {text}"),
            Event::Error(failure) => format!("failed: {}", failure.message),
            Event::StepStarted { title, .. } => format!("step {title}"),
            Event::Host { id, phase, detail, .. } => format!("{id}: {phase} {}", detail.unwrap_or_default()),
            _ => return,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    fn ask(&self, question: &Question) -> Result<Answer> {
        match question {
            Question::Confirm { .. } => Ok(Answer::Confirmed(true)),
            _ => Err(Error::usage("nobody is there to answer")),
        }
    }
}

fn here(place: &Place<'_>, recipe: &str, words: &[String], trouble: Trouble) -> Result<Ended> {
    let ui = Arc::new(Agreeable::default());
    let endpoint =
        crate::cloud::Endpoint { region: None, ..crate::cloud::Endpoint::local(&place.sandbox.access().url) };
    let builder = Host::builder()
        .project(place.folder)
        .endpoint(endpoint)
        .ui(Arc::clone(&ui) as Arc<dyn Ui>)
        .lock_wait(Duration::from_secs(2))
        .time_scale(TIME_SCALE);
    let (recipe, words) = (recipe.to_owned(), words.to_vec());
    let (tell, hear) = channel();
    let watch = Watch::begin(place);
    let began = Instant::now();
    let work = move || {
        let host = match builder.build() {
            Ok(host) => host,
            Err(failure) => return drop(tell.send(Heard::Code(failure.exit_code()))),
        };
        // A receiver that is gone has given up on this thread.
        let _ = tell.send(Heard::Begun(host.interrupter()));
        let code = host.run(&recipe, words).map_or_else(|failure| failure.exit_code(), |_| 0);
        drop(host);
        let _ = tell.send(Heard::Code(code));
    };
    std::thread::Builder::new()
        .name("spot-chaos".to_owned())
        .spawn(work)
        .map_err(|error| Error::internal("a thread could not be started").with_source(error))?;
    let mut listener = Listener { hear, interrupter: None, due: None };
    if let Trouble::Interrupt(times, moment) = trouble {
        listener.due = Some((times, moment));
    }
    let code = listener.until(place.limit, &watch);
    let late = code.is_none();
    let code = code.or_else(|| {
        for _ in 0..2 {
            listener.interrupt();
        }
        listener.until(GRACE, &watch)
    });
    Ok(Ended {
        code: code.map(i32::from),
        said: ui.said(),
        seconds: began.elapsed().as_secs_f64(),
        late,
        stuck: code.is_none(),
    })
}

/// What the thread of a command says.
enum Heard {
    Begun(Interrupter),
    Code(u8),
}

struct Listener {
    hear: Receiver<Heard>,
    interrupter: Option<Interrupter>,
    /// How often to interrupt it, and when.
    due: Option<(u32, Moment)>,
}

impl Listener {
    /// Waits for the end, and interrupts when that is due; nothing if the time is over.
    fn until(&mut self, limit: Duration, watch: &Watch<'_>) -> Option<u8> {
        let mut spent = Duration::ZERO;
        loop {
            let wait = if self.due.is_some() { POLL } else { SLICE };
            match self.hear.recv_timeout(wait) {
                Ok(Heard::Code(code)) => return Some(code),
                Ok(Heard::Begun(interrupter)) => self.interrupter = Some(interrupter),
                // A thread that ends without a word has panicked.
                Err(RecvTimeoutError::Disconnected) => return Some(70),
                Err(RecvTimeoutError::Timeout) if spent >= limit => return None,
                Err(RecvTimeoutError::Timeout) => spent += wait,
            }
            if let Some((times, moment)) = self.due
                && self.interrupter.is_some()
                && watch.is_past(moment)
            {
                self.due = None;
                for _ in 0..times {
                    self.interrupt();
                    std::thread::sleep(BETWEEN);
                }
            }
        }
    }

    fn interrupt(&self) {
        if let Some(interrupter) = &self.interrupter {
            interrupter.interrupt();
        }
    }
}

// ---- in a process of its own ----------------------------------------------------------------------

fn alone(place: &Place<'_>, recipe: &str, words: &[String], trouble: Trouble) -> Result<Ended> {
    let failed = |error: std::io::Error| Error::internal("a command could not be started").with_source(error);
    let path = place.folder.join(".spot-chaos.log");
    let log = File::create(&path).map_err(failed)?;
    let access = place.sandbox.access();
    let watch = Watch::begin(place);
    let began = Instant::now();
    let mut child = std::process::Command::new(place.spot)
        .args(["--yes", "--color", "never", "--lock-timeout", "2"])
        .args(["--endpoint-url", &access.url, "--time-scale", &TIME_SCALE.to_string()])
        .arg(recipe)
        .args(words)
        .current_dir(place.folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", place.folder)
        .env("AWS_ACCESS_KEY_ID", &access.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &access.secret_key)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .spawn()
        .map_err(failed)?;
    let code = until(&mut child, place.limit, &watch, trouble).map_err(failed)?;
    let late = code.is_none();
    if late {
        child.kill().map_err(failed)?;
        child.wait().map_err(failed)?;
    }
    let said = std::fs::read_to_string(&path).unwrap_or_default();
    Ok(Ended {
        code: code.flatten(),
        said: said.lines().map(str::to_owned).collect(),
        seconds: began.elapsed().as_secs_f64(),
        late,
        stuck: false,
    })
}

/// Waits for the end of a process and does to it what is due. Its exit code, none inside if it was
/// killed; nothing if the time is over.
fn until(
    child: &mut Child,
    limit: Duration,
    watch: &Watch<'_>,
    trouble: Trouble,
) -> std::io::Result<Option<Option<i32>>> {
    let mut due = match trouble {
        Trouble::Kill(moment) => Some((Signal::SIGKILL, 1, moment)),
        Trouble::Signal(times, moment) => Some((Signal::SIGINT, times, moment)),
        Trouble::None | Trouble::Alone | Trouble::Interrupt(..) => None,
    };
    let mut spent = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.code()));
        }
        if spent >= limit {
            return Ok(None);
        }
        if let Some((signal, times, moment)) = due
            && watch.is_past(moment)
        {
            due = None;
            for _ in 0..times {
                // A child that has ended and been waited for has no process id any more.
                if child.try_wait()?.is_none() {
                    let id = i32::try_from(child.id()).map_err(std::io::Error::other)?;
                    kill(Pid::from_raw(id), signal)?;
                    std::thread::sleep(BETWEEN);
                }
            }
        }
        let wait = if due.is_some() { POLL } else { SLICE / 4 };
        std::thread::sleep(wait);
        spent += wait;
    }
}

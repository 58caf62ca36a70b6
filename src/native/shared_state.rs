//! The bucket in which a team shares its state, as the state wants it: synchronous.

use std::future::Future;
use std::path::Path;
use std::sync::mpsc::{Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::cloud::{Endpoint, Settings, ec2};
use crate::config::SharedState;
use crate::error::{Error, Result};
use crate::state::{Objects, Sharing, Store, Version};
use crate::ui::{Event, Level, Ui};

/// The state in a folder, shared if the configuration says so; `writes` says whether anything may be
/// written to what is shared.
pub(super) fn open(
    folder: &Path,
    shared: Option<&SharedState>,
    deployment: Option<&str>,
    endpoint: &Endpoint,
    writes: bool,
    ui: &Arc<dyn Ui>,
) -> Store {
    match shared {
        Some(place) => Store::open_shared(folder, sharing(place.clone(), deployment, endpoint, writes, ui)),
        None => Store::open(folder),
    }
}

fn sharing(
    place: SharedState,
    deployment: Option<&str>,
    endpoint: &Endpoint,
    writes: bool,
    ui: &Arc<dyn Ui>,
) -> Sharing {
    let settings = Settings::for_endpoint(endpoint);
    let ec2 = ec2::Ec2::new(endpoint.clone(), settings, CancellationToken::new());
    // One with fixed keys is a sandbox of ours, in which there are no buckets at first.
    let bucket = Arc::new(ec2.bucket(place.bucket.clone(), endpoint.keys.is_some(), place.kms_key.clone()));
    let ui = Arc::clone(ui);
    Sharing {
        objects: Arc::new(Shelf { place, bucket, thread: Mutex::default() }),
        deployment: deployment.map(str::to_owned),
        tell: Arc::new(move |text| ui.emit(Event::message(Level::Warning, text))),
        writes,
    }
}

/// What the thread does that speaks to the bucket.
type Job = Box<dyn FnOnce(&Runtime) + Send>;

/// The objects below a prefix. A thread of their own waits for the network: the state is also used
/// where a runtime runs already, and goes on after the run's own was interrupted.
struct Shelf {
    place: SharedState,
    bucket: Arc<ec2::Bucket>,
    thread: Mutex<Option<Sender<Job>>>,
}

impl Shelf {
    fn key(&self, name: &str) -> String {
        if self.place.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.place.prefix) }
    }

    /// Waits for what the network says.
    fn wait<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        let (answer, answered) = sync_channel(1);
        let job: Job = Box::new(move |runtime| {
            // Whoever asked is still there: it waits.
            let _ = answer.send(runtime.block_on(work));
        });
        let ended = || Error::internal("the thread that speaks to the shared state has ended");
        {
            let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
            let sender = match thread.take() {
                Some(sender) => sender,
                None => start()?,
            };
            sender.send(job).map_err(|_| ended())?;
            *thread = Some(sender);
        }
        answered.recv().map_err(|_| ended())?
    }
}

/// Starts the thread; it ends with its sender.
fn start() -> Result<Sender<Job>> {
    let failed = |error| Error::internal("the thread for the shared state cannot start").with_source(error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let (sender, jobs) = channel::<Job>();
    std::thread::Builder::new()
        .name("spot-bucket".to_owned())
        .spawn(move || jobs.into_iter().for_each(|job| job(&runtime)))
        .map_err(failed)?;
    Ok(sender)
}

impl Objects for Shelf {
    fn get(&self, name: &str) -> Result<Option<Version>> {
        let (bucket, key) = (Arc::clone(&self.bucket), self.key(name));
        let stored = self.wait(async move { bucket.get(&key).await })?;
        Ok(stored.map(|stored| Version { bytes: stored.bytes, tag: stored.tag }))
    }

    fn put(&self, name: &str, bytes: &[u8], expected: Option<&str>) -> Result<Option<String>> {
        let (bucket, key) = (Arc::clone(&self.bucket), self.key(name));
        let (bytes, expected) = (bytes.to_vec(), expected.map(str::to_owned));
        self.wait(async move { bucket.put(&key, &bytes, expected.as_deref()).await })
    }

    fn keys(&self) -> Result<Vec<String>> {
        let (bucket, prefix) = (Arc::clone(&self.bucket), self.key(""));
        let start = prefix.clone();
        let keys = self.wait(async move { bucket.keys(&prefix).await })?;
        Ok(keys.into_iter().filter_map(|key| Some(key.strip_prefix(&start)?.to_owned())).collect())
    }

    fn place(&self) -> String {
        self.place.to_string()
    }
}

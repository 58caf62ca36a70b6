//! The endpoint as a whole: raw requests, boto3, restarts and faults.

mod boto;
mod faults;
mod interruptions;
mod life;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Endpoint, Machine, Machines, Options, Warning};
use crate::error::{Error, Result};

/// Machines that only write down what they are told.
#[derive(Debug, Default)]
struct Notes {
    living: Mutex<BTreeMap<String, Machine>>,
    removed: Mutex<Vec<String>>,
    warned: Mutex<Vec<(String, Warning)>>,
    /// While set, machines can be neither booted nor removed.
    broken: Mutex<bool>,
}

impl Notes {
    fn living(&self) -> Vec<Machine> {
        self.living.lock().unwrap().values().cloned().collect()
    }

    fn break_down(&self, broken: bool) {
        *self.broken.lock().unwrap() = broken;
    }

    fn check(&self) -> Result<()> {
        if *self.broken.lock().unwrap() { Err(Error::internal("no machine today")) } else { Ok(()) }
    }
}

#[async_trait]
impl Machines for Notes {
    async fn boot(&self, machine: Machine) -> Result<()> {
        self.check()?;
        self.living.lock().unwrap().insert(machine.id.clone(), machine);
        Ok(())
    }

    async fn warn(&self, id: &str, warning: Warning) -> Result<()> {
        self.warned.lock().unwrap().push((id.to_owned(), warning));
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<()> {
        self.check()?;
        self.living.lock().unwrap().remove(id);
        self.removed.lock().unwrap().push(id.to_owned());
        Ok(())
    }
}

/// A running endpoint with its folder.
struct Fixture {
    folder: tempfile::TempDir,
    machines: Arc<Notes>,
    endpoint: Endpoint,
}

impl Fixture {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With quick transitions, and what `change` changes.
    async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = quick(&folder);
        change(&mut options);
        let machines = Arc::new(Notes::default());
        let endpoint = Endpoint::start(options, machines.clone()).await.unwrap();
        Fixture { folder, machines, endpoint }
    }

    /// Stops, and starts again with other machines: what a new process would find.
    async fn restart(self) -> Self {
        self.endpoint.shutdown().await;
        let machines = Arc::new(Notes::default());
        let endpoint = Endpoint::start(quick(&self.folder), machines.clone()).await.unwrap();
        Fixture { folder: self.folder, machines, endpoint }
    }

    /// Sends an action to us-west-2.
    async fn ask(&self, query: &str) -> Reply {
        self.ask_in("us-west-2", query).await
    }

    async fn ask_in(&self, region: &str, query: &str) -> Reply {
        let form = format!("Version=2016-11-15&{query}");
        self.send(&self.signed(region), &form).await.expect("an answer")
    }

    /// The header of a request that is signed for a region.
    fn signed(&self, region: &str) -> String {
        let signature = "0".repeat(64);
        format!(
            "Authorization: AWS4-HMAC-SHA256 Credential=AKID/20261123/{region}/ec2/aws4_request, \
             SignedHeaders=host, Signature={signature}\r\n"
        )
    }

    /// Asks something of the sandbox itself.
    async fn control(&self, method: &str, path: &str, body: &str) -> Reply {
        let length = body.len();
        let request = format!(
            "{method} /_sandbox/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: \
             {length}\r\n\r\n{body}"
        );
        self.raw(&request).await.expect("an answer")
    }

    /// Sends a form with the given headers; none if the connection was closed without an answer.
    async fn send(&self, headers: &str, form: &str) -> Option<Reply> {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{form}",
            form.len()
        );
        self.raw(&request).await
    }

    async fn raw(&self, request: &str) -> Option<Reply> {
        let url = self.endpoint.url();
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Reply { status, head: head.to_owned(), body: body.to_owned() })
    }

    /// Asks until the answer passes, for at most ten seconds.
    async fn until(&self, query: &str, passes: impl Fn(&Reply) -> bool) -> Reply {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let reply = self.ask(query).await;
            if passes(&reply) {
                return reply;
            }
            assert!(Instant::now() < deadline, "never: {}", reply.body);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Launches instances of Ubuntu in us-west-2.
    async fn launch(&self, more: &str) -> Reply {
        let image = super::images::all("us-west-2").remove(3);
        assert_eq!(image.architecture, "x86_64");
        self.ask(&format!("Action=RunInstances&ImageId={}&InstanceType=t3.medium&{more}", image.id)).await
    }
}

fn quick(folder: &tempfile::TempDir) -> Options {
    let mut options = Options::new(folder.path());
    options.pending = Duration::from_millis(20);
    options.status_checks = Duration::from_millis(20);
    options.shutting_down = Duration::from_millis(20);
    options
}

/// An answer.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    /// The texts of all elements of a name.
    fn all(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let parts = self.body.split(&open).skip(1);
        parts.filter_map(|part| Some(part.split_once(&close)?.0.to_owned())).collect()
    }

    /// The text of the first element of a name.
    fn one(&self, name: &str) -> String {
        self.all(name).into_iter().next().unwrap_or_else(|| panic!("no {name} in {}", self.body))
    }

    /// Status and code of an error.
    fn fault(&self) -> (u16, String) {
        (self.status, self.one("Code"))
    }

    /// The answer, which must be a success.
    fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.body);
        self
    }
}

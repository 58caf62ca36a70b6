//! The sandbox against moto: both are asked the same by boto3, and every difference is fixed or listed.
//!
//! The scenarios and the list are in `tests/differential/`. `SPOT_DIFFERENCES=1 cargo test differential --
//! --nocapture` prints what both said where they differ without being listed.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use spot::sandbox::ec2::{Endpoint, Machine, Machines, Options};

use crate::moto::start_moto;

/// What is compared is the API: nothing runs behind these instances.
struct NoMachines;

#[async_trait]
impl Machines for NoMachines {
    async fn boot(&self, _: Machine) -> spot::Result<()> {
        Ok(())
    }

    async fn remove(&self, _: &str) -> spot::Result<()> {
        Ok(())
    }

    async fn stop(&self, _: &str) -> spot::Result<()> {
        Ok(())
    }
}

#[test]
fn the_sandbox_differs_from_moto_only_as_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(folder.path());
    let soon = Duration::from_millis(1);
    (options.pending, options.status_checks, options.shutting_down) = (soon, soon, soon);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let endpoint = runtime.block_on(Endpoint::start(options, Arc::new(NoMachines))).unwrap();
    let (_moto, port) = start_moto();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential");
    let mut command = Command::new("python3");
    command
        .arg(scripts.join("run.py"))
        .args([format!("http://127.0.0.1:{port}"), endpoint.url()])
        .arg(scripts.join("differences.toml"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    if std::env::var_os("SPOT_DIFFERENCES").is_some() {
        command.arg("--propose");
    }
    let output = command.output().expect("python3 is missing");
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}");
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    runtime.block_on(endpoint.shutdown());
}

//! Runs a recipe from another program: typed arguments in, events while it runs, a value out.
//!
//! `cargo run --example embed` needs no account: it works in a sandbox.

use std::sync::Arc;

use spot::ui::{Answer, Event, Question, Ui};
use spot::{Host, Result, Sandbox};

const RECIPE: &str = r#"
    let opt = args(#{ count: 1 });
    let network = aws::ensure_network(#{ region: "us-west-2" });
    let found = aws::pools(#{ region: "us-west-2", types: ["t3.micro"], network: network });
    let made = ui::step("launch", || aws::launch(#{
        region: "us-west-2", count: opt.count, pools: found.pools, network: network,
        user_data: fleet::user_data("ubuntu"),
    }));
    let hosts = ssh::wait(made.instances).filter(|r| r.ok);
    let uptimes = ssh::run(hosts, "uptime").map(|r| r.stdout);
    fleet::terminate(made.instances);
    uptimes
"#;

/// Shows a few of the events in the program's own way.
struct Log;

impl Ui for Log {
    fn emit(&self, event: Event) {
        match event {
            Event::StepStarted { title, .. } => println!("begins: {title}"),
            Event::Host { id, phase, .. } => println!("{id} is {phase}"),
            _ => {}
        }
    }

    fn ask(&self, _: &Question) -> Result<Answer> {
        Ok(Answer::Confirmed(true))
    }
}

// From a plain `fn main` it works the same; `spawn_blocking` keeps this runtime's threads free.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    tokio::task::spawn_blocking(|| {
        let folder = tempfile::tempdir()?;
        let recipe = folder.path().join("uptime.rhai");
        std::fs::write(&recipe, RECIPE)?;
        let sandbox = Sandbox::start(folder.path())?;
        let host = Host::builder().project(folder.path()).sandbox(&sandbox).ui(Arc::new(Log)).build()?;
        let outcome = host.run_with(&recipe.to_string_lossy(), &serde_json::json!({ "count": 2 }))?;
        println!("uptimes: {}", outcome.value);
        Ok(())
    })
    .await?
}

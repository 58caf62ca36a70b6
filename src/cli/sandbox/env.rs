//! `spot sandbox env`: the environment of other tools.

use std::fmt::Write as _;
use std::sync::Arc;

use clap::Args;
use serde_json::{Map, Value};

use super::super::options::Options;
use super::running;
use crate::host::Failure;
use crate::sandbox::{Access, Sandbox};
use crate::ui::{Event, Ui};

const EXAMPLES: &str = "\
Examples:
  eval \"$(spot sandbox env)\"     use it from this shell: aws, boto3, terraform, spot
  spot sandbox env --json        an object of the variables

Exit codes: 0 done; 2 no sandbox of this project is running";

/// The command line of `spot sandbox env`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Env {}

impl Env {
    pub(super) fn run(&self, options: &Options, ui: &Arc<dyn Ui>) -> Result<u8, Failure> {
        show(&running(options)?, options, ui);
        Ok(0)
    }
}

/// The variables: what any AWS SDK needs, and that `spot` itself is to work in the sandbox too.
fn variables(access: &Access) -> [(&'static str, String); 7] {
    [
        ("AWS_ENDPOINT_URL", access.url.clone()),
        ("AWS_ACCESS_KEY_ID", access.access_key.clone()),
        ("AWS_SECRET_ACCESS_KEY", access.secret_key.clone()),
        ("AWS_REGION", access.region.clone()),
        ("AWS_DEFAULT_REGION", access.region.clone()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("SPOT_SANDBOX", "1".to_owned()),
    ]
}

/// Shows how a sandbox is used: lines for a shell's `eval`, or an object.
pub(super) fn show(sandbox: &Sandbox, options: &Options, ui: &Arc<dyn Ui>) {
    let variables = variables(sandbox.access());
    if options.json {
        let object: Map<String, Value> =
            variables.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        ui.emit(Event::Data(object.into()));
        return;
    }
    // A profile or a token of the real account would go along with the sandbox's keys.
    let mut text = "unset AWS_PROFILE AWS_SESSION_TOKEN".to_owned();
    for (name, value) in variables {
        let _ = write!(text, "\nexport {name}={value}");
    }
    ui.emit(Event::Data(text.into()));
}

//! What goes wrong in the sandbox of one run, and how large it may be.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::json;

use crate::error::{Error, Result};
use crate::sandbox::faults::Faults;
use crate::ui::{Event, Level, Ui};

/// Where it is written down what was in force in which run; below the sandbox's folder.
const RECORD: &str = "runs.jsonl";

/// Options of `--sandbox` and of `spot sandbox start`.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Rehearsal {
    /// With --sandbox: what goes wrong, from a TOML file
    #[arg(long, value_name = "FILE", global = true)]
    pub faults: Option<PathBuf>,

    /// With --sandbox: something that goes wrong, such as throttle=0.2; may be repeated
    #[arg(long, value_name = "FAULT", global = true)]
    pub fault: Vec<String>,

    /// With --sandbox: makes what is left to chance the same again
    #[arg(long, value_name = "NUMBER", global = true)]
    pub seed: Option<u64>,

    /// With --sandbox: how many instances may live at once [default: what this machine's memory holds]
    #[arg(long, value_name = "COUNT", env = "SPOT_SANDBOX_HOSTS", global = true, value_parser = clap::value_parser!(u32).range(1..))]
    pub sandbox_hosts: Option<u32>,
}

impl Rehearsal {
    /// The first option that asks for faults, if any does.
    pub fn given(&self) -> Option<&'static str> {
        if self.faults.is_some() {
            Some("--faults")
        } else if !self.fault.is_empty() {
            Some("--fault")
        } else {
            self.seed.map(|_| "--seed")
        }
    }

    /// What goes wrong. What is left to chance has a seed: the one that was given, or one drawn now.
    ///
    /// # Errors
    /// When the file or a short form is wrong, with its place and what was expected.
    pub fn read(&self) -> Result<Faults> {
        let mut faults = match &self.faults {
            Some(file) => Faults::parse_file(file)?,
            None => Faults::default(),
        };
        for short in &self.fault {
            faults.add_short(short)?;
        }
        faults.seed = self.seed.or(faults.seed);
        if faults.seed.is_none() && faults.has_chance() {
            faults.seed = Some(rand::random::<u32>().into());
        }
        Ok(faults)
    }

    /// Says what is in force, and writes it down in the sandbox's folder with the command line.
    pub fn record(&self, faults: &Faults, folder: &Path, ui: &Arc<dyn Ui>) -> Result<()> {
        if *faults == Faults::default() {
            return Ok(());
        }
        let file = self.faults.iter().map(|file| file.display().to_string());
        let given: Vec<String> = file.chain(self.fault.iter().cloned()).collect();
        let seed = faults.seed.map(|seed| format!("--seed {seed}"));
        let shown: Vec<String> = given.into_iter().chain(seed).collect();
        ui.emit(Event::message(Level::Info, format!("faults in force: {}", shown.join(" "))));
        let command: Vec<String> =
            std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        let time = jiff::Timestamp::now().to_string();
        let line = json!({ "time": time, "command": command, "seed": faults.seed, "faults": faults });
        let path = folder.join(RECORD);
        let mut open = std::fs::File::options();
        let mut write = || writeln!(open.create(true).append(true).mode(0o600).open(&path)?, "{line}");
        write()
            .map_err(|error| Error::usage(format!("{} cannot be written", path.display())).with_source(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_gets_a_seed_and_nothing_else_does() {
        let fault =
            |text: &str, seed| Rehearsal { fault: vec![text.to_owned()], seed, ..Rehearsal::default() };
        assert!(fault("throttle=0.2", None).read().unwrap().seed.is_some());
        assert_eq!(fault("throttle=0.2", Some(7)).read().unwrap().seed, Some(7));
        assert_eq!(Rehearsal::default().read().unwrap(), Faults::default());
        assert_eq!(fault("x", None).given(), Some("--fault"));
        assert!(fault("thottle=0.2", None).read().is_err());
    }
}

//! The project's configuration.

use std::collections::BTreeSet;

use rhai::Array;
use rhai::plugin::*;

use crate::config::regions::{REGIONS, exists};
use crate::config::template as template_text;
use crate::error::{Error, nearest};
use crate::native::thrown::{Answer, answer};

/// The project's configuration: `spot.toml`, or the `config.yaml` of Spot Deployer.
#[export_module]
pub mod config {
    use super::*;

    /// The configuration with all defaults filled in: `project`, `fleet`, `network`, `ssh`,
    /// `deploy`, `tags`.
    ///
    /// Every mistake in the file is reported at once, with line and column, and ends the recipe.
    ///
    /// ```rhai
    /// print(config::load().fleet.count);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn load(call: NativeCallContext) -> Answer {
        answer(&call, |spot| spot.config())
    }

    /// Refuses a list of regions in which one does not exist, with the nearest name.
    ///
    /// ```rhai
    /// config::check_regions(["us-west-2", "eu-central-1"]);
    /// ```
    #[rhai_fn(return_raw)]
    pub fn check_regions(call: NativeCallContext, regions: Array) -> Answer {
        answer(&call, |_| {
            if regions.is_empty() {
                return Err(Error::usage("at least one region is needed"));
            }
            let mut seen = BTreeSet::new();
            for region in &regions {
                let name = region.to_string();
                if !seen.insert(name.clone()) {
                    return Err(Error::usage(format!("the region `{name}` is named twice")));
                }
                if !exists(&name) {
                    let error = Error::usage(format!("there is no region `{name}`"));
                    return Err(match nearest(&name, REGIONS.iter().map(|(name, _)| *name)) {
                        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                        None => error,
                    });
                }
            }
            Ok(())
        })
    }

    /// The name of the project's folder.
    ///
    /// ```rhai
    /// print(config::folder_name());
    /// ```
    #[rhai_fn(return_raw)]
    pub fn folder_name(call: NativeCallContext) -> Answer {
        answer(&call, |spot| {
            let folder = spot.project().canonicalize().unwrap_or_else(|_| spot.project().to_owned());
            Ok(folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
        })
    }

    /// A commented `spot.toml` for a project of this name.
    ///
    /// ```rhai
    /// fs::write("example.toml", config::template("demo"));
    /// ```
    pub fn template(name: &str) -> String {
        template_text(name)
    }
}

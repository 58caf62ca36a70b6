//! `spot init [FOLDER]`: lays out a project there with the recipe `setup`.

use std::path::Path;
use std::sync::Arc;

use super::options::Options;
use super::recipe;
use crate::error::Error;
use crate::host::Failure;
use crate::ui::Ui;

/// Makes the folder and runs `setup` in it.
pub(super) fn run(options: &Options, ui: &Arc<dyn Ui>, folder: &Path) -> Result<u8, Failure> {
    std::fs::create_dir_all(folder)
        .map_err(|error| Error::usage(format!("{} cannot be made", folder.display())).with_source(error))?;
    let options = Options { project: Some(folder.to_owned()), ..options.clone() };
    recipe::run(&options, ui, "setup", &[])
}

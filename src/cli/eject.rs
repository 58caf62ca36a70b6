//! `spot eject NAME`: copies a built-in recipe or module into the project.

use std::sync::Arc;

use super::options::Options;
use crate::error::Error;
use crate::host::Failure;
use crate::script::Library;
use crate::ui::{Event, Level, Ui};

/// Copies the embedded script to `recipes/NAME.rhai` or `stdlib/NAME.rhai` of the project, which is
/// found before the built-in one from then on.
pub(super) fn run(
    options: &Options,
    ui: &Arc<dyn Ui>,
    name: &str,
    module: bool,
    force: bool,
) -> Result<u8, Failure> {
    let script = Library::embedded(name, module).ok_or_else(|| {
        let (kind, other) = if module { ("stdlib module", "recipe") } else { ("recipe", "stdlib module") };
        let error = Error::usage(format!("there is no built-in {kind} `{name}`"));
        match Library::embedded(name, !module) {
            Some(_) if module => error.with_hint(format!("there is a {other}: spot eject {name}")),
            Some(_) => error.with_hint(format!("there is a {other}: spot eject --module {name}")),
            None => error.with_hint("spot list-recipes shows the recipes"),
        }
    })?;
    let folder = options.project()?.join(if module { "stdlib" } else { "recipes" });
    let path = folder.join(format!("{name}.rhai"));
    let wrap = |error: std::io::Error| {
        Error::usage(format!("{} cannot be written", path.display())).with_source(error)
    };
    std::fs::create_dir_all(&folder).map_err(wrap)?;
    let mut open = std::fs::OpenOptions::new();
    open.write(true);
    if force {
        open.create(true).truncate(true)
    } else {
        open.create_new(true)
    };
    let mut file = match open.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::usage(format!("{} exists", path.display()))
                .with_hint(format!(
                    "spot eject {}{name} --force replaces it",
                    if module { "--module " } else { "" }
                ))
                .into());
        }
        Err(error) => return Err(wrap(error).into()),
    };
    std::io::Write::write_all(&mut file, script.text.as_bytes()).map_err(wrap)?;
    ui.emit(Event::message(Level::Success, format!("wrote {}; it is used from now on", path.display())));
    Ok(0)
}

//! Files of the project.

use crate::error::{Error, Result};
use crate::native::Context;
use crate::native::thrown::{Answer, answer};
use rhai::Array;
use rhai::plugin::*;
use std::path::Path;

/// Files and folders of the project; other places only where the run was started with `--allow`.
#[export_module]
pub mod fs {
    use super::*;

    /// Whether a file or folder exists.
    ///
    /// ```rhai
    /// print(fs::exists("deploy/setup.sh"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn exists(call: NativeCallContext, path: &str) -> Answer {
        answer(&call, |spot| {
            let path = spot.local_path(path)?;
            let planned = || spot.planning().file(&path).is_some() || spot.planning().has_below(&path);
            Ok(path.exists() || planned())
        })
    }

    /// Whether a path is a folder.
    ///
    /// ```rhai
    /// print(fs::is_folder("deploy"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn is_folder(call: NativeCallContext, path: &str) -> Answer {
        answer(&call, |spot| {
            let path = spot.local_path(path)?;
            Ok(path.is_dir() || spot.planning().has_below(&path))
        })
    }

    /// The text of a file; it must be UTF-8 and at most 16 MiB.
    ///
    /// ```rhai
    /// fs::write("notes.txt", "hello");
    /// print(fs::read("notes.txt"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn read(call: NativeCallContext, path: &str) -> Answer {
        answer(&call, |spot| {
            let path = spot.local_path(path)?;
            if let Some(text) = spot.planning().file(&path) {
                return Ok(text);
            }
            let size = std::fs::metadata(&path).map_err(|error| wrap(&path, "read", error))?.len();
            if size > 16 << 20 {
                return Err(Error::script(format!(
                    "{} has {size} bytes, the limit is 16 MiB",
                    path.display()
                )));
            }
            std::fs::read_to_string(&path).map_err(|error| wrap(&path, "read", error))
        })
    }

    /// Writes a file whole, making its folders; returns whether its content changed.
    ///
    /// ```rhai
    /// print(fs::write("out/hosts.txt", "i-1"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn write(call: NativeCallContext, path: &str, text: &str) -> Answer {
        answer(&call, |spot| write_file(spot, path, text))
    }

    /// Makes a folder with its parents; returns whether it was new.
    ///
    /// ```rhai
    /// print(fs::make_folder("deploy/files"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn make_folder(call: NativeCallContext, path: &str) -> Answer {
        answer(&call, |spot| {
            spot.act()?;
            let name = path;
            let path = spot.local_path(path)?;
            if path.is_dir() {
                return Ok(false);
            }
            if !spot.may("fs", || format!("make the folder {name}"), Vec::new())? {
                return Ok(true);
            }
            std::fs::create_dir_all(&path).map_err(|error| wrap(&path, "made", error))?;
            Ok(true)
        })
    }

    /// Makes a file executable; returns whether it was not.
    ///
    /// ```rhai
    /// fs::write("setup.sh", "#!/bin/sh\n");
    /// print(fs::make_executable("setup.sh"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn make_executable(call: NativeCallContext, path: &str) -> Answer {
        answer(&call, |spot| {
            use std::os::unix::fs::PermissionsExt;
            let name = path;
            spot.act()?;
            let path = spot.local_path(path)?;
            let make = || spot.may("fs", || format!("make {name} executable"), Vec::new());
            if spot.planning().file(&path).is_some() {
                return Ok(!make()?);
            }
            let mode =
                std::fs::metadata(&path).map_err(|error| wrap(&path, "read", error))?.permissions().mode();
            if mode & 0o111 == 0o111 {
                return Ok(false);
            }
            if !make()? {
                return Ok(true);
            }
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode | 0o111))
                .map_err(|error| wrap(&path, "made executable", error))?;
            Ok(true)
        })
    }

    /// The names in a folder, sorted.
    ///
    /// ```rhai
    /// fs::write("deploy/a.txt", "");
    /// print(fs::list("deploy"));
    /// ```
    #[rhai_fn(return_raw)]
    pub fn list(call: NativeCallContext, path: &str) -> Answer {
        answer(&call, |spot| {
            let path = spot.local_path(path)?;
            let mut names = Vec::new();
            for entry in std::fs::read_dir(&path).map_err(|error| wrap(&path, "listed", error))? {
                let entry = entry.map_err(|error| wrap(&path, "listed", error))?;
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
            names.sort();
            Ok(names.into_iter().map(rhai::Dynamic::from).collect::<Array>())
        })
    }
}

fn wrap(path: &Path, doing: &str, error: std::io::Error) -> Error {
    Error::script(format!("{} cannot be {doing}", path.display())).with_source(error)
}

fn write_file(spot: &Context, path: &str, text: &str) -> Result<bool> {
    spot.act()?;
    let name = path;
    let path = spot.local_path(path)?;
    if spot.planning().file(&path).is_some_and(|before| before == text) {
        return Ok(false);
    }
    if std::fs::read(&path).is_ok_and(|before| before == text.as_bytes()) {
        return Ok(false);
    }
    if !spot.may("fs", || format!("write {name} ({} bytes)", text.len()), Vec::new())? {
        spot.planning().write(path, text);
        return Ok(true);
    }
    let folder = path.parent().unwrap_or(&path);
    std::fs::create_dir_all(folder).map_err(|error| wrap(folder, "made", error))?;
    let mut file =
        tempfile::NamedTempFile::new_in(folder).map_err(|error| wrap(folder, "written to", error))?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(|error| wrap(&path, "written", error))?;
    // A temporary file is private; what it replaces keeps its mode, and a new one is ordinary.
    let mode = std::fs::metadata(&path).map_or_else(
        |_| std::os::unix::fs::PermissionsExt::from_mode(0o644),
        |metadata| metadata.permissions(),
    );
    file.as_file().set_permissions(mode).map_err(|error| wrap(&path, "written", error))?;
    file.persist(&path).map_err(|error| wrap(&path, "written", error.error))?;
    Ok(true)
}

//! Finds recipes and stdlib modules: path, then project, then user, then embedded.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::embedded;
use crate::error::{Error, Result, nearest};

/// Where a script was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Named by its path.
    File(PathBuf),
    /// In the project's `recipes/` or `stdlib/`.
    Project(PathBuf),
    /// In the user's configuration folder.
    User(PathBuf),
    /// Part of the binary: `recipe` or `module`, and its name.
    Embedded(&'static str, &'static str),
}

impl Origin {
    /// The file, unless the script is embedded.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Origin::File(path) | Origin::Project(path) | Origin::User(path) => Some(path),
            Origin::Embedded(..) => None,
        }
    }

    /// One word for tables: `file`, `project`, `user` or `embedded`.
    pub fn word(&self) -> &'static str {
        match self {
            Origin::File(_) => "file",
            Origin::Project(_) => "project",
            Origin::User(_) => "user",
            Origin::Embedded(..) => "embedded",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path) | Origin::Project(path) | Origin::User(path) => {
                write!(f, "{}", path.display())
            }
            Origin::Embedded(kind, name) => write!(f, "embedded {kind} {name}"),
        }
    }
}

/// A script's text with its name and origin.
#[derive(Debug, Clone)]
pub struct Script {
    /// The stem of its file name.
    pub name: String,
    /// Where it was found.
    pub origin: Origin,
    /// The whole text, a `#!` line included.
    pub text: Arc<str>,
}

impl Script {
    /// The text to compile: a `#!` line is blanked, so that line numbers stay right.
    pub fn source(&self) -> String {
        match self.text.strip_prefix("#!") {
            None => self.text.to_string(),
            // The space keeps `/usr/bin/env` from making a doc comment of it.
            Some(rest) => format!("// {rest}"),
        }
    }

    /// The `//!` lines at the top, without their marks.
    pub fn documentation(&self) -> String {
        let lines: Vec<&str> = self
            .text
            .lines()
            .skip_while(|line| line.starts_with("#!") || line.trim().is_empty())
            .map_while(|line| line.trim_start().strip_prefix("//!"))
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect();
        lines.join("\n").trim().to_owned()
    }

    /// The first sentence of the documentation, on one line.
    pub fn summary(&self) -> String {
        let documentation = self.documentation();
        let paragraph: Vec<&str> = documentation.lines().take_while(|line| !line.is_empty()).collect();
        let paragraph = paragraph.join(" ");
        match paragraph.find(". ") {
            Some(end) => paragraph.get(..=end).unwrap_or_default().to_owned(),
            None => paragraph,
        }
    }
}

/// The places in which scripts are looked for.
#[derive(Debug, Clone)]
pub struct Library {
    project: PathBuf,
    user: Option<PathBuf>,
}

impl Library {
    /// A library for a project folder and, if there is one, the user's configuration folder.
    pub fn new(project: impl Into<PathBuf>, user: Option<PathBuf>) -> Self {
        Library { project: project.into(), user }
    }

    /// Whether a recipe is named by its path.
    pub fn is_path(name: &str) -> bool {
        name.contains('/') || name.ends_with(".rhai")
    }

    /// Finds a recipe by path (it contains `/` or ends in `.rhai`) or by name.
    ///
    /// # Errors
    /// [`Usage`](crate::error::Kind::Usage) with the nearest name when there is none, and with the
    /// reason when a file cannot be read.
    pub fn recipe(&self, name: &str) -> Result<Script> {
        if Self::is_path(name) {
            return self.file(Path::new(name));
        }
        let recipes = self.recipes()?;
        if let Some(found) = recipes.iter().find(|script| script.name == name) {
            return Ok(found.clone());
        }
        let error = Error::usage(format!("there is no recipe `{name}`"));
        Err(match nearest(name, recipes.iter().map(|script| script.name.as_str())) {
            Some(near) => error.with_hint(format!("did you mean `{near}`? `spot list-recipes` shows all")),
            None => error.with_hint("`spot list-recipes` shows all recipes"),
        })
    }

    /// All recipes by name, each from its most specific place, sorted by name.
    pub fn recipes(&self) -> Result<Vec<Script>> {
        self.collect("recipes", "recipe", embedded::RECIPES)
    }

    /// All stdlib modules by name, each from its most specific place, sorted by name.
    pub fn modules(&self) -> Result<Vec<Script>> {
        self.collect("stdlib", "module", embedded::STDLIB)
    }

    /// The embedded copy of a recipe or, with `module`, of a stdlib module.
    pub fn embedded(name: &str, module: bool) -> Option<Script> {
        let (kind, list) = if module { ("module", embedded::STDLIB) } else { ("recipe", embedded::RECIPES) };
        let (name, text) = list.iter().find(|(candidate, _)| *candidate == name)?;
        Some(Script {
            name: (*name).to_owned(),
            origin: Origin::Embedded(kind, name),
            text: Arc::from(*text),
        })
    }

    fn file(&self, path: &Path) -> Result<Script> {
        let text = read(path)?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Script { name, origin: Origin::File(path.to_owned()), text })
    }

    fn collect(
        &self,
        folder: &str,
        kind: &'static str,
        list: &'static [(&'static str, &'static str)],
    ) -> Result<Vec<Script>> {
        let mut found: BTreeMap<String, Script> = list
            .iter()
            .map(|(name, text)| {
                let origin = Origin::Embedded(kind, name);
                ((*name).to_owned(), Script { name: (*name).to_owned(), origin, text: Arc::from(*text) })
            })
            .collect();
        let user = self.user.iter().map(|base| (base, Origin::User as fn(PathBuf) -> Origin));
        for (base, origin) in user.chain([(&self.project, Origin::Project as fn(PathBuf) -> Origin)]) {
            for path in rhai_files(&base.join(folder))? {
                let name =
                    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
                let text = read(&path)?;
                found.insert(name.clone(), Script { name, origin: origin(path), text });
            }
        }
        Ok(found.into_values().collect())
    }
}

fn rhai_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(Error::usage(format!("{} cannot be listed", folder.display())).with_source(error));
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "rhai") && path.is_file())
        .collect();
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<Arc<str>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Arc::from(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            let error = Error::usage(format!("there is no file {}", path.display()));
            Err(match Library::embedded(&name, false) {
                Some(_) => error.with_hint(format!("the built-in recipe runs by its name: spot {name}")),
                None => error,
            })
        }
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            Err(Error::usage(format!("{} is not UTF-8 text", path.display())))
        }
        Err(error) => Err(Error::usage(format!("{} cannot be read", path.display())).with_source(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_place_wins() {
        let project = tempfile::tempdir().unwrap();
        let user = tempfile::tempdir().unwrap();
        let library = Library::new(project.path(), Some(user.path().to_owned()));
        let origin = |library: &Library| library.recipe("create").unwrap().origin.word();
        assert_eq!(origin(&library), "embedded");
        std::fs::create_dir(user.path().join("recipes")).unwrap();
        std::fs::write(user.path().join("recipes/create.rhai"), "1").unwrap();
        assert_eq!(origin(&library), "user");
        std::fs::create_dir(project.path().join("recipes")).unwrap();
        std::fs::write(project.path().join("recipes/create.rhai"), "2").unwrap();
        assert_eq!(origin(&library), "project");
    }

    #[test]
    fn a_misspelt_name_gets_a_suggestion() {
        let project = tempfile::tempdir().unwrap();
        let error = Library::new(project.path(), None).recipe("creat").unwrap_err();
        assert!(error.hint().unwrap().contains("`create`"), "{error:?}");
    }

    #[test]
    fn the_interpreter_line_is_no_code_and_no_documentation() {
        let script = Script {
            name: "x".into(),
            origin: Origin::File("x.rhai".into()),
            text: "#!/usr/bin/env -S spot run\n//! Does it,\n//! and well. Once.\n//!\n//! More.\nlet x = 1;"
                .into(),
        };
        assert_eq!(script.source().lines().count(), 6);
        assert!(script.source().starts_with("// /usr/bin"));
        assert_eq!(script.summary(), "Does it, and well.");
        assert_eq!(script.documentation(), "Does it,\nand well. Once.\n\nMore.");
    }
}

//! `import "lib/names" as names;`: script files of the project as modules.
//!
//! The stdlib needs no import. A path is relative to the project's folder and may not leave it.

use std::path::{Component, Path, PathBuf};

use rhai::{Engine, EvalAltResult, Module, ModuleResolver, Position, Scope, Shared};

use super::check::Check;
use super::library::{Origin, Script};

/// Resolves imports to `.rhai` files inside one folder.
#[derive(Debug, Clone)]
pub struct ProjectModules {
    root: PathBuf,
    check: Option<Check>,
}

impl ProjectModules {
    /// Modules inside `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        ProjectModules { root: root.into(), check: None }
    }

    /// Refuses modules in which something is bound to fail.
    #[must_use]
    pub fn checked(mut self, check: &Check) -> Self {
        self.check = Some(check.clone());
        self
    }

    fn locate(&self, path: &str) -> Result<PathBuf, String> {
        let relative = Path::new(path);
        if relative.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(format!("import \"{path}\": the path must stay inside the project"));
        }
        let file = self.root.join(relative).with_extension("rhai");
        let real = file
            .canonicalize()
            .map_err(|_| format!("import \"{path}\": there is no file {}", file.display()))?;
        let root = self.root.canonicalize().map_err(|error| format!("import \"{path}\": {error}"))?;
        if !real.starts_with(root) {
            return Err(format!("import \"{path}\": {} leads out of the project", file.display()));
        }
        Ok(real)
    }
}

impl ModuleResolver for ProjectModules {
    fn resolve(
        &self,
        engine: &Engine,
        _source: Option<&str>,
        path: &str,
        position: Position,
    ) -> Result<Shared<Module>, Box<EvalAltResult>> {
        let fail = |message: String| Box::new(EvalAltResult::ErrorRuntime(message.into(), position));
        let file = self.locate(path).map_err(fail)?;
        let text = std::fs::read_to_string(&file).map_err(|error| {
            fail(format!("import \"{path}\": {} cannot be read: {error}", file.display()))
        })?;
        let script = Script { name: path.to_owned(), origin: Origin::File(file), text: text.into() };
        let wrap = |error: Box<EvalAltResult>| {
            Box::new(EvalAltResult::ErrorInModule(script.origin.to_string(), error, position))
        };
        let mut ast = engine.compile(script.source()).map_err(|error| wrap(error.into()))?;
        ast.set_source(script.origin.to_string());
        let mistake = self.check.as_ref().and_then(|check| check.first_error(engine, &script.text, &ast));
        if let Some(mistake) = mistake {
            return Err(wrap(mistake.thrown()));
        }
        Module::eval_ast_as_new(Scope::new(), &ast, engine).map(Shared::new).map_err(wrap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_stay_inside_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("project");
        std::fs::create_dir_all(root.join("lib")).unwrap();
        std::fs::write(root.join("lib/names.rhai"), "fn hello() { \"hi\" }").unwrap();
        std::fs::write(folder.path().join("outside.rhai"), "fn hello() { 1 }").unwrap();
        std::os::unix::fs::symlink(folder.path().join("outside.rhai"), root.join("link.rhai")).unwrap();
        let mut engine = Engine::new();
        engine.set_module_resolver(ProjectModules::new(&root));
        let hello = engine.eval::<String>("import \"lib/names\" as names; names::hello()").unwrap();
        assert_eq!(hello, "hi");
        engine.set_module_resolver(ProjectModules::new(&root).checked(&Check::default()));
        engine.eval::<()>("import \"lib/names\" as m;").unwrap();
        std::fs::write(root.join("lib/wrong.rhai"), "fn hello() { prnt(1) }").unwrap();
        let error = engine.eval::<()>("import \"lib/wrong\" as m;").unwrap_err();
        assert!(error.to_string().contains("there is no function `prnt`"), "{error}");
        for path in ["../outside", "/etc/passwd", "link", "missing"] {
            let error = engine.eval::<()>(&format!("import \"{path}\" as m;")).unwrap_err();
            assert!(error.to_string().contains(path), "{error}");
        }
    }
}

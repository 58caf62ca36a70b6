//! The recipes and stdlib modules that are part of the binary.

/// Name and text of each built-in recipe, sorted by name.
pub(super) const RECIPES: &[(&str, &str)] = &[
    ("bacalhau", include_str!("../../recipes/bacalhau.rhai")),
    ("create", include_str!("../../recipes/create.rhai")),
    ("destroy", include_str!("../../recipes/destroy.rhai")),
    ("exec", include_str!("../../recipes/exec.rhai")),
    ("extend", include_str!("../../recipes/extend.rhai")),
    ("forget", include_str!("../../recipes/forget.rhai")),
    ("generate", include_str!("../../recipes/generate.rhai")),
    ("import", include_str!("../../recipes/import.rhai")),
    ("list", include_str!("../../recipes/list.rhai")),
    ("logs", include_str!("../../recipes/logs.rhai")),
    ("nuke", include_str!("../../recipes/nuke.rhai")),
    ("prices", include_str!("../../recipes/prices.rhai")),
    ("push", include_str!("../../recipes/push.rhai")),
    ("reap", include_str!("../../recipes/reap.rhai")),
    ("reconcile", include_str!("../../recipes/reconcile.rhai")),
    ("setup", include_str!("../../recipes/setup.rhai")),
    ("status", include_str!("../../recipes/status.rhai")),
    ("validate", include_str!("../../recipes/validate.rhai")),
    ("watch", include_str!("../../recipes/watch.rhai")),
];

/// Name and text of each built-in stdlib module, sorted by name.
pub(super) const STDLIB: &[(&str, &str)] = &[
    ("bacalhau", include_str!("../../stdlib/bacalhau.rhai")),
    ("cleanup", include_str!("../../stdlib/cleanup.rhai")),
    ("deploy", include_str!("../../stdlib/deploy.rhai")),
    ("drift", include_str!("../../stdlib/drift.rhai")),
    ("files", include_str!("../../stdlib/files.rhai")),
    ("fleet", include_str!("../../stdlib/fleet.rhai")),
    ("health", include_str!("../../stdlib/health.rhai")),
    ("inventory", include_str!("../../stdlib/inventory.rhai")),
    ("notify", include_str!("../../stdlib/notify.rhai")),
    ("prices", include_str!("../../stdlib/prices.rhai")),
    ("queue", include_str!("../../stdlib/queue.rhai")),
    ("rollout", include_str!("../../stdlib/rollout.rhai")),
    ("step", include_str!("../../stdlib/step.rhai")),
    ("templates", include_str!("../../stdlib/templates.rhai")),
    ("watch", include_str!("../../stdlib/watch.rhai")),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn stems(folder: &str) -> Vec<String> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut stems: Vec<String> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "rhai"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        stems.sort();
        stems
    }

    #[test]
    fn no_file_is_forgotten() {
        let names =
            |list: &[(&str, &str)]| list.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(names(RECIPES), stems("recipes"));
        assert_eq!(names(STDLIB), stems("stdlib"));
    }
}

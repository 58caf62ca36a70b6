//! Former versions of `instances.json`.
//!
//! Every version is kept as it is written, the present one included: putting the newest backup in the
//! place of a damaged `instances.json` loses nothing, since the journal goes on from there.

use std::fs;
use std::path::PathBuf;

use super::disk::Disk;
use super::layout::{Layout, replace};
use crate::error::Result;

/// How many versions are kept.
const KEPT: usize = 10;

/// The backups, oldest first.
pub(super) fn all(layout: &Layout) -> Vec<PathBuf> {
    let mut found: Vec<(u64, PathBuf)> = fs::read_dir(layout.backups())
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let (number, rest) = name.to_str()?.split_once('-')?;
            rest.ends_with(".json").then_some((number.parse().ok()?, entry.path()))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Keeps `text`, which is about to become `instances.json`; before it, what is there now if somebody
/// else wrote that.
pub(super) fn keep(disk: &dyn Disk, layout: &Layout, text: &[u8]) -> Result<()> {
    let folder = layout.backups();
    if !folder.is_dir() {
        disk.create_folder(&folder).map_err(|e| layout.explain("cannot create", &folder, e))?;
    }
    disk.tighten(&folder, 0o700).map_err(|e| layout.explain("cannot make private", &folder, e))?;
    let known = all(layout);
    let newest = known.last().and_then(|path| fs::read(path).ok());
    let mut number = known.last().map_or(0, |path| number_of(path));
    let mut write = |text: &[u8]| {
        number += 1;
        let time = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let path = folder.join(format!("{number:06}-{time}.json"));
        replace(disk, &path, text).map_err(|e| layout.explain("cannot write", &path, e))
    };
    if let Ok(present) = fs::read(layout.instances())
        && newest.as_ref() != Some(&present)
    {
        write(&present)?;
    }
    write(text)
}

/// Removes all but the newest. What cannot be removed is tried again next time.
pub(super) fn prune(disk: &dyn Disk, layout: &Layout) {
    let known = all(layout);
    let surplus = known.len().saturating_sub(KEPT);
    for path in known.iter().take(surplus) {
        let _ = disk.remove(path);
    }
}

fn number_of(path: &std::path::Path) -> u64 {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('-'));
    name.and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::disk::RealDisk;

    #[test]
    fn ten_versions_are_kept_and_a_foreign_one_among_them() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        layout.prepare(&RealDisk).unwrap();
        let texts = || all(&layout).iter().map(|path| fs::read_to_string(path).unwrap()).collect::<Vec<_>>();
        fs::write(layout.instances(), "foreign").unwrap();
        keep(&RealDisk, &layout, b"1").unwrap();
        assert_eq!(texts(), ["foreign", "1"]);
        for version in 2..=12 {
            fs::write(layout.instances(), (version - 1).to_string()).unwrap();
            keep(&RealDisk, &layout, version.to_string().as_bytes()).unwrap();
            prune(&RealDisk, &layout);
        }
        assert_eq!(texts(), (3..=12).map(|version| version.to_string()).collect::<Vec<_>>());
    }
}

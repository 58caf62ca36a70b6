//! Which pools refused lately: remembered between runs, so that the next one asks them last.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Market;
use super::allocation::{PastRefusal, Refused};
use super::cache_file::CacheFile;
use super::codes::{self, Class};
use crate::error::{Error, Result};

/// How long a pool without capacity is remembered, in seconds.
const CAPACITY: i64 = 15 * 60;
/// How long a quota that was met is remembered, in seconds.
const QUOTA: i64 = 60 * 60;
/// A clock that was set back makes a refusal one of the future; that much is forgiven, in seconds.
const AHEAD: i64 = 60;

/// The memory of one project: a file of which every broken or outdated part is ignored.
#[derive(Debug, Clone)]
pub struct Refusals {
    file: CacheFile,
}

/// One refusal in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Entry {
    account: String,
    region: String,
    zone: String,
    #[serde(rename = "type")]
    instance_type: String,
    market: Market,
    code: String,
    /// Seconds since 1970.
    at: i64,
}

impl Entry {
    /// How long ago it was, in seconds, while it counts.
    fn age(&self, now: Timestamp) -> Option<u64> {
        let age = now.as_second().saturating_sub(self.at);
        let lasts = lasts(&self.code)?;
        (-AHEAD..lasts).contains(&age).then(|| u64::try_from(age).unwrap_or(0))
    }
}

/// How long a code is remembered, in seconds; only what passes by itself is.
fn lasts(code: &str) -> Option<i64> {
    match codes::classify(code) {
        // Not the pool refused: the limit was too low for it.
        _ if code == "SpotMaxPriceTooLow" => None,
        Class::Capacity => Some(CAPACITY),
        Class::Quota => Some(QUOTA),
        _ => None,
    }
}

/// What is remembered of an account.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Remembered {
    entries: BTreeMap<(String, String, String), Vec<PastRefusal>>,
    /// What is wrong with the file, if it could not be read.
    pub warning: Option<String>,
}

impl Remembered {
    /// What a pool refused, the newest first.
    pub fn of(&self, region: &str, zone: &str, instance_type: &str) -> Vec<PastRefusal> {
        let key = (region.to_owned(), zone.to_owned(), instance_type.to_owned());
        self.entries.get(&key).cloned().unwrap_or_default()
    }
}

impl Refusals {
    /// The memory in a project's private folder (`.spot`): `cache/refusals.json`.
    pub fn in_folder(private: &Path) -> Refusals {
        Refusals { file: CacheFile::in_folder(private, "refusals.json") }
    }

    /// Whether anything was ever remembered.
    pub fn exists(&self) -> bool {
        self.file.path().exists()
    }

    /// Remembers refusals; those whose code says nothing about the next minutes are left out. Two
    /// processes that write at once may forget one of each other's.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note(&self, account: &str, refused: &[Refused], now: Timestamp) -> Result<()> {
        let new: Vec<Entry> = refused
            .iter()
            .filter(|it| lasts(&it.code).is_some() && !it.zone.is_empty() && !it.instance_type.is_empty())
            .map(|it| Entry {
                account: account.to_owned(),
                region: it.region.clone(),
                zone: it.zone.clone(),
                instance_type: it.instance_type.clone(),
                market: it.market,
                code: it.code.clone(),
                at: now.as_second(),
            })
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let same = |a: &Entry, b: &Entry| {
            (&a.account, &a.region, &a.zone, &a.instance_type, a.market, &a.code)
                == (&b.account, &b.region, &b.zone, &b.instance_type, b.market, &b.code)
        };
        let mut entries: Vec<Entry> = self.file.read().unwrap_or_default();
        entries.retain(|old| old.age(now).is_some() && !new.iter().any(|new| same(old, new)));
        entries.extend(new);
        self.file.write(&entries).map_err(|error| {
            Error::state(format!("cannot remember refusals in {}", self.file.path().display()))
                .with_source(error)
        })
    }

    /// What is remembered of an account and still counts.
    pub fn recall(&self, account: &str, now: Timestamp) -> Remembered {
        let entries: Vec<Entry> = match self.file.read() {
            Ok(entries) => entries,
            Err(error) => {
                let path = self.file.path().display();
                let warning = Some(format!("earlier refusals are not known: {path} is unreadable: {error}"));
                return Remembered { warning, ..Remembered::default() };
            }
        };
        let mut remembered = Remembered::default();
        for entry in entries.into_iter().filter(|entry| entry.account == account) {
            let Some(ago) = entry.age(now) else { continue };
            let past = PastRefusal { market: entry.market, code: entry.code, ago };
            let key = (entry.region, entry.zone, entry.instance_type);
            remembered.entries.entry(key).or_default().push(past);
        }
        for of_pool in remembered.entries.values_mut() {
            of_pool.sort_by_key(|past| past.ago);
        }
        remembered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn refused(zone: &str, code: &str) -> Refused {
        Refused {
            region: "us-west-2".to_owned(),
            zone: zone.to_owned(),
            instance_type: "m5.large".to_owned(),
            market: Market::Spot,
            code: code.to_owned(),
        }
    }

    #[test]
    fn a_refusal_is_remembered_for_as_long_as_its_code_says() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Refusals::in_folder(folder.path());
        let of = |second, zone| memory.recall("1", at(second)).of("us-west-2", zone, "m5.large");
        assert_eq!(of(0, "a"), []);
        let all = [
            refused("a", "InsufficientInstanceCapacity"),
            refused("b", "VcpuLimitExceeded"),
            refused("c", "SpotMaxPriceTooLow"),
            refused("d", "UnauthorizedOperation"),
            refused("", "InsufficientInstanceCapacity"),
        ];
        memory.note("1", &all, at(0)).unwrap();
        let past =
            PastRefusal { market: Market::Spot, code: "InsufficientInstanceCapacity".to_owned(), ago: 240 };
        assert_eq!(of(240, "a"), [past]);
        assert_eq!(of(15 * 60, "a"), []);
        assert_eq!(of(30 * 60, "b").len(), 1);
        assert_eq!(of(60 * 60, "b"), []);
        assert_eq!((of(1, "c"), of(1, "d")), (vec![], vec![]));
        assert_eq!(memory.recall("2", at(1)).of("us-west-2", "a", "m5.large"), []);
        // A clock that was set back.
        assert_eq!(of(-30, "a").len(), 1);
        assert_eq!(of(-3600, "a"), []);
    }

    #[test]
    fn a_newer_refusal_takes_the_place_of_the_older_and_outdated_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Refusals::in_folder(folder.path());
        memory.note("1", &[refused("a", "InsufficientInstanceCapacity")], at(0)).unwrap();
        memory.note("1", &[refused("a", "InsufficientInstanceCapacity")], at(100)).unwrap();
        assert_eq!(memory.file.read::<Vec<Entry>>().unwrap().len(), 1);
        memory.note("1", &[refused("b", "InsufficientInstanceCapacity")], at(5000)).unwrap();
        let zones: Vec<String> =
            memory.file.read::<Vec<Entry>>().unwrap().into_iter().map(|entry| entry.zone).collect();
        assert_eq!(zones, ["b"]);
    }

    #[test]
    fn a_broken_file_is_a_warning_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Refusals::in_folder(folder.path());
        std::fs::create_dir_all(folder.path().join("cache")).unwrap();
        std::fs::write(folder.path().join("cache/refusals.json"), "{ torn").unwrap();
        let remembered = memory.recall("1", at(0));
        assert!(remembered.warning.unwrap().contains("refusals.json"));
        memory.note("1", &[refused("a", "InsufficientInstanceCapacity")], at(0)).unwrap();
        assert_eq!(memory.recall("1", at(1)).warning, None);
    }
}

//! Images that were looked up before: public answers that change a few times a month, kept on disk for
//! a day.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::cache_file::CacheFile;
use super::{Image, ImageQuery, ImageSource};

/// How long an answer is good for, in seconds.
const LASTS: i64 = 24 * 60 * 60;
/// A clock that was set back makes an entry one of the future; that much is forgiven, in seconds.
const AHEAD: i64 = 60;

/// A file of images by region and query. Whatever is wrong with it, it is only slower without it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageCache {
    file: CacheFile,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    image: Image,
    /// Seconds since 1970.
    at: i64,
}

impl ImageCache {
    /// The cache in a project's private folder (`.spot`): `cache/images.json`.
    pub fn in_folder(private: &Path) -> Self {
        ImageCache { file: CacheFile::in_folder(private, "images.json") }
    }

    /// What was found for a query in a region, if it still counts. `cloud` tells clouds apart.
    pub fn find(&self, cloud: &str, region: &str, query: &ImageQuery, now: Timestamp) -> Option<Image> {
        if query.refresh || !query.is_public() {
            return None;
        }
        let entry = self.read().remove(&key(cloud, region, query))?;
        let age = now.as_second().saturating_sub(entry.at);
        let deprecated = entry.image.deprecated.as_deref().and_then(|at| at.parse::<Timestamp>().ok());
        if !(-AHEAD..LASTS).contains(&age) || deprecated.is_some_and(|at| at <= now) {
            return None;
        }
        let since = Timestamp::from_second(entry.at).ok()?;
        Some(Image { known_since: Some(since.to_string()), ..entry.image })
    }

    /// Keeps an answer. A cache that cannot be written costs a look the next time, nothing else.
    pub fn keep(&self, cloud: &str, region: &str, query: &ImageQuery, image: &Image, now: Timestamp) {
        if !query.is_public() {
            return;
        }
        let mut entries = self.read();
        entries.retain(|_, old| now.as_second().saturating_sub(old.at) < LASTS);
        entries.insert(key(cloud, region, query), Entry { image: image.clone(), at: now.as_second() });
        drop(self.file.write(&entries));
    }

    /// Forgets an image, which EC2 says does not exist.
    pub fn forget(&self, id: &str) {
        let mut entries = self.read();
        let before = entries.len();
        entries.retain(|_, entry| entry.image.id != id);
        if entries.len() < before {
            drop(self.file.write(&entries));
        }
    }

    fn read(&self) -> BTreeMap<String, Entry> {
        self.file.read().unwrap_or_default()
    }
}

fn key(cloud: &str, region: &str, query: &ImageQuery) -> String {
    let source = match &query.source {
        ImageSource::Auto => "auto".to_owned(),
        ImageSource::Id(id) => id.clone(),
        ImageSource::Parameter(path) => path.clone(),
        ImageSource::Name { pattern, owner } => {
            format!("{pattern} of {}", owner.as_deref().unwrap_or_default())
        }
    };
    format!("{cloud} {region} {} {source}", query.architecture)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Architecture;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn an_image_is_known_for_a_day_in_its_region_and_cloud() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ImageCache::in_folder(folder.path());
        let auto = ImageQuery::parse("auto", Architecture::X86_64);
        let image = Image { id: "ami-1".to_owned(), ..Image::default() };
        assert!(cache.find("aws", "us-west-2", &auto, at(0)).is_none());
        cache.keep("aws", "us-west-2", &auto, &image, at(0));
        let known = cache.find("aws", "us-west-2", &auto, at(60)).unwrap();
        assert_eq!(
            (known.id.as_str(), known.known_since.as_deref()),
            ("ami-1", Some("2023-11-14T22:13:20Z"))
        );
        assert!(cache.find("aws", "us-west-2", &auto, at(LASTS)).is_none(), "too old");
        assert!(cache.find("aws", "us-west-2", &auto, at(-3600)).is_none(), "of the future");
        assert!(cache.find("aws", "eu-west-1", &auto, at(60)).is_none(), "of another region");
        assert!(cache.find("sandbox", "us-west-2", &auto, at(60)).is_none(), "of another cloud");
        let arm = ImageQuery::parse("auto", Architecture::Arm64);
        assert!(cache.find("aws", "us-west-2", &arm, at(60)).is_none());
        assert!(cache.find("aws", "us-west-2", &auto.clone().refreshed(true), at(60)).is_none());
        cache.forget("ami-1");
        assert!(cache.find("aws", "us-west-2", &auto, at(60)).is_none());
    }

    #[test]
    fn what_belongs_to_an_account_or_is_deprecated_is_not_kept_and_a_broken_file_is_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let cache = ImageCache::in_folder(folder.path());
        let image = Image { id: "ami-1".to_owned(), ..Image::default() };
        let own = ImageQuery::parse("my-app-*", Architecture::X86_64);
        cache.keep("aws", "r", &own, &image, at(0));
        assert!(cache.find("aws", "r", &own, at(0)).is_none());
        let auto = ImageQuery::parse("auto", Architecture::X86_64);
        let old = Image { deprecated: Some(at(100).to_string()), ..image.clone() };
        cache.keep("aws", "r", &auto, &old, at(0));
        assert!(cache.find("aws", "r", &auto, at(50)).is_some());
        assert!(cache.find("aws", "r", &auto, at(150)).is_none());
        std::fs::write(cache.file.path(), "{ torn").unwrap();
        assert!(cache.find("aws", "r", &auto, at(50)).is_none());
        cache.keep("aws", "r", &auto, &image, at(0));
        assert!(cache.find("aws", "r", &auto, at(50)).is_some());
    }
}

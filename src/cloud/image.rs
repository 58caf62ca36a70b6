//! Machine images: how one is asked for, and which Ubuntu is the newest.

use serde::{Deserialize, Serialize};

use super::Architecture;

/// Which image is wanted, and for which architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageQuery {
    /// How it is named.
    pub source: ImageSource,
    /// The architecture it must be for.
    pub architecture: Architecture,
    /// Whether an answer that was kept from an earlier look does not do.
    pub refresh: bool,
}

/// How an image is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ImageSource {
    /// The newest Ubuntu LTS release by Canonical.
    #[default]
    Auto,
    /// An image id, such as `ami-0abc…`.
    Id(String),
    /// The image that a public SSM parameter names, such as
    /// `/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64`. `{arch}` in the path
    /// stands for the architecture: `x86_64` or `arm64`; `{deb}` for `amd64` or `arm64`.
    Parameter(String),
    /// The newest image whose name fits a pattern (`*` and `?`).
    Name {
        /// The pattern.
        pattern: String,
        /// The account id or alias that must own it. Without one: the caller's own account, Amazon
        /// and Canonical, since anyone may publish an image under any name.
        owner: Option<String>,
    },
}

impl ImageQuery {
    /// A query as the configuration writes it: `auto`, an image id, the path of an SSM parameter (with
    /// or without `ssm:` before it), or a name pattern.
    pub fn parse(text: &str, architecture: Architecture) -> Self {
        let source = match text.trim() {
            "" | "auto" => ImageSource::Auto,
            id if id.starts_with("ami-") => ImageSource::Id(id.to_owned()),
            path if path.starts_with("ssm:") || path.starts_with("/aws/service/") => {
                ImageSource::Parameter(path.trim_start_matches("ssm:").to_owned())
            }
            pattern => ImageSource::Name { pattern: pattern.to_owned(), owner: None },
        };
        ImageQuery { source, architecture, refresh: false }
    }

    /// The same query, which looks again whatever is known.
    #[must_use]
    pub fn refreshed(self, refresh: bool) -> Self {
        ImageQuery { refresh, ..self }
    }

    /// Whether the answer is the same for every account, so that it can be kept.
    pub fn is_public(&self) -> bool {
        match &self.source {
            ImageSource::Auto | ImageSource::Parameter(_) => true,
            ImageSource::Name { owner, .. } => owner.as_deref().is_some_and(|owner| owner != "self"),
            ImageSource::Id(_) => false,
        }
    }
}

/// A machine image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Image {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The region it is in.
    pub region: String,
    /// The architecture it is for.
    pub architecture: Architecture,
    /// The account that owns it.
    pub owner: String,
    /// When it was made (RFC 3339).
    pub created: Option<String>,
    /// From when it should not be used any more (RFC 3339).
    pub deprecated: Option<String>,
    /// The device name of its root volume.
    pub root_device: Option<String>,
    /// The smallest root volume it fits on, in GiB.
    pub minimum_disk_gb: Option<i32>,
    /// When it was looked up, when that was in an earlier run (RFC 3339).
    pub known_since: Option<String>,
}

/// The release that the name of an Ubuntu image states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UbuntuRelease {
    /// Years since 2000.
    pub year: u16,
    /// The month.
    pub month: u16,
}

impl UbuntuRelease {
    /// Reads `…/ubuntu-noble-24.04-amd64-server-20240423`. Minimal, Pro and daily images have other
    /// names and are none.
    pub fn parse(name: &str) -> Option<Self> {
        let (folder, file) = name.rsplit_once('/')?;
        if !folder.starts_with("ubuntu/images/") {
            return None;
        }
        let mut parts = file.split('-');
        if parts.next() != Some("ubuntu") {
            return None;
        }
        let version = parts.nth(1)?;
        let mut rest = parts.skip(1);
        if rest.next() != Some("server") {
            return None;
        }
        let (year, month) = version.split_once('.')?;
        Some(UbuntuRelease { year: year.parse().ok()?, month: month.parse().ok()? })
    }

    /// Whether it is supported for five years: April of an even year.
    pub fn is_lts(self) -> bool {
        self.month == 4 && self.year.is_multiple_of(2)
    }
}

/// The newest Ubuntu among the images: the highest LTS release, and of that the image made last; if
/// there is no LTS among them, the highest release of any kind.
pub fn newest_ubuntu(images: Vec<Image>) -> Option<Image> {
    images
        .into_iter()
        .filter_map(|image| Some((UbuntuRelease::parse(&image.name)?, image)))
        .max_by(|(a, x), (b, y)| {
            let left = (a.is_lts(), *a, &x.created, &x.name);
            left.cmp(&(b.is_lts(), *b, &y.created, &y.name))
        })
        .map(|(_, image)| image)
}

/// The image made last.
pub fn newest(images: Vec<Image>) -> Option<Image> {
    images.into_iter().max_by(|x, y| (&x.created, &x.name).cmp(&(&y.created, &y.name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str, created: &str) -> Image {
        Image { name: name.to_owned(), created: Some(created.to_owned()), ..Image::default() }
    }

    #[test]
    fn a_query_is_auto_an_id_or_a_pattern() {
        let source = |text| ImageQuery::parse(text, Architecture::Arm64).source;
        assert_eq!(source("auto"), ImageSource::Auto);
        assert_eq!(source("ami-1"), ImageSource::Id("ami-1".to_owned()));
        assert_eq!(
            source("debian-12-*"),
            ImageSource::Name { pattern: "debian-12-*".to_owned(), owner: None }
        );
    }

    #[test]
    fn ubuntu_names_tell_their_release() {
        let noble =
            UbuntuRelease::parse("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20240423");
        assert_eq!(noble, Some(UbuntuRelease { year: 24, month: 4 }));
        assert!(noble.unwrap().is_lts());
        let interim =
            UbuntuRelease::parse("ubuntu/images/hvm-ssd/ubuntu-mantic-23.10-arm64-server-20231011.1");
        assert!(!interim.unwrap().is_lts());
        assert!(!UbuntuRelease { year: 25, month: 4 }.is_lts());
        for other in [
            "ubuntu-minimal/images/hvm-ssd/ubuntu-noble-24.04-amd64-minimal-20240423",
            "ubuntu/images-testing/hvm-ssd/ubuntu-noble-daily-amd64-server-20240423",
            "ubuntu-eks/k8s_1.29/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240423",
            "Deep Learning AMI Ubuntu Linux - 2.4_Oct2017",
            "ubuntu/images/hvm-ssd/ubuntu-noble",
            "",
        ] {
            assert_eq!(UbuntuRelease::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_newest_lts_wins_and_then_the_newest_build() {
        let images = vec![
            image("ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20250101", "2025-01-01"),
            image("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20240423", "2024-04-23"),
            image("ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20240601", "2024-06-01"),
            image("ubuntu/images/hvm-ssd-gp3/ubuntu-plucky-25.04-amd64-server-20250601", "2025-06-01"),
            image("something/else", "2026-01-01"),
        ];
        let found = newest_ubuntu(images).unwrap();
        assert!(found.name.ends_with("24.04-amd64-server-20240601"), "{}", found.name);
    }

    #[test]
    fn without_an_lts_the_newest_release_will_do() {
        let images = vec![
            image("ubuntu/images/hvm-ssd/ubuntu-a-23.04-amd64-server-1", "2025-01-01"),
            image("ubuntu/images/hvm-ssd/ubuntu-b-23.10-amd64-server-1", "2024-01-01"),
        ];
        assert!(newest_ubuntu(images).unwrap().name.contains("23.10"));
        assert_eq!(newest_ubuntu(vec![image("windows", "2025-01-01")]), None);
    }
}

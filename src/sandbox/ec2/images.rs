//! The machine images of the sandbox: Canonical's Ubuntu, several dates of each.

use sha2::{Digest, Sha256};

use super::request::hex;

/// The account that owns Ubuntu's images.
pub(super) const CANONICAL: &str = "099720109477";

/// A machine image as one region knows it.
#[derive(Debug, Clone)]
pub(super) struct Image {
    /// `ami-…`, the same for a name and region at all times.
    pub id: String,
    /// `ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260915`.
    pub name: String,
    /// What Canonical writes beside it.
    pub description: String,
    /// `x86_64` or `arm64`.
    pub architecture: &'static str,
    /// ISO 8601.
    pub created: String,
    /// ISO 8601, two years on.
    pub deprecated: String,
    /// The snapshot behind its root volume.
    pub snapshot: String,
    /// The type of its root volume.
    pub volume_type: &'static str,
}

/// Size of the root volume in GiB.
pub(super) const ROOT_SIZE: u32 = 8;
/// Name of the root device.
pub(super) const ROOT_DEVICE: &str = "/dev/sda1";

struct Series {
    folder: &'static str,
    release: &'static str,
    title: &'static str,
    volume_type: &'static str,
}

const SERIES: &[Series] = &[
    Series {
        folder: "hvm-ssd-gp3",
        release: "ubuntu-noble-24.04",
        title: "Canonical, Ubuntu, 24.04",
        volume_type: "gp3",
    },
    Series {
        folder: "hvm-ssd",
        release: "ubuntu-jammy-22.04",
        title: "Canonical, Ubuntu, 22.04",
        volume_type: "gp2",
    },
];

/// Canonical's word for the architecture, and EC2's.
const ARCHITECTURES: &[(&str, &str)] = &[("amd64", "x86_64"), ("arm64", "arm64")];

/// Build dates: year, month, day.
const DATES: &[(u16, u8, u8)] = &[(2025, 11, 18), (2026, 3, 20), (2026, 6, 12), (2026, 9, 15)];

/// Every image of a region, oldest first within a series.
pub(super) fn all(region: &str) -> Vec<Image> {
    let mut images = Vec::new();
    for series in SERIES {
        for architecture in ARCHITECTURES {
            images.extend(DATES.iter().map(|date| image(region, series, *architecture, *date)));
        }
    }
    images
}

/// The image of an id in a region.
pub(super) fn find(region: &str, id: &str) -> Option<Image> {
    all(region).into_iter().find(|image| image.id == id)
}

fn image(
    region: &str,
    series: &Series,
    (word, architecture): (&str, &'static str),
    (year, month, day): (u16, u8, u8),
) -> Image {
    let Series { folder, release, title, volume_type } = series;
    let serial = format!("{year}{month:02}{day:02}");
    let name = format!("ubuntu/images/{folder}/{release}-{word}-server-{serial}");
    Image {
        id: stable("ami", region, &name),
        snapshot: stable("snap", region, &name),
        description: format!("{title}, {word} image build on {year}-{month:02}-{day:02}"),
        architecture,
        created: format!("{year}-{month:02}-{day:02}T07:12:41.000Z"),
        deprecated: format!("{}-{month:02}-{day:02}T07:12:41.000Z", year + 2),
        volume_type,
        name,
    }
}

fn stable(prefix: &str, region: &str, name: &str) -> String {
    let digest = hex(&Sha256::digest(format!("{prefix}/{region}/{name}")));
    let digits: String = digest.chars().take(16).collect();
    format!("{prefix}-0{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_by_region_and_stay() {
        let west = all("us-west-2");
        let east = all("us-east-1");
        assert_eq!(west.len(), 16);
        assert!(west.iter().all(|image| east.iter().all(|other| other.id != image.id)));
        assert_eq!(find("us-west-2", &west[0].id).unwrap().name, west[0].name);
        assert!(
            west.iter()
                .any(|image| image.name
                    == "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260915")
        );
    }
}

//! The machine images of the sandbox: Ubuntu and Amazon Linux, several dates of each.

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
    /// The account that owns it.
    pub owner: &'static str,
    /// Name of its root device.
    pub root_device: &'static str,
    /// The SSM parameter that names the newest of its kind.
    parameter: String,
}

/// Size of the root volume in GiB.
pub(super) const ROOT_SIZE: u32 = 8;
/// The account that owns Amazon Linux.
const AMAZON: &str = "137112412989";

struct Series {
    /// What its names are, with `{arch}` and `{date}` in them.
    name: &'static str,
    title: &'static str,
    volume_type: &'static str,
    owner: &'static str,
    root_device: &'static str,
    /// Words for x86_64 and arm64.
    words: [&'static str; 2],
    parameter: &'static str,
}

const SERIES: &[Series] = &[
    Series {
        name: "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{arch}-server-{date}",
        title: "Canonical, Ubuntu, 24.04",
        volume_type: "gp3",
        owner: CANONICAL,
        root_device: "/dev/sda1",
        words: ["amd64", "arm64"],
        parameter: "/aws/service/canonical/ubuntu/server/24.04/stable/current/{arch}/hvm/ebs-gp3/ami-id",
    },
    Series {
        name: "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-{arch}-server-{date}",
        title: "Canonical, Ubuntu, 22.04",
        volume_type: "gp2",
        owner: CANONICAL,
        root_device: "/dev/sda1",
        words: ["amd64", "arm64"],
        parameter: "/aws/service/canonical/ubuntu/server/22.04/stable/current/{arch}/hvm/ebs-gp2/ami-id",
    },
    Series {
        name: "al2023-ami-2023.9.{date}.0-kernel-6.1-{arch}",
        title: "Amazon Linux 2023",
        volume_type: "gp3",
        owner: AMAZON,
        root_device: "/dev/xvda",
        words: ["x86_64", "arm64"],
        parameter: "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{arch}",
    },
];

/// EC2's words for the architectures.
const ARCHITECTURES: [&str; 2] = ["x86_64", "arm64"];

/// Build dates: year, month, day.
const DATES: &[(u16, u8, u8)] = &[(2024, 4, 23), (2025, 11, 18), (2026, 3, 20), (2026, 6, 12), (2026, 9, 15)];

/// Every image of a region, oldest first within a series.
pub(super) fn all(region: &str) -> Vec<Image> {
    let mut images = Vec::new();
    for series in SERIES {
        for (architecture, word) in ARCHITECTURES.into_iter().zip(series.words) {
            images.extend(DATES.iter().map(|date| image(region, series, (word, architecture), *date)));
        }
    }
    images
}

/// The image of an id in a region.
pub(super) fn find(region: &str, id: &str) -> Option<Image> {
    all(region).into_iter().find(|image| image.id == id)
}

/// The image that a public SSM parameter names.
pub(super) fn newest(region: &str, parameter: &str) -> Option<Image> {
    // Canonical's parameters exist under the code names, too.
    let numbered = parameter.replace("/noble/", "/24.04/").replace("/jammy/", "/22.04/");
    all(region).into_iter().rfind(|image| image.parameter == numbered)
}

fn image(
    region: &str,
    series: &Series,
    (word, architecture): (&str, &'static str),
    (year, month, day): (u16, u8, u8),
) -> Image {
    let serial = format!("{year}{month:02}{day:02}");
    let name = series.name.replace("{arch}", word).replace("{date}", &serial);
    Image {
        id: stable("ami", region, &name),
        snapshot: stable("snap", region, &name),
        description: format!("{}, {word} image build on {year}-{month:02}-{day:02}", series.title),
        architecture,
        created: format!("{year}-{month:02}-{day:02}T07:12:41.000Z"),
        deprecated: format!("{}-{month:02}-{day:02}T07:12:41.000Z", year + 2),
        volume_type: series.volume_type,
        owner: series.owner,
        root_device: series.root_device,
        parameter: series.parameter.replace("{arch}", word),
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
        assert_eq!(west.len(), 30);
        let parameter = "/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id";
        let newest = newest("us-west-2", parameter).unwrap();
        assert_eq!((newest.architecture, newest.name.contains("20260915")), ("arm64", true));
        assert!(west.iter().all(|image| east.iter().all(|other| other.id != image.id)));
        assert_eq!(find("us-west-2", &west[0].id).unwrap().name, west[0].name);
        assert!(
            west.iter()
                .any(|image| image.name
                    == "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20260915")
        );
    }
}

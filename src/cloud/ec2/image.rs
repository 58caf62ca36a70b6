//! Finding the image to start from.

use aws_sdk_ec2::types::{self, ImageState};

use super::Ec2;
use super::convert::filter;
use crate::cloud::image::{newest, newest_ubuntu};
use crate::cloud::{Architecture, Image, ImageQuery, ImageSource};
use crate::error::{Error, Result};

/// The code of an error about an image that does not exist (for this account, in this region).
const NOT_FOUND: &str = "InvalidAMIID.NotFound";
/// The code of an error about an image that should not be used any more.
const DEPRECATED: &str = "ImageDeprecated";

impl Ec2 {
    pub(super) async fn image(&self, region: &str, query: &ImageQuery) -> Result<Image> {
        let Some(cache) = &self.settings().images else { return self.look_up_image(region, query).await };
        let cloud = self.cloud_name();
        if let Some(known) = cache.find(&cloud, region, query, jiff::Timestamp::now()) {
            return Ok(known);
        }
        let image = self.look_up_image(region, query).await?;
        cache.keep(&cloud, region, query, &image, jiff::Timestamp::now());
        Ok(image)
    }

    /// Forgets an image that turned out not to exist.
    pub(super) fn forget_image(&self, id: &str) {
        if let Some(cache) = &self.settings().images {
            cache.forget(id);
        }
    }

    async fn look_up_image(&self, region: &str, query: &ImageQuery) -> Result<Image> {
        let architecture = query.architecture;
        match &query.source {
            ImageSource::Auto => {
                let owners = vec![canonical(region).to_owned()];
                let names = format!("ubuntu/images/hvm-ssd*/ubuntu-*-{}-server-*", debian_name(architecture));
                let images = self.named_images(region, owners, &names, architecture).await?;
                newest_ubuntu(images).ok_or_else(|| none(region, "Ubuntu server", architecture))
            }
            ImageSource::Name { pattern, owner } => {
                let owners = match owner {
                    Some(owner) => vec![owner.clone()],
                    None => vec!["self".to_owned(), "amazon".to_owned(), canonical(region).to_owned()],
                };
                let images = self.named_images(region, owners, pattern, architecture).await?;
                newest(images).ok_or_else(|| none(region, pattern, architecture))
            }
            ImageSource::Parameter(path) => {
                let path =
                    path.replace("{arch}", architecture.as_str()).replace("{deb}", debian_name(architecture));
                let id = self.public_parameter(region, &path).await?;
                let image = self.image_by_id(region, &id).await?;
                check(image, architecture, jiff::Timestamp::now())
            }
            ImageSource::Id(id) => {
                let image = self.image_by_id(region, id).await?;
                check(image, architecture, jiff::Timestamp::now())
            }
        }
    }

    /// The value of a public parameter of Systems Manager: an image's id.
    async fn public_parameter(&self, region: &str, path: &str) -> Result<String> {
        let value = self.parameter_value(region, path).await.map_err(|error| {
            let unknown = error.code() == Some("ParameterNotFound");
            if unknown { no_parameter(region, path) } else { error }
        })?;
        if value.starts_with("ami-") {
            return Ok(value);
        }
        let shown: String = value.chars().take(40).collect();
        Err(Error::aws(format!(
            "the parameter `{path}` in {region} does not name an image: expected `ami-…`, found `{shown}`"
        ))
        .with_code(NOT_FOUND))
    }

    async fn named_images(
        &self,
        region: &str,
        owners: Vec<String>,
        pattern: &str,
        architecture: Architecture,
    ) -> Result<Vec<Image>> {
        let filters = [
            filter("name", [pattern]),
            filter("architecture", [architecture.as_str()]),
            filter("state", ["available"]),
            filter("virtualization-type", ["hvm"]),
            filter("root-device-type", ["ebs"]),
        ];
        let found = self
            .pages(region, "DescribeImages", |client, token| {
                let (owners, filters) = (owners.clone(), filters.to_vec());
                async move {
                    let request =
                        client.describe_images().set_owners(Some(owners)).set_filters(Some(filters));
                    let answer = request.max_results(1000).set_next_token(token).send().await?;
                    Ok((answer.images, answer.next_token))
                }
            })
            .await?;
        Ok(found.iter().map(|it| image(region, it)).collect())
    }

    async fn image_by_id(&self, region: &str, id: &str) -> Result<Image> {
        let answer = self
            .look(region, "DescribeImages", |client| {
                client.describe_images().image_ids(id).include_deprecated(true).send()
            })
            .await
            .map_err(|error| {
                let known = error.code().is_some_and(|code| code.starts_with("InvalidAMIID"));
                if known { missing(region, id) } else { error }
            })?;
        let usable = |it: &&types::Image| it.state().is_none_or(|state| *state == ImageState::Available);
        answer.images().iter().find(usable).map(|it| image(region, it)).ok_or_else(|| missing(region, id))
    }
}

fn image(region: &str, it: &types::Image) -> Image {
    let root = it.root_device_name().map(str::to_owned);
    let mapping = it.block_device_mappings().iter().find(|mapping| mapping.device_name() == root.as_deref());
    Image {
        id: it.image_id().unwrap_or_default().to_owned(),
        name: it.name().unwrap_or_default().to_owned(),
        region: region.to_owned(),
        architecture: it.architecture().and_then(|it| it.as_str().parse().ok()).unwrap_or_default(),
        owner: it.owner_id().unwrap_or_default().to_owned(),
        created: it.creation_date().map(str::to_owned),
        deprecated: it.deprecation_time().map(str::to_owned),
        minimum_disk_gb: mapping.and_then(|mapping| mapping.ebs()).and_then(|ebs| ebs.volume_size()),
        root_device: root,
        known_since: None,
    }
}

/// Refuses an image that was named by its id and would disappoint later.
fn check(image: Image, architecture: Architecture, now: jiff::Timestamp) -> Result<Image> {
    if image.architecture != architecture {
        return Err(Error::aws(format!(
            "the image {} ({}) is for {}, the instance type needs {architecture}",
            image.id, image.name, image.architecture
        ))
        .with_code("ImageArchitecture")
        .with_hint("choose `image = \"auto\"`, which fits any type, or another instance type"));
    }
    let until = image.deprecated.as_deref().and_then(|until| until.parse::<jiff::Timestamp>().ok());
    if until.is_some_and(|until| until <= now) {
        return Err(Error::aws(format!(
            "the image {} ({}) is deprecated since {}",
            image.id,
            image.name,
            image.deprecated.as_deref().unwrap_or_default()
        ))
        .with_code(DEPRECATED)
        .with_hint(
            "choose `image = \"auto\"` for the newest Ubuntu LTS, or a newer image of the same series",
        ));
    }
    Ok(image)
}

fn missing(region: &str, id: &str) -> Error {
    Error::aws(format!("the image `{id}` does not exist in {region}, or not for this account"))
        .with_code(NOT_FOUND)
        .with_hint("image ids differ by region: choose `image = \"auto\"`, or an id of this region")
}

fn no_parameter(region: &str, path: &str) -> Error {
    Error::aws(format!("there is no public parameter `{path}` in {region}")).with_code(NOT_FOUND).with_hint(
        format!(
            "list what there is: `aws ssm get-parameters-by-path --path /aws/service/canonical --recursive --region {region}`"
        ),
    )
}

fn none(region: &str, what: &str, architecture: Architecture) -> Error {
    Error::aws(format!("no image `{what}` for {architecture} in {region}")).with_code(NOT_FOUND).with_hint(
        format!("list what there is: `aws ec2 describe-images --owners self amazon --region {region}`"),
    )
}

/// The account under which Canonical publishes, by partition.
fn canonical(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "837727238323"
    } else if region.starts_with("us-gov-") {
        "513442679011"
    } else {
        "099720109477"
    }
}

fn debian_name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::X86_64 => "amd64",
        Architecture::Arm64 => "arm64",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deprecated_image_and_one_of_another_architecture_are_refused() {
        let now: jiff::Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let fresh = Image {
            id: "ami-1".to_owned(),
            deprecated: Some("2027-01-01T00:00:00.000Z".to_owned()),
            ..Image::default()
        };
        assert!(check(fresh.clone(), Architecture::X86_64, now).is_ok());
        let error = check(fresh.clone(), Architecture::Arm64, now).unwrap_err();
        assert!(error.message().contains("arm64"), "{error}");
        let old = Image { deprecated: Some("2026-01-01T00:00:00.000Z".to_owned()), ..fresh };
        assert_eq!(check(old, Architecture::X86_64, now).unwrap_err().code(), Some(DEPRECATED));
    }
}

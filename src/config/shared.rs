//! Where the state is shared: known before everything else of the configuration is checked.

use std::path::Path;

use super::checks::shared::{kms_key, parse};
use super::deployment::said;
use super::settings::SharedState;
use crate::error::{Error, Result};

/// Where the configuration says that the state is shared, if it says so.
///
/// # Errors
/// It cannot be read, or is no such place: then nothing may be done to a state that is not the right one.
pub fn shared_state(project: &Path, file: Option<&Path>) -> Result<Option<SharedState>> {
    let usual = project.join("spot.toml");
    let path = file.unwrap_or(&usual);
    let unclear = |problem: String| {
        Error::config(format!("{}: where the state is shared cannot be read: {problem}", path.display()))
            .with_hint("correct the file, or take `state` out of it to work on this folder's copy alone")
    };
    let Some(text) = said(path, "state").map_err(unclear)? else { return Ok(None) };
    let key = said(path, "state_kms_key").map_err(unclear)?;
    let wrong = |problem| Error::config(format!("{}: {problem}", path.display()));
    let kms_key = key.as_deref().map(kms_key).transpose().map_err(wrong)?;
    parse(&text).map(|place| Some(SharedState { kms_key, ..place })).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Option<SharedState>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("spot.toml"), text).unwrap();
        shared_state(folder.path(), None)
    }

    #[test]
    fn it_may_stand_at_the_top_or_with_the_project() {
        let place = SharedState { bucket: "my-bucket".into(), prefix: "web".into(), kms_key: None };
        assert_eq!(of("state = \"s3://my-bucket/web\"\n[fleet]\n").unwrap().as_ref(), Some(&place));
        assert_eq!(of("[project]\nstate = \"s3://my-bucket/web\"\n").unwrap().as_ref(), Some(&place));
        let keyed = SharedState { kms_key: Some("alias/team".into()), ..place };
        let text = "state = \"s3://my-bucket/web\"\nstate_kms_key = \"alias/team\"\n";
        assert_eq!(of(text).unwrap(), Some(keyed));
        assert!(
            of("state = \"s3://my-bucket\"\nstate_kms_key = \"\"\n")
                .unwrap_err()
                .message()
                .contains("KMS key")
        );
        assert_eq!(of("[fleet]\ncount = 2\n").unwrap(), None);
        assert_eq!(of("[fleet\ncount = ").unwrap(), None);
        assert!(of("state = \"file:///x\"").unwrap_err().message().contains("s3://BUCKET/PREFIX"));
        assert!(of("state = \"s3://my-bucket\n").unwrap_err().hint().unwrap().contains("correct the file"));
    }
}

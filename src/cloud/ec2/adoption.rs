//! Taking instances over that somebody else launched.

use aws_sdk_ec2::Client;
use serde_json::json;

use super::Ec2;
use super::convert::sdk_tags;
use super::mutation::{Lost, close, fresh_token};
use crate::cloud::{Instance, Intent, Record, Tags, tags};
use crate::error::Result;

/// EC2 takes so many resources in one order to tag.
const IDS_PER_TAGGING: usize = 500;

impl Ec2 {
    /// Writes tags on instances, with the token of the intent as one of them: by it they are found
    /// again when the answer is lost.
    pub(super) async fn adopt_instances(
        &self,
        region: &str,
        instances: &[Instance],
        owner: &Tags,
        record: &dyn Record,
    ) -> Result<()> {
        for batch in instances.chunks(IDS_PER_TAGGING) {
            let ids: Vec<String> = batch.iter().map(|instance| instance.id.clone()).collect();
            let token = fresh_token();
            let mut written = owner.clone();
            written.insert(tags::TOKEN.to_owned(), token.clone());
            let id = record.started(Intent {
                action: "CreateTags".to_owned(),
                region: region.to_owned(),
                token: token.clone(),
                deployment: String::new(),
                parameters: json!({ "ids": ids, "tags": written }),
                // A run that fails later must not end what it did not launch.
                undo: None,
            })?;
            let sdk = sdk_tags(&written);
            let send = |client: Client| {
                client.create_tags().set_resources(Some(ids.clone())).set_tags(Some(sdk.clone())).send()
            };
            let lost = Lost::default();
            let attempt = |_| async {
                let sent = self.attempt(region, "CreateTags", &send).await;
                sent.map(drop).map_err(|error| lost.note(error))
            };
            let result = self.settings().retry.run(&self.cancel, attempt).await;
            close(record, id, result, lost.get(), |()| {
                let tagged = batch.iter().cloned().map(|mut instance| {
                    instance.tags.extend(written.clone());
                    instance.project = instance.tags.get(tags::PROJECT).cloned();
                    instance.token = Some(token.clone());
                    instance
                });
                (json!({ "ids": ids }), tagged.collect())
            })?;
        }
        Ok(())
    }
}

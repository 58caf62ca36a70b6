//! The role that the spot market needs: AWS makes it with the first spot request, if the caller may.

use serde_json::json;

use super::mutation::{Lost, close, fresh_token};
use super::service::GLOBAL;
use super::{Ec2, errors};
use crate::cloud::{Intent, Record, SpotRole};
use crate::error::{Kind, Result};

/// Its name, the same in every account.
const ROLE: &str = "AWSServiceRoleForEC2Spot";
/// The service that takes it on.
const SERVICE: &str = "spot.amazonaws.com";

impl Ec2 {
    async fn iam(&self) -> aws_sdk_iam::Client {
        let config = aws_sdk_iam::config::Builder::from(self.config().await)
            .region(aws_sdk_iam::config::Region::new(GLOBAL))
            .build();
        aws_sdk_iam::Client::from_conf(config)
    }

    pub(super) async fn service_role(&self) -> Result<SpotRole> {
        let client = self.iam().await;
        match self.ask(GLOBAL, "iam:GetRole", || client.get_role().role_name(ROLE).send()).await {
            Ok(_) => Ok(SpotRole::Present),
            Err(error) => match error.code() {
                Some("NoSuchEntity") => Ok(SpotRole::Absent),
                _ if error.kind() == Kind::Interrupted => Err(error),
                // Not allowed to look, or IAM is elsewhere or busy: nothing that keeps from launching.
                _ => Ok(SpotRole::Unknown),
            },
        }
    }

    pub(super) async fn create_service_role(&self, record: &dyn Record) -> Result<bool> {
        let client = self.iam().await;
        let id = record.started(Intent {
            action: "CreateServiceLinkedRole".to_owned(),
            region: GLOBAL.to_owned(),
            token: fresh_token(),
            deployment: String::new(),
            parameters: json!({ "AWSServiceName": SERVICE }),
            undo: None,
        })?;
        let lost = Lost::default();
        let attempt = |_| async {
            let answer = client.create_service_linked_role().aws_service_name(SERVICE).send().await;
            match answer.map_err(|error| errors::convert("iam:CreateServiceLinkedRole", GLOBAL, &error)) {
                Ok(_) => Ok(true),
                // The name has been taken: it is there already.
                Err(error) if matches!(error.code(), Some("InvalidInput" | "EntityAlreadyExists")) => {
                    Ok(false)
                }
                Err(error) => Err(lost.note(error)),
            }
        };
        let result = self.settings().retry.run(&self.cancel, attempt).await;
        close(record, id, result, lost.get(), |made| (json!({ "changed": made }), Vec::new()))
    }
}

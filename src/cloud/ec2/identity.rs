//! Who the credentials belong to.

use super::{Ec2, errors};
use crate::cloud::Identity;
use crate::error::{Error, Result};

impl Ec2 {
    /// Asked once: credentials do not change their owner while a program runs.
    pub(super) async fn caller_identity(&self) -> Result<Identity> {
        self.known_identity().get_or_try_init(|| self.ask_for_identity()).await.cloned()
    }

    async fn ask_for_identity(&self) -> Result<Identity> {
        let region = self.home().await;
        let config = aws_sdk_sts::config::Builder::from(self.config().await)
            .region(aws_sdk_sts::config::Region::new(region.clone()))
            .build();
        let client = aws_sdk_sts::Client::from_conf(config);
        let ask = self.settings().retry.run(&self.cancel, |_| async {
            let answer = client.get_caller_identity().send().await;
            answer.map_err(|error| errors::convert("sts:GetCallerIdentity", &region, &error))
        });
        let answer = tokio::select! {
            answer = ask => answer?,
            () = self.cancel.cancelled() => return Err(Error::interrupted()),
        };
        Ok(Identity {
            account: answer.account().unwrap_or_default().to_owned(),
            arn: answer.arn().unwrap_or_default().to_owned(),
            user_id: answer.user_id().unwrap_or_default().to_owned(),
        })
    }
}

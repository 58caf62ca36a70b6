//! Values that are kept in Systems Manager's Parameter Store, and in Secrets Manager behind it.

use super::Ec2;
use crate::error::Result;

impl Ec2 {
    /// The value of a parameter, deciphered if it is a `SecureString`.
    pub(super) async fn parameter_value(&self, region: &str, name: &str) -> Result<String> {
        let config = aws_sdk_ssm::config::Builder::from(self.config().await)
            .region(aws_sdk_ssm::config::Region::new(region.to_owned()))
            .build();
        let client = aws_sdk_ssm::Client::from_conf(config);
        let ask = || client.get_parameter().name(name).with_decryption(true).send();
        let answer = self.ask(region, "ssm:GetParameter", ask).await?;
        Ok(answer.parameter().and_then(|parameter| parameter.value()).unwrap_or_default().to_owned())
    }
}

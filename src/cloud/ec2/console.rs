//! The console of an instance.

use aws_sdk_ec2::Client;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Ec2;
use crate::cloud::console::host_keys;
use crate::error::Result;

const ACTION: &str = "GetConsoleOutput";

impl Ec2 {
    /// The host keys on the console as it is now, where the type can tell; otherwise as EC2 last kept it,
    /// which is some minutes after a boot.
    pub(super) async fn keys_on_console(&self, region: &str, id: &str) -> Result<Vec<String>> {
        let output = match self.console(region, id, true).await {
            Err(error)
                if matches!(error.code(), Some("UnsupportedOperation" | "InvalidParameterCombination")) =>
            {
                self.console(region, id, false).await?
            }
            output => output?,
        };
        let bytes = STANDARD.decode(output.trim()).unwrap_or_default();
        Ok(host_keys(&String::from_utf8_lossy(&bytes)))
    }

    async fn console(&self, region: &str, id: &str, latest: bool) -> Result<String> {
        let request = |client: Client| {
            client.get_console_output().instance_id(id).set_latest(latest.then_some(true)).send()
        };
        let brief = self.brief();
        let answer = brief.run(&self.cancel, |_| self.attempt(region, ACTION, &request)).await?;
        Ok(answer.output().unwrap_or_default().to_owned())
    }
}

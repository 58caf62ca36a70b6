//! What EC2 says of spot instances that it takes back, or is about to.

use serde::{Deserialize, Serialize};

/// The request behind a spot instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotStatus {
    /// The instance.
    pub id: String,
    /// Its request.
    pub request: String,
    /// The code of its status, such as `fulfilled` or `marked-for-termination`.
    pub code: String,
    /// The status in EC2's words.
    pub message: Option<String>,
    /// Since when it is so (RFC 3339).
    pub since: Option<String>,
}

/// What a status code says of the instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interruption {
    /// It will be taken back two minutes after the status came.
    Due,
    /// EC2 has taken it back.
    Interrupted,
    /// Somebody has ended it.
    Ended,
}

impl SpotStatus {
    /// What the status says, if it says that the instance ends or has ended.
    pub fn interruption(&self) -> Option<Interruption> {
        match self.code.as_str() {
            "marked-for-termination"
            | "marked-for-stop"
            | "marked-for-stop-by-experiment"
            | "marked-for-termination-by-experiment" => Some(Interruption::Due),
            "instance-terminated-by-user"
            | "spot-instance-terminated-by-user"
            | "instance-stopped-by-user" => Some(Interruption::Ended),
            code if code.starts_with("instance-terminated-") || code.starts_with("instance-stopped-") => {
                Some(Interruption::Interrupted)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_of_an_end_are_interruptions() {
        for (code, meaning) in [
            ("fulfilled", None),
            ("request-canceled-and-instance-running", None),
            ("pending-evaluation", None),
            ("marked-for-termination", Some(Interruption::Due)),
            ("marked-for-stop", Some(Interruption::Due)),
            ("instance-terminated-by-price", Some(Interruption::Interrupted)),
            ("instance-terminated-no-capacity", Some(Interruption::Interrupted)),
            ("instance-terminated-capacity-oversubscribed", Some(Interruption::Interrupted)),
            ("instance-terminated-launch-group-constraint", Some(Interruption::Interrupted)),
            ("instance-terminated-by-experiment", Some(Interruption::Interrupted)),
            ("instance-stopped-no-capacity", Some(Interruption::Interrupted)),
            ("instance-terminated-by-user", Some(Interruption::Ended)),
        ] {
            let status = SpotStatus { code: code.to_owned(), ..SpotStatus::default() };
            assert_eq!(status.interruption(), meaning, "{code}");
        }
    }
}

//! Spot instance requests.

use serde::{Deserialize, Serialize};

use crate::sandbox::ec2::moment::Moment;

/// A one-time spot request, as `RunInstances` makes them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in super::super) struct SpotRequest {
    pub id: String,
    pub instance: String,
    /// The most to be paid, in US dollars per hour.
    pub max_price: String,
    pub created: Moment,
    /// `active`, `closed` or `cancelled`.
    pub state: String,
    /// `fulfilled`, `instance-terminated-by-user`, …
    pub status: String,
    pub status_message: String,
    pub updated: Moment,
}

impl SpotRequest {
    /// Moves to another state for the given reason.
    pub fn turn(&mut self, state: &str, status: &str, message: &str, now: Moment) {
        self.state = state.to_owned();
        self.status = status.to_owned();
        self.status_message = message.to_owned();
        self.updated = now;
    }
}

//! One line of the journal: a change with its number, its time and a checksum.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Instance, Intent, IntentId, Network};
use crate::error::{Error, Result};

/// A line begins with this and sixteen hexadecimal digits: the start of the SHA-256 of everything
/// after the comma that follows. So the checksum covers exact bytes, and the line is still JSON.
pub(super) const LINE_START: &[u8] = br#"{"crc":""#;
const DIGITS: usize = 16;
const COMMA: &[u8] = br#"","#;

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Record {
    /// The first line of a journal after compaction: every record up to this line's own number is in
    /// `instances.json`. Names the project, should another program drop it from that file.
    Base { project: Option<String> },
    /// The project has this id from now on.
    Project { id: String },
    /// Insert or replace by id.
    Put { instance: Box<Instance> },
    /// Merge; null removes a field.
    Update { id: String, fields: Map<String, Value> },
    /// Forget an instance.
    Remove { id: String },
    /// Set a named value; null removes it.
    Set { key: String, value: Value },
    /// Insert or replace by region and VPC.
    PutNetwork { network: Network },
    /// Forget a network.
    RemoveNetwork { region: String, vpc_id: String },
    /// A call is about to be made. The record's number is the intent's id.
    Started { intent: Intent },
    /// It succeeded, and this is what it changed.
    Succeeded {
        intent: IntentId,
        result: Value,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        instances: Vec<Instance>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        networks: Vec<Network>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        removed_instances: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        removed_networks: Vec<(String, String)>,
    },
    /// It failed and changed nothing.
    Failed { intent: IntentId, error: String },
}

/// A record in its place in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Line {
    /// Its number: one more than that of the record before it.
    #[serde(rename = "seq")]
    pub(super) sequence: u64,
    /// When it was written, RFC 3339.
    pub(super) at: String,
    /// The change.
    #[serde(flatten)]
    pub(super) record: Record,
}

impl Line {
    /// The bytes of the line, its newline included.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let json = serde_json::to_vec(self)
            .map_err(|e| Error::internal("a journal record cannot be written as JSON").with_source(e))?;
        let body = json.get(1..).unwrap_or_default();
        let mut line = Vec::with_capacity(LINE_START.len() + DIGITS + COMMA.len() + body.len() + 1);
        line.extend_from_slice(LINE_START);
        line.extend_from_slice(checksum(body).as_bytes());
        line.extend_from_slice(COMMA);
        line.extend_from_slice(body);
        line.push(b'\n');
        Ok(line)
    }

    /// The record of a line without its newline, or `None` if it is damaged or of a later version.
    pub(super) fn decode(line: &[u8]) -> Option<Line> {
        let body = intact_body(line)?;
        let mut json = Vec::with_capacity(body.len() + 1);
        json.push(b'{');
        json.extend_from_slice(body);
        serde_json::from_slice(&json).ok()
    }

    /// Whether a line is as it was written, known kind of record or not.
    pub(super) fn is_intact(line: &[u8]) -> bool {
        intact_body(line).is_some()
    }
}

fn intact_body(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(LINE_START)?;
    let (digits, rest) = rest.split_at_checked(DIGITS)?;
    let body = rest.strip_prefix(COMMA)?;
    (digits == checksum(body).as_bytes()).then_some(body)
}

fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_is_json_and_any_flipped_bit_is_noticed() {
        let line = Line {
            sequence: 7,
            at: "2026-01-01T00:00:00Z".into(),
            record: Record::Succeeded {
                intent: IntentId(3),
                result: json!({ "ReservationId": "r-1" }),
                instances: vec![Instance::new("i-1", "us-west-2")],
                networks: vec![],
                removed_instances: vec![],
                removed_networks: vec![("r".into(), "v".into())],
            },
        };
        let bytes = line.encode().unwrap();
        let body = bytes.strip_suffix(b"\n").unwrap();
        let value: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(value["seq"], json!(7));
        assert_eq!(value["succeeded"]["intent"], json!(3));
        assert_eq!(Line::decode(body).unwrap(), line);
        for position in 0..body.len() {
            for bit in 0..8 {
                let mut flipped = body.to_vec();
                flipped[position] ^= 1 << bit;
                assert_eq!(Line::decode(&flipped), None, "bit {bit} of byte {position}");
            }
        }
    }
}

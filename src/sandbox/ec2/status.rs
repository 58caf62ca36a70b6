//! What the endpoint says of itself: `GET /_sandbox/status`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::cloud::Cloud;
use super::service::Service;

impl Service {
    /// Who answers (`pid`, `folder`, `version`), the time in its cloud, how many instances are in each
    /// state by region, and how many calls have been recorded.
    pub async fn status(&self) -> Value {
        let (now, instances) = self.look(instances).await;
        json!({
            "pid": std::process::id(),
            "folder": self.folder(),
            "version": env!("CARGO_PKG_VERSION"),
            "now": now.to_string(),
            "instances": instances,
            "calls": self.calls().count(),
        })
    }
}

/// How many instances are in each state, by region; regions without any are left out.
fn instances(cloud: &Cloud) -> BTreeMap<String, BTreeMap<&'static str, usize>> {
    let mut regions = BTreeMap::new();
    for (name, region) in &cloud.regions {
        let mut states = BTreeMap::new();
        for instance in region.instances.values() {
            *states.entry(instance.state.name()).or_default() += 1;
        }
        if !states.is_empty() {
            regions.insert(name.clone(), states);
        }
    }
    regions
}

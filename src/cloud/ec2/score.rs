//! Placement scores: how likely EC2 takes it that regions or zones have what is wanted.

use std::collections::HashMap;

use aws_sdk_ec2::Client;
use futures::future::join_all;

use super::Ec2;
use crate::cloud::{PlacementScore, ScoreQuery};
use crate::error::{Error, Result};

const ACTION: &str = "GetSpotPlacementScores";
/// What one answer may hold at most.
const PAGE: i32 = 1000;

impl Ec2 {
    pub(super) async fn scores(&self, query: &ScoreQuery) -> Result<Vec<PlacementScore>> {
        if query.types.is_empty() || query.count == 0 {
            return Ok(Vec::new());
        }
        let home = self.home().await;
        let count = i32::try_from(query.count).unwrap_or(i32::MAX);
        let regions = Some(query.regions.clone()).filter(|regions| !regions.is_empty());
        let found = async {
            let mut all = Vec::new();
            let mut token: Option<String> = None;
            loop {
                let request = |client: Client| {
                    let (types, regions) = (query.types.clone(), regions.clone());
                    let request = client.get_spot_placement_scores().set_instance_types(Some(types));
                    let request = request.target_capacity(count).single_availability_zone(query.zones);
                    let request = request.set_region_names(regions).max_results(PAGE);
                    request.set_next_token(token.clone()).send()
                };
                let brief = self.brief();
                let answer = brief.run(&self.cancel, |_| self.attempt(&home, ACTION, &request)).await?;
                all.extend(answer.spot_placement_scores.into_iter().flatten());
                let next = answer.next_token.filter(|next| !next.is_empty());
                if next.is_none() || next == token {
                    return Ok::<_, Error>(all);
                }
                token = next;
            }
        };
        let found = async {
            tokio::select! {
                found = found => found,
                () = self.cancel.cancelled() => Err(Error::interrupted()),
            }
        };
        // Scores name zones by ids, which mean the same zone in every account; names differ.
        let names = async {
            let of_regions = query.regions.iter().filter(|_| query.zones);
            let answers = join_all(of_regions.map(|region| self.available_zones(region))).await;
            let zones = answers.into_iter().flatten().flatten();
            zones.map(|zone| (zone.id, zone.name)).collect::<HashMap<String, String>>()
        };
        let (found, names) = futures::join!(found, names);
        let mut scores: Vec<PlacementScore> = found?
            .iter()
            .filter_map(|it| {
                let zone_id = it.availability_zone_id().map(str::to_owned);
                Some(PlacementScore {
                    region: it.region()?.to_owned(),
                    zone: zone_id.as_ref().and_then(|id| names.get(id).cloned()),
                    zone_id,
                    score: u8::try_from(it.score()?).ok().filter(|score| (1..=10).contains(score))?,
                })
            })
            .collect();
        scores.sort_by(|a, b| {
            b.score
                .cmp(&a.score)
                .then_with(|| (&a.region, &a.zone, &a.zone_id).cmp(&(&b.region, &b.zone, &b.zone_id)))
        });
        Ok(scores)
    }
}

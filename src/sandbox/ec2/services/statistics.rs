//! What CloudWatch makes of many values: sums, averages, percentiles.

use serde::{Deserialize, Serialize};

use super::metrics::INVALID;
use crate::sandbox::ec2::fault::Fault;

/// Values of one period, put together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in super::super) struct Bucket {
    pub count: f64,
    pub sum: f64,
    pub minimum: f64,
    pub maximum: f64,
    /// The values and how often each came; empty if only statistics came in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<(f64, f64)>,
}

impl Bucket {
    /// Of values, each with the number of its occurrences.
    pub fn of(values: &[(f64, f64)]) -> Self {
        let extreme = |pick: fn(f64, f64) -> f64| values.iter().map(|(value, _)| *value).reduce(pick);
        Bucket {
            count: values.iter().map(|(_, count)| count).sum(),
            sum: values.iter().map(|(value, count)| value * count).sum(),
            minimum: extreme(f64::min).unwrap_or_default(),
            maximum: extreme(f64::max).unwrap_or_default(),
            values: values.to_vec(),
        }
    }

    /// Takes another one in.
    pub fn add(&mut self, other: &Bucket) {
        if self.count == 0.0 {
            *self = other.clone();
            return;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.minimum = self.minimum.min(other.minimum);
        self.maximum = self.maximum.max(other.maximum);
        self.values.extend_from_slice(&other.values);
    }
}

/// A statistic that can be asked for.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Statistic {
    Average,
    Sum,
    Minimum,
    Maximum,
    SampleCount,
    /// A percentile, and the name it was asked for by: `p99.9`.
    Percentile(f64, String),
}

impl Statistic {
    /// Reads `Average`, `Sum`, …, `p90`.
    pub fn parse(name: &str) -> Result<Self, Fault> {
        Ok(match name {
            "Average" => Statistic::Average,
            "Sum" => Statistic::Sum,
            "Minimum" => Statistic::Minimum,
            "Maximum" => Statistic::Maximum,
            "SampleCount" => Statistic::SampleCount,
            other => {
                let percent = other.strip_prefix('p').and_then(|percent| percent.parse::<f64>().ok());
                let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
                let message = format!("The statistic {other} is not one that the sandbox knows.");
                Statistic::Percentile(percent.ok_or_else(|| Fault::new(INVALID, message))?, other.to_owned())
            }
        })
    }

    /// The name of the statistic in an answer.
    pub fn name(&self) -> &str {
        match self {
            Statistic::Average => "Average",
            Statistic::Sum => "Sum",
            Statistic::Minimum => "Minimum",
            Statistic::Maximum => "Maximum",
            Statistic::SampleCount => "SampleCount",
            Statistic::Percentile(_, name) => name,
        }
    }

    /// Its value.
    pub fn of(&self, bucket: &Bucket) -> f64 {
        match self {
            Statistic::Average if bucket.count == 0.0 => 0.0,
            Statistic::Average => bucket.sum / bucket.count,
            Statistic::Sum => bucket.sum,
            Statistic::Minimum => bucket.minimum,
            Statistic::Maximum => bucket.maximum,
            Statistic::SampleCount => bucket.count,
            Statistic::Percentile(percent, _) => percentile(bucket, *percent),
        }
    }
}

/// The value that `percent` of the samples do not exceed; of statistics alone, the maximum.
fn percentile(bucket: &Bucket, percent: f64) -> f64 {
    let mut values = bucket.values.clone();
    values.sort_by(|one, other| one.0.total_cmp(&other.0));
    let wanted = values.iter().map(|(_, count)| count).sum::<f64>() * percent / 100.0;
    let mut passed = 0.0;
    for (value, count) in &values {
        passed += count;
        if passed >= wanted {
            return *value;
        }
    }
    bucket.maximum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_the_samples() {
        let mut bucket = Bucket::of(&[(1.0, 1.0), (3.0, 2.0)]);
        bucket.add(&Bucket::of(&[(10.0, 1.0)]));
        let of = |name: &str| Statistic::parse(name).unwrap().of(&bucket);
        assert_eq!((of("Sum"), of("SampleCount"), of("Average")), (17.0, 4.0, 4.25));
        assert_eq!((of("Minimum"), of("Maximum"), of("p50"), of("p99")), (1.0, 10.0, 3.0, 10.0));
        assert_eq!(Statistic::parse("p101").unwrap_err().code, INVALID);
    }
}

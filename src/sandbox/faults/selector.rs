//! Which hosts or instances something is about.

use super::dice::fraction;

/// Hosts or instances by their number, their pool and a share of them. The default is all.
#[derive(Debug, Clone, PartialEq)]
pub struct Selector {
    /// The number in the order in which they come, from 0; none for every one.
    pub number: Option<u64>,
    /// The Availability Zone; none for all.
    pub zone: Option<String>,
    /// The instance type; none for all.
    pub instance_type: Option<String>,
    /// Share of those that remain, 0 to 1.
    pub share: f64,
}

impl Default for Selector {
    fn default() -> Self {
        Selector { number: None, zone: None, instance_type: None, share: 1.0 }
    }
}

impl Selector {
    /// The one of this number.
    pub fn only(number: u64) -> Self {
        Selector { number: Some(number), ..Selector::default() }
    }

    /// Whether it is about one of this number in this pool; `draw` is even from 0 to below 1.
    pub(in crate::sandbox) fn picks(&self, number: u64, zone: &str, kind: &str, draw: f64) -> bool {
        self.number.is_none_or(|only| only == number)
            && self.zone.as_deref().is_none_or(|only| only == zone)
            && self.instance_type.as_deref().is_none_or(|only| only == kind)
            && (self.share >= 1.0 || draw < self.share)
    }
}

/// What chance has for a host.
pub(super) fn draw_of_host(seed: u64, number: u64) -> f64 {
    fraction(seed, &["host", &number.to_string()])
}

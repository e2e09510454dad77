//! `[prices]`: what an hour costs, for `berth usage`. The currency is yours; Fargate's prices differ by region and platform.

use serde::Deserialize;

/// `[prices]`
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Prices {
    /// One vCPU for an hour.
    pub vcpu_hour: f64,
    /// One GB of memory for an hour.
    pub gb_hour: f64,
}

/// Prices are numbers of a file: none of them is NaN.
impl Eq for Prices {}

impl Prices {
    /// What is wrong with them.
    pub(super) fn contradiction(&self) -> Option<String> {
        let wrong = [self.vcpu_hour, self.gb_hour].iter().any(|price| !price.is_finite() || *price < 0.0);
        wrong.then(|| "prices.vcpu-hour and prices.gb-hour must not be negative".to_owned())
    }
}

//! How fast a campaign may send (compliance §5.3).

use serde_json::{Value as Json, json};

/// What carriers grant a campaign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    /// Messages per second over all carriers.
    pub mps: f64,
    /// Of these, to AT&T.
    pub att_mps: f64,
    /// AT&T's class of the campaign.
    pub att_class: &'static str,
    /// T-Mobile's tier of the brand.
    pub tier: &'static str,
    /// Segments to T-Mobile per day of Pacific time, for the whole brand.
    pub daily_cap: u32,
}

const fn row(
    mps: f64,
    att_mps: f64,
    att_class: &'static str,
    tier: &'static str,
    daily_cap: u32,
) -> Limits {
    Limits { mps, att_mps, att_class, tier, daily_cap }
}

/// By least score: declared use cases, and the class of mixed and marketing ones.
const BY_SCORE: &[(i64, Limits, &str)] = &[
    (75, row(225.0, 75.0, "A", "TOP", 200_000), "B"),
    (50, row(120.0, 40.0, "C", "HIGH_MID", 40_000), "D"),
    (25, row(12.0, 4.0, "E", "LOW_MID", 10_000), "F"),
    (1, row(12.0, 4.0, "E", "LOW", 2_000), "F"),
];

const LOW_VOLUME: Limits = row(3.75, 1.25, "T", "LOW", 2_000);
const SOLE_PROPRIETOR: Limits = row(1.0, 0.25, "W", "LOW", 1_000);

/// What a campaign of this use case gets under a brand of this trust score; a brand without a
/// score has what low volume has.
///
// Differs: AT&T's class letters and T-Mobile's tiers are unconfirmed; government, 527 and carrier
// special use cases have no limits of their own.
pub(crate) fn limits(use_case: &str, score: Option<i64>) -> Limits {
    match (use_case, score) {
        ("SOLE_PROPRIETOR", _) => SOLE_PROPRIETOR,
        ("LOW_VOLUME", _) | (_, None) => LOW_VOLUME,
        (use_case, Some(score)) => {
            let found = BY_SCORE.iter().find(|(least, ..)| score >= *least);
            let Some((_, limits, mixed)) = found else { return LOW_VOLUME };
            match use_case {
                "MIXED" | "MARKETING" => Limits { att_class: mixed, ..*limits },
                _ => *limits,
            }
        }
    }
}

impl Limits {
    /// As a campaign shows them; whole rates are integers.
    pub fn json(&self) -> Json {
        let whole = (self.att_mps.fract() == 0.0).then_some(self.att_mps as i64);
        let att = whole.map_or(json!(self.att_mps), Json::from);
        json!({"att": {"mps": att, "msg_class": self.att_class},
               "tmobile": {"brand_tier": self.tier}})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_and_the_use_case_decide() {
        for (use_case, score, mps, class, daily) in [
            ("2FA", Some(100), 225.0, "A", 200_000),
            ("MARKETING", Some(75), 225.0, "B", 200_000),
            ("2FA", Some(74), 120.0, "C", 40_000),
            ("MIXED", Some(50), 120.0, "D", 40_000),
            ("CUSTOMER_CARE", Some(49), 12.0, "E", 10_000),
            ("CUSTOMER_CARE", Some(25), 12.0, "E", 10_000),
            ("MARKETING", Some(24), 12.0, "F", 2_000),
            ("MARKETING", Some(0), 3.75, "T", 2_000),
            ("MARKETING", None, 3.75, "T", 2_000),
            ("LOW_VOLUME", Some(100), 3.75, "T", 2_000),
            ("SOLE_PROPRIETOR", Some(100), 1.0, "W", 1_000),
        ] {
            let found = limits(use_case, score);
            assert_eq!(found.json()["att"]["msg_class"], class);
            assert_eq!(
                (found.mps, found.att_class, found.daily_cap),
                (mps, class, daily),
                "{use_case} {score:?}"
            );
        }
    }
}

//! The packages of Lookup v2, worded: pure (verify §12).

use contracts::{LineKind, LineStatus, Subscriber};
use kernel::Timestamp;
use numbering::{E164, Kind};
use serde_json::{Value as Json, json};

use crate::identity::{self, Claim};

/// What can be asked for, in the order of an answer.
pub(crate) const ALL: &[&str] = &[
    "caller_name",
    "sim_swap",
    "call_forwarding",
    "line_status",
    "line_type_intelligence",
    "identity_match",
    "reassigned_number",
    "sms_pumping_risk",
    "phone_number_quality_score",
    "pre_fill",
];

/// What an override may say of a line.
pub(crate) const LINE_TYPES: &[&str] = &[
    "mobile",
    "landline",
    "tollFree",
    "fixedVoip",
    "nonFixedVoip",
    "personal",
    "premium",
    "voicemail",
    "sharedCost",
    "uan",
    "pager",
    "unknown",
];

/// A package that the platform has no data for at all.
const NOT_ENABLED: u32 = 60606;
/// The data source knows nothing of it.
const NO_DATA: u32 = 60003;
const NOT_IN_COUNTRY: u32 = 60607;
const NOT_MOBILE: u32 = 60612;

/// What a caller says beside the number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs<'a> {
    pub claim: Claim<'a>,
    /// `YYYYMMDD`.
    pub last_verified: Option<&'a str>,
}

/// What is asked about.
pub(crate) struct Subject<'a> {
    pub number: E164,
    pub subscriber: &'a Subscriber,
    /// What the account says instead of the line's type.
    pub override_type: Option<&'a str>,
    pub now: Timestamp,
}

impl Subject<'_> {
    fn country(&self) -> &'static str {
        self.number.country().map_or("", |country| country.iso)
    }

    /// What the line is, by the numbering plan and by who knows it.
    pub fn line_type(&self) -> &'static str {
        match (self.number.kind(), self.subscriber.line.as_ref().map(|line| line.kind)) {
            (Kind::TollFree, _) => "tollFree",
            (Kind::Premium, _) => "premium",
            (Kind::SharedCost, _) => "sharedCost",
            (Kind::Personal, _) => "personal",
            (Kind::Company, _) => "uan",
            (Kind::Voicemail, _) => "voicemail",
            (Kind::Pager, _) => "pager",
            (_, Some(LineKind::Landline)) => "landline",
            (_, Some(LineKind::Voip)) => "nonFixedVoip",
            (_, Some(LineKind::Mobile)) => "mobile",
            (Kind::FixedLine, None) => "landline",
            (Kind::Mobile, None) => "mobile",
            (Kind::Voip, None) => "nonFixedVoip",
            (Kind::FixedLineOrMobile | Kind::Unknown, None) => "unknown",
        }
    }

    fn is_mobile(&self) -> bool {
        self.line_type() == "mobile"
    }

    /// The object of a package.
    pub fn package(&self, name: &str, inputs: &Inputs<'_>) -> Json {
        match name {
            "caller_name" => self.caller_name(),
            "sim_swap" => self.sim_swap(),
            "call_forwarding" => self.call_forwarding(),
            "line_status" => self.line_status(),
            "line_type_intelligence" => self.line_type_intelligence(),
            "identity_match" => self.identity_match(inputs),
            "reassigned_number" => self.reassigned_number(inputs),
            "sms_pumping_risk" => self.sms_pumping_risk(),
            "phone_number_quality_score" => json!({
                "carrier_risk_score": null, "carrier_risk_category": null,
                "disposable_phone_risk_score": null, "disposable_phone_risk_category": null,
                "quality_score": null, "quality_category": null, "velocity_risk_score": null,
                "velocity_risk_category": null, "error_code": NOT_ENABLED,
            }),
            _ => json!({
                "first_name": null, "last_name": null, "address_line": null, "country_code": null,
                "state": null, "postal_code": null, "error_code": NOT_ENABLED,
            }),
        }
    }

    fn caller_name(&self) -> Json {
        let said = |name: Option<&str>, kind: Option<&str>, code: Option<u32>| json!({"caller_name": name, "caller_type": kind, "error_code": code});
        match &self.subscriber.caller {
            _ if self.country() != "US" => said(None, None, Some(60600)),
            None => said(None, None, None),
            Some(caller) => {
                let kind = if caller.is_business { "BUSINESS" } else { "CONSUMER" };
                said(Some(&caller.name), Some(kind), None)
            }
        }
    }

    fn sim_swap(&self) -> Json {
        const PERIOD_HOURS: u64 = 24;
        let line = self.subscriber.line.as_ref();
        let said = |swap: Json, code: Option<u32>| {
            json!({
                "last_sim_swap": swap,
                "carrier_name": line.map(|line| line.carrier.as_str()),
                "mobile_country_code": line.and_then(|line| line.mobile_country_code.as_deref()),
                "mobile_network_code": line.and_then(|line| line.mobile_network_code.as_deref()),
                "error_code": code,
            })
        };
        match self.subscriber.sim_swapped_at {
            _ if !self.is_mobile() => said(Json::Null, Some(NOT_MOBILE)),
            None => said(Json::Null, Some(NO_DATA)),
            Some(at) => {
                let within =
                    at.is_some_and(|at| self.now.since(at).as_secs() < PERIOD_HOURS * 3600);
                let swap = json!({
                    "last_sim_swap_date": at.map(Timestamp::iso8601),
                    "swapped_period": format!("PT{PERIOD_HOURS}H"),
                    "swapped_in_period": within,
                });
                said(swap, None)
            }
        }
    }

    fn call_forwarding(&self) -> Json {
        let said = |is: Option<bool>, code: Option<u32>| json!({"call_forwarding_enabled": is, "error_code": code});
        match self.subscriber.is_forwarding {
            _ if self.country() != "GB" => said(None, Some(NOT_IN_COUNTRY)),
            None => said(None, Some(NO_DATA)),
            is => said(is, None),
        }
    }

    fn line_status(&self) -> Json {
        let said =
            |status: Option<&str>, code: Option<u32>| json!({"status": status, "error_code": code});
        match self.subscriber.status {
            _ if !self.is_mobile() => said(None, Some(NOT_MOBILE)),
            Some(LineStatus::Active) => said(Some("active"), None),
            Some(LineStatus::Inactive) => said(Some("inactive"), None),
            Some(LineStatus::Reachable) => said(Some("reachable"), None),
            Some(LineStatus::Unreachable) => said(Some("unreachable"), None),
            None => said(Some("unknown"), None),
        }
    }

    fn line_type_intelligence(&self) -> Json {
        let line = self.subscriber.line.as_ref();
        let mobile = line.filter(|_| self.is_mobile());
        json!({
            "mobile_country_code": mobile.and_then(|line| line.mobile_country_code.as_deref()),
            "mobile_network_code": mobile.and_then(|line| line.mobile_network_code.as_deref()),
            "carrier_name": line.map(|line| line.carrier.as_str()),
            "type": self.override_type.unwrap_or(self.line_type()),
            "error_code": null,
        })
    }

    fn identity_match(&self, inputs: &Inputs<'_>) -> Json {
        let mut found = identity::compare(&inputs.claim, self.subscriber.person.as_ref());
        if self.line_type() == "nonFixedVoip" {
            found["error_code"] = NO_DATA.into();
        }
        found
    }

    fn reassigned_number(&self, inputs: &Inputs<'_>) -> Json {
        let said = |date: Option<String>, is: Option<&str>, code: Option<u32>| {
            // The one package whose code is text.
            let code = code.map(|code| code.to_string());
            json!({"last_verified_date": date, "is_number_reassigned": is, "error_code": code})
        };
        let Some(given) = inputs.last_verified else { return said(None, None, Some(60617)) };
        let Some(date) = day(given) else { return said(None, None, Some(60618)) };
        let since = Timestamp::parse(&date).unwrap_or(Timestamp::EPOCH);
        let is = match self.subscriber.reassigned_at {
            None => "no_data_available",
            Some(Some(at)) if at >= since => "yes",
            Some(_) => "no",
        };
        said(Some(date), Some(is), None)
    }

    fn sms_pumping_risk(&self) -> Json {
        let said = |category: Option<&str>, score: Option<u8>, at: Option<Timestamp>, code| {
            let code: Option<u32> = code;
            let recent = at.map(|at| self.now.since(at).as_secs() < 90 * 86_400);
            json!({
                "carrier_risk_category": category,
                "number_blocked": score.map(|_| at.is_some()),
                "number_blocked_date": at.map(Timestamp::iso8601),
                "number_blocked_last_3_months": score.map(|_| recent.unwrap_or(false)),
                "sms_pumping_risk_score": score,
                "error_code": code,
            })
        };
        match self.subscriber.pumping {
            _ if self.line_type() == "landline" => said(None, None, None, Some(60006)),
            None => said(None, None, None, Some(NO_DATA)),
            Some(pumping) => {
                let category = match pumping.score {
                    0..60 => "low",
                    60..75 => "mild",
                    75..90 => "moderate",
                    _ => "high",
                };
                said(Some(category), Some(pumping.score), pumping.blocked_at, None)
            }
        }
    }
}

/// `YYYY-MM-DD` of `YYYYMMDD`.
fn day(text: &str) -> Option<String> {
    let is_digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
    let date = is_digits.then(|| format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]))?;
    Timestamp::parse(&date).ok().map(|_| date)
}

#[cfg(test)]
mod tests {
    use contracts::{Caller, Line, Pumping};

    use super::*;

    fn line(kind: LineKind) -> Line {
        Line {
            kind,
            carrier: "Net".into(),
            mobile_country_code: Some("001".into()),
            mobile_network_code: Some("01".into()),
        }
    }

    fn ask(number: &str, subscriber: &Subscriber, name: &str, inputs: &Inputs<'_>) -> Json {
        let number = E164::parse(number).unwrap();
        let now = Timestamp::parse("2026-01-10T12:00:00Z").unwrap();
        Subject { number, subscriber, override_type: None, now }.package(name, inputs)
    }

    #[test]
    fn each_package_says_what_it_knows_and_why_not() {
        let at = |text: &str| Some(Some(Timestamp::parse(text).unwrap()));
        let known = Subscriber {
            line: Some(line(LineKind::Mobile)),
            caller: Some(Caller { name: "Ada Byron".into(), is_business: false }),
            status: Some(LineStatus::Unreachable),
            is_forwarding: Some(true),
            sim_swapped_at: at("2026-01-10T00:00:00Z"),
            reassigned_at: at("2025-06-01"),
            person: None,
            pumping: Some(Pumping { score: 80, blocked_at: None }),
        };
        let nothing = Subscriber::default();
        let landline = Subscriber { line: Some(line(LineKind::Landline)), ..known.clone() };
        let (us, gb) = ("+14155552671", "+447400123456");
        for (number, subscriber, package, member, expected) in [
            (us, &known, "caller_name", "caller_name", json!("Ada Byron")),
            (us, &known, "caller_name", "caller_type", json!("CONSUMER")),
            (gb, &known, "caller_name", "error_code", json!(60600)),
            (us, &nothing, "caller_name", "error_code", Json::Null),
            (gb, &known, "call_forwarding", "call_forwarding_enabled", json!(true)),
            (us, &known, "call_forwarding", "error_code", json!(60607)),
            (us, &known, "line_status", "status", json!("unreachable")),
            (us, &landline, "line_status", "error_code", json!(60612)),
            (us, &known, "line_type_intelligence", "type", json!("mobile")),
            (us, &known, "line_type_intelligence", "mobile_network_code", json!("01")),
            (us, &landline, "line_type_intelligence", "mobile_network_code", Json::Null),
            ("+18005550100", &known, "line_type_intelligence", "type", json!("tollFree")),
            (us, &nothing, "line_type_intelligence", "type", json!("unknown")),
            (us, &known, "sms_pumping_risk", "carrier_risk_category", json!("moderate")),
            (us, &landline, "sms_pumping_risk", "error_code", json!(60006)),
            (us, &landline, "sim_swap", "error_code", json!(60612)),
            (us, &nothing, "sim_swap", "error_code", json!(60612)),
            (us, &known, "pre_fill", "error_code", json!(60606)),
        ] {
            let found = ask(number, subscriber, package, &Inputs::default());
            assert_eq!(found[member], expected, "{package} {member}: {found}");
        }
        let swap = &ask(us, &known, "sim_swap", &Inputs::default())["last_sim_swap"];
        assert_eq!(swap["swapped_in_period"], true, "{swap}");
        assert_eq!(swap["last_sim_swap_date"], "2026-01-10T00:00:00Z");
    }

    #[test]
    fn a_number_was_reassigned_since_a_day() {
        let moved = Timestamp::parse("2025-06-01").unwrap();
        let known = Subscriber { reassigned_at: Some(Some(moved)), ..Subscriber::default() };
        for (subscriber, day, is, code) in [
            (&known, Some("20250101"), json!("yes"), Json::Null),
            (&known, Some("20251231"), json!("no"), Json::Null),
            (&Subscriber::default(), Some("20250101"), json!("no_data_available"), Json::Null),
            (&known, None, Json::Null, json!("60617")),
            (&known, Some("2025-01-01"), Json::Null, json!("60618")),
            (&known, Some("20259901"), Json::Null, json!("60618")),
        ] {
            let inputs = Inputs { last_verified: day, ..Inputs::default() };
            let found = ask("+14155552671", subscriber, "reassigned_number", &inputs);
            assert_eq!((&found["is_number_reassigned"], &found["error_code"]), (&is, &code));
        }
    }
}

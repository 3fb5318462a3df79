//! What a sender may do with American recipients (compliance §5.1, §5.3, §6): asked at dispatch.

use std::time::Duration;

use kernel::Timestamp;
use numbering::{E164, Kind};
use rest::Doc;
use serde_json::Value as Json;
use store::{AccountStore, StoreError};

use super::{campaign, toll_free};
use crate::Messaging;
use crate::service::PHONE_NUMBER;

/// Between a number's joining a verified campaign, or the campaign's verification, and its being
/// set up (30035).
// Differs: Twilio's time is unconfirmed, and differs by carrier.
const SET_UP: Duration = Duration::from_secs(300);

/// What a sender may do.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// No American rule is about this pair.
    Exempt,
    /// A verified toll-free number: its kind's rate is its limit.
    TollFree,
    /// A number of a verified campaign.
    Campaign(Grant),
    /// The message fails with this code: 30032, 30033, 30034 or 30035.
    Refused { code: u32 },
}

/// What the carriers grant the numbers of a campaign together.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// `QE…`
    pub campaign: String,
    /// `BN…`, whose campaigns share the daily cap.
    pub brand: String,
    /// Segments per second.
    pub mps: f64,
    /// Segments per day of Pacific time.
    pub daily_cap: u32,
}

impl Grant {
    fn of(campaign: &Doc) -> Option<Self> {
        let number = |field: &str| campaign.fields.get(field).and_then(Json::as_f64);
        Some(Self {
            campaign: campaign.sid.clone(),
            brand: campaign.text("brand_registration_sid").unwrap_or_default().to_owned(),
            mps: number("mps").filter(|mps| *mps > 0.0)?,
            daily_cap: number("daily_cap")? as u32,
        })
    }
}

/// What is known of a sender that American rules are about.
#[derive(Debug)]
enum Sender<'a> {
    /// The number's verification.
    TollFree(Option<&'a Doc>),
    /// The number's service's campaign, and when the number joined.
    LongCode(Option<(&'a Doc, Timestamp)>),
}

impl Messaging {
    /// What `from` may do for `to`. `service`: the service that sends, if the caller knows it;
    /// otherwise the number's own is found.
    ///
    /// Up to five reads of one row; only between American numbers.
    ///
    /// # Errors
    /// When the store, or the directory of numbers, cannot be read.
    pub async fn standing(
        &self,
        store: &AccountStore,
        from: &str,
        to: &str,
        service: Option<&str>,
    ) -> Result<Standing, StoreError> {
        let (Ok(number), Ok(recipient)) = (E164::parse(from), E164::parse(to)) else {
            return Ok(Standing::Exempt);
        };
        if !is_american(number) || !is_american(recipient) {
            return Ok(Standing::Exempt);
        }
        let now = self.parts.clock.now();
        let owner = self.parts.numbers.owner(from).await;
        let owner = owner.map_err(|error| StoreError::Unavailable(error.0))?;
        let owned = owner.filter(|owner| owner.account == store.account());
        let sid = owned.map(|owner| owner.sid.to_string()).unwrap_or_default();
        if number.kind() == Kind::TollFree {
            let doc = claimed(store, toll_free::CLAIM, toll_free::KIND, "", &sid).await?;
            return Ok(decide(&Sender::TollFree(doc.as_ref()), now));
        }
        let service = match service {
            Some(service) => Some(service.to_owned()),
            None => match sid.parse() {
                Ok(sid) => self.service_of(store, sid).await?.map(|service| service.sid.clone()),
                Err(_) => None,
            },
        };
        let Some(service) = service else { return Ok(decide(&Sender::LongCode(None), now)) };
        let member = rest::load(store, PHONE_NUMBER.table.name, &service, &sid).await?;
        let doc = claimed(store, campaign::CLAIM, campaign::KIND, &service, &service).await?;
        let known = doc.as_ref().zip(member.map(|member| member.date_created));
        Ok(decide(&Sender::LongCode(known), now))
    }
}

/// The document that claims `value`.
async fn claimed(
    store: &AccountStore,
    claim: &str,
    kind: &str,
    parent: &str,
    value: &str,
) -> Result<Option<Doc>, StoreError> {
    let sql = "SELECT sid FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3";
    match store.point(sql, vec![claim.into(), value.into()]).await? {
        Some(row) => rest::load(store, kind, parent, row.text(0)).await,
        None => Ok(None),
    }
}

/// In the plan of the United States, toll-free included.
fn is_american(number: E164) -> bool {
    number.country().is_some_and(|country| country.iso == "US")
}

/// The decision. A mock campaign registers nobody.
fn decide(sender: &Sender<'_>, now: Timestamp) -> Standing {
    match sender {
        Sender::TollFree(verification) => match verification.and_then(|doc| doc.text("status")) {
            Some("TWILIO_APPROVED") => Standing::TollFree,
            _ => Standing::Refused { code: 30032 },
        },
        Sender::LongCode(None) => Standing::Refused { code: 30034 },
        Sender::LongCode(Some((campaign, joined))) => {
            let is_mock = campaign.fields.get("mock") == Some(&Json::Bool(true));
            match campaign.text("campaign_status") {
                Some("SUSPENDED") => Standing::Refused { code: 30033 },
                Some("VERIFIED") if !is_mock => {
                    let since = campaign.date_updated.max(*joined);
                    if now.since(since) < SET_UP {
                        return Standing::Refused { code: 30035 };
                    }
                    // What was verified has its grant.
                    Grant::of(campaign)
                        .map_or(Standing::Refused { code: 30034 }, Standing::Campaign)
                }
                _ => Standing::Refused { code: 30034 },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn doc(fields: Json, updated: &str) -> Doc {
        let now = Timestamp::parse(updated).unwrap();
        let fields = fields.as_object().cloned().unwrap();
        Doc { sid: "QE1".into(), fields, date_created: now, date_updated: now, version: 1 }
    }

    #[test]
    fn a_long_code_stands_as_its_campaign_does() {
        let now = Timestamp::parse("2026-01-02").unwrap();
        let long_ago = "2026-01-01";
        let just_now = "2026-01-01T23:59:00Z";
        let code = |code| Standing::Refused { code };
        let registered = Standing::Campaign(Grant {
            campaign: "QE1".into(),
            brand: "BN1".into(),
            mps: 225.0,
            daily_cap: 200_000,
        });
        for (status, mock, updated, joined, expected) in [
            ("VERIFIED", false, long_ago, long_ago, registered),
            ("VERIFIED", false, just_now, long_ago, code(30035)),
            ("VERIFIED", false, long_ago, just_now, code(30035)),
            ("VERIFIED", true, long_ago, long_ago, code(30034)),
            ("PENDING", false, long_ago, long_ago, code(30034)),
            ("IN_PROGRESS", false, long_ago, long_ago, code(30034)),
            ("FAILED", false, long_ago, long_ago, code(30034)),
            ("SUSPENDED", false, just_now, just_now, code(30033)),
        ] {
            let campaign = doc(
                json!({"campaign_status": status, "mock": mock, "mps": 225.0,
                       "daily_cap": 200_000, "brand_registration_sid": "BN1"}),
                updated,
            );
            let joined = Timestamp::parse(joined).unwrap();
            let sender = Sender::LongCode(Some((&campaign, joined)));
            assert_eq!(decide(&sender, now), expected, "{status} {mock} {updated}");
        }
        assert_eq!(decide(&Sender::LongCode(None), now), code(30034));
    }

    #[test]
    fn a_toll_free_number_needs_its_approval() {
        let now = Timestamp::parse("2026-01-02").unwrap();
        for (status, is_registered) in [
            ("PENDING_REVIEW", false),
            ("IN_REVIEW", false),
            ("TWILIO_APPROVED", true),
            ("TWILIO_REJECTED", false),
        ] {
            let verification = doc(json!({"status": status}), "2026-01-01");
            let standing = decide(&Sender::TollFree(Some(&verification)), now);
            assert_eq!(standing == Standing::TollFree, is_registered, "{status}");
        }
        assert_eq!(decide(&Sender::TollFree(None), now), Standing::Refused { code: 30032 });
    }

    #[test]
    fn the_rules_are_about_american_numbers() {
        for (number, american) in [
            ("+14155550100", true),
            ("+18005550100", true),
            ("+16045550100", false),
            ("+447400123456", false),
        ] {
            assert_eq!(is_american(E164::parse(number).unwrap()), american, "{number}");
        }
    }
}

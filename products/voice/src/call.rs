//! The call as a row.

use contracts::AnsweredBy;
use kernel::{Sid, Timestamp};
use rest::{Ctx, Record};
use serde::{Deserialize, Serialize};
use store::{AccountBatch, AccountStore, Row, StoreError};
use twiml::Method;
use twiml::voice::{Machine, Source};

use crate::dial::Dialling;
use crate::lifecycle::Status;
use crate::listen::Ears;
use crate::pay::Payment;
use crate::queue::InQueue;
use crate::recording::{RecordSetup, Running};
use crate::sip::SipSetup;
use crate::siprec::SiprecPlan;
use crate::stream::StreamPlan;

/// A URL and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hook {
    pub url: String,
    pub method: Method,
    /// The events it is told; of none is said, `completed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<String>,
}

/// Whether a machine answered is found out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Detection {
    /// Waits for the end of what the machine says.
    pub message_end: bool,
    /// The document does not wait for the verdict.
    pub in_background: bool,
    pub callback: Option<Hook>,
    pub timeout_seconds: u64,
    /// In milliseconds; absent in calls of before there was sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thresholds: Option<Thresholds>,
}

/// What tells a machine's speech from a person's, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Thresholds {
    pub speech: u64,
    pub speech_end: u64,
    pub silence: u64,
}

impl Default for Thresholds {
    /// Twilio's.
    fn default() -> Self {
        Self { speech: 2400, speech_end: 1200, silence: 5000 }
    }
}

/// What a call was made with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Setup {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Hook>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_callback: Option<Hook>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_limit_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_digits: Option<String>,
    /// What the called party sees, where it is not `from`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller_name: Option<String>,
    /// What `Parameter`s of a `Client` tell the program that is called.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<Sid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detection: Option<Detection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordSetup>,
    /// The conference that this call joins when it is answered: its name and its noun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conference: Option<twiml::voice::Element>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sip: Option<SipSetup>,
    /// What is asked when nobody of a trunk takes the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Source>,
    /// The trunk (`TK…`) that it came by or goes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trunk: Option<Sid>,
    /// What the network adds to every request about the call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<(String, String)>,
    /// The final response of the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sip_response: Option<u16>,
}

/// What runs on a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Live {
    /// The time up to which the call has come.
    pub at: Timestamp,
    /// Of status callbacks.
    pub sequence: u32,
    pub machine: Option<Machine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dial: Option<Dialling>,
    /// The room in which it talks with another call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conference: Option<Sid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<InQueue>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recordings: Vec<Running>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<AnsweredBy>,
    /// The recording that the document waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<Sid>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamPlan>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub siprecs: Vec<SiprecPlan>,
    /// The session of a ConversationRelay, and since when it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<(Sid, Timestamp)>,
    /// What the caller has keyed in for the document's `Pay`, sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<String>,
    /// The payment that the API takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<Payment>,
    /// What is pressed is a payment's: the network is told not to show it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keys_are_secret: bool,
    /// Who is told who speaks in the conference has heard that this one does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_speaking: bool,
    /// Who wants to know what is said.
    #[serde(default)]
    pub ears: Ears,
    /// Whoever transferred this call and waits to hear how it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referrer: Option<Sid>,
    /// The party of this call goes on with somebody else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub handed_over: bool,
    /// Since when the relay's words are heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub talking_since: Option<Timestamp>,
}

impl Live {
    pub fn new(at: Timestamp) -> Self {
        Self {
            at,
            sequence: 0,
            machine: None,
            dial: None,
            room: None,
            conference: None,
            queue: None,
            recordings: Vec::new(),
            answered_by: None,
            awaits: None,
            streams: Vec::new(),
            siprecs: Vec::new(),
            relay: None,
            secrets: None,
            payment: None,
            keys_are_secret: false,
            is_speaking: false,
            ears: Ears::default(),
            referrer: None,
            handed_over: false,
            talking_since: None,
        }
    }
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub sid: Sid,
    pub direction: &'static str,
    pub status: Status,
    pub from: String,
    pub to: String,
    pub parent: Option<Sid>,
    pub number: Option<Sid>,
    pub answered_by: Option<String>,
    pub price: Option<String>,
    pub setup: Setup,
    pub live: Option<Live>,
    pub created: Timestamp,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    pub updated: Timestamp,
    pub version: i64,
}

const DIRECTIONS: [&str; 5] =
    ["inbound", "outbound-api", "outbound-dial", "trunking-originating", "trunking-terminating"];

pub(crate) const COLUMNS: &str = "id, direction, status, from_addr, to_addr, parent_id, number_sid,
    answered_by, price, setup, live, date_created, date_started, date_ended, date_updated, version";

/// The SID of a call from its id.
pub(crate) fn sid_of(id: &str) -> Sid {
    let bits = u128::from_str_radix(id, 16).expect("ids are 32 hex digits");
    Sid::from_parts("CA", bits)
}

impl Call {
    pub fn new(
        sid: Sid,
        direction: &'static str,
        status: Status,
        from: &str,
        to: &str,
        at: Timestamp,
    ) -> Self {
        Self {
            sid,
            direction,
            status,
            from: from.to_owned(),
            to: to.to_owned(),
            parent: None,
            number: None,
            answered_by: None,
            price: None,
            setup: Setup::default(),
            live: Some(Live::new(at)),
            created: at,
            started: None,
            ended: None,
            updated: at,
            version: 1,
        }
    }

    pub fn of(row: &Row) -> Self {
        let direction = row.text(1);
        Self {
            sid: sid_of(row.text(0)),
            direction: DIRECTIONS
                .into_iter()
                .find(|known| *known == direction)
                .unwrap_or("inbound"),
            status: Status::parse(row.text(2)).expect("only statuses are stored"),
            from: row.text(3).to_owned(),
            to: row.text(4).to_owned(),
            parent: row.opt_text(5).map(sid_of),
            number: row.opt_text(6).and_then(|sid| sid.parse().ok()),
            answered_by: row.opt_text(7).map(str::to_owned),
            price: row.opt_text(8).map(str::to_owned),
            setup: serde_json::from_str(row.text(9)).unwrap_or_default(),
            live: row.opt_text(10).and_then(|json| serde_json::from_str(json).ok()),
            created: row.time(11),
            started: row.opt_time(12),
            ended: row.opt_time(13),
            updated: row.time(14),
            version: row.int(15),
        }
    }

    pub async fn load(store: &AccountStore, sid: Sid) -> Result<Option<Self>, StoreError> {
        if sid.prefix() != "CA" {
            return Ok(None);
        }
        let sql = format!("SELECT {COLUMNS} FROM call WHERE account_sid = $1 AND id = $2");
        let row = store.point(&sql, vec![sid.hex().into()]).await?;
        Ok(row.as_ref().map(Self::of))
    }

    fn json<T: Serialize>(value: &T) -> String {
        serde_json::to_string(value).expect("what a call holds is plain data")
    }

    /// Adds the row of a new call, and says so.
    pub fn insert(&self, batch: &mut AccountBatch) {
        batch.run(
            "INSERT INTO call (account_sid, id, direction, status, from_addr, to_addr, parent_id,
             number_sid, setup, live, date_created, date_updated, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, 1)",
            vec![
                self.sid.hex().into(),
                self.direction.into(),
                self.status.as_str().into(),
                self.from.as_str().into(),
                self.to.as_str().into(),
                self.parent.map(|parent| parent.hex()).into(),
                self.number.into(),
                Self::json(&self.setup).into(),
                self.live.as_ref().map(Self::json).into(),
                self.created.into(),
            ],
        );
        self.announce(batch, self.status.as_str(), self.created);
    }

    /// Writes what has changed; conflicts if somebody else wrote first.
    pub fn save(&mut self, now: Timestamp, batch: &mut AccountBatch) {
        self.updated = now;
        let read = self.version;
        self.version += 1;
        batch.must(
            "UPDATE call SET status = $3, answered_by = $4, price = $5, setup = $6, live = $7,
             date_started = $8, date_ended = $9, date_updated = $10, parent_id = $11,
             version = $12 + 1 WHERE account_sid = $1 AND id = $2 AND version = $12",
            vec![
                self.sid.hex().into(),
                self.status.as_str().into(),
                self.answered_by.clone().into(),
                self.price.clone().into(),
                Self::json(&self.setup).into(),
                self.live.as_ref().map(Self::json).into(),
                self.started.into(),
                self.ended.into(),
                now.into(),
                self.parent.map(|parent| parent.hex()).into(),
                read.into(),
            ],
        );
    }

    /// Says what has become of the call, to who watches.
    pub fn announce(&self, batch: &mut AccountBatch, what: &str, at: Timestamp) {
        let body = serde_json::json!({
            "direction": self.direction,
            "from": self.from,
            "to": self.to,
        });
        batch.event(&format!("call.{what}"), &self.sid.to_string(), at, body.to_string());
    }

    /// It came in from a telephone.
    pub fn is_incoming(&self) -> bool {
        !self.direction.starts_with("outbound")
    }

    /// Whole seconds from answer to end, rounded up; 0 when nobody answered.
    pub fn duration_seconds(&self) -> Option<i64> {
        let ended = self.ended?;
        let spoken = self.started.map_or(0, |from| ended.since(from).as_millis());
        i64::try_from(spoken.div_ceil(1000)).ok()
    }

    /// As the wire shows it.
    pub fn record(&self, ctx: &Ctx) -> Record {
        let sid = self.sid.to_string();
        let mut record = Record::new(&sid);
        record
            .set("sid", self.sid)
            .set("date_created", self.created)
            .set("date_updated", self.updated)
            .set("parent_call_sid", self.parent)
            .set("account_sid", ctx.account)
            .set("to", self.to.as_str())
            .set("to_formatted", formatted(&self.to))
            .set("from", self.from.as_str())
            .set("from_formatted", formatted(&self.from))
            .set("phone_number_sid", self.number)
            .set("status", self.status.as_str())
            .set("start_time", self.started)
            .set("end_time", self.ended)
            .set("duration", self.duration_seconds().map(|seconds| seconds.to_string()))
            .set("price", self.price.as_deref())
            .set("price_unit", "USD")
            .set("direction", self.direction)
            .set("answered_by", self.answered_by.as_deref())
            .set("api_version", "2010-04-01")
            .set("caller_name", self.setup.caller_name.as_deref())
            .set("queue_time", "0");
        record.with_cursor(sid)
    }
}

/// `(415) 555-0100` for numbers of North America, everything else as it is.
fn formatted(address: &str) -> String {
    match numbering::E164::parse(address) {
        Ok(number) if address.starts_with("+1") => number.national_format(),
        _ => address.to_owned(),
    }
}

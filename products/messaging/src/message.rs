//! The message as a row.

use kernel::{Sid, Timestamp};
use rest::{Ctx, Record};
use serde::{Deserialize, Serialize};
use store::{AccountBatch, AccountStore, Row, StoreError, counter};
use webhooks::Callback;

use crate::content::ContentUse;
use crate::lifecycle::{Status, Steps};
use crate::{application, price};
use clock::Clock;

/// What few messages have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Extra {
    /// URLs to fetch before sending.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub media_urls: Vec<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub provide_feedback: bool,
    /// The guard against pumping is not asked.
    #[serde(skip_serializing_if = "is_false")]
    pub risk_check_off: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome_created: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validity_seconds: Option<i64>,
    /// Submitted by an application that is bound to a carrier, which hears what became of it.
    #[serde(skip_serializing_if = "is_false")]
    pub from_application: bool,
    /// The text and id of the button that was tapped, or of the row of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tap: Option<(String, String)>,
    /// `STOP`, `START` or `HELP`, where an opt-out set heard it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_out_type: Option<String>,
    /// Its links become short ones when it leaves.
    #[serde(skip_serializing_if = "is_false")]
    pub shorten_urls: bool,
    /// Marketing, which keeps quiet hours.
    #[serde(skip_serializing_if = "is_false")]
    pub marketing: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub tapped_row: bool,
    /// What the user who wrote it is called on the channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Location>,
    /// When a scheduled message is due: its validity counts from there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_at: Option<Timestamp>,
    /// What is left to be made of a template, while the message has no sender yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentUse>,
    /// The last digits of the other side are masked when the message has ended.
    #[serde(skip_serializing_if = "is_false")]
    pub obfuscate: bool,
    /// The trace that it is part of: a carrier's report goes on with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// A place, as it is on the wire.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Location {
    pub latitude: String,
    pub longitude: String,
    pub label: Option<String>,
    pub address: Option<String>,
}

impl Location {
    pub fn of(place: &contracts::Place) -> Self {
        Self {
            latitude: place.latitude.to_string(),
            longitude: place.longitude.to_string(),
            label: place.label.clone(),
            address: place.address.clone(),
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub sid: Sid,
    pub direction: &'static str,
    pub status: Status,
    pub from: Option<String>,
    pub to: String,
    pub body: String,
    pub service: Option<String>,
    pub segments: i64,
    pub media: i64,
    pub error_code: Option<i64>,
    pub price: Option<String>,
    pub status_callback: Option<String>,
    pub extra: Extra,
    pub date_created: Timestamp,
    pub date_sent: Option<Timestamp>,
    pub date_updated: Timestamp,
    pub version: i64,
}

pub(crate) const COLUMNS: &str = "id, prefix, direction, status, from_addr, to_addr, body,
    service_sid, num_segments, num_media, error_code, price, status_callback, extra,
    date_created, date_sent, date_updated, version";

const DIRECTIONS: [&str; 4] = ["inbound", "outbound-api", "outbound-reply", "outbound-call"];

impl Message {
    pub fn of(row: &Row) -> Self {
        let bits = u128::from_str_radix(row.text(0), 16).expect("ids are 32 hex digits");
        let direction = row.text(2);
        Self {
            sid: Sid::from_parts(row.text(1), bits),
            direction: DIRECTIONS
                .into_iter()
                .find(|known| *known == direction)
                .unwrap_or("inbound"),
            status: row.text(3).parse().expect("only statuses are stored"),
            from: row.opt_text(4).map(str::to_owned),
            to: row.text(5).to_owned(),
            body: row.text(6).to_owned(),
            service: row.opt_text(7).map(str::to_owned),
            segments: row.int(8),
            media: row.int(9),
            error_code: row.opt_int(10),
            price: row.opt_text(11).map(str::to_owned),
            status_callback: row.opt_text(12).map(str::to_owned),
            extra: row
                .opt_text(13)
                .and_then(|json| serde_json::from_str(json).ok())
                .unwrap_or_default(),
            date_created: row.time(14),
            date_sent: row.opt_time(15),
            date_updated: row.time(16),
            version: row.int(17),
        }
    }

    pub async fn load(store: &AccountStore, sid: Sid) -> Result<Option<Self>, StoreError> {
        const SQL: &str = "SELECT id, prefix, direction, status, from_addr, to_addr, body,
            service_sid, num_segments, num_media, error_code, price, status_callback, extra,
            date_created, date_sent, date_updated, version
            FROM message WHERE account_sid = $1 AND id = $2";
        let row = store.point(SQL, vec![sid.hex().into()]).await?;
        // SM and MM address the same resource, but only by its own name.
        Ok(row.as_ref().map(Self::of).filter(|message| message.sid == sid))
    }

    /// Adds the row of a new message, and says so.
    pub fn insert(&self, batch: &mut AccountBatch) {
        let traceparent = telemetry::trace::traceparent();
        let extra = (self.extra != Extra::default() || traceparent.is_some()).then(|| {
            let extra = Extra { traceparent, ..self.extra.clone() };
            serde_json::to_string(&extra).expect("extras are plain text")
        });
        batch.append(
            "INSERT INTO message (account_sid, id, prefix, direction, status, from_addr, to_addr,
             body, service_sid, num_segments, num_media, error_code, price, status_callback, extra,
             date_created, date_sent, date_updated, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
             $16, 1)",
            vec![
                self.sid.hex().into(),
                self.sid.prefix().into(),
                self.direction.into(),
                self.status.as_str().into(),
                self.from.clone().into(),
                self.to.as_str().into(),
                self.body.as_str().into(),
                self.service.clone().into(),
                self.segments.into(),
                self.media.into(),
                self.error_code.into(),
                self.price.clone().into(),
                self.status_callback.clone().into(),
                extra.into(),
                self.date_created.into(),
                self.date_sent.into(),
            ],
        );
        self.announce(batch, self.status, self.date_created);
    }

    /// Takes the steps: new status, price when it leaves, a callback for each step,
    /// an event for where they lead. The write conflicts if somebody else stepped first.
    pub fn step(&mut self, steps: &Steps, now: Timestamp, clock: &Clock, batch: &mut AccountBatch) {
        let Some(&last) = steps.through.last() else { return };
        let read = self.version;
        let mut callbacks = Vec::new();
        for &status in &steps.through {
            self.status = status;
            if status == Status::Sent {
                self.date_sent = Some(now);
                self.bill(now, batch);
            }
            self.error_code = steps.code.filter(|_| status == last).map(i64::from);
            callbacks.extend(self.callback(batch.account(), now));
        }
        webhooks::promise_all(batch, clock, callbacks);
        self.announce(batch, last, now);
        if let Some(report) = application::promise(self, now, clock) {
            jobs::add(batch, clock, report);
        }
        if self.extra.obfuscate && last.is_final() {
            self.to = masked(&self.to);
        }
        self.date_updated = now;
        self.version += 1;
        batch.must(
            "UPDATE message SET status = $3, error_code = $4, date_sent = $5, date_updated = $6,
             price = $7, to_addr = $8, version = $9 + 1
             WHERE account_sid = $1 AND id = $2 AND version = $9",
            vec![
                self.sid.hex().into(),
                self.status.as_str().into(),
                self.error_code.into(),
                self.date_sent.into(),
                now.into(),
                self.price.clone().into(),
                self.to.as_str().into(),
                read.into(),
            ],
        );
    }

    /// Writes what the choice of a sender made of a message; part of the same step.
    pub fn rewrite(&self, batch: &mut AccountBatch) {
        let extra = serde_json::to_string(&self.extra).expect("extras are plain text");
        batch.run(
            "UPDATE message SET from_addr = $3, body = $4, num_segments = $5, num_media = $6,
             extra = $7 WHERE account_sid = $1 AND id = $2",
            vec![
                self.sid.hex().into(),
                self.from.clone().into(),
                self.body.as_str().into(),
                self.segments.into(),
                self.media.into(),
                extra.into(),
            ],
        );
    }

    /// Sets the price and books it.
    pub fn bill(&mut self, now: Timestamp, batch: &mut AccountBatch) {
        let inbound = self.direction == "inbound";
        let micros = price::micros(&self.to, inbound, self.segments, self.media);
        self.price = Some(price::wire(micros));
        let category = price::category(inbound, self.media);
        counter::spend(batch, now, category, micros);
    }

    fn announce(&self, batch: &mut AccountBatch, status: Status, at: Timestamp) {
        let mut body = String::with_capacity(160);
        body.push_str("{\"direction\":\"");
        body.push_str(self.direction);
        body.push_str("\",\"from\":");
        push_json(&mut body, self.from.as_deref().unwrap_or_default());
        body.push_str(",\"to\":");
        push_json(
            &mut body,
            &if self.extra.obfuscate { masked(&self.to) } else { self.to.clone() },
        );
        if let Some(code) = self.error_code {
            body.push_str(&format!(",\"error_code\":{code}"));
        }
        body.push('}');
        batch.event(&format!("message.{status}"), &self.sid.to_string(), at, body);
    }

    /// A status callback, if anyone asked for it (messaging §10).
    fn callback(&self, account: Sid, now: Timestamp) -> Option<Callback> {
        let url = self.status_callback.as_ref()?;
        let sid = self.sid.to_string();
        let mut params = vec![
            ("ApiVersion".to_owned(), "2010-04-01".to_owned()),
            ("MessageStatus".to_owned(), self.status.to_string()),
            ("SmsStatus".to_owned(), self.status.to_string()),
            ("MessageSid".to_owned(), sid.clone()),
            ("SmsSid".to_owned(), sid.clone()),
            ("AccountSid".to_owned(), account.to_string()),
            ("From".to_owned(), self.from.clone().unwrap_or_default()),
            ("To".to_owned(), self.to.clone()),
        ];
        if let Some(service) = &self.service {
            params.push(("MessagingServiceSid".to_owned(), service.clone()));
        }
        if let Some(code) = self.error_code {
            params.push(("ErrorCode".to_owned(), code.to_string()));
        }
        if let Some((channel, user)) = self.to.split_once(':') {
            params.push(("ChannelPrefix".to_owned(), channel.to_owned()));
            params.push(("ChannelToAddress".to_owned(), masked(user)));
            if self.status == Status::Read {
                params.push(("EventType".to_owned(), "READ".to_owned()));
            }
        } else if matches!(self.status, Status::Delivered | Status::Undelivered) {
            params.push(("RawDlrDoneDate".to_owned(), now.format("%y%m%d%H%M")));
        }
        Some(Callback { url: url.clone(), method: "POST".into(), params, resource: sid })
    }

    /// As the wire shows it.
    pub fn record(&self, ctx: &Ctx) -> Record {
        let sid = self.sid.to_string();
        let code = self.error_code.and_then(|code| u32::try_from(code).ok());
        let title = code.and_then(kernel::lookup).map(|row| row.title);
        // Until a service has chosen the sender, what it takes is not known.
        let is_open = matches!(self.status, Status::Accepted | Status::Scheduled);
        let mut record = Record::new(&sid);
        record
            .set("body", self.body.as_str())
            .set("num_segments", if is_open { 0 } else { self.segments })
            .set("direction", self.direction)
            .set("from", self.from.as_deref())
            .set("to", self.to.as_str())
            .set("date_updated", self.date_updated)
            .set("price", self.price.as_deref())
            .set("error_message", title)
            .set("account_sid", ctx.account)
            .set("num_media", self.media)
            .set("status", self.status.as_str())
            .set("messaging_service_sid", self.service.as_deref())
            .set("sid", self.sid)
            .set("date_sent", self.date_sent)
            .set("date_created", self.date_created)
            .set("error_code", code)
            .set("price_unit", "USD")
            .set("api_version", "2010-04-01");
        let base = format!("/2010-04-01/Accounts/{}/Messages/{sid}", ctx.account);
        let mut links = serde_json::Map::new();
        links.insert("media".into(), format!("{base}/Media.json").into());
        if self.extra.provide_feedback {
            links.insert("feedback".into(), format!("{base}/Feedback.json").into());
        }
        record.set("subresource_uris", serde_json::Value::Object(links));
        record.with_cursor(sid)
    }
}

/// The address with its last four characters covered.
fn masked(address: &str) -> String {
    let keep = address.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
    format!("{}XXXX", &address[..keep])
}

/// Removes what was said in the recorded webhooks of a message.
pub(crate) fn forget_webhooks(sid: Sid, batch: &mut AccountBatch) {
    batch.run(
        "UPDATE event SET body = '{}' WHERE account_sid = $1 AND sid = $2 AND kind = 'webhook'",
        vec![sid.into()],
    );
}

fn push_json(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("text is JSON"));
}

//! One mail to one reader: its row, and what is told of it.

use kernel::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::{AccountBatch, AccountStore, Row, StoreError};

use crate::letter::Texts;
use crate::lifecycle::Status;
use crate::webhook::Webhook;
use crate::{Email, stats, webhook};

/// What events say of the mail besides what happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    pub categories: Vec<String>,
    pub one_category: bool,
    pub custom_args: Texts,
    pub group_id: Option<i64>,
    pub template_id: Option<String>,
    pub template_name: Option<String>,
    pub send_at: Option<i64>,
    /// SID of the notice that this is, for whom it was sent.
    pub notice: Option<String>,
    /// Of Twilio's own Email API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comms_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_name: Option<String>,
}

/// The row.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The `sg_message_id`.
    pub id: String,
    pub mail: String,
    /// The personalization.
    pub part: usize,
    pub email: String,
    pub from: String,
    pub subject: String,
    pub status: Status,
    pub meta: Meta,
    pub attempt: i64,
    pub opens: i64,
    pub clicks: i64,
    pub created: Timestamp,
    pub last_event: Timestamp,
}

pub const COLUMNS: &str = "id, mail_id, part, email, from_email, subject, status, meta, attempt, \
                           opens, clicks, date_created, last_event";

impl Reader {
    pub fn read(row: &Row) -> Self {
        Self {
            id: row.text(0).to_owned(),
            mail: row.text(1).to_owned(),
            part: usize::try_from(row.int(2)).unwrap_or(0),
            email: row.text(3).to_owned(),
            from: row.text(4).to_owned(),
            subject: row.text(5).to_owned(),
            status: Status::named(row.text(6)).unwrap_or(Status::Dropped),
            meta: serde_json::from_str(row.text(7)).unwrap_or_default(),
            attempt: row.int(8),
            opens: row.int(9),
            clicks: row.int(10),
            created: row.time(11),
            last_event: row.time(12),
        }
    }

    pub async fn load(store: &AccountStore, id: &str) -> Result<Option<Self>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM mail_recipient WHERE account_sid = $1 AND id = $2");
        Ok(store.point(&sql, vec![id.into()]).await?.as_ref().map(Self::read))
    }

    pub async fn of_mail(store: &AccountStore, mail: &str) -> Result<Vec<Self>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM mail_recipient WHERE account_sid = $1 AND id >= $2 AND id < $3
             ORDER BY id"
        );
        // The id of a reader begins with its mail's.
        let rows =
            store.query(&sql, vec![format!("{mail}.").into(), format!("{mail}/").into()]).await?;
        Ok(rows.iter().map(Self::read).collect())
    }

    pub fn insert(&self, batch: &mut AccountBatch) {
        batch.run(
            "INSERT INTO mail_recipient (account_sid, id, mail_id, part, email, from_email, subject,
             status, meta, attempt, opens, clicks, date_created, last_event, comms_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, 0, $10, $10, $11)",
            vec![
                self.id.as_str().into(),
                self.mail.as_str().into(),
                i64::try_from(self.part).unwrap_or(0).into(),
                self.email.as_str().into(),
                self.from.as_str().into(),
                self.subject.as_str().into(),
                self.status.as_str().into(),
                serde_json::to_string(&self.meta).expect("meta is plain text").into(),
                self.created.into(),
                self.meta.comms_id.clone().into(),
            ],
        );
    }

    /// Writes a step; the commit conflicts when another was taken meanwhile.
    pub fn step(&self, batch: &mut AccountBatch, to: Status, now: Timestamp) {
        batch.must(
            "UPDATE mail_recipient SET status = $4, attempt = $5, last_event = $6, subject = $7
             WHERE account_sid = $1 AND id = $2 AND status = $3",
            vec![
                self.id.as_str().into(),
                self.status.as_str().into(),
                to.as_str().into(),
                self.attempt.into(),
                now.into(),
                self.subject.as_str().into(),
            ],
        );
    }

    /// `<…>` of the message, by which servers and events name it.
    pub fn smtp_id(&self) -> String {
        format!("<{}@offhook>", self.id)
    }
}

/// Events that carry an `smtp-id`.
const WITH_SMTP_ID: [&str; 5] = ["processed", "dropped", "delivered", "deferred", "bounce"];

/// Writes events: into the mail's history, the counts, and for the webhooks that ask for them.
pub struct Recorder<'a> {
    email: &'a Email,
    webhooks: Vec<Webhook>,
}

impl Email {
    pub(crate) async fn recorder(&self, store: &AccountStore) -> Result<Recorder<'_>, StoreError> {
        Ok(Recorder { email: self, webhooks: webhook::enabled(store).await? })
    }
}

impl Recorder<'_> {
    /// One event of `kind`, `extra` telling its circumstances.
    pub fn record(&self, batch: &mut AccountBatch, reader: &Reader, kind: &str, extra: Value) {
        let parts = &self.email.parts;
        let now = parts.clock.now();
        let sid = parts.clock.sid("EV");
        let meta = &reader.meta;
        let mut event = Map::new();
        // What a program calls its own yields to what every event has.
        for (name, value) in &meta.custom_args {
            event.insert(name.clone(), value.as_str().into());
        }
        event.insert("email".into(), reader.email.as_str().into());
        event.insert("timestamp".into(), now.as_seconds().into());
        event.insert("event".into(), kind.into());
        event.insert("sg_event_id".into(), sid.hex().into());
        event.insert("sg_message_id".into(), reader.id.as_str().into());
        if WITH_SMTP_ID.contains(&kind) {
            event.insert("smtp-id".into(), reader.smtp_id().into());
        }
        match meta.categories.as_slice() {
            [] => {}
            [one] if meta.one_category => {
                drop(event.insert("category".into(), one.as_str().into()))
            }
            all => drop(event.insert("category".into(), json!(all))),
        }
        if let Some(group) = meta.group_id {
            event.insert("asm_group_id".into(), group.into());
        }
        if let Some(template) = &meta.template_id {
            event.insert("sg_template_id".into(), template.as_str().into());
            event.insert("sg_template_name".into(), json!(meta.template_name));
        }
        if let Some(at) = meta.send_at {
            event.insert("send_at".into(), at.into());
        }
        if let Value::Object(extra) = extra {
            event.extend(extra);
        }
        let is_block = event.get("type").is_some_and(|kind| kind == "blocked");
        let body = Value::Object(event).to_string();
        batch.run(
            "INSERT INTO mail_event (account_sid, recipient_id, id, body) VALUES ($1, $2, $3, $4)",
            vec![reader.id.as_str().into(), sid.hex().into(), body.as_str().into()],
        );
        // The platform's own list of what happened: no address, no text.
        let told = json!({"mail": reader.mail, "event": kind});
        batch.event(&format!("email.{kind}"), &reader.id, now, told.to_string());
        for webhook in self.webhooks.iter().filter(|webhook| webhook.wants(kind)) {
            webhook::promise(batch, &parts.clock, webhook, &sid.hex(), &body, parts.webhook_delay);
        }
        for metric in stats::metrics(kind, is_block) {
            stats::count(batch, &meta.categories, metric, now);
        }
    }
}

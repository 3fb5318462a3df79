//! Quiet hours: marketing does not reach Americans at night (compliance §4).
//!
//! [`hours`] decides; this reads what the account has switched on and where the recipient is.

// Differs: quiet hours are switched on by our own API (`/_offhook/v1/quiet-hours`), for an account or
// a Messaging Service, and are off before. What is marketing says `MessageIntent`, else the use case
// of the service; nobody reads the text. Reassigned numbers and litigators are not known here. That a
// status callback tells of `scheduled` when a message has to wait is unconfirmed.

mod hours;

use kernel::{Sid, Timestamp};
use numbering::E164;
use serde_json::{Map, Value as Json, json};
use std::time::Duration;
use store::{AccountBatch, AccountStore, StoreError};

use crate::Messaging;
use crate::lifecycle::{self, Event};
use crate::message::Message;
use hours::{Decision, decide};

pub use hours::QuietHours;

const KIND: &str = "QuietHours";
/// The longest validity, which nobody chose: the platform may keep the message for as long as it is
/// quiet.
const VALIDITY_UNCHOSEN: i64 = 36_000;

impl Messaging {
    /// Switches quiet hours for an account, or for one of its services; `None`: no such service.
    pub async fn set_quiet_hours(
        &self,
        account: Sid,
        service: Option<Sid>,
        mode: QuietHours,
    ) -> Result<Option<()>, StoreError> {
        let store = self.parts.store.account(account);
        if let Some(service) = service
            && self.service(&store, &service.to_string()).await?.is_none()
        {
            return Ok(None);
        }
        let mut batch = store.batch();
        batch.run(
            "INSERT INTO resource (account_sid, kind, parent, sid, body, date_created,
             date_updated, version) VALUES ($1, $2, '', $3, $4, $5, $5, 1)
             ON CONFLICT (account_sid, kind, parent, sid) DO UPDATE SET body = excluded.body,
             date_updated = excluded.date_updated, version = resource.version + 1",
            vec![
                KIND.into(),
                service.unwrap_or(account).into(),
                json!({ "mode": mode }).to_string().into(),
                self.parts.clock.now().into(),
            ],
        );
        store.commit(batch).await.map(|_| Some(()))
    }

    /// What an account has switched, by its SID and those of its services; at most a thousand.
    pub async fn quiet_hours(&self, account: Sid) -> Result<Vec<(String, QuietHours)>, StoreError> {
        let store = self.parts.store.account(account);
        let sql = "SELECT sid, body FROM resource WHERE account_sid = $1 AND kind = $2
                   AND parent = '' ORDER BY sid LIMIT 1000";
        let rows = store.query(sql, vec![KIND.into()]).await?;
        let read = |row: &store::Row| {
            let body = serde_json::from_str(row.text(1)).unwrap_or_default();
            (row.text(0).to_owned(), mode_of(&body))
        };
        Ok(rows.iter().map(read).collect())
    }

    /// Keeps marketing back while it is quiet where its recipient is; true when it must not go on.
    pub(crate) async fn keep_quiet(
        &self,
        store: &AccountStore,
        message: &mut Message,
        batch: &mut AccountBatch,
    ) -> Result<bool, StoreError> {
        if !message.extra.marketing {
            return Ok(false);
        }
        let mode = self.quiet_mode(store, message.service.as_deref()).await?;
        let Some(zone) = zone_of(store, &message.to).await? else { return Ok(false) };
        let now = self.parts.clock.now();
        let event = match decide(mode, now, zone, deadline(message)) {
            Decision::Go => return Ok(false),
            Decision::Fail { code } => Event::Failed { code },
            Decision::Wait(until) => {
                message.extra.send_at = Some(until);
                message.rewrite(batch);
                Event::Postponed
            }
        };
        let steps = lifecycle::apply(message.status, event);
        message.step(&steps, now, &self.parts.clock, batch);
        if event == Event::Postponed {
            jobs::add(batch, &self.parts.clock, self.dispatch_job(message, None));
        }
        Ok(true)
    }

    /// The service's word, else the account's.
    async fn quiet_mode(
        &self,
        store: &AccountStore,
        service: Option<&str>,
    ) -> Result<QuietHours, StoreError> {
        let account = store.account().to_string();
        for scope in service.into_iter().chain([account.as_str()]) {
            if let Some(doc) = rest::load(store, KIND, "", scope).await? {
                return Ok(mode_of(&doc.fields));
            }
        }
        Ok(QuietHours::Off)
    }
}

fn mode_of(fields: &Map<String, Json>) -> QuietHours {
    let mode = fields.get("mode").cloned().unwrap_or_default();
    serde_json::from_value(mode).unwrap_or(QuietHours::Off)
}

/// When the message is of no use any more, if its sender has said so.
fn deadline(message: &Message) -> Option<Timestamp> {
    let seconds = message.extra.validity_seconds.filter(|chosen| *chosen < VALIDITY_UNCHOSEN)?;
    let since = message.extra.send_at.unwrap_or(message.date_created);
    Some(since + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// The recipient's time: by the ZIP code of the contact, else by the area code.
async fn zone_of(store: &AccountStore, to: &str) -> Result<Option<&'static str>, StoreError> {
    let number = to.rsplit_once(':').map_or(to, |(_, number)| number);
    let Ok(number) = E164::parse(number) else { return Ok(None) };
    let sql = "SELECT zip FROM contact WHERE account_sid = $1 AND address = $2
               AND country = 'US'";
    let contact = store.point(sql, vec![number.to_string().into()]).await?;
    let zone = contact.and_then(|row| numbering::zone_of_zip(row.text(0)));
    Ok(zone.or_else(|| numbering::zone_of_number(number)))
}

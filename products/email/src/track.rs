//! The links of mails: the pixel, redirects, the way out, the way back of bounces.
//!
//! A link names its mail and reader and carries a MAC under a key of the account's: nobody makes
//! one up, and a redirect leads only where a mail of ours led.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use contracts::{BoxFuture, InboundMail, MailRefusal, MailSink, Shown, Unavailable, Visit};
use jobs::Failure;
use kernel::Sid;
use serde_json::{Value, json};
use store::{AccountStore, StoreError};

use crate::lifecycle::Status;
use crate::reader::Reader;
use crate::{Email, group, parse, shelf, stats, suppression};

const KIND: &str = "EmailLinkKey";
/// Where links lead, below the public URL.
const PATH: &str = "/_offhook/mail/";
const MAC_BYTES: usize = 16;
/// Tries of a commit that another one overtook.
const TRIES: usize = 8;

/// Makes the links of one mail to one reader.
pub struct Tracker {
    base: String,
    account: Sid,
    reader: String,
    email: String,
    key: hmac::Key,
}

async fn key(email: &Email, store: &AccountStore) -> Result<Option<hmac::Key>, StoreError> {
    let Some(doc) = shelf::get(store, KIND, "", "key").await? else { return Ok(None) };
    let sealed = STANDARD.decode(doc.body["key"].as_str().unwrap_or_default()).unwrap_or_default();
    let secret =
        email.parts.sealer.open(&sealed).map_err(|error| StoreError::Failed(error.to_string()))?;
    Ok(Some(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())))
}

fn mac(key: &hmac::Key, kind: &str, payload: &str) -> String {
    let tag = hmac::sign(key, format!("{kind}/{payload}").as_bytes());
    URL_SAFE_NO_PAD.encode(&tag.as_ref()[..MAC_BYTES])
}

impl Tracker {
    pub async fn open(
        email: &Email,
        store: &AccountStore,
        reader: &Reader,
    ) -> Result<Self, Failure> {
        let found = match key(email, store).await? {
            Some(key) => Some(key),
            None => {
                let sealed = STANDARD.encode(email.parts.sealer.seal(&email.token(32)));
                let mut batch = store.batch();
                shelf::insert(
                    &mut batch,
                    KIND,
                    "",
                    "key",
                    &json!({"key": sealed}),
                    email.parts.clock.now(),
                );
                match store.commit(batch).await {
                    // Another mail was first.
                    Ok(_) | Err(StoreError::Duplicate(_)) => key(email, store).await?,
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let key = found.ok_or_else(|| Failure::Retry("the account has no key for links".into()))?;
        let base = email.parts.public_url.trim_end_matches('/').to_owned();
        let (account, email) = (store.account(), reader.email.clone());
        Ok(Self { base, account, reader: reader.id.clone(), email, key })
    }

    fn link(&self, kind: &str, rest: &[&str]) -> String {
        let mut payload = self.reader.clone();
        for piece in rest {
            payload.push('\n');
            payload.push_str(piece);
        }
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let tag = mac(&self.key, kind, &payload);
        format!("{}{PATH}{kind}/{}/{tag}{payload}", self.base, self.account.hex())
    }

    pub fn picture(&self) -> String {
        self.link("open", &[])
    }

    pub fn click(&self, url: &str, at: usize) -> String {
        self.link("click", &[&at.to_string(), url])
    }

    /// It names the address, too: who finds the mail years later still gets out.
    pub fn unsubscribe(&self, group: Option<i64>) -> String {
        let group = group.map(|id| id.to_string()).unwrap_or_default();
        self.link("unsubscribe", &[&group, &self.email])
    }

    /// What the envelope's sender says of the mail; within the 64 octets of a local part.
    pub fn bounce_token(&self) -> String {
        let account = u128::from_str_radix(&self.account.hex(), 16).unwrap_or(0);
        let mut pieces = self.reader.split(".offhook.");
        let mail = pieces.next().unwrap_or_default();
        let rest = pieces.next().unwrap_or_default();
        let number =
            |text: Option<&str>| text.and_then(|text| text.parse::<u128>().ok()).unwrap_or(0);
        let mut places = rest.split('.');
        let (part, at) = (number(places.next()), number(places.next()));
        format!("{}.{mail}.{}.{}", base36(account), base36(part), base36(at))
    }
}

fn base36(mut number: u128) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % 36).unwrap_or(0);
        digits.push(char::from_digit(digit, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

/// The account and reader that an address of the way back names.
fn bounced(address: &str) -> Option<(Sid, String)> {
    let (local, _) = address.rsplit_once('@')?;
    let mut pieces = local.strip_prefix("bounces+")?.split('.');
    let account = u128::from_str_radix(pieces.next()?, 36).ok()?;
    let mail = pieces.next()?;
    let part = u32::from_str_radix(pieces.next()?, 36).ok()?;
    let at = u32::from_str_radix(pieces.next()?, 36).ok()?;
    Some((Sid::from_parts("AC", account), format!("{mail}.offhook.{part:04}.{at:04}")))
}

impl Email {
    async fn follow(&self, visit: &Visit) -> Result<Shown, StoreError> {
        let Some((kind, account, token)) = split(&visit.path) else { return Ok(Shown::Nothing) };
        let store = self.parts.store.account(account);
        let Some(key) = key(self, &store).await? else { return Ok(Shown::Nothing) };
        let Some((tag, payload)) = token.split_at_checked(MAC_BYTES.div_ceil(3) * 4 - 2) else {
            return Ok(Shown::Nothing);
        };
        let is_ours = aws_lc_rs::constant_time::verify_slices_are_equal(
            mac(&key, kind, payload).as_bytes(),
            tag.as_bytes(),
        )
        .is_ok();
        if !is_ours {
            return Ok(Shown::Nothing);
        }
        let payload =
            URL_SAFE_NO_PAD.decode(payload).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let payload = payload.unwrap_or_default();
        let mut pieces = payload.split('\n');
        let reader = Reader::load(&store, pieces.next().unwrap_or_default()).await?;
        let Some(reader) = reader else {
            return self.follow_forgotten(&store, kind, pieces, visit.is_post).await;
        };
        let seen = json!({"ip": visit.ip, "useragent": visit.user_agent});
        match kind {
            "open" => {
                let mut extra = seen;
                extra["sg_content_type"] = "html".into();
                extra["sg_machine_open"] = false.into();
                self.engaged(&store, &reader, "open", extra).await?;
                Ok(Shown::Pixel)
            }
            "click" => {
                let at: usize = pieces.next().and_then(|at| at.parse().ok()).unwrap_or(0);
                let url = pieces.next().unwrap_or_default().to_owned();
                let mut extra = seen;
                extra["url"] = url.as_str().into();
                extra["url_offset"] = json!({"index": at, "type": "html"});
                self.engaged(&store, &reader, "click", extra).await?;
                Ok(Shown::Redirect(url))
            }
            _ => {
                // A GET comes from scanners too: it never unsubscribes (RFC 8058 §3.2).
                if !visit.is_post {
                    return Ok(Shown::Page { text: "Unsubscribe from these mails?", button: true });
                }
                let group = pieces.next().and_then(|id| id.parse().ok());
                self.unsubscribed(&store, &reader, group, seen).await?;
                Ok(Shown::Page { text: "You are unsubscribed.", button: false })
            }
        }
    }

    /// A link of a mail that is not kept any more: it leads where it led, and nothing is told.
    async fn follow_forgotten(
        &self,
        store: &AccountStore,
        kind: &str,
        pieces: impl Iterator<Item = &str>,
        is_post: bool,
    ) -> Result<Shown, StoreError> {
        let pieces: Vec<_> = pieces.collect();
        match (kind, pieces.as_slice()) {
            ("open", _) => Ok(Shown::Pixel),
            ("click", [_, url, ..]) => Ok(Shown::Redirect((*url).to_owned())),
            ("unsubscribe", [_, _, ..]) if !is_post => {
                Ok(Shown::Page { text: "Unsubscribe from these mails?", button: true })
            }
            ("unsubscribe", [group, email, ..]) => {
                let list = group.parse().map_or_else(|_| "global".to_owned(), group::list_of);
                let mut batch = store.batch();
                suppression::add(&mut batch, &list, email, self.parts.clock.now(), "", "");
                store.commit(batch).await?;
                Ok(Shown::Page { text: "You are unsubscribed.", button: false })
            }
            _ => Ok(Shown::Nothing),
        }
    }

    /// An open or a click. Of both, the first is counted as unique.
    async fn engaged(
        &self,
        store: &AccountStore,
        reader: &Reader,
        kind: &str,
        extra: Value,
    ) -> Result<(), StoreError> {
        let recorder = self.recorder(store).await?;
        let now = self.parts.clock.now();
        let mut batch = store.batch();
        let (sql, count, metric) = match kind {
            "open" => (
                "UPDATE mail_recipient SET opens = opens + 1, last_event = $3 WHERE account_sid = $1 AND id = $2",
                reader.opens,
                "unique_opens",
            ),
            _ => (
                "UPDATE mail_recipient SET clicks = clicks + 1, last_event = $3 WHERE account_sid = $1 AND id = $2",
                reader.clicks,
                "unique_clicks",
            ),
        };
        batch.run(sql, vec![reader.id.as_str().into(), now.into()]);
        if count == 0 {
            stats::count(&mut batch, &reader.meta.categories, metric, now);
        }
        recorder.record(&mut batch, reader, kind, extra);
        store.commit(batch).await.map(|_| ())
    }

    async fn unsubscribed(
        &self,
        store: &AccountStore,
        reader: &Reader,
        group: Option<i64>,
        extra: Value,
    ) -> Result<(), StoreError> {
        let recorder = self.recorder(store).await?;
        let now = self.parts.clock.now();
        let mut batch = store.batch();
        let (list, kind) = match group {
            Some(id) => (group::list_of(id), "group_unsubscribe"),
            None => ("global".to_owned(), "unsubscribe"),
        };
        // Twice is once.
        if suppression::has(store, &list, &reader.email).await? {
            return Ok(());
        }
        suppression::add(&mut batch, &list, &reader.email, now, "", "");
        recorder.record(
            &mut batch,
            reader,
            kind,
            if group.is_some() { extra } else { Value::Null },
        );
        store.commit(batch).await.map(|_| ())
    }

    async fn complained(&self, store: &AccountStore, id: &str) -> Result<(), StoreError> {
        let Some(reader) = Reader::load(store, id).await? else { return Ok(()) };
        // Its delivery may not be written down yet.
        if matches!(reader.status, Status::Processed | Status::Deferred) {
            return Err(StoreError::Unavailable("the mail is still under way".into()));
        }
        if reader.status != Status::Delivered
            || suppression::has(store, "spam", &reader.email).await?
        {
            return Ok(());
        }
        let recorder = self.recorder(store).await?;
        let mut batch = store.batch();
        suppression::add(&mut batch, "spam", &reader.email, self.parts.clock.now(), "", "");
        recorder.record(&mut batch, &reader, "spamreport", Value::Null);
        store.commit(batch).await.map(|_| ())
    }

    async fn bounced_later(
        &self,
        store: &AccountStore,
        id: &str,
        refusal: &MailRefusal,
    ) -> Result<(), StoreError> {
        for _ in 0..TRIES {
            let Some(mut reader) = Reader::load(store, id).await? else { return Ok(()) };
            let recorder = self.recorder(store).await?;
            let mut batch = store.batch();
            self.refused(&recorder, &mut batch, &mut reader, refusal);
            match store.commit(batch).await {
                Err(StoreError::Conflict) => {}
                outcome => return outcome.map(|_| ()),
            }
        }
        Err(StoreError::Unavailable("the mail keeps changing".into()))
    }

    /// A report of a machine on a mail of ours.
    async fn reported(&self, account: Sid, id: &str, mail: &InboundMail) -> Result<(), StoreError> {
        let store = self.parts.store.account(account);
        match mail::report(&mail.message) {
            Some(mail::Report::Complaint) => self.complained(&store, id).await,
            Some(mail::Report::Failed { status, diagnostic }) => {
                let is_block = status.starts_with('4')
                    || status.starts_with("5.7")
                    || status.starts_with("5.6");
                let refusal =
                    MailRefusal { status, reason: diagnostic, ip: Some(mail.ip.clone()), is_block };
                self.bounced_later(&store, id, &refusal).await
            }
            Some(mail::Report::Delayed) | None => Ok(()),
        }
    }
}

/// Kind, account and token of a link's path.
fn split(path: &str) -> Option<(&'static str, Sid, &str)> {
    let mut pieces = path.strip_prefix(PATH)?.splitn(3, '/');
    let kind = pieces.next()?;
    let kind = ["open", "click", "unsubscribe"].into_iter().find(|known| *known == kind)?;
    let account = format!("AC{}", pieces.next()?).parse().ok()?;
    Some((kind, account, pieces.next()?))
}

fn unavailable(error: StoreError) -> Unavailable {
    Unavailable(error.to_string())
}

impl MailSink for Email {
    fn visit<'a>(&'a self, visit: &'a Visit) -> BoxFuture<'a, Result<Shown, Unavailable>> {
        Box::pin(async move { self.follow(visit).await.map_err(unavailable) })
    }

    fn complaint<'a>(
        &'a self,
        account: Sid,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            self.complained(&self.parts.store.account(account), id).await.map_err(unavailable)
        })
    }

    fn bounce<'a>(
        &'a self,
        account: Sid,
        id: &'a str,
        refusal: &'a MailRefusal,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            let store = self.parts.store.account(account);
            self.bounced_later(&store, id, refusal).await.map_err(unavailable)
        })
    }

    fn takes<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<bool, Unavailable>> {
        Box::pin(async move {
            if let Some((account, id)) = bounced(address) {
                let store = self.parts.store.account(account);
                return Ok(Reader::load(&store, &id).await.map_err(unavailable)?.is_some());
            }
            Ok(parse::holder(self, address).await?.is_some())
        })
    }

    fn inbound<'a>(&'a self, mail: &'a InboundMail) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            for to in &mail.to {
                if let Some((account, id)) = bounced(to) {
                    self.reported(account, &id, mail).await.map_err(unavailable)?;
                } else {
                    parse::take(self, to, mail).await?;
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_leads_to_the_reader() {
        let account = Sid::from_parts("AC", u128::MAX - 5);
        let tracker = Tracker {
            base: String::new(),
            account,
            reader: format!("{}.offhook.0999.0123", "x".repeat(22)),
            email: String::new(),
            key: hmac::Key::new(hmac::HMAC_SHA256, b"k"),
        };
        let local = format!("bounces+{}", tracker.bounce_token());
        assert!(local.len() <= 64, "{local}");
        assert_eq!(
            bounced(&format!("{local}@em.example.com")),
            Some((account, tracker.reader.clone()))
        );
        for none in ["a@b.c", "bounces+@x", "bounces+zz.y@x", "bounces+!.a.1.1@x"] {
            assert_eq!(bounced(none), None, "{none}");
        }
    }
}

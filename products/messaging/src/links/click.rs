//! Somebody follows a short link.

use std::sync::Arc;

use contracts::Unavailable;
use jobs::{Failure, Job, NewJob, Worker};
use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::{AccountBatch, AccountStore, StoreError};

use super::LIFE;
use super::domain::{Domain, load};
use crate::Messaging;
use crate::message::Message;

const CLICKED: &str = "link.clicked";
/// Clicks on one link that wait to be reported; beyond them people are led on unreported.
const CLICKS_MAX: i64 = 100;
const AGENT_CHARS_MAX: usize = 512;

/// Somebody who asks for a short link.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    /// Whose the link, or the domain, is.
    pub account: Sid,
    /// The domain that was asked; `None`: the platform's own address.
    pub domain: Option<&'a str>,
    pub code: &'a str,
    pub user_agent: &'a str,
    /// A GET; who asks only for the head is led on and not counted.
    pub is_click: bool,
}

/// Where the visitor is led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Landing {
    /// 302.
    At(String),
    Nowhere,
}

/// A click that is to be reported.
#[derive(Serialize, Deserialize)]
struct Click {
    message: Sid,
    domain: Option<String>,
    short_url: String,
    url: String,
    created: Timestamp,
    at: Timestamp,
    user_agent: String,
}

impl Messaging {
    /// Leads a visitor on, and promises a report of the click.
    // Differs: a message that is not there (30104, 30105) is logged and is no alert: anybody can ask.
    pub async fn follow(&self, visit: Visit<'_>) -> Result<Landing, Unavailable> {
        let failed = |error: StoreError| Unavailable(error.to_string());
        let store = self.parts.store.account(visit.account);
        let sql = "SELECT message_sid, domain_sid, short_url, url, date_created FROM link
                   WHERE account_sid = $1 AND code = $2";
        let row = store.point(sql, vec![visit.code.into()]).await.map_err(failed)?;
        let now = self.parts.clock.now();
        let link = row.filter(|row| {
            let is_there = visit.domain.is_none() || row.opt_text(1) == visit.domain;
            is_there && now.since(row.time(4)) < LIFE
        });
        let Some(link) = link else {
            return self.lost(&store, visit.domain).await.map_err(failed);
        };
        let url = link.text(3).to_owned();
        if visit.is_click
            && let Ok(message) = link.text(0).parse()
        {
            let click = Click {
                message,
                domain: link.opt_text(1).map(str::to_owned),
                short_url: link.text(2).to_owned(),
                url: url.clone(),
                created: link.time(4),
                at: now,
                user_agent: visit.user_agent.chars().take(AGENT_CHARS_MAX).collect(),
            };
            self.promise_report(&store, visit.code, &click).await.map_err(failed)?;
        }
        // As a header can carry it.
        let location = url::Url::parse(&url).map_or(url, |url| url.to_string());
        Ok(Landing::At(location))
    }

    async fn promise_report(
        &self,
        store: &AccountStore,
        code: &str,
        click: &Click,
    ) -> Result<(), StoreError> {
        let lane = format!("click/{code}");
        if jobs::waiting(store, &lane).await? >= CLICKS_MAX {
            return Ok(());
        }
        let clock = &self.parts.clock;
        let mut batch = store.batch();
        jobs::add(&mut batch, clock, NewJob::now(CLICKED, clock, click).in_lane(lane));
        store.commit(batch).await.map(|_| ())
    }

    /// Where a domain leads those who ask for what is not there.
    async fn lost(
        &self,
        store: &AccountStore,
        domain: Option<&str>,
    ) -> Result<Landing, StoreError> {
        let Some(domain) = domain else { return Ok(Landing::Nowhere) };
        let doc = load(store, domain).await?;
        let fallback = doc.and_then(|doc| Domain::of(&doc).config?.fallback_url);
        let code = if fallback.is_some() { 30104 } else { 30105 };
        tracing::debug!(domain_sid = domain, code, "a short link that is not there");
        Ok(fallback.map_or(Landing::Nowhere, Landing::At))
    }
}

/// Reports clicks: an event, and a signed post to the domain's `CallbackUrl`.
pub struct Clicks(pub Arc<Messaging>);

impl Worker for Clicks {
    const QUEUE: &'static str = CLICKED;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let click: Click = job.read()?;
        let mut batch = store.batch();
        // Of a message that was deleted nothing is told any more.
        let Some(message) = Message::load(store, click.message).await? else {
            return Ok(batch);
        };
        let report = report(store.account(), &click, &message);
        let sid = message.sid.to_string();
        let at = self.0.parts.clock.now();
        batch.event(CLICKED, &sid, at, report.to_string());
        if let Some(url) = callback_url(store, &click).await? {
            let webhooks = &self.0.parts.webhooks;
            let account = store.account();
            let posted = webhooks.post_json(account, &url, &report, &sid, &mut batch).await;
            if let Err(failure) = posted {
                webhooks.alert(&mut batch, &sid, failure.code, &failure.message, &url);
            }
        }
        Ok(batch)
    }
}

async fn callback_url(store: &AccountStore, click: &Click) -> Result<Option<String>, StoreError> {
    let Some(domain) = &click.domain else { return Ok(None) };
    let doc = load(store, domain).await?;
    Ok(doc.and_then(|doc| Domain::of(&doc).config?.callback_url))
}

fn report(account: Sid, click: &Click, message: &Message) -> Json {
    json!({
        "event_type": "click",
        "account_sid": account,
        "message_sid": message.sid,
        "messaging_service_sid": message.service,
        "from": message.from,
        "to": message.to,
        "link": click.url,
        "shortened_link": click.short_url,
        "link_create_time": click.created.iso8601(),
        "click_time": click.at.iso8601(),
        "user_agent": click.user_agent,
    })
}

//! What handsets send (messaging §9).

use contracts::{InboundMessage, InboundOutcome, Unavailable};
use kernel::Sid;
use serde::{Deserialize, Serialize};
use sms::Keyword;
use store::{AccountStore, StoreError};

use crate::create::recipient;
use crate::lifecycle::Status;
use crate::message::{Extra, Location, Message};
use crate::opt_out::Heard;
use crate::sandbox::{Received, SANDBOX};
use crate::{Messaging, channel, opt_out};

/// Queue of inbound messages whose application is to be asked.
pub(crate) const ANSWER: &str = "message.answer";

#[derive(Serialize, Deserialize)]
pub(crate) struct Answer {
    pub sid: Sid,
    /// `PN…` or `SC…` that received it.
    pub number: Sid,
    /// What answers in the application's place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
}

impl Messaging {
    /// Stores the message and promises that its application is asked.
    pub(crate) async fn receive(
        &self,
        inbound: &InboundMessage,
    ) -> Result<InboundOutcome, Unavailable> {
        let parts = &self.parts;
        let failed = |error: StoreError| Unavailable(error.to_string());
        let to = normal(&inbound.to);
        let (owner, answer) = match to == SANDBOX {
            true => match self.in_sandbox(&normal(&inbound.from), &inbound.body).await? {
                Received::Nobody => (None, None),
                Received::Message(owner) => (Some(owner), None),
                Received::Understood { owner, answer } => (Some(owner), Some(answer)),
            },
            false => (parts.numbers.owner(&to).await?, None),
        };
        let Some(owner) = owner else { return Ok(InboundOutcome::NoSuchNumber) };
        let active =
            parts.accounts.facts(owner.account).await?.is_some_and(|facts| facts.is_active);
        if !active {
            return Ok(InboundOutcome::NoSuchNumber);
        }
        let store = parts.store.account(owner.account);
        let service = self.service_of(&store, owner.sid).await.map_err(failed)?;
        let now = parts.clock.now();
        let mut batch = store.batch();
        let sid = parts.clock.sid(if inbound.media.is_empty() { "SM" } else { "MM" });
        for item in &inbound.media {
            let blob = parts.blobs.put(&item.bytes).await.map_err(failed)?;
            let size = i64::try_from(item.bytes.len()).unwrap_or(i64::MAX);
            self.keep_media(sid, &item.content_type, &blob, size, now, &mut batch);
        }
        let segments =
            if inbound.media.is_empty() { sms::segments(&inbound.body).count } else { 1 };
        let mut message = Message {
            sid,
            direction: "inbound",
            status: Status::Received,
            from: Some(normal(&inbound.from)),
            to,
            body: inbound.body.clone(),
            service: service.map(|service| service.sid.clone()),
            segments: i64::try_from(segments).unwrap_or(i64::MAX),
            media: i64::try_from(inbound.media.len()).unwrap_or(0),
            error_code: None,
            price: None,
            status_callback: None,
            extra: Extra {
                profile_name: inbound.profile_name.clone(),
                place: inbound.place.as_ref().map(Location::of),
                tapped_row: inbound.tap.as_ref().is_some_and(|tap| tap.is_row),
                tap: inbound.tap.clone().map(|tap| (tap.text, tap.payload)),
                ..Extra::default()
            },
            date_created: now,
            date_sent: Some(now),
            date_updated: now,
            version: 1,
        };
        let set = self.opt_out_set(&store, message.service.as_deref()).await.map_err(failed)?;
        let user = message.from.as_deref().unwrap_or_default();
        let heard = opt_out::hear(
            &message.to,
            &message.body,
            message.service.is_some(),
            set.as_deref(),
            country_of(user),
        );
        if let Some(heard) = heard.as_ref().filter(|heard| heard.by_set) {
            message.extra.opt_out_type = Some(opt_out::kind_name(heard.keyword).to_owned());
        }
        message.bill(now, &mut batch);
        message.insert(&mut batch);
        self.vouch(message.from.as_deref().unwrap_or_default(), &mut batch);
        if message.to.contains(':') {
            let user = message.from.as_deref().unwrap_or_default();
            channel::open_window(&message.to, user, now, &mut batch);
        }
        if let Some(heard) = heard {
            self.obey(&store, &heard, &message, &mut batch).await.map_err(failed)?;
        }
        match answer {
            Some(answer) => {
                self.reply(&store, &message, answer, &mut batch).await.map_err(failed)?;
            }
            None => {
                let document = inbound.document.clone();
                let answer = Answer { sid, number: owner.sid, document };
                let lane = format!("answer/{}>{}", inbound.from, message.to);
                let job = jobs::NewJob::now(ANSWER, &parts.clock, &answer).in_lane(lane);
                jobs::add(&mut batch, &parts.clock, job);
            }
        }
        store.commit(batch).await.map_err(failed)?;
        Ok(InboundOutcome::Received { account: owner.account, sid })
    }

    /// Opts the sender out or in, and answers.
    ///
    /// Differs: a STOP of somebody who is opted out already is not answered again.
    async fn obey(
        &self,
        store: &AccountStore,
        heard: &Heard,
        message: &Message,
        batch: &mut store::AccountBatch,
    ) -> Result<(), StoreError> {
        let user = message.from.as_deref().unwrap_or_default();
        // One STOP counts for the whole pool of a service.
        let scope = message.service.as_deref().unwrap_or(&message.to);
        let was_out = opt_out::is_opted_out(store, scope, user).await?;
        let (now, keyword) = (message.date_created, heard.keyword);
        opt_out::obey(keyword, scope, user, now, &self.parts.clock, batch);
        // Nothing goes to somebody who has opted out, but the word that they have.
        if was_out && keyword != Keyword::Start {
            return Ok(());
        }
        for body in &heard.replies {
            self.reply(store, message, body, batch).await?;
        }
        Ok(())
    }

    /// Answers a message in the platform's own words.
    async fn reply(
        &self,
        store: &AccountStore,
        message: &Message,
        body: &str,
        batch: &mut store::AccountBatch,
    ) -> Result<(), StoreError> {
        let reply = Message {
            sid: self.parts.clock.sid("SM"),
            direction: "outbound-reply",
            status: Status::Queued,
            from: Some(message.to.clone()),
            to: message.from.clone().unwrap_or_default(),
            body: body.to_owned(),
            segments: i64::try_from(sms::segments(body).count).unwrap_or(1),
            media: 0,
            price: None,
            date_sent: None,
            extra: Extra::default(),
            ..message.clone()
        };
        let lane = self.lane(store, &reply).await?;
        self.queue(&reply, lane, batch);
        Ok(())
    }
}

/// The ISO code of where a user is; empty when their address does not say.
fn country_of(address: &str) -> &'static str {
    let number = address.rsplit_once(':').map_or(address, |(_, number)| number);
    let number = numbering::E164::parse(number).ok();
    number.and_then(numbering::E164::country).map_or("", |country| country.iso)
}

/// Addresses are stored in their normal form; what has none stays as it is.
fn normal(text: &str) -> String {
    recipient(text).map_or_else(|_| text.to_owned(), |address| address.to_string())
}

//! Asking the application what to answer, and doing it (messaging §9, §11).

use std::sync::Arc;
use std::time::Duration;

use contracts::InboundRoute;
use jobs::{Failure, Job, Worker};
use kernel::{Sid, SidGenerator};
use outbound::FetchFailure;
use store::{AccountBatch, AccountStore, StoreError};
use twiml::messaging::{self as document, Verb};
use webhooks::Question;

use crate::Messaging;
use crate::create::Wish;
use crate::inbound::{ANSWER, Answer};
use crate::message::{Extra, Message};

/// Documents that one inbound message may lead to (14106).
const DOCUMENTS_MAX: usize = 50;
/// Replies between one pair of numbers in the guard's time (14107).
const REPLIES_MAX: i64 = 15;
const REPLIES_TIME: Duration = Duration::from_secs(30);

/// Asks applications.
pub struct Answerer(pub Arc<Messaging>);

impl Worker for Answerer {
    const QUEUE: &'static str = ANSWER;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let Answer { sid, number, document } = job.read()?;
        let mut batch = store.batch();
        if let Some(message) = Message::load(store, sid).await? {
            if document.is_none() && self.0.deliver_to_application(&message).await? {
                return Ok(batch);
            }
            let route = self.0.route(store, number).await?;
            let conversation =
                Conversation { messaging: &self.0, store, message: &message, route: &route };
            match document {
                Some(document) => conversation.answer_with(&document, &mut batch).await?,
                None => conversation.run(&mut batch).await?,
            }
        }
        Ok(batch)
    }
}

impl Messaging {
    /// Who is asked: the number's service, unless it leaves that to its numbers.
    async fn route(&self, store: &AccountStore, number: Sid) -> Result<InboundRoute, Failure> {
        match self.service_of(store, number).await? {
            Some(service) if !service.use_number_webhook => Ok(service.route()),
            _ if number.prefix() == "XE" => {
                Ok(self.channel_route(store, number).await?.unwrap_or_default())
            }
            _ => {
                let route = self.parts.numbers.message_route(store.account(), number).await;
                route.map_err(|error| Failure::Retry(error.0))
            }
        }
    }
}

/// One inbound message and the documents it leads to.
struct Conversation<'a> {
    messaging: &'a Messaging,
    store: &'a AccountStore,
    message: &'a Message,
    route: &'a InboundRoute,
}

/// A document to fetch.
struct Next {
    url: String,
    method: String,
    /// Set when this is the fallback of a request that failed.
    failed: Option<(u32, String)>,
}

impl Conversation<'_> {
    async fn run(&self, batch: &mut AccountBatch) -> Result<(), Failure> {
        let Some(url) = self.route.url.clone() else { return Ok(()) };
        self.follow(Next { url, method: self.route.method.clone(), failed: None }, batch).await
    }

    /// Does what a document says that came with the message.
    async fn answer_with(&self, document: &str, batch: &mut AccountBatch) -> Result<(), Failure> {
        let read = self.read(document.as_bytes(), Some("text/xml"), "", batch);
        let Ok(document) = read else { return Ok(()) };
        match self.execute(document, "", batch).await? {
            Some(next) => self.follow(next, batch).await,
            None => Ok(()),
        }
    }

    async fn follow(&self, first: Next, batch: &mut AccountBatch) -> Result<(), Failure> {
        let mut next = Some(first);
        let params = self.params().await?;
        let mut fetched = 0;
        while let Some(request) = next.take() {
            if fetched == DOCUMENTS_MAX {
                let why = format!("more than {DOCUMENTS_MAX} documents for one message");
                self.alert(batch, 14106, &why, &request.url);
                break;
            }
            fetched += 1;
            next = match self.fetch(&request, &params, batch).await {
                Ok((document, base)) => self.execute(document, &base, batch).await?,
                Err((code, url)) => self.fallback(&request, code, url),
            };
        }
        Ok(())
    }

    /// The document behind a URL, or the code of why there is none.
    async fn fetch(
        &self,
        request: &Next,
        params: &[(String, String)],
        batch: &mut AccountBatch,
    ) -> Result<(document::Document, String), (u32, String)> {
        let mut params = params.to_vec();
        if let Some((code, url)) = &request.failed {
            params.push(("ErrorCode".to_owned(), code.to_string()));
            params.push(("ErrorUrl".to_owned(), url.clone()));
        }
        let sid = self.message.sid.to_string();
        let question = Question {
            url: &request.url,
            method: &request.method,
            params,
            resource: &sid,
            cookie_scope: Some(format!("{}>{}", self.user(), self.message.to)),
        };
        let webhooks = &self.messaging.parts.webhooks;
        let answer = webhooks
            .ask(self.store.account(), question, batch)
            .await
            .map_err(|FetchFailure { code, .. }| (code, request.url.clone()))?;
        let content_type = answer.content_type.as_deref();
        match self.read(&answer.body, content_type, &request.url, batch) {
            Ok(document) => Ok((document, answer.final_url)),
            Err(code) => Err((code, request.url.clone())),
        }
    }

    /// The document, with an alert for each mistake in it; or the code of why it is none.
    fn read(
        &self,
        body: &[u8],
        content_type: Option<&str>,
        url: &str,
        batch: &mut AccountBatch,
    ) -> Result<document::Document, u32> {
        let line = |found: &twiml::Diagnostic| {
            format!("line {}:{}: {}", found.line, found.column, found.message)
        };
        match document::parse(body, content_type) {
            Ok(document) => {
                for found in &document.diagnostics {
                    self.alert(batch, found.code, &line(found), url);
                }
                Ok(document)
            }
            Err(fatal) => {
                self.alert(batch, fatal.code(), &line(&fatal.0), url);
                Err(fatal.code())
            }
        }
    }

    /// The number's fallback, once.
    fn fallback(&self, request: &Next, code: u32, url: String) -> Option<Next> {
        let fallback = self.route.fallback_url.clone().filter(|_| request.failed.is_none())?;
        let method = self.route.fallback_method.clone();
        Some(Next { url: fallback, method, failed: Some((code, url)) })
    }

    /// Does what the document says; the next document if it redirects.
    async fn execute(
        &self,
        document: document::Document,
        base: &str,
        batch: &mut AccountBatch,
    ) -> Result<Option<Next>, Failure> {
        let mut replies = self.recent_replies().await?;
        for verb in document.verbs {
            match verb {
                Verb::Message(reply) => {
                    if replies >= REPLIES_MAX {
                        let why = format!("{REPLIES_MAX} replies between one pair in 30 seconds");
                        self.alert(batch, 14107, &why, base);
                        return Ok(None);
                    }
                    replies += 1;
                    self.reply(reply, base, batch).await?;
                }
                Verb::Redirect { url, method } => {
                    let Some(url) = absolute(base, &url) else {
                        self.alert(batch, 11100, &format!("Redirect to '{url}' is no URL"), base);
                        return Ok(None);
                    };
                    let method = match method {
                        twiml::Method::Get => "GET",
                        twiml::Method::Post => "POST",
                    };
                    return Ok(Some(Next { url, method: method.to_owned(), failed: None }));
                }
            }
        }
        Ok(None)
    }

    async fn reply(
        &self,
        reply: document::Message,
        base: &str,
        batch: &mut AccountBatch,
    ) -> Result<(), Failure> {
        let callback = reply.action.or(reply.status_callback);
        let media_urls: Vec<String> =
            reply.media.iter().filter_map(|url| absolute(base, url)).collect();
        let wish = Wish {
            direction: "outbound-reply",
            from: Some(reply.from.as_deref().unwrap_or(&self.message.to)),
            service: None,
            send_at: None,
            to: reply.to.as_deref().unwrap_or(self.user()),
            body: &reply.body,
            as_mms: false,
            smart_encoded: false,
            status_callback: callback.and_then(|url| absolute(base, &url)),
            extra: Extra { media_urls: media_urls.clone(), ..Extra::default() },
            media_urls,
        };
        match self.messaging.accept(self.store, &wish).await {
            Ok(accepted) => self.messaging.queue(&accepted.message, accepted.lane, batch),
            Err(error) if error.status >= 500 => return Err(Failure::Retry(error.message)),
            // A reply that cannot be sent is an alert, and the document goes on.
            Err(error) => self.alert(batch, error.code, &error.message, base),
        }
        Ok(())
    }

    /// Replies to this user in the guard's time.
    async fn recent_replies(&self) -> Result<i64, Failure> {
        let since = self.messaging.parts.clock.now() - REPLIES_TIME;
        let sql = "SELECT count(*) FROM message WHERE account_sid = $1 AND to_addr = $2
                   AND id > $3 AND from_addr = $4 AND direction = 'outbound-reply'";
        let bound = format!("{:032x}", SidGenerator::lower_bound(since));
        let params = vec![self.user().into(), bound.into(), self.message.to.as_str().into()];
        Ok(self.store.point(sql, params).await?.map_or(0, |row| row.int(0)))
    }

    fn user(&self) -> &str {
        self.message.from.as_deref().unwrap_or_default()
    }

    fn alert(&self, batch: &mut AccountBatch, code: u32, why: &str, url: &str) {
        let sid = self.message.sid.to_string();
        self.messaging.parts.webhooks.alert(batch, &sid, code, why, url);
    }

    /// Every parameter of the inbound webhook (messaging §9).
    async fn params(&self) -> Result<Vec<(String, String)>, StoreError> {
        let message = self.message;
        let sid = message.sid.to_string();
        let mut params = Vec::with_capacity(24);
        let mut add = |name: &str, value: &str| params.push((name.to_owned(), value.to_owned()));
        for (side, address) in [("From", self.user()), ("To", &message.to)] {
            let place = numbering::E164::parse(address).ok();
            let country =
                place.and_then(numbering::E164::country).map_or("", |country| country.iso);
            let place = place.and_then(numbering::locate);
            let (city, state, zip) = place
                .as_ref()
                .map_or(("", "", ""), |place| (place.city.as_str(), place.state, place.zip));
            add(&format!("{side}City"), city);
            add(&format!("{side}State"), state);
            add(&format!("{side}Zip"), zip);
            add(&format!("{side}Country"), country);
        }
        add("MessageSid", &sid);
        add("SmsSid", &sid);
        add("SmsMessageSid", &sid);
        add("AccountSid", &self.store.account().to_string());
        if let Some(user) = self.user().strip_prefix("whatsapp:") {
            add("ProfileName", message.extra.profile_name.as_deref().unwrap_or(user));
            add("WaId", user.trim_start_matches('+'));
            let kind = match &message.extra.tap {
                Some(_) if message.extra.tapped_row => "interactive",
                Some(_) => "button",
                None if message.extra.place.is_some() => "location",
                None if message.media > 0 => "image",
                None => "text",
            };
            add("MessageType", kind);
            if let Some(place) = &message.extra.place {
                add("Latitude", &place.latitude);
                add("Longitude", &place.longitude);
                add("Label", place.label.as_deref().unwrap_or_default());
                add("Address", place.address.as_deref().unwrap_or_default());
            }
            if let Some((text, payload)) = &message.extra.tap {
                let (of_text, of_payload) = match message.extra.tapped_row {
                    true => ("ListTitle", "ListId"),
                    false => ("ButtonText", "ButtonPayload"),
                };
                add(of_text, text);
                add(of_payload, payload);
            }
        }
        if let Some(service) = &message.service {
            add("MessagingServiceSid", service);
        }
        if let Some(kind) = &message.extra.opt_out_type {
            add("OptOutType", kind);
        }
        add("From", self.user());
        add("To", &message.to);
        add("Body", &message.body);
        add("NumSegments", &message.segments.to_string());
        add("NumMedia", &message.media.to_string());
        add("SmsStatus", "received");
        add("ApiVersion", "2010-04-01");
        let sql = "SELECT id, content_type FROM media WHERE account_sid = $1 AND message_id = $2
                   ORDER BY id";
        let media = self.store.query(sql, vec![message.sid.hex().into()]).await?;
        for (at, row) in media.iter().enumerate() {
            let Ok(media) = format!("ME{}", row.text(0)).parse() else { continue };
            let url = self.messaging.media_url(self.store.account(), message.sid, media);
            add(&format!("MediaUrl{at}"), &url);
            add(&format!("MediaContentType{at}"), row.text(1));
        }
        Ok(params)
    }
}

/// `url` as seen from the document at `base`.
fn absolute(base: &str, url: &str) -> Option<String> {
    let base = url::Url::parse(base).ok()?;
    Some(base.join(url).ok()?.to_string())
}

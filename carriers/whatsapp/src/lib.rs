//! WhatsApp by Meta's Cloud API (whatsapp-content §9–§12).
//!
//! A message is one request; what becomes of it, and what people write, comes by the webhook,
//! which Meta signs and repeats until it is taken. A message is sent again when nobody knows
//! whether Meta took it: what is known is noted before the carrier answers.
//!
//! Templates are named as they are here: whoever uses this carrier has the same names approved
//! by Meta.

// Differs: that somebody types is not passed on, nor that a message was read here.

mod config;
mod message;
mod outcome;
mod webhook;

use std::sync::{Arc, OnceLock};

use contracts::{
    BoxFuture, CarrierNotes, ConfigError, MessageCarrier, MessageSink, NotesError, OutboundMessage,
    Submission, Unavailable,
};
use kernel::{Sid, Timestamp};
use outbound::{Client, Method, RawRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use config::{Config, Number};
pub use webhook::WebhookError;

/// The path, below the public URL, at which Meta calls.
pub const WEBHOOK_PATH: &str = "/_offhook/carriers/whatsapp";

/// The carrier.
pub struct WhatsApp {
    config: Config,
    notes: Arc<dyn CarrierNotes>,
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    client: Arc<Client>,
    sink: OnceLock<Arc<dyn MessageSink>>,
}

/// Whose a message of Meta's is here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ours {
    pub account: Sid,
    pub sid: Sid,
}

impl WhatsApp {
    /// # Errors
    /// The parameter that cannot be used.
    pub fn new(
        config: Config,
        notes: Arc<dyn CarrierNotes>,
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        client: Arc<Client>,
    ) -> Result<Arc<Self>, ConfigError> {
        config.validate()?;
        Ok(Arc::new(Self { config, notes, now: Box::new(now), client, sink: OnceLock::new() }))
    }

    /// Connects the carrier to the platform; once, before anything is submitted.
    pub fn connect(&self, sink: Arc<dyn MessageSink>) {
        assert!(self.sink.set(sink).is_ok(), "the carrier is connected once");
    }

    fn sink(&self) -> &Arc<dyn MessageSink> {
        self.sink.get().expect("the binary connects the carrier before it starts")
    }

    fn now(&self) -> Timestamp {
        (self.now)()
    }

    fn authorization(&self) -> (String, String) {
        ("Authorization".to_owned(), format!("Bearer {}", self.config.access_token.0))
    }

    /// A request to the Graph API; its status and JSON.
    async fn ask(
        &self,
        method: Method,
        url: String,
        body: Option<&Value>,
    ) -> Result<(u16, Value), Unavailable> {
        let mut request = RawRequest::new(method, url);
        request.headers = vec![self.authorization()];
        if let Some(body) = body {
            request.headers.push(("Content-Type".into(), "application/json".into()));
            request.body = body.to_string().into_bytes();
        }
        let answer = self.client.raw(request).await;
        let answer = answer.map_err(|failure| Unavailable(failure.message))?;
        Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null)))
    }

    async fn send(&self, message: &OutboundMessage) -> Result<Submission, Unavailable> {
        let sent_note = format!("sent/{}", message.sid);
        if self.notes.get(&sent_note).await.map_err(noted)?.is_some() {
            return Ok(Submission::Accepted);
        }
        let Some(id) = self.config.id_of(&message.from) else {
            return Ok(Submission::Refused { code: 63007 });
        };
        let Ok(request) = message::request(message) else {
            return Ok(Submission::Refused { code: 63021 });
        };
        let url = format!("{}/{id}/messages", self.config.base_url);
        let (status, json) = self.ask(Method::Post, url, Some(&request)).await?;
        let theirs = match (status, json["messages"][0]["id"].as_str()) {
            (200..=299, Some(theirs)) => theirs.to_owned(),
            _ => return Ok(outcome::refusal(status, &json)),
        };
        let ours = Ours { account: message.account, sid: message.sid };
        let note = serde_json::to_string(&ours).expect("SIDs are text");
        self.notes.put(&format!("theirs/{theirs}"), note).await.map_err(noted)?;
        // Last: a run that finds this note does nothing more.
        self.notes.put(&sent_note, theirs).await.map_err(noted)?;
        Ok(Submission::Accepted)
    }
}

fn noted(error: NotesError) -> Unavailable {
    Unavailable(error.to_string())
}

impl MessageCarrier for WhatsApp {
    fn submit<'a>(&'a self, message: &'a OutboundMessage) -> BoxFuture<'a, Submission> {
        Box::pin(async move { self.send(message).await.unwrap_or_else(Submission::Busy) })
    }
}

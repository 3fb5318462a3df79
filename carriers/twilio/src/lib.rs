//! Messages carried by a real Twilio account, or by another Offhook.
//!
//! A message becomes one of the account's; what becomes of that is heard by its status
//! callback, and asked for from time to time in case none comes. What people send to the
//! account's numbers comes in by their webhook. Both callbacks are signed by Twilio, and
//! believed only then.
//!
//! A message is sent again when nobody knows whether the account took it: what is known is
//! noted before the carrier answers, so that it is the moment between Twilio's answer and the
//! note that can duplicate a message, and nothing else.

mod callback;
mod config;
mod follow;
mod outcome;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine;
use contracts::{
    BoxFuture, CarrierNotes, ConfigError, MessageCarrier, MessageSink, NotesError, OutboundMessage,
    Submission, Unavailable,
};
use jobs::{NewJob, Queue};
use kernel::Sid;
use outbound::{Client, Method, RawRequest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use callback::CallbackError;
pub use config::Config;
pub use follow::FOLLOW_QUEUE;

/// The paths, below the public URL, at which the account calls back.
pub const STATUS_PATH: &str = "/_offhook/carriers/twilio/status";
pub const INBOUND_PATH: &str = "/_offhook/carriers/twilio/inbound";

/// The carrier.
pub struct Twilio {
    config: Config,
    notes: Arc<dyn CarrierNotes>,
    queue: Queue,
    client: Arc<Client>,
    /// Where the account reaches this platform; `None`: it cannot, and is only asked.
    public_url: Option<String>,
    sink: OnceLock<Arc<dyn MessageSink>>,
}

/// Whose a message of the account is here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ours {
    pub account: Sid,
    pub sid: Sid,
}

impl Twilio {
    /// # Errors
    /// The parameter that cannot be used.
    pub fn new(
        config: Config,
        notes: Arc<dyn CarrierNotes>,
        queue: Queue,
        client: Arc<Client>,
        public_url: Option<String>,
    ) -> Result<Arc<Self>, ConfigError> {
        config.validate()?;
        Ok(Arc::new(Self { config, notes, queue, client, public_url, sink: OnceLock::new() }))
    }

    /// Connects the carrier to the platform; once, before anything is submitted.
    pub fn connect(&self, sink: Arc<dyn MessageSink>) {
        assert!(self.sink.set(sink).is_ok(), "the carrier is connected once");
    }

    fn sink(&self) -> &Arc<dyn MessageSink> {
        self.sink.get().expect("the binary connects the carrier before it starts")
    }

    /// A request to the account's resources; its status and JSON.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        form: &[(String, String)],
    ) -> Result<(u16, Value), Unavailable> {
        let Config { base_url, account_sid, auth_token, .. } = &self.config;
        let login = format!("{account_sid}:{}", auth_token.0);
        let login = base64::engine::general_purpose::STANDARD.encode(login);
        let url = format!("{base_url}/2010-04-01/Accounts/{account_sid}/{path}");
        let mut request = RawRequest::new(method, url);
        request.headers = vec![
            ("Authorization".into(), format!("Basic {login}")),
            ("Content-Type".into(), "application/x-www-form-urlencoded".into()),
            ("Accept".into(), "application/json".into()),
        ];
        request.body = outbound::encode_form(form).into_bytes();
        let answer = self.client.raw(request).await;
        let answer = answer.map_err(|failure| Unavailable(failure.message))?;
        Ok((answer.status, serde_json::from_slice(&answer.body).unwrap_or(Value::Null)))
    }

    /// The address of one of the account's media with its login, which is given when the
    /// server asks for it; another server's as it is.
    fn with_login(&self, url: &str) -> String {
        let Config { base_url, account_sid, auth_token, .. } = &self.config;
        match url.strip_prefix(base_url.as_str()) {
            Some(path) if path.starts_with('/') => {
                let login = format!("://{account_sid}:{}@", auth_token.0);
                format!("{}{path}", base_url.replacen("://", &login, 1))
            }
            _ => url.to_owned(),
        }
    }

    async fn send(&self, message: &OutboundMessage) -> Result<Submission, Unavailable> {
        let sent_note = format!("sent/{}", message.sid);
        if self.notes.get(&sent_note).await.map_err(noted)?.is_some() {
            return Ok(Submission::Accepted);
        }
        let mut form = vec![("To".to_owned(), message.to.clone())];
        match &self.config.messaging_service_sid {
            Some(service) => form.push(("MessagingServiceSid".to_owned(), service.clone())),
            None => form.push(("From".to_owned(), message.from.clone())),
        }
        if !message.body.is_empty() {
            form.push(("Body".to_owned(), message.body.clone()));
        }
        form.extend(message.media.iter().map(|media| ("MediaUrl".to_owned(), media.url.clone())));
        if let Some(url) = &self.public_url {
            form.push(("StatusCallback".to_owned(), format!("{url}{STATUS_PATH}")));
        }
        let (status, json) = self.ask(Method::Post, "Messages.json", &form).await?;
        let theirs = match (status, json["sid"].as_str()) {
            (200..=299, Some(theirs)) => theirs.to_owned(),
            _ => return Ok(outcome::refusal(status, &json)),
        };
        let ours = Ours { account: message.account, sid: message.sid };
        let note = serde_json::to_string(&ours).expect("SIDs are text");
        self.notes.put(&format!("theirs/{theirs}"), note).await.map_err(noted)?;
        let follow = follow::Follow { theirs: theirs.clone(), ours, asked: 0 };
        let delay = follow::delay(0, self.public_url.is_some());
        let job = NewJob::now(FOLLOW_QUEUE, self.queue.clock(), &follow).after(delay);
        let promised = self.queue.add(message.account, job).await;
        promised.map_err(|error| Unavailable(error.0))?;
        // Last: a run that finds this note does nothing more.
        self.notes.put(&sent_note, theirs).await.map_err(noted)?;
        Ok(Submission::Accepted)
    }

    /// Reports what became of a message of the account; the status when it was final.
    async fn settle(
        &self,
        ours: &Ours,
        status: &str,
        code: Option<u32>,
    ) -> Result<bool, Unavailable> {
        let Some(status) = outcome::of(status, code) else { return Ok(false) };
        let done_at = self.queue.clock().now();
        let receipt = contracts::Receipt { account: ours.account, sid: ours.sid, status, done_at };
        self.sink().receipt(&receipt).await?;
        Ok(true)
    }
}

fn noted(error: NotesError) -> Unavailable {
    Unavailable(error.to_string())
}

/// How long a message is followed.
const FOLLOWED: Duration = Duration::from_secs(36 * 3600);

impl MessageCarrier for Twilio {
    fn submit<'a>(&'a self, message: &'a OutboundMessage) -> BoxFuture<'a, Submission> {
        Box::pin(async move { self.send(message).await.unwrap_or_else(Submission::Busy) })
    }
}

//! Simulated mailboxes: every address has one, which takes mail and behaves as told.
//!
//! A mailbox knows of a mail only what is in it: it opens by loading the picture, clicks the first
//! link, and unsubscribes where `List-Unsubscribe` leads.

mod behaviour;
mod entry;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use contracts::{
    BoxFuture, CarrierNotes, InboundMail, MailAttempt, MailCarrier, MailSink, NotesError,
    OutboundMail, Shown, Unavailable, Visit,
};
use jobs::{Failure, Job, NewJob, Queue, Worker};
use serde::{Deserialize, Serialize};

pub use behaviour::MailBehaviour;
pub use entry::{Mail, MailFile};

const REACT_QUEUE: &str = "sim.mailbox";
/// How long a reader takes to react.
const REACTION: Duration = Duration::from_millis(250);
/// Where simulated readers sit (RFC 5737).
const IP: &str = "203.0.113.25";
const USER_AGENT: &str = "Mozilla/5.0 (Offhook simulated mailbox)";

/// A simulated mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mailbox {
    /// In lower case.
    pub address: String,
    pub behaviour: MailBehaviour,
}

/// What a reader does with a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reaction {
    Open,
    Click,
    Unsubscribe,
    Spam,
    /// A bounce that comes after the mail was taken.
    Bounce,
}

#[derive(Serialize, Deserialize)]
struct React {
    address: String,
    id: String,
    reaction: Reaction,
}

/// All mailboxes.
pub struct Mailboxes {
    notes: Arc<dyn CarrierNotes>,
    queue: Queue,
    sink: OnceLock<Arc<dyn MailSink>>,
}

impl Mailboxes {
    pub fn new(notes: Arc<dyn CarrierNotes>, queue: Queue) -> Arc<Self> {
        Arc::new(Self { notes, queue, sink: OnceLock::new() })
    }

    /// Connects the mailboxes to the platform; once, before anything is delivered.
    pub fn connect(&self, sink: Arc<dyn MailSink>) {
        assert!(self.sink.set(sink).is_ok(), "the mailboxes are connected once");
    }

    fn sink(&self) -> &Arc<dyn MailSink> {
        self.sink.get().expect("the binary connects the mailboxes before it starts")
    }

    /// The mailbox of an address: as it was set, or as its address says.
    pub async fn mailbox(&self, address: &str) -> Result<Mailbox, NotesError> {
        let address = address.to_lowercase();
        let known = self.notes.get(&format!("mailbox/{address}")).await?;
        let known = known.and_then(|text| serde_json::from_str(&text).ok());
        let behaviour = MailBehaviour::of_address(&address);
        Ok(known.unwrap_or(Mailbox { address, behaviour }))
    }

    /// Mailboxes that were set or have mail, by address, greatest first.
    pub async fn mailboxes(&self, limit: u32) -> Result<Vec<Mailbox>, NotesError> {
        let found = self.notes.newest("mailbox/", limit).await?;
        Ok(found.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect())
    }

    pub async fn set_mailbox(&self, mailbox: &Mailbox) -> Result<(), NotesError> {
        let text = serde_json::to_string(mailbox).expect("a mailbox is plain text");
        self.notes.put(&format!("mailbox/{}", mailbox.address.to_lowercase()), text).await
    }

    /// What lies in a mailbox, newest first.
    pub async fn mails(&self, address: &str, limit: u32) -> Result<Vec<Mail>, NotesError> {
        let prefix = format!("mail/{}/", address.to_lowercase());
        let found = self.notes.newest(&prefix, limit).await?;
        Ok(found.iter().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect())
    }

    /// One mail of a mailbox.
    pub async fn mail(&self, address: &str, id: &str) -> Result<Option<Mail>, NotesError> {
        let address = address.to_lowercase();
        let Some(key) = self.notes.get(&format!("seen/{address}/{id}")).await? else {
            return Ok(None);
        };
        let text = self.notes.get(&format!("mail/{address}/{key}")).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The owner of a mailbox writes to somebody. False when nobody takes mail there.
    pub async fn write(&self, mail: &InboundMail) -> Result<bool, Unavailable> {
        for to in &mail.to {
            if !self.sink().takes(to).await? {
                return Ok(false);
            }
        }
        self.sink().inbound(mail).await.map(|()| true)
    }

    /// A reader reacts. False when there is no such mail, or nothing in it to react to.
    pub async fn react(
        &self,
        address: &str,
        id: &str,
        reaction: Reaction,
    ) -> Result<bool, Unavailable> {
        let failed = |error: NotesError| Unavailable(error.to_string());
        let Some(mail) = self.mail(address, id).await.map_err(failed)? else { return Ok(false) };
        let (link, is_post) = match reaction {
            Reaction::Open => (mail.picture.clone(), false),
            Reaction::Click => (mail.links.first().cloned(), false),
            Reaction::Unsubscribe => (mail.unsubscribe.clone(), true),
            Reaction::Spam => {
                self.sink().complaint(mail.account, &mail.id).await?;
                return Ok(true);
            }
            Reaction::Bounce => {
                let refusal = behaviour::refusal(false);
                self.sink().bounce(mail.account, &mail.id, &refusal).await?;
                return Ok(true);
            }
        };
        let Some(link) = link else { return Ok(false) };
        // Whatever host serves the platform, the link's path is what it knows it by.
        let path = link.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
        let visit = Visit { path, user_agent: USER_AGENT.to_owned(), ip: IP.to_owned(), is_post };
        Ok(self.sink().visit(&visit).await? != Shown::Nothing)
    }

    async fn keep(&self, mail: &OutboundMail) -> Result<(), NotesError> {
        let address = mail.to.to_lowercase();
        let seen = format!("seen/{address}/{}", mail.id);
        // The same mail twice is one mail.
        if self.notes.get(&seen).await?.is_some() {
            return Ok(());
        }
        let key = self.queue.clock().sid("EM").hex();
        let kept = Mail::of(mail, self.queue.clock().now());
        let text = serde_json::to_string(&kept).expect("a mail is plain text");
        self.notes.put(&format!("mail/{address}/{key}"), text).await?;
        self.notes.put(&seen, key).await?;
        self.set_mailbox(&self.mailbox(&address).await?).await
    }

    async fn take(&self, mail: &OutboundMail) -> Result<MailAttempt, Unavailable> {
        let failed = |error: NotesError| Unavailable(error.to_string());
        let mailbox = self.mailbox(&mail.to).await.map_err(failed)?;
        let ip = Some(IP.to_owned());
        match mailbox.behaviour {
            MailBehaviour::Bounces => return Ok(MailAttempt::Refused(behaviour::refusal(false))),
            MailBehaviour::Blocks => return Ok(MailAttempt::Refused(behaviour::refusal(true))),
            MailBehaviour::Defers if mail.attempt <= behaviour::DEFERRALS => {
                let response = "451 4.7.1 Greylisted, try again later".to_owned();
                return Ok(MailAttempt::Deferred { response, ip });
            }
            _ => {}
        }
        self.keep(mail).await.map_err(failed)?;
        for (at, reaction) in mailbox.behaviour.reactions().iter().enumerate() {
            let react = React {
                address: mailbox.address.clone(),
                id: mail.id.clone(),
                reaction: *reaction,
            };
            let job = NewJob::now(REACT_QUEUE, self.queue.clock(), &react)
                .named(format!("sim-mail-{}-{at}", mail.id))
                .after(REACTION * u32::try_from(at + 1).unwrap_or(1));
            let promised = self.queue.add(mail.account, job).await;
            promised.map_err(|error| Unavailable(error.0))?;
        }
        Ok(MailAttempt::Delivered { response: "250 OK".to_owned(), ip, tls: false })
    }
}

impl MailCarrier for Mailboxes {
    fn deliver<'a>(&'a self, mail: &'a OutboundMail) -> BoxFuture<'a, MailAttempt> {
        Box::pin(async move { self.take(mail).await.unwrap_or_else(MailAttempt::Busy) })
    }
}

impl Worker for Mailboxes {
    const QUEUE: &'static str = REACT_QUEUE;

    async fn run(
        &self,
        job: &Job,
        store: &jobs::AccountStore,
    ) -> Result<jobs::AccountBatch, Failure> {
        let react: React = job.read()?;
        let reacted = self.react(&react.address, &react.id, react.reaction).await;
        reacted.map_err(|error| Failure::Retry(error.0))?;
        Ok(store.batch())
    }
}

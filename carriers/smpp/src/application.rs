//! What applications submit, and what they are owed for it.
//!
//! Notes: `sent/{inverted sid}` until the message has its final status. Bound: 10 000
//! statuses of messages whose submission is just under way.

use std::collections::HashMap;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, PoisonError};

use contracts::{
    ApplicationLink, BoxFuture, InboundMessage, NotesError, ReceiptStatus, SubmissionRefusal,
    SubmissionStatus, SubmittedMessage, Unavailable,
};
use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};
use smpp::long::{self, Leaving, Place};
use smpp::pdu::Sm;
use smpp::status::Status;

use crate::Smpp;
use crate::assembly::{Assembly, Said, join};
use crate::config;
use crate::ledger::inverted;
use crate::listener::Hub;
use crate::outbox::{End, Outbox, Parcel, refusal};

const STASH_MAX: usize = 10_000;
/// Rows of one sweep; the next takes the rest.
const SWEEP_MAX: u32 = 5_000;

/// Everybody bound under one name.
pub(crate) struct Application {
    system_id: String,
    pub(crate) sessions: AtomicU32,
    pub(crate) outbox: Arc<Outbox>,
    assembly: Assembly<AppPart>,
}

/// A part of a long message from an application.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct AppPart {
    said: Said,
    account: Sid,
    ticket: Ticket,
    valid_until: Option<Timestamp>,
}

/// Where the receipt of one `submit_sm` goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Ticket {
    id: String,
    from: End,
    to: End,
    registered_delivery: u8,
    at: Timestamp,
}

/// What is remembered of a message that an application submitted.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sent {
    system_id: String,
    at: Timestamp,
    tickets: Vec<Ticket>,
}

/// Statuses that came before their submission was noted.
#[derive(Default)]
pub(crate) struct Stash {
    under_way: usize,
    early: HashMap<Sid, SubmissionStatus>,
}

impl Hub {
    /// The application of a name that is known to be good.
    pub(crate) async fn application(
        &self,
        system_id: &str,
        config: &config::Listener,
    ) -> Result<Arc<Application>, NotesError> {
        let mut applications = self.applications.lock().await;
        if let Some(known) = applications.get(system_id) {
            return Ok(Arc::clone(known));
        }
        let (form, alphabet) = (config.long_messages.form(), config.alphabet.alphabet());
        let shared = Arc::clone(&self.shared);
        let outbox =
            Outbox::open(Arc::clone(&shared), system_id, form, alphabet, self.retention).await?;
        let prefix = format!("app-part/{system_id}");
        let application = Arc::new(Application {
            system_id: system_id.to_owned(),
            sessions: AtomicU32::new(0),
            outbox: Arc::new(outbox),
            assembly: Assembly::new(Arc::clone(&shared.notes), prefix, shared.uptime),
        });
        for message in application.assembly.restore().await? {
            // Nobody waits for the answer; what cannot be sent now waits again.
            let _ = self.submit_whole(&application, message, None).await?;
        }
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(stop) = stop {
            tokio::spawn(Arc::clone(&application.outbox).run(stop));
        }
        applications.insert(system_id.to_owned(), Arc::clone(&application));
        Ok(application)
    }

    /// One `submit_sm` or `data_sm`: its id, or the status that refuses it.
    pub(crate) async fn submit(
        &self,
        application: &Application,
        account: Sid,
        sm: &Sm,
        alphabet: smpp::coding::Alphabet,
    ) -> Result<Result<String, Status>, NotesError> {
        let Ok(piece) = long::read(sm, alphabet) else { return Ok(Err(Status::SUBMIT_FAILED)) };
        let said = Said::from(piece.content);
        if matches!(said, Said::Binary(_)) {
            return Ok(Err(Status::SUBMIT_FAILED));
        }
        // Nothing is scheduled here, and sending it now would be another message.
        if !sm.schedule_delivery_time.is_empty() {
            return Ok(Err(Status::INVALID_SCHEDULE));
        }
        let Ok(valid_until) = smpp::time::read(&sm.validity_period, self.shared.now()) else {
            return Ok(Err(Status::INVALID_EXPIRY));
        };
        let ticket = Ticket {
            id: format!("{:016x}{:016x}", self.shared.now().as_micros(), self.shared.random()),
            from: (&sm.source).into(),
            to: (&sm.destination).into(),
            registered_delivery: sm.registered_delivery,
            at: self.shared.now(),
        };
        let (from, to) = (sm.source.to_text(), sm.destination.to_text());
        let Some(place) = piece.place else {
            let (body, _) = join([&said]);
            let message = SubmittedMessage { account, from, to, body, valid_until };
            let id = ticket.id.clone();
            return Ok(self.send(application, &message, vec![ticket]).await?.map(|()| id));
        };
        let part = AppPart { said, account, ticket, valid_until };
        self.submit_part(application, (&from, &to), place, part).await
    }

    async fn submit_part(
        &self,
        application: &Application,
        (from, to): (&str, &str),
        place: Place,
        part: AppPart,
    ) -> Result<Result<String, Status>, NotesError> {
        let id = part.ticket.id.clone();
        for message in application.assembly.add(from, to, place, part).await? {
            if !message.is_whole() {
                self.give_up(application, message).await?;
            } else if let Err(status) =
                self.submit_whole(application, message, Some(place.number)).await?
            {
                return Ok(Err(status));
            }
        }
        Ok(Ok(id))
    }

    /// `last` is the part that can still be answered with the refusal.
    async fn submit_whole(
        &self,
        application: &Application,
        mut message: Leaving<AppPart>,
        last: Option<u8>,
    ) -> Result<Result<(), Status>, NotesError> {
        let (body, _) = join(message.parts.values().map(|part| &part.said));
        let Some(account) = message.parts.values().next().map(|part| part.account) else {
            return Ok(Ok(()));
        };
        let (from, to) = (message.key.from.clone(), message.key.to.clone());
        let tickets = message.parts.values().map(|part| part.ticket.clone()).collect();
        let valid_until = message.parts.values().filter_map(|part| part.valid_until).min();
        let whole = SubmittedMessage { account, from, to, body, valid_until };
        let sent = self.send(application, &whole, tickets).await?;
        match sent {
            Ok(()) => application.assembly.done(&message).await?,
            Err(status) if status == Status::QUEUE_FULL => {
                application.assembly.not_done(message, last).await?;
            }
            Err(_) => {
                application.assembly.done(&message).await?;
                if let Some(last) = last {
                    message.parts.remove(&last);
                }
                self.give_up(application, message).await?;
            }
        }
        Ok(sent)
    }

    /// The parts were acknowledged, the message will not be sent: a receipt says so.
    async fn give_up(
        &self,
        application: &Application,
        message: Leaving<AppPart>,
    ) -> Result<(), NotesError> {
        for part in message.parts.values() {
            let pushed = self.tell(application, &part.ticket, Some(30008), self.shared.now()).await;
            pushed.map_err(|why| NotesError(why.0))?;
        }
        application.assembly.done(&message).await
    }

    /// Accepted by the platform and noted, in this order; a status between the two waits.
    async fn send(
        &self,
        application: &Application,
        message: &SubmittedMessage,
        tickets: Vec<Ticket>,
    ) -> Result<Result<(), Status>, NotesError> {
        let _under_way = UnderWay::begin(self);
        let sid = match self.ports().submission.send(message).await {
            Ok(sid) => sid,
            Err(SubmissionRefusal::Refused { code }) => return Ok(Err(refusal(code))),
            Err(SubmissionRefusal::Busy(_)) => return Ok(Err(Status::QUEUE_FULL)),
        };
        if tickets.iter().any(|ticket| ticket.registered_delivery & 0b11 != 0) {
            let at = self.shared.now();
            let sent = Sent { system_id: application.system_id.clone(), at, tickets };
            let value = serde_json::to_string(&sent).expect("a submission is plain text");
            self.shared.notes.put(&format!("sent/{}", inverted(sid)), value).await?;
            let early = self.stash().early.remove(&sid);
            if let Some(status) = early {
                let settled = self.settle(application, sid, &sent, &status).await;
                settled.map_err(|why| NotesError(why.0))?;
            }
        }
        Ok(Ok(()))
    }

    /// Receipts for every part, and the note is no longer needed.
    async fn settle(
        &self,
        application: &Application,
        sid: Sid,
        sent: &Sent,
        status: &SubmissionStatus,
    ) -> Result<(), Unavailable> {
        let code = match status.status {
            ReceiptStatus::Delivered => None,
            ReceiptStatus::Undelivered { code } => Some(code),
            ReceiptStatus::Read => return Ok(()),
        };
        for ticket in &sent.tickets {
            self.tell(application, ticket, code, status.at).await?;
        }
        let forgotten = self.shared.notes.delete(&format!("sent/{}", inverted(sid))).await;
        forgotten.map_err(unavailable)
    }

    async fn tell(
        &self,
        application: &Application,
        ticket: &Ticket,
        code: Option<u32>,
        done_at: Timestamp,
    ) -> Result<(), Unavailable> {
        let sm = Sm { registered_delivery: ticket.registered_delivery, ..Sm::default() };
        if !sm.wants_receipt(code.is_some()) {
            return Ok(());
        }
        let parcel = Parcel::Receipt {
            from: ticket.to.clone(),
            to: ticket.from.clone(),
            id: ticket.id.clone(),
            code,
            submitted_at: ticket.at,
            done_at,
        };
        application.outbox.push(parcel).await
    }

    /// Gives up parts that waited too long, and forgets what is old.
    pub(crate) async fn sweep(&self, now: Timestamp) -> Result<(), NotesError> {
        let applications: Vec<_> = self.applications.lock().await.values().cloned().collect();
        for application in applications {
            for message in application.assembly.expire().await {
                self.give_up(&application, message).await?;
            }
        }
        let oldest = self.shared.notes.newest("sent/", SWEEP_MAX).await?;
        let is_old = |value: &str| {
            let sent: Option<Sent> = serde_json::from_str(value).ok();
            sent.is_none_or(|sent| now.since(sent.at) >= self.retention)
        };
        let old = oldest.iter().take_while(|(_, value)| is_old(value));
        let forgotten = old.map(|(key, _)| self.shared.notes.delete(key));
        futures_util::future::try_join_all(forgotten).await.map(|_| ())
    }

    fn stash(&self) -> std::sync::MutexGuard<'_, Stash> {
        self.stash.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Any configured listener's forms serve for an application that is not bound yet.
    async fn application_by_name(&self, system_id: &str) -> Result<Arc<Application>, Unavailable> {
        let Some((config, _)) = self.listeners.first() else {
            return Err(Unavailable("no SMPP listener is configured".to_owned()));
        };
        self.application(system_id, config).await.map_err(unavailable)
    }
}

fn unavailable(error: NotesError) -> Unavailable {
    Unavailable(error.to_string())
}

/// While one lives, a status of an unknown message may be of one being submitted.
struct UnderWay<'a>(&'a Hub);

impl<'a> UnderWay<'a> {
    fn begin(hub: &'a Hub) -> Self {
        hub.stash().under_way += 1;
        Self(hub)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut stash = self.0.stash();
        stash.under_way -= 1;
        if stash.under_way == 0 {
            stash.early.clear();
        }
    }
}

impl ApplicationLink for Smpp {
    fn elsewhere(&self) -> Option<&'static str> {
        (!self.is_here()).then_some(crate::LEASE)
    }

    fn status<'a>(
        &'a self,
        status: &'a SubmissionStatus,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            let (hub, sid) = (&self.hub, status.sid);
            let key = format!("sent/{}", inverted(sid));
            let mut value = hub.shared.notes.get(&key).await.map_err(unavailable)?;
            if value.is_none() {
                let is_stashed = {
                    let mut stash = hub.stash();
                    if stash.early.len() >= STASH_MAX {
                        return Err(Unavailable("too many submissions are under way".into()));
                    }
                    let may_be_ours = stash.under_way > 0;
                    if may_be_ours {
                        stash.early.insert(sid, *status);
                    }
                    may_be_ours
                };
                if !is_stashed {
                    return Ok(());
                }
                // The note may have been written between the look and the stash.
                value = hub.shared.notes.get(&key).await.map_err(unavailable)?;
                if value.is_none() || hub.stash().early.remove(&sid).is_none() {
                    return Ok(());
                }
            }
            let sent = value.and_then(|value| serde_json::from_str::<Sent>(&value).ok());
            let Some(sent) = sent else { return Ok(()) };
            let application = hub.application_by_name(&sent.system_id).await?;
            hub.settle(&application, sid, &sent, status).await
        })
    }

    /// Differs: media of an inbound message are not passed on; SMPP carries text.
    fn deliver<'a>(
        &'a self,
        system_id: &'a str,
        message: &'a InboundMessage,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            let InboundMessage { from, to, body, .. } = message.clone();
            let application = self.hub.application_by_name(system_id).await?;
            application.outbox.push(Parcel::Message { from, to, body }).await
        })
    }
}

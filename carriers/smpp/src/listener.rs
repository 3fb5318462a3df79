//! Applications that bind to us.
//!
//! Notes: `sent/{inverted sid}` until the message has its final status. Bounds: the
//! listener's sessions in all, the account's per name; 10 000 statuses of messages whose
//! submission is just under way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use contracts::{
    ApplicationLink, BindDirectory, BoxFuture, InboundMessage, MessageSubmission, NotesError,
    ReceiptStatus, SubmissionRefusal, SubmissionStatus, SubmittedMessage, Unavailable,
};
use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};
use smpp::long::{self, Leaving, Place};
use smpp::pdu::{self, Mode, Sm};
use smpp::session::Session;
use smpp::status::Status;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::assembly::{Assembly, Said, join};
use crate::config;
use crate::ledger::inverted;
use crate::link::{self, Admission, Side};
use crate::outbox::{End, Outbox, Parcel, refusal};
use crate::{Shared, Smpp};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const LISTEN_RETRY: Duration = Duration::from_secs(5);
const STASH_MAX: usize = 10_000;
/// Rows of one sweep; the next takes the rest.
const SWEEP_MAX: u32 = 5_000;

/// The ports of the platform behind the listeners.
pub(crate) struct Ports {
    pub(crate) submission: Arc<dyn MessageSubmission>,
    pub(crate) directory: Arc<dyn BindDirectory>,
}

/// All listeners together.
pub(crate) struct Hub {
    shared: Arc<Shared>,
    retention: Duration,
    ports: OnceLock<Ports>,
    applications: tokio::sync::Mutex<HashMap<String, Arc<Application>>>,
    stash: Mutex<Stash>,
    pub(crate) listeners: Vec<(Arc<config::Listener>, Option<TlsAcceptor>)>,
    stop: OnceLock<watch::Receiver<bool>>,
}

/// Statuses that came before their submission was noted.
#[derive(Default)]
struct Stash {
    under_way: usize,
    early: HashMap<Sid, SubmissionStatus>,
}

/// Everybody bound under one name.
struct Application {
    system_id: String,
    sessions: AtomicU32,
    outbox: Arc<Outbox>,
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

impl Hub {
    pub(crate) fn new(
        shared: Arc<Shared>,
        retention: Duration,
        listeners: Vec<(Arc<config::Listener>, Option<TlsAcceptor>)>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            retention,
            ports: OnceLock::new(),
            applications: tokio::sync::Mutex::default(),
            stash: Mutex::default(),
            listeners,
            stop: OnceLock::new(),
        })
    }

    pub(crate) fn serve(&self, ports: Ports) {
        assert!(self.ports.set(ports).is_ok(), "the listeners are connected once");
    }

    fn ports(&self) -> &Ports {
        self.ports.get().expect("the binary connects the listeners before they run")
    }

    /// Listens until `stop`, then waits for the sessions to end.
    pub(crate) async fn run(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        {
            // Applications that something came for before.
            let applications = self.applications.lock().await;
            assert!(self.stop.set(stop.clone()).is_ok(), "the carrier runs once");
            for application in applications.values() {
                tokio::spawn(Arc::clone(&application.outbox).run(stop.clone()));
            }
        }
        for (listener, tls) in &self.listeners {
            let hub = Arc::clone(&self);
            tasks.spawn(hub.listen(Arc::clone(listener), tls.clone(), stop.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn listen(
        self: Arc<Self>,
        config: Arc<config::Listener>,
        tls: Option<TlsAcceptor>,
        mut stop: watch::Receiver<bool>,
    ) {
        let permits = Arc::new(Semaphore::new(config.sessions_max as usize));
        let mut sessions = JoinSet::new();
        let Some(listener) = open(&config, &mut stop).await else { return };
        loop {
            while sessions.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = async { stop.wait_for(|stopped| *stopped).await.is_ok() } => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "smpp accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                tracing::warn!(listen = %config.listen, "no smpp session is free");
                continue;
            };
            let (hub, config, tls) = (Arc::clone(&self), Arc::clone(&config), tls.clone());
            let stop = stop.clone();
            sessions.spawn(async move {
                hub.accept(stream, config, tls, stop).await;
                drop(permit);
            });
        }
        while sessions.join_next().await.is_some() {}
    }

    async fn accept(
        self: Arc<Self>,
        stream: TcpStream,
        config: Arc<config::Listener>,
        tls: Option<TlsAcceptor>,
        stop: watch::Receiver<bool>,
    ) {
        // Only latency is lost without it.
        let _ = stream.set_nodelay(true);
        match tls {
            None => self.serve_session(stream, config, stop).await,
            Some(acceptor) => {
                let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
                match handshake.await {
                    Ok(Ok(stream)) => self.serve_session(stream, config, stop).await,
                    Ok(Err(error)) => tracing::info!(%error, "smpp TLS handshake failed"),
                    Err(_) => tracing::info!("smpp TLS handshake took too long"),
                }
            }
        }
    }

    async fn serve_session(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Send,
        config: Arc<config::Listener>,
        mut stop: watch::Receiver<bool>,
    ) {
        let uptime = self.shared.uptime;
        let session = Session::smsc(uptime.now(), config.limits());
        let guest = Arc::new(Guest { hub: self, config, bound: OnceLock::new() });
        let reason = link::run(stream, session, guest, None, uptime, &mut stop).await;
        tracing::info!(%reason, "smpp session of an application ended");
    }

    /// The application of a name that is known to be good.
    async fn application(
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
        if let Some(stop) = self.stop.get() {
            tokio::spawn(Arc::clone(&application.outbox).run(stop.clone()));
        }
        applications.insert(system_id.to_owned(), Arc::clone(&application));
        Ok(application)
    }

    /// Constant time in the password, and one answer for a wrong name and a wrong password.
    async fn authenticate(&self, bind: &pdu::Bind) -> Result<contracts::BindAccount, Status> {
        let found = self.ports().directory.bind_account(&bind.system_id).await;
        let account = found.map_err(|why| {
            tracing::warn!(%why, "the bind directory does not answer");
            Status::SYSTEM_ERROR
        })?;
        let expected = account.as_ref().map_or("", |account| account.password.as_str());
        let [given, expected] = [&bind.password, expected].map(|it| digest(&SHA256, it.as_bytes()));
        let is_right = verify_slices_are_equal(given.as_ref(), expected.as_ref()).is_ok();
        account.filter(|_| is_right).ok_or(Status::INVALID_PASSWORD)
    }

    async fn submit(
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

async fn open(config: &config::Listener, stop: &mut watch::Receiver<bool>) -> Option<TcpListener> {
    while !*stop.borrow() {
        match TcpListener::bind(config.listen).await {
            Ok(listener) => {
                tracing::info!(listen = %config.listen, "smpp listens");
                return Some(listener);
            }
            Err(error) => tracing::error!(listen = %config.listen, %error, "smpp cannot listen"),
        }
        let _ = tokio::time::timeout(LISTEN_RETRY, stop.wait_for(|stopped| *stopped)).await;
    }
    None
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

/// One connection to a listener.
struct Guest {
    hub: Arc<Hub>,
    config: Arc<config::Listener>,
    bound: OnceLock<Bound>,
}

struct Bound {
    application: Arc<Application>,
    account: Sid,
    mode: Mode,
    is_receiving: std::sync::atomic::AtomicBool,
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.application.sessions.fetch_sub(1, Ordering::Relaxed);
        if *self.is_receiving.get_mut() {
            self.application.outbox.receivers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Guest {
    async fn welcome(&self, bind: pdu::Bind) -> Result<Admission, Status> {
        // The name becomes part of keys.
        let is_name = |c: char| c.is_ascii_graphic() && c != '/';
        if bind.system_id.is_empty() || !bind.system_id.chars().all(is_name) {
            return Err(Status::INVALID_SYSTEM_ID);
        }
        let account = self.hub.authenticate(&bind).await?;
        let application = self.hub.application(&bind.system_id, &self.config).await;
        let application = application.map_err(|error| {
            tracing::warn!(%error, "notes fail");
            Status::SYSTEM_ERROR
        })?;
        if application.sessions.fetch_add(1, Ordering::Relaxed) >= account.sessions_max.max(1) {
            application.sessions.fetch_sub(1, Ordering::Relaxed);
            return Err(Status::BIND_FAILED);
        }
        let orders = Arc::clone(&application.outbox.orders);
        let account_sid = account.account;
        let bound = Bound {
            application,
            account: account_sid,
            mode: bind.mode,
            is_receiving: false.into(),
        };
        // A session binds once; a second one would be dropped here, and uncounted.
        let _ = self.bound.set(bound);
        tracing::info!(system_id = bind.system_id, account_sid = %account_sid, "smpp bind");
        let system_id = self.config.system_id.clone();
        Ok(Admission { system_id, rate_per_second: account.rate_per_second, orders })
    }
}

impl Side for Guest {
    fn admit(self: Arc<Self>, bind: pdu::Bind) -> BoxFuture<'static, Result<Admission, Status>> {
        Box::pin(async move { self.welcome(bind).await })
    }

    fn request(self: Arc<Self>, sm: Sm) -> BoxFuture<'static, (Status, String)> {
        Box::pin(async move {
            let Some(bound) = self.bound.get() else {
                return (Status::INVALID_BIND_STATUS, String::new());
            };
            let alphabet = self.config.alphabet.alphabet();
            let submitted = self.hub.submit(&bound.application, bound.account, &sm, alphabet).await;
            match submitted {
                Ok(Ok(id)) => (Status::OK, id),
                Ok(Err(status)) => (status, String::new()),
                Err(error) => {
                    tracing::warn!(%error, "notes fail");
                    (Status::QUEUE_FULL, String::new())
                }
            }
        })
    }

    fn bound(&self, _: Mode) {
        if let Some(bound) = self.bound.get()
            && bound.mode.receives()
            && !bound.is_receiving.swap(true, Ordering::Relaxed)
        {
            bound.application.outbox.receivers.fetch_add(1, Ordering::Relaxed);
            bound.application.outbox.wake();
        }
    }
}

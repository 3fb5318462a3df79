//! A session on its connection: the loop that both sides share.
//!
//! Bounds: 256 KiB wait to be written before reading stops; each request of the peer
//! runs as a task of its own, at most the session's `window_in` of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use contracts::BoxFuture;
use kernel::Timestamp;
use smpp::pdu::{Bind, Body, Mode, Sm};
use smpp::session::{Event, Output, Readiness, Reason, Session};
use smpp::status::Status;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::time::Instant;

const UNWRITTEN_OCTETS_MAX: usize = 256 * 1024;
/// For the last octets, `unbind_resp` among them, to leave.
const FAREWELL: Duration = Duration::from_secs(2);
const ORDERS_MAX: usize = 256;

/// Monotonic time for sessions, which must not jump with the platform's clock.
#[derive(Clone, Copy)]
pub(crate) struct Uptime(Instant);

impl Uptime {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn now(self) -> Timestamp {
        Timestamp::EPOCH + self.0.elapsed()
    }

    fn instant(self, at: Timestamp) -> Instant {
        self.0 + at.since(Timestamp::EPOCH)
    }
}

/// What became of an [`Order`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Answered {
        status: Status,
        message_id: String,
    },
    /// It went out, and the peer may have taken it or not.
    Unknown,
    /// It never went out.
    NotSent,
}

/// A PDU that wants to go out on any connection of a bind.
pub(crate) struct Order {
    body: Body,
    /// Whoever sets it first decides: the connection sends, or the caller gives up.
    is_decided: Arc<AtomicBool>,
    answer: oneshot::Sender<Answer>,
}

/// Orders for the connections of one bind. At most 256 wait; more wait to be put in.
pub(crate) struct Orders {
    sender: mpsc::Sender<Order>,
    receiver: Mutex<mpsc::Receiver<Order>>,
}

impl Orders {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(ORDERS_MAX);
        Self { sender, receiver: Mutex::new(receiver) }
    }

    /// Sends `body` and waits for its answer. Gives up at `deadline` when it has not
    /// gone out by then; once it has, the session's time-out bounds the wait.
    pub(crate) async fn place(&self, body: Body, deadline: Instant) -> Answer {
        let (answer, mut answered) = oneshot::channel();
        let is_decided = Arc::new(AtomicBool::new(false));
        let order = Order { body, is_decided: Arc::clone(&is_decided), answer };
        match tokio::time::timeout_at(deadline, self.sender.send(order)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Answer::NotSent,
        }
        if let Ok(answer) = tokio::time::timeout_at(deadline, &mut answered).await {
            return answer.unwrap_or(Answer::Unknown);
        }
        if !is_decided.swap(true, Ordering::AcqRel) {
            return Answer::NotSent;
        }
        answered.await.unwrap_or(Answer::Unknown)
    }

    async fn next(&self) -> Option<Order> {
        self.receiver.lock().await.recv().await
    }
}

/// What a listener lets a bind do.
pub(crate) struct Admission {
    pub(crate) system_id: String,
    /// 0: no limit.
    pub(crate) rate_per_second: u32,
    /// Where what is for this application waits.
    pub(crate) orders: Arc<Orders>,
}

/// The side's own part.
pub(crate) trait Side: Send + Sync + 'static {
    /// Whether somebody may bind. Only listeners are asked.
    fn admit(self: Arc<Self>, bind: Bind) -> BoxFuture<'static, Result<Admission, Status>>;

    /// Does what the peer asks; the status and message id answer it.
    fn request(self: Arc<Self>, sm: Sm) -> BoxFuture<'static, (Status, String)>;

    fn bound(&self, mode: Mode);
}

enum Done {
    Admitted(u32, Result<Admission, Status>),
    Request(u32, Status, String),
}

struct Link<S: Side> {
    session: Session,
    side: Arc<S>,
    uptime: Uptime,
    orders: Option<Arc<Orders>>,
    /// Orders under way by tag.
    answers: HashMap<u64, oneshot::Sender<Answer>>,
    tag: u64,
    done: mpsc::Sender<Done>,
    unwritten: Vec<u8>,
    closed: Option<Reason>,
}

/// Runs `session` on `stream` until it ends; `orders` is where a client's messages wait.
pub(crate) async fn run<S: Side>(
    stream: impl AsyncRead + AsyncWrite + Send,
    session: Session,
    side: Arc<S>,
    orders: Option<Arc<Orders>>,
    uptime: Uptime,
    stop: &mut watch::Receiver<bool>,
) -> Reason {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (done, mut finished) = mpsc::channel(64);
    let mut link = Link {
        session,
        side,
        uptime,
        orders,
        answers: HashMap::new(),
        tag: 0,
        done,
        unwritten: Vec::new(),
        closed: None,
    };
    let mut buffer = vec![0; 16 * 1024];
    let (mut is_flushed, mut is_stopping) = (true, false);
    loop {
        link.drain();
        if let Some(reason) = link.closed {
            let unwritten = std::mem::take(&mut link.unwritten);
            let farewell = async {
                writer.write_all(&unwritten).await?;
                writer.shutdown().await
            };
            // A peer that is gone needs no farewell.
            let _ = tokio::time::timeout(FAREWELL, farewell).await;
            return reason;
        }
        let now = uptime.now();
        let (may_order, ready_at) = link.readiness(now);
        let wake_at = uptime.instant(link.session.wake_at().unwrap_or(now).min(ready_at));
        let orders = link.orders.clone();
        tokio::select! {
            read = reader.read(&mut buffer), if link.unwritten.len() < UNWRITTEN_OCTETS_MAX => {
                match read {
                    Ok(0) | Err(_) => link.session.disconnected(),
                    Ok(count) => link.session.receive(uptime.now(), &buffer[..count]),
                }
            }
            pushed = push(&mut writer, &link.unwritten),
                if !link.unwritten.is_empty() || !is_flushed =>
            {
                is_flushed = link.unwritten.is_empty();
                match pushed {
                    Ok(count) => drop(link.unwritten.drain(..count)),
                    Err(_) => link.session.disconnected(),
                }
            }
            Some(order) = next_order(orders), if may_order => link.send(order),
            Some(done) = finished.recv() => link.finish(done),
            () = tokio::time::sleep_until(wake_at) => link.session.tick(uptime.now()),
            () = stopped(stop), if !is_stopping => {
                is_stopping = true;
                link.session.unbind(uptime.now());
            }
        }
    }
}

async fn next_order(orders: Option<Arc<Orders>>) -> Option<Order> {
    match orders {
        Some(orders) => orders.next().await,
        None => std::future::pending().await,
    }
}

/// Writes some of `unwritten`; flushes when there is nothing, which TLS needs.
async fn push(writer: &mut (impl AsyncWrite + Unpin), unwritten: &[u8]) -> std::io::Result<usize> {
    if unwritten.is_empty() {
        return writer.flush().await.map(|()| 0);
    }
    match writer.write(unwritten).await? {
        0 => Err(std::io::ErrorKind::WriteZero.into()),
        count => Ok(count),
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone means the end too.
    let _ = stop.wait_for(|stopped| *stopped).await;
}

impl<S: Side> Link<S> {
    /// Whether an order may be taken, and when to look again otherwise.
    fn readiness(&self, now: Timestamp) -> (bool, Timestamp) {
        let far = now + Duration::from_secs(3_600);
        if self.orders.is_none() {
            return (false, far);
        }
        match self.session.readiness(now) {
            Readiness::Now => (true, far),
            Readiness::At(at) => (false, at),
            Readiness::AfterEvent | Readiness::Never => (false, far),
        }
    }

    fn send(&mut self, order: Order) {
        if order.is_decided.swap(true, Ordering::AcqRel) {
            return;
        }
        self.tag += 1;
        if self.session.request(self.uptime.now(), self.tag, order.body) {
            self.answers.insert(self.tag, order.answer);
        } else {
            // The caller may have gone meanwhile.
            let _ = order.answer.send(Answer::NotSent);
        }
    }

    fn finish(&mut self, done: Done) {
        let now = self.uptime.now();
        match done {
            Done::Request(sequence, status, message_id) => {
                self.session.respond(now, sequence, status, &message_id);
            }
            Done::Admitted(sequence, Ok(admission)) => {
                self.session.set_rate_in(admission.rate_per_second);
                self.orders = Some(admission.orders);
                self.session.answer_bind(now, sequence, Ok(&admission.system_id));
            }
            Done::Admitted(sequence, Err(status)) => {
                self.session.answer_bind(now, sequence, Err(status));
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Transmit(octets) => self.unwritten.extend(octets),
                Output::Event(event) => self.on_event(event),
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::BindRequested { sequence, bind } => {
                let (side, done) = (Arc::clone(&self.side), self.done.clone());
                tokio::spawn(async move {
                    let admitted = side.admit(bind).await;
                    // The connection may be gone: then nobody waits.
                    let _ = done.send(Done::Admitted(sequence, admitted)).await;
                });
            }
            Event::Request { sequence, sm } => {
                let (side, done) = (Arc::clone(&self.side), self.done.clone());
                // A task, so that what was begun is finished when the connection is cut.
                tokio::spawn(async move {
                    let (status, message_id) = side.request(sm).await;
                    let _ = done.send(Done::Request(sequence, status, message_id)).await;
                });
            }
            Event::Answered { tag, status, message_id } => {
                self.answer(tag, Answer::Answered { status, message_id });
            }
            Event::Unanswered { tag } => self.answer(tag, Answer::Unknown),
            Event::Bound { mode, .. } => self.side.bound(mode),
            Event::Notice(body) => tracing::debug!(command = body.command(), "smpp notice"),
            Event::Closed(reason) => self.closed = Some(reason),
        }
    }

    fn answer(&mut self, tag: u64, answer: Answer) {
        if let Some(waiting) = self.answers.remove(&tag) {
            // The caller may have gone meanwhile.
            let _ = waiting.send(answer);
        }
    }
}

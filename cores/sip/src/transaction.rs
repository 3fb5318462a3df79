//! The four transactions (RFC 3261 §17, with the states that RFC 6026 added).
//!
//! One table for both sides. A request that comes is told once, however often it is sent; what is
//! answered is sent as often as it takes. The success of an INVITE is repeated here too, until its
//! ACK comes, so that whoever uses this has no timers of his own for it.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use crate::message::{Message, Method, Request, Response};
use crate::reliable::{Due, Reliable};
use crate::uri::Via;

const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);
const T4: Duration = Duration::from_secs(5);
/// How long anything is waited for: an answer, an ACK.
pub const GIVE_UP: Duration = Duration::from_secs(32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Transport {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    pub fn is_reliable(self) -> bool {
        self != Self::Udp
    }

    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }
}

/// Where a message came from or goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    pub transport: Transport,
    pub remote: SocketAddr,
    /// Of connections: which one; 0: whichever there is.
    pub connection: u64,
}

pub type Id = u64;

/// What has happened or is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Send {
        flow: Flow,
        octets: Vec<u8>,
    },
    /// A new request, to be answered.
    Request {
        id: Id,
        flow: Flow,
        request: Request,
    },
    /// The ACK of a success.
    Ack {
        id: Id,
        request: Request,
    },
    /// The caller gives up; the INVITE is to be answered with 487.
    Cancel {
        id: Id,
        request: Request,
    },
    /// The ACK of a success did not come.
    AckMissing {
        id: Id,
    },
    /// A provisional answer that had to be acknowledged was not (RFC 3262 §3).
    PrackMissing {
        id: Id,
    },
    /// An answer to a request of ours.
    Response {
        id: Id,
        flow: Flow,
        response: Response,
    },
    /// No answer came, or nobody can be reached.
    Timeout {
        id: Id,
    },
    /// A CANCEL or ACK of nothing that is known.
    Stray {
        flow: Flow,
        request: Request,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing final was said.
    Trying,
    /// A client heard something provisional.
    Proceeding,
    /// A final answer that is no success of an INVITE.
    Completed,
    /// Its ACK has come.
    Confirmed,
    /// The success of an INVITE.
    Accepted,
}

#[derive(Debug)]
struct Transaction {
    is_client: bool,
    is_invite: bool,
    state: State,
    flow: Flow,
    /// Branch, sent-by and method, as it is found by.
    key: String,
    /// What is sent again: the request, or the last answer.
    last: Vec<u8>,
    /// The number and callee's tag by which a success's ACK is known.
    ack_key: Option<String>,
    request: Request,
    again: Option<(Duration, Duration)>,
    end: Option<Duration>,
    reliable: Option<Box<Reliable>>,
}

/// There are too many transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// All transactions of one end.
#[derive(Debug)]
pub struct Transactions {
    max: usize,
    next: Id,
    all: HashMap<Id, Transaction>,
    keys: HashMap<String, Id>,
    acks: HashMap<String, Id>,
    due: BTreeSet<(Duration, Id)>,
}

fn top(headers: &crate::Headers) -> Option<Via> {
    Via::parse(headers.list("Via").next()?).ok()
}

/// RFC 3261 §17.2.3; without the magic cookie as RFC 2543 had it.
fn server_key(request: &Request, method: &Method) -> Option<String> {
    let via = top(&request.headers)?;
    let sent_by = format!("{}:{:?}", via.host, via.port);
    let branch = via.param("branch").unwrap_or_default();
    if branch.len() > 7 && branch.starts_with("z9hG4bK") {
        return Some(format!("s|{branch}|{sent_by}|{method}"));
    }
    let headers = &request.headers;
    let number = headers.cseq().map_or(0, |(number, _)| number);
    let from = headers.tag("From").unwrap_or_default();
    Some(format!("s|{}|{number}|{from}|{sent_by}|{method}", headers.call_id()))
}

fn ack_key(call_id: &str, number: u32, tag: &str) -> String {
    format!("{number}|{tag}|{call_id}")
}

impl Transactions {
    pub fn new(max: usize) -> Self {
        Self {
            max,
            next: 1,
            all: HashMap::new(),
            keys: HashMap::new(),
            acks: HashMap::new(),
            due: BTreeSet::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// When [`Transactions::due`] is to be called next.
    pub fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    fn schedule(&mut self, id: Id) {
        let Some(transaction) = self.all.get(&id) else { return };
        let again = transaction.again.map(|(at, _)| at);
        let reliable = transaction.reliable.as_ref().and_then(|reliable| reliable.next_due());
        if let Some(at) = [again, transaction.end, reliable].into_iter().flatten().min() {
            self.due.insert((at, id));
        }
    }

    fn insert(&mut self, transaction: Transaction) -> Id {
        let id = self.next;
        self.next += 1;
        self.keys.insert(transaction.key.clone(), id);
        self.all.insert(id, transaction);
        self.schedule(id);
        id
    }

    fn remove(&mut self, id: Id) {
        let Some(gone) = self.all.remove(&id) else { return };
        if self.keys.get(&gone.key) == Some(&id) {
            self.keys.remove(&gone.key);
        }
        if let Some(key) = gone.ack_key {
            self.acks.remove(&key);
        }
    }

    /// Takes a message that was read and checked.
    pub fn receive(&mut self, flow: Flow, message: Message, now: Duration) -> Vec<Event> {
        match message {
            Message::Request(request) => self.on_request(flow, request, now),
            Message::Response(response) => self.on_response(flow, response, now),
        }
    }

    fn on_request(&mut self, flow: Flow, request: Request, now: Duration) -> Vec<Event> {
        match request.method {
            Method::Ack => return self.on_ack(flow, request, now),
            Method::Cancel => return self.on_cancel(flow, request, now),
            _ => {}
        }
        let Some(key) = server_key(&request, &request.method) else { return Vec::new() };
        if let Some(known) = self.keys.get(&key).and_then(|id| self.all.get(id)) {
            let octets = known.last.clone();
            let is_silent = octets.is_empty() || known.state == State::Confirmed;
            return if is_silent { Vec::new() } else { vec![Event::Send { flow, octets }] };
        }
        if self.all.len() >= self.max {
            // Said without remembering it.
            let mut busy = request.response(503, "", Some("busy"));
            busy.headers.add("Retry-After", "5");
            return vec![Event::Send { flow, octets: busy.write() }];
        }
        let is_invite = request.method == Method::Invite;
        let mut events = Vec::new();
        let mut last = Vec::new();
        if is_invite {
            last = request.response(100, "", None).write();
            events.push(Event::Send { flow, octets: last.clone() });
        }
        let id = self.insert(Transaction {
            is_client: false,
            is_invite,
            state: State::Trying,
            flow,
            key,
            last,
            ack_key: None,
            request: request.clone(),
            again: None,
            // Nobody forgets to answer; should somebody, it ends some time.
            end: Some(now + if is_invite { GIVE_UP * 20 } else { GIVE_UP * 2 }),
            reliable: None,
        });
        events.push(Event::Request { id, flow, request });
        events
    }

    fn on_ack(&mut self, flow: Flow, request: Request, now: Duration) -> Vec<Event> {
        let key = server_key(&request, &Method::Invite).unwrap_or_default();
        if let Some(id) = self.keys.get(&key).copied()
            && let Some(known) = self.all.get_mut(&id)
            && known.state == State::Completed
        {
            known.state = State::Confirmed;
            known.again = None;
            let rest = if known.flow.transport.is_reliable() { Duration::ZERO } else { T4 };
            known.end = Some(now + rest);
            self.schedule(id);
            return Vec::new();
        }
        let headers = &request.headers;
        let number = headers.cseq().map_or(0, |(number, _)| number);
        let key = ack_key(headers.call_id(), number, &headers.tag("To").unwrap_or_default());
        let Some(id) = self.acks.remove(&key) else {
            return vec![Event::Stray { flow, request }];
        };
        if let Some(known) = self.all.get_mut(&id) {
            known.again = None;
            known.ack_key = None;
            known.end = Some(now + GIVE_UP);
            self.schedule(id);
        }
        vec![Event::Ack { id, request }]
    }

    fn on_cancel(&mut self, flow: Flow, request: Request, now: Duration) -> Vec<Event> {
        let key = server_key(&request, &Method::Invite).unwrap_or_default();
        let known = self.keys.get(&key).copied();
        let code = if known.is_some() { 200 } else { 481 };
        let octets = request.response(code, "", Some("cancel")).write();
        let mut events = vec![Event::Send { flow, octets }];
        if let Some(id) = known
            && self.all.get(&id).is_some_and(|t| t.state == State::Trying)
        {
            events.push(Event::Cancel { id, request });
        }
        let _ = now;
        events
    }

    /// The request of a transaction that is still there.
    pub fn request(&self, id: Id) -> Option<&Request> {
        self.all.get(&id).map(|transaction| &transaction.request)
    }

    pub fn flow(&self, id: Id) -> Option<Flow> {
        self.all.get(&id).map(|transaction| transaction.flow)
    }

    /// Answers a request. A final answer ends the matter: what comes after it is not sent.
    pub fn respond(&mut self, id: Id, response: &Response, now: Duration) -> Vec<Event> {
        let Some(known) = self.all.get_mut(&id) else { return Vec::new() };
        if known.is_client || known.state != State::Trying {
            return Vec::new();
        }
        if let Some(reliable) = known.reliable.as_mut().filter(|_| response.code >= 200) {
            if response.code < 300 && reliable.holds(response) {
                return Vec::new();
            }
            reliable.rest();
        }
        known.last = response.write();
        let event = Event::Send { flow: known.flow, octets: known.last.clone() };
        let reliable = known.flow.transport.is_reliable();
        match response.code {
            100..200 => return vec![event],
            200..300 if known.is_invite => {
                known.state = State::Accepted;
                known.again = Some((now + T1, T1));
                known.end = Some(now + GIVE_UP);
                let number = known.request.headers.cseq().map_or(0, |(number, _)| number);
                let tag = response.headers.tag("To").unwrap_or_default();
                let key = ack_key(known.request.headers.call_id(), number, &tag);
                known.ack_key = Some(key.clone());
                self.acks.insert(key, id);
            }
            _ if known.is_invite => {
                known.state = State::Completed;
                known.again = (!reliable).then_some((now + T1, T1));
                known.end = Some(now + GIVE_UP);
            }
            _ => {
                known.state = State::Completed;
                known.end = Some(now + if reliable { Duration::ZERO } else { GIVE_UP });
            }
        }
        self.schedule(id);
        vec![event]
    }

    /// Answers an INVITE provisionally, again and again until that is acknowledged; one such answer after
    /// the other. `seed` is any number, from which they are counted.
    pub fn respond_reliably(
        &mut self,
        id: Id,
        response: Response,
        seed: u32,
        now: Duration,
    ) -> Vec<Event> {
        let fits = |t: &&mut Transaction| !t.is_client && t.is_invite && t.state == State::Trying;
        let Some(known) = self.all.get_mut(&id).filter(fits) else { return Vec::new() };
        let reliable = known.reliable.get_or_insert_with(|| Box::new(Reliable::new(seed)));
        let Some(octets) = reliable.put(response, now) else { return Vec::new() };
        known.last.clone_from(&octets);
        let event = Event::Send { flow: known.flow, octets };
        self.schedule(id);
        vec![event]
    }

    /// Takes the PRACK of an answer to this INVITE: what can be sent now. `None` when nothing waits for
    /// it: 481.
    pub fn acknowledged(&mut self, id: Id, prack: &Request, now: Duration) -> Option<Vec<Event>> {
        let known = self.all.get_mut(&id)?;
        let (cseq, _) = known.request.headers.cseq()?;
        let reliable = known.reliable.as_mut()?;
        if !reliable.take(prack, cseq) {
            return None;
        }
        if let Some(success) = reliable.released() {
            return Some(self.respond(id, &success, now));
        }
        let next = reliable.next();
        Some(next.map(|next| self.respond_reliably(id, next, 0, now)).unwrap_or_default())
    }

    /// Sends a request of ours, whose top Via has a branch of its own.
    ///
    /// # Errors
    /// When there are too many transactions.
    pub fn send(
        &mut self,
        flow: Flow,
        request: Request,
        now: Duration,
    ) -> Result<(Id, Vec<Event>), Full> {
        if self.all.len() >= self.max {
            return Err(Full);
        }
        let is_invite = request.method == Method::Invite;
        let octets = request.write();
        let branch = top(&request.headers).and_then(|via| via.param("branch").map(str::to_owned));
        let key = format!("c|{}|{}", branch.unwrap_or_default(), request.method);
        let reliable = flow.transport.is_reliable();
        let id = self.insert(Transaction {
            is_client: true,
            is_invite,
            state: State::Trying,
            flow,
            key,
            last: octets.clone(),
            ack_key: None,
            request,
            again: (!reliable).then_some((now + T1, T1)),
            end: Some(now + GIVE_UP),
            reliable: None,
        });
        Ok((id, vec![Event::Send { flow, octets }]))
    }

    fn on_response(&mut self, flow: Flow, response: Response, now: Duration) -> Vec<Event> {
        // Responses whose top Via is not ours are nobody's here.
        let Some(branch) =
            top(&response.headers).and_then(|v| v.param("branch").map(str::to_owned))
        else {
            return Vec::new();
        };
        let Some((_, method)) = response.headers.cseq() else { return Vec::new() };
        let key = format!("c|{branch}|{method}");
        let Some(id) = self.keys.get(&key).copied() else { return Vec::new() };
        let Some(known) = self.all.get_mut(&id) else { return Vec::new() };
        let mut events = Vec::new();
        let reliable = known.flow.transport.is_reliable();
        match (known.state, response.code) {
            (State::Trying | State::Proceeding, 100..200) => {
                known.state = State::Proceeding;
                if known.is_invite {
                    known.again = None;
                    // It rings as long as whoever called wants.
                    known.end = Some(now + GIVE_UP * 20);
                }
                events.push(Event::Response { id, flow, response });
            }
            (State::Trying | State::Proceeding | State::Accepted, 200..300) if known.is_invite => {
                known.state = State::Accepted;
                known.again = None;
                known.end = Some(now + GIVE_UP);
                events.push(Event::Response { id, flow, response });
            }
            (State::Trying | State::Proceeding, _) => {
                known.state = State::Completed;
                known.again = None;
                let rest = match (reliable, known.is_invite) {
                    (true, _) => Duration::ZERO,
                    (false, true) => GIVE_UP,
                    (false, false) => T4,
                };
                known.end = Some(now + rest);
                if known.is_invite {
                    known.last = ack_of(&known.request, &response).write();
                    let octets = known.last.clone();
                    events.push(Event::Send { flow: known.flow, octets });
                }
                events.push(Event::Response { id, flow, response });
            }
            (State::Completed, 300..) if known.is_invite => {
                events.push(Event::Send { flow: known.flow, octets: known.last.clone() });
            }
            _ => {}
        }
        self.schedule(id);
        events
    }

    /// The CANCEL of an INVITE of ours, once something provisional has been heard; it is sent with
    /// [`Transactions::send`].
    pub fn cancel(&self, id: Id) -> Option<(Flow, Request)> {
        let known = self.all.get(&id).filter(|t| t.is_invite && t.state == State::Proceeding)?;
        let mut cancel = Request::new(Method::Cancel, known.request.uri.clone());
        let headers = &known.request.headers;
        cancel.headers.add("Via", headers.list("Via").next()?);
        cancel.headers.add("Max-Forwards", "70");
        for name in ["From", "To", "Call-ID", "Route"] {
            for value in headers.all(name) {
                cancel.headers.add(name, value);
            }
        }
        cancel.headers.add("CSeq", format!("{} CANCEL", headers.cseq()?.0));
        Some((known.flow, cancel))
    }

    /// A connection is gone, or could not be made: what waits for an answer by it gets none.
    pub fn lost(&mut self, flow: Flow) -> Vec<Event> {
        let hit = |t: &Transaction| {
            t.is_client
                && matches!(t.state, State::Trying)
                && t.flow.transport == flow.transport
                && t.flow.remote == flow.remote
        };
        let ids: Vec<Id> = self.all.iter().filter(|(_, t)| hit(t)).map(|(id, _)| *id).collect();
        ids.into_iter()
            .map(|id| {
                self.remove(id);
                Event::Timeout { id }
            })
            .collect()
    }

    /// What is due by now.
    pub fn due(&mut self, now: Duration) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some((at, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, id));
            let Some(known) = self.all.get_mut(&id) else { continue };
            if known.end.is_some_and(|end| end <= now) {
                let waits = match (known.is_client, known.state) {
                    (true, State::Trying | State::Proceeding) => Some(Event::Timeout { id }),
                    (false, State::Accepted) if known.ack_key.is_some() => {
                        Some(Event::AckMissing { id })
                    }
                    _ => None,
                };
                events.extend(waits);
                self.remove(id);
                continue;
            }
            match known.reliable.as_mut().map_or(Due::Nothing, |reliable| reliable.due(now)) {
                Due::Nothing => {}
                Due::Send(octets) => events.push(Event::Send { flow: known.flow, octets }),
                Due::Missing => events.push(Event::PrackMissing { id }),
            }
            if let Some((next, interval)) = known.again.filter(|(next, _)| *next <= now) {
                events.push(Event::Send { flow: known.flow, octets: known.last.clone() });
                // An INVITE is repeated ever more rarely, everything else every 4 s at last.
                let doubled = interval * 2;
                let is_invite_request = known.is_client && known.is_invite;
                let interval = if is_invite_request { doubled } else { doubled.min(T2) };
                known.again = Some((next.max(now) + interval, interval));
            }
            self.schedule(id);
        }
        events
    }
}

/// The ACK of a failure is of the INVITE's transaction (§17.1.1.3).
fn ack_of(invite: &Request, response: &Response) -> Request {
    let mut ack = Request::new(Method::Ack, invite.uri.clone());
    let headers = &invite.headers;
    ack.headers.add("Via", headers.list("Via").next().unwrap_or_default());
    ack.headers.add("Max-Forwards", "70");
    ack.headers.add("From", headers.get("From").unwrap_or_default());
    ack.headers.add("To", response.headers.get("To").unwrap_or_default());
    ack.headers.add("Call-ID", headers.call_id());
    ack.headers.add("CSeq", format!("{} ACK", headers.cseq().map_or(1, |(number, _)| number)));
    for route in headers.all("Route") {
        ack.headers.add("Route", route);
    }
    ack
}

#[cfg(test)]
#[path = "tests/transactions.rs"]
mod tests;

//! One session of either side, without its socket (SMPP 3.4 §2.2, §2.7, §7.2).
//!
//! ```text
//!          esme(): bind_* out          resp 0            unbind()           drained
//! (ESME)  ─────────────────▶ Binding ─────────▶ Bound ───────────▶ Draining ───────▶ Unbinding
//!          smsc()          answer_bind(Ok)        │ unbind in           │ response time-out
//! (SMSC)  ─────────▶ Open ────────────────▶ Bound ┘ silence, size       ▼ unbind_resp
//!            └ bind time-out, refusal ──────────▶ Closed ◀──────────────┘
//! ```
//!
//! Call a method for what happened, then drain [`Session::poll`] to `None` and wait for
//! more, until [`Session::wake_at`] at the latest.
//!
//! Bounds: `window_out` requests of ours are unanswered at most; the peer's are refused
//! with ESME_RTHROTTLED beyond `window_in`; a PDU has `pdu_octets_max` octets at most.

mod receive;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kernel::Timestamp;

use crate::pace::{Backoff, Pace};
use crate::pdu::{self, Bind, Body, Mode, Pdu, Sm};
use crate::status::Status;

/// This standard.
pub const INTERFACE_VERSION: u8 = 0x34;
const SEQUENCE_MAX: u32 = 0x7FFF_FFFF;

/// What a session allows and how long it waits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests of ours without an answer, 1 or more.
    pub window_out: usize,
    /// Requests of the peer that we have not answered, 1 or more.
    pub window_in: usize,
    /// Messages we send per second; 0 is no limit.
    pub rate_out: u32,
    /// Messages we take per second; 0 is no limit. More are refused with ESME_RTHROTTLED.
    pub rate_in: u32,
    /// After this a request counts as unanswered, and an `enquire_link` as the end.
    pub response_timeout: Duration,
    /// Silence of the peer before it is asked with `enquire_link`.
    pub enquire_after: Duration,
    /// Time for the bind to succeed.
    pub bind_timeout: Duration,
    /// Pause after ESME_RTHROTTLED or ESME_RMSGQFUL, doubled up to the second.
    pub patience: (Duration, Duration),
    /// Octets of the largest PDU.
    pub pdu_octets_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window_out: 10,
            window_in: 100,
            rate_out: 0,
            rate_in: 0,
            response_timeout: Duration::from_secs(10),
            enquire_after: Duration::from_secs(30),
            bind_timeout: Duration::from_secs(10),
            patience: (Duration::from_millis(500), Duration::from_secs(30)),
            pdu_octets_max: 65_536 + 1_024,
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("unbound")]
    Unbound,
    #[error("the peer unbound")]
    PeerUnbound,
    #[error("the bind was refused: {0}")]
    BindRefused(Status),
    #[error("no bind in time")]
    NoBind,
    #[error("the peer does not answer enquire_link")]
    Silent,
    #[error("a PDU of {0} octets is outside 16 to the allowed size")]
    Size(usize),
    #[error("the connection ended")]
    Disconnected,
}

/// What the shell must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// SMSC: decide, then [`Session::answer_bind`].
    BindRequested {
        sequence: u32,
        bind: Bind,
    },
    Bound {
        mode: Mode,
        system_id: String,
    },
    /// `submit_sm`, `deliver_sm` or `data_sm`: do it, then [`Session::respond`].
    Request {
        sequence: u32,
        sm: Sm,
    },
    /// The answer to [`Session::request`].
    Answered {
        tag: u64,
        status: Status,
        message_id: String,
    },
    /// No answer in time, or the session ended: the peer may have taken it or not.
    Unanswered {
        tag: u64,
    },
    /// `alert_notification` or `outbind`, which want no answer.
    Notice(Body),
    /// The last event. Close the connection once everything is transmitted.
    Closed(Reason),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Transmit(Vec<u8>),
    Event(Event),
}

/// When a request may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    Now,
    /// Throttled or paced until then.
    At(Timestamp),
    /// The window is full, or the session is not bound (yet).
    AfterEvent,
    /// The bind does not allow it, or the session ends.
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Esme,
    Smsc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// SMSC: nobody yet. The bool: a bind waits for its answer.
    Open(bool),
    Binding,
    Bound,
    /// No new requests; unbind when everything is answered, or then.
    Draining(Timestamp),
    Unbinding(Timestamp),
    Closed,
}

struct Outstanding {
    tag: u64,
    command: u32,
    sent_at: Timestamp,
}

/// See the module.
pub struct Session {
    role: Role,
    mode: Mode,
    limits: Limits,
    state: State,
    opened_at: Timestamp,
    heard_at: Timestamp,
    /// When the last unanswered `enquire_link` went.
    enquired_at: Option<Timestamp>,
    sequence: u32,
    outstanding: BTreeMap<u32, Outstanding>,
    /// Sequence numbers in the order of their deadlines; answered ones are left in.
    deadlines: VecDeque<(Timestamp, u32)>,
    /// Requests of the peer that wait for us: sequence and command.
    to_answer: BTreeMap<u32, u32>,
    patience: Backoff,
    /// The end of the last pause the peer asked for.
    held_until: Option<Timestamp>,
    pace_out: Pace,
    pace_in: Pace,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    events: VecDeque<Event>,
}

impl Session {
    /// A session that binds out; the `bind_*` is the first thing to transmit.
    pub fn esme(now: Timestamp, bind: Bind, limits: Limits) -> Self {
        let mut session = Self::new(now, Role::Esme, bind.mode, limits);
        session.state = State::Binding;
        let sequence = session.next_sequence();
        session.send(sequence, Status::OK, Body::Bind(bind));
        session
    }

    /// A session that waits to be bound to.
    pub fn smsc(now: Timestamp, limits: Limits) -> Self {
        Self::new(now, Role::Smsc, Mode::Transceiver, limits)
    }

    fn new(now: Timestamp, role: Role, mode: Mode, limits: Limits) -> Self {
        Self {
            role,
            mode,
            limits,
            state: State::Open(false),
            opened_at: now,
            heard_at: now,
            enquired_at: None,
            sequence: 0,
            outstanding: BTreeMap::new(),
            deadlines: VecDeque::new(),
            to_answer: BTreeMap::new(),
            patience: Backoff::new(limits.patience.0, limits.patience.1),
            held_until: None,
            pace_out: Pace::new(limits.rate_out),
            pace_in: Pace::new(limits.rate_in),
            inbox: Vec::new(),
            outbox: Vec::new(),
            events: VecDeque::new(),
        }
    }

    /// The next thing to do. After `Closed` there is nothing more.
    pub fn poll(&mut self) -> Option<Output> {
        if !self.outbox.is_empty() {
            return Some(Output::Transmit(std::mem::take(&mut self.outbox)));
        }
        self.events.pop_front().map(Output::Event)
    }

    /// Call [`Session::tick`] then, or when something else happens before.
    pub fn wake_at(&self) -> Option<Timestamp> {
        let liveness = match self.enquired_at {
            Some(at) => at + self.limits.response_timeout,
            None => self.heard_at + self.limits.enquire_after,
        };
        let own = match self.state {
            State::Closed => return None,
            State::Open(_) | State::Binding => self.opened_at + self.limits.bind_timeout,
            State::Bound => liveness,
            State::Draining(end) | State::Unbinding(end) => liveness.min(end),
        };
        Some(self.deadlines.front().map_or(own, |(deadline, _)| own.min(*deadline)))
    }

    /// Whether a message may be sent.
    pub fn readiness(&self, now: Timestamp) -> Readiness {
        let allowed = match self.role {
            Role::Esme => self.mode.submits(),
            Role::Smsc => self.mode.receives(),
        };
        match self.state {
            State::Open(_) | State::Binding => Readiness::AfterEvent,
            State::Bound if !allowed => Readiness::Never,
            State::Bound if self.outstanding.len() >= self.limits.window_out.max(1) => {
                Readiness::AfterEvent
            }
            State::Bound => {
                let ready_at = self.pace_out.ready_at(now).max(self.held_until.unwrap_or(now));
                if ready_at > now { Readiness::At(ready_at) } else { Readiness::Now }
            }
            State::Draining(_) | State::Unbinding(_) | State::Closed => Readiness::Never,
        }
    }

    /// Sends `submit_sm`, `deliver_sm` or `data_sm`. Exactly one `Answered` or
    /// `Unanswered` with this tag follows. `false`, and nothing is sent, unless
    /// [`readiness`](Self::readiness) is `Now`.
    pub fn request(&mut self, now: Timestamp, tag: u64, body: Body) -> bool {
        if self.readiness(now) != Readiness::Now || !self.pace_out.take(now) {
            return false;
        }
        let sequence = self.next_sequence();
        let command = body.command();
        self.outstanding.insert(sequence, Outstanding { tag, command, sent_at: now });
        self.deadlines.push_back((now + self.limits.response_timeout, sequence));
        self.send(sequence, Status::OK, body);
        true
    }

    /// Answers a [`Event::Request`]; `message_id` is for `submit_sm` and `data_sm`.
    pub fn respond(&mut self, now: Timestamp, sequence: u32, status: Status, message_id: &str) {
        if self.state == State::Closed {
            return;
        }
        if let Some(command) = self.to_answer.remove(&sequence) {
            self.send(sequence, status, receive::answer_to(command, message_id));
        }
        self.unbind_when_drained(now);
    }

    /// Answers [`Event::BindRequested`]: with our name, or a status other than 0, which
    /// ends the session.
    pub fn answer_bind(&mut self, now: Timestamp, sequence: u32, answer: Result<&str, Status>) {
        if self.state != State::Open(true) {
            return;
        }
        let (status, system_id) = match answer {
            Ok(system_id) => (Status::OK, system_id.to_owned()),
            Err(status) => (status, String::new()),
        };
        let interface_version = status.is_ok().then_some(INTERFACE_VERSION);
        let mode = self.mode;
        self.send(sequence, status, Body::BindResp { mode, system_id, interface_version });
        if status.is_ok() {
            self.state = State::Bound;
            self.heard_at = now;
            self.events.push_back(Event::Bound { mode, system_id: String::new() });
        } else {
            self.close(Reason::BindRefused(status));
        }
    }

    /// Messages taken per second from now on; 0 is no limit.
    pub fn set_rate_in(&mut self, per_second: u32) {
        self.pace_in = Pace::new(per_second);
    }

    /// Ends the session in order: no new requests, `unbind` once both sides have their
    /// answers or the response time-out is over.
    pub fn unbind(&mut self, now: Timestamp) {
        match self.state {
            State::Bound => {
                self.state = State::Draining(now + self.limits.response_timeout);
                self.unbind_when_drained(now);
            }
            State::Open(_) | State::Binding => self.close(Reason::Unbound),
            State::Draining(_) | State::Unbinding(_) | State::Closed => {}
        }
    }

    /// The connection is gone.
    pub fn disconnected(&mut self) {
        self.close(Reason::Disconnected);
    }

    /// Lets time pass.
    pub fn tick(&mut self, now: Timestamp) {
        self.expire_requests(now);
        match self.state {
            State::Open(_) | State::Binding => {
                if now.since(self.opened_at) >= self.limits.bind_timeout {
                    self.close(Reason::NoBind);
                }
            }
            State::Draining(end) if now >= end => self.send_unbind(now),
            State::Unbinding(end) if now >= end => self.close(Reason::Unbound),
            State::Bound | State::Draining(_) | State::Unbinding(_) => self.check_liveness(now),
            State::Closed => {}
        }
    }

    fn expire_requests(&mut self, now: Timestamp) {
        while let Some((deadline, sequence)) = self.deadlines.front().copied() {
            let is_answered = !self.outstanding.contains_key(&sequence);
            if !is_answered && deadline > now {
                break;
            }
            self.deadlines.pop_front();
            if let Some(lost) = self.outstanding.remove(&sequence) {
                self.events.push_back(Event::Unanswered { tag: lost.tag });
            }
        }
        self.unbind_when_drained(now);
    }

    fn check_liveness(&mut self, now: Timestamp) {
        match self.enquired_at {
            Some(at) if now.since(at) >= self.limits.response_timeout => self.close(Reason::Silent),
            None if now.since(self.heard_at) >= self.limits.enquire_after => {
                self.enquired_at = Some(now);
                let sequence = self.next_sequence();
                self.send(sequence, Status::OK, Body::EnquireLink);
            }
            _ => {}
        }
    }

    fn unbind_when_drained(&mut self, now: Timestamp) {
        let is_drained = self.outstanding.is_empty() && self.to_answer.is_empty();
        if matches!(self.state, State::Draining(_)) && is_drained {
            self.send_unbind(now);
        }
    }

    fn send_unbind(&mut self, now: Timestamp) {
        self.state = State::Unbinding(now + self.limits.response_timeout);
        let sequence = self.next_sequence();
        self.send(sequence, Status::OK, Body::Unbind);
    }

    fn close(&mut self, reason: Reason) {
        if self.state == State::Closed {
            return;
        }
        self.state = State::Closed;
        self.inbox = Vec::new();
        self.deadlines.clear();
        self.to_answer.clear();
        for (_, lost) in std::mem::take(&mut self.outstanding) {
            self.events.push_back(Event::Unanswered { tag: lost.tag });
        }
        self.events.push_back(Event::Closed(reason));
    }

    fn next_sequence(&mut self) -> u32 {
        loop {
            self.sequence = if self.sequence >= SEQUENCE_MAX { 1 } else { self.sequence + 1 };
            // At most `window_out` numbers are taken.
            if !self.outstanding.contains_key(&self.sequence) {
                return self.sequence;
            }
        }
    }

    fn send(&mut self, sequence: u32, status: Status, body: Body) {
        pdu::write(&Pdu { status, sequence, body }, &mut self.outbox);
    }
}

#[cfg(test)]
#[path = "tests/session.rs"]
mod tests;

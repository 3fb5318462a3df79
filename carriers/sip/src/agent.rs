//! All signalling, one thing after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contracts::{Ending, LegEvent, LegReport, Order, Signal};
use kernel::Sid;
use sdp::{Agreed, Crypto, Direction, Local, Suite};
use sip::check::{self, Fault};
use sip::message::{Message, ReadError, Request, Response};
use sip::transaction::{Event, Flow, Id, Transactions, Transport};
use sip::{Method, NameAddr, Uri, Via};
use tokio::sync::{mpsc, watch};

use crate::Sip;
use crate::call::{Call, Stage};
use crate::health::{self, Peer};
use crate::input::{Asked, Input};
use crate::replaces::Ended;
use crate::reports::{Deed, Reports};
use crate::siprec::Recorder;
use crate::trunks::Registrations;
use crate::wires::{Received, Wires};

/// How often calls are looked after.
const LOOK: Duration = Duration::from_secs(1);
/// Transactions for each call that may be.
const TRANSACTIONS_PER_CALL: usize = 4;

/// The agent.
pub(crate) struct Agent {
    pub sip: Arc<Sip>,
    pub wires: Arc<Wires>,
    pub transactions: Transactions,
    pub calls: HashMap<Sid, Call>,
    /// Calls by our tag.
    pub tags: HashMap<String, Sid>,
    /// Calls by the INVITE that brought them.
    pub invites: HashMap<Id, Sid>,
    pub asked: HashMap<Id, Asked>,
    /// INVITEs that wait to be let in, with whether their caller has given up.
    pub waiting: HashMap<Id, bool>,
    pub ended: Ended,
    pub reports: Reports,
    pub registrations: Registrations,
    pub peers: Vec<Peer>,
    pub recorders: HashMap<Sid, Recorder>,
    /// Recorders by our tag.
    pub recorder_tags: HashMap<String, Sid>,
}

pub(crate) fn token() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// A key of ours.
pub(crate) fn new_key(tag: u32, suite: Suite) -> Crypto {
    let mut key = [0; 30];
    let (halves, rest) = key.as_chunks_mut::<8>();
    for half in halves {
        *half = rand::random();
    }
    rest.copy_from_slice(&rand::random::<[u8; 6]>());
    Crypto { tag, suite, key }
}

impl Agent {
    pub(crate) fn new(sip: Arc<Sip>, wires: Arc<Wires>) -> Self {
        let ports = sip.ports();
        let reports = Reports::start(&ports.sink, &sip.parts.notes);
        let transactions = Transactions::new(sip.config.calls_max * TRANSACTIONS_PER_CALL + 100);
        Self {
            registrations: Registrations::new(&sip.config),
            peers: health::peers(&sip.config),
            recorders: HashMap::new(),
            recorder_tags: HashMap::new(),
            sip,
            wires,
            transactions,
            calls: HashMap::new(),
            tags: HashMap::new(),
            invites: HashMap::new(),
            asked: HashMap::new(),
            waiting: HashMap::new(),
            ended: Ended::default(),
            reports,
        }
    }

    pub(crate) async fn run(
        mut self,
        mut queue: mpsc::Receiver<Input>,
        mut stop: watch::Receiver<bool>,
    ) {
        self.end_old_calls().await;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = self.now();
            let wait = self.transactions.next_due().map_or(LOOK, |due| due.saturating_sub(now));
            tokio::select! {
                _ = stop.changed() => break,
                input = queue.recv() => match input {
                    Some(input) => self.take(input).await,
                    None => break,
                },
                () = tokio::time::sleep(wait) => {}
                _ = look.tick() => self.look_after().await,
            }
            let events = self.transactions.due(self.now());
            self.on_events(events).await;
        }
        self.part().await;
    }

    /// Whoever is in a call is told that it is over. Voice is told at the next start, by the notes.
    async fn part(&mut self) {
        const REASON: &str = "Q.850;cause=41;text=\"Temporary failure\"";
        let all: Vec<_> =
            self.calls.values().map(|call| (call.leg, call.stage, call.invite)).collect();
        for (leg, stage, invite) in all {
            match (stage, invite) {
                (Stage::Ringing, Some(id)) => self.refuse(id, &Fault::new(503, "")).await,
                (Stage::Ringing, None) => self.cancel_all(leg, None, REASON).await,
                _ => self.bye(leg, REASON).await,
            }
        }
        for siprec in self.recorders.keys().copied().collect::<Vec<_>>() {
            self.bye_recorder(siprec, REASON).await;
        }
    }

    pub(crate) fn now(&self) -> Duration {
        self.sip.elapsed()
    }

    async fn take(&mut self, input: Input) {
        match input {
            Input::Message(received) => self.receive(received).await,
            Input::Lost(flow) => {
                let events = self.transactions.lost(flow);
                self.on_events(events).await;
            }
            Input::Place { call, done } => {
                // Nobody waits any more when the asking job was stopped.
                let _ = done.send(self.place(*call).await);
            }
            Input::Order { leg, order, done } => {
                self.obey(leg, &order).await;
                let _ = done.send(Ok(()));
            }
            Input::Admitted { id, admission } => self.admitted(id, *admission).await,
            Input::Planned { leg, plan } => self.planned(leg, *plan).await,
            Input::Found { trunk, target } => self.register_at(trunk, *target).await,
            Input::Located { peer, target } => self.ask_peer(peer, target.map(|it| *it)).await,
            Input::Redirected { leg, targets, code } => self.redirected(leg, targets, code).await,
            Input::Siprec { account, leg, setup, done } => {
                self.start_siprec(account, leg, *setup).await;
                let _ = done.send(Ok(()));
            }
            Input::SiprecFound { siprec, target } => {
                self.siprec_found(siprec, target.map(|it| *it)).await;
            }
            Input::StopSiprec { siprec } => self.stop_siprec(siprec).await,
            Input::Respond { id, response } => self.respond(id, &response).await,
        }
    }

    /// One message of the network.
    async fn receive(&mut self, received: Received) {
        let Received { mut flow, message } = received;
        let message = match message {
            Ok(message) => message,
            Err(ReadError::Refuse(mut request, code, why)) => {
                let back = answer_to(&mut request, flow);
                let response = request.response(code, why, Some(&token()));
                return self.wires.send(back, response.write());
            }
            Err(ReadError::Drop(_)) => return,
        };
        let message = match message {
            Message::Request(mut request) => {
                flow = answer_to(&mut request, flow);
                if let Err(fault) = check::check(&request) {
                    if request.method != Method::Ack {
                        let response = fault.response(&request, &token());
                        self.wires.send(flow, response.write());
                    }
                    return;
                }
                Message::Request(request)
            }
            response => response,
        };
        let events = self.transactions.receive(flow, message, self.now());
        self.on_events(events).await;
    }

    pub(crate) async fn on_events(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Send { flow, octets } => self.wires.send(flow, octets),
                Event::Request { id, flow, request } => self.on_request(id, flow, request).await,
                Event::Ack { id, request } => self.on_ack(id, &request).await,
                Event::Cancel { id, request } => self.on_cancel(id, &request).await,
                Event::AckMissing { id } => self.on_ack_missing(id).await,
                Event::PrackMissing { id } => self.on_prack_missing(id).await,
                Event::Response { id, flow, response } => {
                    Box::pin(self.on_response(id, flow, response)).await;
                }
                Event::Timeout { id } => Box::pin(self.on_timeout(id)).await,
                Event::Stray { .. } => {}
            }
        }
    }

    async fn on_request(&mut self, id: Id, flow: Flow, request: Request) {
        if let Err(fault) = check::admit(&request) {
            return self.refuse(id, &fault).await;
        }
        let to_tag = request.headers.tag("To");
        match (&request.method, to_tag) {
            (_, Some(tag)) => self.on_inside(id, flow, request, &tag).await,
            (Method::Invite, None) => self.on_invite(id, flow, request).await,
            (Method::Register, None) => self.on_register(id, flow, request).await,
            (Method::Options, None) => {
                let mut response = request.response(200, "", Some(&token()));
                response.headers.add("Allow", check::ALLOW);
                response.headers.add("Supported", check::SUPPORTED);
                response.headers.add("Accept", "application/sdp");
                self.respond(id, &response).await;
            }
            _ => self.refuse(id, &Fault::new(481, "")).await,
        }
    }

    pub(crate) async fn refuse(&mut self, id: Id, fault: &Fault) {
        let Some(request) = self.transactions.request(id) else { return };
        let response = fault.response(request, &token());
        self.respond(id, &response).await;
    }

    pub(crate) async fn respond(&mut self, id: Id, response: &Response) {
        let events = self.transactions.respond(id, response, self.now());
        Box::pin(self.on_events(events)).await;
    }

    /// Answers provisionally, until that is acknowledged.
    pub(crate) async fn respond_reliably(&mut self, id: Id, response: Response) {
        let (seed, now) = (rand::random(), self.now());
        let events = self.transactions.respond_reliably(id, response, seed, now);
        Box::pin(self.on_events(events)).await;
    }

    /// A Via of ours for what goes out by a flow.
    pub(crate) fn via(&self, flow: Flow) -> String {
        let own = self.wires.advertised(flow.transport, flow.remote.ip());
        let mut via = Via {
            transport: flow.transport.as_str().to_owned(),
            host: own.ip().to_string(),
            port: Some(own.port()),
            params: vec![("rport".to_owned(), None)],
        };
        via.set("branch", &format!("z9hG4bK{}{}", token(), token()));
        via.to_string()
    }

    pub(crate) fn contact(&self, flow: Flow, user: &str) -> String {
        let own = self.wires.advertised(flow.transport, flow.remote.ip());
        let mut uri = Uri::new(Some(user), &own.ip().to_string(), Some(own.port()));
        if flow.transport != Transport::Udp {
            let name = flow.transport.as_str().to_ascii_lowercase();
            uri = uri.with_param("transport", Some(&name));
        }
        format!("<{uri}>")
    }

    /// Where requests within a call reach us.
    pub(crate) fn add_contact(&self, leg: Sid, request: &mut Request) {
        let Some(call) = self.calls.get(&leg) else { return };
        if let (Some(flow), Some(dialog)) = (call.flow, &call.dialog) {
            let user = user_of(&dialog.local.to_string());
            request.headers.add("Contact", self.contact(flow, &user));
        }
    }

    /// Sends a request of ours; `None` when there are too many.
    pub(crate) async fn send(
        &mut self,
        flow: Flow,
        mut request: Request,
        asked: Asked,
    ) -> Option<Id> {
        if request.headers.get("Via").is_none() {
            request.headers.add_first("Via", self.via(flow));
        }
        request.headers.set("User-Agent", "Offhook");
        let (id, events) = self.transactions.send(flow, request, self.now()).ok()?;
        self.asked.insert(id, asked);
        Box::pin(self.on_events(events)).await;
        Some(id)
    }

    async fn on_response(&mut self, id: Id, flow: Flow, response: Response) {
        let is_final = response.code >= 200;
        match self.asked.get(&id) {
            Some(Asked::Invite { leg }) => {
                // Further successes of the same INVITE may come.
                let leg = *leg;
                self.on_invite_response(leg, id, flow, response).await;
            }
            Some(Asked::Siprec { siprec }) => {
                let siprec = *siprec;
                self.on_siprec_response(siprec, id, flow, response).await;
            }
            Some(Asked::Reinvite { leg }) if is_final => {
                let leg = *leg;
                self.on_reinvite_response(leg, id, &response).await;
            }
            Some(Asked::Register { trunk }) if is_final => {
                let trunk = *trunk;
                self.asked.remove(&id);
                self.on_register_response(trunk, id, flow, &response).await;
            }
            Some(Asked::Options { peer }) if is_final => {
                let peer = *peer;
                self.asked.remove(&id);
                self.note_peer(peer, !matches!(response.code, 408 | 503));
            }
            Some(Asked::Refer { leg }) if is_final => {
                let leg = *leg;
                self.asked.remove(&id);
                self.on_refer_response(leg, &response).await;
            }
            Some(Asked::Nothing) if is_final => {
                self.asked.remove(&id);
            }
            _ => {}
        }
    }

    async fn on_timeout(&mut self, id: Id) {
        match self.asked.remove(&id) {
            Some(Asked::Invite { leg }) => self.on_invite_timeout(leg, id).await,
            Some(Asked::Reinvite { leg }) => self.on_refresh_failed(leg).await,
            Some(Asked::Register { trunk }) => self.register_failed(trunk),
            Some(Asked::Options { peer }) => self.note_peer(peer, false),
            Some(Asked::Siprec { siprec }) => self.on_siprec_timeout(siprec).await,
            Some(Asked::Refer { leg }) => self.refer_over(leg, Some(408), None).await,
            Some(Asked::Nothing) | None => {}
        }
    }

    pub(crate) async fn report(&self, account: Sid, leg: Sid, event: LegEvent) {
        let report = LegReport { account, leg, at: self.sip.now(), event };
        self.reports.add(Deed::Report(report)).await;
    }

    pub(crate) async fn alert(&self, account: Sid, leg: Sid, code: u32, why: &str) {
        let signal = Signal { alert: Some((code, why.to_owned())), ..Signal::default() };
        self.report(account, leg, LegEvent::Signal(signal)).await;
    }

    /// The call is here from now on.
    pub(crate) fn keep(&mut self, call: Call) {
        self.sip.legs.lock().unwrap_or_else(|poison| poison.into_inner()).insert(call.leg);
        self.tags.insert(call.tag.clone(), call.leg);
        if let Some(id) = call.invite {
            self.invites.insert(id, call.leg);
        }
        self.calls.insert(call.leg, call);
    }

    /// Sound begins, or goes on as agreed anew.
    pub(crate) fn agree(&mut self, leg: Sid, mut agreed: Agreed) {
        let Some(call) = self.calls.get_mut(&leg) else { return };
        // Sound is not sent to a third party where nobody may be connected to: only back to where
        // it comes from.
        let other_end = call.flow.map(|flow| flow.remote.ip());
        let policy = &self.sip.parts.policy;
        let may = |address: &std::net::SocketAddr| {
            Some(address.ip()) == other_end || policy.allows("", address.ip())
        };
        agreed.remote = agreed.remote.filter(may);
        agreed.rtcp = agreed.rtcp.filter(may);
        call.local.direction = agreed.direction;
        if let Some(session) = call.sound.rtp() {
            session.agree(agreed);
        }
    }

    /// The engine takes the sound, unless it has it; false when it is full.
    pub(crate) fn open_sound(&mut self, leg: Sid) -> bool {
        let Some(call) = self.calls.get_mut(&leg) else { return false };
        if !call.has_sound {
            let engine = &self.sip.ports().engine;
            call.has_sound = engine.open(call.account, leg, call.sound.port()).is_ok();
        }
        call.has_sound
    }

    /// The call is over; `ending` is told unless Voice ended it.
    pub(crate) async fn finish(&mut self, leg: Sid, ending: Option<Ending>) {
        // Who was sent elsewhere has gone there.
        self.refer_over(leg, None, None).await;
        let Some(call) = self.forget(leg) else { return };
        let counts = call.sound.rtp().map(|session| session.counts());
        tracing::debug!(%leg, ?ending, ?counts, "a SIP call has ended");
        if let Some(ending) = ending {
            self.report(call.account, leg, LegEvent::Ended(ending)).await;
        }
        self.sip.ports().engine.close(leg);
        self.reports.add(Deed::Forget(leg)).await;
    }

    fn forget(&mut self, leg: Sid) -> Option<Call> {
        let call = self.calls.remove(&leg)?;
        self.tags.remove(&call.tag);
        if let Some(dialog) = &call.dialog {
            self.ended.add(dialog, self.sip.elapsed());
        }
        if let Some(id) = call.invite {
            self.invites.remove(&id);
        }
        for branch in &call.branches {
            // Its late successes are hung up on: see `on_invite_response`.
            self.asked.insert(branch.id, Asked::Invite { leg });
        }
        self.sip.legs.lock().unwrap_or_else(|poison| poison.into_inner()).remove(&leg);
        Some(call)
    }

    /// Sends what a call's dialog made.
    pub(crate) async fn send_request_inside(
        &mut self,
        leg: Sid,
        request: Request,
        asked: Asked,
    ) -> Option<Id> {
        let flow = self.flow_inside(leg)?;
        self.send(flow, request, asked).await
    }

    /// Which way requests within a call go.
    pub(crate) fn flow_inside(&self, leg: Sid) -> Option<Flow> {
        let call = self.calls.get(&leg)?;
        let known = call.flow?;
        if known.transport.is_reliable() {
            return Some(known);
        }
        let hop = Uri::parse(&call.dialog.as_ref()?.next_hop()).ok();
        let address = hop.as_ref().and_then(Uri::ip);
        // A name, a place that nobody may be connected to, and another's private address are not
        // gone to: the other end is where it spoke from.
        let fits = |address: &std::net::IpAddr| {
            *address == known.remote.ip()
                || self.sip.parts.policy.allows("", *address) && outbound_class_is_public(*address)
        };
        let (Some(address), Some(hop)) = (address.filter(fits), hop) else { return Some(known) };
        let remote = std::net::SocketAddr::new(address, hop.port.unwrap_or(5060));
        Some(Flow { remote, ..known })
    }

    /// Ends a call that Voice or this agent ends; `code` refuses it if it was not answered.
    pub(crate) async fn hang_up(&mut self, leg: Sid, code: u16, reason: &str) {
        let Some(call) = self.calls.get_mut(&leg) else { return };
        match (call.stage, call.invite) {
            (Stage::Ringing, Some(id)) => {
                let fault = Fault { code, reason: "", header: Some(("Reason", reason.to_owned())) };
                let tag = call.tag.clone();
                if let Some(request) = self.transactions.request(id) {
                    let response = fault.response(request, &tag);
                    self.respond(id, &response).await;
                }
                self.finish(leg, None).await;
            }
            (Stage::Ringing, None) => {
                self.cancel_all(leg, None, reason).await;
                self.finish(leg, None).await;
            }
            // Not before the ACK (RFC 3261 §15).
            (Stage::Answered, _) => {
                call.stage = Stage::Ending;
                self.sip.ports().engine.close(leg);
            }
            (Stage::Talking, _) => {
                self.bye(leg, reason).await;
                self.finish(leg, None).await;
            }
            (Stage::Ending, _) => {}
        }
    }

    pub(crate) async fn bye(&mut self, leg: Sid, reason: &str) {
        let Some(dialog) = self.calls.get_mut(&leg).and_then(|call| call.dialog.as_mut()) else {
            return;
        };
        let mut bye = dialog.request(Method::Bye);
        bye.headers.add("Reason", reason);
        self.send_request_inside(leg, bye, Asked::Nothing).await;
    }

    async fn obey(&mut self, leg: Sid, order: &Order) {
        match order {
            Order::Answer => self.answer(leg).await,
            Order::Progress => self.progress(leg).await,
            Order::Reject { busy: true } => {
                self.hang_up(leg, 486, "Q.850;cause=17;text=\"User busy\"").await;
            }
            Order::Reject { busy: false } => {
                self.hang_up(leg, 603, "Q.850;cause=21;text=\"Call rejected\"").await;
            }
            Order::HangUp => {
                self.hang_up(leg, 480, "Q.850;cause=16;text=\"Normal call clearing\"").await;
            }
            Order::Refer { to } => self.refer(leg, to).await,
            Order::Transfer(news) => self.on_transfer(leg, news).await,
            // The engine's.
            _ => {}
        }
    }

    /// Session timers, calls without sound, registrations.
    async fn look_after(&mut self) {
        let (now, instant) = (self.now(), Instant::now());
        let limit = self.sip.config.media_timeout();
        let mut silent = Vec::new();
        let mut due = Vec::new();
        for (leg, call) in self.calls.iter().filter(|(_, call)| call.stage == Stage::Talking) {
            let quiet = call.answered.and_then(|since| call.sound.silent_for(instant, since));
            let is_late = quiet.zip(limit).is_some_and(|(quiet, limit)| quiet >= limit);
            if is_late || call.sound.is_over() {
                silent.push((*leg, call.account));
            } else if call.timer.is_some_and(|timer| now >= call.refreshed + timer.due()) {
                due.push(*leg);
            }
        }
        for (leg, account) in silent {
            self.alert(account, leg, 32014, "no sound has come from the SIP endpoint").await;
            self.bye(leg, "Q.850;cause=102;text=\"No audio received\"").await;
            self.finish(leg, Some(Ending::HungUp)).await;
        }
        for leg in due {
            self.refresh(leg).await;
        }
        self.check_ringing(now).await;
        self.check_refers(now).await;
        self.register_trunks();
        self.ask_peers();
    }
}

fn outbound_class_is_public(address: std::net::IpAddr) -> bool {
    outbound::AddressClass::of(address) == outbound::AddressClass::Public
}

/// Marks where a request really came from (RFC 3261 §18.2.1, RFC 3581), and which way its answer
/// goes.
fn answer_to(request: &mut Request, flow: Flow) -> Flow {
    let Some(first) = request.headers.list("Via").next() else { return flow };
    let Ok(mut via) = Via::parse(first) else { return flow };
    let asked = via.params.iter().any(|(name, _)| name.eq_ignore_ascii_case("rport"));
    via.set("received", &flow.remote.ip().to_string());
    let mut back = flow;
    if asked {
        via.set("rport", &flow.remote.port().to_string());
    } else if flow.transport == Transport::Udp {
        back.remote.set_port(via.port.unwrap_or(5060));
    }
    let rest: Vec<String> = request.headers.list("Via").skip(1).map(str::to_owned).collect();
    request.headers.remove("Via");
    rest.into_iter().rev().for_each(|line| request.headers.add_first("Via", line));
    request.headers.add_first("Via", via.to_string());
    back
}

/// The user of an address, for a `Contact` of ours.
pub(crate) fn user_of(address: &str) -> String {
    let uri = NameAddr::parse(address).ok().and_then(|address| address.uri().ok());
    uri.and_then(|uri| uri.user).unwrap_or_else(|| "offhook".to_owned())
}

/// Our end of a new call's sound.
pub(crate) fn local(port: u16, address: std::net::IpAddr) -> Local {
    Local {
        address,
        port,
        session: rand::random::<u64>() >> 2,
        version: 1,
        direction: Direction::Both,
    }
}

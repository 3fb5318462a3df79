//! Calls that are placed: rung, answered, refused, tried elsewhere.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use contracts::{AnsweredBy, Ending, LegEvent, OutboundCall, Signal, Unavailable};
use kernel::Sid;
use media::{Offered, Peer};
use sdp::Suite;
use sip::check;
use sip::dialog::Dialog;
use sip::digest::Reply;
use sip::message::{Request, Response};
use sip::reliable::{self, Acknowledged};
use sip::timer;
use sip::transaction::{Flow, Id};
use sip::{Method, NameAddr, Uri};

use crate::admission::Door;
use crate::agent::{Agent, local, new_key, token};
use crate::call::{Call, Stage};
use crate::inbound::{FULL, note};
use crate::input::{Asked, Input};
use crate::is_address;
use crate::outcome;
use crate::redirect;
use crate::reports::Deed;
use crate::session::Session;
use crate::sound::{Sound, accepted};
use crate::targets;
use crate::transfer::Refers;

/// Who does not even ring for so long is not there.
const POST_DIAL: Duration = Duration::from_secs(60);
/// How long one of several targets has to say anything.
const TRY: Duration = Duration::from_secs(4);
/// Telephones behind one target that are told apart.
const TAGS_MAX: usize = 10;

/// One place to ring.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub uri: String,
    pub flow: Flow,
    pub credentials: Option<(String, String)>,
    /// TLS and SRTP.
    pub secure: bool,
    /// It is offered WebRTC: a program that registered by WebSocket.
    pub web: bool,
    /// Whose certificate is to be shown.
    pub tls_name: Option<String>,
}

/// Why a call cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Miss {
    pub code: u16,
    pub alert: Option<(u32, String)>,
}

impl Miss {
    pub(crate) fn new(code: u16, alert: u32, why: &str) -> Self {
        Self { code, alert: Some((alert, why.to_owned())) }
    }
}

/// Where a call goes, and what goes with it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub from: String,
    pub caller_name: Option<String>,
    pub headers: Vec<(String, String)>,
    /// The host of our own that the call is from.
    pub host: Option<String>,
    /// Who passes it may take the place of who is called.
    pub door: Option<Door>,
    /// One after the other; those of one group ring at once.
    pub groups: VecDeque<Vec<Target>>,
    /// Redirections that are still followed: none but those of trunks.
    pub redirects: u8,
    pub miss: Option<Miss>,
}

impl Plan {
    pub(crate) fn new(call: &OutboundCall) -> Self {
        let custom = call.extras.headers.iter().filter(|(name, _)| targets::is_custom(name));
        Self {
            from: call.from.clone(),
            caller_name: call.extras.caller_name.clone(),
            headers: custom.cloned().collect(),
            host: None,
            door: None,
            groups: VecDeque::new(),
            redirects: if is_address(&call.to) && call.extras.trunk.is_none() {
                0
            } else {
                redirect::HOPS_MAX
            },
            miss: None,
        }
    }
}

/// One INVITE of a call.
pub(crate) struct Branch {
    pub id: Id,
    pub request: Request,
    pub target: Target,
    pub answered_challenge: bool,
    /// The connection that was offered, until it is answered.
    pub offered: Option<Offered>,
    /// What was answered provisionally, and acknowledged.
    pub acknowledged: Acknowledged,
    /// Of whoever has answered, finally or not.
    pub tags: Vec<String>,
    /// To be cancelled as soon as that may be.
    pub cancel: Option<String>,
    pub sent: Duration,
    pub heard: bool,
}

/// An INVITE that is sent once more, with what it was to say.
struct Again {
    request: Request,
    header: (String, String),
    offered: Option<Offered>,
}

impl Agent {
    pub(crate) async fn place(&mut self, call: OutboundCall) -> Result<(), Unavailable> {
        if self.calls.contains_key(&call.leg) {
            return Ok(());
        }
        if self.is_full() {
            let alert = Some((FULL.0, FULL.1.to_owned()));
            let signal = Signal { sip_response: Some(503), alert, params: Vec::new() };
            self.report(call.account, call.leg, LegEvent::Signal(signal)).await;
            self.report(call.account, call.leg, LegEvent::Ended(Ending::Failed)).await;
            return Ok(());
        }
        let config = &self.sip.config;
        let address = config.sound_address().unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let session = Session::open(address, config.rtp_ports, config.symmetric_rtp)
            .map_err(|_| Unavailable("there is no port left for sound".to_owned()))?;
        let local = local(session.port, address);
        let (account, leg, now) = (call.account, call.leg, self.now());
        self.keep(Call {
            account,
            leg,
            stage: Stage::Ringing,
            dialog: None,
            flow: None,
            sound: Sound::Rtp(session),
            local,
            srtp: sdp::Srtp::Allowed,
            key: None,
            awaits_answer: false,
            invite: None,
            tag: token(),
            branches: Vec::new(),
            plan: None,
            has_rung: false,
            has_sound: false,
            described: None,
            ack: None,
            timer: None,
            refreshed: now,
            refreshing: false,
            refers: Refers::default(),
            door: None,
            answered: None,
            began: now,
        });
        self.reports.add(Deed::Keep(leg, account.to_string())).await;
        let sip = self.sip.clone();
        tokio::spawn(async move {
            let plan = Box::new(targets::plan(&sip, &call).await);
            // Without an agent there is no call.
            let _ = sip.inputs.send(Input::Planned { leg, plan }).await;
        });
        Ok(())
    }

    pub(crate) async fn planned(&mut self, leg: Sid, mut plan: Plan) {
        let miss = plan.miss.take();
        let Some(call) = self.calls.get_mut(&leg) else { return };
        call.door = plan.door.take();
        call.plan = Some(plan);
        match miss {
            Some(miss) => self.fail(leg, miss.code, miss.alert).await,
            None => self.try_next(leg).await,
        }
    }

    /// The call ends without an answer.
    async fn fail(&mut self, leg: Sid, code: u16, alert: Option<(u32, String)>) {
        let Some(call) = self.calls.get(&leg) else { return };
        let signal = Signal { sip_response: Some(code), alert, params: Vec::new() };
        self.report(call.account, leg, LegEvent::Signal(signal)).await;
        self.finish(leg, Some(outcome::ending(code))).await;
    }

    /// Rings the next group of targets.
    pub(crate) async fn try_next(&mut self, leg: Sid) {
        let next = self.calls.get_mut(&leg).and_then(|call| call.plan.as_mut()?.groups.pop_front());
        let Some(group) = next else {
            return self.fail(leg, 480, Some((32011, "nobody is left to call".to_owned()))).await;
        };
        for target in group {
            self.invite(leg, target, None).await;
        }
        let is_alone = self.calls.get(&leg).is_some_and(|call| call.branches.is_empty());
        if is_alone {
            self.fail(leg, 503, None).await;
        }
    }

    /// Sends one INVITE; `again` is one that was challenged, and what answers it.
    async fn invite(&mut self, leg: Sid, target: Target, again: Option<Again>) {
        let (flow, secure) = (target.flow, target.secure);
        if let Some(name) = &target.tls_name {
            self.wires.name(flow.remote, name);
        }
        let answers = again.is_some();
        let (request, offered) = match again {
            Some(Again { mut request, header: (name, value), offered }) => {
                let number = request.headers.cseq().map_or(1, |(number, _)| number) + 1;
                request.headers.remove("Via");
                request.headers.set("CSeq", format!("{number} INVITE"));
                request.headers.set(&name, value);
                (request, offered)
            }
            None => {
                let address = self.wires.address_to(flow.remote.ip());
                let external = self.sip.config.external_address;
                let Some(call) = self.calls.get_mut(&leg) else { return };
                call.local.address = external.unwrap_or(address);
                call.srtp = Self::srtp(secure);
                if secure && call.key.is_none() {
                    call.key = Some(new_key(1, Suite::AesCm128HmacSha1_80));
                }
                let offered = match target.web.then(|| self.offer_web(flow)).transpose() {
                    Ok(offered) => offered,
                    Err(why) => return tracing::warn!(why, %leg, "WebRTC cannot be offered"),
                };
                let sdp = offered.as_ref().map(|offered| offered.sdp.as_str());
                let Some(request) = self.first_invite(leg, &target, sdp) else { return };
                (request, offered)
            }
        };
        let sent = self.now();
        // The transaction is known before anything can be lost on it.
        let mut with_via = request.clone();
        with_via.headers.add_first("Via", self.via(flow));
        let Ok((id, events)) = self.transactions.send(flow, with_via.clone(), sent) else { return };
        self.asked.insert(id, Asked::Invite { leg });
        if let Some(call) = self.calls.get_mut(&leg) {
            call.branches.push(Branch {
                id,
                request: with_via,
                target,
                answered_challenge: answers,
                offered,
                acknowledged: Acknowledged::default(),
                tags: Vec::new(),
                cancel: None,
                sent,
                heard: false,
            });
        }
        Box::pin(self.on_events(events)).await;
    }

    fn offer_web(&self, flow: Flow) -> Result<Offered, String> {
        Peer::offer_by(self.way(flow.remote.ip())?)
    }

    /// `sdp` is an offer that is made already.
    fn first_invite(&self, leg: Sid, target: &Target, sdp: Option<&str>) -> Option<Request> {
        let call = self.calls.get(&leg)?;
        let plan = call.plan.as_ref()?;
        let own = self.wires.advertised(target.flow.transport, target.flow.remote.ip());
        let host = plan.host.clone().unwrap_or_else(|| own.ip().to_string());
        let from = match Uri::parse(&plan.from) {
            Ok(uri) => uri,
            Err(_) => {
                let name = plan.from.trim_start_matches("client:");
                let user: String = name.chars().map(user_char).collect();
                Uri::new((!user.is_empty()).then_some(user.as_str()), &host, None)
            }
        };
        let user = from.user.clone().unwrap_or_else(|| "anonymous".to_owned());
        let from = NameAddr {
            display: plan.caller_name.clone(),
            address: from.to_string(),
            params: vec![("tag".to_owned(), Some(call.tag.clone()))],
        };
        let mut request = Request::new(Method::Invite, target.uri.clone());
        let headers = &mut request.headers;
        headers.add("Max-Forwards", "70");
        headers.add("From", from.to_string());
        let to = Uri::parse(&target.uri).ok().map(|mut uri| {
            uri.params.clear();
            uri.port = None;
            uri.to_string()
        });
        headers.add("To", format!("<{}>", to.as_deref().unwrap_or(&target.uri)));
        headers.add("Call-ID", format!("{}{}@offhook", token(), token()));
        headers.add("CSeq", "1 INVITE");
        headers.add("Contact", self.contact(target.flow, &user));
        headers.add("User-Agent", "Offhook");
        headers.add("Allow", check::ALLOW);
        headers.add("Supported", check::SUPPORTED);
        headers.add("Session-Expires", timer::USUAL.as_secs().to_string());
        headers.add("Min-SE", timer::MIN.as_secs().to_string());
        headers.add("X-Twilio-CallSid", leg.to_string());
        headers.add("X-Twilio-AccountSid", call.account.to_string());
        for (name, value) in &plan.headers {
            headers.add(name, value.as_str());
        }
        headers.add("Content-Type", "application/sdp");
        let made = || sdp::offer(&call.local, call.key.as_ref().filter(|_| target.secure));
        request.body = sdp.map_or_else(made, str::to_owned).into_bytes();
        Some(request)
    }

    pub(crate) async fn on_invite_response(
        &mut self,
        leg: Sid,
        id: Id,
        flow: Flow,
        response: Response,
    ) {
        let Some(call) = self.calls.get_mut(&leg) else {
            return self.on_late_response(id, flow, &response).await;
        };
        let Some(at) = call.branches.iter().position(|branch| branch.id == id) else {
            // The success of the winner again, or that of a loser that was too late.
            if (200..300).contains(&response.code) {
                let ours = call.dialog.as_ref().map(|dialog| dialog.remote_tag().to_owned());
                match call.ack.clone().filter(|_| ours == response.headers.tag("To")) {
                    Some((flow, octets)) => self.wires.send(flow, octets),
                    None => self.on_late_response(id, flow, &response).await,
                }
            }
            return;
        };
        let branch = &mut call.branches[at];
        branch.heard = true;
        if let Some(tag) = response.headers.tag("To")
            && !branch.tags.contains(&tag)
            && branch.tags.len() < TAGS_MAX
        {
            branch.tags.push(tag);
        }
        match response.code {
            100..200 => self.on_provisional(leg, at, flow, &response).await,
            200..300 => {
                let branch = call.branches.remove(at);
                self.on_success(leg, branch, flow, response).await;
            }
            _ => {
                let branch = call.branches.remove(at);
                self.on_refusal(leg, branch, &response).await;
            }
        }
    }

    async fn on_provisional(&mut self, leg: Sid, at: usize, flow: Flow, response: &Response) {
        let Some(call) = self.calls.get_mut(&leg) else { return };
        let branch = &mut call.branches[at];
        if let Some(reason) = branch.cancel.take() {
            let id = branch.id;
            return self.cancel(id, &reason).await;
        }
        let account = call.account;
        let rings = matches!(response.code, 180 | 183);
        let prack = match branch.acknowledged.take(&branch.request, response) {
            reliable::Asked::Repeated => return,
            reliable::Asked::Nothing => None,
            reliable::Asked::Prack(prack) => Some(prack),
        };
        let first = rings && !call.has_rung;
        call.has_rung |= rings;
        if let Some(prack) = prack {
            self.send(flow, prack, Asked::Nothing).await;
        }
        if first {
            self.report(account, leg, LegEvent::Ringing).await;
        }
        self.hear_early(leg, at, response).await;
    }

    /// What rings alone and describes its sound already is heard, if Voice wants that.
    async fn hear_early(&mut self, leg: Sid, at: usize, response: &Response) {
        let Some(call) = self.calls.get_mut(&leg) else { return };
        if call.has_sound || call.branches.len() != 1 {
            return;
        }
        let Some(branch) = call.branches.get_mut(at) else { return };
        if response.body.is_empty() {
            return;
        }
        let (target, offered) = (branch.target.clone(), branch.offered.take());
        let account = call.account;
        call.flow = Some(Flow { connection: 0, ..target.flow });
        if !self.take_answer(leg, &target, offered, response) {
            return;
        }
        // Without room for it the call fails when it is answered.
        if self.open_sound(leg) {
            self.report(account, leg, LegEvent::EarlyMedia).await;
        }
    }

    /// Takes the answer to an offer of ours; false when there is none that can be used.
    fn take_answer(
        &mut self,
        leg: Sid,
        target: &Target,
        offered: Option<Offered>,
        response: &Response,
    ) -> bool {
        let Some(call) = self.calls.get_mut(&leg) else { return false };
        if target.web {
            // The answer of what was heard early is taken already.
            let Some(offered) = offered else { return call.sound.web().is_some() };
            let peer = accepted(offered, response);
            return peer.map(|peer| call.sound = Sound::Web(peer)).is_some();
        }
        let kind = response.headers.get("Content-Type").unwrap_or_default();
        let answer = check::session(kind, &response.body).and_then(|text| sdp::parse(text).ok());
        let key = call.key.as_ref().filter(|_| target.secure);
        let agreed = answer.and_then(|answer| sdp::accept(&answer, &call.local, key).ok());
        agreed.map(|agreed| self.agree(leg, agreed)).is_some()
    }

    async fn on_success(&mut self, leg: Sid, branch: Branch, flow: Flow, response: Response) {
        let now = self.now();
        let Some(call) = self.calls.get_mut(&leg) else { return };
        let Some(mut dialog) = Dialog::of_response(&branch.request, &response) else { return };
        let number = dialog.local_cseq;
        if let Some(used) = branch.acknowledged.cseq(dialog.remote_tag()) {
            dialog.local_cseq = used;
        }
        let ack = dialog.numbered(Method::Ack, number);
        call.flow = Some(Flow { connection: 0, ..flow });
        call.dialog = Some(dialog);
        call.timer = timer::agreed(&response.headers);
        call.refreshed = now;
        let account = call.account;
        self.send_ack(leg, ack).await;
        self.cancel_all(leg, Some(branch.id), "SIP;cause=200;text=\"Call completed elsewhere\"")
            .await;
        if !self.take_answer(leg, &branch.target, branch.offered, &response) {
            self.bye(leg, "SIP;cause=488;text=\"No usable answer\"").await;
            let why = "the answer of the SIP endpoint has no usable session".to_owned();
            return self.fail(leg, 488, Some((32102, why))).await;
        }
        if !self.open_sound(leg) {
            self.bye(leg, "Q.850;cause=34;text=\"No circuit available\"").await;
            return self.fail(leg, 503, Some((FULL.0, FULL.1.to_owned()))).await;
        }
        if let Some(call) = self.calls.get_mut(&leg) {
            call.stage = Stage::Talking;
            call.answered = Some(Instant::now());
            call.plan = None;
            let note = note(call);
            self.reports.add(Deed::Keep(leg, note)).await;
        }
        let mut params = vec![("SipCallId".to_owned(), response.headers.call_id().to_owned())];
        params.push(("SipSourceIp".to_owned(), flow.remote.ip().to_string()));
        let signal = Signal { sip_response: Some(response.code), alert: None, params };
        self.report(account, leg, LegEvent::Signal(signal)).await;
        self.report(account, leg, LegEvent::Answered { by: AnsweredBy::Human }).await;
    }

    async fn on_refusal(&mut self, leg: Sid, branch: Branch, response: &Response) {
        let Branch { request, target, answered_challenge, .. } = &branch;
        if let Some(header) = answer_challenge(request, target, *answered_challenge, response) {
            let Branch { request, target, offered, .. } = branch;
            return self.invite(leg, target, Some(Again { request, header, offered })).await;
        }
        // A program that does not speak WebRTC may speak RTP.
        if matches!(response.code, 415 | 488 | 606) && target.web {
            let target = Target { web: false, ..branch.target };
            return self.invite(leg, target, None).await;
        }
        if response.code == 422
            && let Some(seconds) = timer::min_se(&response.headers)
            && seconds > timer::USUAL
        {
            let mut request = branch.request;
            request.headers.set("Min-SE", seconds.as_secs().to_string());
            let header = ("Session-Expires".to_owned(), seconds.as_secs().to_string());
            let again = Again { request, header, offered: branch.offered };
            return self.invite(leg, branch.target, Some(again)).await;
        }
        if (300..400).contains(&response.code) && self.follow(leg, &branch, response) {
            return;
        }
        self.branch_over(leg, response.code, &response.reason).await;
    }

    /// A branch has ended without success: the others go on, or the next are tried.
    pub(crate) async fn branch_over(&mut self, leg: Sid, code: u16, reason: &str) {
        let Some(call) = self.calls.get_mut(&leg) else { return };
        if code >= 600 {
            self.cancel_all(leg, None, "SIP;cause=600;text=\"Refused everywhere\"").await;
            return self.fail(leg, code, outcome::alert(code, reason)).await;
        }
        if !call.branches.is_empty() {
            return;
        }
        let has_more = call.plan.as_ref().is_some_and(|plan| !plan.groups.is_empty());
        if has_more && outcome::tries_next(code) {
            return self.try_next(leg).await;
        }
        self.fail(leg, code, outcome::alert(code, reason)).await;
    }

    pub(crate) async fn on_invite_timeout(&mut self, leg: Sid, id: Id) {
        let Some(call) = self.calls.get_mut(&leg) else { return };
        let before = call.branches.len();
        call.branches.retain(|branch| branch.id != id);
        if call.branches.len() == before {
            return;
        }
        let has_more = call.plan.as_ref().is_some_and(|plan| !plan.groups.is_empty());
        if call.branches.is_empty() && !has_more {
            let why = "the SIP endpoint cannot be reached".to_owned();
            // Nobody was there to be rung: the call has failed, not gone unanswered.
            return self.fail(leg, 503, Some((32011, why))).await;
        }
        self.branch_over(leg, 503, "").await;
    }

    /// An answer to an INVITE of a call that has ended, or was answered by another.
    async fn on_late_response(&mut self, id: Id, flow: Flow, response: &Response) {
        match response.code {
            // Something was heard at last: it can be cancelled.
            101..200 => self.cancel(id, "SIP;cause=487;text=\"Originator cancel\"").await,
            200..300 => {
                let Some(request) = self.transactions.request(id) else { return };
                let Some(mut dialog) = Dialog::of_response(request, response) else { return };
                let mut ack = dialog.numbered(Method::Ack, dialog.local_cseq);
                ack.headers.add_first("Via", self.via(flow));
                self.wires.send(flow, ack.write());
                dialog.local_cseq += 10;
                let mut bye = dialog.request(Method::Bye);
                bye.headers.add("Reason", "SIP;cause=200;text=\"Call completed elsewhere\"");
                self.send(flow, bye, Asked::Nothing).await;
            }
            _ => {}
        }
    }

    pub(crate) async fn cancel(&mut self, id: Id, reason: &str) {
        let Some((flow, mut cancel)) = self.transactions.cancel(id) else { return };
        cancel.headers.add("Reason", reason);
        self.send(flow, cancel, Asked::Nothing).await;
    }

    /// Cancels what rings, but for one.
    pub(crate) async fn cancel_all(&mut self, leg: Sid, but: Option<Id>, reason: &str) {
        let Some(call) = self.calls.get_mut(&leg) else { return };
        let branches = std::mem::take(&mut call.branches);
        for branch in branches.into_iter().filter(|branch| Some(branch.id) != but) {
            // What has not been heard of is cancelled when it is: see `on_late_response`.
            self.cancel(branch.id, reason).await;
        }
    }

    /// Who does not ring in time is given up; one of several sooner.
    pub(crate) async fn check_ringing(&mut self, now: Duration) {
        let mut late = Vec::new();
        for (leg, call) in &self.calls {
            if call.stage != Stage::Ringing || call.invite.is_some() || call.has_rung {
                continue;
            }
            let has_more = call.plan.as_ref().is_some_and(|plan| !plan.groups.is_empty());
            let waits = |branch: &Branch| !branch.heard && now >= branch.sent + TRY;
            let moves_on = has_more && !call.branches.is_empty() && call.branches.iter().all(waits);
            if now >= call.began + POST_DIAL || moves_on {
                late.push((*leg, moves_on));
            }
        }
        for (leg, moves_on) in late {
            let timeout = "SIP;cause=408;text=\"Request timeout\"";
            self.cancel_all(leg, None, timeout).await;
            if moves_on {
                self.try_next(leg).await;
            } else {
                let why = "the SIP endpoint has not rung within 60 seconds".to_owned();
                self.fail(leg, 504, Some((32016, why))).await;
            }
        }
        let known = &self.transactions;
        self.asked.retain(|id, _| known.request(*id).is_some());
        self.waiting.retain(|id, _| known.request(*id).is_some());
    }
}

/// Characters that may be in a user part stay; others are told apart no more.
fn user_char(c: char) -> char {
    if c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;?/".contains(c) { c } else { '_' }
}

/// The header that answers a challenge, once for each; only whoever was called may ask for one.
pub(crate) fn answer_challenge(
    request: &Request,
    target: &Target,
    answered: bool,
    response: &Response,
) -> Option<(String, String)> {
    let (asks, answers) = match response.code {
        401 => ("WWW-Authenticate", "Authorization"),
        407 => ("Proxy-Authenticate", "Proxy-Authorization"),
        _ => return None,
    };
    let (username, password) = target.credentials.as_ref()?;
    if answered {
        return None;
    }
    let cnonce = token();
    let reply = Reply {
        username,
        password,
        method: "INVITE",
        uri: &request.uri,
        body: &request.body,
        cnonce: &cnonce,
        count: 1,
    };
    let value = reply.to_any(response.headers.all(asks))?;
    Some((answers.to_owned(), value))
}

//! Calls that come in: taken, rung for, answered, given up.

use std::time::Instant;

use contracts::{Ending, LegEvent, Signal};
use kernel::Sid;
use media::Peer;
use sdp::{Local, Srtp};
use sip::check::{self, Fault};
use sip::dialog::Dialog;
use sip::message::{Request, Response};
use sip::reliable::{self, Wish};
use sip::timer::{self, TooShort};
use sip::transaction::{Flow, Id};

use crate::admission::{self, Admission, Door};
use crate::agent::{Agent, local, new_key, token, user_of};
use crate::call::{Call, Stage};
use crate::input::Input;
use crate::midcall::least_timer;
use crate::reports::Deed;
use crate::session::Session;
use crate::sound::{Sound, is_web, text_of};
use crate::transfer::Refers;

/// More calls would spoil the sound of those that talk.
pub(crate) const FULL: (u32, &str) = (10004, "there are as many calls as can be carried");

impl Agent {
    /// Whether there is room for another call.
    pub(crate) fn is_full(&self) -> bool {
        self.calls.len() + self.waiting.len() >= self.sip.config.calls_max
            || self.sip.ports().engine.is_full()
    }

    /// Who is told so can try again, here or elsewhere.
    async fn refuse_full(&mut self, id: Id) {
        let Some(request) = self.transactions.request(id) else { return };
        let mut response = request.response(503, "", Some(&token()));
        response.headers.add("Retry-After", "5");
        response.headers.add("X-Twilio-Error", format!("{} {}", FULL.0, FULL.1));
        self.respond(id, &response).await;
    }

    pub(crate) async fn on_invite(&mut self, id: Id, flow: Flow, request: Request) {
        if request.headers.get("Max-Forwards") == Some("0") {
            return self.refuse(id, &Fault::new(483, "Too Many Hops")).await;
        }
        if Dialog::of_invite(&request, "x").is_none() {
            return self.refuse(id, &Fault::new(400, "Missing Contact")).await;
        }
        let least = least_timer(flow);
        if let Err(TooShort) = timer::answer(&request, least) {
            let header = Some(("Min-SE", least.as_secs().to_string()));
            return self.refuse(id, &Fault { code: 422, reason: "", header }).await;
        }
        if request.headers.get("Replaces").is_some() {
            return self.on_replaces(id, flow, request).await;
        }
        if self.is_full() {
            return self.refuse_full(id).await;
        }
        self.waiting.insert(id, false);
        let sip = self.sip.clone();
        tokio::spawn(async move {
            let inputs = sip.inputs.clone();
            let admission = Box::new(admission::call(sip, request, flow).await);
            // Without an agent there is no call.
            let _ = inputs.send(Input::Admitted { id, admission }).await;
        });
    }

    pub(crate) async fn admitted(&mut self, id: Id, admission: Admission) {
        let gave_up = self.waiting.remove(&id).unwrap_or(true);
        match admission {
            Admission::Refused(fault) => self.refuse(id, &fault).await,
            Admission::Challenged { status, values } => {
                let Some(request) = self.transactions.request(id) else { return };
                let mut response = request.response(status, "", Some(&token()));
                let name = if status == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
                values.iter().for_each(|value| response.headers.add(name, value.as_str()));
                self.respond(id, &response).await;
            }
            Admission::Replaces { .. } if gave_up => {}
            Admission::Replaces { door, secure } => self.take_place(id, &door, secure).await,
            Admission::Taken { account, leg, door, secure } => {
                let taken = match gave_up {
                    true => Err(Fault::new(487, "")),
                    false => self.take_call(id, account, leg, door, secure),
                };
                let Err(fault) = taken else { return self.ring(leg).await };
                if fault.code == 488 {
                    let why = "the offered session cannot be taken";
                    let code = if secure { 32208 } else { 32102 };
                    self.alert(account, leg, code, why).await;
                }
                let ending = if gave_up { Ending::HungUp } else { Ending::Failed };
                let signal = Signal { sip_response: Some(fault.code), ..Signal::default() };
                self.report(account, leg, LegEvent::Signal(signal)).await;
                self.report(account, leg, LegEvent::Ended(ending)).await;
                self.refuse(id, &fault).await;
            }
        }
    }

    /// Makes the call of an INVITE that is let in.
    fn take_call(
        &mut self,
        id: Id,
        account: Sid,
        leg: Sid,
        door: Door,
        secure: bool,
    ) -> Result<(), Fault> {
        let gone = || Fault::new(487, "");
        let request = self.transactions.request(id).ok_or_else(gone)?;
        let flow = self.transactions.flow(id).ok_or_else(gone)?;
        let tag = token();
        let dialog = Dialog::of_invite(request, &tag).ok_or_else(gone)?;
        let srtp = if secure { Srtp::Required } else { Srtp::Allowed };
        // What cannot be answered is refused before anybody is asked.
        let (sound, local, described) = self.sound_for(request, flow, srtp)?;
        let timer = timer::answer(request, least_timer(flow)).unwrap_or_default();
        let now = self.now();
        self.keep(Call {
            account,
            leg,
            stage: Stage::Ringing,
            dialog: Some(dialog),
            flow: Some(flow),
            sound,
            local,
            srtp,
            key: None,
            awaits_answer: false,
            invite: Some(id),
            tag,
            branches: Vec::new(),
            plan: None,
            has_rung: true,
            has_sound: false,
            described,
            ack: None,
            timer,
            refreshed: now,
            refreshing: false,
            refers: Refers::default(),
            door: Some(door),
            answered: None,
            began: now,
        });
        Ok(())
    }

    /// Our end of the sound of a call that comes in, and what is already known of its description.
    pub(crate) fn sound_for(
        &self,
        request: &Request,
        flow: Flow,
        srtp: Srtp,
    ) -> Result<(Sound, Local, Option<String>), Fault> {
        let no_port = || Fault::new(503, "");
        let config = &self.sip.config;
        let address = self.wires.address_to(flow.remote.ip());
        let shown = config.external_address.unwrap_or(address);
        let offer = offered(request)?;
        if let Some(speaks) = offer.as_ref().and_then(is_web) {
            let refused = || Fault::new(488, "");
            let text = text_of(request).filter(|_| speaks).ok_or_else(refused)?;
            let way = self.way(flow.remote.ip()).map_err(|_| no_port())?;
            let answered = Peer::answer_by(text, way, None);
            let (peer, answer) = answered.map_err(|why| {
                tracing::debug!(why, "an offer of WebRTC is not taken");
                refused()
            })?;
            return Ok((Sound::Web(peer), local(0, shown), Some(answer)));
        }
        let session = Session::open(address, config.rtp_ports, config.symmetric_rtp);
        let session = session.map_err(|_| no_port())?;
        let local = local(session.port, shown);
        if let Some(offer) = offer {
            sdp::answer(&offer, &local, srtp, |theirs| new_key(theirs.tag, theirs.suite))
                .map_err(|_| Fault::new(488, ""))?;
        }
        Ok((Sound::Rtp(session), local, None))
    }

    async fn ring(&mut self, leg: Sid) {
        let Some(call) = self.calls.get(&leg) else { return };
        let (account, tag, id, flow) = (call.account, call.tag.clone(), call.invite, call.flow);
        self.reports.add(Deed::Keep(leg, account.to_string())).await;
        self.reports.add(Deed::Ring(account, leg, self.sip.now())).await;
        let Some(id) = id else { return };
        let Some(request) = self.transactions.request(id) else { return };
        let mut response = request.response(180, "", Some(&tag));
        match reliable::wish(request) {
            // An offer of ours would have to go with it (RFC 3262 §5).
            Wish::Required if request.body.is_empty() => {}
            Wish::Required => {
                self.add_way(request, flow, &mut response);
                self.respond_reliably(id, response).await;
            }
            Wish::Supported | Wish::None => self.respond(id, &response).await,
        }
    }

    /// The PRACK of a provisional answer of ours; an offer that comes with it is not taken.
    pub(crate) async fn on_prack(&mut self, leg: Sid, id: Id, request: &Request) {
        let now = self.now();
        let invite = self.calls.get(&leg).and_then(|call| call.invite);
        let taken = invite.and_then(|id| self.transactions.acknowledged(id, request, now));
        let code = match taken {
            None => 481,
            Some(_) if !request.body.is_empty() => 488,
            Some(_) => 200,
        };
        self.respond(id, &request.response(code, "", None)).await;
        Box::pin(self.on_events(taken.unwrap_or_default())).await;
    }

    /// Nobody acknowledges a provisional answer of ours (RFC 3262 §3).
    pub(crate) async fn on_prack_missing(&mut self, id: Id) {
        let leg = self.invites.get(&id).copied();
        let Some(call) = leg.and_then(|leg| self.calls.get(&leg)) else { return };
        let (account, leg, tag) = (call.account, call.leg, call.tag.clone());
        let ends = call.stage == Stage::Ending;
        self.alert(account, leg, 32011, "the PRACK of the SIP endpoint has not come").await;
        if let Some(request) = self.transactions.request(id) {
            let response = request.response(504, "", Some(&tag));
            self.respond(id, &response).await;
        }
        self.finish(leg, (!ends).then_some(Ending::HungUp)).await;
    }

    /// Our part of the session, with which the sound begins: decided once.
    ///
    /// # Errors
    /// The status with which the call cannot go on.
    fn describe(&mut self, leg: Sid, request: &Request) -> Result<String, u16> {
        let Some(call) = self.calls.get_mut(&leg) else { return Err(481) };
        if let Some(text) = call.described.clone() {
            return self.open_sound(leg).then_some(text).ok_or(503);
        }
        let (agreed, text) = match offered(request) {
            Ok(Some(offer)) => {
                let key = |theirs: &sdp::Crypto| new_key(theirs.tag, theirs.suite);
                let answer = sdp::answer(&offer, &call.local, call.srtp, key);
                answer.map(|(agreed, text)| (Some(agreed), text)).map_err(|_| 488_u16)?
            }
            // Without an offer ours goes with the answer, and theirs comes with the ACK.
            Ok(None) => {
                let secure = call.srtp == Srtp::Required;
                call.key = secure.then(|| new_key(1, sdp::Suite::AesCm128HmacSha1_80));
                call.awaits_answer = true;
                (None, sdp::offer(&call.local, call.key.as_ref()))
            }
            Err(_) => return Err(488),
        };
        call.described = Some(text.clone());
        if let Some(agreed) = agreed {
            self.agree(leg, agreed);
        }
        if !self.open_sound(leg) {
            return Err(503);
        }
        Ok(text)
    }

    /// Voice lets the caller hear something before the call is answered (183).
    ///
    /// An offer of ours is not for it. Who can acknowledge it does (RFC 3262).
    pub(crate) async fn progress(&mut self, leg: Sid) {
        let Some(call) = self.calls.get(&leg) else { return };
        let Some(id) = call.invite.filter(|_| call.stage == Stage::Ringing) else { return };
        let (tag, flow) = (call.tag.clone(), call.flow);
        let Some(request) = self.transactions.request(id).cloned() else { return };
        let has_offer = offered(&request).is_ok_and(|offer| offer.is_some());
        if !has_offer {
            return;
        }
        // What cannot be agreed on now is refused when the call is answered.
        let Ok(text) = self.describe(leg, &request) else { return };
        let mut response = request.response(183, "", Some(&tag));
        self.add_way(&request, flow, &mut response);
        response.headers.add("Content-Type", "application/sdp");
        response.body = text.into_bytes();
        match reliable::wish(&request) {
            Wish::None => self.respond(id, &response).await,
            Wish::Supported | Wish::Required => self.respond_reliably(id, response).await,
        }
    }

    /// How requests within the call come to us.
    fn add_way(&self, request: &Request, flow: Option<Flow>, response: &mut Response) {
        for route in request.headers.all("Record-Route") {
            response.headers.add("Record-Route", route);
        }
        if let Some(flow) = flow {
            let user = user_of(request.headers.get("To").unwrap_or_default());
            response.headers.add("Contact", self.contact(flow, &user));
        }
    }

    /// Voice wants the call answered.
    pub(crate) async fn answer(&mut self, leg: Sid) {
        let Some(call) = self.calls.get(&leg) else { return };
        let Some(id) = call.invite.filter(|_| call.stage == Stage::Ringing) else { return };
        let (tag, flow, timer) = (call.tag.clone(), call.flow, call.timer);
        let Some(request) = self.transactions.request(id).cloned() else { return };
        let text = match self.describe(leg, &request) {
            Ok(text) => text,
            Err(code) => return self.give_up(leg, id, code).await,
        };
        let mut response = request.response(200, "", Some(&tag));
        self.add_way(&request, flow, &mut response);
        response.headers.add("Allow", check::ALLOW);
        response.headers.add("Supported", check::SUPPORTED);
        if let Some(timer) = timer {
            response.headers.add("Session-Expires", timer.header(false));
            if !timer.ours {
                response.headers.add("Require", "timer");
            }
        }
        response.headers.add("Content-Type", "application/sdp");
        response.body = text.into_bytes();
        let now = self.now();
        if let Some(call) = self.calls.get_mut(&leg) {
            call.stage = Stage::Answered;
            call.answered = Some(Instant::now());
            call.refreshed = now;
        }
        self.respond(id, &response).await;
    }

    /// Voice has answered the call, and it cannot be: Voice is told that it is over.
    async fn give_up(&mut self, leg: Sid, id: Id, code: u16) {
        if let Some(call) = self.calls.get(&leg).filter(|_| code == 503) {
            self.alert(call.account, leg, FULL.0, FULL.1).await;
        }
        self.refuse(id, &Fault::new(code, "")).await;
        self.finish(leg, Some(Ending::Failed)).await;
    }

    /// The ACK of a success of ours.
    pub(crate) async fn on_ack(&mut self, id: Id, request: &Request) {
        let leg = self.invites.get(&id).copied();
        let Some(call) = leg.and_then(|leg| self.calls.get_mut(&leg)) else { return };
        let leg = call.leg;
        if call.awaits_answer {
            call.awaits_answer = false;
            let answer = offered(request).ok().flatten();
            let agreed = answer.and_then(|a| sdp::accept(&a, &call.local, call.key.as_ref()).ok());
            match agreed {
                Some(agreed) => self.agree(leg, agreed),
                None => {
                    let account = call.account;
                    self.alert(account, leg, 32102, "the ACK has no usable answer").await;
                    self.bye(leg, "SIP;cause=488;text=\"No usable answer\"").await;
                    return self.finish(leg, Some(Ending::HungUp)).await;
                }
            }
        }
        let Some(call) = self.calls.get_mut(&leg) else { return };
        match call.stage {
            Stage::Answered => {
                call.stage = Stage::Talking;
                let note = note(call);
                self.reports.add(Deed::Keep(leg, note)).await;
            }
            Stage::Ending => {
                self.bye(leg, "Q.850;cause=16;text=\"Normal call clearing\"").await;
                self.finish(leg, None).await;
            }
            Stage::Ringing | Stage::Talking => {}
        }
    }

    pub(crate) async fn on_ack_missing(&mut self, id: Id) {
        let Some(leg) = self.invites.get(&id).copied() else { return };
        let Some(call) = self.calls.get(&leg) else { return };
        let (account, ending) = (call.account, call.stage == Stage::Ending);
        if call.stage == Stage::Talking {
            // Of a later INVITE: the call goes on as it was (RFC 3261 §14.2 would end it).
            return;
        }
        self.alert(account, leg, 32022, "the ACK of the SIP endpoint has not come").await;
        self.bye(leg, "SIP;cause=408;text=\"ACK timeout\"").await;
        self.finish(leg, (!ending).then_some(Ending::HungUp)).await;
    }

    pub(crate) async fn on_cancel(&mut self, id: Id, request: &Request) {
        if let Some(gave_up) = self.waiting.get_mut(&id) {
            *gave_up = true;
            return self.refuse(id, &Fault::new(487, "")).await;
        }
        let leg = self.invites.get(&id).copied();
        let Some(call) = leg.and_then(|leg| self.calls.get(&leg)) else { return };
        let (leg, tag) = (call.leg, call.tag.clone());
        let _ = request;
        if let Some(invite) = self.transactions.request(id) {
            let response = invite.response(487, "", Some(&tag));
            self.respond(id, &response).await;
        }
        self.finish(leg, Some(Ending::HungUp)).await;
    }
}

/// The session description of a message; a body that is none is a fault.
pub(crate) fn offered(request: &Request) -> Result<Option<sdp::Description>, Fault> {
    let kind = request.headers.get("Content-Type").unwrap_or_default();
    let Some(text) = check::session(kind, &request.body) else { return Ok(None) };
    sdp::parse(text).map(Some).map_err(|_| Fault::new(400, "Malformed Session Description"))
}

/// What it takes to hang up after a restart.
#[derive(serde::Serialize, serde::Deserialize)]
pub(crate) struct Note {
    pub account: Sid,
    pub call_id: String,
    pub local: String,
    pub remote: String,
    pub target: String,
    pub route: Vec<String>,
    pub cseq: u32,
    pub transport: String,
    pub address: String,
}

pub(crate) fn note(call: &Call) -> String {
    let (Some(dialog), Some(flow)) = (&call.dialog, call.flow) else {
        return call.account.to_string();
    };
    let note = Note {
        account: call.account,
        call_id: dialog.call_id.clone(),
        local: dialog.local.to_string(),
        remote: dialog.remote.to_string(),
        target: dialog.target.clone(),
        route: dialog.route.clone(),
        // Beyond what refreshes may have used since.
        cseq: dialog.local_cseq + 1000,
        transport: flow.transport.as_str().to_owned(),
        address: flow.remote.to_string(),
    };
    serde_json::to_string(&note).expect("a note is plain data")
}

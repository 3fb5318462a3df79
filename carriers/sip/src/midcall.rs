//! What happens within a call: holds, refreshes, keys, the end.

use audio::dtmf::Key;
use contracts::Ending;
use kernel::Sid;
use sdp::Srtp;
use sip::check::{self, Fault};
use sip::dialog::{Dialog, OutOfDialog};
use sip::message::{Request, Response};
use sip::timer::{self, TooShort};
use sip::transaction::{Flow, Id, Transport};
use sip::{Method, NameAddr};

use crate::agent::{Agent, new_key, user_of};
use crate::call::Stage;
use crate::inbound::{Note, offered};
use crate::input::Asked;
use crate::reports;
use crate::sound::renegotiated;
use crate::wires::is_socket;

/// How often a session may be refreshed that comes by a flow.
///
/// Differs: by WebSocket every 90 s, the least that RFC 4028 allows: JsSIP asks for it unless it is told
/// otherwise, and does not ask again.
pub(crate) fn least_timer(flow: Flow) -> std::time::Duration {
    if is_socket(flow.transport) { timer::LEAST } else { timer::MIN }
}

/// Calls of before a restart that are hung up.
const OLD_MAX: u32 = 100_000;

impl Agent {
    /// A request with a tag of ours.
    pub(crate) async fn on_inside(&mut self, id: Id, flow: Flow, request: Request, tag: &str) {
        if let Some(siprec) = self.recorder_tags.get(tag).copied() {
            return self.on_inside_siprec(siprec, id, &request).await;
        }
        let leg = self.tags.get(tag).copied();
        let call = leg.and_then(|leg| self.calls.get_mut(&leg));
        let Some((call, dialog)) = call.and_then(|call| {
            let dialog = call.dialog.clone()?;
            Some((call, dialog))
        }) else {
            return self.refuse(id, &Fault::new(481, "")).await;
        };
        let mut dialog = dialog;
        match dialog.take(&request) {
            Err(OutOfDialog::Unknown) => return self.refuse(id, &Fault::new(481, "")).await,
            Err(OutOfDialog::Old) => return self.refuse(id, &Fault::new(500, "")).await,
            Ok(()) => {}
        }
        let leg = call.leg;
        call.dialog = Some(dialog);
        if flow.transport.is_reliable() {
            call.flow = Some(flow);
        }
        match request.method {
            Method::Bye => {
                let response = request.response(200, "", None);
                self.respond(id, &response).await;
                let was_ours = self.calls.get(&leg).is_some_and(|c| c.stage == Stage::Ending);
                // An unanswered INVITE of theirs is over with it.
                if let Some(call) = self.calls.get(&leg)
                    && call.stage == Stage::Ringing
                    && let Some(invite) = call.invite
                {
                    self.refuse(invite, &Fault::new(487, "")).await;
                }
                self.finish(leg, (!was_ours).then_some(Ending::HungUp)).await;
            }
            Method::Invite | Method::Update => self.on_reinvite(leg, id, &request).await,
            Method::Info => self.on_info(leg, id, &request).await,
            Method::Refer => self.on_refer(leg, id, &request).await,
            Method::Prack => self.on_prack(leg, id, &request).await,
            Method::Options | Method::Notify => {
                if request.method == Method::Notify {
                    self.on_notify(leg, &request).await;
                }
                let mut response = request.response(200, "", None);
                response.headers.add("Allow", check::ALLOW);
                self.respond(id, &response).await;
            }
            _ => self.refuse(id, &Fault::new(405, "")).await,
        }
    }

    /// A hold, another codec or address, or a refresh.
    async fn on_reinvite(&mut self, leg: Sid, id: Id, request: &Request) {
        let least = self.transactions.flow(id).map_or(timer::MIN, least_timer);
        let timer = match timer::answer(request, least) {
            Ok(timer) => timer,
            Err(TooShort) => {
                let header = Some(("Min-SE", least.as_secs().to_string()));
                return self.refuse(id, &Fault { code: 422, reason: "", header }).await;
            }
        };
        let now = self.now();
        let Some(call) = self.calls.get_mut(&leg) else { return };
        if call.refreshing || call.stage == Stage::Ringing {
            return self.refuse(id, &Fault::new(491, "")).await;
        }
        let offer = match offered(request) {
            Ok(offer) => offer,
            Err(fault) => return self.refuse(id, &fault).await,
        };
        call.local.version += 1;
        let mut local = call.local;
        local.direction = sdp::Direction::Both;
        let is_invite = request.method == Method::Invite;
        let web = call.sound.web().cloned();
        let answer = match offer {
            Some(_) if let Some(peer) = web => match renegotiated(peer, request).await {
                Some(text) => Some((None, text)),
                None => return self.refuse(id, &Fault::new(488, "")).await,
            },
            Some(offer) => {
                let old = call.sound.keys();
                // The same key of theirs keeps ours: packets under way stay readable.
                let key = |theirs: &sdp::Crypto| match &old {
                    Some((ours, known)) if known == theirs => ours.clone(),
                    _ => new_key(theirs.tag, theirs.suite),
                };
                match sdp::answer(&offer, &local, call.srtp, key) {
                    Ok((agreed, text)) => Some((Some(agreed), text)),
                    Err(_) => return self.refuse(id, &Fault::new(488, "")).await,
                }
            }
            None if is_invite && call.sound.web().is_some() => {
                return self.refuse(id, &Fault::new(488, "")).await;
            }
            None if is_invite => {
                call.key = call.sound.keys().map(|(ours, _)| ours);
                call.awaits_answer = true;
                Some((None, sdp::offer(&local, call.key.as_ref())))
            }
            None => None,
        };
        let Some(call) = self.calls.get_mut(&leg) else { return };
        call.local.direction = local.direction;
        call.refreshed = now;
        call.timer = timer.or(call.timer);
        if is_invite {
            if let Some(old) = call.invite.replace(id) {
                self.invites.remove(&old);
            }
            self.invites.insert(id, leg);
        }
        let Some(call) = self.calls.get(&leg) else { return };
        let (flow, timer) = (call.flow, call.timer);
        let mut response = request.response(200, "", None);
        if let Some(flow) = flow {
            let user = user_of(request.headers.get("To").unwrap_or_default());
            response.headers.add("Contact", self.contact(flow, &user));
        }
        response.headers.add("Supported", "timer");
        if let Some(timer) = timer {
            response.headers.add("Session-Expires", timer.header(false));
        }
        if let Some((agreed, text)) = answer {
            response.headers.add("Content-Type", "application/sdp");
            response.body = text.into_bytes();
            if let Some(agreed) = agreed {
                self.agree(leg, agreed);
            }
        }
        self.respond(id, &response).await;
    }

    /// Keys by signalling; those that came beside the sound are not told twice.
    async fn on_info(&mut self, leg: Sid, id: Id, request: &Request) {
        let response = request.response(200, "", None);
        self.respond(id, &response).await;
        let Some(call) = self.calls.get(&leg) else { return };
        if !call.sound.has_keys()
            && let Some(key) = key_of(request)
        {
            self.sip.ports().engine.key(leg, key);
        }
    }

    /// Refreshes the session, or ends it if the other end should have.
    pub(crate) async fn refresh(&mut self, leg: Sid) {
        let Some(call) = self.calls.get_mut(&leg) else { return };
        let Some(timer) = call.timer else { return };
        if !timer.ours {
            self.bye(leg, "SIP;cause=408;text=\"Session expired\"").await;
            return self.finish(leg, Some(Ending::HungUp)).await;
        }
        if std::mem::replace(&mut call.refreshing, true) {
            return;
        }
        call.local.version += 1;
        call.key = call.sound.keys().map(|(ours, _)| ours);
        // A connection by WebRTC is as it is: its session is refreshed without an offer.
        let text = call.sound.rtp().map(|_| sdp::offer(&call.local, call.key.as_ref()));
        let method = if text.is_some() { Method::Invite } else { Method::Update };
        let Some(mut refresh) = call.dialog.as_mut().map(|dialog| dialog.request(method)) else {
            return;
        };
        self.add_contact(leg, &mut refresh);
        refresh.headers.add("Supported", "timer");
        refresh.headers.add("Session-Expires", timer.header(true));
        refresh.headers.add("Min-SE", timer::MIN.min(timer.interval).as_secs().to_string());
        if let Some(text) = text {
            refresh.headers.add("Content-Type", "application/sdp");
            refresh.body = text.into_bytes();
        }
        self.send_request_inside(leg, refresh, Asked::Reinvite { leg }).await;
    }

    pub(crate) async fn on_reinvite_response(&mut self, leg: Sid, id: Id, response: &Response) {
        let now = self.now();
        let Some(call) = self.calls.get_mut(&leg) else { return };
        if response.code >= 300 {
            self.asked.remove(&id);
            call.refreshing = false;
            // Anything but the end of the call leaves it as it was (RFC 3261 §14.1).
            if matches!(response.code, 408 | 481) {
                return self.on_refresh_failed(leg).await;
            }
            call.refreshed = now;
            return;
        }
        let asked = response.headers.cseq();
        let Some(dialog) = call.dialog.as_mut() else { return };
        dialog.refresh(&response.headers);
        let invited = asked.filter(|(_, method)| *method == Method::Invite);
        let ack = invited.map(|(number, _)| dialog.numbered(Method::Ack, number));
        call.refreshing = false;
        call.refreshed = now;
        call.timer = timer::agreed(&response.headers).or(call.timer);
        let Some(ack) = ack else { return };
        let kind = response.headers.get("Content-Type").unwrap_or_default();
        let answer = check::session(kind, &response.body).and_then(|text| sdp::parse(text).ok());
        let agreed = answer.and_then(|a| sdp::accept(&a, &call.local, call.key.as_ref()).ok());
        if let Some(agreed) = agreed {
            self.agree(leg, agreed);
        }
        self.send_ack(leg, ack).await;
    }

    /// Sends the ACK of a success, and remembers it for when the success comes again.
    pub(crate) async fn send_ack(&mut self, leg: Sid, mut ack: Request) {
        let Some(flow) = self.flow_inside(leg) else { return };
        ack.headers.add_first("Via", self.via(flow));
        let octets = ack.write();
        if let Some(call) = self.calls.get_mut(&leg) {
            call.ack = Some((flow, octets.clone()));
        }
        self.wires.send(flow, octets);
    }

    pub(crate) async fn on_refresh_failed(&mut self, leg: Sid) {
        self.bye(leg, "SIP;cause=408;text=\"Session refresh failed\"").await;
        self.finish(leg, Some(Ending::HungUp)).await;
    }

    /// Calls of before a restart: their sound is gone, so they are hung up.
    pub(crate) async fn end_old_calls(&mut self) {
        let notes = self.sip.parts.notes.newest("leg/", OLD_MAX).await.unwrap_or_default();
        for (key, text) in notes {
            let Ok(leg) = key.trim_start_matches("leg/").parse::<Sid>() else { continue };
            let note: Option<Note> = serde_json::from_str(&text).ok();
            let account =
                note.as_ref().map_or_else(|| text.parse().ok(), |note| Some(note.account));
            // One that nobody had answered yet has failed.
            let ending = if note.is_some() { Ending::HungUp } else { Ending::Failed };
            if let Some(note) = note {
                self.end_old_call(&note).await;
            }
            if let Some(account) = account {
                self.report(account, leg, contracts::LegEvent::Ended(ending)).await;
            }
            self.reports.add(reports::Deed::Forget(leg)).await;
        }
    }

    async fn end_old_call(&mut self, note: &Note) {
        let transport = match note.transport.as_str() {
            "TCP" => Transport::Tcp,
            "TLS" => Transport::Tls,
            // Its connection is gone.
            "WS" | "WSS" => return,
            _ => Transport::Udp,
        };
        let (Ok(local), Ok(remote), Ok(address)) =
            (NameAddr::parse(&note.local), NameAddr::parse(&note.remote), note.address.parse())
        else {
            return;
        };
        let mut dialog = Dialog {
            call_id: note.call_id.clone(),
            local,
            remote,
            target: note.target.clone(),
            route: note.route.clone(),
            local_cseq: note.cseq,
            remote_cseq: None,
        };
        let mut bye = dialog.request(Method::Bye);
        bye.headers.add("Reason", "Q.850;cause=41;text=\"Temporary failure\"");
        let flow = Flow { transport, remote: address, connection: 0 };
        self.send(flow, bye, Asked::Nothing).await;
    }

    /// Whether sound has to be protected on a call that goes to an address.
    pub(crate) fn srtp(secure: bool) -> Srtp {
        if secure { Srtp::Required } else { Srtp::Allowed }
    }
}

/// `Signal=5` of `application/dtmf-relay`, or `5` of `application/dtmf`.
fn key_of(request: &Request) -> Option<Key> {
    let kind = request.headers.get("Content-Type")?.split(';').next()?.trim().to_ascii_lowercase();
    let body = std::str::from_utf8(&request.body).ok()?;
    let signal = match kind.as_str() {
        "application/dtmf-relay" => body.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            name.trim().eq_ignore_ascii_case("signal").then(|| value.trim())
        })?,
        "application/dtmf" => body.trim(),
        _ => return None,
    };
    match signal.parse::<u8>() {
        // Some write the event's number for * and #.
        Ok(code @ 10..=15) => Key::from_event(code),
        _ => Key::new(signal.chars().next().filter(|_| signal.chars().count() == 1)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_info() {
        let key = |kind: &str, body: &str| {
            let mut request = Request::new(Method::Info, "sip:a@b");
            request.headers.add("Content-Type", kind);
            request.body = body.as_bytes().to_vec();
            key_of(&request).map(|key| key.as_char())
        };
        assert_eq!(key("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"), Some('5'));
        assert_eq!(key("application/dtmf-relay", "Signal= * \r\n"), Some('*'));
        assert_eq!(key("application/dtmf-relay", "Signal=11\r\n"), Some('#'));
        assert_eq!(key("application/DTMF", "7"), Some('7'));
        assert_eq!(key("text/plain", "7"), None);
        assert_eq!(key("application/dtmf", "77"), None);
    }
}

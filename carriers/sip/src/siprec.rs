//! Recorders (SIPREC, RFC 7866): what a leg says and hears goes to one of the configuration, as two
//! streams with labels and what they are (RFC 7865).
//!
//! A session with a recorder is a dialog of its own beside the leg's call, and ends with the leg.
//!
//! Differs: parameters of `<Siprec>` are extension data of the metadata.

use std::sync::Arc;
use std::time::Instant;

use audio::Frame;
use contracts::{LegEvent, SiprecSetup, StreamNews, Tracks};
use kernel::{Sid, Timestamp};
use media::{Fork, Port};
use sdp::{Direction, Local, Recorded, Suite};
use sip::check::{self, Fault};
use sip::dialog::Dialog;
use sip::message::{Request, Response};
use sip::transaction::{Flow, Id};
use sip::{Method, NameAddr, Uri};
use tokio::sync::mpsc;

use crate::agent::{Agent, local, new_key, token};
use crate::input::{Asked, Input};
use crate::outbound::{Miss, Target, answer_challenge};
use crate::session::{RtpPort, Session};
use crate::targets::resolve_by_operator;

const BOUNDARY: &str = "offhook-siprec";
const LABELS: [&str; 2] = ["1", "2"];

/// A session with a recorder.
pub(crate) struct Recorder {
    account: Sid,
    leg: Sid,
    setup: SiprecSetup,
    target: Option<Target>,
    tag: String,
    /// The INVITE that is not answered yet, and whether a challenge was.
    invite: Option<(Id, Request, bool)>,
    dialog: Option<Dialog>,
    sessions: Vec<Arc<Session>>,
    /// As they were offered.
    streams: Vec<Recorded>,
    srtp: bool,
    /// It is to end as soon as that may be.
    ends: bool,
}

/// What the engine gives a leg's sound to.
struct Streams {
    siprec: Sid,
    tracks: Tracks,
    ports: Vec<RtpPort>,
    inputs: mpsc::Sender<Input>,
}

impl Fork for Streams {
    fn put(&mut self, inbound: &Frame, outbound: &Frame, now: Instant) {
        let frames: &[&Frame] = match self.tracks {
            Tracks::Inbound => &[inbound],
            Tracks::Outbound => &[outbound],
            Tracks::Both | Tracks::Dual => &[inbound, outbound],
        };
        for (port, frame) in self.ports.iter_mut().zip(frames) {
            // Nothing is heard of a recorder but its reports.
            port.hear(now);
            port.say(frame, now);
        }
    }
}

impl Drop for Streams {
    /// The leg has ended, or the session.
    fn drop(&mut self) {
        let input = Input::StopSiprec { siprec: self.siprec };
        if let Err(mpsc::error::TrySendError::Full(input)) = self.inputs.try_send(input) {
            let inputs = self.inputs.clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                // Without an agent nothing has to end.
                runtime.spawn(async move { drop(inputs.send(input).await) });
            }
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `sip:` of whoever is recorded.
fn address_of(party: &str, host: &str) -> String {
    match Uri::parse(party) {
        Ok(uri) => Uri { headers: None, ..uri }.to_string(),
        Err(_) => format!("sip:{}@{host}", party.trim_start_matches("client:")),
    }
}

/// Who is heard on which stream (RFC 7865 §6).
fn metadata(setup: &SiprecSetup, call: Sid, host: &str, at: Timestamp) -> String {
    let id = |name: &str| escaped(&format!("{}-{name}", setup.siprec));
    let (session, at) = (id("session"), at.iso8601());
    let parties = [("inbound", &setup.inbound), ("outbound", &setup.outbound)];
    let labels: &[(&str, &str)] = match setup.tracks {
        Tracks::Inbound => &[("inbound", LABELS[0])],
        Tracks::Outbound => &[("outbound", LABELS[0])],
        Tracks::Both | Tracks::Dual => &[("inbound", LABELS[0]), ("outbound", LABELS[1])],
    };
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n\
         <recording xmlns=\"urn:ietf:params:xml:ns:recording:1\"><datamode>complete</datamode>\
         <session session_id=\"{session}\"><sipSessionID>{call}</sipSessionID>\
         <start-time>{at}</start-time></session>"
    );
    for (name, party) in parties {
        let address = escaped(&address_of(party, host));
        out += &format!(
            "<participant participant_id=\"{}\"><nameID aor=\"{address}\"/></participant>",
            id(name)
        );
    }
    for (name, label) in labels {
        out += &format!(
            "<stream stream_id=\"{}\" session_id=\"{session}\"><label>{label}</label></stream>",
            id(&format!("{name}-stream"))
        );
    }
    out += &format!(
        "<sessionrecordingassoc session_id=\"{session}\"><associate-time>{at}</associate-time>\
         </sessionrecordingassoc>"
    );
    for (name, _) in parties {
        out += &format!(
            "<participantsessionassoc participant_id=\"{}\" session_id=\"{session}\">\
             <associate-time>{at}</associate-time></participantsessionassoc>",
            id(name)
        );
    }
    for (name, _) in labels {
        out += &format!(
            "<participantstreamassoc participant_id=\"{}\"><send>{}</send></participantstreamassoc>",
            id(name),
            id(&format!("{name}-stream"))
        );
    }
    if !setup.parameters.is_empty() {
        out += "<extensiondata xmlns:offhook=\"urn:offhook:siprec\">";
        for (name, value) in &setup.parameters {
            let (name, value) = (escaped(name), escaped(value));
            out += &format!("<offhook:parameter name=\"{name}\">{value}</offhook:parameter>");
        }
        out += "</extensiondata>";
    }
    out + "</recording>\r\n"
}

impl Agent {
    /// Voice wants a leg's sound recorded elsewhere.
    pub(crate) async fn start_siprec(&mut self, account: Sid, leg: Sid, setup: SiprecSetup) {
        let sid = setup.siprec;
        if self.recorders.contains_key(&sid) {
            return;
        }
        let config = &self.sip.config;
        let found = config.recorders.iter().find(|known| known.name == setup.connector).cloned();
        let has_room = self.recorders.len() < config.calls_max;
        let recorder = Recorder {
            account,
            leg,
            setup,
            target: None,
            tag: token(),
            invite: None,
            dialog: None,
            sessions: Vec::new(),
            streams: Vec::new(),
            srtp: found.as_ref().is_some_and(|found| found.srtp),
            ends: false,
        };
        self.recorders.insert(sid, recorder);
        let Some(found) = found.filter(|_| has_room) else {
            return self.siprec_failed(sid, "there is no such recorder, or no room for it").await;
        };
        let sip = self.sip.clone();
        tokio::spawn(async move {
            let target = match Uri::parse(&found.uri) {
                Ok(uri) => {
                    let password = found.password.as_ref().map(|secret| secret.0.clone());
                    resolve_by_operator(uri, found.username.clone().zip(password)).await
                }
                Err(_) => Err(Miss { code: 484, alert: None }),
            };
            let target = target.ok().map(Box::new);
            // Without an agent nothing is recorded.
            let _ = sip.inputs.send(Input::SiprecFound { siprec: sid, target }).await;
        });
    }

    async fn siprec_news(&self, sid: Sid, news: StreamNews) {
        let Some(recorder) = self.recorders.get(&sid) else { return };
        let (account, leg) = (recorder.account, recorder.leg);
        self.report(account, leg, LegEvent::Siprec { siprec: sid, news }).await;
    }

    async fn siprec_failed(&mut self, sid: Sid, why: &str) {
        let why = format!("the SIPREC recorder: {why}");
        self.siprec_news(sid, StreamNews::Failed { code: 32011, why, is_over: true }).await;
        self.forget_recorder(sid);
    }

    fn forget_recorder(&mut self, sid: Sid) {
        if let Some(recorder) = self.recorders.remove(&sid) {
            self.recorder_tags.remove(&recorder.tag);
            self.sip.ports().engine.unfork(recorder.leg, sid);
        }
    }

    /// It is known where the recorder is: it is invited.
    pub(crate) async fn siprec_found(&mut self, sid: Sid, target: Option<Target>) {
        let Some(target) = target else {
            return self.siprec_failed(sid, "its address leads nowhere").await;
        };
        if let Some(name) = &target.tls_name {
            self.wires.name(target.flow.remote, name);
        }
        let address = self.wires.address_to(target.flow.remote.ip());
        let shown = self.sip.config.external_address.unwrap_or(address);
        let own = self.wires.advertised(target.flow.transport, target.flow.remote.ip());
        let contact = self.contact(target.flow, "recording");
        let now = self.sip.now();
        let config = &self.sip.config;
        let Some(recorder) = self.recorders.get_mut(&sid) else { return };
        if recorder.ends {
            return self.siprec_stopped(sid).await;
        }
        let count =
            if matches!(recorder.setup.tracks, Tracks::Both | Tracks::Dual) { 2 } else { 1 };
        for label in LABELS.into_iter().take(count) {
            let Ok(session) = Session::open(address, config.rtp_ports, false) else {
                return self.siprec_failed(sid, "there is no port left for sound").await;
            };
            let local = Local { direction: Direction::SendOnly, ..local(session.port, shown) };
            recorder.sessions.push(session);
            let key = recorder.srtp.then(|| new_key(1, Suite::AesCm128HmacSha1_80));
            recorder.streams.push(Recorded { local, label, key });
        }
        let host = own.ip().to_string();
        let mut request = Request::new(Method::Invite, target.uri.clone());
        let from = NameAddr {
            display: None,
            address: Uri::new(Some("recording"), &host, None).to_string(),
            params: vec![("tag".to_owned(), Some(recorder.tag.clone()))],
        };
        let headers = &mut request.headers;
        headers.add("Max-Forwards", "70");
        headers.add("From", from.to_string());
        headers.add("To", format!("<{}>", target.uri));
        headers.add("Call-ID", format!("{}{}@offhook", token(), token()));
        headers.add("CSeq", "1 INVITE");
        headers.add("Contact", format!("{contact};+sip.src"));
        headers.add("Require", "siprec");
        headers.add("Allow", check::ALLOW);
        headers.add("X-Twilio-CallSid", recorder.leg.to_string());
        headers.add("X-Twilio-AccountSid", recorder.account.to_string());
        headers.add("Content-Type", format!("multipart/mixed;boundary={BOUNDARY}"));
        request.body = format!(
            "--{BOUNDARY}\r\nContent-Type: application/sdp\r\n\r\n{}\r\n\
             --{BOUNDARY}\r\nContent-Type: application/rs-metadata+xml\r\n\
             Content-Disposition: recording-session\r\n\r\n{}\r\n--{BOUNDARY}--\r\n",
            sdp::offer_recording(&recorder.streams),
            metadata(&recorder.setup, recorder.leg, &host, now),
        )
        .into_bytes();
        self.recorder_tags.insert(recorder.tag.clone(), sid);
        recorder.target = Some(target);
        self.invite_recorder(sid, request, false).await;
    }

    async fn invite_recorder(&mut self, sid: Sid, mut request: Request, answers: bool) {
        let Some(target) = self.recorders.get(&sid).and_then(|known| known.target.clone()) else {
            return;
        };
        request.headers.add_first("Via", self.via(target.flow));
        let sent = self.transactions.send(target.flow, request.clone(), self.now());
        let Ok((id, events)) = sent else {
            return self.siprec_failed(sid, "there is no room for it").await;
        };
        self.asked.insert(id, Asked::Siprec { siprec: sid });
        if let Some(recorder) = self.recorders.get_mut(&sid) {
            recorder.invite = Some((id, request, answers));
        }
        Box::pin(self.on_events(events)).await;
    }

    /// What the recorder says to the invitation.
    pub(crate) async fn on_siprec_response(
        &mut self,
        sid: Sid,
        id: Id,
        flow: Flow,
        response: Response,
    ) {
        if response.code < 200 {
            return;
        }
        let recorder = self.recorders.get_mut(&sid);
        let invite =
            recorder.and_then(|recorder| recorder.invite.take_if(|(known, ..)| *known == id));
        let Some((_, request, answered)) = invite else {
            // The success again, or one of what is over.
            return self.acknowledge_recorder(sid, id, flow, &response).await;
        };
        if response.code >= 300 {
            self.asked.remove(&id);
            if self.recorders.get(&sid).is_some_and(|recorder| recorder.ends) {
                return self.siprec_stopped(sid).await;
            }
            let target = self.recorders.get(&sid).and_then(|recorder| recorder.target.clone());
            let answer =
                target.and_then(|target| answer_challenge(&request, &target, answered, &response));
            let Some((name, value)) = answer else {
                let why = format!("it answers {} {}", response.code, response.reason);
                return self.siprec_failed(sid, &why).await;
            };
            let mut again = request;
            let number = again.headers.cseq().map_or(1, |(number, _)| number) + 1;
            again.headers.remove("Via");
            again.headers.set("CSeq", format!("{number} INVITE"));
            again.headers.set(&name, value);
            return self.invite_recorder(sid, again, true).await;
        }
        let kind = response.headers.get("Content-Type").unwrap_or_default();
        let answer = check::session(kind, &response.body).and_then(|text| sdp::parse(text).ok());
        let Some(recorder) = self.recorders.get_mut(&sid) else { return };
        recorder.dialog = Dialog::of_response(&request, &response);
        let agreed =
            answer.and_then(|answer| sdp::accept_recording(&answer, &recorder.streams).ok());
        self.acknowledge_recorder(sid, id, flow, &response).await;
        let Some(agreed) = agreed else {
            self.bye_recorder(sid, "SIP;cause=488;text=\"No usable answer\"").await;
            return self.siprec_failed(sid, "its answer has no usable session").await;
        };
        let Some(recorder) = self.recorders.get_mut(&sid) else { return };
        for (session, agreed) in recorder.sessions.iter().zip(agreed) {
            session.agree(agreed);
        }
        let streams = Box::new(Streams {
            siprec: sid,
            tracks: recorder.setup.tracks,
            ports: recorder.sessions.iter().cloned().map(RtpPort).collect(),
            inputs: self.sip.inputs.clone(),
        });
        let (leg, ends) = (recorder.leg, recorder.ends);
        // A leg that has ended drops them, and the session ends.
        if !ends {
            self.sip.ports().engine.fork(leg, sid, streams);
            self.siprec_news(sid, StreamNews::Started).await;
        } else {
            self.stop_siprec(sid).await;
        }
    }

    async fn acknowledge_recorder(&mut self, sid: Sid, id: Id, flow: Flow, response: &Response) {
        if !(200..300).contains(&response.code) {
            return;
        }
        let known = self.recorders.get(&sid).and_then(|recorder| recorder.dialog.clone());
        let made = || Dialog::of_response(self.transactions.request(id)?, response);
        let Some(dialog) = known.or_else(made) else { return };
        let number = response.headers.cseq().map_or(1, |(number, _)| number);
        let mut ack = dialog.numbered(Method::Ack, number);
        ack.headers.add_first("Via", self.via(flow));
        self.wires.send(flow, ack.write());
    }

    /// Ends a session with a recorder, as soon as that may be.
    pub(crate) async fn stop_siprec(&mut self, sid: Sid) {
        let Some(recorder) = self.recorders.get_mut(&sid) else { return };
        recorder.ends = true;
        if let Some((id, ..)) = &recorder.invite {
            let id = *id;
            return self.cancel(id, "SIP;cause=487;text=\"Recording stopped\"").await;
        }
        if recorder.dialog.is_some() {
            self.bye_recorder(sid, "Q.850;cause=16;text=\"Normal call clearing\"").await;
            self.siprec_stopped(sid).await;
        }
    }

    async fn siprec_stopped(&mut self, sid: Sid) {
        self.siprec_news(sid, StreamNews::Stopped).await;
        self.forget_recorder(sid);
    }

    pub(crate) async fn bye_recorder(&mut self, sid: Sid, reason: &str) {
        let Some(recorder) = self.recorders.get_mut(&sid) else { return };
        let (Some(dialog), Some(target)) = (&mut recorder.dialog, &recorder.target) else { return };
        let (mut bye, flow) = (dialog.request(Method::Bye), target.flow);
        bye.headers.add("Reason", reason);
        self.send(flow, bye, Asked::Nothing).await;
    }

    /// A recorder says nothing.
    pub(crate) async fn on_siprec_timeout(&mut self, sid: Sid) {
        match self.recorders.get(&sid).map(|recorder| recorder.ends) {
            Some(true) => self.siprec_stopped(sid).await,
            Some(false) => self.siprec_failed(sid, "it does not answer").await,
            None => {}
        }
    }

    /// A request of a recorder.
    pub(crate) async fn on_inside_siprec(&mut self, sid: Sid, id: Id, request: &Request) {
        let Some(recorder) = self.recorders.get_mut(&sid) else { return };
        let taken = recorder.dialog.as_mut().map(|dialog| dialog.take(request).is_ok());
        if taken != Some(true) {
            return self.refuse(id, &Fault::new(481, "")).await;
        }
        match request.method {
            Method::Bye => {
                self.respond(id, &request.response(200, "", None)).await;
                self.siprec_stopped(sid).await;
            }
            // The streams are as they were offered.
            Method::Invite => self.refuse(id, &Fault::new(488, "")).await,
            Method::Options | Method::Update | Method::Info | Method::Notify => {
                self.respond(id, &request.response(200, "", None)).await;
            }
            _ => self.refuse(id, &Fault::new(405, "")).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_say_who_is_heard_where() {
        let setup = SiprecSetup {
            siprec: Sid::from_parts("SR", 1),
            connector: "archive".into(),
            tracks: Tracks::Dual,
            inbound: "+14155550111".into(),
            outbound: "sip:a@b?X-A=1".into(),
            parameters: vec![("order".into(), "<7>".into())],
        };
        let at = Timestamp::from_seconds(1000);
        let text = metadata(&setup, Sid::from_parts("CA", 2), "192.0.2.1", at);
        for part in [
            "<nameID aor=\"sip:+14155550111@192.0.2.1\"/>",
            "<nameID aor=\"sip:a@b\"/>",
            "<label>1</label>",
            "<label>2</label>",
            "<offhook:parameter name=\"order\">&lt;7&gt;</offhook:parameter>",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let one = SiprecSetup { tracks: Tracks::Outbound, ..setup };
        let text = metadata(&one, Sid::from_parts("CA", 2), "192.0.2.1", at);
        assert!(text.contains("<label>1</label>") && !text.contains("<label>2</label>"));
        assert!(text.contains("outbound-stream") && !text.contains("inbound-stream"));
    }
}

//! Transfers (RFC 3515): REFER of the other end, which Voice decides about, and REFER of ours.

use std::time::Duration;

use contracts::{LegEvent, Transfer};
use kernel::Sid;
use sip::check::Fault;
use sip::dialog::Replaces;
use sip::message::{Request, Response};
use sip::transaction::Id;
use sip::uri::unescaped;
use sip::{Method, NameAddr};

use crate::agent::Agent;
use crate::call::Stage;
use crate::input::Asked;

/// How long the other end has to say what became of a REFER of ours.
const NEWS: Duration = Duration::from_secs(60);
/// Characters of a `Refer-To`.
const TARGET_MAX: usize = 1024;

/// The REFERs of one call, one of each end at a time.
#[derive(Debug, Default)]
pub(crate) struct Refers {
    /// Theirs, which Voice has not decided about.
    asked: Option<Id>,
    /// Theirs was taken up: it is told how that goes.
    tells: bool,
    /// Ours, until it is known what became of it.
    sent: Option<Sent>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    /// 202 until something else was answered.
    response: u16,
    until: Duration,
}

/// `Replaces` of an address.
fn replaced(headers: &str) -> Option<Replaces> {
    let value = headers.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.eq_ignore_ascii_case("replaces").then(|| unescaped(value))
    })?;
    Replaces::parse(&value)
}

/// The status of a piece of SIP (`SIP/2.0 180 Ringing`).
fn status_of(body: &[u8]) -> Option<u16> {
    let line = body.split(|c| *c == b'\r' || *c == b'\n').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    words.next().filter(|version| version.eq_ignore_ascii_case("SIP/2.0"))?;
    words.next()?.parse().ok().filter(|code| (100..700).contains(code))
}

impl Agent {
    /// The other end wants whom it talks to elsewhere: Voice decides.
    pub(crate) async fn on_refer(&mut self, leg: Sid, id: Id, request: &Request) {
        let Some(call) = self.calls.get_mut(&leg) else { return };
        if call.stage != Stage::Talking || call.refers.asked.is_some() || call.refers.tells {
            return self.refuse(id, &Fault::new(491, "")).await;
        }
        let bad = Fault::new(400, "Malformed Refer-To");
        let mut all = request.headers.all("Refer-To");
        let (Some(text), None) = (all.next(), all.next()) else {
            return self.refuse(id, &bad).await;
        };
        let to = NameAddr::parse(text).ok().map(|to| to.address);
        let Some(to) = to.filter(|to| to.len() <= TARGET_MAX) else {
            return self.refuse(id, &bad).await;
        };
        call.refers.asked = Some(id);
        let account = call.account;
        let headers = to.split_once('?').map(|(_, headers)| headers);
        let instead_of = headers.and_then(replaced).map(|replaces| {
            let other = self.named(&replaces).filter(|other| other.account == account);
            other.map(|other| other.leg)
        });
        match instead_of {
            // The call that it names is not here.
            Some(None) => {
                if let Some(call) = self.calls.get_mut(&leg) {
                    call.refers.asked = None;
                }
                self.refuse(id, &Fault::new(481, "")).await;
            }
            found => {
                let instead_of = found.flatten();
                self.report(account, leg, LegEvent::Transfer { to, instead_of }).await;
            }
        }
    }

    /// What Voice says of it.
    pub(crate) async fn on_transfer(&mut self, leg: Sid, news: &Transfer) {
        let Some(call) = self.calls.get_mut(&leg) else { return };
        match (news, call.refers.asked.take()) {
            (Transfer::Refused { code }, Some(id)) => {
                let header = Some(("X-Twilio-Error", format!("{code} Transfer not allowed")));
                self.refuse(id, &Fault { code: 603, reason: "", header }).await;
            }
            (Transfer::Begun, Some(id)) => {
                call.refers.tells = true;
                let Some(request) = self.transactions.request(id) else { return };
                let response = request.response(202, "", None);
                self.respond(id, &response).await;
                self.notify(leg, 100, "active;expires=60").await;
            }
            (Transfer::Over { response }, _) if std::mem::take(&mut call.refers.tells) => {
                self.notify(leg, *response, "terminated;reason=noresource").await;
            }
            _ => {}
        }
    }

    /// Tells the other end how its REFER goes.
    async fn notify(&mut self, leg: Sid, code: u16, state: &str) {
        let call = self.calls.get_mut(&leg);
        let dialog = call.and_then(|call| call.dialog.as_mut());
        let Some(mut notify) = dialog.map(|dialog| dialog.request(Method::Notify)) else { return };
        let headers = &mut notify.headers;
        headers.add("Event", "refer");
        headers.add("Subscription-State", state);
        headers.add("Content-Type", "message/sipfrag;version=2.0");
        let reason = sip::message::phrase(code);
        notify.body = format!("SIP/2.0 {code} {reason}\r\n").into_bytes();
        self.add_contact(leg, &mut notify);
        self.send_request_inside(leg, notify, Asked::Nothing).await;
    }

    /// Sends the other end elsewhere.
    pub(crate) async fn refer(&mut self, leg: Sid, to: &str) {
        let until = self.now() + NEWS;
        let Some(call) = self.calls.get_mut(&leg) else { return };
        let account = call.account;
        let is_free =
            matches!(call.stage, Stage::Talking | Stage::Answered) && call.refers.sent.is_none();
        let Some(dialog) = call.dialog.as_mut().filter(|_| is_free) else {
            let event = LegEvent::Referred { response: 491, notified: None };
            return self.report(account, leg, event).await;
        };
        let mut refer = dialog.request(Method::Refer);
        refer.headers.add("Refer-To", format!("<{to}>"));
        refer.headers.add("Referred-By", format!("<{}>", dialog.local.address));
        call.refers.sent = Some(Sent { response: 202, until });
        self.add_contact(leg, &mut refer);
        if self.send_request_inside(leg, refer, Asked::Refer { leg }).await.is_none() {
            self.refer_over(leg, Some(503), None).await;
        }
    }

    pub(crate) async fn on_refer_response(&mut self, leg: Sid, response: &Response) {
        if response.code >= 300 {
            return self.refer_over(leg, Some(response.code), None).await;
        }
        let sent = self.calls.get_mut(&leg).and_then(|call| call.refers.sent.as_mut());
        if let Some(sent) = sent {
            sent.response = response.code;
        }
    }

    /// The other end tells how a REFER of ours goes.
    pub(crate) async fn on_notify(&mut self, leg: Sid, request: &Request) {
        let event = request.headers.get("Event").unwrap_or_default();
        if !event.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("refer") {
            return;
        }
        let status = status_of(&request.body).filter(|code| *code >= 200);
        let state = request.headers.get("Subscription-State").unwrap_or_default();
        if status.is_some() || state.trim_start().starts_with("terminated") {
            self.refer_over(leg, None, status).await;
        }
    }

    /// It is known, as far as it will be, what became of a REFER of ours.
    pub(crate) async fn refer_over(&mut self, leg: Sid, code: Option<u16>, told: Option<u16>) {
        let Some(call) = self.calls.get_mut(&leg) else { return };
        let Some(sent) = call.refers.sent.take() else { return };
        let (account, response) = (call.account, code.unwrap_or(sent.response));
        self.report(account, leg, LegEvent::Referred { response, notified: told }).await;
    }

    /// Those of ours about which nothing more will be told.
    pub(crate) async fn check_refers(&mut self, now: Duration) {
        let is_late = |sent: &Sent| now >= sent.until;
        let late = |call: &crate::call::Call| call.refers.sent.as_ref().is_some_and(is_late);
        let late: Vec<Sid> =
            self.calls.values().filter(|call| late(call)).map(|call| call.leg).collect();
        for leg in late {
            self.refer_over(leg, None, None).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_is_read() {
        let told = |text: &str| replaced(text).map(|it| (it.call_id, it.local_tag, it.remote_tag));
        let expected = Some(("c1@h".to_owned(), "ours".to_owned(), "theirs".to_owned()));
        assert_eq!(told("Replaces=c1%40h%3Bto-tag%3Dours%3Bfrom-tag%3Dtheirs"), expected);
        assert_eq!(told("X-A=1&replaces=c1%40h%3Bfrom-tag%3Dtheirs%3Bto-tag%3Dours"), expected);
        assert_eq!(told("Replaces=c1%40h%3Bto-tag%3Dours"), None);
        assert_eq!(told("X-A=1"), None);
    }

    #[test]
    fn news_are_read_from_a_piece_of_sip() {
        for (body, expected) in [
            ("SIP/2.0 100 Trying\r\n", Some(100)),
            ("SIP/2.0 486 Busy Here", Some(486)),
            ("sip/2.0 200 OK\r\nX: y\r\n", Some(200)),
            ("SIP/2.0 99999 x", None),
            ("HTTP/1.1 200 OK", None),
            ("", None),
        ] {
            assert_eq!(status_of(body.as_bytes()), expected, "{body}");
        }
    }
}

//! Transfers (media §4.6): one of two who talk wants the other to go on with somebody else (REFER), or
//! a document wants it of its caller (`<Refer>`).
//!
//! With whoever is transferred the document of `referUrl` goes on, or of a trunk one that dials the new
//! party; who transfers hears how it went and is let go.
//!
//! Differs: what `referUrl` answers is run for the party that stays, not for the one who transfers;
//! which one Twilio means is unconfirmed.
//! Differs: a transfer by `Replaces` brings the two into a conference, which is shown as one.
//! Differs: `ReferCallStatus` is `completed` or `failed`; who is sent elsewhere and goes without a word
//! about it has completed it.
//! Differs: a `Dial` whose own caller transfers does not ask its `action`.

use contracts::{Order, SipTransfers, Transfer, TransferMode};
use jobs::Failure;
use kernel::Sid;
use serde::{Deserialize, Serialize};
use store::AccountStore;
use twiml::voice::{Element, Input, Params, Source, TargetKind};

use crate::act::{Act, retry};
use crate::call::{Call, Live};
use crate::letter::What;
use crate::lifecycle::Status;
use crate::sip::{address, escaped};

/// How a call goes on that was transferred.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Transferred {
    by: Sid,
    source: Source,
    params: Params,
    /// It has not succeeded before somebody has answered.
    waits: bool,
}

/// Why there is no transfer: a code of the error table, and words.
type Refusal = (u32, &'static str);

/// Two who talk, seen from the one who transfers.
struct Talk {
    other: Sid,
    /// The `Dial` that brought them together, and the trunk of the call that has it.
    verb: Element,
    trunk: Option<Sid>,
    /// What the new party may see: who is transferred, and who transfers.
    transferee: String,
    transferor: String,
}

/// The talk of a call with one that it dialled, or that dialled it.
async fn talk_of(store: &AccountStore, call: &Call, live: &Live) -> Result<Option<Talk>, Failure> {
    let is_trunk_side =
        |dialler: &Call, dials: bool| dials == (dialler.direction == "trunking-terminating");
    if let Some(dial) = &live.dial {
        let is_queue = dial.plan.targets.iter().any(|target| target.kind == TargetKind::Queue);
        let (transferor, transferee) = ends(call);
        return Ok(dial.winner.filter(|_| !is_queue).map(|other| Talk {
            other,
            verb: dial.plan.verb.clone(),
            trunk: call.setup.trunk.filter(|_| is_trunk_side(call, true)),
            transferee,
            transferor,
        }));
    }
    let Some(parent) = call.parent else { return Ok(None) };
    let Some(mut parent) = Call::load(store, parent).await? else { return Ok(None) };
    let dial = parent.live.take().and_then(|live| live.dial);
    let (transferee, transferor) = ends(&parent);
    Ok(dial.filter(|dial| dial.winner == Some(call.sid)).map(|dial| Talk {
        other: parent.sid,
        verb: dial.plan.verb,
        trunk: parent.setup.trunk.filter(|_| is_trunk_side(&parent, false)),
        transferee,
        transferor,
    }))
}

/// The party of a call, and whom it talks to, as it was called.
fn ends(call: &Call) -> (String, String) {
    match call.is_incoming() {
        true => (call.from.clone(), call.to.clone()),
        false => (call.to.clone(), call.from.clone()),
    }
}

/// Where a transfer by a trunk goes.
#[derive(Debug, PartialEq, Eq)]
enum Goal {
    Number(String),
    Sip(String),
}

/// Reads a `Refer-To`: a telephone number, as a number or at a host that is a trunk's own, or an
/// address of SIP.
fn goal(to: &str, is_trunk: impl Fn(&str) -> bool) -> Option<Goal> {
    let number = |text: &str| {
        let plain: String =
            text.split(';').next().unwrap_or_default().replace(['-', '.', '(', ')', ' '], "");
        numbering::E164::parse(&plain).ok().map(|number| number.to_string())
    };
    if let Some(rest) = to.strip_prefix("tel:") {
        return number(rest).map(Goal::Number);
    }
    let uri = sip::Uri::parse(to).ok()?;
    let is_phone = uri.param("user") == Some("phone") || is_trunk(&uri.host);
    match uri.user.as_deref().and_then(number).filter(|_| is_phone) {
        Some(number) => Some(Goal::Number(number)),
        None => address(to).map(Goal::Sip),
    }
}

/// The document that calls the goal of a trunk's transfer.
fn dialling(goal: Goal, rule: SipTransfers, talk: &Talk) -> Result<Source, Refusal> {
    let (noun, to) = match (goal, rule.mode) {
        (_, TransferMode::Nobody) => return Err(NOT_ALLOWED),
        (Goal::Number(_), TransferMode::SipOnly) => {
            return Err((32218, "the trunk may transfer to SIP addresses only"));
        }
        (Goal::Number(number), TransferMode::Anybody) => ("Number", number),
        (Goal::Sip(uri), _) => ("Sip", uri),
    };
    let caller = if rule.from_transferor { &talk.transferor } else { &talk.transferee };
    let (caller, to) = (escaped(caller), escaped(&to));
    Ok(Source::Inline(format!(
        "<Response><Dial callerId=\"{caller}\"><{noun}>{to}</{noun}></Dial></Response>"
    )))
}

const NOT_ALLOWED: Refusal = (32218, "the call may not be transferred");

/// What became of a Dial, as SIP says it.
fn response_of(status: &str) -> u16 {
    match status {
        "busy" => 486,
        "no-answer" => 480,
        "canceled" => 487,
        _ => 503,
    }
}

impl Act<'_> {
    /// `<Refer>`: only a leg of SIP can be sent elsewhere.
    pub fn refer(&mut self, to: &str) {
        let is_sip = self.call.setup.network.iter().any(|(name, _)| name == "SipCallId");
        let (code, why) = match (is_sip, address(to)) {
            (true, Some(to)) => return self.order(Order::Refer { to }),
            (true, None) => (32110, format!("<Refer> to '{to}', which is no SIP address")),
            (false, _) => (13801, "<Refer> works on SIP legs only, and this is none".to_owned()),
        };
        self.alert(code, &why);
        self.tell(Input::Referred(vec![("ReferCallStatus".to_owned(), "failed".to_owned())]));
    }

    /// What became of it.
    pub fn referred(&mut self, response: u16, notified: Option<u16>) {
        let is_fine = (200..300).contains(&notified.unwrap_or(response));
        let status = if is_fine { "completed" } else { "failed" };
        let mut params = vec![
            ("ReferCallStatus".to_owned(), status.to_owned()),
            ("ReferSipResponseCode".to_owned(), response.to_string()),
        ];
        let notified = notified.map(|code| code.to_string());
        params.extend(notified.map(|code| ("NotifySipResponseCode".to_owned(), code)));
        self.tell(Input::Referred(params));
    }

    /// This call's end wants the other to go on elsewhere.
    pub async fn transfer(&mut self, to: String, instead_of: Option<Sid>) -> Result<(), Failure> {
        match self.plan_transfer(&to, instead_of).await? {
            Err((code, why)) => {
                self.alert(code, why);
                self.order(Order::Transfer(Transfer::Refused { code }));
            }
            Ok(letters) => {
                self.order(Order::Transfer(Transfer::Begun));
                self.hand_over();
                for (call, what) in letters {
                    self.send(call, what);
                }
            }
        }
        Ok(())
    }

    /// Who is told what, if the transfer may be.
    async fn plan_transfer(
        &self,
        to: &str,
        instead_of: Option<Sid>,
    ) -> Result<Result<Vec<(Sid, What)>, Refusal>, Failure> {
        let talk = talk_of(self.store, &self.call, &self.live).await?;
        let Some(talk) = talk else {
            return Ok(Err((32218, "nobody talks to the one who transfers")));
        };
        let by = self.call.sid;
        let transferred = |by, source, params, waits| {
            What::Transferred(Box::new(Transferred { by, source, params, waits }))
        };
        if let Some(url) = talk.verb.get("referUrl") {
            let source =
                Source::Url { url: url.to_owned(), method: talk.verb.method("referMethod") };
            let params = vec![("ReferTransferTarget".to_owned(), to.to_owned())];
            return Ok(Ok(vec![(talk.other, transferred(by, source, params, false))]));
        }
        let Some(trunk) = talk.trunk else {
            return Ok(Err((13802, "a REFER has come, and <Dial> has no referUrl")));
        };
        let directory = &self.voice.parts.sip;
        let rule = directory.transfers(self.store.account(), trunk).await.map_err(retry)?;
        if let Some(second) = instead_of {
            let second = Call::load(self.store, second).await?;
            let (second, live) = match second.map(|mut call| (call.live.take(), call)) {
                Some((Some(live), call)) => (call, live),
                _ => return Ok(Err((32218, "the call to be replaced is over"))),
            };
            let target = talk_of(self.store, &second, &live).await?;
            let Some(target) = target.filter(|target| target.other != talk.other) else {
                return Ok(Err((32218, "nobody talks in the call to be replaced")));
            };
            let is_sip = crate::sip::is_address(&target.transferee);
            match rule.mode {
                TransferMode::Nobody => return Ok(Err(NOT_ALLOWED)),
                TransferMode::SipOnly if !is_sip => {
                    return Ok(Err((32218, "the trunk may transfer to SIP addresses only")));
                }
                _ => {}
            }
            let room = Source::Inline(format!(
                "<Response><Dial><Conference beep=\"false\" waitUrl=\"\" \
                 endConferenceOnExit=\"true\">transfer {by}</Conference></Dial></Response>"
            ));
            return Ok(Ok(vec![
                (second.sid, What::HandOver),
                (talk.other, transferred(by, room.clone(), Params::new(), false)),
                (target.other, transferred(second.sid, room, Params::new(), false)),
            ]));
        }
        let host = sip::Uri::parse(to).map(|uri| uri.host).unwrap_or_default();
        let place = directory.place(&host).await.map_err(retry)?;
        let is_trunk = place.is_some_and(|place| place.sid == trunk);
        let Some(goal) = goal(to, |_| is_trunk) else {
            return Ok(Err((32110, "Refer-To names nobody who can be called")));
        };
        let source = dialling(goal, rule, &talk);
        Ok(source.map(|source| vec![(talk.other, transferred(by, source, Params::new(), true))]))
    }

    /// The party of this call goes on without it: it waits to hear how that went.
    pub fn hand_over(&mut self) {
        if self.live.room.take().is_some() {
            self.order(Order::Leave);
        }
        self.stop_recordings("DialVerb");
        self.live.dial = None;
        self.live.machine = None;
        self.live.handed_over = true;
    }

    /// The one whom this call talked to has transferred it.
    pub async fn transferred(&mut self, how: Transferred) -> Result<(), Failure> {
        let Transferred { by, source, params, waits } = how;
        if self.is_over() {
            self.send(by, What::TransferOver { response: 487 });
            return Ok(());
        }
        if let Some(dial) = &mut self.live.dial {
            dial.forget(by);
        }
        self.replace(source, None, params).await?;
        match waits {
            true => self.live.referrer = Some(by),
            false => self.send(by, What::TransferOver { response: 200 }),
        }
        Ok(())
    }

    /// Somebody has answered to whom this call was transferred.
    pub fn transfer_succeeded(&mut self) {
        if let Some(by) = self.live.referrer.take() {
            self.send(by, What::TransferOver { response: 200 });
        }
    }

    /// Nobody has.
    pub fn transfer_failed(&mut self, status: &str) {
        if let Some(by) = self.live.referrer.take() {
            self.send(by, What::TransferOver { response: response_of(status) });
        }
    }

    /// The transfer that this call wanted has come to its end, and so does the call.
    pub fn transfer_over(&mut self, response: u16) {
        self.order(Order::Transfer(Transfer::Over { response }));
        self.hang_up(Status::Completed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk() -> Talk {
        Talk {
            other: Sid::from_parts("CA", 1),
            verb: Element::default(),
            trunk: None,
            transferee: "+14155550111".into(),
            transferor: "+14155550100".into(),
        }
    }

    #[test]
    fn a_goal_is_a_number_where_it_is_meant_as_one() {
        let number = |text: &str| Some(Goal::Number(text.to_owned()));
        let sip = |text: &str| Some(Goal::Sip(text.to_owned()));
        for (to, expected) in [
            ("tel:+1-415-555-0122", number("+14155550122")),
            ("tel:911", None),
            ("sip:+14155550122@trunk.example", number("+14155550122")),
            ("sip:+14155550122@pbx.example", sip("sip:+14155550122@pbx.example")),
            ("sip:+14155550122@pbx.example;user=phone", number("+14155550122")),
            ("sip:bob@trunk.example", sip("sip:bob@trunk.example")),
            ("mailto:a@b", None),
        ] {
            assert_eq!(goal(to, |host| host == "trunk.example"), expected, "{to}");
        }
    }

    #[test]
    fn a_trunk_transfers_to_whom_it_may() {
        use TransferMode::{Anybody, Nobody, SipOnly};
        let number = || Goal::Number("+14155550122".into());
        let sip = || Goal::Sip("sip:bob@h?a=1&b=2".into());
        let document = |goal, mode, from_transferor| match dialling(
            goal,
            SipTransfers { mode, from_transferor },
            &talk(),
        ) {
            Ok(Source::Inline(text)) => text,
            other => format!("{:?}", other.map_err(|(code, _)| code)),
        };
        assert_eq!(document(number(), Nobody, false), "Err(32218)");
        assert_eq!(document(sip(), Nobody, false), "Err(32218)");
        assert_eq!(document(number(), SipOnly, false), "Err(32218)");
        let text = document(number(), Anybody, false);
        assert!(text.contains("callerId=\"+14155550111\"><Number>+14155550122</Number>"));
        let text = document(sip(), SipOnly, true);
        assert!(text.contains("callerId=\"+14155550100\"><Sip>sip:bob@h?a=1&amp;b=2</Sip>"));
    }
}

//! INVITEs that take the place of a call of ours (RFC 3891): of one that talks, or of one that rings at
//! who is called. The leg goes on with another telephone; who had it before hears a BYE or a CANCEL.
//!
//! Who takes a place has to pass the door of the call whose place that is, with the same lists.
//!
//! Differs: who is called by a trunk of an account, or at a SIP address of anybody's, is not replaced.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use contracts::{AnsweredBy, LegEvent, Signal};
use kernel::Sid;
use sip::Method;
use sip::check::Fault;
use sip::dialog::{Dialog, Replaces};
use sip::message::Request;
use sip::timer;
use sip::transaction::{Flow, Id};

use crate::admission::{self, Door};
use crate::agent::{Agent, token};
use crate::call::{Call, Stage};
use crate::input::{Asked, Input};
use crate::midcall::least_timer;

/// How long a dialog that has ended is told from one that never was, and of how many.
const REMEMBERED: Duration = Duration::from_secs(32);
const REMEMBERED_MAX: usize = 1000;

/// Dialogs that have ended.
#[derive(Debug, Default)]
pub(crate) struct Ended(VecDeque<(Duration, String, String, String)>);

impl Ended {
    pub(crate) fn add(&mut self, dialog: &Dialog, now: Duration) {
        while self.0.len() >= REMEMBERED_MAX
            || self.0.front().is_some_and(|(at, ..)| now >= *at + REMEMBERED)
        {
            self.0.pop_front();
        }
        let tags = (dialog.local_tag().to_owned(), dialog.remote_tag().to_owned());
        self.0.push_back((now, dialog.call_id.clone(), tags.0, tags.1));
    }

    fn has(&self, replaces: &Replaces, now: Duration) -> bool {
        self.0.iter().any(|(at, call_id, local, remote)| {
            now < *at + REMEMBERED
                && (call_id, local, remote)
                    == (&replaces.call_id, &replaces.local_tag, &replaces.remote_tag)
        })
    }
}

/// Whether a call at this stage may be replaced, which we placed or took (RFC 3891 §3).
fn may(stage: Stage, placed: bool, early_only: bool) -> Result<(), Fault> {
    match stage {
        // Somebody else's ringing is not ours to give away.
        Stage::Ringing if !placed => Err(Fault::new(481, "")),
        Stage::Ringing => Ok(()),
        Stage::Talking | Stage::Answered if early_only => Err(Fault::new(486, "")),
        Stage::Talking => Ok(()),
        // Its ACK is under way: the BYE could not be sent.
        Stage::Answered => Err(Fault::new(491, "")),
        Stage::Ending => Err(Fault::new(603, "")),
    }
}

/// Whether this is a branch that rings under the name of the INVITE's own.
fn rings(call: &Call, replaces: &Replaces) -> bool {
    call.stage == Stage::Ringing
        && call.branches.iter().any(|branch| {
            branch.request.headers.call_id() == replaces.call_id
                && branch.tags.contains(&replaces.remote_tag)
        })
}

fn replaces_of(request: &Request) -> Option<Replaces> {
    let mut all = request.headers.all("Replaces");
    let only = all.next().filter(|_| all.next().is_none())?;
    Replaces::parse(only)
}

impl Agent {
    /// The call whose dialog this is, established or one of an INVITE that came.
    pub(crate) fn named(&self, replaces: &Replaces) -> Option<&Call> {
        let call = self.tags.get(&replaces.local_tag).and_then(|leg| self.calls.get(leg))?;
        call.dialog.as_ref().is_some_and(|dialog| replaces.names(dialog)).then_some(call)
    }

    /// The call that an INVITE is to replace.
    fn replaced(&self, replaces: &Replaces) -> Result<&Call, Fault> {
        let rung = || {
            let call = self.tags.get(&replaces.local_tag).and_then(|leg| self.calls.get(leg));
            call.filter(|call| rings(call, replaces))
        };
        let Some(call) = self.named(replaces).or_else(rung) else {
            let code = if self.ended.has(replaces, self.now()) { 603 } else { 481 };
            return Err(Fault::new(code, ""));
        };
        may(call.stage, call.invite.is_none(), replaces.early_only).map(|()| call)
    }

    /// Asks whether who sent it may.
    pub(crate) async fn on_replaces(&mut self, id: Id, flow: Flow, request: Request) {
        let Some(replaces) = replaces_of(&request) else {
            return self.refuse(id, &Fault::new(400, "Malformed Replaces")).await;
        };
        // Nobody can be asked about a call that came by no door.
        let gone = || Fault::new(481, "");
        let door = self.replaced(&replaces).and_then(|call| call.door.clone().ok_or_else(gone));
        let door = match door {
            Ok(door) => door,
            Err(fault) => return self.refuse(id, &fault).await,
        };
        self.waiting.insert(id, false);
        let sip = self.sip.clone();
        tokio::spawn(async move {
            let inputs = sip.inputs.clone();
            let admission = Box::new(admission::replace(sip, door, request, flow).await);
            // Without an agent there is no call.
            let _ = inputs.send(Input::Admitted { id, admission }).await;
        });
    }

    /// It may: the leg goes on with whoever sent it.
    pub(crate) async fn take_place(&mut self, id: Id, door: &Door, secure: bool) {
        if let Err(fault) = self.try_take_place(id, door, secure).await {
            self.refuse(id, &fault).await;
        }
    }

    async fn try_take_place(&mut self, id: Id, door: &Door, secure: bool) -> Result<(), Fault> {
        let gone = || Fault::new(481, "");
        let request = self.transactions.request(id).ok_or_else(gone)?.clone();
        let flow = self.transactions.flow(id).ok_or_else(gone)?;
        let replaces = replaces_of(&request).ok_or_else(gone)?;
        // Meanwhile it may have ended.
        let call = self.replaced(&replaces)?;
        if call.door.as_ref() != Some(door) {
            return Err(gone());
        }
        let (leg, account, rang) = (call.leg, call.account, call.stage == Stage::Ringing);
        let tag = token();
        let dialog = Dialog::of_invite(&request, &tag).ok_or_else(gone)?;
        let srtp = Self::srtp(secure);
        let (sound, local, described) = self.sound_for(&request, flow, srtp)?;
        let elsewhere = "SIP;cause=200;text=\"Call completed elsewhere\"";
        if rang {
            self.cancel_all(leg, None, elsewhere).await;
        }
        let old_flow = self.flow_inside(leg);
        let timer = timer::answer(&request, least_timer(flow)).unwrap_or_default();
        let Some(call) = self.calls.get_mut(&leg) else { return Err(gone()) };
        let old = call.dialog.replace(dialog).zip(old_flow);
        (call.flow, call.sound, call.local, call.srtp) = (Some(flow), sound, local, srtp);
        (call.key, call.awaits_answer, call.described) = (None, false, described);
        (call.plan, call.ack, call.timer) = (None, None, timer);
        (call.stage, call.has_sound, call.refreshing) = (Stage::Ringing, false, false);
        let (old_tag, old_invite) =
            (std::mem::replace(&mut call.tag, tag.clone()), call.invite.replace(id));
        self.tags.remove(&old_tag);
        self.tags.insert(tag, leg);
        if let Some(old) = old_invite {
            self.invites.remove(&old);
        }
        self.invites.insert(id, leg);
        self.answer(leg).await;
        if let Some((mut dialog, flow)) = old {
            self.ended.add(&dialog, self.now());
            let mut bye = dialog.request(Method::Bye);
            bye.headers.add("Reason", elsewhere);
            self.send(flow, bye, Asked::Nothing).await;
        }
        if rang && self.calls.contains_key(&leg) {
            self.tell_answered(account, leg, &request, flow).await;
        }
        Ok(())
    }

    /// Who is called is there, by an INVITE of its own.
    async fn tell_answered(&mut self, account: Sid, leg: Sid, request: &Request, flow: Flow) {
        if let Some(call) = self.calls.get_mut(&leg) {
            call.answered = Some(Instant::now());
        }
        let params = vec![
            ("SipCallId".to_owned(), request.headers.call_id().to_owned()),
            ("SipSourceIp".to_owned(), flow.remote.ip().to_string()),
        ];
        let signal = Signal { sip_response: Some(200), alert: None, params };
        self.report(account, leg, LegEvent::Signal(signal)).await;
        self.report(account, leg, LegEvent::Answered { by: AnsweredBy::Human }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_given_away_is() {
        let code = |stage, placed, early| may(stage, placed, early).map_err(|fault| fault.code);
        for (stage, placed, early_only, expected) in [
            (Stage::Ringing, true, false, Ok(())),
            (Stage::Ringing, true, true, Ok(())),
            (Stage::Ringing, false, false, Err(481)),
            (Stage::Talking, true, false, Ok(())),
            (Stage::Talking, false, false, Ok(())),
            (Stage::Talking, true, true, Err(486)),
            (Stage::Answered, false, false, Err(491)),
            (Stage::Answered, false, true, Err(486)),
            (Stage::Ending, true, false, Err(603)),
        ] {
            assert_eq!(code(stage, placed, early_only), expected, "{stage:?} {placed}");
        }
    }

    #[test]
    fn dialogs_that_ended_are_remembered_for_a_while() {
        let replaces = Replaces::parse("c;to-tag=ours;from-tag=theirs").unwrap();
        let address = |tag: &str| sip::NameAddr::parse(&format!("<sip:a@b>;tag={tag}")).unwrap();
        let dialog = Dialog {
            call_id: "c".to_owned(),
            local: address("ours"),
            remote: address("theirs"),
            target: "sip:a@b".to_owned(),
            route: Vec::new(),
            local_cseq: 1,
            remote_cseq: None,
        };
        let mut ended = Ended::default();
        let seconds = Duration::from_secs;
        assert!(!ended.has(&replaces, seconds(0)));
        ended.add(&dialog, seconds(1));
        assert!(ended.has(&replaces, seconds(32)) && !ended.has(&replaces, seconds(33)));
        for _ in 0..2 * REMEMBERED_MAX {
            ended.add(&dialog, seconds(40));
        }
        assert_eq!(ended.0.len(), REMEMBERED_MAX);
    }
}

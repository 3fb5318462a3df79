//! Dial: the calls that one call makes, and the talk between two.

use std::collections::VecDeque;
use std::time::Duration;

use contracts::Order;
use jobs::Failure;
use kernel::Sid;
use serde::{Deserialize, Serialize};
use twiml::voice::{DialPlan, Element, Input, Params, Source, Target, TargetKind};

use crate::act::{Act, retry};
use crate::call::{Call, Detection, Hook, Thresholds};
use crate::create::{self, CallerError};
use crate::letter::What;
use crate::lifecycle::Status;
use crate::recording::RecordSetup;
use crate::sip;

/// What a dialled call tells who dialled it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ChildNews {
    /// It is to be heard already.
    EarlyMedia,
    /// Answered, and screened.
    Ready,
    /// Over; `seconds` is how long it was answered.
    Ended { status: String, seconds: Option<i64> },
}

/// A Dial under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dialling {
    pub plan: DialPlan,
    /// Calls that ring or talk.
    calls: Vec<Sid>,
    /// Whom to call next.
    next: VecDeque<Target>,
    pub winner: Option<Sid>,
    /// The one that is heard before it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    early: Option<Sid>,
    last: Option<Sid>,
    /// The best of what became of those who did not win.
    outcome: Option<String>,
    /// The queue whose next caller is waited for.
    pub queue: Option<Sid>,
    talking_since: Option<kernel::Timestamp>,
}

/// Of several failures, the one that says most.
///
/// Differs: Twilio's order is unpublished.
fn better(known: Option<&str>, new: &str) -> String {
    let rank = |status: &str| match status {
        "completed" => 5,
        "busy" => 4,
        "no-answer" => 3,
        "failed" => 2,
        _ => 1,
    };
    match known {
        Some(known) if rank(known) >= rank(new) => known.to_owned(),
        _ => new.to_owned(),
    }
}

impl Dialling {
    /// One of the dialled calls has given its party over.
    pub fn forget(&mut self, call: Sid) {
        self.calls.retain(|known| *known != call);
        self.winner = self.winner.filter(|winner| *winner != call);
    }
}

impl Act<'_> {
    pub async fn dial(&mut self, plan: DialPlan) -> Result<(), Failure> {
        let mut dialling = Dialling {
            next: plan.targets.clone().into(),
            plan,
            calls: Vec::new(),
            winner: None,
            early: None,
            last: None,
            outcome: None,
            queue: None,
            talking_since: None,
        };
        if let [Target { kind: TargetKind::Queue, address, .. }] = &dialling.plan.targets[..] {
            let name = address.clone();
            let timeout = Duration::from_secs(dialling.plan.timeout_seconds);
            dialling.next.clear();
            self.live.dial = Some(dialling);
            self.send_in(timeout, What::DialTimeout);
            return self.dial_queue(&name).await;
        }
        let at_once = if dialling.plan.sequential { 1 } else { dialling.next.len() };
        for _ in 0..at_once {
            self.call_next(&mut dialling).await?;
        }
        self.live.dial = Some(dialling);
        self.finish_if_done();
        Ok(())
    }

    /// Calls the next target that can be called.
    async fn call_next(&mut self, dialling: &mut Dialling) -> Result<(), Failure> {
        while let Some(target) = dialling.next.pop_front() {
            match self.child(&dialling.plan, &target).await? {
                Ok(sid) => {
                    dialling.calls.push(sid);
                    return Ok(());
                }
                Err(CallerError { code, why }) => {
                    self.alert(code, &why);
                    dialling.outcome = Some(better(dialling.outcome.as_deref(), "failed"));
                }
            }
        }
        Ok(())
    }

    /// A call to one target.
    async fn child(
        &mut self,
        plan: &DialPlan,
        target: &Target,
    ) -> Result<Result<Sid, CallerError>, Failure> {
        let to = match target.kind {
            TargetKind::Number => match create::number(&target.address) {
                Some(number) => number,
                None => {
                    let why = format!("<Dial> of '{}', which is no number", target.address);
                    return Ok(Err(CallerError { code: 13223, why }));
                }
            },
            TargetKind::Client => {
                format!("client:{}", target.address.trim_start_matches("client:"))
            }
            TargetKind::Sip => match sip::address(&target.address) {
                Some(address) => address,
                None => {
                    let why = format!("<Dial> of '{}', which is no SIP address", target.address);
                    return Ok(Err(CallerError { code: 32214, why }));
                }
            },
            TargetKind::Queue => return Ok(Ok(self.call.sid)),
        };
        // To a number of one's own trunk no permission is needed.
        let is_own = target.noun.get("byoc").is_some_and(|sid| sid.starts_with("TK"));
        let refusal = self.voice.refusal(self.store.account(), &to).await.map_err(retry)?;
        if let Some(why) = refusal.filter(|_| !is_own) {
            return Ok(Err(CallerError { code: 13227, why }));
        }
        // Whoever calls in is shown to the one who is dialled.
        let own = match self.call.is_incoming() {
            true => self.call.from.clone(),
            false => self.call.to.clone(),
        };
        let from = match &plan.caller_id {
            Some(caller) => {
                let known = [&self.call.from, &self.call.to].contains(&caller);
                let allowed = known
                    || target.kind != TargetKind::Number
                    || self.voice.may_call_from(self.store, caller).await?.is_ok();
                if !allowed {
                    let why = format!("callerId {caller} is neither owned nor verified");
                    return Ok(Err(CallerError { code: 13214, why }));
                }
                caller.clone()
            }
            None => own,
        };
        let noun = &target.noun;
        let hook = |url: &str, method: &str| {
            let url = noun.get(url)?.to_owned();
            Some(Hook { url, method: noun.method(method), events: Vec::new() })
        };
        let sid = self.voice.parts.clock.sid("CA");
        let status = Status::Queued;
        let mut child = Call::new(sid, "outbound-dial", status, &from, &to, self.at);
        child.parent = Some(self.call.sid);
        child.setup.timeout_seconds = Some(plan.timeout_seconds);
        let is_sip = target.kind == TargetKind::Sip;
        let sip = self.voice.sip_of_noun(noun);
        child.setup.sip = sip.filter(|sip| is_sip || sip.trunk.is_some());
        child.setup.parameters = parameters_of(noun);
        child.setup.send_digits = noun.get("sendDigits").map(str::to_owned);
        child.setup.source = noun
            .get("url")
            .map(|url| Source::Url { url: url.to_owned(), method: noun.method("method") });
        child.setup.status_callback =
            hook("statusCallback", "statusCallbackMethod").map(|hook| Hook {
                events: noun.words("statusCallbackEvent").into_iter().map(String::from).collect(),
                ..hook
            });
        child.setup.detection = noun.get("machineDetection").map(|kind| Detection {
            message_end: kind == "DetectMessageEnd",
            in_background: true,
            callback: hook("amdStatusCallback", "amdStatusCallbackMethod"),
            timeout_seconds: noun.integer("machineDetectionTimeout").unwrap_or(30),
            thresholds: Some(thresholds_of(noun)),
        });
        child.insert(&mut self.batch);
        self.send(sid, What::Place);
        Ok(Ok(sid))
    }

    /// A dialled call has news.
    pub fn on_child(&mut self, sid: Sid, news: ChildNews) -> Result<(), Failure> {
        let Some(mut dial) = self.live.dial.take() else {
            if news == ChildNews::Ready {
                self.send(sid, What::Release);
            }
            return Ok(());
        };
        match news {
            // Of several that ring none is heard before the others.
            ChildNews::EarlyMedia => {
                let is_alone = dial.calls == [sid] && dial.winner.is_none();
                if is_alone && dial.early.is_none() && !self.is_over() {
                    dial.early = Some(sid);
                    self.tell(Input::EarlyMedia);
                }
            }
            // It came second, or whoever dialled has gone.
            ChildNews::Ready if dial.winner.is_some() || self.is_over() => {
                self.send(sid, What::Release);
            }
            ChildNews::Ready => {
                dial.winner = Some(sid);
                dial.next.clear();
                for loser in dial.calls.iter().filter(|call| **call != sid) {
                    self.send(*loser, What::Release);
                }
                let room = self.call.sid.to_string();
                self.talk(&mut dial, sid, &room);
                self.send(sid, What::Bridge { room });
            }
            ChildNews::Ended { status, seconds } => {
                dial.calls.retain(|call| *call != sid);
                dial.last = Some(sid);
                if dial.winner == Some(sid) {
                    let mut params = vec![pair("DialCallStatus", "completed")];
                    params.push(pair("DialCallSid", sid.to_string()));
                    let talked = dial.talking_since.map(|since| self.at.since(since).as_secs());
                    if let Some(seconds) = seconds.or(talked.and_then(|s| i64::try_from(s).ok())) {
                        params.push(pair("DialCallDuration", seconds.to_string()));
                    }
                    params.push(pair("DialBridged", "true"));
                    self.dial_over(&dial, params);
                    return Ok(());
                }
                dial.outcome = Some(better(dial.outcome.as_deref(), &status));
                if dial.early.take_if(|early| *early == sid).is_some()
                    && self.live.room.take().is_some()
                {
                    self.order(Order::Leave);
                }
                if dial.winner.is_none() && dial.calls.is_empty() && !dial.next.is_empty() {
                    self.live.dial = Some(dial);
                    let sid = self.call.sid;
                    self.send(sid, What::DialTimeout);
                    return Ok(());
                }
            }
        }
        self.live.dial = Some(dial);
        self.finish_if_done();
        Ok(())
    }

    /// The called party is heard before it answers; whoever dialled it says whether that is wanted.
    pub fn early_media(&mut self) {
        if let Some(parent) = self.call.parent.filter(|_| !self.is_over()) {
            let sid = self.call.sid;
            self.send(parent, What::Child { sid, news: ChildNews::EarlyMedia });
        }
    }

    /// Whoever is to be screened is not heard yet.
    pub fn stop_early_media(&mut self) {
        if self.call.setup.source.is_some() && self.live.room.take().is_some() {
            self.order(Order::Leave);
        }
    }

    /// The one that rings is heard already.
    pub fn hear_dialled(&mut self) {
        let Some(early) = self.live.dial.as_ref().and_then(|dial| dial.early) else { return };
        if self.call.started.is_none() {
            self.order(Order::Progress);
        }
        let room = self.call.sid.to_string();
        self.join(&room);
        self.live.room = Some(room.clone());
        self.send(early, What::Bridge { room });
    }

    /// The two hear each other from here on.
    pub fn talk(&mut self, dial: &mut Dialling, winner: Sid, room: &str) {
        dial.talking_since = Some(self.at);
        self.transfer_succeeded();
        self.tell(Input::Bridged);
        self.join(room);
        self.live.room = Some(room.to_owned());
        let limit = Duration::from_secs(dial.plan.time_limit_seconds);
        self.send_in(limit, What::DialTimeLimit { winner });
        let verb = &dial.plan.verb;
        let record = verb.get("record").unwrap_or("do-not-record");
        if !matches!(record, "do-not-record" | "false") {
            let setup = RecordSetup::of_verb(verb, "DialVerb", record.ends_with("-dual"));
            self.start_recording(setup);
        }
    }

    /// Nobody is left to ring: the Dial is over.
    fn finish_if_done(&mut self) {
        let Some(dial) = self.live.dial.take() else { return };
        let is_done = dial.calls.is_empty() && dial.next.is_empty() && dial.queue.is_none();
        if !is_done || dial.winner.is_some() {
            self.live.dial = Some(dial);
            return;
        }
        let status = dial.outcome.clone().unwrap_or_else(|| "canceled".to_owned());
        self.transfer_failed(&status);
        if let Some(source) = self.call.setup.recovery.take_if(|_| status == "failed") {
            let (sid, fallback) = (self.call.sid, None);
            return self.send(sid, What::Replace { source, fallback });
        }
        let mut params = vec![pair("DialCallStatus", status)];
        params.extend(dial.last.map(|last| pair("DialCallSid", last.to_string())));
        params.push(pair("DialBridged", "false"));
        self.dial_over(&dial, params);
    }

    fn dial_over(&mut self, dial: &Dialling, mut params: Params) {
        if self.live.room.take().is_some() && !self.is_over() {
            self.order(Order::Leave);
        }
        params.extend(self.stop_dial_recording());
        for call in &dial.calls {
            self.send(*call, What::Release);
        }
        self.tell(Input::DialEnded(params));
    }

    /// Hangs up what was dialled; each says when it is over.
    pub fn end_dial(&mut self) {
        let Some(dial) = &mut self.live.dial else { return };
        dial.next.clear();
        let queued = dial.queue.take();
        let mut calls = dial.calls.clone();
        calls.retain(|call| queued != Some(*call));
        let from_queue = dial.plan.targets.iter().any(|t| t.kind == TargetKind::Queue);
        let winner = dial.winner;
        for call in calls {
            self.send(call, What::Release);
        }
        if from_queue {
            if let Some(winner) = winner {
                self.send(winner, What::Returned);
            }
            let status = if winner.is_some() { "completed" } else { "canceled" };
            if let Some(dial) = self.live.dial.take() {
                self.dial_over(&dial, vec![pair("DialCallStatus", status)]);
            }
            return;
        }
        self.finish_if_done();
    }

    /// The call goes on elsewhere: what was dialled is dropped.
    pub fn drop_dial(&mut self) {
        let Some(dial) = self.live.dial.take() else { return };
        for call in &dial.calls {
            self.send(*call, What::Release);
        }
        if dial.plan.targets.iter().any(|target| target.kind == TargetKind::Queue)
            && let Some(winner) = dial.winner
        {
            self.send(winner, What::Returned);
        }
    }

    pub fn dial_time_limit(&mut self, winner: Sid) {
        if self.live.dial.as_ref().is_some_and(|dial| dial.winner == Some(winner)) {
            self.end_dial();
        }
    }

    /// The next target's turn, or nobody came out of the queue in time.
    pub async fn dial_timeout(&mut self) -> Result<(), Failure> {
        let Some(mut dial) = self.live.dial.take() else { return Ok(()) };
        if dial.winner.is_none() && dial.calls.is_empty() {
            if dial.queue.take().is_some() {
                self.stop_waiting_for_queue();
                dial.outcome = Some("no-answer".to_owned());
            }
            self.call_next(&mut dial).await?;
        }
        self.live.dial = Some(dial);
        self.finish_if_done();
        Ok(())
    }
}

fn pair(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

/// What the called program is told.
fn parameters_of(noun: &Element) -> Vec<(String, String)> {
    let parameters = noun.children.iter().filter(|child| child.name == "Parameter");
    let pair = |child: &Element| {
        Some((child.get("name")?.to_owned(), child.get("value").unwrap_or_default().to_owned()))
    };
    parameters.filter_map(pair).collect()
}

/// When speech is a machine's, as a noun says.
fn thresholds_of(noun: &Element) -> Thresholds {
    let usual = Thresholds::default();
    let millis = |name: &str, default| noun.integer(name).unwrap_or(default);
    Thresholds {
        speech: millis("machineDetectionSpeechThreshold", usual.speech),
        speech_end: millis("machineDetectionSpeechEndThreshold", usual.speech_end),
        silence: millis("machineDetectionSilenceTimeout", usual.silence),
    }
}

#[cfg(test)]
mod tests {
    use super::better;

    #[test]
    fn the_best_failure_is_told() {
        assert_eq!(better(None, "failed"), "failed");
        assert_eq!(better(Some("failed"), "no-answer"), "no-answer");
        assert_eq!(better(Some("busy"), "no-answer"), "busy");
        assert_eq!(better(Some("canceled"), "failed"), "failed");
    }
}

//! What happens to a call, one thing after the other.
//!
//! Everything that happens comes as a [`Letter`]: a job in the lane of its call, or a timer. The
//! call is loaded, told, and written with all that follows (orders to the carrier, requests to the
//! application, letters to other calls) in one commit. So a call goes on after a restart where it
//! was.

use std::collections::VecDeque;
use std::time::Duration;

use contracts::{AnsweredBy, Ending, Item, LegEvent, Order, OutboundCall, Signal, Unavailable};
use jobs::Failure;
use kernel::{Sid, Timestamp};
use store::{AccountBatch, AccountStore};
use twiml::voice::{Input, Machine, Output, Params, Role, Sound, Source, SpeechText};
use webhooks::Callback;

use crate::ask::{Ask, ask};
use crate::call::{Call, Hook, Live};
use crate::dial::ChildNews;
use crate::letter::{Beside, Letter, What};
use crate::lifecycle::{self, Event, Status};
use crate::listen::Transcribing;
use crate::{Voice, params, price};

const TIME_LIMIT_SECONDS: u64 = 14_400;

/// A call to which something happens.
pub(crate) struct Act<'a> {
    pub voice: &'a Voice,
    pub store: &'a AccountStore,
    pub call: Call,
    pub live: Live,
    pub batch: AccountBatch,
    pub at: Timestamp,
    pending: VecDeque<Output>,
    inputs: VecDeque<Input>,
}

impl<'a> Act<'a> {
    pub fn new(
        voice: &'a Voice,
        store: &'a AccountStore,
        call: Call,
        live: Live,
        at: Timestamp,
    ) -> Self {
        let (pending, inputs) = (VecDeque::new(), VecDeque::new());
        Self { voice, store, call, live, batch: store.batch(), at, pending, inputs }
    }

    /// All that follows from one thing.
    pub async fn hear(mut self, what: What) -> Result<AccountBatch, Failure> {
        self.take(what).await?;
        self.settle().await?;
        if self.is_over() {
            self.stop_transcriptions(|_| true).await?;
        }
        Ok(self.finish())
    }

    async fn take(&mut self, what: What) -> Result<(), Failure> {
        match what {
            What::Place => self.place(),
            What::Ring => {
                self.step(Event::Ringing);
                self.begin_documents(false);
            }
            What::Leg(event) => self.on_leg(event).await?,
            What::Keys { sealed } => {
                if let Some(keys) = self.voice.unseal(&sealed) {
                    self.pressed(keys);
                }
            }
            What::Machine(input) => {
                self.note_payment(&input);
                self.tell(input);
            }
            What::RingTimeout if !self.is_answered() => self.hang_up(Status::NoAnswer),
            What::TimeLimit if self.is_answered() && self.has_run_out() => {
                self.alert(32015, "the call has reached its time limit");
                self.hang_up(Status::Completed);
            }
            What::Verdict => self.verdict(),
            What::Child { sid, news } => self.on_child(sid, news)?,
            What::Bridge { room } if !self.is_over() && !self.live.handed_over => {
                self.join(&room);
                self.live.room = Some(room);
            }
            What::Release => self.released(),
            What::DialTimeLimit { winner } => self.dial_time_limit(winner),
            What::DialTimeout => self.dial_timeout().await?,
            What::TryQueue => self.try_queue().await?,
            What::Taken { by, whisper } => self.taken(by, whisper),
            What::Returned => self.returned(),
            What::LeaveQueue { result, then } => self.leave_queue(&result, then).await?,
            What::LeftConference { ends_call } => self.left_conference(ends_call),
            What::End { canceled } => {
                self.hang_up(if canceled { Status::Canceled } else { Status::Completed });
            }
            What::SpeechEnded => self.speech_ended().await?,
            What::GiveUp => self.give_up().await?,
            What::Look(Beside::Stream(sid)) => self.look_after_stream(sid).await?,
            What::Look(Beside::Relay(session)) => self.look_after_relay(session),
            What::Replace { source, fallback } => {
                self.replace(source, fallback, Params::new()).await?;
            }
            What::Record { recording, setup } if self.is_answered() => {
                self.follow_recording(recording, setup);
            }
            What::StopRecord { recording } => self.order(Order::StopRecording { recording }),
            What::PauseRecord { recording, skip } => self.pause_recording(recording, skip),
            What::ResumeRecord { recording } => self.resume_recording(recording),
            What::StartStream(plan) if self.is_answered() => self.start_stream(*plan).await?,
            What::StopStream { sid } => self.order(Order::StopStream { stream: sid }),
            What::StartSiprec(plan) if self.is_answered() => self.start_siprec(*plan),
            What::StopSiprec { sid } => self.order(Order::StopSiprec { siprec: sid }),
            What::StartTranscription(plan) if self.is_answered() => self.transcribe_along(*plan),
            What::StopTranscription { sid } => {
                self.stop_transcriptions(|plan| plan.sid == sid).await?;
            }
            What::Relay { session, input } if self.has_relay(session) => self.tell(input),
            What::RelayClosed { session, failure } if self.has_relay(session) => {
                self.relay_closed(failure);
            }
            What::StartPayment(payment) if self.is_answered() => self.start_payment(*payment),
            What::StepPayment { payment, key, callback, step } => {
                self.step_payment(payment, key, callback, step);
            }
            What::PaymentTimeout { payment, round } => self.payment_timed_out(payment, round),
            What::PaymentMade { payment, outcome } => self.payment_made(payment, outcome),
            What::Transferred(how) => self.transferred(*how).await?,
            What::TransferOver { response } => self.transfer_over(response),
            What::HandOver => self.hand_over(),
            What::RingTimeout
            | What::TimeLimit
            | What::Bridge { .. }
            | What::StartPayment(_)
            | What::Record { .. }
            | What::StartStream(_)
            | What::StartSiprec(_)
            | What::StartTranscription(_)
            | What::Relay { .. }
            | What::RelayClosed { .. } => {}
        }
        Ok(())
    }

    pub fn is_answered(&self) -> bool {
        self.call.status == Status::InProgress
    }

    /// The time limit, which may have been changed since its timer was set, is reached.
    fn has_run_out(&self) -> bool {
        let limit = self.call.setup.time_limit_seconds.unwrap_or(TIME_LIMIT_SECONDS);
        self.call.started.is_some_and(|since| self.at.since(since) >= Duration::from_secs(limit))
    }

    pub fn is_over(&self) -> bool {
        self.call.status.is_final()
    }

    /// The machine hears of it, in turn.
    pub fn tell(&mut self, input: Input) {
        self.inputs.push_back(input);
    }

    /// Does what the machine asks for until it waits.
    async fn settle(&mut self) -> Result<(), Failure> {
        loop {
            if let Some(output) = self.pending.pop_front() {
                self.perform(output).await?;
            } else if let Some(input) = self.inputs.pop_front() {
                if let Some(machine) = &mut self.live.machine {
                    self.pending.extend(machine.on(input));
                }
            } else {
                return Ok(());
            }
        }
    }

    fn finish(mut self) -> AccountBatch {
        self.live.at = self.at;
        let machine_is_over = self.live.machine.as_ref().is_none_or(Machine::is_over);
        let secrets = self.live.machine.as_ref().and_then(Machine::secrets);
        self.live.secrets = secrets.map(|secrets| self.voice.seal(&secrets));
        let live = &self.live;
        let has_ended = live.recordings.is_empty()
            && live.streams.is_empty()
            && live.siprecs.is_empty()
            && live.payment.is_none();
        let is_done = self.is_over() && machine_is_over && has_ended;
        self.call.live = (!is_done).then_some(self.live);
        let now = self.voice.parts.clock.now();
        self.call.save(now, &mut self.batch);
        self.batch
    }

    pub fn send(&mut self, call: Sid, what: What) {
        let letter = Letter { call, at: self.at, what };
        self.voice.send(&mut self.batch, letter);
    }

    pub fn send_in(&mut self, after: Duration, what: What) {
        let letter = Letter { call: self.call.sid, at: self.at + after, what };
        self.voice.send_at(&mut self.batch, letter);
    }

    pub fn order(&mut self, order: Order) {
        self.voice.order(&mut self.batch, self.call.sid, self.at, order);
    }

    pub fn join(&mut self, room: &str) {
        let part = contracts::Part { speaks: true, hears: true, only_to: None };
        self.order(Order::Join { room: room.to_owned(), part });
    }

    pub fn alert(&mut self, code: u32, message: &str) {
        let sid = self.call.sid.to_string();
        self.voice.parts.webhooks.alert(&mut self.batch, &sid, code, message, "");
    }

    pub fn standard_params(&self) -> Params {
        params::standard(self.store.account(), &self.call, self.call.status.as_str())
    }

    /// A request whose answer is ignored.
    pub fn post(&mut self, hook: &Hook, more: Params) {
        let mut params = self.standard_params();
        params.extend(more);
        let callback = Callback {
            url: hook.url.clone(),
            method: hook.method.as_str().to_owned(),
            params,
            resource: self.call.sid.to_string(),
        };
        webhooks::promise(&mut self.batch, &self.voice.parts.clock, callback);
    }

    /// A step of the call's life, with its callback; false when the event changes nothing.
    fn step(&mut self, event: Event) -> bool {
        let Some(step) = lifecycle::apply(self.call.status, event) else { return false };
        self.call.status = step.status;
        match step.told {
            "answered" => self.call.started = Some(self.at),
            "completed" => {
                self.call.ended = Some(self.at);
                price::bill(&mut self.call, self.at, &mut self.batch);
            }
            _ => {}
        }
        let shown = match step.told {
            "initiated" => "initiated",
            _ => step.status.as_str(),
        };
        self.call.announce(&mut self.batch, shown, self.at);
        let Some(hook) = self.call.setup.status_callback.clone() else { return true };
        let wants = |event: &String| event == step.told;
        let is_wanted = match hook.events.is_empty() {
            true => step.told == "completed",
            false => hook.events.iter().any(wants),
        };
        // Canceled before anything was dialled: nothing is told.
        let was_dialled = self.live.sequence > 0 || step.status != Status::Canceled;
        let sequence = self.live.sequence;
        self.live.sequence += 1;
        if !is_wanted || !was_dialled {
            return true;
        }
        let mut all = params::standard(self.store.account(), &self.call, shown);
        all.extend(params::progress(&self.call, sequence, self.at));
        let callback = Callback {
            url: hook.url,
            method: hook.method.as_str().to_owned(),
            params: all,
            resource: self.call.sid.to_string(),
        };
        webhooks::promise(&mut self.batch, &self.voice.parts.clock, callback);
        true
    }

    fn place(&mut self) {
        if self.call.status != Status::Queued || !self.step(Event::Placed) {
            return;
        }
        let caller = self.call.setup.caller_id.clone();
        let call = OutboundCall {
            account: self.store.account(),
            leg: self.call.sid,
            from: caller.unwrap_or_else(|| self.call.from.clone()),
            to: self.call.to.clone(),
            at: self.at,
            extras: Voice::sealed_extras(&self.call),
        };
        self.voice.place(&mut self.batch, call);
        let timeout = self.call.setup.timeout_seconds.unwrap_or(60);
        self.send_in(Duration::from_secs(timeout), What::RingTimeout);
    }

    async fn on_leg(&mut self, event: LegEvent) -> Result<(), Failure> {
        match event {
            LegEvent::Ringing => {
                self.step(Event::Ringing);
            }
            LegEvent::EarlyMedia => self.early_media(),
            LegEvent::Answered { by } => self.answered(by).await?,
            LegEvent::Ended(ending) => self.end(match ending {
                Ending::HungUp if self.call.is_incoming() => Status::NoAnswer,
                Ending::HungUp => Status::Completed,
                Ending::Busy => Status::Busy,
                Ending::NoAnswer => Status::NoAnswer,
                Ending::Failed => Status::Failed,
            }),
            LegEvent::Played { id } => self.tell(Input::Played { id }),
            LegEvent::Digits(keys) => self.pressed(keys),
            LegEvent::Speech { text, millis } => {
                self.transcribe_live("inbound_track", &text);
                self.speaks(millis).await?;
                self.tell(Input::Speech(SpeechText { text, millis }));
            }
            LegEvent::SpeechBegan => {
                self.speech_began().await?;
                self.tell(Input::SpeechBegan);
            }
            LegEvent::Recorded { recording, millis, spoken, sound } => {
                self.recorded(recording, millis, &spoken, sound).await?;
            }
            LegEvent::Signal(signal) => self.signalled(signal),
            LegEvent::Message { content } => self.program_said(&content).await?,
            LegEvent::Transfer { to, instead_of } => self.transfer(to, instead_of).await?,
            LegEvent::Referred { response, notified } => self.referred(response, notified),
            LegEvent::Detected(verdict) => self.detected(verdict),
            LegEvent::Siprec { siprec, news } => self.on_siprec(siprec, news).await?,
            LegEvent::Stream { stream, news } => self.on_stream(stream, news).await?,
        }
        Ok(())
    }

    /// Keys are a payment's that the API takes, or the document's.
    fn pressed(&mut self, keys: String) {
        if !self.key_payment(&keys) {
            self.tell(Input::Digits(keys));
        }
    }

    /// The document takes a payment.
    pub fn is_paying(&self) -> bool {
        self.live.machine.as_ref().is_some_and(Machine::is_paying)
    }

    /// What the network says of the call.
    fn signalled(&mut self, signal: Signal) {
        let setup = &mut self.call.setup;
        setup.sip_response = signal.sip_response.or(setup.sip_response);
        for (name, value) in signal.params {
            setup.network.retain(|(known, _)| *known != name);
            setup.network.push((name, value));
        }
        if let Some((code, why)) = signal.alert {
            self.alert(code, &why);
        }
    }

    /// The called party has answered.
    async fn answered(&mut self, by: AnsweredBy) -> Result<(), Failure> {
        if !self.step(Event::Answered) {
            return Ok(());
        }
        self.live.answered_by = Some(by);
        self.stop_early_media();
        self.begin_talk();
        if let Some(digits) = self.call.setup.send_digits.clone() {
            self.order(Order::Play { id: 0, item: Item::Tones { digits } });
        }
        if let Some(noun) = self.call.setup.conference.clone() {
            self.live.machine = Some(Machine::new(Role::Call, true));
            return self.join_conference(noun).await;
        }
        match self.call.setup.detection.clone() {
            Some(detection) => self.detect(&detection, by),
            None => self.begin_documents(true),
        }
        Ok(())
    }

    /// What begins when a call is answered, whoever answers.
    fn begin_talk(&mut self) {
        let limit = self.call.setup.time_limit_seconds.unwrap_or(TIME_LIMIT_SECONDS);
        self.send_in(Duration::from_secs(limit), What::TimeLimit);
        if let Some(record) = self.call.setup.record.clone() {
            self.start_recording(record);
        }
    }

    /// The first document is asked for; a dialled party without one is ready to talk.
    pub fn begin_documents(&mut self, answered: bool) {
        let fallback =
            self.call.setup.fallback.as_ref().map(|hook| (hook.url.clone(), hook.method));
        let source = self.call.setup.source.clone();
        match (self.call.parent, source) {
            (Some(parent), None) => {
                let sid = self.call.sid;
                self.send(parent, What::Child { sid, news: ChildNews::Ready });
            }
            (None, None) => self.hang_up(Status::Failed),
            (parent, Some(source)) => {
                let role = if parent.is_some() { Role::Screen } else { Role::Call };
                let mut machine = Machine::new(role, answered);
                self.pending.extend(machine.start(source, fallback));
                self.live.machine = Some(machine);
            }
        }
    }

    /// Another document replaces whatever goes on; `params` are told when it is asked for.
    pub async fn replace(
        &mut self,
        source: Source,
        fallback: Option<Hook>,
        more: Params,
    ) -> Result<(), Failure> {
        if self.is_over() {
            return Ok(());
        }
        self.part(false).await?;
        // What was recorded for the old document ends with it.
        self.stop_recordings("RecordVerb");
        self.stop_recordings("DialVerb");
        if let Some(parent) = self.call.parent {
            let news = ChildNews::Ended { status: "completed".into(), seconds: None };
            let sid = self.call.sid;
            self.send(parent, What::Child { sid, news });
        }
        let fallback = fallback.or(self.call.setup.fallback.clone());
        let fallback = fallback.map(|hook| (hook.url, hook.method));
        let mut machine = Machine::new(Role::Call, self.is_answered());
        if let Some(id) = self.live.machine.as_ref().map(Machine::last_id) {
            machine.begin_ids_after(id);
        }
        self.order(Order::Stop);
        if self.is_paying() {
            self.keep_keys(false);
        }
        self.pending.clear();
        self.pending.extend(machine.start(source, fallback));
        for output in &mut self.pending {
            if let Output::Fetch { params, .. } = output {
                params.extend(more.iter().cloned());
            }
        }
        self.live.machine = Some(machine);
        self.live.awaits = None;
        Ok(())
    }

    /// Leaves everything that this call shares with others.
    async fn part(&mut self, gone: bool) -> Result<(), Failure> {
        self.drop_dial();
        if self.live.room.take().is_some() {
            self.order(Order::Leave);
        }
        if self.live.conference.is_some() {
            self.leave_conference(if gone {
                "participant_hung_up"
            } else {
                "participant_updated_via_api"
            })
            .await?;
        }
        if self.live.queue.is_some() {
            let result = if gone { "hangup" } else { "redirected" };
            self.leave_queue(result, None).await?;
        }
        Ok(())
    }

    /// A job of the call has failed for good: without it the call would hang.
    async fn give_up(&mut self) -> Result<(), Failure> {
        if self.is_over() {
            // Nobody waits any more for what it still waits for.
            (self.live.machine, self.live.payment) = (None, None);
            return Ok(());
        }
        self.alert(12400, "the call cannot go on; why is with the dead jobs");
        self.live.machine = None;
        self.part(true).await?;
        self.order(Order::HangUp);
        self.end_by(Event::GivenUp);
        Ok(())
    }

    /// Ends the call from this side.
    pub fn hang_up(&mut self, status: Status) {
        if self.is_over() {
            return;
        }
        self.order(Order::HangUp);
        self.end(status);
    }

    /// The call is over; what it was in the middle of hears it.
    fn end(&mut self, status: Status) {
        self.end_by(Event::Ended(status));
    }

    fn end_by(&mut self, event: Event) {
        if !self.step(event) {
            return;
        }
        self.transfer_failed("canceled");
        if let Some(parent) = self.call.parent.filter(|_| !self.live.handed_over) {
            let seconds = self.call.started.and(self.call.duration_seconds());
            let news = ChildNews::Ended { status: self.call.status.to_string(), seconds };
            let sid = self.call.sid;
            self.send(parent, What::Child { sid, news });
        }
        if let Some(by) = self.live.queue.as_ref().and_then(|queue| queue.taken_by) {
            let sid = self.call.sid;
            let news = ChildNews::Ended { status: "completed".into(), seconds: None };
            self.send(by, What::Child { sid, news });
        }
        self.payment_hung_up();
        self.tell(Input::HungUp);
    }

    async fn perform(&mut self, output: Output) -> Result<(), Failure> {
        match output {
            Output::Answer => {
                if self.step(Event::Answered) {
                    self.order(Order::Answer);
                    self.begin_talk();
                }
            }
            Output::Reject { busy } => {
                self.order(Order::Reject { busy });
                self.end(if busy { Status::Busy } else { Status::NoAnswer });
            }
            Output::Fail => {
                self.order(Order::Reject { busy: false });
                self.end(Status::Failed);
            }
            Output::HangUp => self.hang_up(Status::Completed),
            Output::Fetch { id, url, method, params } => {
                let mut all = self.standard_params();
                all.extend(self.queue_params().await?);
                all.extend(params);
                let at = self.at;
                self.ask(Ask::Document { id, url, method, params: all, at });
            }
            Output::Media { id, url } => {
                let at = self.at;
                self.ask(Ask::Media { id, url, at });
            }
            Output::Play { id, sound } => {
                let item = item(sound);
                self.note_talking(&item);
                if let Item::Say { text, .. } = &item {
                    self.transcribe_live("outbound_track", text);
                }
                self.order(Order::Play { id, item });
            }
            Output::Stop => self.order(Order::Stop),
            Output::Timer { id, millis } => {
                let after = Duration::from_millis(millis);
                self.send_in(after, What::Machine(Input::Timer { id }));
            }
            Output::Post { url, method, params } => {
                let hook = Hook { url, method, events: Vec::new() };
                self.post(&hook, params);
            }
            Output::Alert { code, message } => self.alert(code, &message),
            Output::Record(plan) => self.record_verb(&plan),
            Output::StopRecording => self.stop_recordings("RecordVerb"),
            Output::StartRecording(noun) => self.record_noun(&noun),
            Output::StopNamedRecording(_) => self.stop_recordings("StartCallRecordingTwiML"),
            Output::StartStream { noun, is_bidirectional } => {
                self.stream_noun(&noun, is_bidirectional).await?;
            }
            Output::StartSiprec(noun) => self.siprec_noun(&noun),
            Output::StopSiprec { name } => self.stop_siprecs(name.as_deref()),
            Output::StopStream { name } => self.stop_streams(name.as_deref()),
            Output::StartTranscription(noun) => self.start_transcription(&noun),
            Output::StopTranscription { name } => {
                let name = name.as_deref();
                let is_it = |plan: &Transcribing| name.is_none_or(|name| plan.name == name);
                self.stop_transcriptions(is_it).await?;
            }
            Output::Listen(how) => {
                self.live.ears.document = how;
                self.listen();
            }
            Output::OpenRelay(noun) => self.open_relay(&noun),
            Output::Tell(message) => self.tell_relay(message),
            Output::TellInterrupted { said } => self.tell_relay_interrupted(&said),
            Output::CloseRelay { code, reason } => self.close_relay(code, reason),
            Output::OpenPay(plan) => self.open_pay(&plan),
            Output::Pay(order) => {
                let (plan, captured) = *order;
                self.pay(plan, &captured);
            }
            Output::ClosePay => self.keep_keys(false),
            Output::Dial(plan) => self.dial(*plan).await?,
            Output::HearDialled => self.hear_dialled(),
            Output::EndDial => self.end_dial(),
            Output::JoinConference(noun) => self.join_conference(noun).await?,
            Output::LeaveConference => {
                let gone = self.is_over();
                let reason =
                    if gone { "participant_hung_up" } else { "participant_updated_via_api" };
                self.leave_conference(reason).await?;
            }
            Output::Announced { url, told, failure } => {
                self.announced(url, told, failure).await?;
            }
            Output::Enqueue(plan) => self.enqueue(*plan).await?,
            Output::Meet => self.meet(),
            Output::LeaveQueue { result } => self.leave_queue(result, None).await?,
            Output::Text { to, from, body, status_callback } => {
                let outbound = self.call.direction != "inbound";
                let (ours, theirs) = match outbound {
                    true => (&self.call.from, &self.call.to),
                    false => (&self.call.to, &self.call.from),
                };
                let from = from.unwrap_or_else(|| ours.clone());
                let to = to.unwrap_or_else(|| theirs.clone());
                self.ask(Ask::Text { from, to, body, status_callback });
            }
            Output::Refer { to } => self.refer(&to),
            Output::End => {
                if let Some(parent) = self.call.parent {
                    let sid = self.call.sid;
                    self.send(parent, What::Child { sid, news: ChildNews::Ready });
                }
            }
        }
        Ok(())
    }

    pub fn ask(&mut self, question: Ask) {
        ask(&mut self.batch, &self.voice.parts.clock, self.call.sid, &question);
    }

    fn released(&mut self) {
        match self.is_answered() {
            true => self.hang_up(Status::Completed),
            false => self.hang_up(Status::Canceled),
        }
    }
}

fn item(sound: Sound) -> Item {
    match sound {
        Sound::Say { text, voice, language, loops } => Item::Say { text, voice, language, loops },
        Sound::Play { url, millis, loops } => Item::Play { url, millis, loops },
        Sound::Tones { digits } => Item::Tones { digits },
        Sound::Silence { millis } => Item::Silence { millis },
        Sound::Beep => Item::Beep,
        Sound::Ringback => Item::Ringback,
        Sound::Music => Item::Music,
    }
}

pub(crate) fn retry(error: Unavailable) -> Failure {
    Failure::Retry(error.0)
}

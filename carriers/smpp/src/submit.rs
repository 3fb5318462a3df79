//! A message of the platform on its way to an SMSC.
//!
//! Differs: when a connection ends, or an answer does not come, between `submit_sm` and
//! its response, nobody knows whether the SMSC has the message. It is sent again, so a
//! handset may rarely get it twice; the alternative would lose it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use contracts::{BoxFuture, MessageCarrier, NotesError, OutboundMessage, Submission, Unavailable};
use kernel::Sid;
use smpp::address::Address;
use smpp::long;
use smpp::pdu::{Body, Sm};
use smpp::status::Verdict;
use tokio::time::Instant;

use crate::Smpp;
use crate::bind::Bind;
use crate::ledger::{Part, Record};
use crate::link::Answer;

/// How long a submission waits for a window or a throttled SMSC. The worker that
/// submits has 55 seconds; the response time-out comes on top.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it waits for a bind that is down: not so long that workers pile up.
const PATIENCE_WHEN_DOWN: Duration = Duration::from_secs(2);

/// Submissions of this process under way; a second one of the same message waits.
#[derive(Default)]
pub(crate) struct UnderWay(Mutex<HashSet<Sid>>);

struct Claim<'a>(&'a UnderWay, Sid);

impl UnderWay {
    fn claim(&self, sid: Sid) -> Option<Claim<'_>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(sid).then(|| Claim(self, sid))
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut all = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.remove(&self.1);
    }
}

impl MessageCarrier for Smpp {
    fn submit<'a>(&'a self, message: &'a OutboundMessage) -> BoxFuture<'a, Submission> {
        Box::pin(async move {
            if !message.media.is_empty() {
                return Submission::Refused { code: 30011 };
            }
            if !self.is_here() {
                return Submission::Elsewhere(crate::LEASE);
            }
            let Some(_claim) = self.under_way.claim(message.sid) else {
                return busy("the message is being submitted");
            };
            match self.submit_parts(message).await {
                Ok(submission) => submission,
                Err(error) => busy(error.to_string()),
            }
        })
    }
}

fn busy(why: impl Into<String>) -> Submission {
    Submission::Busy(Unavailable(why.into()))
}

impl Smpp {
    async fn submit_parts(&self, message: &OutboundMessage) -> Result<Submission, NotesError> {
        let known = self.shared.ledger.record(message.sid).await?;
        let on = known.as_ref().map(|record| record.bind.as_str());
        let Some(bind) = self.choose(&message.to, on) else {
            return Ok(busy("no SMSC is configured for this number"));
        };
        let patience = if bind.is_up() { PATIENCE } else { PATIENCE_WHEN_DOWN };
        let deadline = Instant::now() + patience;
        let reference = known.as_ref().map_or_else(|| self.next_reference(), |it| it.reference);
        let Ok(parts) = compose(bind, message, reference) else {
            return Ok(Submission::Refused { code: 30008 });
        };
        let mut record = known.unwrap_or_else(|| Record {
            account: message.account,
            bind: bind.config.name.clone(),
            to: message.to.clone(),
            at: self.shared.now(),
            reference,
            parts: vec![Part::Waiting; parts.len()],
            is_reported: false,
        });
        // The bind may be configured anew since, and cut the body otherwise.
        record.parts.resize(parts.len(), Part::Waiting);
        loop {
            if let Some(submission) = verdict(&record) {
                return Ok(submission);
            }
            let news = self.send_waiting(bind, &mut record, &parts, deadline).await;
            if news.is_any {
                let form = bind.config.receipt_ids.form();
                let sink = self.shared.sink();
                self.shared.ledger.learn(message.sid, &record, form, &**sink).await?;
            }
            if let Some(submission) = verdict(&record) {
                return Ok(submission);
            }
            if !news.is_throttled || Instant::now() >= deadline {
                return Ok(busy(news.why));
            }
        }
    }

    /// Sends the parts that the SMSC does not have, and waits for all their answers.
    async fn send_waiting(
        &self,
        bind: &Bind,
        record: &mut Record,
        parts: &[Sm],
        deadline: Instant,
    ) -> News {
        let waiting = record.parts.iter_mut().zip(parts);
        let waiting = waiting.filter(|(part, _)| **part == Part::Waiting);
        let placed = waiting.map(async |(part, sm)| {
            let answer = bind.orders.place(Body::SubmitSm(sm.clone()), deadline).await;
            (part, answer)
        });
        let mut news = News { is_any: false, is_throttled: false, why: "the SMSC is busy".into() };
        for (part, answer) in futures_util::future::join_all(placed).await {
            match answer {
                Answer::Answered { status, message_id } => match status.verdict() {
                    Verdict::Accepted => *part = Part::Accepted { id: message_id },
                    Verdict::Refused(code) => {
                        tracing::info!(bind = bind.config.name, %status, code, "smpp refusal");
                        *part = Part::Refused { code };
                    }
                    Verdict::Busy => {
                        news.is_throttled |= status.asks_for_patience();
                        news.why = status.to_string();
                    }
                },
                Answer::Unknown => news.why = "the SMSC did not answer".to_owned(),
                Answer::NotSent => news.why = "no connection to the SMSC takes it".to_owned(),
            }
            news.is_any |= *part != Part::Waiting;
        }
        news
    }

    /// The bind whose prefix is longest; among equals one that is up, in turn. A message
    /// that was begun stays where it is.
    fn choose(&self, to: &str, begun_on: Option<&str>) -> Option<&Bind> {
        let can_submit = self
            .binds
            .iter()
            .filter(|bind| bind.config.mode.modes().iter().any(|mode| mode.submits()));
        let mut found: Vec<(usize, &Bind)> =
            can_submit.filter_map(|bind| Some((bind.matches(to)?, &**bind))).collect();
        if let Some((_, bind)) = found.iter().find(|(_, bind)| Some(&*bind.config.name) == begun_on)
        {
            return Some(bind);
        }
        let longest = found.iter().map(|(length, _)| *length).max()?;
        found.retain(|(length, _)| *length == longest);
        let up: Vec<_> = found.iter().filter(|(_, bind)| bind.is_up()).collect();
        let turn = usize::from(self.next_reference());
        match up.len() {
            0 => found.get(turn % found.len()).map(|(_, bind)| *bind),
            count => up.get(turn % count).map(|(_, bind)| *bind),
        }
    }
}

struct News {
    /// Something is to be kept.
    is_any: bool,
    /// The session backs off; it is worth waiting for.
    is_throttled: bool,
    why: String,
}

/// `None` while a part is waiting and none is refused.
fn verdict(record: &Record) -> Option<Submission> {
    let refused = record.parts.iter().find_map(|part| match part {
        Part::Refused { code } => Some(*code),
        _ => None,
    });
    if let Some(code) = refused {
        return Some(Submission::Refused { code });
    }
    let is_waiting = record.parts.contains(&Part::Waiting);
    (!is_waiting).then_some(Submission::Accepted)
}

fn compose(
    bind: &Bind,
    message: &OutboundMessage,
    reference: u16,
) -> Result<Vec<Sm>, long::TooLong> {
    let config = &bind.config;
    let template = Sm {
        service_type: config.service_type.clone(),
        source: Address::of(&message.from, config.short_code()),
        destination: Address::of(&message.to, config.short_code()),
        registered_delivery: 1,
        ..Sm::default()
    };
    let (form, alphabet) = (config.long_messages.form(), config.alphabet.alphabet());
    long::compose(&template, &message.body, form, alphabet, reference)
}

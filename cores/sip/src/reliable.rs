//! Provisional answers that are acknowledged (RFC 3262): what the callee sends until its PRACK comes, and
//! what the caller acknowledges.

use std::collections::VecDeque;
use std::time::Duration;

use crate::dialog::Dialog;
use crate::message::{Headers, Method, Request, Response};

const T1: Duration = Duration::from_millis(500);
/// How long a PRACK is waited for.
pub const GIVE_UP: Duration = Duration::from_secs(32);
/// Numbers begin below this (§3).
const FIRST_MAX: u32 = 1 << 31;
/// Answers that wait for those before them.
const WAITING_MAX: usize = 4;
/// Dialogs that one INVITE may make.
const DIALOGS_MAX: usize = 10;

/// Who sent this wants, or can take, provisional answers that are acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    None,
    Supported,
    Required,
}

pub fn wish(invite: &Request) -> Wish {
    match () {
        () if invite.headers.has_token("Require", "100rel") => Wish::Required,
        () if invite.headers.has_token("Supported", "100rel") => Wish::Supported,
        () => Wish::None,
    }
}

/// The number of the answer and the INVITE's that a PRACK is about.
fn acknowledged(prack: &Request) -> Option<(u32, u32)> {
    let mut words = prack.headers.get("RAck")?.split_ascii_whitespace();
    let numbers = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    words.next().filter(|method| *method == Method::Invite.as_str()).map(|_| numbers)
}

/// What is to be done about time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Due {
    Nothing,
    Send(Vec<u8>),
    /// Nobody acknowledges.
    Missing,
}

/// The answer that is under way.
#[derive(Debug)]
struct UnderWay {
    octets: Vec<u8>,
    has_session: bool,
    /// When it is sent again, and after how long then; no more after a final answer.
    again: Option<(Duration, Duration)>,
    until: Duration,
}

/// The callee's: answers to one INVITE, one at a time.
#[derive(Debug)]
pub(crate) struct Reliable {
    /// Of the last that was sent.
    number: u32,
    under_way: Option<UnderWay>,
    next: VecDeque<Response>,
    /// The success that has to wait for what it agrees on (§3).
    held: Option<Response>,
}

impl Reliable {
    /// `seed` is any number; the first answer has the one after it.
    pub(crate) fn new(seed: u32) -> Self {
        let number = seed % (FIRST_MAX - 1);
        Self { number, under_way: None, next: VecDeque::new(), held: None }
    }

    /// The octets to be sent now; what has to wait is sent in its turn, and of too many the last are not.
    pub(crate) fn put(&mut self, mut response: Response, now: Duration) -> Option<Vec<u8>> {
        if self.under_way.is_some() {
            if self.next.len() < WAITING_MAX {
                self.next.push_back(response);
            }
            return None;
        }
        self.number += 1;
        response.headers.add("Require", "100rel");
        response.headers.add("RSeq", self.number.to_string());
        let octets = response.write();
        self.under_way = Some(UnderWay {
            octets: octets.clone(),
            has_session: !response.body.is_empty(),
            again: Some((now + T1, T1)),
            until: now + GIVE_UP,
        });
        Some(octets)
    }

    /// Takes a PRACK of the INVITE with this number; false when it is about nothing that waits for it.
    pub(crate) fn take(&mut self, prack: &Request, cseq: u32) -> bool {
        let is_it = acknowledged(prack) == Some((self.number, cseq)) && self.under_way.is_some();
        if is_it {
            self.under_way = None;
        }
        is_it
    }

    /// Whether a success has to wait; it comes back with [`Reliable::released`].
    pub(crate) fn holds(&mut self, success: &Response) -> bool {
        let waits = self.under_way.as_ref().is_some_and(|answer| answer.has_session);
        if waits {
            self.next.clear();
            self.held.get_or_insert_with(|| success.clone());
        }
        waits
    }

    pub(crate) fn released(&mut self) -> Option<Response> {
        self.held.take()
    }

    pub(crate) fn next(&mut self) -> Option<Response> {
        self.next.pop_front()
    }

    /// A final answer was sent: nothing is sent again, and a PRACK may still come.
    pub(crate) fn rest(&mut self) {
        self.next.clear();
        self.held = None;
        if let Some(answer) = &mut self.under_way {
            answer.again = None;
        }
    }

    pub(crate) fn next_due(&self) -> Option<Duration> {
        let answer = self.under_way.as_ref()?;
        answer.again.map(|(at, _)| at.min(answer.until))
    }

    pub(crate) fn due(&mut self, now: Duration) -> Due {
        let Some(answer) = &mut self.under_way else { return Due::Nothing };
        let Some((at, interval)) = answer.again else { return Due::Nothing };
        if now >= answer.until {
            answer.again = None;
            return Due::Missing;
        }
        if now < at {
            return Due::Nothing;
        }
        answer.again = Some((at.max(now) + interval * 2, interval * 2));
        Due::Send(answer.octets.clone())
    }
}

/// The caller's: what was acknowledged of each dialog that an INVITE has made (§4).
#[derive(Clone, Debug, Default)]
pub struct Acknowledged {
    dialogs: Vec<(Dialog, u32)>,
}

fn number(headers: &Headers) -> Option<u32> {
    let number = headers.get("RSeq")?.trim().parse().ok()?;
    headers.has_token("Require", "100rel").then_some(number)
}

/// What a provisional answer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing: it is not reliable.
    Nothing,
    /// This PRACK, without a Via.
    Prack(Request),
    /// Nothing: it came before, or before its turn, and says nothing new.
    Repeated,
}

impl Acknowledged {
    pub fn take(&mut self, invite: &Request, response: &Response) -> Asked {
        let Some(number) = number(&response.headers).filter(|_| response.code > 100) else {
            return Asked::Nothing;
        };
        let tag = response.headers.tag("To").unwrap_or_default();
        let known = self.dialogs.iter().position(|(dialog, _)| dialog.remote_tag() == tag);
        let at = match known {
            Some(at) if self.dialogs[at].1.wrapping_add(1) == number => at,
            Some(_) => return Asked::Repeated,
            None if self.dialogs.len() >= DIALOGS_MAX => return Asked::Repeated,
            None => {
                let Some(dialog) = Dialog::of_response(invite, response) else {
                    return Asked::Nothing;
                };
                self.dialogs.push((dialog, number));
                self.dialogs.len() - 1
            }
        };
        let (dialog, last) = &mut self.dialogs[at];
        *last = number;
        let Some((cseq, _)) = invite.headers.cseq() else { return Asked::Nothing };
        let mut prack = dialog.request(Method::Prack);
        prack.headers.add("RAck", format!("{number} {cseq} INVITE"));
        Asked::Prack(prack)
    }

    /// The last number that was used in a dialog, by which its next request goes on.
    pub fn cseq(&self, remote_tag: &str) -> Option<u32> {
        let known = self.dialogs.iter().find(|(dialog, _)| dialog.remote_tag() == remote_tag);
        known.map(|(dialog, _)| dialog.local_cseq)
    }
}

#[cfg(test)]
#[path = "tests/reliable.rs"]
mod tests;

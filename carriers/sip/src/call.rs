//! A call as the agent knows it.

use std::time::{Duration, Instant};

use kernel::Sid;
use sdp::{Crypto, Local, Srtp};
use sip::dialog::Dialog;
use sip::timer::SessionTimer;
use sip::transaction::{Flow, Id};

use crate::admission::Door;
use crate::outbound::{Branch, Plan};
use crate::sound::Sound;
use crate::transfer::Refers;

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Placed, or taken and not answered.
    Ringing,
    /// We have answered and wait for the ACK.
    Answered,
    Talking,
    /// To be ended with a BYE as soon as that may be.
    Ending,
}

/// A call.
pub(crate) struct Call {
    pub account: Sid,
    pub leg: Sid,
    pub stage: Stage,
    pub dialog: Option<Dialog>,
    /// Where the other end is.
    pub flow: Option<Flow>,
    pub sound: Sound,
    pub local: Local,
    pub srtp: Srtp,
    /// For offers of ours.
    pub key: Option<Crypto>,
    /// We made the offer whose answer is awaited in an ACK.
    pub awaits_answer: bool,
    /// The INVITE that came in.
    pub invite: Option<Id>,
    pub tag: String,
    /// The INVITEs that went out, and the targets after them.
    pub branches: Vec<Branch>,
    pub plan: Option<Plan>,
    pub has_rung: bool,
    /// The engine has its sound.
    pub has_sound: bool,
    /// Our part of the session, once it was told.
    pub described: Option<String>,
    /// The ACK of the success of ours, sent again when that is.
    pub ack: Option<(Flow, Vec<u8>)>,
    pub timer: Option<SessionTimer>,
    pub refreshed: Duration,
    pub refreshing: bool,
    pub refers: Refers,
    /// Who passes it may take the call's place.
    pub door: Option<Door>,
    pub answered: Option<Instant>,
    pub began: Duration,
}

//! What the agent is told, and what it asks others.

use contracts::{Order, OutboundCall, SiprecSetup, Unavailable};
use kernel::Sid;
use sip::message::Response;
use sip::transaction::{Flow, Id};
use tokio::sync::oneshot;

use crate::admission::Admission;
use crate::outbound::{Plan, Target};
use crate::wires::Received;

/// Told when it is done.
pub(crate) type Done = oneshot::Sender<Result<(), Unavailable>>;

/// What the agent is told.
pub(crate) enum Input {
    Message(Received),
    Lost(Flow),
    Place {
        call: Box<OutboundCall>,
        done: Done,
    },
    Order {
        leg: Sid,
        order: Order,
        done: Done,
    },
    /// Whether an INVITE is let in.
    Admitted {
        id: Id,
        admission: Box<Admission>,
    },
    /// Where a placed call goes to.
    Planned {
        leg: Sid,
        plan: Box<Plan>,
    },
    /// Where a trunk is that we register at.
    Found {
        trunk: usize,
        target: Box<Target>,
    },
    /// Where a host of a trunk is that is to be asked whether it is there.
    Located {
        peer: usize,
        target: Option<Box<Target>>,
    },
    /// Where a redirection with this status leads.
    Redirected {
        leg: Sid,
        targets: Vec<Target>,
        code: u16,
    },
    /// A leg is to be recorded, and where its recorder is, and no longer.
    Siprec {
        account: Sid,
        leg: Sid,
        setup: Box<SiprecSetup>,
        done: Done,
    },
    SiprecFound {
        siprec: Sid,
        target: Option<Box<Target>>,
    },
    StopSiprec {
        siprec: Sid,
    },
    /// The answer to a request is known.
    Respond {
        id: Id,
        response: Box<Response>,
    },
}

/// What a request of ours was for.
pub(crate) enum Asked {
    Invite {
        leg: Sid,
    },
    /// A refresh within a call.
    Reinvite {
        leg: Sid,
    },
    Register {
        trunk: usize,
    },
    /// Whether a host of a trunk is there.
    Options {
        peer: usize,
    },
    /// A recorder's session.
    Siprec {
        siprec: Sid,
    },
    /// To send the other end of a call elsewhere.
    Refer {
        leg: Sid,
    },
    /// Its answer changes nothing.
    Nothing,
}

//! `command_status` of responses (SMPP 3.4 §5.1.3), and what it means for a message.

/// A `command_status`; 0 is success. Values above 0x400 are the SMSC vendor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(pub u32);

#[rustfmt::skip]
impl Status {
    pub const OK: Self = Self(0x00);
    pub const INVALID_MESSAGE_LENGTH: Self = Self(0x01);
    pub const INVALID_COMMAND_LENGTH: Self = Self(0x02);
    pub const INVALID_COMMAND_ID: Self = Self(0x03);
    /// The command does not fit the bind.
    pub const INVALID_BIND_STATUS: Self = Self(0x04);
    pub const ALREADY_BOUND: Self = Self(0x05);
    pub const SYSTEM_ERROR: Self = Self(0x08);
    pub const INVALID_SOURCE: Self = Self(0x0A);
    pub const INVALID_DESTINATION: Self = Self(0x0B);
    pub const BIND_FAILED: Self = Self(0x0D);
    pub const INVALID_PASSWORD: Self = Self(0x0E);
    pub const INVALID_SYSTEM_ID: Self = Self(0x0F);
    pub const CANCEL_FAILED: Self = Self(0x11);
    pub const REPLACE_FAILED: Self = Self(0x13);
    pub const QUEUE_FULL: Self = Self(0x14);
    pub const SUBMIT_FAILED: Self = Self(0x45);
    pub const THROTTLED: Self = Self(0x58);
    pub const INVALID_SCHEDULE: Self = Self(0x61);
    pub const INVALID_EXPIRY: Self = Self(0x62);
    /// Temporary error of the receiving application: send it again.
    pub const RECEIVER_TEMPORARY: Self = Self(0x64);
    /// Permanent error of the receiving application: do not send it again.
    pub const RECEIVER_PERMANENT: Self = Self(0x65);
    pub const RECEIVER_REJECTS: Self = Self(0x66);
    pub const QUERY_FAILED: Self = Self(0x67);
    pub const INVALID_PARAMETER_LENGTH: Self = Self(0xC2);
}

/// What the answer to a `submit_sm` means for its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    /// It will never be taken; a 30xxx of the error table.
    Refused(u32),
    /// Not now; nothing was accepted.
    Busy,
}

/// Statuses that mean more than "no reason given"; every other error is 30008.
/// Statuses above 0xFF are those of SMPP 5.0 that 3.4 peers send too.
#[rustfmt::skip]
const VERDICTS: &[(u32, Verdict)] = &[
    (0x00, Verdict::Accepted),
    (0x04, Verdict::Busy),            // ESME_RINVBNDSTS: the session, not the message
    (0x08, Verdict::Busy),            // ESME_RSYSERR
    (0x0A, Verdict::Refused(30024)),  // ESME_RINVSRCADR
    (0x0B, Verdict::Refused(30005)),  // ESME_RINVDSTADR
    (0x0D, Verdict::Busy),            // ESME_RBINDFAIL
    (0x0E, Verdict::Busy),            // ESME_RINVPASWD
    (0x0F, Verdict::Busy),            // ESME_RINVSYSID
    (0x14, Verdict::Busy),            // ESME_RMSGQFUL
    (0x48, Verdict::Refused(30024)),  // ESME_RINVSRCTON
    (0x49, Verdict::Refused(30024)),  // ESME_RINVSRCNPI
    (0x50, Verdict::Refused(30005)),  // ESME_RINVDSTTON
    (0x51, Verdict::Refused(30005)),  // ESME_RINVDSTNPI
    (0x58, Verdict::Busy),            // ESME_RTHROTTLED
    (0x64, Verdict::Busy),            // ESME_RX_T_APPN
    (0x66, Verdict::Refused(30007)),  // ESME_RX_R_APPN
    (0x101, Verdict::Refused(30004)), // ESME_RPROHIBITED
];

impl Status {
    pub fn is_ok(self) -> bool {
        self == Self::OK
    }

    /// The peer asks for less traffic: the session backs off (§5.1.3, 0x58 and 0x14).
    pub fn asks_for_patience(self) -> bool {
        self == Self::THROTTLED || self == Self::QUEUE_FULL
    }

    /// For the answer to `submit_sm`, `data_sm`, or a `generic_nack` in its place.
    pub fn verdict(self) -> Verdict {
        let row = VERDICTS.iter().find(|(status, _)| *status == self.0);
        row.map_or(Verdict::Refused(30008), |(_, verdict)| *verdict)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "command_status {:#010x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_their_verdicts() {
        let table = [
            (Status::OK, Verdict::Accepted),
            (Status::THROTTLED, Verdict::Busy),
            (Status::QUEUE_FULL, Verdict::Busy),
            (Status::INVALID_DESTINATION, Verdict::Refused(30005)),
            (Status::SUBMIT_FAILED, Verdict::Refused(30008)),
            (Status(0x4ff), Verdict::Refused(30008)),
        ];
        for (status, verdict) in table {
            assert_eq!(status.verdict(), verdict, "{status}");
        }
    }

    #[test]
    fn every_code_is_of_the_error_table() {
        for (status, verdict) in VERDICTS {
            if let Verdict::Refused(code) = verdict {
                assert!(kernel::lookup(*code).is_some(), "{status:#x}: {code}");
            }
        }
    }
}

//! When marketing may not go out, as a pure decision (compliance §4).

use kernel::{Timestamp, WallClock};
use serde::{Deserialize, Serialize};

/// Hours of the recipient's clock between which marketing may go out.
const BEGIN: i8 = 8;
const END: i8 = 21;

/// What happens to marketing in quiet hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuietHours {
    /// It goes out.
    Off,
    /// It waits for their end.
    Reschedule,
    /// It fails with 30610.
    Block,
}

/// What becomes of a message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Go,
    Wait(Timestamp),
    Fail { code: u32 },
}

/// Decides for a recipient whose clocks follow the rule `zone`. After `deadline` the message is of
/// no use to its sender: 30047 when the quiet hours end later.
pub(crate) fn decide(
    mode: QuietHours,
    now: Timestamp,
    zone: &str,
    deadline: Option<Timestamp>,
) -> Decision {
    let Some(clock) = WallClock::of(zone) else { return Decision::Go };
    if mode == QuietHours::Off || (BEGIN..END).contains(&clock.hour(now)) {
        return Decision::Go;
    }
    let end = clock.next(now, BEGIN);
    match mode {
        QuietHours::Block => Decision::Fail { code: 30610 },
        _ if deadline.is_some_and(|deadline| end > deadline) => Decision::Fail { code: 30047 },
        _ => Decision::Wait(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Decision::{Fail, Go};
    use QuietHours::{Block, Off, Reschedule};

    #[test]
    fn the_recipients_clock_decides() {
        let at = |text| Timestamp::parse(text).unwrap();
        let wait = |text| Decision::Wait(at(text));
        let eastern = "EST5EDT,M3.2.0,M11.1.0";
        for (now, mode, deadline, expected) in [
            ("2026-07-01T11:59:59Z", Reschedule, None, wait("2026-07-01T12:00:00Z")),
            ("2026-07-01T12:00:00Z", Reschedule, None, Go),
            ("2026-07-02T00:59:59Z", Reschedule, None, Go),
            ("2026-07-02T01:00:00Z", Reschedule, None, wait("2026-07-02T12:00:00Z")),
            ("2026-07-02T05:00:00Z", Reschedule, None, wait("2026-07-02T12:00:00Z")),
            ("2026-01-02T12:30:00Z", Reschedule, None, wait("2026-01-02T13:00:00Z")),
            ("2026-07-02T05:00:00Z", Off, None, Go),
            ("2026-07-02T05:00:00Z", Block, None, Fail { code: 30610 }),
            ("2026-07-02T14:00:00Z", Block, None, Go),
            (
                "2026-07-02T05:00:00Z",
                Reschedule,
                Some("2026-07-02T11:59:00Z"),
                Fail { code: 30047 },
            ),
            (
                "2026-07-02T05:00:00Z",
                Reschedule,
                Some("2026-07-02T12:00:00Z"),
                wait("2026-07-02T12:00:00Z"),
            ),
        ] {
            let decision = decide(mode, at(now), eastern, deadline.map(at));
            assert_eq!(decision, expected, "{now} {mode:?}");
        }
        // The same instant elsewhere.
        assert_eq!(decide(Reschedule, at("2026-07-02T01:00:00Z"), "MST7", None), Go);
    }
}

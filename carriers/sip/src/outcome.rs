//! What a refusal means for a call (media.md of the reference, and RFC 3398).

use contracts::Ending;

/// How a call ends whose INVITE was answered with this.
pub(crate) fn ending(code: u16) -> Ending {
    match code {
        486 | 600 => Ending::Busy,
        // Nobody came: 487 is the answer to our own CANCEL.
        408 | 480 | 487 => Ending::NoAnswer,
        // Differs: what 603 becomes is unpublished; who declines is busy.
        603 => Ending::Busy,
        _ => Ending::Failed,
    }
}

/// The notification that goes with it.
pub(crate) fn alert(code: u16, reason: &str) -> Option<(u32, String)> {
    let told = |number: u32| Some((number, format!("the SIP endpoint answered {code} {reason}")));
    match code {
        401 | 407 => told(32106),
        403 => told(32017),
        415 | 488 | 606 => told(32102),
        300..=399 => told(32219),
        500..=599 => told(32011),
        404 | 410 | 484 | 604 => told(13224),
        _ => None,
    }
}

/// Whether the next target is tried: who is there and refuses is right.
pub(crate) fn tries_next(code: u16) -> bool {
    code == 408 || (500..600).contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_end_calls_as_they_should() {
        for (code, expected) in [
            (486, Ending::Busy),
            (600, Ending::Busy),
            (480, Ending::NoAnswer),
            (408, Ending::NoAnswer),
            (487, Ending::NoAnswer),
            (603, Ending::Busy),
            (404, Ending::Failed),
            (403, Ending::Failed),
            (488, Ending::Failed),
            (302, Ending::Failed),
            (503, Ending::Failed),
        ] {
            assert_eq!(ending(code), expected, "{code}");
        }
        let code = |status| alert(status, "x").map(|(code, _)| code);
        assert_eq!((code(407), code(403), code(488)), (Some(32106), Some(32017), Some(32102)));
        assert_eq!((code(503), code(486), code(404)), (Some(32011), None, Some(13224)));
        assert!(tries_next(503) && tries_next(408) && !tries_next(486) && !tries_next(603));
    }
}

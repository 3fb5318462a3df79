//! What a message costs, in micro-dollars.
//!
//! Differs: Twilio prices by country and carrier; this is one rate card for all.

/// Outbound and inbound text, per segment.
const SMS: i64 = 7_900;
/// Outbound media message.
const MMS: i64 = 20_000;

/// The price of an outbound message that left, or of an inbound one.
pub fn micros(segments: i64, media: i64) -> i64 {
    if media > 0 { MMS } else { SMS * segments.max(1) }
}

/// As the wire shows it: a negative decimal with five places.
pub fn wire(micros: i64) -> String {
    format!("-{}.{:05}", micros / 1_000_000, micros % 1_000_000 / 10)
}

/// The usage category of a message.
pub fn category(inbound: bool, media: i64) -> &'static str {
    match (inbound, media > 0) {
        (false, false) => "sms-outbound",
        (false, true) => "mms-outbound",
        (true, false) => "sms-inbound",
        (true, true) => "mms-inbound",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_count_segments_and_print_as_the_wire_does() {
        assert_eq!(wire(micros(1, 0)), "-0.00790");
        assert_eq!(wire(micros(3, 0)), "-0.02370");
        assert_eq!(wire(micros(3, 2)), "-0.02000");
        assert_eq!(wire(1_234_567), "-1.23456");
    }
}

//! What a message costs, in micro-dollars.

use numbering::E164;

/// The price of an outbound message that left, or of an inbound one, by the country of whoever it
/// is for. Differs: what no phone number receives costs as much as a text within the US.
pub fn micros(to: &str, inbound: bool, segments: i64, media: i64) -> i64 {
    let iso = match E164::parse(to) {
        Ok(number) => number.country().map(|country| country.iso),
        Err(_) => Some("US"),
    };
    tariff::EXAMPLE.rates(iso).message(inbound, segments, media)
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
        assert_eq!(wire(micros("+14155550100", false, 1, 0)), "-0.00790");
        assert_eq!(wire(micros("+14155550100", true, 3, 0)), "-0.02370");
        assert_eq!(wire(micros("+14155550100", false, 3, 2)), "-0.02000");
        assert_eq!(wire(micros("+4915112345678", false, 1, 0)), "-0.06000");
        assert_eq!(micros("99999", true, 1, 0), micros("+14155550100", true, 1, 0));
        assert_eq!(wire(1_234_567), "-1.23456");
    }
}

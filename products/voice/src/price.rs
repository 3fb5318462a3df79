//! What a call costs, in micro-dollars.

use kernel::Timestamp;
use numbering::E164;
use store::{AccountBatch, counter};

use crate::call::Call;

/// Sets the price of a call that has ended, and books it. Minutes that were begun count; a call
/// that nobody answered costs nothing.
///
/// Differs: what no phone number takes part in costs as much as a call within the US.
pub(crate) fn bill(call: &mut Call, now: Timestamp, batch: &mut AccountBatch) {
    let Some(seconds) = call.duration_seconds().filter(|seconds| *seconds > 0) else { return };
    let inbound = call.direction == "inbound";
    let iso = match E164::parse(&call.to) {
        Ok(number) => number.country().map(|country| country.iso),
        Err(_) => Some("US"),
    };
    let rates = tariff::EXAMPLE.rates(iso);
    let rate = if inbound { rates.call_in } else { rates.call_out };
    let micros = rate.saturating_mul((seconds + 59) / 60);
    call.price = Some(format!("-{}.{:05}", micros / 1_000_000, micros % 1_000_000 / 10));
    let category = if inbound { "calls-inbound" } else { "calls-outbound" };
    counter::spend(batch, now, category, micros);
}

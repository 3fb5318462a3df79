//! What came of one source: loss (RFC 3550 A.3), jitter (A.8), and the round trip (§6.4.1).

use std::time::Duration;

use crate::packet::Header;
use crate::rtcp::{Block, SenderInfo};
use crate::sequence::Sequence;

/// A step of the sequence number that is no loss any more, ahead and back (A.1).
const DROPOUT_MAX: i64 = 3_000;
const MISORDER_MAX: i64 = 100;

/// What became of a packet's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Of this source.
    Known,
    /// Another source, or the same after a jump that a second packet confirmed: counting anew.
    Restarted,
    /// A jump that nothing confirmed yet.
    Jumped,
}

/// Statistics of one direction. The source may change: counting begins again then.
#[derive(Clone, Debug)]
pub struct Reception {
    clock: u32,
    source: Option<Source>,
}

#[derive(Clone, Debug)]
struct Source {
    ssrc: u32,
    sequence: Sequence,
    first: i64,
    received: u64,
    /// What the last report knew.
    expected_before: u64,
    received_before: u64,
    /// The number that would confirm a jump.
    jump: Option<u16>,
    last: Option<(Duration, u32)>,
    /// In sixteenths of a clock unit.
    jitter: u64,
    /// Middle 32 bits of the last sender report's NTP time, and when it came.
    report: Option<(u32, Duration)>,
}

impl Reception {
    /// `clock` in Hz, 1 at least.
    pub fn new(clock: u32) -> Self {
        Self { clock: clock.max(1), source: None }
    }

    /// Takes the header of a packet of sound. Events share their numbers with the sound and are
    /// told by [`Reception::beside`].
    pub fn put(&mut self, header: &Header, now: Duration) -> Step {
        let step = self.count(header);
        let clock = self.clock;
        if step == Step::Jumped {
            return step;
        }
        let Some(source) = &mut self.source else { return step };
        if let Some((arrival, timestamp)) = source.last {
            let waited = now.saturating_sub(arrival).as_nanos() * u128::from(clock) / 1_000_000_000;
            let sent = i64::from(header.timestamp.wrapping_sub(timestamp) as i32);
            let waited = i64::try_from(waited).unwrap_or(i64::MAX);
            let differs = waited.saturating_sub(sent).unsigned_abs();
            // Several packets may have one timestamp; those are not evenly spaced.
            if sent != 0 {
                source.jitter = source.jitter.saturating_add(differs.min(u32::MAX.into()))
                    - (source.jitter + 8) / 16;
            }
        }
        source.last = Some((now, header.timestamp));
        step
    }

    /// Takes the header of a packet whose timestamps do not count: an event.
    pub fn beside(&mut self, header: &Header) -> Step {
        self.count(header)
    }

    fn count(&mut self, header: &Header) -> Step {
        let number = header.sequence;
        let Some(source) = self.source.as_mut().filter(|source| source.ssrc == header.ssrc) else {
            self.source = Some(Source::new(header));
            return Step::Restarted;
        };
        let unwrapped = source.sequence.peek(number.into());
        let ahead = unwrapped - source.sequence.highest().unwrap_or(unwrapped);
        if !(-MISORDER_MAX..DROPOUT_MAX).contains(&ahead) {
            if source.jump == Some(number) {
                let report = source.report;
                self.source = Some(Source { report, ..Source::new(header) });
                return Step::Restarted;
            }
            source.jump = Some(number.wrapping_add(1));
            return Step::Jumped;
        }
        source.jump = None;
        source.sequence.unwrap(number.into());
        source.first = source.first.min(unwrapped);
        source.received += 1;
        Step::Known
    }

    /// A sender report of `ssrc` came.
    pub fn reported(&mut self, ssrc: u32, info: &SenderInfo, now: Duration) {
        if let Some(source) = self.source.as_mut().filter(|source| source.ssrc == ssrc) {
            source.report = Some(((info.ntp >> 16) as u32, now));
        }
    }

    /// The block for the next report; the share lost is since the last. None before any packet.
    pub fn report(&mut self, now: Duration) -> Option<Block> {
        let source = self.source.as_mut()?;
        let expected = source.expected();
        let expected_since = expected - source.expected_before.min(expected);
        let received_since = source.received - source.received_before;
        let lost_since = expected_since.saturating_sub(received_since);
        (source.expected_before, source.received_before) = (expected, source.received);
        let fraction = (lost_since << 8).checked_div(expected_since).unwrap_or(0).min(255);
        let highest = source.sequence.highest().unwrap_or_default();
        let (last_report, delay) = match source.report {
            Some((ntp, came)) => (ntp, units_65536(now.saturating_sub(came))),
            None => (0, 0),
        };
        Some(Block {
            ssrc: source.ssrc,
            fraction_lost: fraction as u8,
            lost: source.lost().clamp(-0x80_0000, 0x7F_FFFF) as i32,
            highest: highest as u32,
            jitter: u32::try_from(source.jitter / 16).unwrap_or(u32::MAX),
            last_report,
            delay,
        })
    }

    /// The source that is counted.
    pub fn ssrc(&self) -> Option<u32> {
        self.source.as_ref().map(|source| source.ssrc)
    }

    /// Packets that came.
    pub fn received(&self) -> u64 {
        self.source.as_ref().map_or(0, |source| source.received)
    }

    /// Packets that did not; negative when some came twice.
    pub fn lost(&self) -> i64 {
        self.source.as_ref().map_or(0, Source::lost)
    }

    /// Interarrival jitter as time.
    pub fn jitter(&self) -> Duration {
        let units = self.source.as_ref().map_or(0, |source| source.jitter);
        Duration::from_nanos(
            u64::try_from(u128::from(units) * 1_000_000_000 / 16 / u128::from(self.clock))
                .unwrap_or(u64::MAX),
        )
    }
}

impl Source {
    fn new(header: &Header) -> Self {
        let mut sequence = Sequence::default();
        let first = sequence.unwrap(header.sequence.into());
        Self {
            ssrc: header.ssrc,
            sequence,
            first,
            received: 1,
            expected_before: 0,
            received_before: 0,
            jump: None,
            last: None,
            jitter: 0,
            report: None,
        }
    }

    fn expected(&self) -> u64 {
        self.sequence.highest().map_or(0, |highest| (highest - self.first + 1).unsigned_abs())
    }

    fn lost(&self) -> i64 {
        self.expected() as i64 - self.received as i64
    }
}

/// Time there and back, from a block about us (§6.4.1). `ntp` is the wall clock when it came. None
/// when the peer has seen no report of ours, or says what cannot be.
pub fn round_trip(block: &Block, ntp: u64) -> Option<Duration> {
    if block.last_report == 0 {
        return None;
    }
    let now = (ntp >> 16) as u32;
    let away = now.wrapping_sub(block.last_report).checked_sub(block.delay)?;
    // Beyond a minute it is the peer's error, not the network.
    (away < 60 << 16).then(|| Duration::from_nanos((u64::from(away) * 1_000_000_000) >> 16))
}

/// Time in 1/65536 s, saturating at 18 hours.
fn units_65536(time: Duration) -> u32 {
    u32::try_from((time.as_nanos() << 16) / 1_000_000_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(sequence: u16, timestamp: u32) -> Header {
        Header { ssrc: 1, sequence, timestamp, ..Header::default() }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn an_even_stream_has_neither_loss_nor_jitter() {
        let mut reception = Reception::new(8_000);
        assert_eq!(reception.report(ms(0)), None);
        for at in 0..100_u16 {
            let number = 65_500_u16.wrapping_add(at);
            reception.put(&header(number, u32::from(at) * 160), ms(u64::from(at) * 20));
        }
        let block = reception.report(ms(2_000)).unwrap();
        assert_eq!((block.lost, block.fraction_lost, block.jitter), (0, 0, 0));
        assert_eq!(block.highest, 65_536 + 63);
        assert_eq!(reception.received(), 100);
    }

    #[test]
    fn loss_is_counted_in_all_and_since_the_last_report() {
        let mut reception = Reception::new(8_000);
        (0..100_u16).filter(|at| at % 4 != 3).for_each(|at| {
            reception.put(&header(at, u32::from(at) * 160), ms(u64::from(at) * 20));
        });
        let block = reception.report(ms(2_000)).unwrap();
        assert_eq!((block.lost, block.fraction_lost), (24, 62));
        (100..150_u16).for_each(|at| {
            reception.put(&header(at, u32::from(at) * 160), ms(u64::from(at) * 20));
        });
        // The 99th came to be missed by the second report only.
        let block = reception.report(ms(3_000)).unwrap();
        assert_eq!((block.lost, block.fraction_lost), (25, 5));
        reception.put(&header(149, 149 * 160), ms(3_000));
        assert_eq!(reception.lost(), 24);
    }

    #[test]
    fn jitter_is_that_of_the_standards_formula() {
        let mut reception = Reception::new(8_000);
        let mut expected = 0.0_f64;
        let arrivals = [0_u64, 25, 40, 61, 79, 130, 131, 140, 160, 180];
        for (at, arrival) in arrivals.iter().enumerate() {
            reception.put(&header(at as u16, at as u32 * 160), ms(*arrival));
            if at > 0 {
                let differs = (*arrival as f64 - arrivals[at - 1] as f64 - 20.0).abs() * 8.0;
                expected += (differs - expected) / 16.0;
            }
        }
        let block = reception.report(ms(200)).unwrap();
        assert!((f64::from(block.jitter) - expected).abs() <= 1.0, "{} {expected}", block.jitter);
        assert!((reception.jitter().as_secs_f64() * 8_000.0 - expected).abs() < 1.0);
    }

    #[test]
    fn jumps_must_be_confirmed_and_other_sources_count_anew() {
        let mut reception = Reception::new(8_000);
        assert_eq!(reception.put(&header(10, 0), ms(0)), Step::Restarted);
        assert_eq!(reception.put(&header(30_000, 0), ms(20)), Step::Jumped);
        assert_eq!(reception.put(&header(11, 160), ms(20)), Step::Known);
        assert_eq!(reception.put(&header(30_000, 0), ms(40)), Step::Jumped);
        assert_eq!(reception.put(&header(30_001, 160), ms(60)), Step::Restarted);
        assert_eq!((reception.received(), reception.lost()), (1, 0));
        let other = Header { ssrc: 2, ..header(5, 0) };
        assert_eq!(reception.beside(&other), Step::Restarted);
        assert_eq!(reception.ssrc(), Some(2));
    }

    #[test]
    fn the_round_trip_is_what_the_standard_computes() {
        // The example of RFC 3550 §6.4.1, figure 2.
        let block = Block { last_report: 0xB705_2000, delay: 0x0005_4000, ..Block::default() };
        assert_eq!(round_trip(&block, 0x0000_B710_8000_0000), Some(Duration::from_millis(6_125)));
        assert_eq!(round_trip(&Block::default(), 1 << 40), None);
        let lying = Block { last_report: 5 << 16, delay: 9 << 16, ..Block::default() };
        assert_eq!(round_trip(&lying, 6 << 32), None);
        let mut reception = Reception::new(8_000);
        reception.put(&header(0, 0), ms(0));
        let info = SenderInfo { ntp: 0x0001_0002_0003_0004, ..SenderInfo::default() };
        reception.reported(1, &info, ms(1_000));
        let block = reception.report(ms(3_500)).unwrap();
        assert_eq!((block.last_report, block.delay), (0x0002_0003, 0x2_8000));
    }

    proptest! {
        #[test]
        fn nothing_overflows(
            packets in prop::collection::vec((any::<u16>(), any::<u32>(), any::<u64>(), 0_u32..3), 0..200),
        ) {
            let mut reception = Reception::new(48_000);
            for (sequence, timestamp, now, ssrc) in packets {
                let now = Duration::from_nanos(now);
                let header = Header { ssrc, sequence, timestamp, ..Header::default() };
                reception.put(&header, now);
                let _ = (reception.jitter(), reception.lost());
                if sequence % 7 == 0 {
                    reception.report(now);
                }
            }
        }
    }
}

//! ITU-T G.711: 8-bit logarithmic samples.
//!
//! Linear samples are 16 bits wide with the standard's 14 (µ-law) or 13 (A-law) in the upper
//! places, as in ITU-T G.191. Octets are as transmitted: µ-law inverted, A-law with every second
//! bit inverted.

/// Which of the two laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Law {
    /// PCMU: North America and Japan.
    Mu,
    /// PCMA: everywhere else.
    A,
}

impl Law {
    /// The octet of a sample of value 0.
    pub const fn silence(self) -> u8 {
        match self {
            Self::Mu => 0xFF,
            Self::A => 0xD5,
        }
    }

    pub const fn encode(self, sample: i16) -> u8 {
        match self {
            Self::Mu => encode_mu(sample),
            Self::A => encode_a(sample),
        }
    }

    pub const fn decode(self, octet: u8) -> i16 {
        match self {
            Self::Mu => MU[octet as usize],
            Self::A => A[octet as usize],
        }
    }

    /// One octet per sample, appended to `out`.
    pub fn encode_to(self, samples: &[i16], out: &mut Vec<u8>) {
        out.extend(samples.iter().map(|sample| self.encode(*sample)));
    }

    /// One sample per octet, appended to `out`.
    pub fn decode_to(self, octets: &[u8], out: &mut Vec<i16>) {
        out.extend(octets.iter().map(|octet| self.decode(*octet)));
    }
}

static MU: [i16; 256] = table(Law::Mu);
static A: [i16; 256] = table(Law::A);

const fn table(law: Law) -> [i16; 256] {
    let mut values = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        values[octet] = match law {
            Law::Mu => decode_mu(octet as u8),
            Law::A => decode_a(octet as u8),
        };
        octet += 1;
    }
    values
}

/// Moves the magnitude so that every segment starts at a power of two.
const MU_BIAS: u16 = 33;
const MU_MAX: u16 = 0x1FFF;

const fn encode_mu(sample: i16) -> u8 {
    // One's complement: a magnitude of 14 bits for either sign.
    let magnitude = (if sample < 0 { !sample } else { sample } as u16 >> 2) + MU_BIAS;
    let magnitude = if magnitude > MU_MAX { MU_MAX } else { magnitude };
    let segment = magnitude.ilog2() as u16 - 5;
    let step = magnitude >> (segment + 1) & 0x0F;
    let sign = if sample < 0 { 0 } else { 0x80 };
    sign | (!(segment << 4 | step) & 0x7F) as u8
}

const fn decode_mu(octet: u8) -> i16 {
    let code = !octet as i16;
    let (segment, step) = (code >> 4 & 7, code & 0x0F);
    let magnitude = ((step * 2 + MU_BIAS as i16) << segment) - MU_BIAS as i16;
    if octet & 0x80 == 0 { -magnitude * 4 } else { magnitude * 4 }
}

const fn encode_a(sample: i16) -> u8 {
    let magnitude = if sample < 0 { !sample } else { sample } as u16 >> 4;
    let code = if magnitude < 32 {
        magnitude
    } else {
        let segment = magnitude.ilog2() as u16 - 3;
        segment << 4 | magnitude >> (segment - 1) & 0x0F
    };
    let sign = if sample < 0 { 0 } else { 0x80 };
    (sign | code as u8) ^ 0x55
}

const fn decode_a(octet: u8) -> i16 {
    let code = octet ^ 0x55;
    let (segment, step) = (code >> 4 & 7, (code & 0x0F) as i16);
    // The middle of the interval, in the 16-bit scale.
    let magnitude = match segment {
        0 => (step << 4) + 8,
        _ => (((step + 16) << 4) + 8) << (segment - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decision values of the positive half as G.711 tables 1a and 2a build them: segments of
    /// 16 intervals (the first two of A-law share a step; µ-law's very first is half as wide).
    fn decisions(law: Law) -> Vec<i32> {
        let mut values = vec![0];
        let mut value = 0;
        for segment in 0..8 {
            let step = match law {
                Law::Mu => 2 << segment,
                // Table 1a counts in 12 bits with a smallest step of 2; here a step of 1 of 11.
                Law::A => 1 << std::cmp::max(segment - 1, 0),
            };
            for interval in 0..16 {
                let first = law == Law::Mu && segment == 0 && interval == 0;
                value += if first { 1 } else { step };
                values.push(value);
            }
        }
        values
    }

    #[test]
    fn virtual_decision_values_are_the_standards() {
        assert_eq!(decisions(Law::Mu).last(), Some(&8159));
        assert_eq!(decisions(Law::A).last(), Some(&2048));
    }

    #[test]
    fn every_sample_falls_into_the_interval_of_the_standard() {
        for (law, shift) in [(Law::Mu, 2), (Law::A, 4)] {
            let decisions = decisions(law);
            for sample in i16::MIN..=i16::MAX {
                let magnitude = i32::from(if sample < 0 { !sample } else { sample } >> shift);
                let interval = decisions[1..128].iter().filter(|x| **x <= magnitude).count() as u8;
                let sign = if sample < 0 { 0 } else { 0x80 };
                let expected = match law {
                    Law::Mu => sign | (!interval & 0x7F),
                    Law::A => (sign | interval) ^ 0x55,
                };
                assert_eq!(law.encode(sample), expected, "{law:?} {sample}");
            }
        }
    }

    #[test]
    fn every_octet_decodes_to_the_middle_of_its_interval() {
        for (law, shift) in [(Law::Mu, 2), (Law::A, 4)] {
            let decisions = decisions(law);
            for octet in 0..=255_u8 {
                let code = if law == Law::Mu { !octet & 0x7F } else { (octet ^ 0x55) & 0x7F };
                let positive = (if law == Law::Mu { octet } else { octet ^ 0x55 }) & 0x80 != 0;
                let at = usize::from(code);
                let middle = if law == Law::Mu && at == 0 {
                    0
                } else {
                    (decisions[at] + decisions[at + 1]) << shift >> 1
                };
                let expected = if positive { middle } else { -middle };
                assert_eq!(i32::from(law.decode(octet)), expected, "{law:?} {octet:#04x}");
            }
        }
    }

    #[test]
    fn octets_survive_the_way_there_and_back() {
        for law in [Law::Mu, Law::A] {
            for octet in 0..=255_u8 {
                // µ-law has two zeros; the positive one is sent.
                let expected = if law == Law::Mu && octet == 0x7F { 0xFF } else { octet };
                assert_eq!(law.encode(law.decode(octet)), expected, "{law:?}");
            }
            assert_eq!(law.encode(0), law.silence());
        }
    }

    #[test]
    fn well_known_values() {
        assert_eq!((Law::Mu.decode(0x80), Law::Mu.decode(0x00)), (32_124, -32_124));
        assert_eq!((Law::A.decode(0xAA), Law::A.decode(0x2A)), (32_256, -32_256));
        assert_eq!((Law::Mu.decode(0xFF), Law::A.decode(0xD5), Law::A.decode(0x55)), (0, 8, -8));
    }
}

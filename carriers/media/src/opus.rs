//! Opus as telephone sound: 8 kHz, one channel, 20 ms at a time (RFC 7587).

use audio::{FRAME, Frame};
use opus_pure::{Application, OpusDecoder, OpusEncoder};

/// Samples of the longest packet, 120 ms.
const SAMPLES_MAX: usize = 960;
/// Octets of the largest that is made.
const OCTETS_MAX: usize = 400;

/// Both ways of one stream.
pub struct Opus {
    encoder: OpusEncoder,
    decoder: OpusDecoder,
}

impl Opus {
    pub fn new() -> Option<Box<Self>> {
        let rate = audio::RATE as i32;
        let encoder = OpusEncoder::new(rate, 1, Application::Voip).ok()?;
        Some(Box::new(Self { encoder, decoder: OpusDecoder::new(rate, 1).ok()? }))
    }

    /// Appends the packet of a frame; false when there is none.
    pub fn encode(&mut self, frame: &Frame, out: &mut Vec<u8>) -> bool {
        let begin = out.len();
        out.resize(begin + OCTETS_MAX, 0);
        let length = self.encoder.encode_s16(frame, FRAME, &mut out[begin..]).unwrap_or(0);
        out.truncate(begin + length);
        length > 0
    }

    /// Appends the samples of a packet; of one that is not understood, none.
    pub fn decode(&mut self, packet: &[u8], out: &mut Vec<i16>) {
        let begin = out.len();
        out.resize(begin + SAMPLES_MAX, 0);
        let decoded = self.decoder.decode_s16(packet, SAMPLES_MAX, &mut out[begin..]);
        out.truncate(begin + decoded.map_or(0, |length| length.min(SAMPLES_MAX)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_comes_back_as_loud_as_it_was() {
        let mut tone = audio::tone::Tone::parse("400").unwrap();
        let (mut here, mut there) = (Opus::new().unwrap(), Opus::new().unwrap());
        let mut heard = Vec::new();
        let mut loudness = 0.0;
        for _ in 0..50 {
            let frame = tone.frame();
            loudness = audio::level::dbfs(&frame);
            let mut packet = Vec::new();
            assert!(here.encode(&frame, &mut packet));
            there.decode(&packet, &mut heard);
        }
        assert_eq!(heard.len(), 50 * FRAME);
        let after = audio::level::dbfs(&heard[25 * FRAME..]);
        assert!((after - loudness).abs() < 3.0, "{after} instead of {loudness} dBFS");
        let before = heard.len();
        there.decode(&[], &mut heard);
        assert!(heard.len() - before <= SAMPLES_MAX);
    }
}

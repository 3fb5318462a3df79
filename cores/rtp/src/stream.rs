//! What one source sends: sequence numbers, timestamps, markers and its part of sender reports.

use crate::packet::{self, Header, PacketError};
use crate::rtcp::SenderInfo;

/// The numbers of one outgoing stream.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    /// The next packet of sound is the first after silence.
    marker: bool,
    packets: u32,
    octets: u32,
}

impl Stream {
    /// All three are to be random (RFC 3550 §5.1).
    pub fn new(ssrc: u32, sequence: u16, timestamp: u32) -> Self {
        Self { ssrc, sequence, timestamp, marker: true, packets: 0, octets: 0 }
    }

    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The timestamp of what is sent next: of an event that begins now.
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Appends a packet of sound that lasts `units` of the clock to `out`, and moves on.
    pub fn sound(
        &mut self,
        payload_type: u8,
        payload: &[u8],
        units: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), PacketError> {
        self.packet(payload_type, self.marker, self.timestamp, payload, out)?;
        self.marker = false;
        self.timestamp = self.timestamp.wrapping_add(units);
        Ok(())
    }

    /// Lets time pass without a packet. The next packet of sound has the marker.
    pub fn silence(&mut self, units: u32) {
        self.timestamp = self.timestamp.wrapping_add(units);
        self.marker = true;
    }

    /// What is sent comes from elsewhere from now on: the next packet of sound has the marker.
    pub fn interrupt(&mut self) {
        self.marker = true;
    }

    /// Appends a packet beside the sound with a timestamp of its own: an event. Time does not move.
    pub fn packet(
        &mut self,
        payload_type: u8,
        marker: bool,
        timestamp: u32,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), PacketError> {
        let header =
            Header { payload_type, marker, sequence: self.sequence, timestamp, ssrc: self.ssrc };
        packet::write(&header, &[], None, payload, out)?;
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload.len() as u32);
        Ok(())
    }

    /// What a sender report says; `ntp` is the wall clock as [`crate::rtcp::ntp`] has it.
    pub fn info(&self, ntp: u64) -> SenderInfo {
        SenderInfo { ntp, timestamp: self.timestamp, packets: self.packets, octets: self.octets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Packet;

    #[test]
    fn numbers_go_on_and_wrap() {
        let mut stream = Stream::new(7, 65_535, u32::MAX - 100);
        let mut headers = Vec::new();
        for step in 0..5 {
            let mut out = Vec::new();
            match step {
                2 => stream.packet(101, true, stream.timestamp(), &[0; 4], &mut out).unwrap(),
                3 => {
                    stream.silence(160);
                    continue;
                }
                _ => stream.sound(0, &[0xFF; 160], 160, &mut out).unwrap(),
            }
            headers.push(Packet::read(&out).unwrap().header);
        }
        let seen: Vec<_> = headers.iter().map(|h| (h.sequence, h.timestamp, h.marker)).collect();
        assert_eq!(
            seen,
            [(65_535, u32::MAX - 100, true), (0, 59, false), (1, 219, true), (2, 379, true),]
        );
        let info = stream.info(9);
        assert_eq!((info.packets, info.octets, info.timestamp, info.ntp), (4, 484, 539, 9));
        let mut out = Vec::new();
        assert!(stream.sound(200, &[], 160, &mut out).is_err() && out.is_empty());
        assert_eq!(stream.timestamp(), 539);
    }
}

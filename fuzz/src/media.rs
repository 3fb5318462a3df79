//! What carries sound.

use audio::wav;
use rtp::{packet, rtcp};

/// RTP, and the telephone events in it.
pub fn rtp(octets: &[u8]) {
    let _ = packet::is_rtcp(octets);
    let Ok(read) = packet::Packet::read(octets) else { return };
    let mut again = Vec::new();
    if read.write(&mut again).is_ok() {
        assert!(packet::Packet::read(&again).is_ok(), "what was read and is written reads again");
    }
    if let Some(event) = rtp::event::Payload::read(read.payload) {
        assert_eq!(rtp::event::Payload::read(&event.octets()), Some(event));
    }
}

/// RTCP, compound.
pub fn rtcp(octets: &[u8]) {
    let Ok(packets) = rtcp::read(octets) else { return };
    let written = |packets: &[rtcp::Packet]| {
        let mut octets = Vec::new();
        rtcp::write(packets, &mut octets).is_ok().then_some(octets)
    };
    if let Some(once) = written(&packets) {
        let again = rtcp::read(&once).expect("what was read and is written reads again");
        assert_eq!(written(&again), Some(once));
    }
}

/// A file that says it is sound.
pub fn wav(octets: &[u8]) {
    let Ok(sound) = wav::read(octets) else { return };
    assert!(sound.samples.len() <= octets.len());
    let _ = sound.into_telephone();
}

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

/// What nodes tell each other of a room.
pub fn link(octets: &[u8]) {
    use rtp::link::{Link, Message};
    let now = std::time::Duration::ZERO;
    let mut link = Link::new(0);
    // Of whom it has heard before.
    let _ = link.hear(&Message::Hello { members: 1 }.write(1), now);
    let _ = link.hear(octets, now);
    for _ in 0..4 {
        link.greet(1, now);
        assert!(link.take().count() <= 2);
    }
    if let Ok((node, message)) = Message::read(octets) {
        assert_eq!(message.write(node), octets, "what was read is written the same");
    }
}

/// A file that says it is sound.
pub fn wav(octets: &[u8]) {
    let Ok(sound) = wav::read(octets) else { return };
    assert!(sound.samples.len() <= octets.len());
    let _ = sound.into_telephone();
}

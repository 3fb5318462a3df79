use proptest::prelude::*;

use super::*;

fn block() -> impl Strategy<Value = Block> {
    (any::<[u32; 5]>(), any::<u8>(), -0x80_0000_i32..0x80_0000).prop_map(|(words, share, lost)| {
        let [ssrc, highest, jitter, last_report, delay] = words;
        Block { ssrc, fraction_lost: share, lost, highest, jitter, last_report, delay }
    })
}

fn packet() -> impl Strategy<Value = Packet> {
    let blocks = || prop::collection::vec(block(), 0..4);
    prop_oneof![
        (any::<u32>(), any::<(u64, u32, u32, u32)>(), blocks()).prop_map(|(ssrc, info, blocks)| {
            let (ntp, timestamp, packets, octets) = info;
            let info = SenderInfo { ntp, timestamp, packets, octets };
            Packet::SenderReport { ssrc, info, blocks }
        }),
        (any::<u32>(), blocks()).prop_map(|(ssrc, blocks)| Packet::ReceiverReport { ssrc, blocks }),
        prop::collection::vec((any::<u32>(), "[a-z@é]{0,20}"), 0..4).prop_map(Packet::Description),
        (prop::collection::vec(any::<u32>(), 0..4), prop::option::of("[a-z]{1,20}"))
            .prop_map(|(sources, reason)| Packet::Goodbye { sources, reason }),
    ]
}

#[test]
fn a_report_is_what_the_standard_draws() {
    let report = Packet::ReceiverReport {
        ssrc: 1,
        blocks: vec![Block {
            ssrc: 2,
            fraction_lost: 3,
            lost: -1,
            highest: 4,
            jitter: 5,
            last_report: 6,
            delay: 7,
        }],
    };
    let name = Packet::Description(vec![(1, "a@b".into())]);
    let mut out = Vec::new();
    write(&[report.clone(), name.clone()], &mut out).unwrap();
    assert_eq!(
        out,
        b"\x81\xc9\0\x07\0\0\0\x01\0\0\0\x02\x03\xff\xff\xff\0\0\0\x04\0\0\0\x05\0\0\0\x06\0\0\0\x07\
          \x81\xca\0\x03\0\0\0\x01\x01\x03a@b\0\0\0"
    );
    assert_eq!(read(&out), Ok(vec![report, name]));
}

#[test]
fn what_is_not_understood_is_skipped() {
    let octets = b"\x80\xc9\0\x01\0\0\0\x01\x81\xce\0\x02\0\0\0\0\0\0\0\x01\x80\xcb\0\0";
    assert_eq!(
        read(octets),
        Ok(vec![
            Packet::ReceiverReport { ssrc: 1, blocks: vec![] },
            Packet::Other(206),
            Packet::Goodbye { sources: vec![], reason: None },
        ])
    );
}

#[test]
fn hostile_packets_are_refused() {
    for (octets, error) in [
        (&b""[..], RtcpError::Short),
        (b"\x80\xc9\0", RtcpError::Short),
        (b"\x80\xc9\xff\xff\0\0\0\x01", RtcpError::Short),
        (b"\x81\xc9\0\x01\0\0\0\x01", RtcpError::Short),
        (b"\x40\xc9\0\x01\0\0\0\x01", RtcpError::Version(1)),
        (b"\x80\xca\0\0", RtcpError::First(202)),
        (b"\xa0\xc9\0\x02\0\0\0\x01\0\0\0\x03", RtcpError::Padding),
        (b"\xa0\xc9\0\x02\0\0\0\x01\0\0\0\0", RtcpError::Padding),
        (b"\xa0\xc9\0\x02\0\0\0\x01\0\0\0\x0c", RtcpError::Padding),
        (b"\xa0\xc9\0\0", RtcpError::Padding),
        // Only the last may be padded.
        (b"\xa0\xc9\0\x02\0\0\0\x01\0\0\0\x04\x80\xcb\0\0", RtcpError::Padding),
        // An item longer than its packet.
        (b"\x80\xc9\0\x01\0\0\0\x01\x81\xca\0\x02\0\0\0\x01\x01\xffab", RtcpError::Short),
    ] {
        assert_eq!(read(octets), Err(error), "{octets:?}");
    }
    let padded = b"\xa0\xc9\0\x02\0\0\0\x01\0\0\0\x04";
    assert_eq!(read(padded), Ok(vec![Packet::ReceiverReport { ssrc: 1, blocks: vec![] }]));
    let many = b"\x80\xc9\0\x01\0\0\0\x01".repeat(33);
    assert_eq!(read(&many), Err(RtcpError::Packets));
}

#[test]
fn what_is_written_is_checked() {
    let report = |blocks| Packet::ReceiverReport { ssrc: 1, blocks };
    let refused = |packets: &[Packet]| {
        let mut out = vec![9];
        let error = write(packets, &mut out).unwrap_err();
        assert_eq!(out, [9]);
        error
    };
    assert_eq!(refused(&[]), RtcpError::Short);
    assert_eq!(refused(&[Packet::Description(vec![])]), RtcpError::First(202));
    assert_eq!(refused(&[report(vec![Block::default(); 32])]), RtcpError::TooMany);
    let long = Packet::Description(vec![(1, "x".repeat(256))]);
    assert_eq!(refused(&[report(vec![]), long]), RtcpError::TooMany);
    assert_eq!(refused(&vec![report(vec![]); 33]), RtcpError::Packets);
}

#[test]
fn the_wall_clock_is_counted_from_1900() {
    assert_eq!(ntp(Duration::ZERO), 2_208_988_800 << 32);
    assert_eq!(ntp(Duration::from_millis(1_500)), (2_208_988_801 << 32) + (1 << 31));
}

proptest! {
    #[test]
    fn no_octets_panic(mut octets in prop::collection::vec(any::<u8>(), 0..120), kind in 199_u8..206) {
        let _ = read(&octets);
        // Near enough to a packet to come further.
        if octets.len() >= 8 {
            let words = (octets.len() / 4 - 1) as u8;
            octets.truncate((usize::from(words) + 1) * 4);
            octets[0] = octets[0] & 0x3F | 0x80;
            octets[1..4].copy_from_slice(&[kind, 0, words]);
            let mut compound = b"\x80\xc9\0\x01\0\0\0\x01".to_vec();
            compound.extend(&octets);
            let _ = (read(&octets), read(&compound));
        }
    }

    #[test]
    fn compounds_survive_the_way_there_and_back(
        packets in prop::collection::vec(packet(), 1..6),
    ) {
        let mut out = Vec::new();
        let first = matches!(
            packets[0], Packet::SenderReport { .. } | Packet::ReceiverReport { .. }
        );
        prop_assert_eq!(write(&packets, &mut out).is_ok(), first);
        if first {
            prop_assert_eq!(read(&out).unwrap(), packets);
        }
    }
}

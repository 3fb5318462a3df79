use super::*;
use crate::read::{SdpError, Suite, parse};

fn local() -> Local {
    Local {
        address: "203.0.113.1".parse().unwrap(),
        port: 10_000,
        session: 7,
        version: 1,
        direction: Direction::Both,
    }
}

fn key(theirs: &Crypto) -> Crypto {
    Crypto { tag: theirs.tag, suite: theirs.suite, key: [9; 30] }
}

fn description(lines: &str) -> Description {
    parse(format!("v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nt=0 0\r\n{lines}").as_bytes()).unwrap()
}

fn answered(lines: &str) -> Result<(Agreed, String), Refusal> {
    answer(&description(lines), &local(), Srtp::Allowed, key)
}

const KEY: &str = "inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd";

#[test]
fn the_offerers_first_spoken_codec_is_taken() {
    let (agreed, text) = answered(
        "c=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 18 8 0 97\r\na=rtpmap:18 G729/8000\r\n\
         a=rtpmap:97 Telephone-Event/8000\r\na=fmtp:97 0-15\r\n",
    )
    .unwrap();
    assert_eq!(agreed.codec, (8, Codec::G711(Law::A)));
    assert_eq!(agreed.events, Some(97));
    assert_eq!(agreed.remote, Some("192.0.2.9:4000".parse().unwrap()));
    assert_eq!(agreed.rtcp, Some("192.0.2.9:4001".parse().unwrap()));
    assert!(text.contains("m=audio 10000 RTP/AVP 8 97\r\n"), "{text}");
    assert!(text.contains("a=fmtp:97 0-16\r\n"));
    // What the other law is stays known: some send it all the same.
    assert_eq!(agreed.receive.codec(0), Some(Codec::G711(Law::Mu)));
}

#[test]
fn other_streams_are_refused_in_their_place() {
    let (_, text) = answered(
        "c=IN IP4 192.0.2.9\r\nm=video 5000 RTP/AVP 31\r\nm=audio 4000 RTP/AVP 0\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
    )
    .unwrap();
    let streams: Vec<&str> = text.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(
        streams,
        [
            "m=video 0 RTP/AVP 31",
            "m=audio 10000 RTP/AVP 0",
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel"
        ]
    );
}

#[test]
fn a_hold_is_answered_with_its_other_side() {
    for (line, ours, held) in [
        ("a=sendonly", "recvonly", true),
        ("a=inactive", "inactive", true),
        ("a=recvonly", "sendonly", false),
        ("a=sendrecv", "sendrecv", false),
        ("", "sendrecv", false),
    ] {
        let offer = format!("c=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 0\r\n{line}\r\n");
        let (agreed, text) = answered(&offer).unwrap();
        assert!(text.contains(&format!("a={ours}\r\n")), "{line}: {text}");
        assert_eq!(agreed.is_held(), held, "{line}");
        // The same for the whole session.
        let (agreed, _) =
            answered(&format!("{line}\r\nc=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 0")).unwrap();
        assert_eq!(agreed.is_held(), held, "{line}");
    }
    let (old, text) = answered("c=IN IP4 0.0.0.0\r\nm=audio 4000 RTP/AVP 0\r\n").unwrap();
    assert!(old.is_held() && old.remote.is_none());
    assert!(text.contains("a=recvonly\r\n"));
}

#[test]
fn keys_are_agreed_on_by_savp_alone() {
    let secure = format!(
        "c=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/SAVP 0\r\na=crypto:1 AES_256_CM_HMAC_SHA1_80 {KEY}\r\n\
         a=crypto:2 AES_CM_128_HMAC_SHA1_32 {KEY}|2^31\r\n"
    );
    let (agreed, text) = answered(&secure).unwrap();
    let (ours, theirs) = agreed.keys.unwrap();
    assert_eq!((ours.tag, ours.suite), (2, Suite::AesCm128HmacSha1_32));
    assert_eq!(theirs.key, std::array::from_fn::<u8, 30, _>(|at| at as u8));
    assert!(text.contains("RTP/SAVP 0\r\n") && text.contains("a=crypto:2 AES_CM_128_HMAC_SHA1_32"));
    assert!(!text.contains("fingerprint"));
    let none = "c=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/SAVP 0\r\n";
    assert_eq!(answered(none).unwrap_err(), Refusal::NoKey);
    let index = secure.replace("|2^31", "|2^31|1:4");
    assert_eq!(answered(&index).unwrap_err(), Refusal::NoKey);
    let plain = description("c=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 0\r\n");
    assert_eq!(answer(&plain, &local(), Srtp::Required, key).unwrap_err(), Refusal::Insecure);
    // Of two streams the protected one is taken where it has to be.
    let both = description(&format!(
        "c=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 0\r\nm=audio 4002 RTP/SAVP 0\r\n\
         a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}\r\n"
    ));
    let (_, text) = answer(&both, &local(), Srtp::Required, key).unwrap();
    assert!(text.contains("m=audio 0 RTP/AVP 0\r\n") && text.contains("m=audio 10000 RTP/SAVP 0"));
}

#[test]
fn what_nobody_speaks_is_refused() {
    assert_eq!(answered("m=video 1 RTP/AVP 31").unwrap_err(), Refusal::NoAudio);
    assert_eq!(answered("m=audio 0 RTP/AVP 0").unwrap_err(), Refusal::NoAudio);
    assert_eq!(answered("m=audio 1 UDP/TLS/RTP/SAVPF 0").unwrap_err(), Refusal::NoAudio);
    let other = "c=IN IP4 192.0.2.9\r\nm=audio 1 RTP/AVP 18 96\r\na=rtpmap:96 iLBC/8000";
    assert_eq!(answered(other).unwrap_err(), Refusal::NoCodec);
    // A dynamic type that is one of ours, and a static one that is said to be something else.
    let named = "c=IN IP4 192.0.2.9\r\nm=audio 1 RTP/AVP 0 96\r\na=rtpmap:0 G722/8000\r\na=rtpmap:96 pcma/8000/1";
    assert_eq!(answered(named).unwrap().0.codec, (96, Codec::G711(Law::A)));
}

#[test]
fn an_offer_of_ours_is_answered() {
    let ours = Crypto { tag: 1, suite: Suite::AesCm128HmacSha1_80, key: [3; 30] };
    let plain = parse(offer(&local(), None).as_bytes()).unwrap();
    let secure = parse(offer(&local(), Some(&ours)).as_bytes()).unwrap();
    let them = Local { address: "192.0.2.9".parse().unwrap(), port: 4000, ..local() };
    for (offered, own) in [(&plain, None), (&secure, Some(&ours))] {
        let (theirs, text) = answer(offered, &them, Srtp::Allowed, key).unwrap();
        let agreed = accept(&parse(text.as_bytes()).unwrap(), &local(), own).unwrap();
        assert_eq!((agreed.codec, agreed.events), ((0, Codec::G711(Law::Mu)), Some(101)));
        assert_eq!(agreed.remote, Some("192.0.2.9:4000".parse().unwrap()));
        assert_eq!(agreed.keys.is_some(), theirs.keys.is_some());
        if let (Some((a, b)), Some((c, d))) = (&agreed.keys, &theirs.keys) {
            assert_eq!((&a.key, &b.key), (&d.key, &c.key));
        }
    }
    let refused = description("m=audio 0 RTP/AVP 0");
    assert_eq!(accept(&refused, &local(), None).unwrap_err(), Refusal::NoAudio);
    let plain = description("c=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 0\r\n");
    assert_eq!(accept(&plain, &local(), Some(&ours)).unwrap_err(), Refusal::Insecure);
    let held = description("c=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 0\r\na=inactive\r\n");
    assert!(accept(&held, &local(), None).unwrap().is_held());
}

#[test]
fn too_much_is_refused() {
    assert_eq!(parse(&[b'a'; 17 * 1024]), Err(SdpError::Long));
    assert_eq!(parse(b""), Err(SdpError::Version));
    assert_eq!(parse(b"v=1\r\n"), Err(SdpError::Version));
    assert_eq!(parse(b"v=0\r\nm=audio x RTP/AVP 0"), Err(SdpError::Line(2)));
    let many = format!("v=0\r\n{}", "m=audio 1 RTP/AVP 0\r\n".repeat(17));
    assert_eq!(parse(many.as_bytes()), Err(SdpError::Many));
    let formats = format!("v=0\r\nm=audio 1 RTP/AVP{}", " 0".repeat(65));
    assert_eq!(parse(formats.as_bytes()), Err(SdpError::Many));
}

proptest::proptest! {
    #[test]
    fn no_description_panics(
        lines in proptest::collection::vec("(m=audio|m=video|c=IN IP4|a=rtpmap:|a=crypto:|a=|v=)[ -~]{0,40}", 0..12)
    ) {
        let text = format!("v=0\r\n{}", lines.join("\r\n"));
        if let Ok(read) = parse(text.as_bytes())
            && let Ok((_, answered)) = answer(&read, &local(), Srtp::Allowed, key)
        {
            proptest::prop_assert_eq!(parse(answered.as_bytes()).unwrap().media.len(), read.media.len());
        }
    }
}

#[test]
fn opus_is_spoken_with_whom_no_law_is() {
    let opus = "a=rtpmap:111 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n\
                a=rtpmap:110 telephone-event/48000\r\n";
    let offered = |formats: &str| {
        answered(&format!("c=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP {formats}\r\n{opus}"))
    };
    let (agreed, text) = offered("111 101 110").unwrap();
    assert_eq!((agreed.codec, agreed.events), ((111, Codec::Opus), Some(110)));
    assert!(
        text.contains("m=audio 10000 RTP/AVP 111 110\r\na=rtpmap:111 opus/48000/2\r\n"),
        "{text}"
    );
    assert!(text.contains("a=rtpmap:110 telephone-event/48000\r\n"), "{text}");
    let (agreed, _) = offered("111 101").unwrap();
    assert_eq!((agreed.codec, agreed.events), ((111, Codec::Opus), Some(101)));
    let (agreed, text) = offered("111 0 110 101").unwrap();
    assert_eq!((agreed.codec, agreed.events), ((0, Codec::G711(Law::Mu)), Some(101)));
    assert!(!text.contains("opus") && agreed.receive.codec(111).is_none());
    assert!(offer(&local(), None).contains("RTP/AVP 0 8 111 101\r\n"));
}

#[test]
fn a_recorder_gets_streams_with_labels() {
    let stream = |port, label, key| Recorded { local: Local { port, ..local() }, label, key };
    let streams = [stream(10_000, "1", None), stream(10_002, "2", None)];
    let text = offer_recording(&streams);
    for part in ["m=audio 10000 RTP/AVP 0 8\r\n", "m=audio 10002 RTP/AVP 0 8\r\n", "a=label:2\r\n"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(text.matches("a=sendonly\r\n").count(), 2);
    let answer = "c=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 8\r\na=recvonly\r\n\
                  m=audio 4002 RTP/AVP 8\r\na=recvonly\r\n";
    let agreed = accept_recording(&description(answer), &streams).unwrap();
    assert_eq!(agreed[1].remote, Some("192.0.2.9:4002".parse().unwrap()));
    assert!(agreed.iter().all(|agreed| agreed.direction == Direction::SendOnly));
    let one = description("c=IN IP4 192.0.2.9\r\nm=audio 4000 RTP/AVP 8\r\n");
    assert_eq!(accept_recording(&one, &streams), Err(Refusal::NoAudio));
    // Protected, each by a key of its own.
    let key = |octet| Crypto { tag: 1, suite: Suite::AesCm128HmacSha1_80, key: [octet; 30] };
    let streams = [stream(10_000, "1", Some(key(1))), stream(10_002, "2", Some(key(2)))];
    let text = offer_recording(&streams);
    assert_eq!(text.matches(" RTP/SAVP 0 8\r\n").count(), 2);
    assert!(text.contains(&key(1).line()) && text.contains(&key(2).line()), "{text}");
    assert_eq!(accept_recording(&description(answer), &streams), Err(Refusal::Insecure));
    let answer = answer.replace("RTP/AVP", "RTP/SAVP");
    assert_eq!(accept_recording(&description(&answer), &streams), Err(Refusal::NoKey));
    let theirs = format!("a=recvonly\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}\r\n");
    let answer = answer.replace("a=recvonly\r\n", &theirs);
    let agreed = accept_recording(&description(&answer), &streams).unwrap();
    let ours = agreed.iter().map(|agreed| agreed.keys.as_ref().unwrap().0.key[0]);
    assert_eq!(ours.collect::<Vec<_>>(), [1, 2]);
}

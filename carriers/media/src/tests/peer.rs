//! Goal: a browser is heard and hears, its keys count once, and it may hold. Method: what browsers do is done
//! by `str0m` itself, on loopback.

use str0m::media::TelephoneEvent;

use super::*;

#[test]
fn sound_is_gathered_before_it_is_heard() {
    let mut inbox = Inbox::default();
    inbox.put(&[0; 160]);
    inbox.put(&[0; 160]);
    assert_eq!(inbox.take(), None);
    inbox.put(&[0; 240]);
    assert!(inbox.take().is_some());
    for _ in 0..100 {
        inbox.put(&[0; 160]);
    }
    assert_eq!(inbox.frames.len(), WAITING_MAX);
}

#[test]
fn pictures_are_refused_in_their_place() {
    let offer = "v=0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
                 m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\n";
    let kept = "v=0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
                m=video 0 UDP/TLS/RTP/SAVPF 96 97\r\na=mid:1\r\n";
    assert_eq!(only_sound(offer), kept);
}

/// The other end: it connects, sends a square wave, and hears.
struct Browser {
    rtc: Rtc,
    socket: UdpSocket,
    mid: Mid,
    pending: Option<SdpPendingOffer>,
    sent: u64,
    is_connected: bool,
    /// Packets of sound.
    heard: u32,
}

impl Browser {
    async fn new() -> (Self, String) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let local = socket.local_addr().unwrap();
        let mut config = RtcConfig::new()
            .set_crypto_provider(Arc::new(str0m::crypto::from_feature_flags()))
            .clear_codecs()
            .enable_pcmu(true, false);
        let format = FormatParams::default();
        let (number, clock) = KEYS[0];
        config.codec_config().add_config(number.into(), None, Codec::Tele, clock, None, format);
        let mut rtc = config.build(Instant::now());
        rtc.add_local_candidate(Candidate::host(local, "udp").unwrap());
        let mut changes = rtc.sdp_api();
        let mid = changes.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = changes.apply().unwrap();
        let (pending, is_connected) = (Some(pending), false);
        let this = Self { rtc, socket, mid, pending, sent: 0, is_connected, heard: 0 };
        (this, offer.to_sdp_string())
    }

    fn take(&mut self, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).unwrap();
        self.rtc.sdp_api().accept_answer(self.pending.take().unwrap(), answer).unwrap();
    }

    fn offer(&mut self, direction: Direction) -> String {
        let mut changes = self.rtc.sdp_api();
        changes.set_direction(self.mid, direction);
        let (offer, pending) = changes.apply().unwrap();
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    fn say(&mut self, event: Option<TelephoneEvent>) {
        let at = MediaTime::new(self.sent, Frequency::EIGHT_KHZ);
        self.sent += FRAME as u64;
        if !self.is_connected {
            return;
        }
        let writer = self.rtc.writer(self.mid).unwrap();
        let known = writer.payload_params().find(|known| known.spec().codec == Codec::PCMU);
        let number = known.unwrap().pt();
        let loud: Vec<u8> = (0..FRAME).map(|at| if at % 8 < 4 { 0x80 } else { 0x00 }).collect();
        let (writer, octets) = match event {
            Some(event) => (writer.telephone_event(event), Vec::new()),
            None => (writer, loud),
        };
        writer.write(number, Instant::now(), at, octets).unwrap();
    }

    /// Does what there is to do for so long.
    async fn go_on(&mut self, time: Duration) {
        let end = Instant::now() + time;
        let mut datagram = vec![0; DATAGRAM_MAX];
        loop {
            let timeout = loop {
                match self.rtc.poll_output().unwrap() {
                    Output::Timeout(at) => break at.min(end),
                    Output::Transmit(out) => {
                        self.socket.send_to(&out.contents, out.destination).await.unwrap();
                    }
                    Output::Event(Event::Connected) => self.is_connected = true,
                    Output::Event(Event::MediaData(_)) => self.heard += 1,
                    Output::Event(_) => {}
                }
            };
            let now = Instant::now();
            if now >= end {
                return;
            }
            tokio::select! {
                received = self.socket.recv_from(&mut datagram) => {
                    let (length, source) = received.unwrap();
                    let destination = self.socket.local_addr().unwrap();
                    let contents = datagram[..length].try_into().unwrap();
                    let receive = Receive { proto: Protocol::Udp, source, destination, contents };
                    self.rtc.handle_input(Input::Receive(Instant::now(), receive)).unwrap();
                }
                () = tokio::time::sleep(timeout.saturating_duration_since(now)) => {
                    self.rtc.handle_input(Input::Timeout(Instant::now())).unwrap();
                }
            }
        }
    }

    /// Ticks of both ends; the loud frames that the platform hears, and the keys.
    async fn ticks(&mut self, port: &mut dyn Port, count: u32, keys: &str) -> (u32, String) {
        let (mut loud, mut pressed, mut keys) = (0, String::new(), keys.chars());
        for tick in 0..count {
            // Keys of 100 ms, and as long until the next.
            let key = (tick % 10 == 5).then(|| keys.next()).flatten().and_then(Key::new);
            let event = key.map(|key| TelephoneEvent {
                event: key.event(),
                end: true,
                volume: 10,
                duration: Duration::from_millis(100),
            });
            self.say(event);
            let now = Instant::now();
            let heard = port.hear(now);
            loud += u32::from(heard.frame.is_some_and(|f| f.iter().any(|s| s.abs() > 4_000)));
            pressed.extend(heard.key.map(|key| key.as_char()));
            port.say(&[4_000; FRAME], now);
            self.go_on(Duration::from_millis(20)).await;
        }
        (loud, pressed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_talks_presses_keys_and_holds() {
    let (mut browser, offer) = Browser::new().await;
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let way = Way::by(socket, "127.0.0.1".parse().unwrap()).unwrap();
    let (peer, answer) = Peer::answer_by(&offer, way, None).unwrap();
    let began = Instant::now();
    assert!(peer.silent_for(began, began).is_some());
    browser.take(&answer);
    while !browser.is_connected {
        assert!(began.elapsed() < Duration::from_secs(10), "it does not connect");
        browser.go_on(Duration::from_millis(20)).await;
    }
    let mut port = peer.port();
    let (loud, keys) = browser.ticks(&mut *port, 50, "").await;
    assert!(loud > 20 && browser.heard > 20 && keys.is_empty(), "{loud} {}", browser.heard);
    assert!(!peer.has_keys());
    let (_, keys) = browser.ticks(&mut *port, 60, "55#A").await;
    assert_eq!(keys, "55#A");
    let now = Instant::now();
    let quiet = peer.silent_for(now, began).expect("it is to send");
    assert!(peer.has_keys() && quiet < Duration::from_secs(1), "{quiet:?}");
    // Held, nothing goes to it, and nothing has to come.
    for (direction, answered) in
        [(Direction::SendOnly, "a=recvonly"), (Direction::SendRecv, "a=sendrecv")]
    {
        let offer = browser.offer(direction);
        let answer = peer.restart(offer).await.expect("it is answered");
        assert!(answer.contains(answered), "{answer}");
        browser.take(&answer);
        browser.go_on(Duration::from_millis(100)).await;
        let (before, is_held) = (browser.heard, direction == Direction::SendOnly);
        browser.ticks(&mut *port, 20, "").await;
        assert_eq!(browser.heard == before, is_held, "{} {before}", browser.heard);
        assert_eq!(peer.silent_for(Instant::now(), began).is_none(), is_held);
    }
    assert!(!peer.is_over() && peer.restart("v=0".to_owned()).await.is_none());
}

//! A telephone that speaks SIP, of which a test says every word, and the domains it may know.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use audio::g711::Law;
use audio::tone::Tone;
use contracts::{
    BoxFuture, CallRoute, IpBlock, SipAccess, SipDirectory, SipPlace, SipPlaceKind, SipPurpose,
    SipTarget, SipTransfers, Unavailable,
};
use kernel::Sid;
use rtp::packet::Packet;
use rtp::stream::Stream;
use sip::dialog::Dialog;
use sip::digest::Reply;
use sip::message::{Message, read};
use sip::{Method, Request, Response};
use tokio::net::UdpSocket;

use super::{World, worlds_with};

/// How long something that must come may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// One domain, with its users and what it says about calls.
pub struct Domains {
    /// Set when it is known.
    pub account: Mutex<Option<Sid>>,
    pub voice_url: Mutex<String>,
    pub users: HashMap<String, String>,
    pub calls: SipAccess,
    /// Numbers whose calls go by the trunk to this address.
    pub trunk: Mutex<Option<(String, String)>>,
    /// What the trunk may transfer.
    pub transfers: Mutex<SipTransfers>,
    /// What is asked when nobody of the trunk takes a call.
    pub recovery: Mutex<Option<String>>,
    /// Calls from this address belong to the domain.
    pub mapped: Mutex<Option<IpAddr>>,
}

/// The domain and the trunk are this world's.
pub fn owned_by(domains: &Domains, world: &World) {
    *domains.account.lock().unwrap() = Some(world.sid().parse::<Sid>().unwrap());
}

/// A telephone beside a world.
pub async fn telephone(world: &World) -> Telephone {
    let env = world.own("GET", "env", serde_json::Value::Null).await.json();
    Telephone::start(env["sip"].as_str().expect("SIP listens")).await
}

/// Worlds with a trunk of the operator's to the numbers of Berlin, and its two hosts. It neither registers
/// nor asks whether they are there, unless changed.
pub async fn trunk_worlds(
    change: &dyn Fn(&mut sip_carrier::Trunk),
) -> Vec<(World, Telephone, Telephone)> {
    let phones = Mutex::new(VecDeque::new());
    let worlds = worlds_with(&|settings| {
        let (first, second) = (Telephone::alone(), Telephone::alone());
        let mut trunk = sip_carrier::Trunk {
            name: "north".into(),
            hosts: vec![first.address().to_string(), second.address().to_string()],
            from: Vec::new(),
            username: None,
            password: None,
            register: false,
            prefixes: vec!["+4930".into()],
            secure: false,
            options_seconds: 0,
        };
        change(&mut trunk);
        let mut sip = sip_carrier::Config::development();
        sip.trunks.push(trunk);
        settings.config.carriers.sip = Some(sip);
        phones.lock().unwrap().push_back((first, second));
    })
    .await;
    let mut all = Vec::new();
    for world in worlds {
        let (mut first, mut second) = phones.lock().unwrap().pop_front().unwrap();
        let platform = telephone(&world).await.platform;
        (first.platform, second.platform) = (platform, platform);
        all.push((world, first, second));
    }
    all
}

pub fn number_uri(world: &World) -> String {
    format!("sip:{}@127.0.0.1", world.number)
}

/// A call's record once it has this status, in real time.
pub async fn reached(world: &World, sid: &str, status: &str) -> serde_json::Value {
    for _ in 0..400 {
        let call = world.get(&world.path(&format!("Calls/{sid}.json"))).await.json();
        if call["status"] == status {
            return call;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{sid} is not {status}");
}

/// A call of the world's number; its SID.
pub async fn placed(world: &World, form: &[(&str, &str)]) -> String {
    let mut all = vec![("From", world.number.as_str())];
    all.extend_from_slice(form);
    let reply = world.post(&world.path("Calls.json"), &all).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.text_of("sid")
}

pub const DOMAIN: &str = "acme.sip.twilio.com";
pub const TRUNK: &str = "acme.pstn.twilio.com";

impl Domains {
    pub fn new() -> Self {
        let users = [("ann".to_owned(), "Secret12345678".to_owned())];
        Self {
            account: Mutex::default(),
            voice_url: Mutex::default(),
            users: users.into(),
            calls: SipAccess { addresses: None, needs_password: true },
            trunk: Mutex::default(),
            transfers: Mutex::default(),
            recovery: Mutex::default(),
            mapped: Mutex::default(),
        }
    }

    pub fn shared() -> Arc<Self> {
        Arc::new(Self::new())
    }

    fn sid(prefix: &str) -> Sid {
        Sid::from_parts(prefix, 7)
    }
}

impl SipDirectory for Domains {
    fn place<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Option<SipPlace>, Unavailable>> {
        Box::pin(async move {
            let account = *self.account.lock().unwrap();
            let (Some(account), true) = (account, [DOMAIN, TRUNK].contains(&host)) else {
                return Ok(None);
            };
            let is_domain = host == DOMAIN;
            let registrations = SipAccess { addresses: None, needs_password: true };
            Ok(Some(SipPlace {
                kind: if is_domain { SipPlaceKind::Domain } else { SipPlaceKind::Trunk },
                account,
                sid: Self::sid(if is_domain { "SD" } else { "TK" }),
                host: host.to_owned(),
                secure: false,
                calls: self.calls.clone(),
                registrations: is_domain.then_some(registrations),
            }))
        })
    }

    fn password<'a>(
        &'a self,
        _: &'a SipPlace,
        _: SipPurpose,
        username: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, Unavailable>> {
        Box::pin(async move { Ok(self.users.get(username).cloned()) })
    }

    fn targets(&self, _: Sid, _: Sid) -> BoxFuture<'_, Result<Vec<SipTarget>, Unavailable>> {
        let trunk = self.trunk.lock().unwrap().clone();
        Box::pin(async move {
            let target = |(_, uri)| SipTarget { uri, priority: 1, weight: 1 };
            Ok(trunk.map(target).into_iter().collect())
        })
    }

    fn trunk_of<'a>(
        &'a self,
        _: Sid,
        number: &'a str,
    ) -> BoxFuture<'a, Result<Option<Sid>, Unavailable>> {
        let is_its = self.trunk.lock().unwrap().as_ref().is_some_and(|(known, _)| known == number);
        Box::pin(async move { Ok(is_its.then(|| Self::sid("TK"))) })
    }

    fn transfers(&self, _: Sid, _: Sid) -> BoxFuture<'_, Result<SipTransfers, Unavailable>> {
        let transfers = *self.transfers.lock().unwrap();
        Box::pin(async move { Ok(transfers) })
    }

    fn recovery_route(
        &self,
        _: Sid,
        _: Sid,
    ) -> BoxFuture<'_, Result<Option<CallRoute>, Unavailable>> {
        let url = self.recovery.lock().unwrap().clone();
        let route = url.map(|url| CallRoute {
            method: "POST".to_owned(),
            url: Some(url),
            ..CallRoute::default()
        });
        Box::pin(async move { Ok(route) })
    }

    fn place_of_address(
        &self,
        address: IpAddr,
    ) -> BoxFuture<'_, Result<Option<SipPlace>, Unavailable>> {
        let is_mapped = *self.mapped.lock().unwrap() == Some(address);
        Box::pin(async move {
            let place = if is_mapped { self.place(DOMAIN).await? } else { None };
            let open = SipAccess {
                addresses: Some(vec![IpBlock { address, prefix: 32 }]),
                needs_password: false,
            };
            Ok(place.map(|place| SipPlace { calls: open, ..place }))
        })
    }

    fn instructions(
        &self,
        _: Sid,
        _: Sid,
    ) -> BoxFuture<'_, Result<Option<CallRoute>, Unavailable>> {
        let url = self.voice_url.lock().unwrap().clone();
        Box::pin(async move {
            let post = || "POST".to_owned();
            Ok(Some(CallRoute {
                url: Some(url),
                method: post(),
                fallback_url: None,
                fallback_method: post(),
                status_callback: None,
                status_callback_method: post(),
                application: None,
                trunk: None,
            }))
        })
    }
}

/// A telephone on loopback.
pub struct Telephone {
    pub socket: UdpSocket,
    pub sound: UdpSocket,
    pub platform: SocketAddr,
    number: Mutex<u32>,
}

impl Telephone {
    pub async fn start(platform: &str) -> Self {
        Self { platform: platform.parse().unwrap(), ..Self::alone() }
    }

    /// One that knows no platform yet.
    pub fn alone() -> Self {
        let bind = || {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_nonblocking(true).unwrap();
            UdpSocket::from_std(socket).unwrap()
        };
        let platform = ([127, 0, 0, 1], 9).into();
        Self { socket: bind(), sound: bind(), platform, number: Mutex::new(0) }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    fn next(&self) -> u32 {
        let mut number = self.number.lock().unwrap();
        *number += 1;
        *number
    }

    /// Our end of a session.
    pub fn session(&self, direction: &str) -> String {
        let port = self.sound.local_addr().unwrap().port();
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
        )
    }

    pub fn via(&self) -> String {
        format!(
            "SIP/2.0/UDP {};branch=z9hG4bKt{}{}",
            self.address(),
            self.address().port(),
            self.next()
        )
    }

    /// A request outside of a dialog.
    pub fn request(&self, method: Method, uri: &str, from: &str) -> Request {
        let mut request = Request::new(method.clone(), uri);
        let number = self.next();
        for (name, value) in [
            ("Via", self.via()),
            ("Max-Forwards", "70".to_owned()),
            ("From", format!("<{from}>;tag=t{number}")),
            ("To", format!("<{uri}>")),
            ("Call-ID", format!("{number}-{}", self.address().port())),
            ("CSeq", format!("{number} {method}")),
            ("Contact", format!("<sip:telephone@{}>", self.address())),
        ] {
            request.headers.add(name, value);
        }
        request
    }

    pub fn invite(&self, uri: &str, from: &str) -> Request {
        let mut invite = self.request(Method::Invite, uri, from);
        invite.headers.add("Content-Type", "application/sdp");
        invite.body = self.session("sendrecv").into_bytes();
        invite
    }

    /// The same again, with what answers a challenge.
    pub fn answering(&self, request: &Request, challenge: &Response, password: &str) -> Request {
        let mut again = request.clone();
        again.headers.set("Via", self.via());
        again.headers.set("CSeq", format!("{} {}", self.next(), request.method));
        let reply = Reply {
            username: "ann",
            password,
            method: request.method.as_str(),
            uri: &request.uri,
            body: &request.body,
            cnonce: "c",
            count: 1,
        };
        let (asks, answers) = match challenge.code {
            401 => ("WWW-Authenticate", "Authorization"),
            _ => ("Proxy-Authenticate", "Proxy-Authorization"),
        };
        again.headers.set(answers, reply.to_any(challenge.headers.all(asks)).unwrap());
        again
    }

    pub async fn say(&self, octets: Vec<u8>) {
        self.socket.send_to(&octets, self.platform).await.unwrap();
    }

    /// The next message for which `pick` has something.
    pub async fn wait<T>(&self, what: &str, mut pick: impl FnMut(Message) -> Option<T>) -> T {
        let waiting = async {
            let mut octets = vec![0; 65_535];
            loop {
                let (length, _) = self.socket.recv_from(&mut octets).await.unwrap();
                if let Ok(message) = read(&octets[..length])
                    && let Some(found) = pick(message)
                {
                    return found;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, waiting).await;
        found.unwrap_or_else(|_| panic!("{what} does not come"))
    }

    /// The next response of this code to a request.
    pub async fn response(&self, code: u16, to: &Request) -> Response {
        let (call, number) = (to.headers.call_id().to_owned(), to.headers.cseq());
        self.wait(&format!("{code}"), |message| match message {
            Message::Response(response)
                if response.headers.call_id() == call && response.headers.cseq() == number =>
            {
                let is_final = response.code >= 200 && response.code != code;
                assert!(!is_final, "{} {:?} instead of {code}", response.code, response.headers);
                (response.code == code).then_some(response)
            }
            _ => None,
        })
        .await
    }

    /// The next request of this method.
    pub async fn asked(&self, method: Method) -> Request {
        self.wait(method.clone().as_str(), |message| match message {
            Message::Request(request) if request.method == method => Some(request),
            _ => None,
        })
        .await
    }

    /// A request within a dialog.
    pub fn inside(&self, dialog: &mut Dialog, method: Method) -> Request {
        let mut request = dialog.request(method);
        request.headers.add_first("Via", self.via());
        request.headers.add("Contact", format!("<sip:telephone@{}>", self.address()));
        request
    }

    /// Acknowledges a success.
    pub async fn acknowledge(&self, invite: &Request, success: &Response) -> Dialog {
        let dialog = Dialog::of_response(invite, success).unwrap();
        let number = invite.headers.cseq().unwrap().0;
        let mut ack = dialog.numbered(Method::Ack, number);
        ack.headers.add_first("Via", self.via());
        self.say(ack.write()).await;
        dialog
    }

    /// Answers a request.
    pub async fn answer(&self, request: &Request, code: u16, body: Option<String>) -> Response {
        let mut response = request.response(code, "", Some("callee"));
        response.headers.add("Contact", format!("<sip:telephone@{}>", self.address()));
        if let Some(body) = body {
            response.headers.add("Content-Type", "application/sdp");
            response.body = body.into_bytes();
        }
        self.say(response.write()).await;
        response
    }

    /// Registers with the domain under this name.
    pub async fn register(&self, user: &str, password: &str) {
        let uri = format!("sip:{user}@{DOMAIN}");
        let mut register = self.request(Method::Register, &format!("sip:{DOMAIN}"), &uri);
        register.headers.set("To", format!("<{uri}>"));
        self.say(register.write()).await;
        let challenge = self.response(401, &register).await;
        let again = self.answering(&register, &challenge, password);
        self.say(again.write()).await;
        self.response(200, &again).await;
    }

    /// Hums into a call until it is told to stop.
    pub async fn hum(&self, there: SocketAddr, stop: &AtomicBool) {
        let mut stream = Stream::new(7, 1, 1);
        let mut tone = Tone::parse("700").unwrap();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while !stop.load(Ordering::Relaxed) {
            tick.tick().await;
            let frame = tone.frame();
            let payload: Vec<u8> = frame.iter().map(|sample| Law::Mu.encode(*sample)).collect();
            let mut out = Vec::new();
            stream.sound(0, &payload, 160, &mut out).unwrap();
            self.sound.send_to(&out, there).await.unwrap();
        }
    }

    /// Waits until half a second of something as pure as that is heard.
    pub async fn hears_the_hum(&self) {
        let listening = async {
            let mut octets = [0; 2048];
            let mut heard: Vec<i16> = Vec::new();
            loop {
                let length = self.sound.recv(&mut octets).await.unwrap();
                let packet = Packet::read(&octets[..length]).unwrap();
                if packet.header.payload_type == 0 {
                    Law::Mu.decode_to(packet.payload, &mut heard);
                }
                if heard.len() >= 4000 {
                    let turns = heard.windows(2).filter(|two| (two[0] < 0) != (two[1] < 0)).count();
                    // 700 Hz crosses nothing 700 times in half a second.
                    if (650..750).contains(&turns) && audio::level::dbfs(&heard) > -40.0 {
                        return;
                    }
                    heard.clear();
                }
            }
        };
        tokio::time::timeout(PATIENCE, listening).await.expect("the hum is heard");
    }

    /// Where the platform's sound of an answer is.
    pub fn sound_of(body: &[u8]) -> SocketAddr {
        let described = sdp::parse(body).unwrap();
        let media = described.media.iter().find(|media| media.port != 0).unwrap();
        SocketAddr::new(media.address.unwrap(), media.port)
    }
}

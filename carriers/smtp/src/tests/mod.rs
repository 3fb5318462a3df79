//! Goal: a domain's own servers are found and asked as RFC 5321 §5.1 says. Method: a DNS server on
//! loopback with records of the test, and mail servers at addresses of loopback that answer as told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use contracts::{MailAttempt, MailCarrier, MailRefusal, OutboundMail};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, MX};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use kernel::Sid;
use outbound::Policy;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use crate::{Config, Smtp, dns};

type Zone = &'static [(&'static str, &'static [Known])];

/// A record of the test.
enum Known {
    Mx(u16, &'static str),
    At([u8; 4]),
}

const ZONE: Zone = &[
    ("two.example.", &[Known::Mx(20, "second.example."), Known::Mx(10, "first.example.")]),
    ("first.example.", &[Known::At([127, 0, 0, 2])]),
    ("second.example.", &[Known::At([127, 0, 0, 3])]),
    ("gone.example.", &[Known::Mx(5, "nowhere.example."), Known::Mx(10, "second.example.")]),
    ("nowhere.example.", &[Known::At([127, 0, 0, 9])]),
    ("null.example.", &[Known::Mx(0, ".")]),
    ("plain.example.", &[Known::At([127, 0, 0, 4])]),
    ("even.example.", &[Known::Mx(10, "first.example."), Known::Mx(10, "second.example.")]),
    ("inner.example.", &[Known::Mx(10, "metadata.example.")]),
    ("metadata.example.", &[Known::At([169, 254, 169, 254])]),
];

/// Answers from the zone; its address.
async fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut bytes = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut bytes).await {
            let asked = Message::from_vec(&bytes[..length]).unwrap();
            socket.send_to(&answer(asked).to_vec().unwrap(), peer).await.unwrap();
        }
    });
    address
}

fn answer(asked: Message) -> Message {
    let question = asked.queries[0].clone();
    let mut reply = asked.into_response();
    let name = question.name().to_ascii().to_lowercase();
    match ZONE.iter().find(|(known, _)| *known == name) {
        None => reply.metadata.response_code = ResponseCode::NXDomain,
        Some((_, records)) => {
            for record in *records {
                let data = match (record, question.query_type()) {
                    (Known::Mx(preference, host), RecordType::MX) => {
                        RData::MX(MX::new(*preference, Name::from_ascii(host).unwrap()))
                    }
                    (Known::At(bytes), RecordType::A) => RData::A(A(Ipv4Addr::from(*bytes))),
                    _ => continue,
                };
                reply.add_answer(Record::from_rdata(question.name().clone(), 60, data));
            }
        }
    }
    reply
}

/// A mail server that answers the sender as it is told; counts whom it talked to.
async fn mail_server(ip: [u8; 4], port: u16, answers: Answers) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind((IpAddr::from(ip), port)).await.unwrap();
    let talks = Arc::new(AtomicUsize::new(0));
    let counted = talks.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let answers = answers.clone();
            tokio::spawn(async move { talk(stream, answers).await });
        }
    });
    talks
}

#[derive(Clone)]
struct Answers {
    greeting: &'static str,
    sender: &'static str,
    /// Held up until a permit is there.
    gate: Arc<Semaphore>,
}

impl Answers {
    fn new(greeting: &'static str, sender: &'static str) -> Self {
        Self { greeting, sender, gate: Arc::new(Semaphore::new(1000)) }
    }
}

async fn talk(stream: TcpStream, answers: Answers) -> Option<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(format!("{}\r\n", answers.greeting).as_bytes()).await.ok()?;
    let mut is_data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let answer = match line.split([' ', ':']).next()?.trim() {
            _ if is_data && line != ".\r\n" => continue,
            "." => {
                is_data = false;
                "250 2.0.0 taken"
            }
            "MAIL" => {
                answers.gate.acquire().await.ok()?.forget();
                answers.sender
            }
            "DATA" => {
                is_data = true;
                "354 go"
            }
            "QUIT" => "221 bye",
            _ => "250 fine",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
}

/// The carrier with the test's DNS; its servers listen on the port.
async fn carrier(policy: Policy) -> (Arc<Smtp>, u16) {
    let names = name_server().await;
    let mut connection = ConnectionConfig::udp();
    connection.port = names.port();
    let mut server = NameServerConfig::udp(names.ip());
    server.connections = vec![connection];
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    let resolver =
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default()).build();
    let config = Config { connections_per_domain: 2, ..Config::development() };
    let mut smtp = Arc::into_inner(Smtp::new(config, policy, None).unwrap()).unwrap();
    smtp.dns = dns::Dns(Ok(resolver.unwrap()));
    // One that is free on every address that the servers of this test may take.
    smtp.port = TcpListener::bind("0.0.0.0:0").await.unwrap().local_addr().unwrap().port();
    let port = smtp.port;
    (Arc::new(smtp), port)
}

fn mail(to: &str, id: usize) -> OutboundMail {
    OutboundMail {
        account: Sid::from_parts("AC", 1),
        id: format!("mail-{id}"),
        envelope_from: "bounces@em.example".into(),
        to: to.into(),
        attempt: 1,
        message: b"Subject: hi\r\n\r\nhello\r\n".to_vec(),
    }
}

#[track_caller]
fn assert_taken(attempt: &MailAttempt, by: &str) {
    let MailAttempt::Delivered { ip, response, tls: false } = attempt else {
        panic!("{attempt:?}");
    };
    assert_eq!((ip.as_deref(), response.as_str()), (Some(by), "250 2.0.0 taken"));
}

#[tokio::test]
async fn the_next_server_takes_what_the_best_does_not() {
    for (greeting, sender) in [
        ("421 4.3.2 not now", ""),
        ("554 5.7.1 not from you", ""),
        ("220 hello", "451 4.7.1 greylisted"),
        ("not SMTP at all", ""),
    ] {
        let (smtp, port) = carrier(Policy::Open).await;
        let first = mail_server([127, 0, 0, 2], port, Answers::new(greeting, sender)).await;
        let good = Answers::new("220 hello", "250 fine");
        let second = mail_server([127, 0, 0, 3], port, good).await;
        assert_taken(&smtp.deliver(&mail("ann@two.example", 1)).await, "127.0.0.3");
        let talks = (first.load(Ordering::SeqCst), second.load(Ordering::SeqCst));
        assert_eq!(talks, (1, 1), "{greeting}");
        // One that cannot be reached at all is passed by, too.
        assert_taken(&smtp.deliver(&mail("ann@gone.example", 1)).await, "127.0.0.3");
    }
}

#[tokio::test]
async fn the_best_server_decides_where_it_can() {
    let (smtp, port) = carrier(Policy::Open).await;
    let refuses = Answers::new("220 hello", "550 5.7.1 listed");
    mail_server([127, 0, 0, 2], port, refuses).await;
    let second = mail_server([127, 0, 0, 3], port, Answers::new("220 hello", "250 fine")).await;
    let attempt = smtp.deliver(&mail("ann@two.example", 1)).await;
    let expected = MailRefusal {
        status: "5.7.1".into(),
        reason: "550 5.7.1 listed".into(),
        ip: Some("127.0.0.2".into()),
        is_block: true,
    };
    assert_eq!(attempt, MailAttempt::Refused(expected));
    assert_eq!(second.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_takes_nothing_now_is_put_off_and_what_never_will_is_refused() {
    let (smtp, port) = carrier(Policy::Open).await;
    let MailAttempt::Deferred { response, ip: None } =
        smtp.deliver(&mail("ann@two.example", 1)).await
    else {
        panic!("nobody listens");
    };
    assert!(response.starts_with("second.example: "), "{response}");
    for ip in [[127, 0, 0, 2], [127, 0, 0, 3]] {
        mail_server(ip, port, Answers::new("554 5.7.1 not from you", "")).await;
    }
    let MailAttempt::Refused(refusal) = smtp.deliver(&mail("ann@two.example", 1)).await else {
        panic!("both are closed to us");
    };
    assert_eq!((refusal.status.as_str(), refusal.is_block), ("5.7.1", true));
    for (to, status) in [("ann@null.example", "5.1.10"), ("ann@unknown.example", "5.1.2")] {
        let MailAttempt::Refused(refusal) = smtp.deliver(&mail(to, 1)).await else {
            panic!("{to} takes no mail");
        };
        assert_eq!((refusal.status.as_str(), refusal.is_block), (status, false));
    }
}

#[tokio::test]
async fn a_domain_without_mx_is_its_own_server() {
    let (smtp, port) = carrier(Policy::Open).await;
    mail_server([127, 0, 0, 4], port, Answers::new("220 hello", "250 fine")).await;
    assert_taken(&smtp.deliver(&mail("ann@plain.example", 1)).await, "127.0.0.4");
}

#[tokio::test]
async fn servers_of_one_preference_share_the_load() {
    let (smtp, port) = carrier(Policy::Open).await;
    let good = Answers::new("220 hello", "250 fine");
    let first = mail_server([127, 0, 0, 2], port, good.clone()).await;
    let second = mail_server([127, 0, 0, 3], port, good).await;
    for id in 0..20 {
        smtp.deliver(&mail("ann@even.example", id)).await;
    }
    let talks = (first.load(Ordering::SeqCst), second.load(Ordering::SeqCst));
    assert_eq!(talks.0 + talks.1, 20);
    assert!(talks.0 > 3 && talks.1 > 3, "{talks:?}");
}

#[tokio::test]
async fn a_stranger_names_no_address_of_this_network() {
    let (smtp, port) = carrier(Policy::guarded()).await;
    let talks = mail_server([127, 0, 0, 4], port, Answers::new("220 hello", "250 fine")).await;
    for to in ["ann@plain.example", "ann@inner.example"] {
        let MailAttempt::Deferred { response, .. } = smtp.deliver(&mail(to, 1)).await else {
            panic!("{to} was connected to");
        };
        assert!(response.contains("network policy"), "{response}");
    }
    assert_eq!(talks.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_domain_has_so_many_connections_and_others_theirs() {
    let (smtp, port) = carrier(Policy::Open).await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Answers { gate: gate.clone(), ..Answers::new("220 hello", "250 fine") };
    let talks = mail_server([127, 0, 0, 2], port, held).await;
    mail_server([127, 0, 0, 4], port, Answers::new("220 hello", "250 fine")).await;
    let two: Vec<_> = (0..2)
        .map(|id| {
            let smtp = smtp.clone();
            tokio::spawn(async move { smtp.deliver(&mail("ann@two.example", id)).await })
        })
        .collect();
    while talks.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(matches!(smtp.deliver(&mail("ann@two.example", 3)).await, MailAttempt::Busy(_)));
    assert_taken(&smtp.deliver(&mail("ann@plain.example", 1)).await, "127.0.0.4");
    gate.add_permits(10);
    for one in two {
        assert_taken(&one.await.unwrap(), "127.0.0.2");
    }
    assert_taken(&smtp.deliver(&mail("ann@two.example", 4)).await, "127.0.0.2");
}

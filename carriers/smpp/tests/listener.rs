//! Goal: applications that speak SMPP are served. Method: the client of the crate smpp34
//! against our listener; octets by hand where a client would not send them.

mod support;

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use contracts::*;
use kernel::Sid;
use smpp::pdu::{self, Bind, Body, Mode, Pdu, Sm};
use smpp::status::Status;
use smpp34::{SmppError, Tlv};
use support::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn listener(port: u16) -> String {
    format!("[[listeners]]\nlisten = '127.0.0.1:{port}'\n")
}

fn start(port: u16) -> Running {
    Running::start(&listener(port), Arc::default(), Arc::default())
}

fn text(sm: &smpp34::deliver_sm) -> String {
    String::from_utf8(sm.short_message.clone()).unwrap()
}

#[tokio::test]
async fn an_application_submits_and_hears_what_became_of_it() {
    let port = free_port();
    let running = start(port);
    let application = Application::bind(port, 10).await;
    let id = application.submit("Hello").await.unwrap();
    let (sid, message) = running.platform.submitted.lock().unwrap()[0].clone();
    assert_eq!((message.from.as_str(), message.to.as_str()), (OUR_NUMBER, HANDSET));
    assert_eq!(message.body, "Hello");

    let delivered = SubmissionStatus { sid, status: ReceiptStatus::Delivered, at: now() };
    running.smpp.status(&delivered).await.unwrap();
    running.smpp.status(&delivered).await.unwrap();
    let receipt = application.delivered(1).await.remove(0);
    assert_eq!(receipt.esm_class, 0x04);
    assert_eq!(receipt.source_addr, "4915112345678");
    assert_eq!(receipt.destination_addr, "15005550006");
    let said = text(&receipt);
    assert!(said.starts_with(&format!("id:{id} sub:001 dlvrd:001 submit date:")), "{said}");
    assert!(said.contains(" stat:DELIVRD err:000 "), "{said}");
    assert_eq!(receipt.tlvs.iter().find(|tlv| tlv.tag == 0x427).unwrap().value, [2]);

    application.submit("Hello again").await.unwrap();
    let (sid, _) = running.platform.submitted.lock().unwrap()[1].clone();
    let status = ReceiptStatus::Undelivered { code: 30005 };
    running.smpp.status(&SubmissionStatus { sid, status, at: now() }).await.unwrap();
    let said = text(&application.delivered(2).await[1]);
    assert!(said.contains(" stat:UNDELIV err:005 "), "{said}");
    eventually("an empty outbox", || running.notes.keys("").is_empty().then_some(())).await;
    application.unbind().await;
    running.stop().await;
}

#[tokio::test]
async fn long_messages_arrive_whole_in_each_form_and_every_part_has_its_receipt() {
    let port = free_port();
    let running = start(port);
    let application = Application::bind(port, 10).await;
    let ucs2 = |text: &str| smpp::coding::encode_ucs2(text);
    let udh = |header: &[u8], text: &str| [header, &ucs2(text)].concat();
    let mut ids = Vec::new();
    let mut submit = async |esm_class, octets, tlvs| {
        ids.push(application.submit_octets(esm_class, 8, octets, tlvs).await.unwrap());
    };
    submit(0x40, udh(&[5, 0, 3, 1, 2, 2], "zwei 😀"), vec![]).await;
    submit(0x40, udh(&[5, 0, 3, 1, 2, 1], "eins "), vec![]).await;
    submit(0x40, udh(&[6, 8, 4, 1, 1, 2, 1], "a"), vec![]).await;
    submit(0x40, udh(&[6, 8, 4, 1, 1, 2, 2], "b"), vec![]).await;
    for number in [1, 2] {
        let tlvs = [(0x20C, vec![0, 5]), (0x20E, vec![2]), (0x20F, vec![number])];
        let tlvs = tlvs.map(|(tag, value)| Tlv::new(tag, value)).to_vec();
        submit(0, ucs2(&format!("S{number}")), tlvs).await;
    }
    let payload = Tlv::new(0x424, ucs2(&"ж".repeat(500)));
    submit(0, vec![], vec![payload]).await;
    let submitted = running.platform.submitted.lock().unwrap().clone();
    let bodies: Vec<&str> = submitted.iter().map(|(_, message)| message.body.as_str()).collect();
    assert_eq!(bodies, ["eins zwei 😀", "ab", "S1S2", "ж".repeat(500).as_str()]);
    for (sid, _) in submitted {
        let status = SubmissionStatus { sid, status: ReceiptStatus::Delivered, at: now() };
        running.smpp.status(&status).await.unwrap();
    }
    let receipts = application.delivered(7).await;
    for id in ids {
        assert!(receipts.iter().any(|sm| text(sm).starts_with(&format!("id:{id} "))), "{id}");
    }
    application.unbind().await;
    running.stop().await;
}

#[tokio::test]
async fn what_is_for_an_application_waits_for_it_even_through_a_restart() {
    let port = free_port();
    let running = start(port);
    let inbound = |body: &str| InboundMessage {
        from: HANDSET.into(),
        to: OUR_NUMBER.into(),
        body: body.into(),
        ..InboundMessage::default()
    };
    running.smpp.deliver("legacy", &inbound("first")).await.unwrap();
    let (notes, platform) = running.stop().await;
    let running = Running::start(&listener(port), notes, platform);
    running.smpp.deliver("legacy", &inbound(&"lang ж".repeat(20))).await.unwrap();
    let application = Application::bind(port, 10).await;
    let delivered = application.delivered(3).await;
    assert_eq!(text(&delivered[0]), "first");
    assert_eq!(delivered[0].source_addr, "4915112345678");
    assert_eq!(delivered[1].esm_class & 0x40, 0x40);
    eventually("an empty outbox", || running.notes.keys("out/").is_empty().then_some(())).await;
    application.unbind().await;

    // One that is refused for now comes again; one that is refused for good does not.
    running.smpp.deliver("legacy", &inbound("again")).await.unwrap();
    let mut wire = Wire::connect(port).await;
    assert!(wire.ask(bind(Mode::Receiver, "legacy", "secret")).await.is_ok());
    for status in [Status::RECEIVER_TEMPORARY, Status::QUEUE_FULL, Status::RECEIVER_PERMANENT] {
        let Pdu { sequence, body: Body::DeliverSm(sm), .. } = wire.hear().await else { panic!() };
        assert_eq!(sm.short_message, b"again");
        assert_eq!(running.notes.keys("out/").len(), 1);
        wire.answer(sequence, status, Body::DeliverSmResp).await;
    }
    eventually("an empty outbox", || running.notes.keys("out/").is_empty().then_some(())).await;
    assert!(wire.ask(Body::Unbind).await.is_ok());
    running.stop().await;
}

#[tokio::test]
async fn refusals_and_absence_are_said_and_nothing_is_promised() {
    let port = free_port();
    let running = start(port);
    let application = Application::bind(port, 10).await;
    running.platform.is_away.store(true, Ordering::Relaxed);
    assert_eq!(application.submit("x").await, Err(SmppError::ESME_RMSGQFUL));
    running.platform.is_away.store(false, Ordering::Relaxed);
    for (code, error) in [
        (21610, SmppError::ESME_RX_R_APPN),
        (21211, SmppError::ESME_RINVDSTADR),
        (21212, SmppError::ESME_RINVSRCADR),
        (30002, SmppError::ESME_RSUBMITFAIL),
    ] {
        *running.platform.refusal.lock().unwrap() = Some(code);
        assert_eq!(application.submit("x").await, Err(error));
    }
    // The first part was acknowledged: its receipt says that nothing came of it.
    let part = |number: u8| vec![5, 0, 3, 1, 2, number, b'x'];
    let id = application.submit_octets(0x40, 0, part(1), vec![]).await.unwrap();
    let last = application.submit_octets(0x40, 0, part(2), vec![]).await;
    assert_eq!(last, Err(SmppError::ESME_RSUBMITFAIL));
    let receipt = text(&application.delivered(1).await[0]);
    assert!(receipt.starts_with(&format!("id:{id} ")) && receipt.contains("UNDELIV"), "{receipt}");
    eventually("no notes", || running.notes.keys("").is_empty().then_some(())).await;
    application.unbind().await;
    running.stop().await;
}

/// Tells the status before it answers the submission.
struct Hasty(OnceLock<Arc<smpp_carrier::Smpp>>);

impl MessageSubmission for Hasty {
    fn send<'a>(
        &'a self,
        _: &'a SubmittedMessage,
    ) -> BoxFuture<'a, Result<Sid, SubmissionRefusal>> {
        Box::pin(async move {
            let sid = sid("SM");
            let status = SubmissionStatus { sid, status: ReceiptStatus::Delivered, at: now() };
            self.0.get().unwrap().status(&status).await.unwrap();
            Ok(sid)
        })
    }
}

#[tokio::test]
async fn a_status_that_is_faster_than_its_submission_is_not_lost() {
    let port = free_port();
    let config = toml::from_str(&listener(port)).unwrap();
    let notes: Arc<Notes> = Arc::default();
    let smpp = smpp_carrier::Smpp::new(config, notes, 7, Arc::new(now)).unwrap();
    let hasty = Arc::new(Hasty(OnceLock::new()));
    hasty.0.set(smpp.clone()).ok().unwrap();
    smpp.connect(Arc::new(Platform::default()));
    let directory = Directory { account: sid("AC"), rate_per_second: 0, sessions_max: 1 };
    smpp.serve(hasty, Arc::new(directory));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let task = tokio::spawn(smpp.run(stopped));
    let application = Application::bind(port, 10).await;
    let id = application.submit("x").await.unwrap();
    assert!(text(&application.delivered(1).await[0]).starts_with(&format!("id:{id} ")));
    application.unbind().await;
    stop.send(true).unwrap();
    task.await.unwrap();
}

/// One connection by hand.
struct Wire(tokio::net::TcpStream, u32);

impl Wire {
    async fn connect(port: u16) -> Self {
        let ready = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
        let stream = eventually("a listener", ready).await;
        stream.set_nonblocking(true).unwrap();
        Self(tokio::net::TcpStream::from_std(stream).unwrap(), 0)
    }

    async fn send(&mut self, body: Body) {
        self.1 += 1;
        self.answer(self.1, Status::OK, body).await;
    }

    async fn answer(&mut self, sequence: u32, status: Status, body: Body) {
        let mut octets = Vec::new();
        pdu::write(&Pdu { status, sequence, body }, &mut octets);
        self.0.write_all(&octets).await.unwrap();
    }

    async fn hear(&mut self) -> Pdu {
        let length = self.0.read_u32().await.unwrap();
        let mut octets = length.to_be_bytes().to_vec();
        octets.resize(length as usize, 0);
        self.0.read_exact(&mut octets[4..]).await.unwrap();
        pdu::read(&octets).unwrap()
    }

    async fn ask(&mut self, body: Body) -> Status {
        self.send(body).await;
        self.hear().await.status
    }

    async fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]).await, Ok(0) | Err(_))
    }
}

fn bind(mode: Mode, system_id: &str, password: &str) -> Body {
    Body::Bind(Bind {
        mode,
        system_id: system_id.into(),
        password: password.into(),
        system_type: String::new(),
        interface_version: 0x34,
        address_range: Default::default(),
    })
}

#[tokio::test]
async fn only_who_may_bind_does() {
    let port = free_port();
    let running = start(port);
    for (name, password) in [("legacy", "wrong"), ("nobody", "secret"), ("nobody", "")] {
        let mut wire = Wire::connect(port).await;
        let status = wire.ask(bind(Mode::Transceiver, name, password)).await;
        assert_eq!(status, Status::INVALID_PASSWORD, "{name}");
        assert!(wire.is_closed().await);
    }
    let mut wires = Vec::new();
    for expected in [Status::OK, Status::OK, Status::BIND_FAILED] {
        let mut wire = Wire::connect(port).await;
        assert_eq!(wire.ask(bind(Mode::Transmitter, "legacy", "secret")).await, expected);
        wires.push(wire);
    }
    // A session that ends makes room.
    drop(wires);
    for _ in 0..500 {
        let mut wire = Wire::connect(port).await;
        if wire.ask(bind(Mode::Receiver, "legacy", "secret")).await.is_ok() {
            let submit = Body::SubmitSm(Sm::default());
            assert_eq!(wire.ask(submit).await, Status::INVALID_BIND_STATUS);
            assert_eq!(wire.ask(Body::Unbind).await, Status::OK);
            running.stop().await;
            return;
        }
    }
    panic!("no session became free");
}

#[tokio::test]
async fn traffic_above_the_rate_is_throttled_and_odd_commands_are_answered() {
    let port = free_port();
    let directory = Directory { account: sid("AC"), rate_per_second: 5, sessions_max: 1 };
    let running = Running::start_with(&listener(port), Arc::default(), Arc::default(), directory);
    let mut wire = Wire::connect(port).await;
    assert!(wire.ask(bind(Mode::Transceiver, "legacy", "secret")).await.is_ok());
    let sm = Sm { short_message: b"x".to_vec(), ..Sm::default() };
    for _ in 0..20 {
        wire.send(Body::SubmitSm(sm.clone())).await;
    }
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(wire.hear().await.status);
    }
    let accepted = statuses.iter().filter(|status| status.is_ok()).count();
    // A burst of five, and one more for each fifth of a second that the line took.
    assert!((5..15).contains(&accepted), "{accepted}");
    let throttled = statuses.iter().filter(|status| **status == Status::THROTTLED).count();
    assert_eq!(accepted + throttled, 20);
    assert_eq!(running.platform.submitted.lock().unwrap().len(), accepted);

    let multi = Body::Unsupported { command: pdu::id::SUBMIT_MULTI };
    assert_eq!(wire.ask(multi).await, Status::INVALID_COMMAND_ID);
    assert_eq!(wire.ask(Body::EnquireLink).await, Status::OK);
    wire.0.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    assert_eq!(wire.hear().await.status, Status::INVALID_COMMAND_LENGTH);
    assert!(wire.is_closed().await);
    running.stop().await;
}

#[tokio::test]
async fn a_message_is_valid_for_its_period_and_never_scheduled() {
    let port = free_port();
    let running = start(port);
    let mut wire = Wire::connect(port).await;
    assert!(wire.ask(bind(Mode::Transmitter, "legacy", "secret")).await.is_ok());
    let five_minutes = "000000000500000R".to_owned();
    let table = [
        (five_minutes.clone(), String::new(), Status::OK),
        ("soon".into(), String::new(), Status::INVALID_EXPIRY),
        (String::new(), five_minutes, Status::INVALID_SCHEDULE),
    ];
    for (validity_period, schedule_delivery_time, status) in table {
        let sm = Sm { validity_period, schedule_delivery_time, ..Sm::default() };
        assert_eq!(wire.ask(Body::SubmitSm(sm)).await, status);
    }
    let tlvs = smpp::tlv::Tlvs::default().with(smpp::tlv::MESSAGE_PAYLOAD, *b"by data");
    wire.send(Body::DataSm(Sm { tlvs, ..Sm::default() })).await;
    let Body::DataSmResp { message_id } = wire.hear().await.body else { panic!() };
    assert!(!message_id.is_empty());
    let submitted = running.platform.submitted.lock().unwrap().clone();
    assert_eq!(submitted.len(), 2);
    assert_eq!(submitted[1].1.body, "by data");
    let period = submitted[0].1.valid_until.unwrap().since(now()).as_secs();
    assert!((290..=300).contains(&period), "{period}");
    assert!(wire.ask(Body::Unbind).await.is_ok());
    running.stop().await;
}

#[tokio::test]
async fn tls_is_spoken_on_both_sides_and_a_stranger_is_not_trusted() {
    let directory = tempdir();
    let make = |name: &str| {
        let key = rcgen::generate_simple_self_signed(vec!["smsc.test".to_owned()]).unwrap();
        let certificate = directory.join(format!("{name}.pem"));
        std::fs::write(&certificate, key.cert.pem()).unwrap();
        let key_file = directory.join(format!("{name}.key"));
        std::fs::write(&key_file, key.signing_key.serialize_pem()).unwrap();
        (certificate, key_file)
    };
    let (certificate, key) = make("ours");
    let (stranger, _) = make("stranger");
    let port = free_port();
    let tls = format!(
        "{}tls = {{ certificate_file = '{}', key_file = '{}' }}\n",
        listener(port),
        certificate.display(),
        key.display()
    );
    let bind = |name: &str, ca: &std::path::Path| {
        format!(
            "[[binds]]\nname = '{name}'\nhost = '127.0.0.1'\nport = {port}\nsystem_id = 'legacy'\n\
             password = 'secret'\ntls = {{ ca_file = '{}', server_name = 'smsc.test' }}\n",
            ca.display()
        )
    };
    let smsc = Running::start(&tls, Arc::default(), Arc::default());
    let trusting = Running::start(&bind("a", &certificate), Arc::default(), Arc::default());
    let message = message("over TLS");
    assert_eq!(trusting.submit(&message).await, Submission::Accepted);
    let (sid, submitted) = smsc.platform.submitted.lock().unwrap()[0].clone();
    assert_eq!(submitted.body, "over TLS");
    let status = SubmissionStatus { sid, status: ReceiptStatus::Delivered, at: now() };
    smsc.smpp.status(&status).await.unwrap();
    let status = eventually("the receipt", || trusting.platform.receipt_of(message.sid)).await;
    assert_eq!(status, ReceiptStatus::Delivered);

    let wary = Running::start(&bind("b", &stranger), Arc::default(), Arc::default());
    let refused = wary.smpp.submit(&message).await;
    assert!(matches!(refused, Submission::Busy(_) | Submission::Elsewhere(_)), "{refused:?}");
    assert_eq!(smsc.platform.submitted.lock().unwrap().len(), 1);
    for running in [wary, trusting, smsc] {
        running.stop().await;
    }
    std::fs::remove_dir_all(directory).unwrap();
}

fn tempdir() -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("offhook-smpp-{}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_submissions_are_accepted_once_each() {
    const MESSAGES: usize = 10_000;
    let port = free_port();
    let running = start(port);
    let application = Arc::new(Application::bind(port, 50).await);
    let began = std::time::Instant::now();
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..50 {
        let application = Arc::clone(&application);
        workers.spawn(async move {
            for number in 0..MESSAGES / 50 {
                application.submit(&format!("{worker}/{number}")).await.unwrap();
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done.unwrap();
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{MESSAGES} submissions in {seconds:.2} s: {:.0}/s", MESSAGES as f64 / seconds);
    let submitted = running.platform.submitted.lock().unwrap().clone();
    let bodies: std::collections::BTreeSet<&str> =
        submitted.iter().map(|(_, message)| message.body.as_str()).collect();
    assert_eq!((submitted.len(), bodies.len()), (MESSAGES, MESSAGES));
    Arc::try_unwrap(application).ok().unwrap().unbind().await;
    running.stop().await;
}

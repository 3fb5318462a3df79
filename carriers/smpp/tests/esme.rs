//! Goal: messages reach a foreign SMSC and their fate comes back. Method: the carrier
//! against the server of the crate smpp34.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use contracts::{ReceiptStatus, Submission};
use smpp34::{SmppError, Tlv, TlvTag};
use support::*;
use tokio::io::AsyncReadExt;

fn id(turn: usize) -> Result<String, SmppError> {
    Ok(format!("id-{turn}"))
}

async fn start(smsc: &Smsc, more: &str) -> Running {
    let running = Running::start(&smsc.bind(more), Arc::default(), Arc::default());
    smsc.handle().await;
    running
}

#[tokio::test]
async fn a_message_is_bound_for_sent_delivered_and_unbound() {
    let smsc = Smsc::start(|turn, _| id(turn)).await;
    let running = start(&smsc, "").await;
    let message = message("Hello {€}");
    assert_eq!(running.submit(&message).await, Submission::Accepted);
    assert_eq!(running.submit(&message).await, Submission::Accepted, "the same again");
    {
        let heard = smsc.heard.submitted.lock().unwrap();
        assert_eq!(heard.len(), 1, "an acknowledged message is not sent twice");
        let sm = &heard[0];
        assert_eq!((sm.source_addr_ton, sm.source_addr_npi), (1, 1));
        assert_eq!(sm.destination_addr, "4915112345678");
        assert_eq!((sm.data_coding, sm.registered_delivery), (0, 1));
        assert_eq!(sm.short_message, sms_gsm("Hello {€}"));
    }
    smsc.receipt("id:id-0 sub:001 dlvrd:000 stat:ENROUTE err:000 text:").await;
    smsc.receipt("id:id-0 sub:001 dlvrd:001 done date:2401021530 stat:DELIVRD err:000").await;
    smsc.receipt("id:id-0 sub:001 dlvrd:001 done date:2401021530 stat:DELIVRD err:000").await;
    let heard = Arc::clone(&smsc.heard);
    let (_, platform) = running.stop().await;
    let receipts = platform.receipts.lock().unwrap().clone();
    assert_eq!(receipts.len(), 1, "twice the same receipt is one");
    assert_eq!((receipts[0].sid, receipts[0].account), (message.sid, message.account));
    assert_eq!(receipts[0].status, ReceiptStatus::Delivered);
    assert_eq!(receipts[0].done_at.iso8601(), "2024-01-02T15:30:00Z");
    assert_eq!(heard.unbinds.load(Ordering::Relaxed), 1);
    smsc.stop().await;
}

fn sms_gsm(text: &str) -> Vec<u8> {
    smpp::coding::Alphabet::Gsm.encode(text).unwrap()
}

#[tokio::test]
async fn long_messages_go_in_each_form_and_are_delivered_when_all_parts_are() {
    for (form, parts) in [("udh-8", 3), ("udh-16", 3), ("sar", 3), ("payload", 1)] {
        let smsc = Smsc::start(|turn, _| id(turn)).await;
        let running = start(&smsc, &format!("long_messages = '{form}'")).await;
        // 170 units: three parts of 67.
        let message = message(&"😀ы".repeat(57));
        assert_eq!(running.submit(&message).await, Submission::Accepted);
        let heard = smsc.heard.submitted.lock().unwrap().clone();
        assert_eq!(heard.len(), parts, "{form}");
        assert!(heard.iter().all(|sm| sm.data_coding == 8), "{form}");
        assert_eq!(heard[0].esm_class & 0x40 != 0, form.starts_with("udh"), "{form}");
        let sar = heard[0].tlvs.iter().filter(|tlv| (0x20C..=0x20F).contains(&tlv.tag)).count();
        assert_eq!(sar, if form == "sar" { 3 } else { 0 });
        for part in 0..parts {
            assert_eq!(running.platform.receipt_of(message.sid), None, "{form}");
            smsc.receipt(&format!("id:id-{part} stat:DELIVRD")).await;
        }
        assert_eq!(running.platform.receipt_of(message.sid), Some(ReceiptStatus::Delivered));
        running.stop().await;
        smsc.stop().await;
    }
}

#[tokio::test]
async fn one_failed_part_fails_the_message() {
    let smsc = Smsc::start(|turn, _| id(turn)).await;
    let running = start(&smsc, "error_codes = { 1F = 30006 }").await;
    let message = message(&"a".repeat(200));
    running.submit(&message).await;
    smsc.receipt("id:id-1 stat:UNDELIV err:01f").await;
    smsc.receipt("id:id-0 stat:DELIVRD").await;
    let receipts = running.platform.receipts.lock().unwrap().clone();
    assert_eq!(receipts.len(), 1);
    assert_eq!(receipts[0].status, ReceiptStatus::Undelivered { code: 30006 });
    running.stop().await;
    smsc.stop().await;
}

#[tokio::test]
async fn receipts_are_understood_in_every_form() {
    // What submit_sm_resp said, the bind's receipt_ids, and the receipt's text.
    let forms = [
        ("1A2B", "auto", "ID:1a2b STAT:DELIVRD"),
        ("1A2B", "auto", "id:0006699 sub:001 stat:DELIVRD"),
        ("6699", "decimal-then-hex", "id:1A2B stat:DELIVRD"),
        ("0000001A2B", "hex-then-decimal", "id:6699 stat:DELIVRD"),
        ("00abc", "same", "id:ABC submit date:240102153000 done date:240102153000 stat:DELIVRD"),
    ];
    for (given, receipt_ids, text) in forms {
        let smsc = Smsc::start(move |_, _| Ok(given.to_owned())).await;
        let running = start(&smsc, &format!("receipt_ids = '{receipt_ids}'")).await;
        let message = message("hi");
        running.submit(&message).await;
        smsc.receipt(text).await;
        let status = running.platform.receipt_of(message.sid);
        assert_eq!(status, Some(ReceiptStatus::Delivered), "{text}");
        running.stop().await;
        smsc.stop().await;
    }
}

#[tokio::test]
async fn a_receipt_in_parameters_alone_is_understood() {
    let smsc = Smsc::start(|turn, _| id(turn)).await;
    let running = start(&smsc, "").await;
    let message = message("hi");
    running.submit(&message).await;
    let handle = smsc.handle().await;
    let receipt = handle
        .deliver_sm()
        .source_addr("4915112345678")
        .destination_addr("15005550006")
        .esm_class(0x04)
        .tlvs([
            Tlv::from_c_string(TlvTag::ReceiptedMessageId, "id-0"),
            Tlv::from_u8(TlvTag::MessageStateTlv, 5),
            Tlv::new(0x0423, vec![3, 0, 1]),
        ]);
    assert!(receipt.send().await.unwrap().is_success());
    let status = running.platform.receipt_of(message.sid);
    assert_eq!(status, Some(ReceiptStatus::Undelivered { code: 30005 }));
    running.stop().await;
    smsc.stop().await;
}

#[tokio::test]
async fn receipts_that_come_early_or_after_a_restart_or_while_we_are_away_are_not_lost() {
    let smsc = Smsc::start(|turn, _| id(turn)).await;
    let running = start(&smsc, "").await;
    smsc.receipt("id:id-0 stat:DELIVRD").await;
    let early = message("its receipt is here before its answer");
    running.submit(&early).await;
    assert_eq!(running.platform.receipt_of(early.sid), Some(ReceiptStatus::Delivered));
    assert!(running.notes.keys("early/").is_empty());

    let late = message("its receipt comes after a restart");
    running.submit(&late).await;
    let config = smsc.bind("");
    let (notes, platform) = running.stop().await;
    smsc.heard.handles.lock().unwrap().clear();
    let running = Running::start(&config, notes, platform);
    smsc.handle().await;
    smsc.receipt("id:id-1 stat:DELIVRD").await;
    assert_eq!(running.platform.receipt_of(late.sid), Some(ReceiptStatus::Delivered));
    assert_eq!(running.submit(&late).await, Submission::Accepted);
    assert_eq!(smsc.heard.submitted.lock().unwrap().len(), 2, "not sent again");

    let away = message("its receipt comes while the platform cannot take it");
    running.submit(&away).await;
    running.platform.is_away.store(true, Ordering::Relaxed);
    smsc.receipt("id:id-2 stat:EXPIRED").await;
    assert_eq!(running.notes.keys("due/").len(), 1);
    running.platform.is_away.store(false, Ordering::Relaxed);
    let status = eventually("the due receipt", || running.platform.receipt_of(away.sid)).await;
    assert_eq!(status, ReceiptStatus::Undelivered { code: 30003 });
    running.stop().await;
    smsc.stop().await;
}

#[tokio::test]
async fn throttling_is_waited_out_and_refusals_have_codes() {
    let smsc = Smsc::start(|turn, sm| match sm.destination_addr.as_str() {
        "4915100000001" => Err(SmppError::ESME_RINVDSTADR),
        "4915100000002" => Err(SmppError::ESME_RSYSERR),
        _ if turn < 2 => Err(SmppError::ESME_RTHROTTLED),
        _ => id(turn),
    })
    .await;
    let running = start(&smsc, "").await;
    let began = std::time::Instant::now();
    assert_eq!(
        contracts::MessageCarrier::submit(&*running.smpp, &message("a")).await,
        Submission::Accepted
    );
    assert_eq!(smsc.heard.submitted.lock().unwrap().len(), 3);
    // Half a second, then a second.
    assert!(began.elapsed().as_millis() >= 1_500, "{:?}", began.elapsed());
    let to = |to: &str| contracts::OutboundMessage { to: to.into(), ..message("x") };
    let refused = running.smpp.as_ref();
    let submit =
        |message| async move { contracts::MessageCarrier::submit(refused, &message).await };
    assert_eq!(submit(to("+4915100000001")).await, Submission::Refused { code: 30005 });
    assert!(matches!(submit(to("+4915100000002")).await, Submission::Busy(_)));
    let media = vec![contracts::OutboundMedia { content_type: "a/b".into(), url: "x".into() }];
    let mms = contracts::OutboundMessage { media, ..message("x") };
    assert_eq!(submit(mms).await, Submission::Refused { code: 30011 });
    running.stop().await;
    smsc.stop().await;
}

#[tokio::test]
async fn inbound_messages_arrive_long_ones_whole() {
    let smsc = Smsc::start(|turn, _| id(turn)).await;
    let running = start(&smsc, "").await;
    let handle = smsc.handle().await;
    let deliver = async |esm_class: u8, data_coding: u8, octets: Vec<u8>, tlvs: Vec<Tlv>| {
        let answer = handle
            .deliver_sm()
            .source_addr_ton(1)
            .source_addr("4915112345678")
            .dest_addr_ton(1)
            .destination_addr("15005550006")
            .esm_class(esm_class)
            .data_coding(data_coding)
            .short_message(octets)
            .tlvs(tlvs);
        answer.send().await.unwrap().is_success()
    };
    let ucs2 = |text: &str| smpp::coding::encode_ucs2(text);
    let part = |header: &[u8], text: &str| [header, &ucs2(text)].concat();
    assert!(deliver(0, 0, sms_gsm("one {piece}"), vec![]).await);
    assert!(deliver(0x40, 8, part(&[5, 0, 3, 9, 2, 2], "zwei 😀"), vec![]).await);
    assert!(deliver(0x40, 8, part(&[5, 0, 3, 9, 2, 1], "eins, "), vec![]).await);
    assert!(deliver(0x40, 8, part(&[6, 8, 4, 1, 9, 2, 1], "a"), vec![]).await);
    assert!(deliver(0x40, 8, part(&[6, 8, 4, 1, 9, 2, 2], "b"), vec![]).await);
    let sar = |number| {
        vec![Tlv::new(0x20C, vec![0, 9]), Tlv::new(0x20E, vec![2]), Tlv::new(0x20F, vec![number])]
    };
    assert!(deliver(0, 3, b"\xFCber \0".to_vec(), sar(1)).await);
    assert!(deliver(0, 3, b"SAR".to_vec(), sar(2)).await);
    let payload = Tlv::new(0x424, ucs2(&"ж".repeat(300)));
    assert!(deliver(0, 8, vec![], vec![payload]).await);
    assert!(!deliver(0, 5, vec![1], vec![]).await, "JIS is not read, and said so");
    let inbound = running.platform.inbound.lock().unwrap().clone();
    let bodies: Vec<&str> = inbound.iter().map(|message| message.body.as_str()).collect();
    let long = "ж".repeat(300);
    assert_eq!(bodies, ["one {piece}", "eins, zwei 😀", "ab", "über SAR", long.as_str()]);
    assert!(inbound.iter().all(|message| message.from == HANDSET && message.to == OUR_NUMBER));
    assert!(running.notes.keys("part/").is_empty());

    running.platform.is_away.store(true, Ordering::Relaxed);
    assert!(!deliver(0, 0, b"later".to_vec(), vec![]).await, "not kept: not acknowledged");
    running.stop().await;
    smsc.stop().await;
}

#[tokio::test]
async fn half_a_long_inbound_message_survives_a_restart() {
    let smsc = Smsc::start(|turn, _| id(turn)).await;
    let running = start(&smsc, "").await;
    let deliver = async |octets: &[u8]| {
        let handle = smsc.handle().await;
        let sm = handle.deliver_sm().source_addr("4915112345678").destination_addr("15005550006");
        let sm = sm.esm_class(0x40).short_message(octets.to_vec());
        assert!(sm.send().await.unwrap().is_success());
    };
    deliver(&[5, 0, 3, 9, 2, 1, b'a']).await;
    let (notes, platform) = running.stop().await;
    smsc.heard.handles.lock().unwrap().clear();
    let running = Running::start(&smsc.bind(""), notes, platform);
    deliver(&[5, 0, 3, 9, 2, 2, b'b']).await;
    assert_eq!(running.platform.inbound.lock().unwrap()[0].body, "ab");
    running.stop().await;
    smsc.stop().await;
}

#[tokio::test]
async fn a_wrong_password_keeps_trying_and_messages_stay_with_the_platform() {
    let smsc = Smsc::start(|turn, _| id(turn)).await;
    let config = smsc.bind("").replace("'secret'", "'wrong'");
    let running = Running::start(&config, Arc::default(), Arc::default());
    let message = message("hi");
    let submit = || contracts::MessageCarrier::submit(&*running.smpp, &message);
    let mut submission = submit().await;
    while matches!(submission, Submission::Elsewhere(_)) {
        // It does not run yet.
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        submission = submit().await;
    }
    assert!(matches!(submission, Submission::Busy(_)), "{submission:?}");
    assert!(smsc.heard.submitted.lock().unwrap().is_empty());
    running.stop().await;
    smsc.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_messages_go_within_the_window() {
    const MESSAGES: usize = 10_000;
    let smsc = Smsc::start(|turn, _| id(turn)).await;
    let running = Arc::new(start(&smsc, "window = 50\nconnections = 2").await);
    let began = std::time::Instant::now();
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let running = Arc::clone(&running);
        workers.spawn(async move {
            for _ in 0..MESSAGES / 100 {
                assert_eq!(running.submit(&message("hello")).await, Submission::Accepted);
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        done.unwrap();
    }
    let seconds = began.elapsed().as_secs_f64();
    let most = smsc.heard.most_under_way.load(Ordering::SeqCst);
    println!("{MESSAGES} submit_sm in {seconds:.2} s: {:.0}/s", MESSAGES as f64 / seconds);
    assert_eq!(smsc.heard.submitted.lock().unwrap().len(), MESSAGES);
    assert!(most <= 100, "{most} under way on two connections of 50");
    Arc::try_unwrap(running).ok().unwrap().stop().await;
    smsc.stop().await;
}

#[tokio::test]
async fn a_connection_that_is_cut_comes_back_and_nothing_is_lost() {
    let smsc = Smsc::start(|turn, _| id(turn)).await;
    // Some fifteen answers, and half of the next.
    let proxy = proxy(smsc.port, 320).await;
    let config = smsc.bind("window = 4\nresponse_timeout_seconds = 2");
    let config = config.replace(&format!("port = {}", smsc.port), &format!("port = {proxy}"));
    let running = Arc::new(Running::start(&config, Arc::default(), Arc::default()));
    smsc.handle().await;
    let mut workers = tokio::task::JoinSet::new();
    let messages: Vec<_> = (0..40).map(|number| message(&format!("message {number}"))).collect();
    for message in messages.clone() {
        let running = Arc::clone(&running);
        workers.spawn(async move { running.submit(&message).await });
    }
    while let Some(done) = workers.join_next().await {
        assert_eq!(done.unwrap(), Submission::Accepted);
    }
    assert_eq!(smsc.heard.handles.lock().unwrap().len(), 2, "bound again");
    let heard = smsc.heard.submitted.lock().unwrap().clone();
    for message in &messages {
        let octets = message.body.as_bytes();
        assert!(heard.iter().any(|sm| sm.short_message == octets), "{} is lost", message.body);
    }
    let twice = heard.len() - messages.len();
    assert!((1..=4).contains(&twice), "{twice} were sent again, of a window of 4");
    Arc::try_unwrap(running).ok().unwrap().stop().await;
    smsc.stop().await;
}

/// Carries connections to `port`; the first one is cut when that many octets came back.
async fn proxy(port: u16, octets: u64) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for limit in [octets, u64::MAX] {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut near_read, mut near_write) = near.split();
            let (far_read, mut far_write) = far.split();
            let mut far_read = far_read.take(limit);
            tokio::select! {
                _ = tokio::io::copy(&mut near_read, &mut far_write) => {}
                _ = tokio::io::copy(&mut far_read, &mut near_write) => {}
            }
        }
    });
    own
}

//! Goal: a second foreign peer, in another language, is served. Method: Python's smpplib
//! against our listener, when it is installed (`pip install smpplib`).

mod support;

use std::process::Stdio;
use std::sync::Arc;

use contracts::{ApplicationLink, ReceiptStatus, SubmissionStatus};
use support::*;

/// Submits a long message with an emoji in parts, then prints the first receipt.
const PEER: &str = r#"
import sys, smpplib.client, smpplib.gsm, smpplib.consts as consts
client = smpplib.client.Client("127.0.0.1", int(sys.argv[1]), allow_unknown_opt_params=True)
client.connect()
client.bind_transceiver(system_id="legacy", password="secret")
parts, coding, flag = smpplib.gsm.make_parts("smpplib \U0001F600 " + "x" * 100)
for part in parts:
    client.send_message(source_addr_ton=consts.SMPP_TON_INTL, source_addr="15005550006",
        dest_addr_ton=consts.SMPP_TON_INTL, destination_addr="4915112345678",
        short_message=part, data_coding=coding, esm_class=flag, registered_delivery=True)
class Done(Exception): pass
def received(pdu):
    if pdu.command == "deliver_sm":
        print(pdu.short_message.decode(), flush=True)
        raise Done
client.set_message_received_handler(received)
try:
    client.listen()
except Done:
    pass
client.unbind()
client.disconnect()
"#;

#[tokio::test]
async fn smpplib_submits_and_reads_its_receipt() {
    let probe = std::process::Command::new("python3").args(["-c", "import smpplib"]).output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        eprintln!("smpplib not tested: python3 cannot import it");
        return;
    }
    let port = free_port();
    let config = format!("[[listeners]]\nlisten = '127.0.0.1:{port}'");
    let running = Running::start(&config, Arc::default(), Arc::default());
    let ready = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
    drop(eventually("a listener", ready).await);
    let mut peer = tokio::process::Command::new("python3");
    peer.args(["-c", PEER, &port.to_string()]).stdout(Stdio::piped()).kill_on_drop(true);
    let peer = peer.spawn().unwrap();
    let submitted = || running.platform.submitted.lock().unwrap().first().cloned();
    let (sid, message) = eventually("a submission", submitted).await;
    assert_eq!(message.body, format!("smpplib 😀 {}", "x".repeat(100)));
    let status = SubmissionStatus { sid, status: ReceiptStatus::Delivered, at: now() };
    running.smpp.status(&status).await.unwrap();
    let output = peer.wait_with_output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("stat:DELIVRD"), "{said}");
    running.stop().await;
}

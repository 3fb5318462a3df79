//! The platform's side of the ports, in memory, and foreign peers of the crate smpp34.
#![allow(dead_code, reason = "each test file uses its share")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use contracts::*;
use kernel::{Sid, SidGenerator, Timestamp};
use smpp_carrier::{Config, Smpp};
use smpp34::server::ESME;
use smpp34::*;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub const OUR_NUMBER: &str = "+15005550006";
pub const HANDSET: &str = "+4915112345678";

/// Waits for what should happen; ten seconds at most.
pub async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut beat = tokio::time::interval(Duration::from_millis(2));
    for _ in 0..5_000 {
        if let Some(found) = look() {
            return found;
        }
        beat.tick().await;
    }
    panic!("never happened: {what}")
}

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_micros(since.as_micros() as i64)
}

pub fn sid(prefix: &str) -> Sid {
    static SIDS: std::sync::LazyLock<SidGenerator> =
        std::sync::LazyLock::new(SidGenerator::default);
    SIDS.next(prefix, now(), 7)
}

pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

pub fn message(body: &str) -> OutboundMessage {
    OutboundMessage {
        account: sid("AC"),
        sid: sid("SM"),
        from: OUR_NUMBER.into(),
        to: HANDSET.into(),
        body: body.into(),
        segments: 1,
        media: Vec::new(),
        rich: None,
    }
}

/// Notes that survive a restart of the carrier, not of the test.
#[derive(Default)]
pub struct Notes {
    rows: Mutex<BTreeMap<String, String>>,
    pub writes: AtomicU64,
}

impl Notes {
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let rows = self.rows.lock().unwrap();
        rows.keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }
}

impl CarrierNotes for Notes {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, NotesError>> {
        Box::pin(async move { Ok(self.rows.lock().unwrap().get(key).cloned()) })
    }

    fn put_all(&self, notes: Vec<(String, String)>) -> BoxFuture<'_, Result<(), NotesError>> {
        Box::pin(async move {
            self.writes.fetch_add(1, Ordering::Relaxed);
            self.rows.lock().unwrap().extend(notes);
            Ok(())
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), NotesError>> {
        Box::pin(async move {
            self.rows.lock().unwrap().remove(key);
            Ok(())
        })
    }

    fn newest<'a>(
        &'a self,
        prefix: &'a str,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<(String, String)>, NotesError>> {
        Box::pin(async move {
            let rows = self.rows.lock().unwrap();
            let found = rows.iter().rev().filter(|(key, _)| key.starts_with(prefix));
            Ok(found.take(limit as usize).map(|(k, v)| (k.clone(), v.clone())).collect())
        })
    }
}

/// Messaging, as a carrier and an application see it.
#[derive(Default)]
pub struct Platform {
    pub receipts: Mutex<Vec<Receipt>>,
    pub inbound: Mutex<Vec<InboundMessage>>,
    pub submitted: Mutex<Vec<(Sid, SubmittedMessage)>>,
    pub is_away: AtomicBool,
    pub refusal: Mutex<Option<u32>>,
}

impl Platform {
    pub fn receipt_of(&self, sid: Sid) -> Option<ReceiptStatus> {
        let receipts = self.receipts.lock().unwrap();
        receipts.iter().find(|receipt| receipt.sid == sid).map(|receipt| receipt.status)
    }

    fn check(&self) -> Result<(), Unavailable> {
        match self.is_away.load(Ordering::Relaxed) {
            true => Err(Unavailable("away".into())),
            false => Ok(()),
        }
    }
}

impl MessageSink for Platform {
    fn receipt<'a>(&'a self, receipt: &'a Receipt) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            self.check()?;
            self.receipts.lock().unwrap().push(receipt.clone());
            Ok(())
        })
    }

    fn inbound<'a>(
        &'a self,
        message: &'a InboundMessage,
    ) -> BoxFuture<'a, Result<InboundOutcome, Unavailable>> {
        Box::pin(async move {
            self.check()?;
            self.inbound.lock().unwrap().push(message.clone());
            Ok(InboundOutcome::Received { account: sid("AC"), sid: sid("SM") })
        })
    }
}

impl MessageSubmission for Platform {
    fn send<'a>(
        &'a self,
        message: &'a SubmittedMessage,
    ) -> BoxFuture<'a, Result<Sid, SubmissionRefusal>> {
        Box::pin(async move {
            self.check().map_err(SubmissionRefusal::Busy)?;
            if let Some(code) = *self.refusal.lock().unwrap() {
                return Err(SubmissionRefusal::Refused { code });
            }
            let sid = sid("SM");
            self.submitted.lock().unwrap().push((sid, message.clone()));
            Ok(sid)
        })
    }
}

/// One name, `legacy` with `secret`.
pub struct Directory {
    pub account: Sid,
    pub rate_per_second: u32,
    pub sessions_max: u32,
}

impl BindDirectory for Directory {
    fn bind_account<'a>(
        &'a self,
        system_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<BindAccount>, Unavailable>> {
        Box::pin(async move {
            Ok((system_id == "legacy").then(|| BindAccount {
                account: self.account,
                password: "secret".into(),
                sessions_max: self.sessions_max,
                rate_per_second: self.rate_per_second,
            }))
        })
    }
}

/// A carrier that runs.
pub struct Running {
    pub smpp: Arc<Smpp>,
    pub platform: Arc<Platform>,
    pub notes: Arc<Notes>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    pub fn start(config: &str, notes: Arc<Notes>, platform: Arc<Platform>) -> Self {
        let directory = Directory { account: sid("AC"), rate_per_second: 0, sessions_max: 2 };
        Self::start_with(config, notes, platform, directory)
    }

    pub fn start_with(
        config: &str,
        notes: Arc<Notes>,
        platform: Arc<Platform>,
        directory: Directory,
    ) -> Self {
        let config: Config = toml::from_str(config).unwrap();
        let smpp = Smpp::new(config, notes.clone(), 7, Arc::new(now)).unwrap();
        smpp.connect(platform.clone());
        smpp.serve(platform.clone(), Arc::new(directory));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(smpp.clone().run(stopped));
        Self { smpp, platform, notes, stop, task }
    }

    /// Submits as Messaging's worker does, again and again while the carrier is busy.
    pub async fn submit(&self, message: &OutboundMessage) -> Submission {
        for _ in 0..50 {
            match self.smpp.submit(message).await {
                Submission::Busy(_) | Submission::Elsewhere(_) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                submission => return submission,
            }
        }
        panic!("busy for ever")
    }

    /// Unbinds and ends.
    pub async fn stop(self) -> (Arc<Notes>, Arc<Platform>) {
        self.stop.send(true).unwrap();
        tokio::time::timeout(Duration::from_secs(30), self.task).await.unwrap().unwrap();
        (self.notes, self.platform)
    }
}

type Reply = dyn Fn(usize, &submit_sm) -> Result<String, SmppError> + Send + Sync;

/// A foreign SMSC.
pub struct Smsc {
    pub port: u16,
    pub heard: Arc<Heard>,
    server: SmppServer,
}

pub struct Heard {
    pub submitted: Mutex<Vec<submit_sm>>,
    pub handles: Mutex<Vec<Arc<ESME>>>,
    pub unbinds: AtomicU64,
    pub under_way: AtomicU64,
    pub most_under_way: AtomicU64,
    reply: Box<Reply>,
}

#[async_trait]
impl SmppServerListener for Heard {
    async fn on_bind_transceiver(
        &self,
        bind: bind_transceiver,
        _: &SmppConnectionInformation,
        _: &String,
    ) -> bind_transceiver_resp {
        if bind.password == "secret" {
            bind.accept("FOREIGN".to_string(), Some(0x34))
        } else {
            bind.reject(SmppError::ESME_RINVPASWD)
        }
    }

    async fn on_esme_bound(&self, esme: ESME, _: &String) {
        self.handles.lock().unwrap().push(Arc::new(esme));
    }

    async fn on_unbind(
        &self,
        unbind: unbind,
        _: &SmppConnectionInformation,
        _: &String,
    ) -> unbind_resp {
        self.unbinds.fetch_add(1, Ordering::Relaxed);
        unbind.accept()
    }

    async fn on_submit_sm(
        &self,
        sm: submit_sm,
        _: &SmppConnectionInformation,
        _: &String,
    ) -> submit_sm_resp {
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let turn = {
            let mut all = self.submitted.lock().unwrap();
            all.push(sm.clone());
            all.len() - 1
        };
        let reply = (self.reply)(turn, &sm);
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        match reply {
            Ok(id) => sm.accept(id),
            Err(error) => sm.reject(error),
        }
    }
}

impl Smsc {
    pub async fn start(
        reply: impl Fn(usize, &submit_sm) -> Result<String, SmppError> + Send + Sync + 'static,
    ) -> Self {
        let heard = Arc::new(Heard {
            submitted: Mutex::default(),
            handles: Mutex::default(),
            unbinds: AtomicU64::new(0),
            under_way: AtomicU64::new(0),
            most_under_way: AtomicU64::new(0),
            reply: Box::new(reply),
        });
        let port = free_port();
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut server = SmppServer::new(address, port, heard.clone());
        server.start().await;
        Self { port, heard, server }
    }

    pub fn bind(&self, more: &str) -> String {
        format!(
            "[[binds]]\nname = 'foreign'\nhost = '127.0.0.1'\nport = {}\nsystem_id = 'esme'\n\
             password = 'secret'\n{more}",
            self.port
        )
    }

    pub async fn handle(&self) -> Arc<ESME> {
        eventually("a bind", || self.heard.handles.lock().unwrap().last().cloned()).await
    }

    /// A receipt in text.
    pub async fn receipt(&self, text: &str) {
        let handle = self.handle().await;
        let answer = handle
            .deliver_sm()
            .source_addr("4915112345678")
            .destination_addr("15005550006")
            .esm_class(0x04)
            .short_message(text.as_bytes().to_vec())
            .send()
            .await;
        assert!(answer.unwrap().is_success(), "{text}");
    }

    pub async fn stop(mut self) {
        self.server.stop().await;
    }
}

/// A foreign application.
pub struct Application {
    pub smsc: Arc<smpp34::client::SMSC>,
    pub ears: Arc<Ears>,
    client: smpp34::client::SmppClient,
}

#[derive(Default)]
pub struct Ears {
    pub delivered: Mutex<Vec<deliver_sm>>,
    smsc: Mutex<Option<Arc<smpp34::client::SMSC>>>,
}

#[async_trait]
impl smpp34::client::SmppClientListener for Ears {
    async fn on_smsc_bound(&self, smsc: smpp34::client::SMSC, _: &String) {
        *self.smsc.lock().unwrap() = Some(Arc::new(smsc));
    }

    async fn on_deliver_sm(
        &self,
        sm: deliver_sm,
        _: &SmppConnectionInformation,
        _: &String,
    ) -> deliver_sm_resp {
        self.delivered.lock().unwrap().push(sm.clone());
        sm.accept()
    }
}

impl Application {
    pub async fn bind(port: u16, window: usize) -> Self {
        let ears = Arc::new(Ears::default());
        // Our listener may still be opening.
        let ready = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
        drop(eventually("a listener", ready).await);
        let mut client = smpp34::client::SmppClient::new(
            "127.0.0.1".to_owned(),
            port,
            false,
            smpp34::client::BIND_TYPE::TRX,
            "legacy".to_owned(),
            "secret".to_owned(),
            String::new(),
            0,
            0,
            String::new(),
            ears.clone(),
            window,
        );
        client.start().await;
        let smsc = eventually("a bind", || ears.smsc.lock().unwrap().clone()).await;
        Self { smsc, ears, client }
    }

    pub async fn submit(&self, text: &str) -> Result<String, SmppError> {
        self.submit_octets(0, 0, text.as_bytes().to_vec(), vec![]).await
    }

    pub async fn submit_octets(
        &self,
        esm_class: u8,
        data_coding: u8,
        octets: Vec<u8>,
        tlvs: Vec<Tlv>,
    ) -> Result<String, SmppError> {
        let sm = self.smsc.submit_sm().source_addr_ton(1).source_addr("15005550006");
        let sm = sm.dest_addr_ton(1).dest_addr_npi(1).destination_addr("4915112345678");
        let sm = sm.esm_class(esm_class).data_coding(data_coding).registered_delivery(1);
        let answer = sm.short_message(octets).tlvs(tlvs).send().await?;
        if answer.is_success() {
            Ok(answer.message_id.clone().unwrap())
        } else {
            Err(answer.get_error())
        }
    }

    pub async fn delivered(&self, count: usize) -> Vec<deliver_sm> {
        eventually("deliver_sm", || {
            let all = self.ears.delivered.lock().unwrap();
            (all.len() >= count).then(|| all.clone())
        })
        .await
    }

    pub async fn unbind(mut self) {
        // Ending the client alone leaves its session as it is for a while.
        self.smsc.send_unbind().await.unwrap();
        self.client.stop().await;
    }
}

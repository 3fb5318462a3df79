//! Applications that bind to us: who may, and on which connection.
//!
//! Bounds: the listener's sessions in all, the account's per name.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use contracts::{BindDirectory, BoxFuture, MessageSubmission};
use kernel::Sid;
use smpp::pdu::{self, Mode, Sm};
use smpp::session::Session;
use smpp::status::Status;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::Shared;
use crate::application::{Application, Stash};
use crate::config;
use crate::link::{self, Admission, Side};

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const LISTEN_RETRY: Duration = Duration::from_secs(5);

/// The ports of the platform behind the listeners.
pub(crate) struct Ports {
    pub(crate) submission: Arc<dyn MessageSubmission>,
    pub(crate) directory: Arc<dyn BindDirectory>,
}

/// All listeners together.
pub(crate) struct Hub {
    pub(crate) shared: Arc<Shared>,
    pub(crate) retention: Duration,
    ports: OnceLock<Ports>,
    pub(crate) applications: tokio::sync::Mutex<HashMap<String, Arc<Application>>>,
    pub(crate) stash: Mutex<Stash>,
    pub(crate) listeners: Vec<(Arc<config::Listener>, Option<TlsAcceptor>)>,
    /// When it is to end, while it runs.
    pub(crate) stop: Mutex<Option<watch::Receiver<bool>>>,
}

impl Hub {
    pub(crate) fn new(
        shared: Arc<Shared>,
        retention: Duration,
        listeners: Vec<(Arc<config::Listener>, Option<TlsAcceptor>)>,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared,
            retention,
            ports: OnceLock::new(),
            applications: tokio::sync::Mutex::default(),
            stash: Mutex::default(),
            listeners,
            stop: Mutex::default(),
        })
    }

    pub(crate) fn serve(&self, ports: Ports) {
        assert!(self.ports.set(ports).is_ok(), "the listeners are connected once");
    }

    /// Panics when there are listeners that nobody connected.
    pub(crate) fn check(&self) {
        assert!(self.listeners.is_empty() || self.ports.get().is_some(), "listeners need serve()");
    }

    pub(crate) fn ports(&self) -> &Ports {
        self.ports.get().expect("the binary connects the listeners before they run")
    }

    pub(crate) async fn bound(&self) -> Vec<(String, u32)> {
        let applications = self.applications.lock().await;
        let sessions = applications
            .iter()
            .map(|(name, one)| (name.clone(), one.sessions.load(Ordering::Relaxed)));
        sessions.filter(|(_, count)| *count > 0).collect()
    }

    /// Listens until `stop`, then waits for the sessions to end.
    pub(crate) async fn run(self: Arc<Self>, stop: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        {
            // Applications that something came for before.
            let applications = self.applications.lock().await;
            *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop.clone());
            for application in applications.values() {
                tokio::spawn(Arc::clone(&application.outbox).run(stop.clone()));
            }
        }
        for (listener, tls) in &self.listeners {
            let hub = Arc::clone(&self);
            tasks.spawn(hub.listen(Arc::clone(listener), tls.clone(), stop.clone()));
        }
        while tasks.join_next().await.is_some() {}
    }

    async fn listen(
        self: Arc<Self>,
        config: Arc<config::Listener>,
        tls: Option<TlsAcceptor>,
        mut stop: watch::Receiver<bool>,
    ) {
        let permits = Arc::new(Semaphore::new(config.sessions_max as usize));
        let mut sessions = JoinSet::new();
        let Some(listener) = open(&config, &mut stop).await else { return };
        loop {
            while sessions.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = async { stop.wait_for(|stopped| *stopped).await.is_ok() } => break,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "smpp accept failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                tracing::warn!(listen = %config.listen, "no smpp session is free");
                continue;
            };
            let (hub, config, tls) = (Arc::clone(&self), Arc::clone(&config), tls.clone());
            let stop = stop.clone();
            sessions.spawn(async move {
                hub.accept(stream, config, tls, stop).await;
                drop(permit);
            });
        }
        while sessions.join_next().await.is_some() {}
    }

    async fn accept(
        self: Arc<Self>,
        stream: TcpStream,
        config: Arc<config::Listener>,
        tls: Option<TlsAcceptor>,
        stop: watch::Receiver<bool>,
    ) {
        // Only latency is lost without it.
        let _ = stream.set_nodelay(true);
        match tls {
            None => self.serve_session(stream, config, stop).await,
            Some(acceptor) => {
                let handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream));
                match handshake.await {
                    Ok(Ok(stream)) => self.serve_session(stream, config, stop).await,
                    Ok(Err(error)) => tracing::info!(%error, "smpp TLS handshake failed"),
                    Err(_) => tracing::info!("smpp TLS handshake took too long"),
                }
            }
        }
    }

    async fn serve_session(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Send,
        config: Arc<config::Listener>,
        mut stop: watch::Receiver<bool>,
    ) {
        let uptime = self.shared.uptime;
        let session = Session::smsc(uptime.now(), config.limits());
        let guest = Arc::new(Guest { hub: self, config, bound: OnceLock::new() });
        let reason = link::run(stream, session, guest, None, uptime, &mut stop).await;
        tracing::info!(%reason, "smpp session of an application ended");
    }

    /// Constant time in the password, and one answer for a wrong name and a wrong password.
    async fn authenticate(&self, bind: &pdu::Bind) -> Result<contracts::BindAccount, Status> {
        let found = self.ports().directory.bind_account(&bind.system_id).await;
        let account = found.map_err(|why| {
            tracing::warn!(%why, "the bind directory does not answer");
            Status::SYSTEM_ERROR
        })?;
        let expected = account.as_ref().map_or("", |account| account.password.as_str());
        let [given, expected] = [&bind.password, expected].map(|it| digest(&SHA256, it.as_bytes()));
        let is_right = verify_slices_are_equal(given.as_ref(), expected.as_ref()).is_ok();
        account.filter(|_| is_right).ok_or(Status::INVALID_PASSWORD)
    }
}

async fn open(config: &config::Listener, stop: &mut watch::Receiver<bool>) -> Option<TcpListener> {
    while !*stop.borrow() {
        match TcpListener::bind(config.listen).await {
            Ok(listener) => {
                tracing::info!(listen = %config.listen, "smpp listens");
                return Some(listener);
            }
            Err(error) => tracing::error!(listen = %config.listen, %error, "smpp cannot listen"),
        }
        let _ = tokio::time::timeout(LISTEN_RETRY, stop.wait_for(|stopped| *stopped)).await;
    }
    None
}

/// One connection to a listener.
struct Guest {
    hub: Arc<Hub>,
    config: Arc<config::Listener>,
    bound: OnceLock<Bound>,
}

struct Bound {
    application: Arc<Application>,
    account: Sid,
    mode: Mode,
    is_receiving: std::sync::atomic::AtomicBool,
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.application.sessions.fetch_sub(1, Ordering::Relaxed);
        if *self.is_receiving.get_mut() {
            self.application.outbox.receivers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Guest {
    async fn welcome(&self, bind: pdu::Bind) -> Result<Admission, Status> {
        // The name becomes part of keys.
        let is_name = |c: char| c.is_ascii_graphic() && c != '/';
        if bind.system_id.is_empty() || !bind.system_id.chars().all(is_name) {
            return Err(Status::INVALID_SYSTEM_ID);
        }
        let account = self.hub.authenticate(&bind).await?;
        let application = self.hub.application(&bind.system_id, &self.config).await;
        let application = application.map_err(|error| {
            tracing::warn!(%error, "notes fail");
            Status::SYSTEM_ERROR
        })?;
        if application.sessions.fetch_add(1, Ordering::Relaxed) >= account.sessions_max.max(1) {
            application.sessions.fetch_sub(1, Ordering::Relaxed);
            return Err(Status::BIND_FAILED);
        }
        let orders = Arc::clone(&application.outbox.orders);
        let account_sid = account.account;
        let bound = Bound {
            application,
            account: account_sid,
            mode: bind.mode,
            is_receiving: false.into(),
        };
        // A session binds once; a second one would be dropped here, and uncounted.
        let _ = self.bound.set(bound);
        tracing::info!(system_id = bind.system_id, account_sid = %account_sid, "smpp bind");
        let system_id = self.config.system_id.clone();
        Ok(Admission { system_id, rate_per_second: account.rate_per_second, orders })
    }
}

impl Side for Guest {
    fn admit(self: Arc<Self>, bind: pdu::Bind) -> BoxFuture<'static, Result<Admission, Status>> {
        Box::pin(async move { self.welcome(bind).await })
    }

    fn request(self: Arc<Self>, sm: Sm) -> BoxFuture<'static, (Status, String)> {
        Box::pin(async move {
            let Some(bound) = self.bound.get() else {
                return (Status::INVALID_BIND_STATUS, String::new());
            };
            let alphabet = self.config.alphabet.alphabet();
            let submitted = self.hub.submit(&bound.application, bound.account, &sm, alphabet).await;
            match submitted {
                Ok(Ok(id)) => (Status::OK, id),
                Ok(Err(status)) => (status, String::new()),
                Err(error) => {
                    tracing::warn!(%error, "notes fail");
                    (Status::QUEUE_FULL, String::new())
                }
            }
        })
    }

    fn bound(&self, _: Mode) {
        if let Some(bound) = self.bound.get()
            && bound.mode.receives()
            && !bound.is_receiving.swap(true, Ordering::Relaxed)
        {
            bound.application.outbox.receivers.fetch_add(1, Ordering::Relaxed);
            bound.application.outbox.wake();
        }
    }
}

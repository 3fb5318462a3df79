//! SMPP: binds to SMSCs, and is bound to by applications.
//!
//! As ESME it implements [`contracts::MessageCarrier`] over the configured binds and
//! reports through [`contracts::MessageSink`]. As SMSC it listens for applications,
//! submits what they send through [`contracts::MessageSubmission`], and implements
//! [`contracts::ApplicationLink`] for what goes back to them.
//!
//! It decides nothing about the protocol, which is `cores/smpp`, and knows no products.
//!
//! Invariants:
//! * a `submit_sm_resp`, `deliver_sm_resp` of status 0 means: kept durably;
//! * a message that an SMSC acknowledged is not submitted to it again;
//! * a receipt is applied once, also when it comes early, twice or after a restart.

mod application;
mod assembly;
mod bind;
mod config;
mod ledger;
mod link;
mod listener;
mod outbox;
mod submit;
mod tls;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use contracts::{BindDirectory, CarrierNotes, MessageSink, MessageSubmission};
use kernel::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use config::{
    Bind as BindConfig, BindMode, ClientTls, Config, ConfigError, DefaultAlphabet, Listener, Long,
    ReceiptIds, ServerTls,
};

/// The platform's time.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What the one node has that binds and listens.
pub const LEASE: &str = "smpp";

const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// What every part of the carrier stands on.
struct Shared {
    notes: Arc<dyn CarrierNotes>,
    ledger: ledger::Ledger,
    sink: OnceLock<Arc<dyn MessageSink>>,
    clock: Now,
    uptime: link::Uptime,
    seed: u64,
    draws: AtomicU64,
}

impl Shared {
    fn sink(&self) -> &Arc<dyn MessageSink> {
        self.sink.get().expect("the binary connects the carrier before it runs")
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// SplitMix64 of the seed and the number of the draw.
    fn random(&self) -> u64 {
        let draw = self.draws.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let mut z = self.seed.wrapping_add(draw.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The carrier.
pub struct Smpp {
    shared: Arc<Shared>,
    retention: Duration,
    binds: Vec<Arc<bind::Bind>>,
    hub: Arc<listener::Hub>,
    under_way: submit::UnderWay,
    reference: AtomicU32,
    /// It runs, on this node.
    here: AtomicBool,
}

impl Smpp {
    /// `seed` is where jitter and concatenation references come from.
    ///
    /// Errors: the first parameter that cannot be used, files of TLS included.
    pub fn new(
        config: Config,
        notes: Arc<dyn CarrierNotes>,
        seed: u64,
        clock: Now,
    ) -> Result<Arc<Self>, ConfigError> {
        config.validate()?;
        let shared = Arc::new(Shared {
            ledger: ledger::Ledger::new(Arc::clone(&notes)),
            notes,
            sink: OnceLock::new(),
            clock,
            uptime: link::Uptime::start(),
            seed,
            draws: AtomicU64::new(0),
        });
        let binds = config.binds.into_iter().enumerate().map(|(at, config)| {
            let path = format!("binds[{at}]");
            bind::Bind::new(config, &path, Arc::clone(&shared)).map(Arc::new)
        });
        let binds = binds.collect::<Result<_, _>>()?;
        let retention = Duration::from_secs(u64::from(config.retention_hours) * 3_600);
        let listeners = config.listeners.into_iter().enumerate().map(|(at, listener)| {
            let tls = listener.tls.as_ref();
            let tls = tls.map(|tls| tls::acceptor(tls, &format!("listeners[{at}]"))).transpose()?;
            Ok((Arc::new(listener), tls))
        });
        let listeners = listeners.collect::<Result<_, ConfigError>>()?;
        let hub = listener::Hub::new(Arc::clone(&shared), retention, listeners);
        let reference = AtomicU32::new(shared.random() as u32);
        let under_way = submit::UnderWay::default();
        Ok(Arc::new(Self {
            shared,
            retention,
            binds,
            hub,
            under_way,
            reference,
            here: false.into(),
        }))
    }

    /// The binds, and how many connections of each may submit now.
    pub fn binds(&self) -> Vec<(String, u32)> {
        self.binds.iter().map(|bind| (bind.config.name.clone(), bind.connections_up())).collect()
    }

    /// Applications that are bound to the listeners, by name, with how many sessions each has.
    pub async fn bound(&self) -> Vec<(String, u32)> {
        self.hub.bound().await
    }

    /// Connects the carrier to the platform; once, before it runs.
    pub fn connect(&self, sink: Arc<dyn MessageSink>) {
        assert!(self.shared.sink.set(sink).is_ok(), "the carrier is connected once");
    }

    /// Connects the listeners to the platform; once, before the carrier runs. Needed
    /// only when listeners are configured.
    pub fn serve(&self, submission: Arc<dyn MessageSubmission>, directory: Arc<dyn BindDirectory>) {
        self.hub.serve(listener::Ports { submission, directory });
    }

    /// Binds and listens until `stop`; then unbinds and returns, within twice the largest
    /// response time-out. Panics when it was not connected.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        self.hub.check();
        self.restore().await;
        let _here = Here::begin(&self.here);
        let mut tasks = JoinSet::new();
        for bind in &self.binds {
            for mode in bind.config.mode.modes() {
                for _ in 0..bind.config.connections {
                    tasks.spawn(Arc::clone(bind).keep_bound(*mode, stop.clone()));
                }
            }
        }
        tasks.spawn(Arc::clone(&self.hub).run(stop.clone()));
        while !*stop.borrow() {
            if let Err(error) = self.sweep().await {
                tracing::warn!(%error, "the notes cannot be swept now");
            }
            let _ = tokio::time::timeout(SWEEP_EVERY, stop.wait_for(|stopped| *stopped)).await;
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Takes up what the run before left. What cannot be read now is read when it is
    /// needed, or swept.
    async fn restore(&self) {
        let restored = async {
            self.shared.ledger.restore().await?;
            for bind in &self.binds {
                bind.restore().await?;
            }
            Ok::<_, contracts::NotesError>(())
        };
        if let Err(error) = restored.await {
            tracing::error!(%error, "the notes of the last run cannot be read");
        }
    }

    async fn sweep(&self) -> Result<(), contracts::NotesError> {
        let sink = self.shared.sink();
        self.shared.ledger.sweep(self.shared.now(), self.retention, &**sink).await?;
        for bind in &self.binds {
            bind.sweep().await?;
        }
        self.hub.sweep(self.shared.now()).await
    }

    fn is_here(&self) -> bool {
        self.here.load(Ordering::Acquire)
    }

    fn next_reference(&self) -> u16 {
        self.reference.fetch_add(1, Ordering::Relaxed) as u16
    }
}

/// While the carrier runs.
struct Here<'a>(&'a AtomicBool);

impl<'a> Here<'a> {
    fn begin(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::Release);
        Self(flag)
    }
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

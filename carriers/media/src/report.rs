//! What happened, told to Voice without the lanes waiting for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contracts::{LegEvent, LegReport, VoiceSink};
use kernel::{Sid, Timestamp};
use tokio::sync::mpsc::{self, error::TrySendError};

/// Tasks that tell; each leg has one of them, which keeps its order.
const TELLERS: usize = 16;
/// Reports that wait for one.
const WAITING_MAX: usize = 16_384;
const RETRY: Duration = Duration::from_millis(250);

/// Tells Voice. Cheap to share.
#[derive(Clone)]
pub(crate) struct Reporter(Arc<Inner>);

struct Inner {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    tellers: Vec<mpsc::Sender<LegReport>>,
    /// What did not fit: tried again with every tick, so that nothing is lost.
    behind: Mutex<Vec<LegReport>>,
}

impl Reporter {
    pub fn start(now: Arc<dyn Fn() -> Timestamp + Send + Sync>, sink: Arc<dyn VoiceSink>) -> Self {
        let teller = |_| {
            let (sender, inbox) = mpsc::channel(WAITING_MAX);
            tokio::spawn(tell(inbox, sink.clone()));
            sender
        };
        let tellers = (0..TELLERS).map(teller).collect();
        Self(Arc::new(Inner { now, tellers, behind: Mutex::default() }))
    }

    pub fn report(&self, account: Sid, leg: Sid, event: LegEvent) {
        let at = (self.0.now)();
        let report = LegReport { account, leg, at, event };
        let mut behind = self.0.behind.lock().unwrap_or_else(PoisonError::into_inner);
        if !behind.is_empty() {
            behind.push(report);
        } else if let Some(report) = self.send(report) {
            behind.push(report);
        }
    }

    /// Tries again what did not fit.
    pub fn flush(&self) {
        let mut behind = self.0.behind.lock().unwrap_or_else(PoisonError::into_inner);
        if !behind.is_empty() {
            let reports = std::mem::take(&mut *behind);
            behind.extend(reports.into_iter().filter_map(|report| self.send(report)));
        }
    }

    /// The report, if it does not fit now.
    fn send(&self, report: LegReport) -> Option<LegReport> {
        let teller = (report.leg.bits() % TELLERS as u128) as usize;
        match self.0.tellers[teller].try_send(report) {
            Err(TrySendError::Full(report)) => Some(report),
            Ok(()) | Err(TrySendError::Closed(_)) => None,
        }
    }
}

async fn tell(mut inbox: mpsc::Receiver<LegReport>, sink: Arc<dyn VoiceSink>) {
    while let Some(report) = inbox.recv().await {
        while let Err(error) = sink.report(&report).await {
            tracing::warn!(%error, leg = %report.leg, "voice cannot be told now");
            tokio::time::sleep(RETRY).await;
        }
    }
}

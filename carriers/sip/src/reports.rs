//! What is told to Voice and written down, of each leg in its order.

use std::sync::Arc;
use std::time::Duration;

use contracts::{CarrierNotes, LegReport, Unavailable, VoiceSink};
use kernel::{Sid, Timestamp};
use tokio::sync::mpsc;

/// Reports that wait in one lane; beyond, the agent waits.
const WAITING_MAX: usize = 4096;
const LANES: usize = 4;
const RETRY: Duration = Duration::from_millis(200);

/// Something to be told or kept.
pub(crate) enum Deed {
    Report(LegReport),
    Ring(Sid, Sid, Timestamp),
    Keep(Sid, String),
    Forget(Sid),
}

impl Deed {
    fn leg(&self) -> Sid {
        match self {
            Self::Report(report) => report.leg,
            Self::Ring(_, leg, _) | Self::Keep(leg, _) | Self::Forget(leg) => *leg,
        }
    }
}

/// The note of a call that goes on.
pub(crate) fn key(leg: Sid) -> String {
    format!("leg/{leg}")
}

/// Does deeds in the background.
pub(crate) struct Reports(Vec<mpsc::Sender<Deed>>);

impl Reports {
    pub(crate) fn start(sink: &Arc<dyn VoiceSink>, notes: &Arc<dyn CarrierNotes>) -> Self {
        let lanes = (0..LANES).map(|_| {
            let (sender, queue) = mpsc::channel(WAITING_MAX);
            tokio::spawn(run(queue, sink.clone(), notes.clone()));
            sender
        });
        Self(lanes.collect())
    }

    pub(crate) async fn add(&self, deed: Deed) {
        let lane = (deed.leg().bits() % LANES as u128) as usize;
        // A lane ends with the process.
        let _ = self.0[lane].send(deed).await;
    }
}

async fn run(
    mut queue: mpsc::Receiver<Deed>,
    sink: Arc<dyn VoiceSink>,
    notes: Arc<dyn CarrierNotes>,
) {
    while let Some(deed) = queue.recv().await {
        // What cannot be told now is told later: Voice waits for it.
        while let Err(error) = once(&deed, &*sink, &*notes).await {
            tracing::warn!(%error, leg = %deed.leg(), "a report of a SIP call has to wait");
            tokio::time::sleep(RETRY).await;
        }
    }
}

async fn once(
    deed: &Deed,
    sink: &dyn VoiceSink,
    notes: &dyn CarrierNotes,
) -> Result<(), Unavailable> {
    let noted = |done: Result<(), contracts::NotesError>| done.map_err(|e| Unavailable(e.0));
    match deed {
        Deed::Report(report) => sink.report(report).await,
        Deed::Ring(account, leg, at) => sink.ring(*account, *leg, *at).await,
        Deed::Keep(leg, text) => noted(notes.put(&key(*leg), text.clone()).await),
        Deed::Forget(leg) => noted(notes.delete(&key(*leg)).await),
    }
}

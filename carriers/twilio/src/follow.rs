//! Asking what became of a message whose callback does not come.

use std::time::Duration;

use jobs::{Failure, Job, NewJob, Worker};
use outbound::Method;
use serde::{Deserialize, Serialize};

use crate::{FOLLOWED, Ours, Twilio};

pub const FOLLOW_QUEUE: &str = "twilio.follow";

/// A message of the account that is not final yet.
#[derive(Serialize, Deserialize)]
pub(crate) struct Follow {
    pub theirs: String,
    pub ours: Ours,
    pub asked: u32,
}

/// How long to wait before asking for the time after `asked` times: soon where nobody calls
/// back, late where somebody should; then twice as long each time.
pub(crate) fn delay(asked: u32, has_callback: bool) -> Duration {
    let first = Duration::from_secs(if has_callback { 60 } else { 2 });
    first.saturating_mul(1 << asked.min(14)).min(Duration::from_secs(2 * 3600))
}

impl Worker for Twilio {
    const QUEUE: &'static str = FOLLOW_QUEUE;

    async fn run(
        &self,
        job: &Job,
        store: &jobs::AccountStore,
    ) -> Result<jobs::AccountBatch, Failure> {
        let follow: Follow = job.read()?;
        let mut batch = store.batch();
        let retry = |error: contracts::Unavailable| Failure::Retry(error.0);
        let path = format!("Messages/{}.json", follow.theirs);
        let (status, json) = self.ask(Method::Get, &path, &[]).await.map_err(retry)?;
        if status == 404 {
            return Err(Failure::Hopeless(format!("the account has no {}", follow.theirs)));
        }
        if status >= 300 {
            return Err(Failure::Retry(format!("the account answered {status}")));
        }
        let code = json["error_code"].as_u64().and_then(|code| u32::try_from(code).ok());
        let text = json["status"].as_str().unwrap_or_default();
        if self.settle(&follow.ours, text, code).await.map_err(retry)? {
            return Ok(batch);
        }
        let has_callback = self.public_url.is_some();
        let next = Follow { asked: follow.asked + 1, ..follow };
        let waited: Duration = (0..next.asked).map(|asked| delay(asked, has_callback)).sum();
        // Some networks never say what became of a message.
        if waited < FOLLOWED {
            let clock = self.queue.clock();
            let job = NewJob::now(FOLLOW_QUEUE, clock, &next);
            jobs::add(&mut batch, clock, job.after(delay(next.asked, has_callback)));
        }
        Ok(batch)
    }
}

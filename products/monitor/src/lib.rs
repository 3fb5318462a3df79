//! What went wrong, and who did what.
//!
//! Both are read from the events that every commit writes: [`alert`] shows what webhooks and TwiML
//! diagnostics raised, [`event`] what callers of the API changed, [`alarm`] tells of many alerts.
//! [`retention`] forgets them in time.
//!
//! It deliberately records nothing itself: an alert is written where something fails, a change where
//! it is committed.

mod alarm;
mod alert;
mod event;
mod retention;
mod shown;

use std::sync::Arc;

use clock::Clock;
use contracts::NoticeSender;
use jobs::Runner;
use rest::Router;

pub use retention::{Keep, Retention};

/// The product's state, beside its account's events.
pub struct Monitor {
    clock: Clock,
    /// Sends the mails of alarms.
    mail: Arc<dyn NoticeSender>,
}

impl Monitor {
    pub fn new(clock: Clock, mail: Arc<dyn NoticeSender>) -> Arc<Self> {
        Arc::new(Self { clock, mail })
    }

    /// Adds this product's resources.
    pub fn mount(self: &Arc<Self>, router: Router) -> Router {
        router.mount(self, &[&alert::ALERT, &event::EVENT, &alarm::ALARM, &alarm::STATUS])
    }

    /// Adds this product's worker.
    pub fn work(self: &Arc<Self>, runner: Runner) -> Runner {
        runner.with(Arc::new(alarm::Lookout(self.clone())))
    }
}

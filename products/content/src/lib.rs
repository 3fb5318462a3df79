//! Content templates, and their approval by WhatsApp.
//!
//! A template is a document whose `types` the core `template` has read; its approval is a hidden
//! part of the document, so that a list shows both with one read. A simulated reviewer decides
//! after a delay on the platform's clock. Implements [`contracts::ContentDirectory`].

mod approval;
mod directory;
mod lifecycle;
mod resource;
mod reviewer;
mod sample;
mod search;
mod shelf;

use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use jobs::Runner;
use rest::Router;
use store::ByAccount;
use webhooks::Webhooks;

/// What the product stands on.
pub struct Parts {
    /// To reach the account whose message names a template.
    pub store: ByAccount,
    pub clock: Clock,
    /// Where alerts about decisions go.
    pub webhooks: Arc<Webhooks>,
    /// How long the simulated reviewer takes.
    pub review_delay: Duration,
    /// A template whose name begins with `reject_` is rejected.
    pub development: bool,
}

/// The product's state.
pub struct Content {
    parts: Parts,
}

impl Content {
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts })
    }

    /// Adds this product's resources.
    pub fn mount(self: &Arc<Self>, router: Router) -> Router {
        router.mount(
            self,
            &[
                &resource::CONTENT,
                &approval::APPROVAL_CREATE,
                &approval::APPROVAL_FETCH,
                &search::CONTENT_AND_APPROVALS,
                &search::LEGACY_CONTENT,
                &search::CONTENT_V2,
                &search::CONTENT_AND_APPROVALS_V2,
            ],
        )
    }

    /// Adds this product's worker.
    pub fn work(self: &Arc<Self>, runner: Runner) -> Runner {
        runner.with(Arc::new(reviewer::Reviewer(self.clone())))
    }
}

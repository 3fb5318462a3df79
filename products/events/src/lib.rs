//! Event Streams: what happens, sent on to webhooks and NATS subjects as CloudEvents (webhooks §12).
//!
//! The behaviour reads along an event: it is committed by whatever happened; the [`pump`] reads it
//! and promises a [`delivery`] to every [`sink`] whose [`subscription`] asks for its type, in one
//! commit with how far it has read; the delivery posts it as [`cloud`] words it, until it is taken or
//! four hours old. [`catalog`] are the types and schemas there are.
//!
//! It deliberately makes no event itself and knows no other product: what was said in a message it
//! asks [`contracts::MessageContents`] for, when it is sent, so that what was redacted is not sent.

mod catalog;
mod cloud;
mod delivery;
mod pump;
mod sink;
mod subscribed;
mod subscription;

use std::sync::Arc;

use clock::Clock;
use contracts::MessageContents;
use jobs::Runner;
use outbound::Client;
use rest::Router;
use store::{ByAccount, Journal};
use webhooks::Webhooks;

pub use pump::Pump;

/// What the product stands on.
pub struct Parts {
    pub journal: Journal,
    pub store: ByAccount,
    pub clock: Clock,
    pub webhooks: Arc<Webhooks>,
    /// Reaches the NATS servers of sinks.
    pub client: Arc<Client>,
    pub messages: Arc<dyn MessageContents>,
}

/// The product's state.
pub struct Events {
    parts: Parts,
}

impl Events {
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts })
    }

    /// Adds this product's resources.
    pub fn mount(self: &Arc<Self>, router: Router) -> Router {
        router.mount(
            self,
            &[
                &catalog::EVENT_TYPE,
                &catalog::SCHEMA,
                &catalog::SCHEMA_VERSION,
                &sink::SINK,
                &sink::TEST,
                &sink::VALIDATE,
                &subscription::SUBSCRIPTION,
                &subscribed::SUBSCRIBED_EVENT,
            ],
        )
    }

    /// Adds this product's worker.
    pub fn work(self: &Arc<Self>, runner: Runner) -> Runner {
        runner.with(Arc::new(delivery::Deliver(self.clone())))
    }
}

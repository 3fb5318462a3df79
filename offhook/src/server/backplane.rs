//! The sound of rooms between nodes, over the NATS servers of the bus.

use std::sync::Arc;

use bus::{Channels, Nats};
use media::{Backplane, Links};
use tokio::sync::watch;

/// The way to rooms of other nodes.
pub struct Sound {
    channels: Arc<Channels>,
    pub links: Arc<Links>,
}

/// [`Channels`] as the engine knows them.
struct Carried(Arc<Channels>);

impl Backplane for Carried {
    fn subscribe(&self, channel: &Arc<str>) -> bool {
        self.0.subscribe(channel)
    }

    fn unsubscribe(&self, channel: &Arc<str>) {
        self.0.unsubscribe(channel);
    }

    fn publish(&self, channel: &Arc<str>, message: Vec<u8>) -> bool {
        self.0.publish(channel, message)
    }
}

impl Sound {
    pub fn new(nats: Nats) -> Arc<Self> {
        let channels = Arc::new(Channels::new(nats));
        let links = Links::new(Arc::new(Carried(channels.clone())), rand::random());
        Arc::new(Self { channels, links })
    }

    /// Brings what other nodes say; until `stop`.
    pub async fn carry(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            () = self.channels.carry(|channel, message| self.links.hear(channel, message)) => {}
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
    }
}

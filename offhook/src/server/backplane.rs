//! What nodes say to each other live, over the NATS servers of the bus: the sound of rooms, and the words
//! of browser phones that came back to another node.

use std::sync::Arc;

use bus::{Channels, Nats};
use client::Clients;
use media::{Backplane, Links};
use tokio::sync::watch;

/// The way to other nodes.
pub struct Live {
    channels: Arc<Channels>,
    pub links: Arc<Links>,
    pub backplane: Arc<dyn Backplane>,
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

impl Live {
    pub fn new(nats: Nats) -> Arc<Self> {
        let channels = Arc::new(Channels::new(nats));
        let backplane: Arc<dyn Backplane> = Arc::new(Carried(channels.clone()));
        let links = Links::new(backplane.clone(), rand::random());
        Arc::new(Self { channels, links, backplane })
    }

    /// Brings what other nodes say; until `stop`.
    pub async fn carry(self: Arc<Self>, clients: Arc<Clients>, mut stop: watch::Receiver<bool>) {
        let receive = |channel: &str, message: &[u8]| {
            if !clients.hear(channel, message) {
                self.links.hear(channel, message);
            }
        };
        tokio::select! {
            () = self.channels.carry(receive) => {}
            _ = stop.wait_for(|stopped| *stopped) => {}
        }
    }
}

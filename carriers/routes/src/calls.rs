//! Which network carries a call.
//!
//! Calls by SIP and to numbers of its trunks go there, everything else to the simulated network. An
//! order goes where its leg is: each leg is where it was placed or came in, until it has ended, and
//! the simulated network does nothing about a leg that it has never had.

use std::sync::Arc;

use contracts::{BoxFuture, CallNetwork, Order, OutboundCall, Unavailable, VoiceCarrier};
use kernel::{Sid, Timestamp};

/// The networks, connected.
pub struct CallRoutes {
    networks: Vec<Arc<dyn CallNetwork>>,
    rest: Arc<dyn VoiceCarrier>,
    /// Brings legs of any network to recorders.
    recorder: Option<Arc<dyn VoiceCarrier>>,
}

impl CallRoutes {
    /// `rest` takes what none of `networks` does.
    pub fn new(networks: Vec<Arc<dyn CallNetwork>>, rest: Arc<dyn VoiceCarrier>) -> Self {
        Self { networks, rest, recorder: None }
    }

    /// This network brings what is to be recorded elsewhere there (SIPREC).
    pub fn recorded_by(self, recorder: Option<Arc<dyn VoiceCarrier>>) -> Self {
        Self { recorder, ..self }
    }
}

impl VoiceCarrier for CallRoutes {
    fn place<'a>(&'a self, call: &'a OutboundCall) -> BoxFuture<'a, Result<(), Unavailable>> {
        let network = self.networks.iter().find(|network| network.reaches(call));
        match network {
            Some(network) => network.place(call),
            None => self.rest.place(call),
        }
    }

    fn home_of<'a>(
        &'a self,
        call: &'a OutboundCall,
    ) -> BoxFuture<'a, Result<Option<String>, Unavailable>> {
        Box::pin(async move {
            for network in &self.networks {
                if let Some(home) = network.home_of(call).await? {
                    return Ok(Some(home));
                }
            }
            Ok(None)
        })
    }

    fn order<'a>(
        &'a self,
        account: Sid,
        leg: Sid,
        at: Timestamp,
        order: &'a Order,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        let network = self.networks.iter().find(|network| network.has(leg));
        if matches!(order, Order::Siprec(_) | Order::StopSiprec { .. }) {
            return Box::pin(async move {
                if network.is_none() {
                    // So that it has sound.
                    self.rest.order(account, leg, at, order).await?;
                }
                match &self.recorder {
                    Some(recorder) => recorder.order(account, leg, at, order).await,
                    None => Ok(()),
                }
            });
        }
        let Some(network) = network else { return self.rest.order(account, leg, at, order) };
        let Order::Join { room, .. } = order else { return network.order(account, leg, at, order) };
        Box::pin(async move {
            network.order(account, leg, at, order).await?;
            self.rest.sound_in(room).await
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Stub(Mutex<Vec<Sid>>, Mutex<u32>);

    impl VoiceCarrier for Stub {
        fn place<'a>(&'a self, call: &'a OutboundCall) -> BoxFuture<'a, Result<(), Unavailable>> {
            self.0.lock().unwrap().push(call.leg);
            Box::pin(async { Ok(()) })
        }

        fn order<'a>(
            &'a self,
            _: Sid,
            _: Sid,
            _: Timestamp,
            _: &'a Order,
        ) -> BoxFuture<'a, Result<(), Unavailable>> {
            *self.1.lock().unwrap() += 1;
            Box::pin(async { Ok(()) })
        }
    }

    impl CallNetwork for Stub {
        fn reaches(&self, call: &OutboundCall) -> bool {
            call.to.starts_with("sip:")
        }

        fn has(&self, leg: Sid) -> bool {
            self.0.lock().unwrap().contains(&leg)
        }
    }

    #[tokio::test]
    async fn orders_follow_their_legs() {
        let (sip, sim) = (Arc::new(Stub::default()), Arc::new(Stub::default()));
        let routes = CallRoutes::new(vec![sip.clone()], sim.clone());
        let account = Sid::from_parts("AC", 1);
        for (number, to, legs) in [(1, "sip:a@b", &sip), (2, "+14155550100", &sim)] {
            let leg = Sid::from_parts("CA", number);
            let call = OutboundCall {
                account,
                leg,
                from: "+14155550111".into(),
                to: to.into(),
                at: Timestamp::EPOCH,
                extras: contracts::CallExtras::default(),
            };
            routes.place(&call).await.unwrap();
            routes.order(account, leg, Timestamp::EPOCH, &Order::HangUp).await.unwrap();
            assert_eq!((legs.0.lock().unwrap().len(), *legs.1.lock().unwrap()), (1, 1), "{to}");
        }
    }
}

//! Legs with sound in a cluster: each is on the node that its telephone speaks to. Orders find it
//! there; when the node dies, the leg has ended.

use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use contracts::{
    BoxFuture, Ending, HOMES_OF_CLIENTS, Homes, InboundCall, LegEvent, LegReport, Unavailable,
    VoiceSink, home_of_leg,
};
use kernel::{Sid, Timestamp};
use sim::{Sim, TellOfRoom};
use store::{Leases, StoreError};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use voice::Voice;

use super::Settings;

/// How often legs of dead nodes are looked for.
const LOOK: Duration = Duration::from_secs(3);
/// What the one node has that looks for them.
pub(super) const LEASE: &str = "legs";

/// Homes as rows.
pub(super) struct Rows(pub Leases);

fn unavailable(error: StoreError) -> Unavailable {
    Unavailable(error.to_string())
}

impl Homes for Rows {
    fn claim<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move { self.0.settle(name).await.map_err(unavailable) })
    }

    fn release<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            match self.0.is_alone() {
                true => Ok(()),
                false => self.0.release(name).await.map_err(unavailable),
            }
        })
    }

    fn is_elsewhere<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool, Unavailable>> {
        Box::pin(async move { self.0.is_elsewhere(name).await.map_err(unavailable) })
    }

    fn latest<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Option<String>, Unavailable>> {
        Box::pin(async move {
            if self.0.is_alone() {
                return Ok(None);
            }
            Ok(self.0.latest(prefix, 1).await.map_err(unavailable)?.pop())
        })
    }
}

/// Voice, for a network whose legs have a home: they have one from their first sign of life until
/// they have ended.
pub(super) struct Housed {
    pub sink: Arc<dyn VoiceSink>,
    pub homes: Arc<dyn Homes>,
}

impl VoiceSink for Housed {
    fn report<'a>(&'a self, report: &'a LegReport) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            self.sink.report(report).await?;
            if matches!(report.event, LegEvent::Ended(_)) {
                self.homes.release(&home_of_leg(report.account, report.leg)).await?;
            }
            Ok(())
        })
    }

    fn inbound<'a>(
        &'a self,
        call: &'a InboundCall,
    ) -> BoxFuture<'a, Result<Option<(Sid, Sid)>, Unavailable>> {
        Box::pin(async move {
            let found = self.sink.inbound(call).await?;
            if let Some((account, leg)) = found {
                self.homes.claim(&home_of_leg(account, leg)).await?;
            }
            Ok(found)
        })
    }

    fn keep_sound(&self, file: Vec<u8>) -> BoxFuture<'_, Result<String, Unavailable>> {
        self.sink.keep_sound(file)
    }

    fn ring(
        &self,
        account: Sid,
        leg: Sid,
        at: Timestamp,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        self.sink.ring(account, leg, at)
    }
}

/// The bus's keys of rooms that have sound.
const ROOM: &str = "sound.room/";

/// How the other nodes hear that a room has sound.
pub(super) fn tell_of_rooms(settings: &Settings, bus: &Bus) -> TellOfRoom {
    match settings.bus.is_some() {
        true => {
            let bus = bus.clone();
            Box::new(move |room| bus.invalidate(&format!("{ROOM}{room}")))
        }
        false => Box::new(|_| {}),
    }
}

/// Hears which rooms have sound on other nodes; until `stop`. What is missed costs simulated handsets
/// their sound until they enter another room.
pub(super) async fn hear_of_rooms(bus: Bus, sim: Arc<Sim>, mut stop: watch::Receiver<bool>) {
    let mut news = bus.invalidations();
    loop {
        let told = tokio::select! {
            _ = stop.wait_for(|stopped| *stopped) => return,
            told = news.recv() => told,
        };
        match told {
            Ok(key) => key.strip_prefix(ROOM).into_iter().for_each(|room| sim.hear_of_room(room)),
            Err(RecvError::Closed) => return,
            Err(RecvError::Lagged(_)) => {}
        }
    }
}

/// Ends the legs of dead nodes; until `stop`. Those of simulated handsets go on here.
pub(super) async fn end_orphans(
    leases: Leases,
    voice: Arc<Voice>,
    sim: Arc<Sim>,
    now: impl Fn() -> Timestamp,
    mut stop: watch::Receiver<bool>,
) {
    while !*stop.borrow() {
        if let Err(error) = end_once(&leases, &*voice, Some(&sim), now()).await {
            tracing::warn!(%error, "legs of dead nodes cannot be looked for");
        }
        let _ = tokio::time::timeout(LOOK, stop.wait_for(|stopped| *stopped)).await;
    }
}

async fn end_once(
    leases: &Leases,
    sink: &dyn VoiceSink,
    sim: Option<&Sim>,
    at: Timestamp,
) -> Result<(), Unavailable> {
    for name in leases.orphans("leg/").await.map_err(unavailable)? {
        let mut words = name.split('/').skip(1).map(str::parse::<Sid>);
        if let (Some(Ok(account)), Some(Ok(leg))) = (words.next(), words.next()) {
            let taken_over = match sim {
                Some(sim) => sim.take_over(leg).await?,
                None => None,
            };
            match taken_over {
                // The row is this node's.
                Some(true) => continue,
                Some(false) => {}
                None => {
                    tracing::warn!(%leg, "a call's node is dead: its leg has ended");
                    let event = LegEvent::Ended(Ending::Failed);
                    sink.report(&LegReport { account, leg, at, event }).await?;
                }
            }
        }
        leases.bury(&name).await.map_err(unavailable)?;
    }
    for prefix in ["relay/", HOMES_OF_CLIENTS] {
        for name in leases.orphans(prefix).await.map_err(unavailable)? {
            leases.bury(&name).await.map_err(unavailable)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<LegReport>>);

    impl VoiceSink for Heard {
        fn report<'a>(&'a self, report: &'a LegReport) -> BoxFuture<'a, Result<(), Unavailable>> {
            self.0.lock().unwrap().push(report.clone());
            Box::pin(async { Ok(()) })
        }

        fn inbound<'a>(
            &'a self,
            _: &'a InboundCall,
        ) -> BoxFuture<'a, Result<Option<(Sid, Sid)>, Unavailable>> {
            Box::pin(async { Ok(Some((Sid::from_parts("AC", 1), Sid::from_parts("CA", 2)))) })
        }

        fn keep_sound(&self, _: Vec<u8>) -> BoxFuture<'_, Result<String, Unavailable>> {
            Box::pin(async { Ok(String::new()) })
        }

        fn ring(&self, _: Sid, _: Sid, _: Timestamp) -> BoxFuture<'_, Result<(), Unavailable>> {
            Box::pin(async { Ok(()) })
        }
    }

    #[tokio::test]
    async fn a_leg_is_found_on_its_node_and_ends_with_it() {
        for database in store::testing::databases().await {
            if database.store.kind() == "sqlite" {
                continue;
            }
            let node = |name: &str| Leases::new(database.store.clone(), name.to_owned());
            let (one, two) = (node("one"), node("two"));
            assert!(one.take("node/one").await.unwrap() && two.take("node/two").await.unwrap());
            let heard = Arc::new(Heard::default());
            let homes = Arc::new(Rows(one.clone()));
            let housed = Housed { sink: heard.clone(), homes };
            let call = InboundCall {
                from: "+14155550111".into(),
                to: "+14155550100".into(),
                caller_name: None,
                at: Timestamp::from_micros(1),
                door: contracts::CallDoor::Number,
                params: Vec::new(),
            };
            let (account, leg) = housed.inbound(&call).await.unwrap().unwrap();
            let home = home_of_leg(account, leg);
            assert!(Rows(two.clone()).is_elsewhere(&home).await.unwrap());
            end_once(&two, &*heard, None, Timestamp::from_micros(2)).await.unwrap();
            assert!(heard.0.lock().unwrap().is_empty(), "its node is alive");

            one.release("node/one").await.unwrap();
            end_once(&two, &*heard, None, Timestamp::from_micros(2)).await.unwrap();
            end_once(&two, &*heard, None, Timestamp::from_micros(3)).await.unwrap();
            let reports = heard.0.lock().unwrap().clone();
            assert_eq!(reports.len(), 1);
            assert_eq!(
                (reports[0].leg, &reports[0].event),
                (leg, &LegEvent::Ended(Ending::Failed))
            );

            assert!(one.take("node/one").await.unwrap());
            housed.inbound(&call).await.unwrap();
            let at = Timestamp::from_micros(4);
            let event = LegEvent::Ended(Ending::HungUp);
            housed.report(&LegReport { account, leg, at, event }).await.unwrap();
            assert!(!Rows(two).is_elsewhere(&home).await.unwrap(), "it is over");
        }
    }
}

//! How letters come to their call, and orders to its leg: the jobs of calls.

use std::sync::Arc;

use contracts::{Order, OutboundCall, home_of_leg};
use jobs::{Failure, Job, NewJob, Worker};
use kernel::{Sid, Timestamp};
use serde::{Deserialize, Serialize};
use store::{AccountBatch, AccountStore};

use crate::Voice;
use crate::act::Act;
use crate::call::Call;
use crate::letter::{Beside, Letter, What};
use crate::relay::home_of_session;

/// Queue of letters.
const LETTERS: &str = "voice.letter";
/// Queue of what legs are told.
const ORDERS: &str = "voice.order";

/// An order to a leg, or its placing.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Errand {
    Place(OutboundCall),
    Order { leg: Sid, at: Timestamp, order: Order },
}

impl Voice {
    /// Promises a letter, in the order of its call.
    pub(crate) fn send(&self, batch: &mut AccountBatch, letter: Letter) {
        let lane = format!("call/{}", letter.call);
        let job = NewJob::now(LETTERS, &self.parts.clock, &letter).in_lane(lane);
        jobs::add(batch, &self.parts.clock, job);
    }

    /// Promises a letter for later.
    pub(crate) fn send_at(&self, batch: &mut AccountBatch, letter: Letter) {
        let due = letter.at;
        let job = NewJob::now(LETTERS, &self.parts.clock, &letter).at(due);
        jobs::add(batch, &self.parts.clock, job);
    }

    /// Promises an order to a leg.
    pub(crate) fn order(&self, batch: &mut AccountBatch, leg: Sid, at: Timestamp, order: Order) {
        self.errand(batch, leg, &Errand::Order { leg, at, order });
    }

    /// Promises to place a call.
    pub(crate) fn place(&self, batch: &mut AccountBatch, call: OutboundCall) {
        let leg = call.leg;
        self.errand(batch, leg, &Errand::Place(call));
    }

    fn errand(&self, batch: &mut AccountBatch, leg: Sid, errand: &Errand) {
        let job = NewJob::now(ORDERS, &self.parts.clock, errand).in_lane(format!("leg/{leg}"));
        jobs::add(batch, &self.parts.clock, job);
    }

    /// What lives on another node is done there.
    pub(crate) async fn stay_or_go(&self, home: &str) -> Result<(), Failure> {
        match self.parts.homes.is_elsewhere(home).await {
            Ok(false) => Ok(()),
            Ok(true) => Err(Failure::Elsewhere(home.to_owned())),
            Err(error) => Err(Failure::Retry(error.0)),
        }
    }

    async fn deliver(&self, store: &AccountStore, letter: Letter) -> Result<AccountBatch, Failure> {
        if let What::Look(Beside::Stream(stream)) = letter.what
            && !self.looks_at(store, letter.call, stream).await?
        {
            return Ok(store.batch());
        }
        let Some(mut call) = Call::load(store, letter.call).await? else {
            return Ok(store.batch());
        };
        // What is over hears nothing any more.
        let Some(mut live) = call.live.take() else { return Ok(store.batch()) };
        if let (Some(machine), Some(sealed)) = (&mut live.machine, live.secrets.take()) {
            self.give_secrets(machine, &sealed);
        }
        if live.relay.is_some() {
            self.stay_or_go(&home_of_session(letter.call)).await?;
        }
        let now = self.parts.clock.now();
        // A call goes forward in time, and not beyond the present.
        let at = letter.at.max(live.at).min(now.max(live.at));
        Act::new(self, store, call, live, at).hear(letter.what).await
    }
}

impl Voice {
    /// Tells a call that something it waits for has failed for good.
    pub(crate) fn given_up(&self, store: &AccountStore, call: Sid) -> AccountBatch {
        let mut batch = store.batch();
        let at = self.parts.clock.now();
        self.send(&mut batch, Letter { call, at, what: What::GiveUp });
        batch
    }
}

/// Delivers letters.
pub struct Postman(pub Arc<Voice>);

impl Worker for Postman {
    const QUEUE: &'static str = LETTERS;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        self.0.deliver(store, job.read()?).await
    }

    fn give_up(&self, job: &Job, store: &AccountStore) -> AccountBatch {
        match job.read::<Letter>() {
            // Nothing more can be done for a call that cannot even be given up.
            Ok(Letter { what: What::GiveUp, .. }) | Err(_) => store.batch(),
            Ok(letter) => self.0.given_up(store, letter.call),
        }
    }
}

/// Takes orders to the carrier.
pub struct Runner(pub Arc<Voice>);

impl Worker for Runner {
    const QUEUE: &'static str = ORDERS;

    async fn run(&self, job: &Job, store: &AccountStore) -> Result<AccountBatch, Failure> {
        let carrier = self.0.carrier();
        if let Errand::Order { leg, .. } = job.read()? {
            self.0.stay_or_go(&home_of_leg(job.account, leg)).await?;
        }
        let done = match job.read()? {
            Errand::Place(mut call) => {
                match carrier.home_of(&call).await {
                    Ok(Some(home)) => self.0.stay_or_go(&home).await?,
                    Ok(None) => {}
                    Err(error) => return Err(Failure::Retry(error.0)),
                }
                call.extras = self.0.open_extras(call.extras);
                carrier.place(&call).await
            }
            Errand::Order { leg, at, order } => carrier.order(job.account, leg, at, &order).await,
        };
        done.map_err(|error| Failure::Retry(error.0))?;
        let mut batch = store.batch();
        if let Errand::Order { leg, order: Order::Stream(setup), .. } = job.read()? {
            self.0.stream_is_here(setup.stream).await;
            self.0.look_later(&mut batch, leg, Beside::Stream(setup.stream));
        }
        Ok(batch)
    }

    fn give_up(&self, job: &Job, store: &AccountStore) -> AccountBatch {
        match job.read::<Errand>() {
            Ok(Errand::Place(OutboundCall { leg, .. }) | Errand::Order { leg, .. }) => {
                self.0.given_up(store, leg)
            }
            Err(_) => store.batch(),
        }
    }
}

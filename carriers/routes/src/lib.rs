//! Which carrier takes a message, and which takes it when that one cannot.
//!
//! A carrier made of others. The first route whose prefixes fit decides; of its carriers one
//! is drawn by their shares, the same one for the same message however often it is tried, and
//! the others follow in their order when it cannot take the message now. A refusal for good
//! is final: another carrier would not make a wrong number right.
//!
//! Differs: when a carrier breaks off without saying whether it took a message, the next one
//! gets it; a duplicate is rarer than a loss would be.

mod calls;

use std::sync::Arc;

use contracts::{BoxFuture, MessageCarrier, OutboundMessage, Submission, Unavailable};
use kernel::Sid;
use serde::Deserialize;

pub use calls::CallRoutes;

/// Where the simulated network is meant; it is always there.
pub const SIM: &str = "sim";

/// One row of the routing table.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// How recipients begin, such as `+49` or `whatsapp:`; empty: all.
    #[serde(default)]
    pub to: String,
    /// How senders begin; empty: all.
    #[serde(default)]
    pub from: String,
    /// At least one; first those that should have most.
    pub carriers: Vec<Share>,
}

/// A carrier of a route: its name alone, or with its share of the messages.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Share {
    /// All of what has no share; several of these: only the first, the others stand by.
    Name(String),
    /// `share` in percent; 0 stands by.
    Part { name: String, share: u32 },
}

impl Share {
    fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Part { name, .. } => name,
        }
    }
}

/// A routing table that cannot be used: which entry, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError(pub String);

impl std::fmt::Display for RouteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RouteError {}

/// The table, connected.
pub struct Routes {
    carriers: Vec<(String, Arc<dyn MessageCarrier>)>,
    table: Vec<Row>,
}

/// A route whose carriers are numbers.
#[derive(Debug)]
struct Row {
    to: String,
    from: String,
    /// Carrier and percent, in order.
    carriers: Vec<(usize, u32)>,
}

impl Routes {
    /// # Errors
    /// A route without carriers, with an unknown one, or whose shares are not 100 in all.
    pub fn new(
        carriers: Vec<(String, Arc<dyn MessageCarrier>)>,
        routes: &[Route],
    ) -> Result<Self, RouteError> {
        let names: Vec<&str> = carriers.iter().map(|(name, _)| name.as_str()).collect();
        let table = routes.iter().enumerate().map(|(at, route)| row(&names, at, route));
        let table = table.collect::<Result<_, _>>()?;
        Ok(Self { carriers, table })
    }

    /// The carriers to try, in order; none: no route leads there.
    fn order(&self, message: &OutboundMessage) -> Vec<usize> {
        let fits =
            |row: &&Row| message.to.starts_with(&row.to) && message.from.starts_with(&row.from);
        self.table.iter().find(fits).map_or_else(Vec::new, |row| row.order(message.sid))
    }
}

fn row(names: &[&str], at: usize, route: &Route) -> Result<Row, RouteError> {
    let wrong = |why: String| RouteError(format!("routes[{at}].carriers {why}"));
    if route.carriers.is_empty() {
        return Err(wrong("is empty: name one carrier at least".into()));
    }
    let given: u32 = route
        .carriers
        .iter()
        .map(|carrier| match carrier {
            Share::Name(_) => 0,
            Share::Part { share, .. } => *share,
        })
        .sum();
    let mut rest = 100_u32
        .checked_sub(given)
        .ok_or_else(|| wrong(format!("has shares of {given} percent: 100 in all are possible")))?;
    let mut carriers = Vec::new();
    for carrier in &route.carriers {
        let name = carrier.name();
        let number = names
            .iter()
            .position(|known| *known == name)
            .ok_or_else(|| wrong(format!("names {name:?}, but there are {}", names.join(", "))))?;
        let share = match carrier {
            Share::Name(_) => std::mem::take(&mut rest),
            Share::Part { share, .. } => *share,
        };
        carriers.push((number, share));
    }
    match rest {
        0 => Ok(Row { to: route.to.clone(), from: route.from.clone(), carriers }),
        _ => Err(wrong(format!("has shares of {given} percent, and nobody has the rest"))),
    }
}

impl Row {
    /// One by its share, then the others.
    fn order(&self, sid: Sid) -> Vec<usize> {
        // The random part of a SID; its leading bits are the time.
        let hex = sid.hex();
        let draw = u32::from_str_radix(&hex[hex.len() - 7..], 16).unwrap_or(0) % 100;
        let mut sum = 0;
        let first = self.carriers.iter().position(|(_, share)| {
            sum += share;
            draw < sum
        });
        let mut order: Vec<usize> = self.carriers.iter().map(|(carrier, _)| *carrier).collect();
        if let Some(first) = first {
            order[..=first].rotate_right(1);
        }
        order
    }
}

impl MessageCarrier for Routes {
    fn submit<'a>(&'a self, message: &'a OutboundMessage) -> BoxFuture<'a, Submission> {
        Box::pin(async move {
            let mut busy = None;
            for carrier in self.order(message) {
                let (name, carrier) = &self.carriers[carrier];
                match carrier.submit(message).await {
                    Submission::Busy(why) => {
                        tracing::warn!(%name, %why, "a carrier cannot take a message now");
                        busy = Some(Unavailable(format!("{name}: {why}")));
                    }
                    // Another node does it before another network.
                    outcome => return outcome,
                }
            }
            match busy {
                Some(why) => Submission::Busy(why),
                // No route leads there.
                None => Submission::Refused { code: 30005 },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Answers what it was told, and counts.
    struct Stub(Submission, Mutex<u32>);

    impl MessageCarrier for Stub {
        fn submit<'a>(&'a self, _: &'a OutboundMessage) -> BoxFuture<'a, Submission> {
            *self.1.lock().unwrap() += 1;
            Box::pin(async { self.0.clone() })
        }
    }

    fn stub(answer: Submission) -> Arc<Stub> {
        Arc::new(Stub(answer, Mutex::new(0)))
    }

    fn message(to: &str, number: u128) -> OutboundMessage {
        OutboundMessage {
            account: Sid::from_parts("AC", 1),
            sid: Sid::from_parts("SM", number),
            from: "+14155550100".into(),
            to: to.into(),
            body: "hi".into(),
            segments: 1,
            media: Vec::new(),
            rich: None,
        }
    }

    fn parse(text: &str) -> Vec<Route> {
        #[derive(Deserialize)]
        struct File {
            routes: Vec<Route>,
        }
        toml::from_str::<File>(text).unwrap().routes
    }

    fn busy() -> Submission {
        Submission::Busy(Unavailable("down".into()))
    }

    #[tokio::test]
    async fn the_first_route_that_fits_decides() {
        let (smpp, sim) = (stub(Submission::Accepted), stub(Submission::Accepted));
        let carriers: Vec<(String, Arc<dyn MessageCarrier>)> =
            vec![("smpp".into(), smpp.clone()), (SIM.into(), sim.clone())];
        let table = parse(
            "[[routes]]\nto = '+49'\ncarriers = ['smpp']\n[[routes]]\nto = '+1'\ncarriers = ['sim']",
        );
        let routes = Routes::new(carriers, &table).unwrap();
        assert_eq!(routes.submit(&message("+4915123456789", 1)).await, Submission::Accepted);
        assert_eq!(routes.submit(&message("+14155550199", 1)).await, Submission::Accepted);
        let nowhere = routes.submit(&message("+33612345678", 1)).await;
        assert_eq!(nowhere, Submission::Refused { code: 30005 });
        assert_eq!((*smpp.1.lock().unwrap(), *sim.1.lock().unwrap()), (1, 1));
    }

    #[tokio::test]
    async fn another_carrier_takes_over_but_not_a_refusal() {
        let (down, up) = (stub(busy()), stub(Submission::Accepted));
        let no = stub(Submission::Refused { code: 30007 });
        let carriers: Vec<(String, Arc<dyn MessageCarrier>)> =
            vec![("down".into(), down), ("up".into(), up.clone()), ("no".into(), no)];
        let table = parse(
            "[[routes]]\nto = '+1'\ncarriers = ['down', 'up']\n[[routes]]\nto = '+2'\n\
             carriers = ['no', 'up']\n[[routes]]\ncarriers = ['down']",
        );
        let routes = Routes::new(carriers, &table).unwrap();
        assert_eq!(routes.submit(&message("+1", 1)).await, Submission::Accepted);
        assert_eq!(routes.submit(&message("+2", 1)).await, Submission::Refused { code: 30007 });
        let both = routes.submit(&message("+3", 1)).await;
        assert_eq!(both, Submission::Busy(Unavailable("down: down".into())));
        assert_eq!(*up.1.lock().unwrap(), 1);
    }

    #[test]
    fn shares_divide_messages_and_each_message_keeps_its_carrier() {
        let row = Row { to: String::new(), from: String::new(), carriers: vec![(0, 90), (1, 10)] };
        let mut counts = [0; 2];
        for number in 0..10_000_u128 {
            let sid = Sid::from_parts("SM", number * 7919);
            let order = row.order(sid);
            assert_eq!(order, row.order(sid));
            assert_eq!(order.len(), 2);
            counts[order[0]] += 1;
        }
        assert!((800..1200).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn what_cannot_be_is_named() {
        let carriers = || -> Vec<(String, Arc<dyn MessageCarrier>)> {
            vec![(SIM.into(), stub(Submission::Accepted)), ("smpp".into(), stub(busy()))]
        };
        for (text, why) in [
            ("carriers = []", "name one carrier at least"),
            ("carriers = ['smsc']", "there are sim, smpp"),
            ("carriers = [{name = 'sim', share = 50}]", "nobody has the rest"),
            ("carriers = [{name = 'sim', share = 150}]", "100 in all"),
        ] {
            let error = Routes::new(carriers(), &parse(&format!("[[routes]]\n{text}"))).err();
            assert!(error.unwrap().0.contains(why), "{text}");
        }
        let fine = parse("[[routes]]\ncarriers = [{name = 'smpp', share = 5}, 'sim']");
        assert!(Routes::new(carriers(), &fine).is_ok());
    }
}

//! What the simulated network knows of its lines.

use contracts::{BoxFuture, Line, LineKind, Lines, Unavailable};
use numbering::{E164, Kind};

use crate::{Behaviour, Sim};

/// Country and network code that the ITU keeps for test networks.
const TEST_NETWORK: (&str, &str) = ("001", "01");
const CARRIER: &str = "Simulated network";

impl Lines for Sim {
    /// A handset that is told to be a landline is one; other lines are what the numbering plan
    /// says, and mobile where it does not.
    fn line<'a>(&'a self, number: &'a str) -> BoxFuture<'a, Result<Line, Unavailable>> {
        Box::pin(async move {
            let handset = self.handset(number).await;
            let handset = handset.map_err(|error| Unavailable(error.to_string()))?;
            let planned = E164::parse(number).map(E164::kind).unwrap_or(Kind::Unknown);
            let kind = match (handset.behaviour, planned) {
                (Behaviour::Landline, _) => LineKind::Landline,
                (_, Kind::FixedLine | Kind::TollFree) => LineKind::Landline,
                (_, Kind::Voip) => LineKind::Voip,
                _ => LineKind::Mobile,
            };
            let (country, network) = TEST_NETWORK;
            let code = |code: &str| (kind == LineKind::Mobile).then(|| code.to_owned());
            Ok(Line {
                kind,
                carrier: CARRIER.to_owned(),
                mobile_country_code: code(country),
                mobile_network_code: code(network),
            })
        })
    }

    fn identify<'a>(
        &'a self,
        number: &'a str,
        handset: &'a str,
    ) -> BoxFuture<'a, Result<u32, Unavailable>> {
        Box::pin(async move {
            let found = self.handset(handset).await;
            let found = found.map_err(|error| Unavailable(error.to_string()))?;
            Ok(match found.behaviour {
                Behaviour::Unknown => 60540,
                Behaviour::Landline => 60008,
                Behaviour::Off | Behaviour::Silent => 60531,
                _ if number != handset => 60500,
                _ => 0,
            })
        })
    }
}

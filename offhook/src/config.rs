//! The file that says what command line options cannot: carriers, routes, rates.

use std::path::Path;

use kernel::Secret;
use messaging::{Caps, NoticeSenders, Rates};
use routes::Route;
use serde::Deserialize;

/// `offhook.toml`; docs/guides/carriers.md describes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Segments per second by kind of sender.
    pub rates: Option<Rates>,
    /// Segments per day and sender, by kind of sender.
    pub caps: Caps,
    pub carriers: Carriers,
    /// What accounts, and all of them together, may ask for.
    pub limits: crate::server::LimitsConfig,
    /// Who speaks and understands on calls.
    pub speech: Option<crate::server::SpeechConfig>,
    /// Who is asked for what numbering plans do not say of a number.
    pub lookup: Option<lookup::HttpSourceConfig>,
    /// Who codes and other notices come from.
    pub notices: NoticeSenders,
    /// What places of SIP may be named, and which numbers are dangerous.
    pub voice: trunking::Config,
    /// How media and recordings rest.
    pub storage: Storage,
    /// Who makes payments of what callers key in.
    pub pay: Vec<voice::PayConnector>,
    /// Programs that talk on calls, by the names that documents know them by.
    pub virtual_agents: Vec<voice::VirtualAgent>,
    /// Which carrier takes what; none: everything goes to the simulated network.
    pub routes: Vec<Route>,
    /// Who may bind to the listeners of `carriers.smpp`.
    pub applications: Vec<Application>,
}

/// `[storage]` of the configuration.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Recordings, media and letters that are kept from now on are encrypted.
    pub encrypt: bool,
}

/// The networks beside the simulated one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Carriers {
    pub smpp: Option<smpp_carrier::Config>,
    pub twilio: Option<twilio::Config>,
    pub whatsapp: Option<whatsapp::Config>,
    pub smtp: Option<smtp::Config>,
    /// Browser phones.
    pub client: Option<crate::server::ClientConfig>,
    pub sip: Option<sip_carrier::Config>,
}

/// An application that speaks SMPP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    pub system_id: String,
    pub password: Secret,
    /// `AC…`: whose messages it sends.
    pub account_sid: kernel::Sid,
    /// Numbers of that account whose messages go to it instead of a webhook.
    #[serde(default)]
    pub numbers: Vec<String>,
    #[serde(default = "usual_sessions")]
    pub sessions_max: u32,
    /// Messages per second and session; 0 is no limit.
    #[serde(default)]
    pub rate_per_second: u32,
}

fn usual_sessions() -> u32 {
    4
}

impl Config {
    /// # Errors
    /// A file that cannot be read; a line that cannot, with its place.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Self::read_text(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The text of such a file.
    pub fn read_text(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guides_examples_are_read() {
        let guides = [
            include_str!("../../docs/guides/carriers.md"),
            include_str!("../../docs/guides/email.md"),
            include_str!("../../docs/guides/payments.md"),
            include_str!("../../docs/guides/operate.md"),
            include_str!("../../docs/guides/sip-carrier.md"),
            include_str!("../../docs/guides/sip.md"),
            include_str!("../../docs/guides/streams.md"),
        ];
        let examples = guides.iter().flat_map(|guide| guide.split("```toml\n").skip(1));
        let mut count = 0;
        for example in examples {
            let text = example.split("```").next().unwrap_or_default();
            toml::from_str::<Config>(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            count += 1;
        }
        assert!(count >= 5, "{count}");
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for (text, word) in [
            ("[rates]\nlong_cod = 1", "long_cod"),
            ("[carriers.sntp]", "sntp"),
            ("[[pay]]\nname = 'x'", "test = true"),
            ("[[pay]]\nname = 'x'\nurl = 'https://x'", "secret"),
            ("[[applications]]\nsystem_id = 'x'", "password"),
        ] {
            assert!(toml::from_str::<Config>(text).unwrap_err().to_string().contains(word));
        }
    }
}

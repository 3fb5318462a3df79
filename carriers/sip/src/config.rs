//! What an operator says of SIP.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use contracts::{ConfigError, IpBlock};
use kernel::Secret;
use serde::Deserialize;

/// `[carriers.sip]`; docs/guides/sip-carrier.md describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where UDP and TCP are listened on.
    pub listen: Vec<SocketAddr>,
    /// Where TLS is; needs a certificate.
    #[serde(default)]
    pub listen_tls: Vec<SocketAddr>,
    /// Where programs connect by WebSocket (RFC 7118), plain and with TLS.
    #[serde(default)]
    pub listen_ws: Vec<SocketAddr>,
    #[serde(default)]
    pub listen_wss: Vec<SocketAddr>,
    /// PEM files.
    #[serde(default)]
    pub certificate_file: Option<PathBuf>,
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// How others reach this host, where that is not the address listened on.
    #[serde(default)]
    pub external_address: Option<IpAddr>,
    /// Ports of sound, the first and the last.
    #[serde(default = "usual_ports")]
    pub rtp_ports: (u16, u16),
    /// Sound is sent back to where it comes from, wherever the description said.
    #[serde(default = "yes")]
    pub symmetric_rtp: bool,
    /// A call without a packet for so long ends; 0: never.
    #[serde(default = "usual_silence")]
    pub media_timeout_seconds: u64,
    #[serde(default = "usual_calls")]
    pub calls_max: usize,
    /// Connections of TCP and TLS.
    #[serde(default = "usual_connections")]
    pub connections_max: usize,
    /// In challenges.
    #[serde(default = "usual_realm")]
    pub realm: String,
    /// Challenges with SHA-256 too. Some telephones give up when they see what they do not know.
    #[serde(default)]
    pub digest_sha256: bool,
    #[serde(default)]
    pub trunks: Vec<Trunk>,
    /// Where `<Siprec>` brings sound to.
    #[serde(default)]
    pub recorders: Vec<Recorder>,
}

/// A session recording server (RFC 7866).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorder {
    /// What `connectorName` says.
    pub name: String,
    /// `sip:recorder.example.com;transport=tcp`.
    pub uri: String,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<Secret>,
    /// Its sound is protected (SRTP). The keys go with the signalling, which is for TLS to protect.
    #[serde(default)]
    pub srtp: bool,
}

/// Another operator, a gateway or an exchange.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    pub name: String,
    /// Where calls go to, tried in order: `sip.example.com`, `192.0.2.1:5080;transport=tcp`.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Addresses that calls may come from, `192.0.2.0/24`.
    #[serde(default)]
    pub from: Vec<String>,
    /// Answers challenges of the other side.
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<Secret>,
    /// Registers, so that the other side knows where we are.
    #[serde(default)]
    pub register: bool,
    /// How numbers begin that are called by this trunk; the longest that fits wins.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// TLS and SRTP only.
    #[serde(default)]
    pub secure: bool,
    /// How often each host is asked whether it is there; 0: never.
    #[serde(default = "usual_options")]
    pub options_seconds: u64,
}

fn usual_options() -> u64 {
    60
}

fn yes() -> bool {
    true
}

fn usual_ports() -> (u16, u16) {
    (16_384, 32_767)
}

fn usual_silence() -> u64 {
    60
}

fn usual_calls() -> usize {
    1000
}

fn usual_connections() -> usize {
    1000
}

fn usual_realm() -> String {
    "sip.twilio.com".to_owned()
}

/// `192.0.2.0/24` or one address.
pub(crate) fn block(text: &str) -> Option<IpBlock> {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let prefix = prefix.map_or(Some(width), |prefix| prefix.parse().ok())?;
    (prefix <= width).then_some(IpBlock { address, prefix })
}

impl Config {
    /// A listener for this machine's telephones, which may call any number.
    pub fn development() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            listen_tls: Vec::new(),
            listen_ws: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            listen_wss: Vec::new(),
            certificate_file: None,
            key_file: None,
            external_address: None,
            rtp_ports: usual_ports(),
            symmetric_rtp: true,
            media_timeout_seconds: usual_silence(),
            calls_max: usual_calls(),
            connections_max: usual_connections(),
            realm: usual_realm(),
            digest_sha256: false,
            trunks: vec![Trunk {
                name: "this machine".to_owned(),
                hosts: Vec::new(),
                from: vec!["127.0.0.0/8".to_owned()],
                username: None,
                password: None,
                register: false,
                prefixes: Vec::new(),
                secure: false,
                options_seconds: usual_options(),
            }],
            recorders: Vec::new(),
        }
    }

    /// Where sound is bound whose other end is not known yet.
    pub(crate) fn sound_address(&self) -> Option<IpAddr> {
        self.listen.iter().chain(&self.listen_tls).next().map(SocketAddr::ip)
    }

    pub(crate) fn media_timeout(&self) -> Option<Duration> {
        let seconds = self.media_timeout_seconds;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// The trunk for a number: the longest prefix that fits.
    pub(crate) fn trunk_to(&self, number: &str) -> Option<&Trunk> {
        let fits = |trunk: &&Trunk| !trunk.hosts.is_empty();
        let trunks = self.trunks.iter().filter(fits).flat_map(|trunk| {
            let prefixes = trunk.prefixes.iter().filter(|prefix| number.starts_with(*prefix));
            prefixes.map(move |prefix| (prefix.len(), trunk))
        });
        // Of equals the first.
        trunks.rev().max_by_key(|(length, _)| *length).map(|(_, trunk)| trunk)
    }

    /// The trunk that an address belongs to.
    pub(crate) fn trunk_from(&self, address: IpAddr) -> Option<&Trunk> {
        self.trunks.iter().find(|trunk| {
            trunk.from.iter().filter_map(|text| block(text)).any(|block| block.contains(address))
        })
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |why: String| Err(ConfigError(why));
        if self.listen.is_empty() && self.listen_tls.is_empty() {
            return wrong("listen is empty: name an address such as 0.0.0.0:5060".into());
        }
        let has_files = self.certificate_file.is_some() && self.key_file.is_some();
        for (name, listen) in [("listen_tls", &self.listen_tls), ("listen_wss", &self.listen_wss)] {
            if !listen.is_empty() && !has_files {
                return wrong(format!("{name} needs certificate_file and key_file"));
            }
        }
        let (first, last) = self.rtp_ports;
        if first < 1024 || last <= first + 2 {
            return wrong(format!("rtp_ports [{first}, {last}] has no room for calls"));
        }
        if !(1..=100_000).contains(&self.calls_max) {
            return wrong("calls_max must be from 1 to 100000".into());
        }
        if !(1..=100_000).contains(&self.connections_max) {
            return wrong("connections_max must be from 1 to 100000".into());
        }
        if self.realm.is_empty() || self.realm.contains(['"', '\\']) {
            return wrong("realm is empty or has quotes".into());
        }
        for (at, recorder) in self.recorders.iter().enumerate() {
            let name = |field: &str| format!("recorders[{at}].{field}");
            if recorder.name.is_empty()
                || self.recorders[..at].iter().any(|known| known.name == recorder.name)
            {
                return wrong(format!("{} is empty or another's", name("name")));
            }
            if sip::Uri::parse(&recorder.uri).is_err() {
                return wrong(format!("{} is no SIP address", name("uri")));
            }
            if recorder.username.is_some() != recorder.password.is_some() {
                return wrong(format!("{} and password go together", name("username")));
            }
        }
        for (at, trunk) in self.trunks.iter().enumerate() {
            let name = |field: &str| format!("trunks[{at}].{field}");
            if let Some(bad) = trunk.from.iter().find(|text| block(text).is_none()) {
                return wrong(format!("{} has {bad:?}: write 192.0.2.0/24", name("from")));
            }
            let host =
                trunk.hosts.iter().find(|host| sip::Uri::parse(&format!("sip:{host}")).is_err());
            if let Some(bad) = host {
                return wrong(format!("{} has {bad:?}, which is no host", name("hosts")));
            }
            if trunk.username.is_some() != trunk.password.is_some() {
                return wrong(format!("{} and password go together", name("username")));
            }
            if !trunk.prefixes.is_empty() && trunk.hosts.is_empty() {
                return wrong(format!("{} needs hosts to call", name("prefixes")));
            }
            if trunk.register && (trunk.hosts.is_empty() || trunk.username.is_none()) {
                return wrong(format!("{} needs hosts, username and password", name("register")));
            }
            if trunk.hosts.is_empty() && trunk.from.is_empty() {
                return wrong(format!("{} and from are empty: it leads nowhere", name("hosts")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.validate().map_err(|error| error.0)?;
        Ok(config)
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        Config::development().validate().unwrap();
        for (text, name) in [
            ("listen = []", "listen"),
            ("listen = ['0.0.0.0:5060']\nrtp_ports = [20000, 20001]", "rtp_ports"),
            ("listen = []\nlisten_tls = ['0.0.0.0:5061']", "certificate_file"),
            ("listen = ['0.0.0.0:5060']\ncalls_max = 0", "calls_max"),
            ("listen = ['0.0.0.0:5060']\nunknown = 0", "unknown"),
            (
                "listen = ['0.0.0.0:5060']\n[[recorders]]\nname = 'a'\nuri = 'http://a'",
                "recorders[0].uri",
            ),
            ("listen = ['0.0.0.0:5060']\n[[trunks]]\nname = 'a'", "trunks[0].hosts"),
            ("listen = ['0.0.0.0:5060']\n[[trunks]]\nname = 'a'\nfrom = ['x']", "trunks[0].from"),
            (
                "listen = ['0.0.0.0:5060']\n[[trunks]]\nname = 'a'\nhosts = ['a b']",
                "trunks[0].hosts",
            ),
            (
                "listen = ['0.0.0.0:5060']\n[[trunks]]\nname = 'a'\nhosts = ['b']\nusername = 'u'",
                "trunks[0].username",
            ),
        ] {
            assert!(read(text).unwrap_err().contains(name), "{text}");
        }
    }

    #[test]
    fn a_number_goes_by_its_longest_prefix() {
        let config = read(
            "listen = ['0.0.0.0:5060']\n[[trunks]]\nname = 'a'\nhosts = ['a.example']\nprefixes = ['+']\n\
             [[trunks]]\nname = 'b'\nhosts = ['b.example']\nprefixes = ['+49', '+4']\n\
             [[trunks]]\nname = 'c'\nfrom = ['192.0.2.0/24', '2001:db8::/32']\n",
        )
        .unwrap();
        let to = |number: &str| config.trunk_to(number).map(|trunk| trunk.name.as_str());
        assert_eq!((to("+14155550100"), to("+4930"), to("911")), (Some("a"), Some("b"), None));
        let from = |text: &str| config.trunk_from(text.parse().unwrap()).map(|t| t.name.as_str());
        assert_eq!((from("192.0.2.7"), from("2001:db8::1")), (Some("c"), Some("c")));
        assert_eq!(from("192.0.3.7"), None);
    }
}

//! Which servers take a domain's mail, and what domains publish.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use contracts::Unavailable;
use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;

/// Servers of one domain that are tried.
const SERVERS_MAX: usize = 5;

/// The system's resolver.
pub(crate) struct Dns(pub(crate) Result<TokioResolver, String>);

/// The servers of a domain, best first.
pub(crate) enum Servers {
    Hosts(Vec<String>),
    /// It says that it takes no mail (RFC 7505), or does not exist.
    None {
        /// RFC 3463.
        status: &'static str,
        why: &'static str,
    },
}

impl Dns {
    /// A system that has no resolver says so when something is looked up.
    pub(crate) fn new() -> Self {
        let built = TokioResolver::builder_tokio().and_then(|builder| builder.build());
        Self(built.map_err(|error| format!("the system's resolver: {error}")))
    }

    fn resolver(&self) -> Result<&TokioResolver, Unavailable> {
        self.0.as_ref().map_err(|why| Unavailable(why.clone()))
    }

    /// RFC 5321 §5.1: by preference; without any, the domain itself. `mail` decides among those
    /// of one preference, so that they share the load.
    pub(crate) async fn servers(&self, domain: &str, mail: &str) -> Result<Servers, Unavailable> {
        let found = match self.resolver()?.mx_lookup(format!("{domain}.")).await {
            Ok(found) => found,
            Err(error) if error.is_nx_domain() => {
                return Ok(Servers::None { status: "5.1.2", why: "the domain does not exist" });
            }
            Err(error) if error.is_no_records_found() => {
                return Ok(Servers::Hosts(vec![domain.to_owned()]));
            }
            Err(error) => return Err(Unavailable(format!("looking up {domain}: {error}"))),
        };
        let mut servers = Vec::new();
        for record in found.answers() {
            if let RData::MX(mx) = &record.data {
                let host = mx.exchange.to_ascii().trim_end_matches('.').to_owned();
                let mut turn = DefaultHasher::new();
                (mail, &host).hash(&mut turn);
                servers.push((mx.preference, turn.finish(), host));
            }
        }
        servers.sort();
        if servers.len() == 1 && servers[0].2.is_empty() {
            return Ok(Servers::None { status: "5.1.10", why: "the domain takes no mail" });
        }
        let hosts: Vec<_> = servers.into_iter().map(|(.., host)| host).take(SERVERS_MAX).collect();
        Ok(Servers::Hosts(if hosts.is_empty() { vec![domain.to_owned()] } else { hosts }))
    }

    /// The addresses of a host, in the resolver's order.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Unavailable> {
        let found = self.resolver()?.lookup_ip(format!("{host}.")).await;
        let found = found.map_err(|error| Unavailable(format!("looking it up: {error}")))?;
        Ok(found.iter().collect())
    }

    pub(crate) async fn txt(&self, name: &str) -> Result<Vec<String>, Unavailable> {
        let found = match self.resolver()?.txt_lookup(format!("{name}.")).await {
            Ok(found) => found,
            Err(error) if error.is_no_records_found() || error.is_nx_domain() => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(Unavailable(format!("looking up {name}: {error}"))),
        };
        let texts = found.answers().iter().filter_map(|record| match &record.data {
            RData::TXT(txt) => {
                let bytes: Vec<u8> =
                    txt.txt_data.iter().flat_map(|piece| piece.iter().copied()).collect();
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            _ => None,
        });
        Ok(texts.collect())
    }
}

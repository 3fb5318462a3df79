//! Reaching foreign hosts.

use std::io::{self, ErrorKind};
use std::time::Duration;

use outbound::AddressClass;
use tokio::net::{TcpStream, lookup_host};

use crate::Foreign;
use crate::stream::Stream;

const DIAL_TIME: Duration = Duration::from_secs(30);

/// A connection to a foreign host, through the upstream proxy where there is one.
///
/// # Errors
/// `PermissionDenied` when this door does not let it through; else why it failed. The text
/// is for the client.
pub async fn dial(foreign: &Foreign, host: &str, port: u16) -> io::Result<Stream> {
    let connecting = async {
        match foreign {
            Foreign::Refuse => {
                Err(denied(format!("this door leads to Offhook only, not to {host}:{port}")))
            }
            Foreign::Pass { upstream: Some(proxy), offline: false } if proxy.carries(host) => {
                proxy.connect(host, port).await
            }
            Foreign::Pass { offline, .. } => {
                Ok(Stream::new("", direct(host, port, *offline).await?))
            }
        }
    };
    match tokio::time::timeout(DIAL_TIME, connecting).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ErrorKind::TimedOut.into()),
    }
}

/// The first address that answers. `offline`: public addresses are left out.
pub async fn direct(host: &str, port: u16, offline: bool) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, format!("{host} has no address"));
    for address in lookup_host((host, port)).await? {
        if offline && AddressClass::of(address.ip()) == AddressClass::Public {
            last = denied(format!("{host}:{port} is public, and this run is --offline"));
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn denied(why: String) -> io::Error {
    io::Error::new(ErrorKind::PermissionDenied, why)
}

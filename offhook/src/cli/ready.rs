//! `offhook ready`: whether the instance on this machine takes requests; for health checks of
//! containers, in whose image there is nothing else that could ask.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;

use super::client::Client;
use super::output::{outln, print_json};
use super::{Failure, Outcome};

const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Args)]
pub struct Ready {
    /// The address that the instance listens on
    #[arg(long, env = "OFFHOOK_LISTEN", default_value = "127.0.0.1:4010")]
    listen: SocketAddr,
}

pub async fn run(args: Ready, json: bool) -> Outcome {
    let mut address = args.listen;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let client = Client::find(Some(&format!("http://{address}")), std::path::Path::new(""))?;
    let asked = tokio::time::timeout(PATIENCE, client.page("/readyz")).await;
    let (status, body) = asked.map_err(|_| Failure(format!("{address} does not answer")))??;
    let said = body["status"].as_str().unwrap_or_default();
    if json {
        print_json(&body);
    } else {
        outln!("{said}");
    }
    match status.is_success() {
        true => Ok(()),
        false => Err(Failure(format!("{address} answered {status}"))),
    }
}

//! The instance behind the door: one that runs already, or one of our own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use authority::Authority;

use super::super::Failure;
use super::super::client::{Client, URL_FILE};
use crate::interception;
use crate::server::{self, Env, Running, Settings};

/// Where `offhook up` listens unless told otherwise.
const USUAL: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 4010);

pub struct Instance {
    pub env: Env,
    pub inside: Inside,
    url_file: Option<PathBuf>,
}

pub enum Inside {
    /// In this process.
    Here(Running),
    /// At this `host:port`.
    There(String),
}

impl Instance {
    /// The instance that was named; else the one on this data directory; else the one at the
    /// usual address; else a new one, as `offhook up` would start it.
    pub async fn find_or_start(
        url: Option<&str>,
        data: &Path,
        authority: &Arc<Authority>,
    ) -> Result<Self, Failure> {
        if let Some(url) = url {
            return Self::there(&Client::find(Some(url), data)?).await;
        }
        let usual = format!("http://{USUAL}");
        let known = [Client::find(None, data), Client::find(Some(&usual), data)];
        for client in known.into_iter().flatten() {
            if let Ok(found) = Self::there(&client).await {
                return Ok(found);
            }
        }
        let settings = |listen| Settings {
            authority: Some(authority.clone()),
            foreign: interception::foreign(listen),
            ..Settings::development(listen, data)
        };
        let running = match server::start(settings(USUAL)).await {
            Ok(running) => running,
            // Somebody else has the port.
            Err(_) => server::start(settings(([127, 0, 0, 1], 0).into())).await?,
        };
        let url_file = data.join(URL_FILE);
        std::fs::write(&url_file, &running.platform.url)?;
        let env = running.platform.env().await?;
        eprintln!("offhook: started {} (state in {})", env.url, data.display());
        Ok(Self { env, inside: Inside::Here(running), url_file: Some(url_file) })
    }

    async fn there(client: &Client) -> Result<Self, Failure> {
        let env = client.env().await?;
        let inside = Inside::There(client.authority().to_owned());
        Ok(Self { env, inside, url_file: None })
    }

    pub async fn stop(self) {
        if let Inside::Here(running) = self.inside {
            running.stop().await;
        }
        if let Some(file) = self.url_file {
            let _ = std::fs::remove_file(file);
        }
    }
}

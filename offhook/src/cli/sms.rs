//! `offhook sms`: send text messages as the main account.

use clap::Subcommand;
use http::Method;

use super::Outcome;
use super::client::Client;
use super::output::{cell, outln, print_json};

#[derive(Subcommand)]
pub enum Sms {
    /// Send one message
    Send {
        /// Recipient
        #[arg(long)]
        to: String,
        /// Sender; by default the account's number
        #[arg(long)]
        from: Option<String>,
        /// URL of a picture or other media; may be repeated
        #[arg(long)]
        media: Vec<String>,
        /// Text
        body: Option<String>,
    },
}

pub async fn run(args: Sms, client: &Client, json: bool) -> Outcome {
    let Sms::Send { to, from, media, body } = args;
    let from = match from {
        Some(from) => from,
        None => client.env().await?.phone_number,
    };
    let mut form = vec![("To", to), ("From", from)];
    form.extend(body.map(|body| ("Body", body)));
    form.extend(media.into_iter().map(|url| ("MediaUrl", url)));
    let message = client.rest(Method::POST, "/Messages.json", &form).await?;
    if json {
        print_json(&message);
    } else {
        outln!("{} {}", cell(&message, "sid"), cell(&message, "status"));
    }
    Ok(())
}

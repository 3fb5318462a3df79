//! `offhook env`: credentials and a number for programs.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::Outcome;
use super::client::Client;
use super::output::{outln, print_json};

#[derive(Args)]
pub struct Env {
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Shell)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For `eval "$(offhook env)"`
    Shell,
    /// For a .env file
    Dotenv,
    Json,
}

pub async fn run(args: Env, client: &Client, json: bool) -> Outcome {
    let env = client.env().await?;
    let pairs = [
        ("TWILIO_ACCOUNT_SID", &env.account_sid),
        ("TWILIO_AUTH_TOKEN", &env.auth_token),
        ("TWILIO_PHONE_NUMBER", &env.phone_number),
        ("OFFHOOK_URL", &env.url),
    ];
    if json || args.format == Format::Json {
        print_json(&json!(std::collections::BTreeMap::from(pairs)));
        return Ok(());
    }
    let prefix = if args.format == Format::Shell { "export " } else { "" };
    for (name, value) in pairs {
        // SIDs, tokens, numbers and a URL: nothing in them needs quoting.
        outln!("{prefix}{name}={value}");
    }
    Ok(())
}

//! `offhook env`: credentials and a number for programs, and how they are intercepted.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use intercept::Mode;
use intercept::environment::{self, Places};
use serde_json::json;

use super::Outcome;
use super::client::Client;
use super::output::{outln, print_json};
use crate::interception;

#[derive(Args)]
pub struct Env {
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Shell)]
    format: Format,
    /// Also the variables by which programs reach this instance unchanged
    #[arg(long)]
    intercept: bool,
    /// Only variables, no shims for Node, Python and PHP
    #[arg(long, requires = "intercept")]
    no_shims: bool,
    /// HOST:PORT at which the programs reach the instance; by default as this command does
    #[arg(long, requires = "intercept")]
    door: Option<String>,
    /// Write the files that the variables name into this directory
    #[arg(long, requires = "intercept")]
    into: Option<PathBuf>,
    /// Path under which the programs see that directory, in a container
    #[arg(long, requires = "into")]
    seen_at: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For `eval "$(offhook env)"`
    Shell,
    /// For a .env file, `docker run --env-file`, or `$GITHUB_ENV`
    Dotenv,
    /// `ENV` lines
    Dockerfile,
    Json,
}

pub async fn run(args: Env, client: &Client, json: bool) -> Outcome {
    let env = client.env().await?;
    let mut pairs = vec![
        ("TWILIO_ACCOUNT_SID", env.account_sid),
        ("TWILIO_AUTH_TOKEN", env.auth_token),
        ("TWILIO_PHONE_NUMBER", env.phone_number),
    ];
    let url = args.door.as_ref().map_or(env.url, |door| format!("http://{door}"));
    if args.intercept {
        let authority = interception::authority()?;
        let files = match &args.into {
            Some(into) => interception::export_files(&authority, into, args.seen_at.as_deref())?,
            None => interception::write_files(&authority)?,
        };
        let door = args.door.as_deref().unwrap_or(client.authority());
        let mode = if args.no_shims { Mode::Env } else { Mode::Portable };
        // What this shell has says nothing of a file for elsewhere.
        let here = args.format == Format::Shell;
        let existing = |name: &str| here.then(|| std::env::var(name).ok()).flatten();
        let places = Places { door, files: &files, url: &url };
        pairs.extend(environment::variables(mode, places, &existing));
    } else {
        pairs.push(("OFFHOOK_URL", url));
    }
    if json || args.format == Format::Json {
        print_json(&json!(std::collections::BTreeMap::from_iter(pairs)));
        return Ok(());
    }
    for (name, value) in pairs {
        match args.format {
            Format::Shell => outln!("export {name}={}", shell_quoted(&value)),
            Format::Dockerfile => outln!("ENV {name}={}", docker_quoted(&value)),
            Format::Dotenv | Format::Json => outln!("{name}={value}"),
        }
    }
    Ok(())
}

/// Plain text stays as it is; else single quotes, as every POSIX shell reads them.
fn shell_quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+-_./:,@%=".contains(c);
    if text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Dockerfile `ENV`: double quotes, in which backslash, quote and dollar are escaped.
fn docker_quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_a_shell_and_a_dockerfile() {
        assert_eq!(shell_quoted("http://127.0.0.1:4010"), "http://127.0.0.1:4010");
        assert_eq!(shell_quoted("a 'b' $c"), "'a '\\''b'\\'' $c'");
        assert_eq!(docker_quoted("--require \"/a\" $x"), "\"--require \\\"/a\\\" \\$x\"");
    }
}

//! `offhook user`: who may sign in to the console.

use std::io::{BufRead, IsTerminal};

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::output::{cell, outln, print_json, print_table};
use super::{Failure, Outcome};

#[derive(Subcommand)]
pub enum UserCommand {
    /// Add a user; the password is asked for, or read from standard input
    Add {
        /// The name to sign in with
        name: String,
        /// owner, developer, support, billing or auditor
        #[arg(long)]
        role: String,
    },
    /// List the users and their roles
    List,
    /// Remove a user, and end the user's sessions
    Remove {
        /// The name
        name: String,
    },
    /// Give another role, and end the user's sessions
    Role {
        /// The name
        name: String,
        /// owner, developer, support, billing or auditor
        role: String,
    },
    /// Give a new password, and end the user's sessions
    Password {
        /// The name
        name: String,
    },
}

pub async fn run(args: UserCommand, client: &Client, as_json: bool) -> Outcome {
    match args {
        UserCommand::Add { name, role } => {
            let body = json!({"name": name, "role": role, "password": password()?});
            let added = client.own(Method::POST, "/users", Some(body)).await?;
            said(&added, as_json, &format!("{name} may sign in as {role}"));
        }
        UserCommand::List => {
            let found = client.own(Method::GET, "/users", None).await?;
            if as_json {
                print_json(&found);
                return Ok(());
            }
            let rows = found["users"].as_array().into_iter().flatten();
            let row = |one| vec![cell(one, "name"), cell(one, "role"), cell(one, "date_created")];
            print_table(&["NAME", "ROLE", "SINCE"], &rows.map(row).collect::<Vec<_>>());
        }
        UserCommand::Remove { name } => {
            client.own(Method::DELETE, &at(&name), None).await?;
            said(&json!({"name": name}), as_json, &format!("{name} is removed"));
        }
        UserCommand::Role { name, role } => {
            let changed = client.own(Method::PUT, &at(&name), Some(json!({"role": role}))).await?;
            said(&changed, as_json, &format!("{name} is {role}, and has to sign in again"));
        }
        UserCommand::Password { name } => {
            let body = json!({"password": password()?});
            let changed = client.own(Method::PUT, &at(&name), Some(body)).await?;
            said(&changed, as_json, &format!("{name} has to sign in again"));
        }
    }
    Ok(())
}

fn at(name: &str) -> String {
    let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    format!("/users/{name}")
}

fn said(value: &Value, as_json: bool, words: &str) {
    match as_json {
        true => print_json(value),
        false => outln!("{words}"),
    }
}

/// A password from the terminal, which does not show it, or a line of standard input.
fn password() -> Result<String, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        let mut line = String::new();
        stdin.lock().read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let once = hidden("Password: ")?;
    if once != hidden("Again: ")? {
        return Err(Failure("the two are not the same".to_owned()));
    }
    Ok(once)
}

/// A line that is typed without being shown.
#[cfg(unix)]
fn hidden(prompt: &str) -> Result<String, Failure> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

    eprint!("{prompt}");
    let stdin = std::io::stdin();
    let usual = tcgetattr(&stdin)?;
    let mut silent = usual.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Flush, &usual)?;
    eprintln!();
    read?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Where a terminal cannot be told to be silent, a password comes by standard input.
#[cfg(not(unix))]
fn hidden(_: &str) -> Result<String, Failure> {
    Err(Failure("give the password on standard input: it would be shown here".to_owned()))
}

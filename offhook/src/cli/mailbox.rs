//! `offhook mailbox`: the simulated mailboxes.

use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::Outcome;
use super::client::Client;
use super::output::{cell, outln, print_json, print_table};

#[derive(Subcommand)]
pub enum MailboxCommand {
    /// List the mailboxes that have mail or were set
    List,
    /// Show the mail of an address, newest first
    Show {
        /// The address
        address: String,
        /// Mails to show
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Tell a mailbox how to behave
    Set {
        /// The address
        address: String,
        /// delivers, bounces, blocks, defers, spam, opens, clicks or unsubscribes
        behaviour: String,
    },
    /// Do something with a mail, as its reader
    React {
        /// The address
        address: String,
        /// The mail's id, as `show` prints it
        id: String,
        /// open, click, unsubscribe, spam or bounce
        reaction: String,
    },
    /// Write a mail to an address that takes mail here
    Write {
        /// Who writes
        address: String,
        /// Whom to write to
        #[arg(long)]
        to: String,
        /// Subject
        #[arg(long, default_value = "")]
        subject: String,
        /// Text
        text: String,
    },
}

pub async fn run(args: MailboxCommand, client: &Client, json: bool) -> Outcome {
    match args {
        MailboxCommand::List => {
            let found = client.own(Method::GET, "/mailboxes", None).await?;
            if json {
                print_json(&found);
                return Ok(());
            }
            let rows = found["mailboxes"].as_array().into_iter().flatten();
            let rows = rows.map(|one| vec![cell(one, "address"), cell(one, "behaviour")]);
            print_table(&["ADDRESS", "BEHAVIOUR"], &rows.collect::<Vec<_>>());
        }
        MailboxCommand::Show { address, limit } => {
            let path = format!("/mailboxes/{address}/mails?limit={limit}");
            show(&client.own(Method::GET, &path, None).await?, json);
        }
        MailboxCommand::Set { address, behaviour } => {
            let body = json!({"behaviour": behaviour});
            let path = format!("/mailboxes/{address}");
            let set = client.own(Method::PUT, &path, Some(body)).await?;
            said(&set, json, &format!("{address} {behaviour}"));
        }
        MailboxCommand::React { address, id, reaction } => {
            let path = format!("/mailboxes/{address}/mails/{id}/{reaction}");
            let done = client.own(Method::POST, &path, None).await?;
            said(&done, json, &format!("{reaction}: {id}"));
        }
        MailboxCommand::Write { address, to, subject, text } => {
            let body = json!({"to": to, "subject": subject, "text": text});
            let path = format!("/mailboxes/{address}/mails");
            let sent = client.own(Method::POST, &path, Some(body)).await?;
            said(&sent, json, &format!("written to {to}"));
        }
    }
    Ok(())
}

fn said(answer: &Value, json: bool, words: &str) {
    if json {
        print_json(answer);
    } else {
        outln!("{words}");
    }
}

fn show(found: &Value, json: bool) {
    if json {
        return print_json(found);
    }
    for mail in found["mails"].as_array().into_iter().flatten() {
        outln!("{}  {}", cell(mail, "at"), cell(mail, "id"));
        outln!("From: {}\nSubject: {}", cell(mail, "from"), cell(mail, "subject"));
        for file in mail["files"].as_array().into_iter().flatten() {
            outln!("File: {} ({} bytes)", cell(file, "filename"), file["size"]);
        }
        outln!("\n{}\n", mail["text"].as_str().unwrap_or_default());
    }
}

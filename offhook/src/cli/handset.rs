//! `offhook handset`: the simulated phones.

use std::path::{Path, PathBuf};

use base64::Engine;
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::output::{cell, cut, outln, print_json, print_table};
use super::{Failure, Outcome};

#[derive(Subcommand)]
pub enum HandsetCommand {
    /// List the phones that were used or set
    List,
    /// Show a phone and its messages, newest first
    Show {
        /// The phone's number
        number: String,
        /// Messages to show
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Type a message on a phone
    Send {
        /// The phone's number
        number: String,
        /// Whom to text, such as whatsapp:+14155550100; by default the main account's number
        #[arg(long)]
        to: Option<String>,
        /// File to attach; may be repeated
        #[arg(long)]
        attach: Vec<PathBuf>,
        /// Id of a button to tap; the text is its title
        #[arg(long)]
        button: Option<String>,
        /// Id of a list's row to choose; the text is its title
        #[arg(long, conflicts_with = "button")]
        row: Option<String>,
        /// Text
        #[arg(default_value = "")]
        body: String,
    },
    /// Call a number from a phone
    Call {
        /// The phone's number
        number: String,
        /// Whom to call; by default the main account's number
        to: Option<String>,
    },
    /// Answer the call that rings on a phone
    Answer {
        /// The phone's number
        number: String,
    },
    /// Decline the call that rings on a phone
    Reject {
        /// The phone's number
        number: String,
    },
    /// Hang up
    Hangup {
        /// The phone's number
        number: String,
    },
    /// Press keys during a call
    Press {
        /// The phone's number
        number: String,
        /// 0-9, * and #
        digits: String,
    },
    /// Say something during a call
    Speak {
        /// The phone's number
        number: String,
        /// A sentence
        text: String,
    },
    /// Look at a phone: what came by WhatsApp is read
    Read {
        /// The phone's number
        number: String,
    },
    /// Tell a phone how to behave
    Set {
        /// The phone's number
        number: String,
        /// on, off, landline, unknown, full, slow, filtered or silent
        behaviour: Option<String>,
        /// A name for the phone
        #[arg(long)]
        name: Option<String>,
        /// What it does when it is called: answer, ring, busy or reject
        #[arg(long)]
        when_called: Option<String>,
        /// Milliseconds it rings before somebody answers
        #[arg(long)]
        answers_after_ms: Option<u64>,
        /// Who answers: human, machine or fax
        #[arg(long)]
        answered_by: Option<String>,
    },
}

pub async fn run(args: HandsetCommand, client: &Client, json: bool) -> Outcome {
    match args {
        HandsetCommand::List => list(client, json).await,
        HandsetCommand::Show { number, limit } => show(client, json, &number, limit).await,
        HandsetCommand::Read { number } => {
            let path = format!("/handsets/{number}/read");
            let seen = client.own(Method::POST, &path, None).await?;
            if json {
                print_json(&seen);
            } else {
                outln!("{} read", seen["read"]);
            }
            Ok(())
        }
        HandsetCommand::Send { number, to, attach, button, row, body } => {
            let to = match to {
                Some(to) => to,
                None => client.env().await?.phone_number,
            };
            let media: Result<Vec<Value>, Failure> = attach.iter().map(|p| attachment(p)).collect();
            let typed =
                json!({"to": to, "body": body, "media": media?, "button": button, "row": row});
            let path = format!("/handsets/{number}/messages");
            let sent = client.own(Method::POST, &path, Some(typed)).await?;
            if json {
                print_json(&sent);
            } else {
                outln!("{} to {}", cell(&sent, "sid"), cell(&sent, "to"));
            }
            Ok(())
        }
        HandsetCommand::Call { number, to } => {
            let path = format!("/handsets/{number}/calls");
            let call = client.own(Method::POST, &path, Some(json!({"to": to}))).await?;
            print_call(&call, json);
            Ok(())
        }
        HandsetCommand::Answer { number } => deed(client, json, &number, "answer", None).await,
        HandsetCommand::Reject { number } => deed(client, json, &number, "reject", None).await,
        HandsetCommand::Hangup { number } => deed(client, json, &number, "hangup", None).await,
        HandsetCommand::Press { number, digits } => {
            deed(client, json, &number, "digits", Some(json!({"digits": digits}))).await
        }
        HandsetCommand::Speak { number, text } => {
            deed(client, json, &number, "speak", Some(json!({"text": text}))).await
        }
        HandsetCommand::Set {
            number,
            behaviour,
            name,
            when_called,
            answers_after_ms,
            answered_by,
        } => {
            let mut change = serde_json::Map::new();
            change.extend(behaviour.map(|value| ("behaviour".to_owned(), value.into())));
            change.extend(name.map(|value| ("name".to_owned(), value.into())));
            change.extend(when_called.map(|value| ("when_called".to_owned(), value.into())));
            change.extend(answers_after_ms.map(|ms| ("answers_after_ms".to_owned(), ms.into())));
            change.extend(answered_by.map(|value| ("answered_by".to_owned(), value.into())));
            let path = format!("/handsets/{number}");
            let handset = client.own(Method::PUT, &path, Some(change.into())).await?;
            print_handset(&handset, json);
            Ok(())
        }
    }
}

/// The WhatsApp sandbox of an account.
pub async fn sandbox(account: Option<String>, client: &Client, json: bool) -> Outcome {
    let query = account.map(|sid| format!("?account_sid={sid}")).unwrap_or_default();
    let sandbox = client.own(Method::GET, &format!("/sandbox{query}"), None).await?;
    if json {
        print_json(&sandbox);
    } else {
        outln!("{}: send \"{}\"", cell(&sandbox, "number"), cell(&sandbox, "join"));
    }
    Ok(())
}

async fn list(client: &Client, json: bool) -> Outcome {
    let answer = client.own(Method::GET, "/handsets", None).await?;
    if json {
        print_json(&answer);
        return Ok(());
    }
    let row = |handset: &Value| {
        vec![cell(handset, "number"), cell(handset, "behaviour"), cell(handset, "name")]
    };
    let rows: Vec<_> = answer["handsets"].as_array().into_iter().flatten().map(row).collect();
    print_table(&["NUMBER", "BEHAVIOUR", "NAME"], &rows);
    Ok(())
}

async fn show(client: &Client, json: bool, number: &str, limit: u32) -> Outcome {
    let handset = client.own(Method::GET, &format!("/handsets/{number}"), None).await?;
    let path = format!("/handsets/{number}/messages?limit={limit}");
    let thread = client.own(Method::GET, &path, None).await?;
    let calls = client.own(Method::GET, &format!("/handsets/{number}/calls"), None).await?;
    if json {
        let all = json!({
            "handset": handset,
            "messages": thread["messages"],
            "calls": calls["calls"],
        });
        print_json(&all);
        return Ok(());
    }
    print_handset(&handset, false);
    let row = |line: &Value| {
        let mut body = cell(line, "body");
        for media in line["media"].as_array().into_iter().flatten() {
            body.push_str(&format!(" [{}]", media.as_str().unwrap_or_default()));
        }
        for button in line["rich"]["buttons"].as_array().into_iter().flatten() {
            body.push_str(&format!(" ({})", cell(button, "title")));
        }
        for row in line["rich"]["list"]["rows"].as_array().into_iter().flatten() {
            body.push_str(&format!(" ▸ {}", cell(row, "title")));
        }
        let arrow = if line["direction"] == "sent" { "→" } else { "←" };
        vec![cell(line, "at"), format!("{arrow} {}", cell(line, "peer")), cut(&body, 100)]
    };
    let rows: Vec<_> = thread["messages"].as_array().into_iter().flatten().map(row).collect();
    if !rows.is_empty() {
        print_table(&["AT", "PEER", "TEXT"], &rows);
    }
    for call in calls["calls"].as_array().into_iter().flatten() {
        print_call(call, false);
        for line in call["heard"].as_array().into_iter().flatten() {
            let cut = if line["cut"] == true { " …" } else { "" };
            let text = cut_text(line);
            outln!("    {}  {} {text}{cut}", cell(line, "at"), cell(line, "sound"));
        }
    }
    Ok(())
}

fn cut_text(line: &Value) -> String {
    cut(&cell(line, "text"), 100)
}

/// What somebody does with the call that a phone is in.
async fn deed(
    client: &Client,
    json: bool,
    number: &str,
    what: &str,
    body: Option<Value>,
) -> Outcome {
    let path = format!("/handsets/{number}/{what}");
    let call = client.own(Method::POST, &path, body).await?;
    print_call(&call, json);
    Ok(())
}

fn print_call(call: &Value, json: bool) {
    if json {
        print_json(call);
        return;
    }
    let arrow = if call["direction"] == "outgoing" { "→" } else { "←" };
    outln!("{} {arrow} {} is {}", cell(call, "sid"), cell(call, "peer"), cell(call, "status"));
}

fn print_handset(handset: &Value, json: bool) {
    if json {
        print_json(handset);
        return;
    }
    let name = cell(handset, "name");
    let name = if name.is_empty() { String::new() } else { format!(" ({name})") };
    let answers = match cell(handset, "when_called").as_str() {
        "" | "answer" => format!("a {} answers", cell(handset, "answered_by")),
        "ring" => "rings until it is told to answer".to_owned(),
        "busy" => "is busy when it is called".to_owned(),
        _ => "declines calls".to_owned(),
    };
    let (number, behaviour) = (cell(handset, "number"), cell(handset, "behaviour"));
    outln!("{number}{name} is {behaviour}; {answers}");
}

/// A file with the content type its name suggests.
fn attachment(path: &Path) -> Result<Value, Failure> {
    let bytes =
        std::fs::read(path).map_err(|error| Failure(format!("{}: {error}", path.display())))?;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let content_type = match extension.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "mp3" => "audio/mpeg",
        "mp4" => "video/mp4",
        "pdf" => "application/pdf",
        "vcf" => "text/vcard",
        "txt" => "text/plain",
        _ => "application/octet-stream",
    };
    let data = base64::engine::general_purpose::STANDARD.encode(bytes);
    Ok(json!({"content_type": content_type, "data": data}))
}

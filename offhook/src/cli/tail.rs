//! `offhook tail`: everything as it happens.

use clap::Args;
use http_body_util::BodyExt;
use serde_json::Value;

use super::client::Client;
use super::output::{cell, cut, outln};
use super::{Failure, Outcome};

#[derive(Args)]
pub struct Tail {
    /// Begin behind this event instead of now; 0 shows all
    #[arg(long)]
    after: Option<i64>,
    /// Stop after this many events
    #[arg(long)]
    count: Option<u64>,
    /// Only kinds that begin with this, such as message or webhook
    #[arg(long)]
    kind: Option<String>,
}

pub async fn run(args: Tail, client: &Client, json: bool) -> Outcome {
    let query = args.after.map_or_else(String::new, |after| format!("?after={after}"));
    let mut body = client.stream(&format!("/events/stream{query}")).await?.into_body();
    let mut buffer = Vec::new();
    let mut shown = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure(format!("the stream broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        buffer.extend_from_slice(&data);
        while let Some(end) = buffer.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let Some(data) = line.trim_end().strip_prefix("data: ") else { continue };
            let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
            let kind = cell(&event, "kind");
            if args.kind.as_deref().is_some_and(|prefix| !kind.starts_with(prefix)) {
                continue;
            }
            if json {
                outln!("{event}");
            } else {
                print_line(&event, &kind);
            }
            shown += 1;
            if args.count == Some(shown) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn print_line(event: &Value, kind: &str) {
    let data = &event["data"];
    let what = match kind {
        "webhook" => format!(
            "{} {} → {}",
            cell(data, "method"),
            cell(data, "url"),
            match &data["status"] {
                Value::Null => cell(data, "error"),
                status => status.to_string(),
            }
        ),
        "alert" => format!("{} {}", cell(data, "code"), cell(data, "message")),
        _ if kind.starts_with("message.") => {
            format!("{} → {}  {}", cell(data, "from"), cell(data, "to"), cell(data, "body"))
        }
        _ => String::new(),
    };
    outln!("{}  {kind:<22} {}  {}", cell(event, "at"), cell(event, "sid"), cut(&what, 110));
}

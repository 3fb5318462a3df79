//! `offhook messages`: the account's messages, newest first.

use clap::Args;
use http::Method;
use serde_json::Value;

use super::Outcome;
use super::client::Client;
use super::output::{cell, cut, print_json, print_table};

#[derive(Args)]
pub struct Messages {
    /// Only messages to this address
    #[arg(long)]
    to: Option<String>,
    /// Only messages from this address
    #[arg(long)]
    from: Option<String>,
    /// How many
    #[arg(long, default_value_t = 20)]
    limit: u32,
}

pub async fn run(args: Messages, client: &Client, json: bool) -> Outcome {
    let mut form = vec![("PageSize", args.limit.to_string())];
    form.extend(args.to.map(|to| ("To", to)));
    form.extend(args.from.map(|from| ("From", from)));
    let answer = client.rest(Method::GET, "/Messages.json", &form).await?;
    if json {
        print_json(&answer);
        return Ok(());
    }
    let row = |message: &Value| {
        let status = match &message["error_code"] {
            Value::Null => cell(message, "status"),
            code => format!("{} {code}", cell(message, "status")),
        };
        vec![
            cell(message, "date_created"),
            cell(message, "from"),
            cell(message, "to"),
            status,
            cut(&cell(message, "body"), 60),
        ]
    };
    let rows: Vec<_> = answer["messages"].as_array().into_iter().flatten().map(row).collect();
    print_table(&["CREATED", "FROM", "TO", "STATUS", "TEXT"], &rows);
    Ok(())
}

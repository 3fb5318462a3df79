//! `offhook clock`: see and move the platform's time.

use clap::Subcommand;
use http::Method;
use serde_json::json;

use super::client::Client;
use super::output::{cell, outln, print_json};
use super::{Failure, Outcome};

#[derive(Subcommand)]
pub enum ClockCommand {
    /// What time it is there
    Show,
    /// Move forward by a span such as 90s, 15m, 25h or 35d
    Advance {
        /// The span
        span: String,
    },
    /// Jump to a moment such as 2030-01-01T00:00:00Z
    Set {
        /// The moment
        at: String,
    },
    /// Back to the wall clock
    Resume,
}

pub async fn run(args: ClockCommand, client: &Client, json: bool) -> Outcome {
    let body = match args {
        ClockCommand::Show => None,
        ClockCommand::Advance { span } => Some(json!({"advance_seconds": seconds(&span)?})),
        ClockCommand::Set { at } => Some(json!({"set": at})),
        ClockCommand::Resume => Some(json!({"resume": true})),
    };
    let method = if body.is_some() { Method::POST } else { Method::GET };
    let clock = client.own(method, "/clock", body).await?;
    if json {
        print_json(&clock);
    } else {
        outln!("{} (moved by {} s)", cell(&clock, "now"), cell(&clock, "offset_seconds"));
    }
    Ok(())
}

/// Seconds of a span: a number and s, m, h or d, which may be strung together.
fn seconds(span: &str) -> Result<f64, Failure> {
    let wrong = || Failure(format!("'{span}' is no span: use 90s, 15m, 25h, 35d or 1h30m"));
    let mut total = 0.0;
    let mut number = String::new();
    for letter in span.chars() {
        let unit = match letter {
            's' => 1.0,
            'm' => 60.0,
            'h' => 3_600.0,
            'd' => 86_400.0,
            '0'..='9' | '.' => {
                number.push(letter);
                continue;
            }
            _ => return Err(wrong()),
        };
        total += number.parse::<f64>().map_err(|_| wrong())? * unit;
        number.clear();
    }
    if number.is_empty() && !span.is_empty() { Ok(total) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_nonsense_refused() {
        let spans = [("90s", 90.0), ("25h", 90_000.0), ("1h30m", 5_400.0), ("0.5d", 43_200.0)];
        for (span, wanted) in spans {
            assert!(seconds(span).is_ok_and(|s| s == wanted), "{span}");
        }
        for bad in ["", "5", "h", "5w", "1h5"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}

//! `offhook number`: numbers of the main account.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::client::Client;
use super::output::{cell, outln, print_json, print_table};
use super::{Failure, Outcome};

#[derive(Subcommand)]
pub enum Number {
    /// List the account's numbers
    List,
    /// Search numbers that can be bought
    Search {
        /// ISO country
        #[arg(long, default_value = "US")]
        country: String,
        /// Local, Mobile, TollFree …
        #[arg(long = "type", default_value = "Local")]
        kind: String,
        /// Digits or letters the number contains
        #[arg(long)]
        contains: Option<String>,
    },
    /// Buy a number
    Buy {
        /// The number in E.164
        number: String,
        #[command(flatten)]
        urls: Urls,
    },
    /// Change where a number's messages go
    Set {
        /// The number in E.164
        number: String,
        #[command(flatten)]
        urls: Urls,
    },
    /// Give a number back
    Release {
        /// The number in E.164
        number: String,
    },
    /// Give the account a short code of 3 to 6 digits
    AddShortCode {
        /// The code
        code: String,
    },
}

#[derive(Args)]
pub struct Urls {
    /// Webhook of inbound messages; empty clears it
    #[arg(long)]
    sms_url: Option<String>,
    /// GET or POST
    #[arg(long)]
    sms_method: Option<String>,
    /// Asked when the webhook fails
    #[arg(long)]
    sms_fallback_url: Option<String>,
    /// A name for the number
    #[arg(long)]
    name: Option<String>,
}

impl Urls {
    fn form(self) -> Vec<(&'static str, String)> {
        let pairs = [
            ("SmsUrl", self.sms_url),
            ("SmsMethod", self.sms_method),
            ("SmsFallbackUrl", self.sms_fallback_url),
            ("FriendlyName", self.name),
        ];
        pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

pub async fn run(args: Number, client: &Client, json: bool) -> Outcome {
    match args {
        Number::List => {
            let form = [("PageSize", "1000".to_owned())];
            let answer = client.rest(Method::GET, "/IncomingPhoneNumbers.json", &form).await?;
            print_numbers(&answer, "incoming_phone_numbers", json, "sms_url", "WEBHOOK");
        }
        Number::Search { country, kind, contains } => {
            let path = format!("/AvailablePhoneNumbers/{country}/{kind}.json");
            let form: Vec<_> = contains.map(|value| ("Contains", value)).into_iter().collect();
            let answer = client.rest(Method::GET, &path, &form).await?;
            print_numbers(&answer, "available_phone_numbers", json, "locality", "LOCALITY");
        }
        Number::Buy { number, urls } => {
            let mut form = urls.form();
            form.push(("PhoneNumber", number));
            let bought = client.rest(Method::POST, "/IncomingPhoneNumbers.json", &form).await?;
            print_number(&bought, json);
        }
        Number::Set { number, urls } => {
            let path = format!("/IncomingPhoneNumbers/{}.json", find(client, &number).await?);
            print_number(&client.rest(Method::POST, &path, &urls.form()).await?, json);
        }
        Number::Release { number } => {
            let path = format!("/IncomingPhoneNumbers/{}.json", find(client, &number).await?);
            client.rest(Method::DELETE, &path, &[]).await?;
            outln!("{number} is released");
        }
        Number::AddShortCode { code } => {
            let body = json!({"short_code": code});
            let added = client.own(Method::POST, "/short-codes", Some(body)).await?;
            if json {
                print_json(&added);
            } else {
                outln!("{} {}", cell(&added, "sid"), cell(&added, "short_code"));
            }
        }
    }
    Ok(())
}

/// The SID of one of the account's numbers.
async fn find(client: &Client, number: &str) -> Result<String, Failure> {
    let form = [("PhoneNumber", number.to_owned())];
    let answer = client.rest(Method::GET, "/IncomingPhoneNumbers.json", &form).await?;
    let mut found = answer["incoming_phone_numbers"].as_array().into_iter().flatten();
    let sid = found.find(|doc| doc["phone_number"] == number).map(|doc| cell(doc, "sid"));
    sid.ok_or_else(|| Failure(format!("{number} is not a number of the account")))
}

fn print_number(number: &Value, json: bool) {
    if json {
        print_json(number);
    } else {
        let (sid, digits) = (cell(number, "sid"), cell(number, "phone_number"));
        outln!("{sid} {digits} {}", cell(number, "sms_url"));
    }
}

fn print_numbers(answer: &Value, key: &str, json: bool, last: &str, title: &str) {
    if json {
        print_json(answer);
        return;
    }
    let row = |number: &Value| {
        vec![cell(number, "phone_number"), cell(number, "friendly_name"), cell(number, last)]
    };
    let rows: Vec<_> = answer[key].as_array().into_iter().flatten().map(row).collect();
    print_table(&["NUMBER", "NAME", title], &rows);
}

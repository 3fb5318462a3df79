//! The networks beside the simulated one as they are now: where they lead and whether they are up.
//! Secrets are never among it.

use axum::Json;
use axum::extract::State;
use routes::Share;
use serde_json::{Value, json};

use super::Platform;
use super::api::{App, Refusal};

/// Networks and routes.
pub async fn show(State(app): State<App>) -> Json<Value> {
    let routes = app.config.routes.iter().map(|route| {
        let carriers = route.carriers.iter().map(|share| match share {
            Share::Name(name) => json!({"name": name}),
            Share::Part { name, share } => json!({"name": name, "share": share}),
        });
        json!({"to": route.to, "from": route.from, "carriers": carriers.collect::<Vec<_>>()})
    });
    Json(json!({ "networks": networks(&app), "routes": routes.collect::<Vec<_>>() }))
}

fn entry(kind: &str, name: &str, what: String, state: String, is_up: bool) -> Value {
    json!({"kind": kind, "name": name, "what": what, "state": state, "up": is_up})
}

fn joined(all: impl Iterator<Item = String>) -> String {
    let all: Vec<_> = all.collect();
    if all.is_empty() { "nowhere".to_owned() } else { all.join(", ") }
}

fn networks(app: &Platform) -> Vec<Value> {
    let config = &app.config.carriers;
    let phones = "simulated phones and mailboxes".to_owned();
    let mut all = vec![entry("sim", "sim", phones, "up".to_owned(), true)];
    if let (Some(smpp), Some(known)) = (&config.smpp, &app.smpp) {
        let states = known.binds();
        for bind in &smpp.binds {
            let found = states.iter().find(|(name, _)| *name == bind.name);
            let connections = found.map_or(0, |(_, connections)| *connections);
            let mode = format!("{:?}", bind.mode).to_lowercase();
            let what = format!("{} of {}:{} as {}", mode, bind.host, bind.port, bind.system_id);
            let state = match connections {
                0 => "no connection may submit".to_owned(),
                count => format!("{count} of {} connections submit", bind.connections),
            };
            all.push(entry("smpp", &bind.name, what, state, connections > 0));
        }
        for listener in &smpp.listeners {
            let what = format!("applications bind to {}", listener.listen);
            all.push(entry("smpp", &listener.system_id, what, "configured".to_owned(), true));
        }
        for application in &app.config.applications {
            let what = format!("application of {}", application.account_sid);
            all.push(entry("smpp", &application.system_id, what, "configured".to_owned(), true));
        }
    }
    if let Some(twilio) = &config.twilio {
        let what = format!("account {} at {}", twilio.account_sid, twilio.base_url);
        all.push(entry("twilio", "twilio", what, "configured".to_owned(), true));
    }
    if let Some(whatsapp) = &config.whatsapp {
        let what = joined(whatsapp.numbers.iter().map(|number| number.number.clone()));
        all.push(entry("whatsapp", "whatsapp", what, "configured".to_owned(), true));
    }
    if let Some(smtp) = &app.smtp {
        let what = match smtp.delivers() {
            true => "mail leaves this platform".to_owned(),
            false => "mail goes to simulated mailboxes".to_owned(),
        };
        let local = smtp.local();
        let state = local.map_or("no listener here".to_owned(), |at| format!("listens on {at}"));
        all.push(entry("smtp", "smtp", what, state, true));
    }
    if let Some(sip) = &app.sip {
        let listening = sip.listening();
        let state = format!("listens on {}", joined(listening.iter().map(ToString::to_string)));
        let what = "telephones and trunks".to_owned();
        all.push(entry("sip", "sip", what, state, !listening.is_empty()));
    }
    for trunk in config.sip.iter().flat_map(|sip| &sip.trunks) {
        let what = format!("trunk to {}", joined(trunk.hosts.iter().cloned()));
        let state = if trunk.register { "registers" } else { "configured" };
        all.push(entry("sip", &trunk.name, what, state.to_owned(), true));
    }
    all
}

/// The share of the latest messages of each sender that arrived; of those who sent enough of them.
pub async fn delivery_rates(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    let rates = app.messaging.delivery_rates().into_iter().map(|(account, sender, share)| {
        json!({"account_sid": account, "sender": sender, "share": share})
    });
    Ok(Json(json!({ "delivery_rates": rates.collect::<Vec<_>>() })))
}

//! The networks beside the simulated one as they are now: where they lead and whether they are up.
//! Secrets are never among it.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use contracts::{HOMES_OF_CLIENTS, client_of_home};
use kernel::Sid;
use routes::Share;
use serde_json::{Value, json};
use sip_carrier::TrunkState;

use super::Platform;
use super::api::{App, Refusal, unavailable};

/// Telephones that are shown.
const REGISTERED_MAX: u32 = 1000;

/// Networks and routes.
pub async fn show(State(app): State<App>) -> Result<Json<Value>, Refusal> {
    let routes = app.config.routes.iter().map(|route| {
        let carriers = route.carriers.iter().map(|share| match share {
            Share::Name(name) => json!({"name": name}),
            Share::Part { name, share } => json!({"name": name, "share": share}),
        });
        json!({"to": route.to, "from": route.from, "carriers": carriers.collect::<Vec<_>>()})
    });
    Ok(Json(json!({
        "networks": networks(&app),
        "registered": registered(&app).await?,
        "routes": routes.collect::<Vec<_>>(),
    })))
}

/// Who can be reached here now because they said so: telephones, pages and applications.
async fn registered(app: &Platform) -> Result<Vec<Value>, Refusal> {
    let mut all = Vec::new();
    if let Some(sip) = &app.sip {
        for phone in sip.telephones(REGISTERED_MAX).await.map_err(unavailable)? {
            let what = format!("{} from {}", phone.transport, phone.address);
            let expires = Some(phone.expires.iso8601());
            all.push(json!({"kind": "sip", "name": phone.user, "what": what,
                "of": phone.domain, "expires": expires}));
        }
    }
    for ((account, name), pages) in pages(app).await? {
        all.push(json!({"kind": "browser", "name": name, "what": counted(pages, "page"),
            "of": account, "expires": null}));
    }
    if let Some(smpp) = &app.smpp {
        for (name, sessions) in smpp.bound().await {
            let what = counted(sessions as usize, "session");
            all.push(json!({"kind": "smpp", "name": name, "what": what,
                "of": null, "expires": null}));
        }
    }
    Ok(all)
}

/// Pages by the names under which they are called, on whichever node.
async fn pages(app: &Platform) -> Result<BTreeMap<(Sid, String), usize>, Refusal> {
    if app.leases.is_alone() {
        return Ok(app.clients.registered());
    }
    let mut all = BTreeMap::new();
    let homes = app.leases.latest(HOMES_OF_CLIENTS, REGISTERED_MAX).await;
    let homes = homes.map_err(unavailable)?;
    for client in homes.iter().filter_map(|home| client_of_home(home)) {
        *all.entry(client).or_default() += 1;
    }
    Ok(all)
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Whether we are registered at a trunk that wants that.
fn trunk(state: Option<TrunkState>) -> (String, bool) {
    match state {
        None => ("configured".to_owned(), true),
        Some(TrunkState::Asked) => ("registers; no answer yet".to_owned(), false),
        Some(TrunkState::Registered { until }) => {
            (format!("registered until {}", until.iso8601()), true)
        }
        Some(TrunkState::Refused(code)) => (format!("refuses our registration: {code}"), false),
        Some(TrunkState::Silent) => ("does not answer our registration".to_owned(), false),
    }
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
        let known = app.sip.as_ref().and_then(|sip| sip.trunk_state(&trunk.name));
        let (mut state, mut is_up) = self::trunk(known);
        let silent = app.sip.as_ref().map(|sip| sip.silent_hosts()).unwrap_or_default();
        let silent: Vec<&String> = trunk.hosts.iter().filter(|at| silent.contains(at)).collect();
        if !silent.is_empty() {
            is_up &= silent.len() < trunk.hosts.len();
            let hosts = joined(silent.into_iter().cloned());
            state = format!("{state}; {hosts} does not answer OPTIONS");
        }
        all.push(entry("sip", &trunk.name, what, state, is_up));
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

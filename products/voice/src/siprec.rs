//! SIPREC: a call's sound for a recorder of the operator's, started by documents or the API
//! (voice-api §12).
//!
//! Differs: a connector is one of the operator's configuration; there is no console to install one.

use contracts::{Order, SiprecSetup, StreamNews, Tracks};
use jobs::Failure;
use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Op, Param, Reply, Resource, Table};
use serde::{Deserialize, Serialize};
use twiml::voice::{Element, Params};
use webhooks::Callback;

use crate::act::Act;
use crate::call::{Call, Hook};
use crate::conference::method;
use crate::letter::What;
use crate::{Voice, along};

const KIND: &str = "Siprec";
/// Of one call at once.
const SESSIONS_MAX: usize = 4;

/// What a session with a recorder was started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SiprecPlan {
    pub sid: Sid,
    /// Unique on its call: its SID unless it was named.
    pub name: String,
    connector: String,
    tracks: Tracks,
    parameters: Vec<(String, String)>,
    callback: Option<Hook>,
}

fn tracks(text: Option<&str>) -> Tracks {
    match text {
        Some("inbound_track") => Tracks::Inbound,
        Some("outbound_track") => Tracks::Outbound,
        _ => Tracks::Dual,
    }
}

/// Why a session cannot be added to those that run.
fn refusal(connectors: &[String], running: &[SiprecPlan], plan: &SiprecPlan) -> Option<String> {
    let name = &plan.connector;
    if !connectors.contains(name) {
        return Some(format!("ConnectorName: no SIPREC connector '{name}' is configured"));
    }
    if running.len() >= SESSIONS_MAX {
        return Some(format!("a call has {SESSIONS_MAX} SIPREC sessions at most"));
    }
    let is_taken = running.iter().any(|known| known.name == plan.name);
    is_taken.then(|| format!("Name: a SIPREC session named '{}' runs already", plan.name))
}

impl Act<'_> {
    /// A `Siprec` of a document.
    pub fn siprec_noun(&mut self, noun: &Element) {
        let sid = self.voice.parts.clock.sid("SR");
        let plan = SiprecPlan {
            sid,
            name: noun.get("name").map_or_else(|| sid.to_string(), str::to_owned),
            connector: noun.get("connectorName").unwrap_or_default().to_owned(),
            tracks: tracks(noun.get("track")),
            parameters: along::parameters_of(noun),
            callback: noun.get("statusCallback").map(|url| Hook {
                url: url.to_owned(),
                method: noun.method("statusCallbackMethod"),
                events: Vec::new(),
            }),
        };
        let connectors = &self.voice.parts.siprec_connectors;
        if let Some(why) = refusal(connectors, &self.live.siprecs, &plan) {
            return self.alert(13750, &why);
        }
        let (call, at) = (self.call.sid, self.at);
        along::write(&mut self.batch, KIND, call, (plan.sid, &plan.name), at);
        self.start_siprec(plan);
    }

    /// A session that is written down begins.
    pub fn start_siprec(&mut self, plan: SiprecPlan) {
        let (theirs, ours) = match self.call.is_incoming() {
            true => (self.call.from.clone(), self.call.to.clone()),
            false => (self.call.to.clone(), self.call.from.clone()),
        };
        self.order(Order::Siprec(Box::new(SiprecSetup {
            siprec: plan.sid,
            connector: plan.connector.clone(),
            tracks: plan.tracks,
            inbound: theirs,
            outbound: ours,
            parameters: plan.parameters.clone(),
        })));
        self.live.siprecs.push(plan);
    }

    /// Ends the named session, or all.
    pub fn stop_siprecs(&mut self, name: Option<&str>) {
        let named = self.live.siprecs.iter().filter(|plan| name.is_none_or(|n| plan.name == n));
        let sids: Vec<Sid> = named.map(|plan| plan.sid).collect();
        for siprec in sids {
            self.order(Order::StopSiprec { siprec });
        }
    }

    /// What became of a session.
    pub async fn on_siprec(&mut self, sid: Sid, news: StreamNews) -> Result<(), Failure> {
        let Some(at) = self.live.siprecs.iter().position(|plan| plan.sid == sid) else {
            return Ok(());
        };
        let plan = self.live.siprecs[at].clone();
        let (event, error, is_over) = match news {
            StreamNews::Started => ("siprec-started", None, false),
            StreamNews::Stopped => ("siprec-stopped", None, true),
            StreamNews::Failed { code, why, is_over } => {
                self.alert(code, &why);
                ("siprec-error", Some((code, why)), is_over)
            }
        };
        let mut params: Params = vec![
            ("AccountSid".to_owned(), self.store.account().to_string()),
            ("CallSid".to_owned(), self.call.sid.to_string()),
            ("SiprecSid".to_owned(), sid.to_string()),
            ("SiprecName".to_owned(), plan.name.clone()),
            ("SiprecEvent".to_owned(), event.to_owned()),
            ("Timestamp".to_owned(), self.at.iso8601()),
        ];
        if let Some((code, why)) = error {
            params.push(("SiprecError".to_owned(), why));
            params.push(("SiprecErrorCode".to_owned(), code.to_string()));
        }
        if let Some(hook) = &plan.callback {
            let callback = Callback {
                url: hook.url.clone(),
                method: hook.method.as_str().to_owned(),
                params,
                resource: sid.to_string(),
            };
            webhooks::promise(&mut self.batch, &self.voice.parts.clock, callback);
        }
        if is_over {
            self.live.siprecs.remove(at);
            let now = self.voice.parts.clock.now();
            along::mark_stopped(self.store, &mut self.batch, KIND, sid, now).await?;
        }
        Ok(())
    }
}

const RECORD: &[Param] = along::with_numbered_parameters![
    Param::text("Name", 255),
    Param::text("ConnectorName", 255),
    Param::one_of("Track", &["inbound_track", "outbound_track", "both_tracks"]),
    Param::url("StatusCallback").code(21205),
    Param::method("StatusCallbackMethod").code(21209),
];

pub static SIPREC: Resource<Voice> = Resource {
    table: Table::v2010(
        "Siprec",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Siprec",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Siprec/{Sid}",
    )
    .sid("SR")
    .fields(&const { along::fields(&["SR"]) })
    .access(Access::Keys("voice/siprec")),
    ops: &[
        Op::create(RECORD).status(200).by(|voice, ctx| Box::pin(create(voice, ctx))),
        Op::update(along::STOP).by(|voice, ctx| Box::pin(update(voice, ctx))),
    ],
};

/// 20001 for a connector that is not configured, and a name that is taken.
async fn create(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = along::running_call(ctx).await?;
    let form = &ctx.form;
    let sid = ctx.clock.sid("SR");
    let plan = SiprecPlan {
        sid,
        name: form.text("Name").map_or_else(|| sid.to_string(), str::to_owned),
        connector: form.text("ConnectorName").unwrap_or_default().to_owned(),
        tracks: tracks(form.text("Track")),
        parameters: along::parameters(ctx),
        callback: form.text("StatusCallback").map(|url| Hook {
            url: url.to_owned(),
            method: method(form.text("StatusCallbackMethod")),
            events: Vec::new(),
        }),
    };
    let running = call.live.map(|live| live.siprecs).unwrap_or_default();
    if let Some(why) = refusal(&voice.parts.siprec_connectors, &running, &plan) {
        return Err(ApiError::new(20001, why));
    }
    let name = plan.name.clone();
    let what = What::StartSiprec(Box::new(plan));
    along::begin(voice, ctx, KIND, (call.sid, sid, &name), what).await
}

/// Stops a session by its SID or name.
async fn update(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let named = |call: &Call, name: &str| {
        let running = call.live.as_ref()?.siprecs.iter().find(|plan| plan.name == name);
        running.map(|plan| plan.sid)
    };
    along::stop(voice, ctx, KIND, named, |sid| What::StopSiprec { sid }).await
}

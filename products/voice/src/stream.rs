//! Streams: a call's sound for an application, started by documents or the API (voice-api §12,
//! media §1).

use contracts::{Order, StreamNews, StreamSetup, Tracks};
use jobs::Failure;
use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Doc, Field, Op, Param, Reply, Resource, Table, Wire};
use serde::{Deserialize, Serialize};
use serde_json::json;
use twiml::voice::{Element, Input, Params};
use webhooks::Callback;

use crate::Voice;
use crate::act::{Act, Letter, What};
use crate::call::Hook;
use crate::conference::method;
use crate::lifecycle::Status;
use crate::resource::existing as existing_call;

const KIND: &str = "Stream";
/// Forked tracks of one call (twiml §8).
const TRACKS_MAX: usize = 4;
/// Parameters of one stream.
const PARAMETERS_MAX: usize = 99;

/// What a stream was started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamPlan {
    pub sid: Sid,
    /// Unique on its call: its SID unless it was named.
    pub name: String,
    pub url: String,
    pub tracks: Tracks,
    pub is_bidirectional: bool,
    pub parameters: Vec<(String, String)>,
    pub callback: Option<Hook>,
}

impl StreamPlan {
    fn track_count(&self) -> usize {
        if self.tracks == Tracks::Dual { 2 } else { 1 }
    }
}

fn tracks(text: Option<&str>) -> Tracks {
    match text {
        Some("outbound_track") => Tracks::Outbound,
        Some("both_tracks") => Tracks::Dual,
        _ => Tracks::Inbound,
    }
}

impl Act<'_> {
    /// A `Stream` of a document.
    pub async fn stream_noun(
        &mut self,
        noun: &Element,
        is_bidirectional: bool,
    ) -> Result<(), Failure> {
        let sid = self.voice.parts.clock.sid("MZ");
        let parameter = |noun: &Element| {
            Some((noun.get("name")?.to_owned(), noun.get("value").unwrap_or_default().to_owned()))
        };
        let plan = StreamPlan {
            sid,
            name: noun.get("name").map_or_else(|| sid.to_string(), str::to_owned),
            url: noun.get("url").unwrap_or_default().to_owned(),
            tracks: if is_bidirectional { Tracks::Inbound } else { tracks(noun.get("track")) },
            is_bidirectional,
            parameters: noun.children.iter().filter_map(parameter).take(PARAMETERS_MAX).collect(),
            callback: noun.get("statusCallback").map(|url| Hook {
                url: url.to_owned(),
                method: noun.method("statusCallbackMethod"),
                events: Vec::new(),
            }),
        };
        match self.stream_refusal(&plan) {
            Some((code, why)) => {
                self.alert(code, &why);
                if is_bidirectional {
                    self.tell(Input::StreamEnded);
                }
                Ok(())
            }
            None => {
                write(&mut self.batch, self.call.sid, &plan, self.at);
                self.start_stream(plan).await
            }
        }
    }

    /// Why a stream cannot be added to those that run.
    fn stream_refusal(&self, plan: &StreamPlan) -> Option<(u32, String)> {
        refusal(&self.live.streams, plan)
    }

    /// A stream that is written down begins.
    pub async fn start_stream(&mut self, plan: StreamPlan) -> Result<(), Failure> {
        let account = self.store.account();
        let signature = self.voice.parts.webhooks.signature(account, &plan.url).await;
        let setup = StreamSetup {
            stream: plan.sid,
            url: plan.url.clone(),
            signature,
            tracks: plan.tracks,
            is_bidirectional: plan.is_bidirectional,
            parameters: plan.parameters.clone(),
        };
        self.order(Order::Stream(Box::new(setup)));
        self.live.streams.push(plan);
        Ok(())
    }

    /// Ends streams that go along with the call: the named one, or all.
    pub fn stop_streams(&mut self, name: Option<&str>) {
        let sids: Vec<Sid> = self
            .live
            .streams
            .iter()
            .filter(|plan| !plan.is_bidirectional)
            .filter(|plan| name.is_none_or(|name| plan.name == name))
            .map(|plan| plan.sid)
            .collect();
        for stream in sids {
            self.order(Order::StopStream { stream });
        }
    }

    /// What became of a stream.
    pub async fn on_stream(&mut self, sid: Sid, news: StreamNews) -> Result<(), Failure> {
        let Some(at) = self.live.streams.iter().position(|plan| plan.sid == sid) else {
            return Ok(());
        };
        let plan = self.live.streams[at].clone();
        let (event, error, is_over) = match news {
            StreamNews::Started => ("stream-started", None, false),
            StreamNews::Stopped => ("stream-stopped", None, true),
            StreamNews::Failed { code, why, is_over } => {
                self.alert(code, &why);
                ("stream-error", Some(format!("{code}: {why}")), is_over)
            }
        };
        let mut params: Params = vec![
            ("AccountSid".to_owned(), self.store.account().to_string()),
            ("CallSid".to_owned(), self.call.sid.to_string()),
            ("StreamSid".to_owned(), sid.to_string()),
            ("StreamName".to_owned(), plan.name.clone()),
            ("StreamEvent".to_owned(), event.to_owned()),
        ];
        params.extend(error.map(|error| ("StreamError".to_owned(), error)));
        params.push(("Timestamp".to_owned(), self.at.iso8601()));
        if let Some(hook) = &plan.callback {
            let callback = Callback {
                url: hook.url.clone(),
                method: hook.method.as_str().to_owned(),
                params,
                resource: sid.to_string(),
            };
            webhooks::promise(&mut self.batch, &self.voice.parts.clock, callback);
        }
        if !is_over {
            return Ok(());
        }
        self.live.streams.remove(at);
        if let Some(doc) = rest::load(self.store, KIND, "", &sid.to_string()).await? {
            let mut fields = doc.fields.clone();
            fields.insert("status".into(), "stopped".into());
            let now = self.voice.parts.clock.now();
            rest::revise(&mut self.batch, KIND, "", &doc, &fields, now);
        }
        if plan.is_bidirectional {
            self.tell(Input::StreamEnded);
        }
        Ok(())
    }
}

fn refusal(running: &[StreamPlan], plan: &StreamPlan) -> Option<(u32, String)> {
    if plan.is_bidirectional && running.iter().any(|known| known.is_bidirectional) {
        return Some((31941, "a call has one bidirectional stream at a time".to_owned()));
    }
    let forked = running.iter().filter(|known| !known.is_bidirectional);
    let count: usize = forked.map(StreamPlan::track_count).sum();
    if !plan.is_bidirectional && count + plan.track_count() > TRACKS_MAX {
        return Some((31941, format!("a call has {TRACKS_MAX} streamed tracks at most")));
    }
    let is_taken = running.iter().any(|known| known.name == plan.name);
    is_taken.then(|| (31941, format!("a stream named '{}' runs already", plan.name)))
}

fn write(batch: &mut store::AccountBatch, call: Sid, plan: &StreamPlan, at: kernel::Timestamp) {
    let fields = json!({ "call_sid": call, "name": plan.name, "status": "in-progress" });
    let serde_json::Value::Object(fields) = fields else { return };
    rest::insert(batch, KIND, "", &plan.sid.to_string(), &fields, at);
}

pub static STREAM: Resource<Voice> = Resource {
    table: Table::v2010(
        "Stream",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Streams",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Streams/{Sid}",
    )
    .key("streams")
    .sid("MZ")
    .fields(&[
        Field::sid("sid", &["MZ"]),
        Field::sid("account_sid", &["AC"]),
        Field::sid("call_sid", &["CA"]),
        Field::text("name"),
        Field::new("status", Wire::Enum(&["in-progress", "stopped"])),
        Field::new("date_updated", Wire::Rfc2822),
        Field::text("uri"),
    ])
    .access(Access::Keys("voice/calls")),
    ops: &[
        Op::create(CREATE).status(200).by(|voice, ctx| Box::pin(create(voice, ctx))),
        Op::update(&[Param::one_of("Status", &["stopped"]).required(20001)])
            .by(|voice, ctx| Box::pin(update(voice, ctx))),
    ],
};

/// The parameters of a stream, and `Parameter1.Name` to `Parameter99.Value`.
macro_rules! params {
    ($($at:literal)*) => {
        &[
            Param::text("Url", 2048).required(21205),
            Param::text("Name", 255),
            Param::one_of("Track", &["inbound_track", "outbound_track", "both_tracks"]),
            Param::url("StatusCallback").code(21205),
            Param::method("StatusCallbackMethod").code(21209),
            $(
                Param::text(concat!("Parameter", $at, ".Name"), 500),
                Param::text(concat!("Parameter", $at, ".Value"), 500),
            )*
        ]
    };
}

const CREATE: &[Param] = params!(
    1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93 94 95 96 97 98 99
);

/// Starts a stream that goes along with a running call.
async fn create(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = existing_call(ctx, "CallSid").await?;
    if call.status != Status::InProgress {
        let why = format!("Call is not in-progress: it is {}", call.status);
        return Err(ApiError::new(21220, why));
    }
    let form = &ctx.form;
    let url = form.text("Url").unwrap_or_default().to_owned();
    if let Err(fault) = outbound::check_socket_url(&url) {
        return Err(ApiError::new(31922, format!("Url: {}", fault.message)));
    }
    let sid = ctx.clock.sid("MZ");
    let plan = StreamPlan {
        sid,
        name: form.text("Name").map_or_else(|| sid.to_string(), str::to_owned),
        url,
        tracks: tracks(form.text("Track")),
        is_bidirectional: false,
        parameters: (1..=PARAMETERS_MAX)
            .map_while(|at| {
                let name = form.text(&format!("Parameter{at}.Name"))?.to_owned();
                let value = form.text(&format!("Parameter{at}.Value")).unwrap_or_default();
                Some((name, value.to_owned()))
            })
            .collect(),
        callback: form.text("StatusCallback").map(|url| Hook {
            url: url.to_owned(),
            method: method(form.text("StatusCallbackMethod")),
            events: Vec::new(),
        }),
    };
    let running = call.live.map(|live| live.streams).unwrap_or_default();
    if let Some((code, why)) = refusal(&running, &plan) {
        return Err(ApiError::new(code, why));
    }
    let mut batch = ctx.store.batch();
    write(&mut batch, call.sid, &plan, ctx.now);
    let what = What::StartStream(Box::new(plan));
    voice.send(&mut batch, Letter { call: call.sid, at: ctx.now, what });
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    let doc = rest::load(&ctx.store, KIND, "", &sid.to_string()).await;
    let doc = doc.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)))
}

/// Stops a stream by its SID or name.
async fn update(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = existing_call(ctx, "CallSid").await?;
    let wanted = ctx.param("Sid");
    let doc = match wanted.parse::<Sid>() {
        Ok(sid) => rest::load(&ctx.store, KIND, "", &sid.to_string()).await,
        Err(_) => {
            let running = call.live.as_ref().map(|live| &live.streams[..]).unwrap_or_default();
            let named = running.iter().find(|plan| plan.name == wanted);
            let sid = named.ok_or_else(|| ctx.not_found())?.sid;
            rest::load(&ctx.store, KIND, "", &sid.to_string()).await
        }
    };
    let doc = doc.map_err(|error| rest::store_error(ctx, error))?;
    let is_of_call = |doc: &Doc| doc.text("call_sid") == Some(&call.sid.to_string());
    let mut doc = doc.filter(is_of_call).ok_or_else(|| ctx.not_found())?;
    let sid: Sid = doc.sid.parse().map_err(|_| ctx.not_found())?;
    let mut batch = ctx.store.batch();
    voice.send(&mut batch, Letter { call: call.sid, at: ctx.now, what: What::StopStream { sid } });
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    doc.fields.insert("status".into(), "stopped".into());
    Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)))
}

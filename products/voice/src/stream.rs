//! Streams: a call's sound for an application, started by documents or the API (voice-api §12,
//! media §1).

use contracts::{Order, StreamNews, StreamSetup, Tracks};
use jobs::Failure;
use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Op, Param, Reply, Resource, Table};
use serde::{Deserialize, Serialize};
use twiml::voice::{Element, Input, Params};
use webhooks::Callback;

use crate::act::Act;
use crate::call::{Call, Hook};
use crate::conference::method;
use crate::letter::What;
use crate::{Voice, along};

const KIND: &str = "Stream";
/// Forked tracks of one call (twiml §8).
const TRACKS_MAX: usize = 4;

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
        let plan = StreamPlan {
            sid,
            name: noun.get("name").map_or_else(|| sid.to_string(), str::to_owned),
            url: noun.get("url").unwrap_or_default().to_owned(),
            tracks: if is_bidirectional { Tracks::Inbound } else { tracks(noun.get("track")) },
            is_bidirectional,
            parameters: along::parameters_of(noun),
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
                let (call, at) = (self.call.sid, self.at);
                along::write(&mut self.batch, KIND, call, (plan.sid, &plan.name), at);
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
        let now = self.voice.parts.clock.now();
        along::mark_stopped(self.store, &mut self.batch, KIND, sid, now).await?;
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

pub static STREAM: Resource<Voice> = Resource {
    table: Table::v2010(
        "Stream",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Streams",
        "/2010-04-01/Accounts/{AccountSid}/Calls/{CallSid}/Streams/{Sid}",
    )
    .key("streams")
    .sid("MZ")
    .fields(&const { along::fields(&["MZ"]) })
    .access(Access::Keys("voice/calls")),
    ops: &[
        Op::create(CREATE).status(200).by(|voice, ctx| Box::pin(create(voice, ctx))),
        Op::update(along::STOP).by(|voice, ctx| Box::pin(update(voice, ctx))),
    ],
};

const CREATE: &[Param] = along::with_numbered_parameters![
    Param::text("Url", 2048).required(21205),
    Param::text("Name", 255),
    Param::one_of("Track", &["inbound_track", "outbound_track", "both_tracks"]),
    Param::url("StatusCallback").code(21205),
    Param::method("StatusCallbackMethod").code(21209),
];

/// Starts a stream that goes along with a running call.
async fn create(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let call = along::running_call(ctx).await?;
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
        parameters: along::parameters(ctx),
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
    let name = plan.name.clone();
    let what = What::StartStream(Box::new(plan));
    along::begin(voice, ctx, KIND, (call.sid, sid, &name), what).await
}

/// Stops a stream by its SID or name.
async fn update(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let named = |call: &Call, name: &str| {
        let running = call.live.as_ref()?.streams.iter().find(|plan| plan.name == name);
        running.map(|plan| plan.sid)
    };
    along::stop(voice, ctx, KIND, named, |sid| What::StopStream { sid }).await
}

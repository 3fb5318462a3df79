//! Queues: calls that wait, and the calls that take them (voice-api §8).

use contracts::Order;
use jobs::Failure;
use kernel::{ApiError, Sid, Timestamp};
use rest::{Access, Ctx, Doc, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use store::{AccountBatch, AccountStore, Row, StoreError};
use twiml::Method;
use twiml::voice::{EnqueuePlan, Input, Params, Source};

use crate::Voice;
use crate::act::Act;
use crate::letter::{Letter, What};

const QUEUE: &str = "Queue";
/// A waiting call; the document's SID is the call's, its parent the queue's.
const MEMBER: &str = "Member";
/// A call that waits for somebody to wait.
const WAITER: &str = "QueueWaiter";
/// The claim of a queue's name.
const NAME: &str = "queue-name";
const SIZE: i64 = 1000;

/// A call's place in a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InQueue {
    pub queue: Sid,
    pub since: Timestamp,
    /// The call that talks to this one.
    pub taken_by: Option<Sid>,
}

/// The call that waits longest, or of those that wait for it.
async fn first(store: &AccountStore, kind: &str, queue: Sid) -> Result<Option<Sid>, StoreError> {
    let sql = "SELECT sid FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3
               ORDER BY date_created, sid LIMIT 1";
    let row = store.point(sql, vec![kind.into(), queue.into()]).await?;
    Ok(row.map(|row| row.sid(0)))
}

async fn members(store: &AccountStore, queue: Sid) -> Result<Vec<(Sid, Timestamp)>, StoreError> {
    let sql = "SELECT sid, date_created FROM resource WHERE account_sid = $1 AND kind = $2
               AND parent = $3 ORDER BY date_created, sid LIMIT 5000";
    let rows = store.query(sql, vec![MEMBER.into(), queue.into()]).await?;
    Ok(rows.iter().map(|row: &Row| (row.sid(0), row.time(1))).collect())
}

fn remove(batch: &mut AccountBatch, kind: &'static str, queue: Sid, call: Sid, must: bool) {
    let sql = "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3
               AND sid = $4";
    let params = vec![kind.into(), queue.into(), call.into()];
    match must {
        true => batch.must(sql, params),
        false => batch.run(sql, params),
    };
}

async fn by_name(store: &AccountStore, name: &str) -> Result<Option<Sid>, StoreError> {
    let sql = "SELECT sid FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3";
    let value = format!("{}/{name}", store.account());
    let row = store.point(sql, vec![NAME.into(), value.into()]).await?;
    Ok(row.map(|row| row.sid(0)))
}

fn insert_queue(batch: &mut AccountBatch, sid: Sid, name: &str, max_size: i64, now: Timestamp) {
    let value = format!("{}/{name}", batch.account());
    batch.run(
        "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
        vec![sid.into(), NAME.into(), value.into()],
    );
    let Json::Object(fields) = json!({"friendly_name": name, "max_size": max_size}) else { return };
    rest::insert(batch, QUEUE, "", &sid.to_string(), &fields, now);
}

impl Act<'_> {
    pub async fn enqueue(&mut self, plan: EnqueuePlan) -> Result<(), Failure> {
        let clock = &self.voice.parts.clock;
        let queue = match by_name(self.store, &plan.queue).await? {
            Some(queue) => queue,
            None => {
                let sid = clock.sid("QU");
                let most = plan.max_size.and_then(|size| i64::try_from(size).ok());
                insert_queue(&mut self.batch, sid, &plan.queue, most.unwrap_or(SIZE), self.at);
                sid
            }
        };
        let doc = rest::load(self.store, QUEUE, "", &queue.to_string()).await?;
        let most = doc.and_then(|doc| doc.fields.get("max_size").and_then(Json::as_i64));
        let size = members(self.store, queue).await?.len();
        self.live.queue = Some(InQueue { queue, since: self.at, taken_by: None });
        if i64::try_from(size).unwrap_or(i64::MAX) >= most.unwrap_or(SIZE) {
            self.alert(14207, &format!("the queue {} is full", plan.queue));
            return self.leave_queue("queue-full", None).await;
        }
        let fields = serde_json::Map::new();
        rest::insert(
            &mut self.batch,
            MEMBER,
            &queue.to_string(),
            &self.call.sid.to_string(),
            &fields,
            self.at,
        );
        if let Some(waiter) = first(self.store, WAITER, queue).await? {
            self.send(waiter, What::TryQueue);
        }
        self.tell(Input::Enqueued);
        Ok(())
    }

    /// What a document for those who wait is told.
    pub async fn queue_params(&self) -> Result<Params, Failure> {
        let Some(place) = &self.live.queue else { return Ok(Params::new()) };
        let mut all = members(self.store, place.queue).await?;
        // Whoever has just come is not written yet.
        if !all.iter().any(|(call, _)| *call == self.call.sid) {
            all.push((self.call.sid, place.since));
        }
        let at = all.iter().position(|(call, _)| *call == self.call.sid);
        let waited: u64 = all.iter().map(|(_, since)| self.at.since(*since).as_secs()).sum();
        let average = waited / (all.len().max(1) as u64);
        let doc = rest::load(self.store, QUEUE, "", &place.queue.to_string()).await?;
        let most = doc.and_then(|doc| doc.fields.get("max_size").and_then(Json::as_i64));
        if let Some(by) = place.taken_by {
            // As the wire writes it.
            return Ok(vec![
                ("QueueSid".to_owned(), place.queue.to_string()),
                ("QueueTime".to_owned(), self.at.since(place.since).as_secs().to_string()),
                ("DequeingCallSid".to_owned(), by.to_string()),
            ]);
        }
        Ok(vec![
            ("QueueSid".to_owned(), place.queue.to_string()),
            ("QueuePosition".to_owned(), at.map_or(0, |at| at + 1).to_string()),
            ("QueueTime".to_owned(), self.at.since(place.since).as_secs().to_string()),
            ("AvgQueueTime".to_owned(), average.to_string()),
            ("CurrentQueueSize".to_owned(), all.len().to_string()),
            ("MaxQueueSize".to_owned(), most.unwrap_or(SIZE).to_string()),
        ])
    }

    /// The place in the queue is given up; `then` is what runs instead of the next verb.
    pub async fn leave_queue(&mut self, result: &str, then: Option<Source>) -> Result<(), Failure> {
        let Some(place) = self.live.queue.take() else { return Ok(()) };
        remove(&mut self.batch, MEMBER, place.queue, self.call.sid, false);
        if let Some(by) = place.taken_by {
            let sid = self.call.sid;
            let news = crate::dial::ChildNews::Ended { status: "completed".into(), seconds: None };
            self.send(by, What::Child { sid, news });
        }
        if self.live.room.take().is_some() && !self.is_over() {
            self.order(Order::Leave);
        }
        self.tell(Input::LeftQueue(vec![
            ("QueueResult".to_owned(), result.to_owned()),
            ("QueueSid".to_owned(), place.queue.to_string()),
            ("QueueTime".to_owned(), self.at.since(place.since).as_secs().to_string()),
        ]));
        if let Some(source) = then {
            let sid = self.call.sid;
            self.send(sid, What::Replace { source, fallback: None });
        }
        Ok(())
    }

    /// Whoever waited is talked to, and hears the whisper before.
    ///
    /// Differs: who takes the call hears nothing while the whisper is heard.
    pub fn taken(&mut self, by: Sid, whisper: Option<Source>) {
        let Some(place) = &mut self.live.queue else {
            let sid = self.call.sid;
            let news = crate::dial::ChildNews::Ended { status: "canceled".into(), seconds: None };
            return self.send(by, What::Child { sid, news });
        };
        place.taken_by = Some(by);
        self.tell(Input::Dequeued { whisper });
    }

    /// The two hear each other, in the room of who took the call.
    pub fn meet(&mut self) {
        let Some(by) = self.live.queue.as_ref().and_then(|place| place.taken_by) else { return };
        let room = by.to_string();
        self.join(&room);
        self.live.room = Some(room);
    }

    /// The talk of somebody who had waited is over.
    pub fn returned(&mut self) {
        let Some(place) = self.live.queue.take() else { return };
        if self.live.room.take().is_some() {
            self.order(Order::Leave);
        }
        self.tell(Input::LeftQueue(vec![
            ("QueueResult".to_owned(), "bridged".to_owned()),
            ("QueueSid".to_owned(), place.queue.to_string()),
            ("QueueTime".to_owned(), self.at.since(place.since).as_secs().to_string()),
        ]));
    }

    /// Takes the first of a queue, or waits for one.
    pub async fn dial_queue(&mut self, name: &str) -> Result<(), Failure> {
        let queue = match by_name(self.store, name).await? {
            Some(queue) => queue,
            None => {
                let sid = self.voice.parts.clock.sid("QU");
                insert_queue(&mut self.batch, sid, name, SIZE, self.at);
                sid
            }
        };
        if let Some(dial) = &mut self.live.dial {
            dial.queue = Some(queue);
        }
        self.try_queue().await
    }

    pub async fn try_queue(&mut self) -> Result<(), Failure> {
        let Some(mut dial) = self.live.dial.take() else { return Ok(()) };
        let Some(queue) = dial.queue else {
            self.live.dial = Some(dial);
            return Ok(());
        };
        let me = self.call.sid;
        match first(self.store, MEMBER, queue).await? {
            Some(member) => {
                remove(&mut self.batch, WAITER, queue, me, false);
                // Whoever takes a member first has it; the others decide again.
                remove(&mut self.batch, MEMBER, queue, member, true);
                dial.queue = None;
                dial.winner = Some(member);
                let room = me.to_string();
                self.talk(&mut dial, member, &room);
                let noun = dial.plan.targets.first().map(|target| &target.noun);
                let whisper = noun.and_then(|noun| {
                    let (url, method) = (noun.get("url")?.to_owned(), noun.method("method"));
                    Some(Source::Url { url, method })
                });
                self.send(member, What::Taken { by: me, whisper });
            }
            None => {
                self.batch.run(
                    "INSERT INTO resource (account_sid, kind, parent, sid, body, date_created,
                     date_updated, version) VALUES ($1, $2, $3, $4, '{}', $5, $5, 1)
                     ON CONFLICT (account_sid, kind, parent, sid) DO NOTHING",
                    vec![WAITER.into(), queue.into(), me.into(), self.at.into()],
                );
            }
        }
        self.live.dial = Some(dial);
        Ok(())
    }

    /// Nobody came in time.
    pub fn stop_waiting_for_queue(&mut self) {
        let me = self.call.sid;
        self.batch.run(
            "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND sid = $3",
            vec![WAITER.into(), me.into()],
        );
    }
}

const FIELDS: &[Field] = &[
    Field::new("date_updated", Wire::Rfc2822),
    Field::new("current_size", Wire::Integer(0, i64::MAX)),
    Field::text("friendly_name"),
    Field::text("uri"),
    Field::sid("account_sid", &["AC"]),
    Field::new("average_wait_time", Wire::Integer(0, i64::MAX)),
    Field::sid("sid", &["QU"]),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("max_size", Wire::Integer(0, i64::MAX)),
];

pub static QUEUES: Resource<Voice> = Resource {
    table: Table::v2010(
        QUEUE,
        "/2010-04-01/Accounts/{AccountSid}/Queues",
        "/2010-04-01/Accounts/{AccountSid}/Queues/{Sid}",
    )
    .key("queues")
    .sid("QU")
    .fields(FIELDS)
    .access(Access::Keys("voice/queues")),
    ops: &[
        Op::create(&[
            Param::text("FriendlyName", 64).required(20001),
            Param::integer("MaxSize", 1, 5000),
        ])
        .by(|voice, ctx| Box::pin(create(voice, ctx))),
        Op::list(&[]).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch(ctx))),
        Op::update(&[Param::text("FriendlyName", 64), Param::integer("MaxSize", 1, 5000)])
            .by(|_, ctx| Box::pin(update(ctx))),
        Op::delete().by(|_, ctx| Box::pin(delete(ctx))),
    ],
};

fn failed(ctx: &Ctx) -> impl Fn(StoreError) -> ApiError + '_ {
    move |error| rest::store_error(ctx, error)
}

async fn create(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let name = ctx.form.text("FriendlyName").unwrap_or_default();
    if by_name(&ctx.store, name).await.map_err(failed(ctx))?.is_some() {
        let why = format!("A queue named '{name}' exists already; its FriendlyName must be unique");
        return Err(ApiError::new(20409, why));
    }
    let sid = voice.parts.clock.sid("QU");
    let mut batch = ctx.store.batch();
    insert_queue(&mut batch, sid, name, ctx.form.integer("MaxSize").unwrap_or(SIZE), ctx.now);
    ctx.audit(&mut batch, "queue.created", &sid.to_string(), Json::Null);
    ctx.store.commit(batch).await.map_err(failed(ctx))?;
    let doc = rest::load(&ctx.store, QUEUE, "", &sid.to_string()).await.map_err(failed(ctx))?;
    Ok(Reply::Record(record(ctx, &doc.ok_or_else(|| ctx.not_found())?).await?))
}

async fn record(ctx: &Ctx, doc: &Doc) -> Result<Record, ApiError> {
    let queue = doc.sid.parse::<Sid>().map_err(|_| ctx.not_found())?;
    let all = members(&ctx.store, queue).await.map_err(failed(ctx))?;
    let waited: u64 = all.iter().map(|(_, since)| ctx.now.since(*since).as_secs()).sum();
    let average = waited / (all.len().max(1) as u64);
    let mut record = rest::record(ctx.account, ctx.table, doc);
    record
        .set("current_size", i64::try_from(all.len()).unwrap_or(i64::MAX))
        .set("average_wait_time", i64::try_from(average).unwrap_or(i64::MAX));
    Ok(record)
}

async fn existing(ctx: &Ctx, param: &str) -> Result<Doc, ApiError> {
    let sid = ctx.param_sid(param, &["QU"])?.to_string();
    let doc = rest::load(&ctx.store, QUEUE, "", &sid).await.map_err(failed(ctx))?;
    doc.ok_or_else(|| ctx.not_found())
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let (docs, has_next) = rest::documents(ctx, QUEUE, "", |_| true).await.map_err(failed(ctx))?;
    let mut records = Vec::with_capacity(docs.len());
    for doc in &docs {
        records.push(record(ctx, doc).await?);
    }
    Ok(Reply::List(Page { records, has_next }))
}

async fn fetch(ctx: &Ctx) -> Result<Reply, ApiError> {
    Ok(Reply::Record(record(ctx, &existing(ctx, "Sid").await?).await?))
}

async fn update(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx, "Sid").await?;
    let mut fields = doc.fields.clone();
    let mut batch = ctx.store.batch();
    if let Some(size) = ctx.form.integer("MaxSize") {
        fields.insert("max_size".into(), size.into());
    }
    if let Some(name) = ctx.form.text("FriendlyName") {
        let taken = by_name(&ctx.store, name).await.map_err(failed(ctx))?;
        if taken.is_some_and(|sid| sid.to_string() != doc.sid) {
            return Err(ApiError::new(20409, format!("A queue named '{name}' exists already")));
        }
        fields.insert("friendly_name".into(), name.into());
        batch.run(
            "UPDATE claim SET value = $3 WHERE account_sid = $1 AND sid = $2",
            vec![doc.sid.as_str().into(), format!("{}/{name}", ctx.account).into()],
        );
    }
    rest::revise(&mut batch, QUEUE, "", &doc, &fields, ctx.now);
    ctx.audit(
        &mut batch,
        "queue.updated",
        &doc.sid,
        rest::changes(Some(&doc.fields), Some(&fields)),
    );
    ctx.store.commit(batch).await.map_err(failed(ctx))?;
    fetch(ctx).await
}

async fn delete(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx, "Sid").await?;
    let queue = doc.sid.parse::<Sid>().map_err(|_| ctx.not_found())?;
    if !members(&ctx.store, queue).await.map_err(failed(ctx))?.is_empty() {
        let why = format!("Queue {queue} is not empty; take its members out first");
        return Err(ApiError::new(20409, why));
    }
    let mut batch = ctx.store.batch();
    batch.run(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND sid = $3",
        vec![QUEUE.into(), doc.sid.as_str().into()],
    );
    batch.run(
        "DELETE FROM claim WHERE account_sid = $1 AND sid = $2",
        vec![doc.sid.as_str().into()],
    );
    ctx.audit(&mut batch, "queue.deleted", &doc.sid, Json::Null);
    ctx.store.commit(batch).await.map_err(failed(ctx))?;
    Ok(Reply::Empty)
}

pub static MEMBERS: Resource<Voice> = Resource {
    table: Table::v2010(
        MEMBER,
        "/2010-04-01/Accounts/{AccountSid}/Queues/{QueueSid}/Members",
        "/2010-04-01/Accounts/{AccountSid}/Queues/{QueueSid}/Members/{CallSid}",
    )
    .key("queue_members")
    .fields(&[
        Field::sid("call_sid", &["CA"]),
        Field::new("date_enqueued", Wire::Rfc2822),
        Field::new("position", Wire::Integer(0, i64::MAX)),
        Field::text("uri"),
        Field::new("wait_time", Wire::Integer(0, i64::MAX)),
        Field::sid("queue_sid", &["QU"]),
    ])
    .access(Access::Keys("voice/queues")),
    ops: &[
        Op::list(&[]).by(|_, ctx| Box::pin(list_members(ctx))),
        Op::fetch().by(|_, ctx| Box::pin(fetch_member(ctx))),
        Op::update(&[Param::url("Url").code(21205).required(21205), Param::method("Method")])
            .by(|voice, ctx| Box::pin(dequeue(voice, ctx))),
    ],
};

fn member(ctx: &Ctx, queue: &str, at: usize, call: Sid, since: Timestamp) -> Record {
    let mut record = Record::at("CallSid", &call.to_string());
    record
        .set("call_sid", call)
        .set("date_enqueued", since)
        .set("position", i64::try_from(at + 1).unwrap_or(i64::MAX))
        .set("wait_time", i64::try_from(ctx.now.since(since).as_secs()).unwrap_or(i64::MAX))
        .set("queue_sid", queue);
    record
}

/// Differs: the list is in one page.
async fn list_members(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx, "QueueSid").await?;
    let queue = doc.sid.parse::<Sid>().map_err(|_| ctx.not_found())?;
    let all = members(&ctx.store, queue).await.map_err(failed(ctx))?;
    let records = all
        .iter()
        .enumerate()
        .map(|(at, (call, since))| member(ctx, &doc.sid, at, *call, *since))
        .collect();
    Ok(Reply::List(Page { records, has_next: false }))
}

/// The member that the path names, `Front` for the first.
async fn existing_member(ctx: &Ctx) -> Result<(Sid, usize, Sid, Timestamp), ApiError> {
    let doc = existing(ctx, "QueueSid").await?;
    let queue = doc.sid.parse::<Sid>().map_err(|_| ctx.not_found())?;
    let all = members(&ctx.store, queue).await.map_err(failed(ctx))?;
    let wanted = ctx.param("CallSid");
    let found = all.iter().enumerate().find(|(at, (call, _))| match wanted {
        "Front" => *at == 0,
        wanted => call.to_string() == wanted,
    });
    let (at, (call, since)) = found.ok_or_else(|| ctx.not_found())?;
    Ok((queue, at, *call, *since))
}

async fn fetch_member(ctx: &Ctx) -> Result<Reply, ApiError> {
    let (queue, at, call, since) = existing_member(ctx).await?;
    Ok(Reply::Record(member(ctx, &queue.to_string(), at, call, since)))
}

/// Takes a call out of the queue and gives it another document.
async fn dequeue(voice: &Voice, ctx: &Ctx) -> Result<Reply, ApiError> {
    let (queue, at, call, since) = existing_member(ctx).await?;
    let url = ctx.form.text("Url").unwrap_or_default().to_owned();
    let method = match ctx.form.text("Method") {
        Some(method) if method.eq_ignore_ascii_case("GET") => Method::Get,
        _ => Method::Post,
    };
    let mut batch = ctx.store.batch();
    remove(&mut batch, MEMBER, queue, call, true);
    let then = Some(Source::Url { url, method });
    let what = What::LeaveQueue { result: "redirected".into(), then };
    voice.send(&mut batch, Letter { call, at: ctx.now, what });
    ctx.store.commit(batch).await.map_err(failed(ctx))?;
    Ok(Reply::Record(member(ctx, &queue.to_string(), at, call, since)))
}

//! Goal: whom one node reaches, every node calls (0006). Method: two nodes in this process on one
//! PostgreSQL database and a NATS server, and programs and telephones of which the test says every
//! word.

mod harness;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{SinkExt, StreamExt};
use harness::node::{NatsServer, cluster};
use harness::{
    DOMAIN, Domains, Request, Telephone, World, eventually, exchange, nodes, owned_by, placed,
    reached, telephone,
};
use media::Peer;
use serde_json::{Value, json};
use sip::Method;
use store::Location;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

const WAIT: &str = "<Response><Pause length='60'/></Response>";
const PASSWORD: &str = "Secret12345678";

/// A program with the Voice SDK's signalling.
struct Program(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Program {
    /// Registered on this node as `ann`.
    async fn register(world: &World) -> Self {
        Self::register_at(&world.url, world.sid()).await
    }

    async fn register_at(url: &str, account: &str) -> Self {
        let part = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let claims = json!({
            "jti": "x", "iss": "SK00000000000000000000000000000001", "sub": account,
            "exp": 4_000_000_000u64,
            "grants": { "identity": "ann", "voice": { "incoming": { "allow": true } } },
        });
        let head = json!({ "alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1" });
        // In development a key that nobody made is believed.
        let token = format!("{}.{}.c2lnbmVk", part(head), part(claims));
        let url = format!("{}/signal", url.replacen("http", "ws", 1));
        let mut program = Self(tokio_tungstenite::connect_async(url).await.unwrap().0);
        program.say("listen", json!({ "token": token })).await;
        program.hear("connected").await;
        program.say("register", json!({ "media": { "audio": true } })).await;
        program.hear("ready").await;
        program
    }

    async fn say(&mut self, kind: &str, payload: Value) {
        let text = json!({ "type": kind, "version": "1.6", "payload": payload }).to_string();
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The payload of the next message of a kind.
    async fn hear(&mut self, kind: &str) -> Value {
        let heard = async {
            loop {
                let message = self.0.next().await.expect("it goes on").unwrap();
                let text = message.to_text().unwrap_or_default();
                let message: Value = serde_json::from_str(text).unwrap_or_default();
                if message["type"] == kind {
                    return message["payload"].clone();
                }
            }
        };
        let patience = Duration::from_secs(10);
        tokio::time::timeout(patience, heard).await.unwrap_or_else(|_| panic!("no {kind}"))
    }

    /// Answers with a session that is understood.
    async fn answer(&mut self, invite: &Value) {
        let here = [IpAddr::from([127, 0, 0, 1])];
        let whole = |sdp: &str| sdp.replace("a=ice-lite\r\n", "");
        let offer = whole(invite["sdp"].as_str().unwrap());
        let sdp = whole(&Peer::answer(&offer, &here, None).await.unwrap().1);
        self.say("answer", json!({ "callsid": invite["callsid"], "sdp": sdp })).await;
    }
}

/// The browser phones that a node shows.
async fn shown(world: &World) -> Vec<Value> {
    let networks = world.own("GET", "networks", Value::Null).await.json();
    let mut all = networks["registered"].as_array().cloned().unwrap();
    all.retain(|one| one["kind"] == "browser");
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_called_from_every_node() {
    let nats = NatsServer::start().await;
    let Some([one, two]) = nodes(&nats, &|_| {}).await else { return };
    let mut program = Program::register(&two).await;
    for world in [&one, &two] {
        let all = shown(world).await;
        assert_eq!(
            (all.len(), &all[0]["name"], &all[0]["what"]),
            (1, &json!("ann"), &json!("1 page"))
        );
    }
    for world in [&one, &two] {
        let form = [("To", "client:ann"), ("Twiml", WAIT)];
        let sid = placed(world, &form).await;
        let invite = program.hear("invite").await;
        assert_eq!(invite["callsid"], sid);
        reached(&one, &sid, "ringing").await;
        program.answer(&invite).await;
        reached(&one, &sid, "in-progress").await;
        // What the other node orders finds it as well.
        let over =
            one.post(&one.path(&format!("Calls/{sid}.json")), &[("Status", "completed")]).await;
        assert_eq!(over.status, 200, "{over:?}");
        assert_eq!(program.hear("hangup").await["callsid"], sid);
    }

    // Its socket is lost in a call: it goes on by the other node.
    let sid = placed(&one, &[("To", "client:ann"), ("Twiml", WAIT)]).await;
    let invite = program.hear("invite").await;
    program.answer(&invite).await;
    reached(&one, &sid, "in-progress").await;
    let mut elsewhere = Program::register(&one).await;
    drop(program);
    let back = |token: &str| json!({ "callsid": sid, "reconnect": token, "sdp": "" });
    elsewhere.say("invite", back("guessed")).await;
    assert_eq!(elsewhere.hear("hangup").await["error"]["code"], 31209);
    elsewhere.say("invite", back(invite["reconnect"].as_str().unwrap())).await;
    assert_eq!(elsewhere.hear("answer").await["callsid"], sid);
    elsewhere.say("dtmf", json!({ "callsid": sid, "dtmf": "1" })).await;
    let said = json!({ "callsid": sid, "voiceeventsid": "KX1", "content": { "a": 1 },
        "messagetype": "user-defined-message" });
    elsewhere.say("message", said).await;
    assert_eq!(elsewhere.hear("ack").await["voiceeventsid"], "KX1");
    elsewhere.say("hangup", json!({ "callsid": sid })).await;
    reached(&two, &sid, "completed").await;
    drop(elsewhere);
    let mut program = Program::register(&two).await;

    // The latest of several nodes, and what is left when it goes.
    let mut latest = Program::register(&one).await;
    assert_eq!(shown(&two).await[0]["what"], "2 pages");
    let dial = "<Response><Dial><Client>ann</Client></Dial></Response>";
    let caller = placed(&two, &[("To", "+14155550111"), ("Twiml", dial)]).await;
    let invite = latest.hear("invite").await;
    latest.say("reject", json!({ "callsid": invite["callsid"] })).await;
    reached(&two, &caller, "completed").await;
    drop(latest);
    eventually("one page is left", || async {
        (shown(&two).await[0]["what"] == "1 page").then_some(())
    })
    .await;
    let sid = placed(&one, &[("To", "client:ann"), ("Twiml", WAIT)]).await;
    assert_eq!(program.hear("invite").await["callsid"], sid);

    // Another account's client of that name is another.
    let other = one.subaccount("other").await;
    let (_, number) = one.buy(&other, "415").await;
    let form = [("From", &*number), ("To", "client:ann"), ("Twiml", WAIT)];
    let path = harness::account_path(&other.user, "Calls.json");
    let call = one.post_as(&other, &path, &form).await;
    assert_eq!(call.status, 201, "{call:?}");
    let path = harness::account_path(&other.user, &format!("Calls/{}.json", call.text_of("sid")));
    eventually("the simulated client answers", || async {
        let status = one.get_as(&other, &path).await.json()["status"].clone();
        (status == "in-progress").then_some(())
    })
    .await;

    // A call that is on neither node any more is over for who comes back for it.
    program.say("invite", json!({ "callsid": "TJ1", "reconnect": "unknown", "sdp": "" })).await;
    assert_eq!(program.hear("hangup").await["error"]["code"], 31209);
    for world in [one, two] {
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_telephone_is_called_by_the_node_where_it_registered() {
    let nats = NatsServer::start().await;
    let domains = Domains::shared();
    let directory = domains.clone();
    let change = move |settings: &mut offhook::server::Settings| {
        settings.sip_directory = Some(directory.clone());
    };
    let Some([one, two]) = nodes(&nats, &change).await else { return };
    owned_by(&domains, &one);
    let phone: Telephone = telephone(&two).await;
    let uri = format!("sip:ann@{DOMAIN}");
    phone.register("ann", PASSWORD).await;

    let sid = placed(&one, &[("To", &uri), ("Twiml", WAIT)]).await;
    let invite = phone.asked(Method::Invite).await;
    let via = invite.headers.get("Via").unwrap_or_default();
    assert!(via.contains(&format!(":{}", phone.platform.port())), "of the node it knows: {via}");
    phone.answer(&invite, 200, Some(phone.session("sendrecv"))).await;
    reached(&one, &sid, "in-progress").await;
    let over = one.post(&one.path(&format!("Calls/{sid}.json")), &[("Status", "completed")]).await;
    assert_eq!(over.status, 200, "{over:?}");
    phone.asked(Method::Bye).await;
    for world in [one, two] {
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_programs_of_a_dead_node_are_forgotten_with_its_lease() {
    let database = store::testing::databases().await;
    let Some(database) = database.into_iter().find(|one| one.store.kind() == "postgres") else {
        return;
    };
    let Location::Postgres(url) = &database.location else { return };
    let nats = NatsServer::start().await;
    let mut nodes = cluster(database.directory(), url, &nats.url(), 2).await;
    let (login, number) = nodes[0].env().await;
    let _program = Program::register_at(&nodes[1].url, &login.user).await;
    let first = nodes[0].url.clone();
    let shown = async || {
        let networks = Request::new("GET", "/_offhook/v1/networks");
        let all = exchange(&first, networks).await.json()["registered"].clone();
        all.as_array().unwrap().iter().any(|one| one["kind"] == "browser")
    };
    assert!(shown().await);
    nodes[1].kill().await;
    let begun = Instant::now();
    while shown().await {
        assert!(begun.elapsed() < Duration::from_secs(15), "it is still shown");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Who is called now is nobody's program.
    let path = harness::account_path(&login.user, "Calls.json");
    let form = [("From", &*number), ("To", "client:ann"), ("Twiml", WAIT)];
    let call = exchange(&first, Request::new("POST", &path).login(&login).form(&form)).await;
    assert_eq!(call.status, 201, "{call:?}");
    let path = harness::account_path(&login.user, &format!("Calls/{}.json", call.text_of("sid")));
    eventually("the simulated client answers", || async {
        let call = exchange(&first, Request::new("GET", &path).login(&login)).await;
        (call.json()["status"] == "in-progress").then_some(())
    })
    .await;
}

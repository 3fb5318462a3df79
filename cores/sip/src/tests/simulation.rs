//! Goal: whatever a network does to datagrams, both ends of a transaction come to one end of it.
//! Method: two ends in simulated time, between them a seeded network that loses, repeats and delays.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use crate::message::{Message, Method, Request, read};
use crate::reliable::{Acknowledged, Asked};
use crate::transaction::{Event, Flow, Id, Transactions, Transport};

const REQUESTS: u64 = 40;
/// Everything is over by then: requests come within a minute, and the longest wait is ten.
const END: Duration = Duration::from_secs(3600);

/// SplitMix64: the same seed, the same story.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }
}

#[derive(Clone, Copy)]
struct Network {
    /// Of a hundred.
    lost: u64,
    repeated: u64,
    delay_ms: u64,
}

/// What is to happen.
enum Step {
    Ask(u64),
    Arrive { at_caller: bool, octets: Vec<u8> },
    Answer { id: Id, request: Request, code: u16 },
}

/// What became of one request.
#[derive(Debug, Default)]
struct Story {
    finals: Vec<u16>,
    timeouts: u32,
    told: u32,
    answered: Option<u16>,
    acks: u32,
    acks_missing: u32,
    /// Of ringing that is acknowledged.
    rung: u32,
    pracks: u32,
    pracks_missing: u32,
}

struct World {
    chance: Chance,
    network: Network,
    now: Duration,
    caller: Transactions,
    callee: Transactions,
    plan: BTreeMap<(Duration, u64), Step>,
    planned: u64,
    asked: HashMap<Id, u64>,
    /// PRACKs.
    pracks: HashMap<Id, u64>,
    acknowledged: HashMap<u64, Acknowledged>,
    taken: HashMap<Id, u64>,
    invites: HashMap<u64, Id>,
    stories: HashMap<u64, Story>,
}

fn flow() -> Flow {
    let remote: SocketAddr = "192.0.2.1:5060".parse().unwrap();
    Flow { transport: Transport::Udp, remote, connection: 0 }
}

fn method(number: u64) -> Method {
    [Method::Invite, Method::Bye, Method::Options, Method::Register][(number % 4) as usize].clone()
}

/// Whether the callee's ringing is acknowledged.
fn is_reliable(number: u64) -> bool {
    number.is_multiple_of(8)
}

fn request(number: u64, method: &Method, branch: &str, to: &str) -> Request {
    let text = format!(
        "{method} sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK{branch}\r\nFrom: \
         <sip:x@y>;tag=f\r\nTo: {to}\r\nCall-ID: {number}\r\nCSeq: 1 {method}\r\n\r\n"
    );
    match read(text.as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// Which of the requests it is about.
fn number_of(headers: &crate::Headers) -> u64 {
    headers.call_id().parse().unwrap()
}

impl World {
    fn new(seed: u64, network: Network) -> Self {
        let mut world = Self {
            chance: Chance(seed),
            network,
            now: Duration::ZERO,
            caller: Transactions::new(1000),
            callee: Transactions::new(1000),
            plan: BTreeMap::new(),
            planned: 0,
            asked: HashMap::new(),
            pracks: HashMap::new(),
            acknowledged: HashMap::new(),
            taken: HashMap::new(),
            invites: HashMap::new(),
            stories: HashMap::new(),
        };
        for number in 0..REQUESTS {
            let after = world.chance.millis(60_000);
            world.plan(after, Step::Ask(number));
        }
        world
    }

    fn plan(&mut self, after: Duration, step: Step) {
        self.planned += 1;
        self.plan.insert((self.now + after, self.planned), step);
    }

    fn story(&mut self, number: u64) -> &mut Story {
        self.stories.entry(number).or_default()
    }

    /// Datagrams on their way, if they get through, in whatever order.
    fn carry(&mut self, to_caller: bool, octets: &[u8]) {
        let copies = 1 + u64::from(self.chance.below(100) < self.network.repeated);
        for _ in 0..copies {
            if self.chance.below(100) >= self.network.lost {
                let delay = self.chance.millis(self.network.delay_ms + 1);
                self.plan(delay, Step::Arrive { at_caller: to_caller, octets: octets.to_vec() });
            }
        }
    }

    fn at_caller(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Send { octets, .. } => self.carry(false, &octets),
                Event::Response { id, .. } | Event::Timeout { id }
                    if self.pracks.contains_key(&id) => {}
                Event::Response { response, .. } if response.code >= 200 => {
                    let number = number_of(&response.headers);
                    self.story(number).finals.push(response.code);
                    if method(number) == Method::Invite && response.code < 300 {
                        let to = response.headers.get("To").unwrap().to_owned();
                        let ack = request(number, &Method::Ack, &format!("{number}ack"), &to);
                        self.carry(false, &ack.write());
                    }
                }
                Event::Response { id, response, .. } => self.acknowledge(id, &response),
                Event::Timeout { id } => {
                    let number = self.asked[&id];
                    self.story(number).timeouts += 1;
                }
                other => panic!("nobody calls the caller: {other:?}"),
            }
        }
    }

    /// The caller has heard something provisional.
    fn acknowledge(&mut self, id: Id, response: &crate::Response) {
        let number = number_of(&response.headers);
        let invite = self.caller.request(id).unwrap().clone();
        let known = self.acknowledged.entry(number).or_default();
        let Asked::Prack(mut prack) = known.take(&invite, response) else { return };
        prack.headers.add_first("Via", format!("SIP/2.0/UDP h;branch=z9hG4bK{number}prack"));
        self.story(number).rung += 1;
        let (id, events) = self.caller.send(flow(), prack, self.now).unwrap();
        self.pracks.insert(id, number);
        self.at_caller(events);
    }

    fn at_callee(&mut self, events: Vec<Event>) {
        for event in events {
            match event {
                Event::Send { octets, .. } => self.carry(true, &octets),
                Event::Request { id, request, .. } if request.method == Method::Prack => {
                    let number = number_of(&request.headers);
                    let taken = self
                        .invites
                        .get(&number)
                        .and_then(|invite| self.callee.acknowledged(*invite, &request, self.now));
                    let code = if taken.is_some() { 200 } else { 481 };
                    let events =
                        self.callee.respond(id, &request.response(code, "", None), self.now);
                    self.story(number).pracks += u32::from(code == 200);
                    self.at_callee(events);
                    self.at_callee(taken.unwrap_or_default());
                }
                Event::PrackMissing { id } => {
                    let number = self.taken[&id];
                    self.story(number).pracks_missing += 1;
                    self.story(number).answered = Some(504);
                    let invite = self.callee.request(id).unwrap().clone();
                    let events =
                        self.callee.respond(id, &invite.response(504, "", Some("t")), self.now);
                    self.at_callee(events);
                }
                Event::Request { id, request, .. } => {
                    let number = number_of(&request.headers);
                    self.story(number).told += 1;
                    self.taken.insert(id, number);
                    self.invites.insert(number, id);
                    let code = if self.chance.below(3) == 0 { 486 } else { 200 };
                    let mut thinks = self.chance.millis(2_000);
                    if request.method == Method::Invite {
                        let ringing = Step::Answer { id, request: request.clone(), code: 180 };
                        self.plan(thinks, ringing);
                        thinks += self.chance.millis(20_000);
                    }
                    self.plan(thinks, Step::Answer { id, request, code });
                }
                Event::Ack { id, .. } => {
                    let number = self.taken[&id];
                    self.story(number).acks += 1;
                }
                Event::AckMissing { id } => {
                    let number = self.taken[&id];
                    self.story(number).acks_missing += 1;
                }
                // An ACK that came twice, or after its time.
                Event::Stray { request, .. } => assert_eq!(request.method, Method::Ack),
                other => panic!("the callee asks nothing: {other:?}"),
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask(number) => {
                let ask = request(number, &method(number), &number.to_string(), "<sip:a@b>");
                let (id, events) = self.caller.send(flow(), ask, self.now).unwrap();
                self.asked.insert(id, number);
                self.at_caller(events);
            }
            Step::Arrive { at_caller, octets } => {
                let message = read(&octets).unwrap();
                if at_caller {
                    let events = self.caller.receive(flow(), message, self.now);
                    self.at_caller(events);
                } else {
                    let events = self.callee.receive(flow(), message, self.now);
                    self.at_callee(events);
                }
            }
            Step::Answer { id, request, code } => {
                let story = self.story(number_of(&request.headers));
                if code >= 200 && story.answered.is_none() {
                    story.answered = Some(code);
                }
                let mut answer = request.response(code, "", Some("t"));
                let events = match is_reliable(number_of(&request.headers)) && code < 200 {
                    true => {
                        answer.body = b"v=0".to_vec();
                        self.callee.respond_reliably(id, answer, 0, self.now)
                    }
                    false => self.callee.respond(id, &answer, self.now),
                };
                self.at_callee(events);
            }
        }
    }

    /// Until nothing is left to happen.
    fn run(mut self) -> HashMap<u64, Story> {
        loop {
            let planned = self.plan.first_key_value().map(|((at, _), _)| *at);
            let due = [self.caller.next_due(), self.callee.next_due()];
            let Some(next) = due.into_iter().chain([planned]).flatten().min() else { break };
            assert!(next < END, "something never ends");
            self.now = self.now.max(next);
            if planned == Some(next) {
                let (_, step) = self.plan.pop_first().unwrap();
                self.step(step);
                continue;
            }
            let events = self.caller.due(self.now);
            self.at_caller(events);
            let events = self.callee.due(self.now);
            self.at_callee(events);
        }
        assert!(self.caller.is_empty() && self.callee.is_empty(), "everything is forgotten");
        self.stories
    }
}

fn check(seed: u64, number: u64, story: &Story) {
    let at = format!("seed {seed}, request {number}: {story:?}");
    assert!(story.told <= 1, "told once: {at}");
    assert!(story.timeouts <= 1, "given up once: {at}");
    assert!(story.timeouts == 1 || !story.finals.is_empty(), "it has an outcome: {at}");
    assert!(story.timeouts == 0 || story.finals.is_empty(), "it has one outcome: {at}");
    assert!(story.finals.iter().all(|code| Some(*code) == story.answered), "as answered: {at}");
    let is_success = story.finals.first() == Some(&200);
    let may_repeat = method(number) == Method::Invite && is_success;
    assert!(may_repeat || story.finals.len() <= 1, "an outcome is told once: {at}");
    if method(number) == Method::Invite && story.answered == Some(200) {
        let held_back = u32::from(is_reliable(number)) * story.pracks_missing;
        assert_eq!(story.acks + story.acks_missing + held_back, 1, "acknowledged, or not: {at}");
    }
    if is_reliable(number) {
        assert!(story.pracks + story.pracks_missing <= 1 && story.rung <= 1, "once: {at}");
        assert!(!is_success || story.pracks == 1, "a success waits for its PRACK: {at}");
    }
}

#[test]
fn both_ends_come_to_one_end_on_any_network() {
    for seed in 0..100 {
        let mut chance = Chance(seed ^ 0x5151);
        let network = Network {
            lost: chance.below(61),
            repeated: chance.below(31),
            delay_ms: chance.below(3_000),
        };
        let stories = World::new(seed, network).run();
        assert_eq!(stories.len() as u64, REQUESTS);
        for (number, story) in &stories {
            check(seed, *number, story);
        }
    }
}

#[test]
fn nobody_gives_up_where_nothing_is_lost() {
    for seed in 0..30 {
        let network = Network { lost: 0, repeated: 20, delay_ms: 1_000 };
        for (number, story) in World::new(seed, network).run() {
            check(seed, number, &story);
            assert_eq!((story.told, story.timeouts, story.acks_missing), (1, 0, 0), "{story:?}");
            assert_eq!((story.rung, story.pracks_missing), (story.pracks, 0), "{story:?}");
        }
    }
}

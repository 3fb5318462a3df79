//! One room on two nodes: who hears whom there, what is recorded, and what is lost with the way between.

mod support;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use contracts::{LegEvent, Order};
use kernel::Sid;
use media::{Backplane, Links, WireEnd};
use support::{World, loudness, part, pause, sid, tone};

/// What nodes hear each other by, in this process.
#[derive(Default)]
struct Ether {
    nodes: Mutex<Vec<Arc<Links>>>,
    is_lost: AtomicBool,
}

/// One node's part of it.
struct Antenna {
    ether: Arc<Ether>,
    at: usize,
    subscribed: Mutex<HashSet<Arc<str>>>,
}

impl Backplane for Antenna {
    fn subscribe(&self, channel: &Arc<str>) -> bool {
        self.subscribed.lock().unwrap().insert(channel.clone())
    }

    fn unsubscribe(&self, channel: &Arc<str>) {
        assert!(self.subscribed.lock().unwrap().remove(channel));
    }

    fn publish(&self, channel: &Arc<str>, message: Vec<u8>) -> bool {
        assert!(self.subscribed.lock().unwrap().contains(channel));
        if self.ether.is_lost.load(Ordering::Relaxed) {
            return false;
        }
        let nodes = self.ether.nodes.lock().unwrap().clone();
        let others = nodes.iter().enumerate().filter(|(at, _)| *at != self.at);
        others.for_each(|(_, node)| node.hear(channel, &message));
        true
    }
}

fn nodes(count: usize) -> (Arc<Ether>, Vec<World>) {
    let ether = Arc::<Ether>::default();
    let worlds = (0..count).map(|at| {
        let antenna = Antenna { ether: ether.clone(), at, subscribed: Mutex::default() };
        let links = Links::new(Arc::new(antenna), at as u64);
        ether.nodes.lock().unwrap().push(links.clone());
        World::linked(Some(links))
    });
    let worlds = worlds.collect();
    (ether, worlds)
}

/// Legs of a room, each with its tone, on whichever node.
struct Room<'a>(Vec<(&'a World, Sid, WireEnd, u32)>);

impl<'a> Room<'a> {
    fn enter(&mut self, world: &'a World, number: u32, hz: u32) {
        let (leg, end) = world.leg(number);
        end.put(&tone(hz, 20_000));
        self.0.push((world, leg, end, hz));
    }

    fn join(&self, at: usize, (speaks, hears, only_to): (bool, bool, Option<Sid>)) {
        let part = part(speaks, hears, only_to);
        self.0[at].0.order(self.0[at].1, Order::Join { room: "CF1".into(), part });
    }

    /// Of each, whom it hears.
    async fn table(&self) -> Vec<Vec<bool>> {
        pause(400).await;
        self.0.iter().for_each(|(_, _, end, _)| drop(end.take()));
        pause(500).await;
        let row = |end: &WireEnd| {
            let heard = end.take();
            let hears = |hz: &u32| loudness(&heard, *hz as f32) > -35.0;
            self.0.iter().map(|(_, _, _, hz)| hears(hz)).collect()
        };
        self.0.iter().map(|(_, _, end, _)| row(end)).collect()
    }
}

const OPEN: (bool, bool, Option<Sid>) = (true, true, None);

#[tokio::test(flavor = "multi_thread")]
async fn who_hears_whom_on_other_nodes() {
    let (_ether, worlds) = nodes(3);
    let mut room = Room(Vec::new());
    for (at, hz) in [(0, 500), (1, 700), (1, 900), (2, 1100)] {
        room.enter(&worlds[at], at as u32 * 10 + hz, hz);
    }
    (0..4).for_each(|at| room.join(at, OPEN));
    let mut all = vec![vec![true; 4]; 4];
    (0..4).for_each(|at| all[at][at] = false);
    assert_eq!(room.table().await, all);

    // Muted, deaf, and a coach whom the first alone hears, on another node and on a third.
    let first = room.0[0].1;
    room.join(1, (false, true, None));
    room.join(2, (true, false, None));
    room.join(3, (true, true, Some(first)));
    let table = room.table().await;
    assert_eq!(table[0], [false, false, true, true]);
    assert_eq!(table[1], [true, false, true, false]);
    assert_eq!(table[2], [false; 4]);
    assert_eq!(table[3], [true, false, true, false]);

    // A beep is heard by everybody, once.
    for at in 0..4 {
        room.join(at, (false, true, None));
    }
    pause(300).await;
    room.0.iter().for_each(|(_, _, end, _)| drop(end.take()));
    worlds[1].order(room.0[1].1, Order::Beep);
    pause(900).await;
    for (_, leg, end, _) in &room.0 {
        let heard = end.take();
        let loud = heard.chunks(160).filter(|frame| loudness(frame, 1400.0) > -35.0).count();
        assert!((20..=26).contains(&loud), "{leg}: {loud} frames");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_holds_all_nodes_and_ends_with_the_last() {
    let (_ether, worlds) = nodes(2);
    let mut room = Room(Vec::new());
    room.enter(&worlds[0], 1, 500);
    room.enter(&worlds[1], 2, 900);
    (0..2).for_each(|at| room.join(at, OPEN));
    pause(300).await;
    let of = |number| move |event: &LegEvent| matches!(event, LegEvent::Recorded { recording, .. } if *recording == sid("RE", number));
    for number in 1..=3 {
        worlds[0].order(room.0[0].1, Order::RecordRoom { recording: sid("RE", number) });
    }
    pause(400).await;
    // It ends on another node than it began, and goes on without the leg that began it.
    worlds[1].order(room.0[1].1, Order::StopRecording { recording: sid("RE", 1) });
    worlds[0].event(room.0[0].1, of(1)).await;
    let pause_it = Order::PauseRecording { recording: sid("RE", 3), skip: true };
    worlds[1].order(room.0[1].1, pause_it);
    worlds[0].order(room.0[0].1, Order::Leave);
    pause(600).await;
    worlds[1].order(room.0[1].1, Order::Leave);
    let mut millis = Vec::new();
    for number in 2..=3 {
        let LegEvent::Recorded { sound, millis: long, .. } =
            worlds[0].event(room.0[0].1, of(number)).await
        else {
            unreachable!()
        };
        let name = sound.unwrap().parse::<usize>().unwrap();
        let file = worlds[0].told.sounds.lock().unwrap()[name].clone();
        let samples = audio::wav::read(&file).unwrap().samples;
        let frames = |hz: f32| samples.chunks(160).filter(|it| loudness(it, hz) > -30.0).count();
        millis.push((long, frames(500.0), frames(900.0)));
    }
    let (long, first, second) = millis[0];
    assert!((900..1600).contains(&long) && first >= 15 && second >= first + 20, "{millis:?}");
    assert!(millis[1].0 + 400 < long, "the pause was heard of: {millis:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_way_there_is_silence_until_it_is_back() {
    let (ether, worlds) = nodes(2);
    let mut room = Room(Vec::new());
    room.enter(&worlds[0], 1, 500);
    room.enter(&worlds[1], 2, 900);
    (0..2).for_each(|at| room.join(at, OPEN));
    let both = [[false, true], [true, false]];
    assert_eq!(room.table().await, both);
    ether.is_lost.store(true, Ordering::Relaxed);
    assert_eq!(room.table().await, [[false; 2]; 2]);
    pause(3200).await;
    ether.is_lost.store(false, Ordering::Relaxed);
    pause(1100).await;
    assert_eq!(room.table().await, both);
    // Who has left is forgotten.
    let (rooms, dropped) = ether.nodes.lock().unwrap()[1].load();
    assert!(rooms == 1 && dropped > 0, "{dropped}");
    worlds[1].order(room.0[1].1, Order::Leave);
    pause(200).await;
    assert_eq!(ether.nodes.lock().unwrap()[1].load().0, 0);
    assert_eq!(room.table().await, [[false; 2]; 2]);
}

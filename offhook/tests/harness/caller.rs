//! Somebody on a telephone that speaks SIP, who hums a tone without end, and what is heard of others.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use audio::g711::Law;
use audio::tone::Tone;
use rtp::packet::Packet;
use rtp::stream::Stream;
use serde_json::Value;
use sip::Method;
use sip::dialog::Dialog;

use super::{Telephone, World};

/// How loud a tone is to count as heard, in dBFS.
const HEARD: f32 = -38.0;

/// Somebody on the telephone.
pub struct Caller {
    pub phone: Arc<Telephone>,
    pub dialog: Dialog,
    pub sid: String,
    /// What has been heard since it was looked at.
    pub heard: Arc<Mutex<Vec<i16>>>,
    /// What is hummed, in Hz; 0 is silence.
    pub pitch: Arc<Mutex<u32>>,
    pub tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Caller {
    /// Calls the world's number and hums.
    pub async fn call(world: &World, from: &str, pitch: u32) -> Self {
        let env = world.own("GET", "env", Value::Null).await.json();
        let phone = Arc::new(Telephone::start(env["sip"].as_str().expect("SIP listens")).await);
        let uri = format!("sip:{}@127.0.0.1", world.number);
        let invite = phone.invite(&uri, &format!("sip:{from}@127.0.0.1"));
        phone.say(invite.write()).await;
        let success = phone.response(200, &invite).await;
        let dialog = phone.acknowledge(&invite, &success).await;
        let there = Telephone::sound_of(&success.body);
        let query = [("From", from), ("Status", "in-progress")];
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let path = format!("Calls.json?{}", query.join("&").replace('+', "%2B"));
        let calls = world.get(&world.path(&path)).await.json();
        let sid = calls["calls"][0]["sid"].as_str().expect("the call is there").to_owned();
        Self::on(phone, dialog, sid, there, pitch)
    }

    /// Answers the call that comes to a telephone, and hums.
    pub async fn answer(phone: Telephone, pitch: u32) -> Self {
        let phone = Arc::new(phone);
        let invite = phone.asked(Method::Invite).await;
        phone.answer(&invite, 200, Some(phone.session("sendrecv"))).await;
        let dialog = Dialog::of_invite(&invite, "callee").unwrap();
        let there = Telephone::sound_of(&invite.body);
        Self::on(phone, dialog, String::new(), there, pitch)
    }

    fn on(
        phone: Arc<Telephone>,
        dialog: Dialog,
        sid: String,
        there: std::net::SocketAddr,
        pitch: u32,
    ) -> Self {
        let (heard, pitch) = (Arc::default(), Arc::new(Mutex::new(pitch)));
        let tasks = vec![
            tokio::spawn(hum(phone.clone(), there, pitch.clone())),
            tokio::spawn(listen(phone.clone(), Arc::clone(&heard))),
        ];
        Self { phone, dialog, sid, heard, pitch, tasks }
    }

    pub fn forget(&self) {
        self.heard.lock().unwrap().clear();
    }

    pub fn hears(&self, pitch: u32) -> bool {
        loudness(&self.heard.lock().unwrap(), pitch as f32) > HEARD
    }

    pub async fn hang_up(mut self) {
        let bye = self.phone.inside(&mut self.dialog, Method::Bye);
        self.phone.say(bye.write()).await;
        self.phone.response(200, &bye).await;
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

async fn hum(phone: Arc<Telephone>, there: std::net::SocketAddr, pitch: Arc<Mutex<u32>>) {
    let mut stream = Stream::new(7, 1, 1);
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let (mut sounding, mut tone) = (0, Tone::parse("0").unwrap());
    loop {
        tick.tick().await;
        let wanted = *pitch.lock().unwrap();
        if wanted != sounding {
            (sounding, tone) = (wanted, Tone::parse(&wanted.to_string()).unwrap());
        }
        let payload: Vec<u8> = tone.frame().iter().map(|sample| Law::Mu.encode(*sample)).collect();
        let mut out = Vec::new();
        stream.sound(0, &payload, 160, &mut out).unwrap();
        let _ = phone.sound.send_to(&out, there).await;
    }
}

async fn listen(phone: Arc<Telephone>, heard: Arc<Mutex<Vec<i16>>>) {
    let mut octets = [0; 2048];
    while let Ok(length) = phone.sound.recv(&mut octets).await {
        if let Ok(packet) = Packet::read(&octets[..length])
            && packet.header.payload_type == 0
        {
            Law::Mu.decode_to(packet.payload, &mut heard.lock().unwrap());
        }
    }
}

/// How loud one frequency is, in dBFS.
pub fn loudness(samples: &[i16], hz: f32) -> f32 {
    let (mut sine, mut cosine) = (0.0f32, 0.0f32);
    for (at, sample) in samples.iter().enumerate() {
        let turn = std::f32::consts::TAU * ((hz * at as f32 / 8000.0) % 1.0);
        sine += turn.sin() * f32::from(*sample);
        cosine += turn.cos() * f32::from(*sample);
    }
    let amplitude = (sine * sine + cosine * cosine).sqrt() * 2.0 / samples.len().max(1) as f32;
    20.0 * (amplitude / 32_768.0).max(1e-6).log10()
}

pub async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Who hears whom now, one line for each listener: the letters of whom it hears.
pub async fn table(callers: &[Caller], pitches: &[u32]) -> Vec<String> {
    pause(300).await;
    callers.iter().for_each(Caller::forget);
    pause(600).await;
    let letters = |caller: &Caller| {
        let heard = pitches.iter().zip('a'..).filter(|(pitch, _)| caller.hears(**pitch));
        heard.map(|(_, letter)| letter).collect()
    };
    callers.iter().map(letters).collect()
}

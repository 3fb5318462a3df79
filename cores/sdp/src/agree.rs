//! Offers, answers, and what they agree on (RFC 3264).

use std::net::{IpAddr, SocketAddr};

use audio::g711::Law;
use rtp::payload::{Codec, Map};

use crate::read::{Crypto, Description, Direction, Media};

/// Our end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    pub address: IpAddr,
    pub port: u16,
    /// Of the session, and of this description of it: one more each time.
    pub session: u64,
    pub version: u64,
    pub direction: Direction,
}

/// Whether sound is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Srtp {
    /// As the offer has it.
    Allowed,
    Required,
}

/// Why there is no agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("there is no stream of sound")]
    NoAudio,
    #[error("there is no codec that both speak")]
    NoCodec,
    #[error("the sound has to be protected")]
    Insecure,
    #[error("there is no key that can be used")]
    NoKey,
}

/// One stream as both ends want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Where sound goes to; `None`: nowhere that is an address, until some comes.
    pub remote: Option<SocketAddr>,
    /// Where reports go to; `None` with `mux`: with the sound.
    pub rtcp: Option<SocketAddr>,
    pub mux: bool,
    /// What payload types mean, both ways.
    pub receive: Map,
    /// How sound is sent.
    pub codec: (u8, Codec),
    /// How keys are sent.
    pub events: Option<u8>,
    /// Ours.
    pub direction: Direction,
    /// Keys for what we send and for what they do.
    pub keys: Option<(Crypto, Crypto)>,
}

impl Agreed {
    /// The other end does not want to hear anything.
    pub fn is_held(&self) -> bool {
        !self.direction.sends()
    }
}

fn head(local: &Local) -> String {
    let family = if local.address.is_ipv6() { "IP6" } else { "IP4" };
    let Local { address, session, version, .. } = local;
    format!(
        "v=0\r\no=- {session} {version} IN {family} {address}\r\ns=Offhook\r\n\
         c=IN {family} {address}\r\nt=0 0\r\n"
    )
}

/// What a stream says of one of its codecs.
fn codec_lines(number: u8, codec: Codec) -> String {
    match codec {
        Codec::G711(Law::Mu) => format!("a=rtpmap:{number} PCMU/8000\r\n"),
        Codec::G711(Law::A) => format!("a=rtpmap:{number} PCMA/8000\r\n"),
        Codec::Opus => format!(
            "a=rtpmap:{number} opus/{}/2\r\na=fmtp:{number} maxplaybackrate=8000;useinbandfec=1\r\n",
            codec.clock()
        ),
        Codec::TelephoneEvent(clock) => {
            format!("a=rtpmap:{number} telephone-event/{clock}\r\na=fmtp:{number} 0-16\r\n")
        }
        Codec::ComfortNoise => format!("a=rtpmap:{number} CN/8000\r\n"),
    }
}

fn stream(local: &Local, codecs: &[(u8, Codec)], key: Option<&Crypto>, mux: bool) -> String {
    let numbers: Vec<String> = codecs.iter().map(|(number, _)| number.to_string()).collect();
    let profile = if key.is_some() { "RTP/SAVP" } else { "RTP/AVP" };
    let mut out = format!("m=audio {} {profile} {}\r\n", local.port, numbers.join(" "));
    for (number, codec) in codecs {
        out.push_str(&codec_lines(*number, *codec));
    }
    if let Some(key) = key {
        out.push_str(&key.line());
    }
    if mux {
        out.push_str("a=rtcp-mux\r\n");
    }
    out.push_str(&format!("a=ptime:20\r\na=maxptime:60\r\na={}\r\n", local.direction.as_str()));
    out
}

/// What we ask for: both laws, Opus, and keys beside the sound; protected if there is a key.
pub fn offer(local: &Local, key: Option<&Crypto>) -> String {
    let laws = [(0, Codec::G711(Law::Mu)), (8, Codec::G711(Law::A))];
    let others = [(111, Codec::Opus), (101, Codec::TelephoneEvent(8_000))];
    head(local) + &stream(local, &[laws, others].concat(), key, false)
}

/// One of a recorder's streams: it only sends.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub local: Local,
    pub label: &'static str,
    /// Its own, where sound is protected.
    pub key: Option<Crypto>,
}

/// What a recorder is offered: streams with labels (RFC 7866 §7.1.1).
pub fn offer_recording(streams: &[Recorded]) -> String {
    let laws = [(0, Codec::G711(Law::Mu)), (8, Codec::G711(Law::A))];
    let Some(first) = streams.first() else { return String::new() };
    let described = streams.iter().map(|Recorded { local, label, key }| {
        let local = Local { direction: Direction::SendOnly, ..*local };
        stream(&local, &laws, key.as_ref(), false) + &format!("a=label:{label}\r\n")
    });
    head(&first.local) + &described.collect::<String>()
}

/// Takes a recorder's answer, in which every stream has its place.
///
/// # Errors
/// When one of them is not taken, or not as protected as it was offered.
pub fn accept_recording(
    answer: &Description,
    streams: &[Recorded],
) -> Result<Vec<Agreed>, Refusal> {
    let taken = |(at, stream): (usize, &Recorded)| {
        let media = answer.media.get(at).filter(|media| media.port != 0);
        let media = media.ok_or(Refusal::NoAudio)?;
        agreed(media, Direction::SendOnly, keys(media, stream.key.as_ref())?)
    };
    streams.iter().enumerate().map(taken).collect()
}

/// The keys of an answer to an offer that had this one.
fn keys(media: &Media, ours: Option<&Crypto>) -> Result<Option<(Crypto, Crypto)>, Refusal> {
    match (ours, media.is_secure()) {
        (None, false) => Ok(None),
        (Some(ours), true) => {
            let theirs = media.crypto.iter().find(|c| c.tag == ours.tag && c.suite == ours.suite);
            Ok(Some((ours.clone(), theirs.ok_or(Refusal::NoKey)?.clone())))
        }
        (Some(_), false) => Err(Refusal::Insecure),
        (None, true) => Err(Refusal::NoKey),
    }
}

/// What is spoken of a stream: sound, keys beside it, and what every number means.
struct Common {
    codec: (u8, Codec),
    events: Option<u8>,
    receive: Map,
}

/// What two ends speak of a stream, in its order: Opus only with whom no law is spoken.
fn common(media: &Media) -> Result<Common, Refusal> {
    let all = media.codecs();
    let law = all.iter().find(|(_, codec)| matches!(codec, Codec::G711(_)));
    let sound = law.or_else(|| all.iter().find(|(_, codec)| *codec == Codec::Opus));
    let sound = *sound.ok_or(Refusal::NoCodec)?;
    let clock = sound.1.clock();
    let events = |clock| all.iter().find(move |(_, c)| *c == Codec::TelephoneEvent(clock));
    let events = events(clock).or_else(|| events(8_000)).copied();
    let mut map = Map::default();
    for (number, codec) in all.iter().copied() {
        let fits = match codec {
            Codec::TelephoneEvent(_) => events.is_some_and(|(_, chosen)| chosen == codec),
            other => other.clock() == clock,
        };
        if fits {
            // A number that is named twice, or is none, means what it meant first.
            let _ = map.add(number, codec);
        }
    }
    Ok(Common { codec: sound, events: events.map(|(number, _)| number), receive: map })
}

fn agreed(
    media: &Media,
    direction: Direction,
    keys: Option<(Crypto, Crypto)>,
) -> Result<Agreed, Refusal> {
    let Common { codec, events, receive } = common(media)?;
    let address = media.address.filter(|address| !address.is_unspecified());
    let remote = address.map(|address| SocketAddr::new(address, media.port));
    let rtcp = media.rtcp_port.unwrap_or(media.port.saturating_add(1));
    Ok(Agreed {
        remote,
        rtcp: address.map(|address| SocketAddr::new(address, rtcp)),
        mux: media.rtcp_mux,
        receive,
        codec,
        events,
        direction,
        keys,
    })
}

/// What the offer's end lets us do. An address of zeros is the hold of old (RFC 2543).
fn answered_direction(media: &Media) -> Direction {
    let old_hold = media.address.is_some_and(|address| address.is_unspecified());
    match media.direction {
        Direction::Both if old_hold => Direction::ReceiveOnly,
        other => other.reversed(),
    }
}

/// Answers an offer. `key` makes the key of ours, of the offer's suite.
///
/// # Errors
/// When no stream can be taken: 488.
pub fn answer(
    offer: &Description,
    local: &Local,
    srtp: Srtp,
    key: impl Fn(&Crypto) -> Crypto,
) -> Result<(Agreed, String), Refusal> {
    let mut refusal = Refusal::NoAudio;
    let mut chosen = None;
    for (at, media) in offer.media.iter().enumerate() {
        if !media.kind.eq_ignore_ascii_case("audio") || media.port == 0 {
            continue;
        }
        let plain = media.protocol.eq_ignore_ascii_case("RTP/AVP");
        let taken = match () {
            () if media.is_secure() => match media.crypto.first() {
                Some(theirs) => Ok(Some((key(theirs), theirs.clone()))),
                None => Err(Refusal::NoKey),
            },
            () if plain && srtp == Srtp::Allowed => Ok(None),
            () if plain => Err(Refusal::Insecure),
            () => Err(Refusal::NoAudio),
        };
        match taken.and_then(|keys| agreed(media, answered_direction(media), keys)) {
            Ok(agreed) => {
                chosen = Some((at, agreed));
                break;
            }
            Err(why) => refusal = why,
        }
    }
    let (chosen, agreed) = chosen.ok_or(refusal)?;
    let local = Local { direction: agreed.direction, ..*local };
    let mut text = head(&local);
    for (at, media) in offer.media.iter().enumerate() {
        if at == chosen {
            let key = agreed.keys.as_ref().map(|(ours, _)| ours);
            let events =
                agreed.events.and_then(|number| Some((number, agreed.receive.codec(number)?)));
            let codecs: Vec<_> = [agreed.codec].into_iter().chain(events).collect();
            text.push_str(&stream(&local, &codecs, key, agreed.mux));
        } else {
            let format = media.formats.first().map_or("0", String::as_str);
            text.push_str(&format!("m={} 0 {} {format}\r\n", media.kind, media.protocol));
        }
    }
    Ok((agreed, text))
}

/// Takes the answer to an offer of ours, which had `key` if it was protected.
///
/// # Errors
/// When it answers something else.
pub fn accept(
    answer: &Description,
    local: &Local,
    key: Option<&Crypto>,
) -> Result<Agreed, Refusal> {
    let media = answer.media.iter().find(|media| media.kind.eq_ignore_ascii_case("audio"));
    let media = media.filter(|media| media.port != 0).ok_or(Refusal::NoAudio)?;
    let keys = keys(media, key)?;
    let theirs = answered_direction(media);
    let sends = theirs.sends() && local.direction.sends();
    let receives = theirs.receives() && local.direction.receives();
    let direction = match (sends, receives) {
        (true, true) => Direction::Both,
        (true, false) => Direction::SendOnly,
        (false, true) => Direction::ReceiveOnly,
        (false, false) => Direction::Inactive,
    };
    agreed(media, direction, keys)
}

#[cfg(test)]
#[path = "tests/agree.rs"]
mod tests;

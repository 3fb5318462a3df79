//! The grammar of voice TwiML as one table: which element stands where, which attributes it has,
//! what their values look like, and the warning for one that does not.
//!
//! Source: the builders of Twilio's official helper libraries, and Twilio docs, "TwiML for
//! Programmable Voice". Attributes that only one of the two knows are here as well.

/// What an attribute's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// Absolute http(s), or relative to the document.
    Url,
    /// As [`Kind::Url`], or empty for "none".
    UrlOrNone,
    /// `wss://…`.
    Socket,
    /// `GET` or `POST`, in any case.
    Method,
    /// `true` or `false`, in any case.
    Flag,
    /// Inclusive range.
    Integer(i64, i64),
    /// A positive integer, or `auto`.
    SecondsOrAuto,
    OneOf(&'static [&'static str]),
    /// Words of this list, separated by white space.
    Words(&'static [&'static str]),
    /// Keys that may be pressed; more than one where it says so.
    Keys {
        several: bool,
    },
    /// Tones to play: `0-9 A-D # * w W`.
    Tones,
    /// At most so many characters.
    Short(usize),
}

/// An attribute of an element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attribute {
    pub name: &'static str,
    pub kind: Kind,
    /// The code when the value is none of its kind.
    pub code: u32,
}

/// An element; `Sip` inside `Refer` is its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element {
    pub name: &'static str,
    pub children: &'static [&'static str],
    pub attributes: &'static [Attribute],
}

const fn at(name: &'static str, kind: Kind, code: u32) -> Attribute {
    Attribute { name, kind, code }
}
const fn text(name: &'static str) -> Attribute {
    at(name, Kind::Text, 12200)
}
const fn url(name: &'static str) -> Attribute {
    at(name, Kind::Url, 11100)
}
const fn method(name: &'static str, code: u32) -> Attribute {
    at(name, Kind::Method, code)
}
const fn flag(name: &'static str, code: u32) -> Attribute {
    at(name, Kind::Flag, code)
}
const fn int(name: &'static str, least: i64, most: i64, code: u32) -> Attribute {
    at(name, Kind::Integer(least, most), code)
}
const fn one(name: &'static str, values: &'static [&'static str], code: u32) -> Attribute {
    at(name, Kind::OneOf(values), code)
}
const fn words(name: &'static str, values: &'static [&'static str], code: u32) -> Attribute {
    at(name, Kind::Words(values), code)
}
const fn el(
    name: &'static str,
    children: &'static [&'static str],
    attributes: &'static [Attribute],
) -> Element {
    Element { name, children, attributes }
}

const MOST: i64 = i64::MAX;
const TRACKS: &[&str] = &["inbound_track", "outbound_track", "both_tracks"];
const RECORDING_EVENTS: &[&str] = &["in-progress", "completed", "absent"];
const CALL_EVENTS: &[&str] = &["initiated", "ringing", "answered", "completed"];
const TRIM: &[&str] = &["trim-silence", "do-not-trim"];
const RECORD: &[&str] = &[
    "do-not-record",
    "record-from-answer",
    "record-from-ringing",
    "record-from-answer-dual",
    "record-from-ringing-dual",
    "true",
    "false",
];
const CARDS: &[&str] = &[
    "visa",
    "mastercard",
    "amex",
    "maestro",
    "discover",
    "optima",
    "jcb",
    "diners-club",
    "enroute",
];
const RING_TONES: &[&str] = &[
    "at", "au", "bg", "br", "be", "ch", "cl", "cn", "cz", "de", "dk", "ee", "es", "fi", "fr", "gr",
    "hu", "il", "in", "it", "lt", "jp", "mx", "my", "nl", "no", "nz", "ph", "pl", "pt", "ru", "se",
    "sg", "th", "uk", "us", "us-old", "tw", "ve", "za",
];
/// Elements of speech markup inside `Say`.
pub(crate) const SSML: &[&str] =
    &["break", "emphasis", "lang", "p", "phoneme", "prosody", "s", "say-as", "sub", "w"];
const INSIDE_P: &[&str] =
    &["break", "emphasis", "lang", "phoneme", "prosody", "s", "say-as", "sub", "w"];
const INSIDE_S: &[&str] =
    &["break", "emphasis", "lang", "phoneme", "prosody", "say-as", "sub", "w"];
const INSIDE_W: &[&str] = &["break", "emphasis", "phoneme", "prosody", "say-as", "sub"];

/// What one may write directly inside `<Response>`.
pub(crate) const VERBS: &[&str] = &[
    "Connect", "Dial", "Echo", "Enqueue", "Gather", "Hangup", "Leave", "Pause", "Pay", "Play",
    "Prompt", "Queue", "Record", "Redirect", "Refer", "Reject", "Say", "Sms", "Start", "Stop",
];

/// Screening and progress of a dialled party.
const PARTY: [Attribute; 5] = [
    url("url"),
    method("method", 13221),
    url("statusCallback"),
    words("statusCallbackEvent", CALL_EVENTS, 12200),
    method("statusCallbackMethod", 12200),
];
const DETECTION: [Attribute; 7] = [
    one("machineDetection", &["Enable", "DetectMessageEnd"], 12200),
    int("machineDetectionTimeout", 3, 60, 12200),
    int("machineDetectionSpeechThreshold", 1000, 6000, 12200),
    int("machineDetectionSpeechEndThreshold", 500, 5000, 12200),
    int("machineDetectionSilenceTimeout", 2000, 10_000, 12200),
    url("amdStatusCallback"),
    method("amdStatusCallbackMethod", 12200),
];
const RECORDED: [Attribute; 4] = [
    at("recordingStatusCallback", Kind::Url, 13256),
    method("recordingStatusCallbackMethod", 12200),
    words("recordingStatusCallbackEvent", RECORDING_EVENTS, 13621),
    text("recordingConfigurationId"),
];

const fn join<const A: usize, const B: usize, const ALL: usize>(
    first: [Attribute; A],
    second: [Attribute; B],
) -> [Attribute; ALL] {
    assert!(A + B == ALL);
    let mut all = [text(""); ALL];
    let mut at = 0;
    while at < ALL {
        all[at] = if at < A { first[at] } else { second[at - A] };
        at += 1;
    }
    all
}

const DIAL: [Attribute; 21] = join(
    [
        url("action"),
        method("method", 13210),
        int("timeout", 1, 600, 13212),
        int("timeLimit", 1, 86_400, 13216),
        at("callerId", Kind::Short(255), 13248),
        flag("answerOnBridge", 13219),
        flag("hangupOnStar", 13213),
        one("record", RECORD, 13217),
        one("recordingTrack", &["both", "inbound", "outbound"], 13622),
        url("referUrl"),
        method("referMethod", 13210),
        one("ringTone", RING_TONES, 13220),
        flag("sequential", 13218),
        text("events"),
        text("passports"),
        one("trim", TRIM, 12200),
        at("callReason", Kind::Short(50), 12200),
    ],
    RECORDED,
);
const GATHER: &[Attribute] = &[
    url("action"),
    method("method", 13312),
    words("input", &["dtmf", "speech"], 13326),
    int("numDigits", 1, MOST, 13314),
    at("finishOnKey", Kind::Keys { several: false }, 13310),
    int("timeout", 1, MOST, 13313),
    at("speechTimeout", Kind::SecondsOrAuto, 13327),
    int("maxSpeechTime", 1, 60, 13328),
    flag("actionOnEmptyResult", 13338),
    at("language", Kind::Short(20), 13331),
    at("hints", Kind::Short(50_000), 13330),
    flag("profanityFilter", 13333),
    text("speechModel"),
    flag("enhanced", 12200),
    url("partialResultCallback"),
    method("partialResultCallbackMethod", 13329),
    flag("bargeIn", 13332),
    flag("debug", 12200),
];
const RECORD_VERB: [Attribute; 13] = join(
    [
        url("action"),
        method("method", 13610),
        int("timeout", 0, MOST, 13611),
        at("finishOnKey", Kind::Keys { several: true }, 13613),
        int("maxLength", 1, 86_400, 13612),
        flag("playBeep", 13616),
        flag("transcribe", 13614),
        at("transcribeCallback", Kind::Url, 13257),
        one("trim", TRIM, 13699),
    ],
    RECORDED,
);
const CONFERENCE: [Attribute; 21] = join(
    [
        flag("muted", 13230),
        one("beep", &["true", "false", "onEnter", "onExit"], 13235),
        flag("startConferenceOnEnter", 13232),
        flag("endConferenceOnExit", 13231),
        at("participantLabel", Kind::Short(128), 16023),
        one("jitterBufferSize", &["large", "medium", "small", "off"], 12200),
        int("maxParticipants", 2, 250, 12200),
        one("record", &["do-not-record", "record-from-start", "true", "false"], 12200),
        one("region", &["us1", "us2", "ie1", "de1", "sg1", "br1", "au1", "jp1"], 12200),
        one("trim", TRIM, 13239),
        text("coach"),
        at("waitUrl", Kind::UrlOrNone, 13233),
        method("waitMethod", 13234),
        url("statusCallback"),
        words(
            "statusCallbackEvent",
            &["start", "end", "join", "leave", "mute", "hold", "modify", "speaker", "announcement"],
            12200,
        ),
        method("statusCallbackMethod", 12200),
        url("eventCallbackUrl"),
    ],
    RECORDED,
);
const NUMBER: [Attribute; 14] =
    join(join::<5, 2, 7>(PARTY, [at("sendDigits", Kind::Tones, 13222), text("byoc")]), DETECTION);
const SIP: [Attribute; 14] = join(
    join::<5, 2, 7>(
        PARTY,
        [at("username", Kind::Short(255), 13249), at("password", Kind::Short(255), 13249)],
    ),
    DETECTION,
);
const APPLICATION: [Attribute; 7] = join(PARTY, [text("customerId"), flag("copyParentTo", 12200)]);
const CONVERSATION: [Attribute; 14] = join(
    join::<5, 5, 10>(
        [
            text("serviceInstanceSid"),
            flag("inboundAutocreation", 12200),
            int("routingAssignmentTimeout", 0, MOST, 12200),
            int("inboundTimeout", 0, MOST, 12200),
            one("record", RECORD, 12200),
        ],
        [
            url("url"),
            method("method", 12200),
            url("statusCallback"),
            text("statusCallbackEvent"),
            method("statusCallbackMethod", 12200),
        ],
    ),
    [
        at("recordingStatusCallback", Kind::Url, 13256),
        method("recordingStatusCallbackMethod", 12200),
        words("recordingStatusCallbackEvent", RECORDING_EVENTS, 13621),
        one("trim", TRIM, 12200),
    ],
);
const START_RECORDING: [Attribute; 8] = join(
    [
        one("channels", &["mono", "dual"], 12200),
        one("track", &["inbound", "outbound", "both"], 13622),
        one("trim", TRIM, 12200),
        text("name"),
    ],
    RECORDED,
);
const fn callback(name: &'static str, method_name: &'static str) -> [Attribute; 2] {
    [url(name), method(method_name, 12200)]
}
const NAMED: &[Attribute] = &[text("name"), text("value")];

/// All elements, `Response` first.
pub(crate) const ELEMENTS: &[Element] = &[
    el("Response", VERBS, &[text("version")]),
    el(
        "Dial",
        &["Application", "Client", "Conference", "Number", "Queue", "Sim", "Sip", "WhatsApp"],
        &DIAL,
    ),
    el("Gather", &["Pause", "Play", "Say"], GATHER),
    el("Record", &[], &RECORD_VERB),
    el(
        "Say",
        SSML,
        &[text("voice"), at("language", Kind::Short(20), 13512), int("loop", 0, MOST, 13510)],
    ),
    el("Play", &[], &[int("loop", 0, MOST, 13410), at("digits", Kind::Tones, 13430)]),
    el("Pause", &[], &[int("length", 0, MOST, 13910)]),
    el("Redirect", &[], &[method("method", 13710)]),
    el("Reject", &["Parameter"], &[one("reason", &["rejected", "busy"], 13810)]),
    el("Hangup", &["Parameter"], &[]),
    el("Leave", &[], &[]),
    el("Echo", &[], &[]),
    el(
        "Enqueue",
        &["Task"],
        &[
            at("action", Kind::Url, 14203),
            method("method", 14201),
            at("waitUrl", Kind::UrlOrNone, 14202),
            method("waitUrlMethod", 14206),
            text("workflowSid"),
            int("maxQueueSize", 1, 5000, 12200),
        ],
    ),
    el("Task", &[], &[int("priority", 0, MOST, 12200), int("timeout", 0, MOST, 12200)]),
    el("Refer", &["Sip"], &[url("action"), method("method", 12200)]),
    el(
        "Connect",
        &[
            "AiSession",
            "Autopilot",
            "Conversation",
            "ConversationRelay",
            "ConversationRelaySession",
            "Room",
            "Stream",
            "VirtualAgent",
        ],
        &[url("action"), method("method", 12200)],
    ),
    el(
        "Start",
        &["Recording", "Siprec", "Stream", "Transcription"],
        &[url("action"), method("method", 12200)],
    ),
    el("Stop", &["Recording", "Siprec", "Stream", "Transcription"], &[]),
    el(
        "Pay",
        &["Parameter", "Prompt"],
        &[
            one("input", &["dtmf"], 12200),
            url("action"),
            one("paymentMethod", &["credit-card", "ach-debit"], 12200),
            text("bankAccountType"),
            url("statusCallback"),
            method("statusCallbackMethod", 12200),
            int("timeout", 1, 600, 12200),
            int("maxAttempts", 1, 3, 12200),
            flag("securityCode", 12200),
            text("postalCode"),
            int("minPostalCodeLength", 0, 20, 12200),
            text("paymentConnector"),
            one("tokenType", &["one-time", "reusable", "payment-method"], 12200),
            text("chargeAmount"),
            text("currency"),
            text("description"),
            text("validCardTypes"),
            text("language"),
        ],
    ),
    el(
        "Prompt",
        &["Pause", "Play", "Say"],
        &[
            text("for"),
            text("attempt"),
            text("errorType"),
            words("cardType", CARDS, 12200),
            flag("requireMatchingInputs", 12200),
        ],
    ),
    el(
        "Sms",
        &[],
        &[
            text("to"),
            text("from"),
            url("action"),
            method("method", 14104),
            at("statusCallback", Kind::Url, 14105),
        ],
    ),
    el("Number", &[], &NUMBER),
    el("Client", &["Identity", "Parameter"], &PARTY),
    el("Sip", &["Headers", "Uri"], &SIP),
    el("Uri", &[], &[text("priority"), text("weight"), text("username"), text("password")]),
    el("Headers", &["Header"], &[]),
    el("Header", &[], NAMED),
    el("Conference", &[], &CONFERENCE),
    el(
        "Queue",
        &[],
        &[
            at("url", Kind::Url, 14211),
            method("method", 14210),
            text("reservationSid"),
            text("postWorkActivitySid"),
        ],
    ),
    el("Application", &["ApplicationSid", "Parameter"], &APPLICATION),
    el("ApplicationSid", &[], &[]),
    el("Sim", &[], &[]),
    el("WhatsApp", &[], &PARTY),
    el("Identity", &[], &[]),
    el("Parameter", &[], NAMED),
    el(
        "Stream",
        &["Parameter"],
        &[
            at("url", Kind::Socket, 31922),
            text("name"),
            one("track", TRACKS, 12200),
            url("statusCallback"),
            method("statusCallbackMethod", 12200),
            text("connectorName"),
            text("audioFormat"),
            text("sampleRate"),
        ],
    ),
    el(
        "ConversationRelay",
        &["Language", "Parameter"],
        &[
            at("url", Kind::Socket, 31922),
            text("welcomeGreeting"),
            text("welcomeGreetingInterruptible"),
            text("language"),
            text("ttsLanguage"),
            text("transcriptionLanguage"),
            text("ttsProvider"),
            text("voice"),
            text("transcriptionProvider"),
            text("speechModel"),
            text("interruptible"),
            one("interruptSensitivity", &["low", "medium", "high"], 12200),
            flag("dtmfDetection", 12200),
            text("reportInputDuringAgentSpeech"),
            flag("preemptible", 12200),
            text("hints"),
            text("debug"),
            text("events"),
            one("elevenlabsTextNormalization", &["on", "auto", "off"], 12200),
            text("intelligenceService"),
            flag("partialPrompts", 12200),
            flag("profanityFilter", 12200),
            text("backgroundnoisereduction"),
            text("deepgramsmartformat"),
            text("deepgramSmartFormat"),
            text("ignorebackchannel"),
            text("speechtimeout"),
        ],
    ),
    el(
        "Language",
        &[],
        &[
            text("code"),
            text("ttsProvider"),
            text("voice"),
            text("transcriptionProvider"),
            text("speechModel"),
        ],
    ),
    el("ConversationRelaySession", &[], &[text("connector"), text("sessionConfiguration")]),
    el("AiSession", &[], &[text("aiConnector"), text("aiSessionConfiguration")]),
    el("Autopilot", &[], &[]),
    el(
        "VirtualAgent",
        &["Config", "Parameter"],
        &[
            text("connectorName"),
            text("language"),
            flag("sentimentAnalysis", 12200),
            url("statusCallback"),
            method("statusCallbackMethod", 12200),
        ],
    ),
    el("Config", &[], NAMED),
    el("Conversation", &[], &CONVERSATION),
    el("Room", &[], &[text("participantIdentity")]),
    el(
        "Siprec",
        &["Parameter"],
        &join::<3, 2, 5>(
            [text("name"), text("connectorName"), one("track", TRACKS, 12200)],
            callback("statusCallback", "statusCallbackMethod"),
        ),
    ),
    el(
        "Transcription",
        &["Config", "Parameter"],
        &[
            text("name"),
            one("track", TRACKS, 12200),
            url("statusCallbackUrl"),
            method("statusCallbackMethod", 12200),
            text("inboundTrackLabel"),
            text("outboundTrackLabel"),
            flag("partialResults", 12200),
            text("languageCode"),
            text("transcriptionEngine"),
            text("speechModel"),
            flag("profanityFilter", 12200),
            text("hints"),
            flag("enableAutomaticPunctuation", 12200),
            text("intelligenceService"),
            flag("enableProviderData", 12200),
        ],
    ),
    el("Recording", &[], &START_RECORDING),
    el(
        "break",
        &[],
        &[
            one("strength", &["none", "x-weak", "weak", "medium", "strong", "x-strong"], 12200),
            text("time"),
        ],
    ),
    el("emphasis", INSIDE_S, &[one("level", &["strong", "moderate", "reduced"], 12200)]),
    el("lang", SSML, &[text("xml:lang")]),
    el("p", INSIDE_P, &[]),
    el("phoneme", &[], &[text("alphabet"), text("ph")]),
    el("prosody", SSML, &[text("volume"), text("rate"), text("pitch")]),
    el("s", INSIDE_S, &[]),
    el("say-as", &[], &[text("interpret-as"), text("format")]),
    el("sub", &[], &[text("alias")]),
    el("w", INSIDE_W, &[text("role")]),
];

/// `Sip` inside `Refer` holds a URI and nothing else.
const REFER_SIP: Element = el("Sip", &[], &[]);

/// The element `name` inside `parent`; `None` when it has no place there.
pub(crate) fn lookup(parent: &str, name: &str) -> Option<&'static Element> {
    if parent == "Refer" && name == "Sip" {
        return Some(&REFER_SIP);
    }
    let above = ELEMENTS.iter().find(|element| element.name == parent)?;
    if !above.children.contains(&name) {
        return None;
    }
    ELEMENTS.iter().find(|element| element.name == name)
}

/// The warning for an element inside `parent` that has no place there.
pub(crate) fn stray_code(parent: &str) -> u32 {
    match parent {
        "Dial" => 13215,
        "Gather" => 13320,
        "Start" => 14300,
        _ => 12200,
    }
}

impl Kind {
    /// What is wrong with `value`; `None` when nothing is.
    pub fn problem(self, value: &str) -> Option<String> {
        let integer = |least: i64, most: i64| {
            !value.trim().parse::<i64>().is_ok_and(|value| (least..=most).contains(&value))
        };
        let is_key = |key: char| key.is_ascii_digit() || matches!(key, '*' | '#');
        let is_tone = |key: char| is_key(key) || matches!(key, 'A'..='D' | 'a'..='d' | 'w' | 'W');
        match self {
            Self::Text => None,
            Self::Url if !crate::link::is_url(value) => Some(crate::link::PROBLEM.to_owned()),
            Self::UrlOrNone if !value.is_empty() && !crate::link::is_url(value) => {
                Some(crate::link::PROBLEM.to_owned())
            }
            Self::Socket if !value.starts_with("wss://") && !value.starts_with("ws://") => {
                Some("is not a WebSocket URL; write wss://…".to_owned())
            }
            Self::Method if crate::Method::parse(value).is_none() => {
                Some("is not a method; write GET or POST".to_owned())
            }
            Self::Flag if as_flag(value).is_none() => Some("is neither true nor false".to_owned()),
            Self::Integer(least, most) if integer(least, most) => Some(match most {
                MOST => format!("is not an integer of {least} or more"),
                _ => format!("is not an integer from {least} to {most}"),
            }),
            Self::SecondsOrAuto if value != "auto" && integer(1, MOST) => {
                Some("is neither a number of seconds nor auto".to_owned())
            }
            Self::OneOf(values) if !values.contains(&value) => {
                Some(format!("is none of {}", values.join(", ")))
            }
            Self::Words(values) => {
                let stray = split_words(value).find(|word| !values.contains(word));
                stray.map(|_| format!("has a word that is none of {}", values.join(", ")))
            }
            Self::Keys { several } => {
                let fits = value.chars().all(is_key) && (several || value.len() <= 1);
                (!fits).then(|| "is not a key: 0-9, * or #".to_owned())
            }
            Self::Tones if value.is_empty() || !value.chars().all(is_tone) => {
                Some("has what is no key: 0-9, A-D, *, #, w or W".to_owned())
            }
            Self::Short(most) if value.chars().count() > most => {
                Some(format!("is longer than {most} characters"))
            }
            _ => None,
        }
    }
}

/// The words of a list; commas count as white space.
pub(crate) fn split_words(value: &str) -> impl Iterator<Item = &str> {
    value.split([' ', '\t', '\n', '\r', ',']).filter(|word| !word.is_empty())
}

pub(crate) fn as_flag(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_whole() {
        // 58 classes, less the root's and Refer's own Sip, and the root itself.
        let names: BTreeSet<_> = ELEMENTS.iter().map(|element| element.name).collect();
        assert_eq!(names.len(), ELEMENTS.len());
        for element in ELEMENTS {
            for child in element.children {
                assert!(lookup(element.name, child).is_some(), "{} in {}", child, element.name);
            }
            let names: BTreeSet<_> = element.attributes.iter().map(|a| a.name).collect();
            assert_eq!(names.len(), element.attributes.len(), "{}", element.name);
            assert!(!names.contains(""), "{}", element.name);
        }
        assert_eq!(VERBS.len(), 20);
        assert_eq!(SSML.len(), 10);
        assert_eq!(ELEMENTS.len() - 1 + 1, 58, "the root does not count, Sip of Refer does");
    }

    #[test]
    fn values_are_judged_by_their_kind() {
        let good = [
            (Kind::Method, "get"),
            (Kind::Flag, "TRUE"),
            (Kind::Integer(1, 5), "5"),
            (Kind::SecondsOrAuto, "auto"),
            (Kind::Words(&["dtmf", "speech"]), "dtmf  speech"),
            (Kind::Keys { several: false }, ""),
            (Kind::Keys { several: true }, "12*#"),
            (Kind::Tones, "1wW#A"),
            (Kind::UrlOrNone, ""),
            (Kind::Url, "../next?a=b"),
            (Kind::Socket, "wss://x/y"),
        ];
        for (kind, value) in good {
            assert_eq!(kind.problem(value), None, "{kind:?} {value}");
        }
        let bad = [
            (Kind::Method, "PUT"),
            (Kind::Flag, "yes"),
            (Kind::Integer(1, 5), "6"),
            (Kind::SecondsOrAuto, "0"),
            (Kind::Words(&["dtmf"]), "dtmf voice"),
            (Kind::Keys { several: false }, "12"),
            (Kind::Tones, "x"),
            (Kind::Url, "ftp://x"),
            (Kind::Socket, "https://x"),
            (Kind::Short(3), "abcd"),
        ];
        for (kind, value) in bad {
            assert!(kind.problem(value).is_some(), "{kind:?} {value}");
        }
    }
}

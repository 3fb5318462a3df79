//! What usage is counted by (messaging-adjacent §1).

/// Every category that is listed without `Category`, sorted.
///
/// Differs: Twilio's list also has the add-ons of its marketplace and its wireless products.
pub const ALL: &[&str] = &[
    "a2p-registration-fees",
    "agent-conference",
    "amazon-polly",
    "answering-machine-detection",
    "authy-authentications",
    "authy-calls-outbound",
    "authy-monthly-fees",
    "authy-phone-intelligence",
    "authy-phone-verifications",
    "authy-sms-outbound",
    "call-progess-events",
    "calleridlookups",
    "calls",
    "calls-client",
    "calls-globalconference",
    "calls-inbound",
    "calls-inbound-local",
    "calls-inbound-mobile",
    "calls-inbound-tollfree",
    "calls-outbound",
    "calls-pay-verb-transactions",
    "calls-recordings",
    "calls-sip",
    "calls-sip-inbound",
    "calls-sip-outbound",
    "calls-transfers",
    "carrier-lookups",
    "conversations",
    "conversations-api-requests",
    "conversations-conversation-events",
    "conversations-endpoint-connectivity",
    "conversations-events",
    "conversations-participant-events",
    "conversations-participants",
    "cps",
    "flex-usage",
    "fraud-lookups",
    "group-rooms",
    "group-rooms-data-track",
    "group-rooms-encrypted-media-recorded",
    "group-rooms-media-downloaded",
    "group-rooms-media-recorded",
    "group-rooms-media-routed",
    "group-rooms-media-stored",
    "group-rooms-participant-minutes",
    "group-rooms-recorded-minutes",
    "imp-v1-usage",
    "lookups",
    "marketplace",
    "mediastorage",
    "mms",
    "mms-inbound",
    "mms-inbound-longcode",
    "mms-inbound-shortcode",
    "mms-messages-carrierfees",
    "mms-outbound",
    "mms-outbound-longcode",
    "mms-outbound-shortcode",
    "monitor-reads",
    "monitor-storage",
    "monitor-writes",
    "notify",
    "notify-actions-attempts",
    "notify-channels",
    "number-format-lookups",
    "pchat",
    "pchat-users",
    "peer-to-peer-rooms-participant-minutes",
    "pfax",
    "pfax-minutes",
    "pfax-minutes-inbound",
    "pfax-minutes-outbound",
    "pfax-pages",
    "phonenumbers",
    "phonenumbers-cps",
    "phonenumbers-emergency",
    "phonenumbers-local",
    "phonenumbers-mobile",
    "phonenumbers-setups",
    "phonenumbers-tollfree",
    "premiumsupport",
    "proxy",
    "proxy-active-sessions",
    "pstnconnectivity",
    "pv",
    "pv-composition-media-downloaded",
    "pv-composition-media-encrypted",
    "pv-composition-media-stored",
    "pv-composition-minutes",
    "pv-recording-compositions",
    "pv-room-participants",
    "pv-room-participants-au1",
    "pv-room-participants-br1",
    "pv-room-participants-ie1",
    "pv-room-participants-jp1",
    "pv-room-participants-sg1",
    "pv-room-participants-us1",
    "pv-room-participants-us2",
    "pv-rooms",
    "pv-sip-endpoint-registrations",
    "recordings",
    "recordingstorage",
    "rooms-group-bandwidth",
    "rooms-group-minutes",
    "rooms-peer-to-peer-minutes",
    "shortcodes",
    "shortcodes-customerowned",
    "shortcodes-mms-enablement",
    "shortcodes-mps",
    "shortcodes-random",
    "shortcodes-uk",
    "shortcodes-vanity",
    "small-group-rooms",
    "small-group-rooms-data-track",
    "small-group-rooms-participant-minutes",
    "sms",
    "sms-inbound",
    "sms-inbound-longcode",
    "sms-inbound-shortcode",
    "sms-messages-carrierfees",
    "sms-messages-features",
    "sms-messages-features-senderid",
    "sms-outbound",
    "sms-outbound-content-inspection",
    "sms-outbound-longcode",
    "sms-outbound-shortcode",
    "speech-recognition",
    "studio-engagements",
    "sync",
    "sync-actions",
    "sync-endpoint-hours",
    "sync-endpoint-hours-above-daily-cap",
    "taskrouter-tasks",
    "totalprice",
    "transcriptions",
    "trunking-cps",
    "trunking-emergency-calls",
    "trunking-origination",
    "trunking-origination-local",
    "trunking-origination-mobile",
    "trunking-origination-tollfree",
    "trunking-recordings",
    "trunking-secure",
    "trunking-termination",
    "tts-google",
    "turnmegabytes",
    "turnmegabytes-australia",
    "turnmegabytes-brasil",
    "turnmegabytes-germany",
    "turnmegabytes-india",
    "turnmegabytes-ireland",
    "turnmegabytes-japan",
    "turnmegabytes-singapore",
    "turnmegabytes-useast",
    "turnmegabytes-uswest",
    "twilio-interconnect",
    "verify-push",
    "verify-totp",
    "verify-whatsapp-conversations-business-initiated",
    "video-recordings",
    "virtual-agent",
    "voice-insights",
    "voice-insights-client-insights-on-demand-minute",
    "voice-insights-ptsn-insights-on-demand-minute",
    "voice-insights-sip-interface-insights-on-demand-minute",
    "voice-insights-sip-trunking-insights-on-demand-minute",
    "voice-intelligence",
    "voice-intelligence-operators",
    "voice-intelligence-transcription",
    "wireless",
];

/// The counters that add up to a category. Differs: messages are not told apart by long code and
/// short code, and nothing but messages is billed: all other categories are zero.
pub fn counters(category: &str) -> &[&str] {
    match category {
        "sms" => &["sms-inbound", "sms-outbound"],
        "mms" => &["mms-inbound", "mms-outbound"],
        "totalprice" => &["mms-inbound", "mms-outbound", "sms-inbound", "sms-outbound"],
        "sms-inbound" => &["sms-inbound"],
        "sms-outbound" => &["sms-outbound"],
        "mms-inbound" => &["mms-inbound"],
        "mms-outbound" => &["mms-outbound"],
        _ => &[],
    }
}

/// The unit of `count` and of `usage`; empty where none is published.
pub fn units(category: &str) -> (&'static str, &'static str) {
    const UNITS: &[(&str, (&str, &str))] = &[
        ("sms", ("messages", "messages")),
        ("mms", ("messages", "messages")),
        ("calls", ("calls", "minutes")),
        ("recordings", ("recordings", "minutes")),
        ("phonenumbers", ("numbers", "numbers")),
        ("totalprice", ("", "usd")),
    ];
    let found = UNITS.iter().find(|(prefix, _)| category.starts_with(prefix));
    found.map_or(("", ""), |(_, units)| *units)
}

/// The category in words. Differs: Twilio's words are its own.
pub fn description(category: &str) -> String {
    let words = category.split('-').map(|word| match word {
        "sms" => "SMS".to_owned(),
        "mms" => "MMS".to_owned(),
        "totalprice" => "Total Price".to_owned(),
        "phonenumbers" => "Phone Numbers".to_owned(),
        word => {
            let first = word.get(..1).unwrap_or_default().to_ascii_uppercase();
            format!("{first}{}", word.get(1..).unwrap_or_default())
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_sorted_and_counters_are_categories() {
        assert!(ALL.windows(2).all(|pair| pair[0] < pair[1]));
        for category in ALL {
            assert!(counters(category).iter().all(|counter| ALL.contains(counter)), "{category}");
        }
    }

    #[test]
    fn units_and_words_follow_the_name() {
        assert_eq!(units("sms-inbound"), ("messages", "messages"));
        assert_eq!(units("calls-outbound"), ("calls", "minutes"));
        assert_eq!(units("lookups"), ("", ""));
        assert_eq!(description("sms-inbound"), "SMS Inbound");
        assert_eq!(description("totalprice"), "Total Price");
    }
}

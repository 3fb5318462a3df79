//! What our own API takes and gives. The slice tests hold every answer against it.

use super::shape::Kind::{
    A, Anything, Flag, Integer, List, Members, Number, OneOf, OrNull, Pair, Text, Time,
};
use super::shape::{Kind, Member, Shape, has, may};

const TEXT_OR_NULL: Kind = OrNull(&Text);
const TIME_OR_NULL: Kind = OrNull(&Time);

/// How many at most.
pub const LIMIT: &[Member] = &[may("limit", Integer)];
/// Whose; the main account's unless another is named.
pub const OF_ACCOUNT: &[Member] = &[may("account_sid", Text)];

/// Defines a shape's name once, beside its members.
const fn shape(name: &'static str, members: &'static [Member]) -> Shape {
    Shape { name, members }
}

// Who looks on.

const ROLE: Kind = OneOf(&["owner", "developer", "support", "billing", "auditor"]);
const NEED: Kind = OneOf(&["nothing", "usage", "read", "replay", "change", "users"]);

pub const SESSION: Shape = shape(
    "Session",
    &[
        has("user", TEXT_OR_NULL),
        has("role", ROLE),
        has("may", List(&NEED)),
        has("signed_in", Flag),
        has("sees_bodies", Flag),
    ],
);
pub const SIGN_IN: Shape = shape("SignIn", &[has("user", Text), has("password", Text)]);
pub const USER: Shape =
    shape("User", &[has("name", Text), has("role", ROLE), has("date_created", Time)]);
pub const USERS: Shape = shape("Users", &[has("users", List(&A(&USER)))]);
pub const NEW_USER: Shape =
    shape("NewUser", &[has("name", Text), has("role", ROLE), has("password", Text)]);
pub const USER_CHANGE: Shape = shape("UserChange", &[may("role", ROLE), may("password", Text)]);
pub const NAMED: Shape = shape("Named", &[has("name", Text)]);

/// Tokens are told to who may change something.
pub const ENV: Shape = shape(
    "Env",
    &[
        has("account_sid", Text),
        has("auth_token", TEXT_OR_NULL),
        has("phone_number", Text),
        has("test_account_sid", Text),
        has("test_auth_token", TEXT_OR_NULL),
        has("url", Text),
        may("smtp", Text),
        may("sip", Text),
        may("sip_ws", Text),
    ],
);

// Phones.

const BEHAVIOUR: Kind =
    OneOf(&["on", "off", "slow", "filtered", "silent", "full", "unknown", "landline"]);
const WHEN_CALLED: Kind = OneOf(&["answer", "ring", "busy", "reject"]);
const ANSWERED_BY: Kind = OneOf(&["human", "machine", "fax", "somebody"]);

pub const HANDSET: Shape = shape(
    "Handset",
    &[
        has("number", Text),
        has("name", Text),
        has("behaviour", BEHAVIOUR),
        has("when_called", WHEN_CALLED),
        has("answers_after_ms", Integer),
        has("answered_by", ANSWERED_BY),
    ],
);
pub const HANDSETS: Shape = shape("Handsets", &[has("handsets", List(&A(&HANDSET)))]);
pub const HANDSET_CHANGE: Shape = shape(
    "HandsetChange",
    &[
        may("name", Text),
        may("behaviour", BEHAVIOUR),
        may("when_called", WHEN_CALLED),
        may("answers_after_ms", Integer),
        may("answered_by", ANSWERED_BY),
    ],
);
pub const OWNER: Shape = shape(
    "Owner",
    &[
        may("first_name", Text),
        may("last_name", Text),
        may("address_line", Text),
        may("city", Text),
        may("state", Text),
        may("postal_code", Text),
        may("country", Text),
        may("national_id", Text),
        may("date_of_birth", Text),
        may("is_business", Flag),
        may("is_forwarding", Flag),
        may("sim_swapped_at", TEXT_OR_NULL),
        may("reassigned_at", TEXT_OR_NULL),
        may("pumping_score", Integer),
    ],
);

const BUTTON: Shape = shape(
    "Button",
    &[
        has("type", OneOf(&["reply", "url", "phone", "copy_code", "call", "catalog", "flow"])),
        may("title", Text),
        may("id", Text),
        may("url", Text),
        may("phone", Text),
        may("code", Text),
        may("parameter", Text),
        may("items", List(&Text)),
        may("flow_id", TEXT_OR_NULL),
        may("token", Text),
        may("first_page", Text),
    ],
);
const LIST_ROW: Shape =
    shape("ListRow", &[has("id", Text), has("title", Text), has("description", Text)]);
const SLIDE: Shape = shape(
    "Slide",
    &[has("media", Text), has("title", Text), has("body", Text), has("buttons", List(&A(&BUTTON)))],
);
const RICH_HEADER: Shape = shape(
    "RichHeader",
    &[
        has("type", Text),
        may("text", Text),
        may("url", Text),
        may("label", Text),
        may("address", Text),
        may("latitude", Number),
        may("longitude", Number),
    ],
);
const RICH_LIST: Shape =
    shape("RichList", &[has("button", Text), has("rows", List(&A(&LIST_ROW)))]);
/// The approved template that a message is of.
const TEMPLATE_USE: Shape = shape(
    "TemplateUse",
    &[has("name", Text), has("language", Text), has("body_parameters", List(&Pair))],
);
/// A message as WhatsApp shows it.
const RICH: Shape = shape(
    "Rich",
    &[
        may("header", A(&RICH_HEADER)),
        has("body", Text),
        may("footer", Text),
        may("buttons", List(&A(&BUTTON))),
        may("list", A(&RICH_LIST)),
        may("carousel", List(&A(&SLIDE))),
        may("template", A(&TEMPLATE_USE)),
    ],
);
const LINE: Shape = shape(
    "Line",
    &[
        has("sid", Text),
        has("direction", OneOf(&["sent", "received"])),
        has("peer", Text),
        has("body", Text),
        has("media", List(&Text)),
        has("at", Time),
        has("failed", Flag),
        has("read", Flag),
        has("rich", OrNull(&A(&RICH))),
    ],
);
pub const THREAD: Shape = shape("Thread", &[has("messages", List(&A(&LINE)))]);
const TYPED_MEDIA: Shape = shape("TypedMedia", &[has("content_type", Text), has("data", Text)]);
pub const TYPED: Shape = shape(
    "Typed",
    &[
        has("to", Text),
        may("body", Text),
        may("media", List(&A(&TYPED_MEDIA))),
        may("button", TEXT_OR_NULL),
        may("row", TEXT_OR_NULL),
        may("twiml", TEXT_OR_NULL),
    ],
);
pub const SENT: Shape = shape(
    "Sent",
    &[has("sid", Text), has("account_sid", Text), has("from", Text), has("to", Text)],
);
pub const READ: Shape = shape("Read", &[has("read", Integer)]);
pub const OPT_OUT: Shape = shape(
    "OptOut",
    &[
        has("account_sid", Text),
        has("scope", Text),
        has("address", Text),
        has("source", Text),
        has("at", Time),
    ],
);
pub const OPT_OUTS: Shape = shape("OptOuts", &[has("opt_outs", List(&A(&OPT_OUT)))]);
const WINDOW: Shape = shape("Window", &[has("sender", Text), has("ends", Time)]);
pub const STANDING: Shape =
    shape("Standing", &[has("opt_outs", List(&A(&OPT_OUT))), has("windows", List(&A(&WINDOW)))]);

// Calls of phones.

const HEARD: Shape = shape(
    "Heard",
    &[
        has("at", Time),
        has(
            "sound",
            OneOf(&[
                "say", "play", "tones", "silence", "beep", "ringback", "music", "voice", "pressed",
                "spoke", "message", "sent",
            ]),
        ),
        has("text", Text),
        has("milliseconds", OrNull(&Integer)),
        has("cut", Flag),
    ],
);
pub const CALL: Shape = shape(
    "Call",
    &[
        has("sid", Text),
        has("account_sid", Text),
        has("direction", OneOf(&["incoming", "outgoing"])),
        has("peer", Text),
        has("status", OneOf(&["placed", "ringing", "in-progress", "ended"])),
        has("began", Time),
        has("answered", TIME_OR_NULL),
        has("ended", TIME_OR_NULL),
        has("heard", List(&A(&HEARD))),
    ],
);
pub const CALLS: Shape = shape("Calls", &[has("calls", List(&A(&CALL)))]);
pub const DIALLED: Shape = shape("Dialled", &[may("to", TEXT_OR_NULL)]);
pub const PRESSED: Shape = shape("Pressed", &[has("digits", Text)]);
pub const SPOKEN: Shape = shape("Spoken", &[has("text", Text)]);
pub const OFFER: Shape = shape("Offer", &[has("sdp", Text)]);
pub const ANSWER: Shape = shape("Answer", &[has("page", Integer), has("sdp", Text)]);

// What happens.

pub const EVENTS_QUERY: &[Member] =
    &[may("after", Integer), may("before", Integer), may("sid", Text), may("limit", Integer)];
pub const AFTER: &[Member] = &[may("after", Integer)];
const EVENT: Shape = shape(
    "Event",
    &[
        has("seq", Integer),
        has("account_sid", Text),
        has("kind", Text),
        has("sid", Text),
        has("at", Time),
        has("data", Members),
    ],
);
pub const EVENTS: Shape = shape("Events", &[has("events", List(&A(&EVENT)))]);
/// The `data` of an event of the kind `webhook`: one attempt, as it went over the wire.
const ATTEMPT: Shape = shape(
    "Attempt",
    &[
        has("url", Text),
        has("method", Text),
        has("request_headers", List(&Pair)),
        has("request_body", Text),
        has("status", OrNull(&Integer)),
        has("response_headers", List(&Pair)),
        has("response_body", Text),
        has("started", Time),
        has("duration_ms", Number),
        has("error", TEXT_OR_NULL),
    ],
);
/// Shapes that no operation names.
pub const BESIDE: &[&Shape] = &[&ATTEMPT];
pub const REPLAYED: Shape = shape("Replayed", &[has("seq", Integer), has("replayed", Flag)]);
const DEAD_JOB: Shape = shape(
    "DeadJob",
    &[
        has("id", Text),
        has("account_sid", Text),
        has("queue", Text),
        has("payload", Anything),
        has("attempt", Integer),
        has("last_error", TEXT_OR_NULL),
        has("died_at", Time),
    ],
);
pub const DEAD_JOBS: Shape = shape("DeadJobs", &[has("dead_jobs", List(&A(&DEAD_JOB)))]);
pub const DEAD_REPLAYED: Shape = shape("DeadReplayed", &[has("id", Text), has("replayed", Flag)]);

// The clock, numbers, rules.

pub const CLOCK: Shape = shape(
    "Clock",
    &[
        has("now", Time),
        has("offset_seconds", Integer),
        has("movable", Flag),
        has("next_timer", TIME_OR_NULL),
    ],
);
pub const MOVE: Shape = shape(
    "Move",
    &[may("advance_seconds", OrNull(&Number)), may("set", TEXT_OR_NULL), may("resume", Flag)],
);
pub const NEW_SHORT_CODE: Shape =
    shape("NewShortCode", &[has("short_code", Text), may("account_sid", TEXT_OR_NULL)]);
pub const SHORT_CODE: Shape = shape("ShortCode", &[has("sid", Text), has("short_code", Text)]);
const LINK_DOMAIN: Shape =
    shape("LinkDomain", &[has("domain_sid", Text), has("domain_name", TEXT_OR_NULL)]);
pub const LINK_DOMAINS: Shape =
    shape("LinkDomains", &[has("account_sid", Text), has("link_domains", List(&A(&LINK_DOMAIN)))]);
pub const NEW_LINK_DOMAIN: Shape =
    shape("NewLinkDomain", &[has("domain_name", Text), may("account_sid", TEXT_OR_NULL)]);
pub const ADDED_LINK_DOMAIN: Shape = shape(
    "AddedLinkDomain",
    &[has("domain_sid", Text), has("account_sid", Text), has("domain_name", Text)],
);
const QUIET: Kind = OneOf(&["off", "reschedule", "block"]);
const QUIET_SCOPE: Shape = shape("QuietScope", &[has("scope", Text), has("mode", QUIET)]);
pub const QUIET_HOURS: Shape =
    shape("QuietHours", &[has("account_sid", Text), has("quiet_hours", List(&A(&QUIET_SCOPE)))]);
pub const QUIET_SWITCH: Shape = shape(
    "QuietSwitch",
    &[
        has("mode", QUIET),
        may("account_sid", TEXT_OR_NULL),
        may("messaging_service_sid", TEXT_OR_NULL),
    ],
);
pub const QUIET_SET: Shape =
    shape("QuietSet", &[has("account_sid", Text), has("scope", Text), has("mode", QUIET)]);
pub const SANDBOX: Shape = shape(
    "Sandbox",
    &[has("account_sid", Text), has("number", Text), has("sender_sid", Text), has("join", Text)],
);

// Mail.

const MAIL_BEHAVIOUR: Kind =
    OneOf(&["delivers", "bounces", "blocks", "defers", "spam", "opens", "clicks", "unsubscribes"]);
pub const MAILBOX: Shape =
    shape("Mailbox", &[has("address", Text), has("behaviour", MAIL_BEHAVIOUR)]);
pub const MAILBOXES: Shape = shape("Mailboxes", &[has("mailboxes", List(&A(&MAILBOX)))]);
pub const MAILBOX_CHANGE: Shape = shape("MailboxChange", &[has("behaviour", MAIL_BEHAVIOUR)]);
const MAIL_FILE: Shape = shape(
    "MailFile",
    &[
        has("filename", Text),
        has("content_type", Text),
        has("size", Integer),
        has("content", TEXT_OR_NULL),
    ],
);
const MAIL: Shape = shape(
    "Mail",
    &[
        has("id", Text),
        has("account", Text),
        has("at", Time),
        has("from", Text),
        has("to", Text),
        has("cc", Text),
        has("subject", Text),
        has("headers", Text),
        has("text", TEXT_OR_NULL),
        has("html", TEXT_OR_NULL),
        has("files", List(&A(&MAIL_FILE))),
        has("links", List(&Text)),
        has("picture", TEXT_OR_NULL),
        has("unsubscribe", TEXT_OR_NULL),
    ],
);
pub const MAILS: Shape = shape("Mails", &[has("mails", List(&A(&MAIL)))]);
pub const WRITTEN: Shape = shape(
    "Written",
    &[
        has("to", Text),
        may("subject", Text),
        may("text", Text),
        may("html", TEXT_OR_NULL),
        may("raw", TEXT_OR_NULL),
    ],
);
pub const WROTE: Shape = shape("Wrote", &[has("to", Text)]);
pub const REACTED: Shape = shape("Reacted", &[has("id", Text), has("reaction", Text)]);

// Networks.

const NETWORK: Shape = shape(
    "Network",
    &[has("kind", Text), has("name", Text), has("what", Text), has("state", Text), has("up", Flag)],
);
const ROUTE_SHARE: Shape = shape("RouteShare", &[has("name", Text), may("share", Number)]);
const ROUTE: Shape =
    shape("Route", &[has("to", Text), has("from", Text), has("carriers", List(&A(&ROUTE_SHARE)))]);
/// Who can be called or written to here now: a telephone that registered, a page, an application's bind.
const REGISTERED: Shape = shape(
    "Registered",
    &[
        has("kind", OneOf(&["sip", "browser", "smpp"])),
        has("name", Text),
        has("what", Text),
        has("of", TEXT_OR_NULL),
        has("expires", TIME_OR_NULL),
    ],
);
pub const NETWORKS: Shape = shape(
    "Networks",
    &[
        has("networks", List(&A(&NETWORK))),
        has("registered", List(&A(&REGISTERED))),
        has("routes", List(&A(&ROUTE))),
    ],
);
const DELIVERY_RATE: Shape =
    shape("DeliveryRate", &[has("account_sid", Text), has("sender", Text), has("share", Number)]);
pub const DELIVERY_RATES: Shape =
    shape("DeliveryRates", &[has("delivery_rates", List(&A(&DELIVERY_RATE)))]);

// TwiML.

pub const DOCUMENT: Shape = shape(
    "Document",
    &[
        has("kind", OneOf(&["voice", "messaging"])),
        has("document", Text),
        may("content_type", TEXT_OR_NULL),
    ],
);
const VERB: Shape = shape("Verb", &[has("name", Text), may("text", Text), may("media", Integer)]);
const DIAGNOSTIC: Shape = shape(
    "Diagnostic",
    &[
        has("code", Integer),
        has("title", TEXT_OR_NULL),
        has("line", Integer),
        has("column", Integer),
        has("message", Text),
        has("fatal", Flag),
    ],
);
pub const CHECKED: Shape = shape(
    "Checked",
    &[has("verbs", List(&A(&VERB))), has("diagnostics", List(&A(&DIAGNOSTIC))), has("fatal", Flag)],
);

pub const SECONDS: &[Member] = &[may("seconds", Integer)];

//! The programs of the matrix: each as a user of that library would write it.

/// Programs of one runtime.
pub struct Family {
    pub runtime: &'static str,
    /// What runs a program, relative to the install folder; empty for binaries.
    pub command: &'static [&'static str],
    pub programs: &'static [&'static [Program]],
}

/// One program: the library it uses, its file, and what proves that it arrived.
pub struct Program {
    pub library: &'static str,
    pub file: &'static str,
    pub proof: Proof,
}

/// What a program that arrived has to show.
#[derive(Clone, Copy)]
pub enum Proof {
    /// The SID of a message that the server has with the row's own text.
    Message,
    /// A mail whose subject is the row's own text, in the mailbox that it went to.
    Mail,
    /// The status of an HTTP answer, and this host among the intercepted ones.
    Answer { host: &'static str },
}

const fn message(library: &'static str, file: &'static str) -> Program {
    Program { library, file, proof: Proof::Message }
}

const fn mail(library: &'static str, file: &'static str) -> Program {
    Program { library, file, proof: Proof::Mail }
}

const fn answer(library: &'static str, file: &'static str, host: &'static str) -> Program {
    Program { library, file, proof: Proof::Answer { host } }
}

const TWILSOCK: &str = "tsock.us1.twilio.com";
const SEGMENT: &str = "api.segment.io";

const PYTHON: &[Program] = &[
    message("twilio", "python/with_twilio.py"),
    message("twilio async", "python/with_twilio_async.py"),
    message("requests", "python/with_requests.py"),
    message("urllib", "python/with_urllib.py"),
    message("httpx", "python/with_httpx.py"),
    message("aiohttp", "python/with_aiohttp.py"),
    message("aiohttp on uvloop", "python/with_uvloop.py"),
    answer("websockets", "python/with_websockets.py", TWILSOCK),
    answer("websocket-client", "python/with_websocket_client.py", TWILSOCK),
    mail("sendgrid", "python/with_sendgrid.py"),
    answer("segment-analytics-python", "python/with_segment.py", SEGMENT),
];

const NODE: &[Program] = &[
    message("twilio", "node/twilio.mjs"),
    message("axios", "node/axios.mjs"),
    message("axios 1.7", "node/axios-1.7.mjs"),
    message("fetch", "node/fetch.mjs"),
    message("https", "node/https.mjs"),
    message("undici", "node/undici.mjs"),
    answer("ws", "node/ws.mjs", TWILSOCK),
    mail("@sendgrid/mail", "node/sendgrid.mjs"),
    answer("@segment/analytics-node", "node/segment.mjs", SEGMENT),
];

/// Node 20 has none.
const WEBSOCKET: &[Program] = &[answer("WebSocket", "node/websocket.mjs", TWILSOCK)];

const BUN: &[Program] = &[message("twilio", "node/twilio.mjs"), message("fetch", "node/fetch.mjs")];

const GO: &[Program] = &[
    message("twilio-go, static", "go/static/twilio"),
    message("twilio-go, cgo", "go/cgo/twilio"),
    message("net/http, static", "go/static/nethttp"),
    message("net/http, cgo", "go/cgo/nethttp"),
];

const JAVA: &[Program] = &[
    message("twilio-java", "WithTwilio"),
    message("HttpURLConnection", "WithUrlConnection"),
    message("java.net.http", "WithHttpClient"),
    message("okhttp", "WithOkHttp"),
];

const RUBY: &[Program] =
    &[message("net/http", "ruby/net_http.rb"), message("faraday", "ruby/faraday.rb")];

const PHP: &[Program] = &[
    message("ext-curl", "php/curl.php"),
    message("streams", "php/streams.php"),
    message("guzzle", "php/guzzle.php"),
];

pub const FAMILIES: &[Family] = &[
    Family { runtime: "python", command: &["python/bin/python"], programs: &[PYTHON] },
    Family {
        runtime: "node 20",
        command: &["node/node_modules/node-20/bin/node"],
        programs: &[NODE],
    },
    Family {
        runtime: "node 22",
        command: &["node/node_modules/node-22/bin/node"],
        programs: &[NODE, WEBSOCKET],
    },
    Family {
        runtime: "node 24",
        command: &["node/node_modules/node-24/bin/node"],
        programs: &[NODE, WEBSOCKET],
    },
    Family {
        runtime: "node 20",
        command: &["sh"],
        programs: &[&[message("twilio-cli", "cli/send.sh")]],
    },
    Family {
        runtime: "bun",
        command: &["node/node_modules/@oven/bun-linux-x64/bin/bun"],
        programs: &[BUN],
    },
    Family {
        runtime: "deno",
        command: &["node/node_modules/@deno/linux-x64-glibc/deno", "run", "--quiet", "--allow-all"],
        programs: &[&[message("fetch", "deno/fetch.mjs")]],
    },
    Family { runtime: "go", command: &[], programs: &[GO] },
    Family {
        runtime: "java",
        command: &["java", "-cp", "java/classes:java/lib/*"],
        programs: &[JAVA],
    },
    Family { runtime: "ruby", command: &["ruby"], programs: &[RUBY] },
    Family { runtime: "php", command: &["php"], programs: &[PHP] },
    Family { runtime: "sh", command: &["sh"], programs: &[&[message("curl", "curl/send.sh")]] },
];

/// What no package manager that the tests use can supply, and why.
pub const NOT_OBTAINABLE: &[(&str, &str)] = &[
    ("ruby twilio-ruby", "gems come from RubyGems alone"),
    ("php twilio-php", "its package comes from Packagist alone"),
    ("dotnet twilio-csharp", "its package comes from NuGet alone"),
];

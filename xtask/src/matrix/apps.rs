//! Web applications as a tutorial has them, run unmodified: their texts arrive,
//! they answer ours, and they turn a wrong signature away.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::server::{Login, free_port, http, wait_for};
use super::{Column, Place, install, reason};
use crate::run;

/// An application and how it is started.
pub struct Story {
    pub name: &'static str,
    /// Its folder below the install folder.
    app: &'static str,
    /// What runs it, relative to the install folder, and its file.
    command: [&'static str; 2],
    /// Whether a `.env` beside it holds credentials of its own invention.
    has_own_credentials: bool,
}

pub const STORIES: &[Story] = &[
    Story {
        name: "app flask",
        app: "flask",
        command: ["python/bin/python", "app.py"],
        has_own_credentials: false,
    },
    Story {
        name: "app flask, own .env",
        app: "flask",
        command: ["python/bin/python", "app.py"],
        has_own_credentials: true,
    },
    Story {
        name: "app express",
        app: "express",
        command: ["node/node_modules/node-20/bin/node", "app.js"],
        has_own_credentials: false,
    },
];

/// How long anything may take to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A started application; killed with all its processes when dropped.
struct App {
    child: Child,
    url: String,
    log: PathBuf,
}

/// Starts the application in a mode and uses it as a person with a phone would.
pub fn tell(place: &Place, story: &Story, column: Column) -> Result<(), String> {
    static TOLD: AtomicU32 = AtomicU32::new(0);
    let number = TOLD.fetch_add(1, Ordering::Relaxed);
    let port = free_port()?;
    let mut folder = place.home.join(story.app);
    let mut login = place.server.login.clone();
    if story.has_own_credentials {
        let own = place.scratch.0.join(format!("own-{number}"));
        install::copy_files(&folder, &own)?;
        // An account and a number that the server has not seen before.
        login.sid = format!("AC{number:032}");
        login.token = format!("token-of-{number}");
        login.number = format!("+1415557{number:04}");
        let Login { sid, token, number } = &login;
        let text = format!(
            "TWILIO_ACCOUNT_SID={sid}\nTWILIO_AUTH_TOKEN={token}\nTWILIO_PHONE_NUMBER={number}\n"
        );
        let file = own.join(".env");
        std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        folder = own;
    }
    let [runtime, file] = story.command;
    let program = [place.home.join(runtime).display().to_string(), file.to_owned()];
    let log = place.scratch.0.join(format!("app-{number}.log"));
    let output = std::fs::File::create(&log).and_then(|file| Ok((file.try_clone()?, file)));
    let (out, err) = output.map_err(|error| format!("{}: {error}", log.display()))?;
    let child = place
        .command(column, &[], &folder, &program)
        .env("PORT", port.to_string())
        .stdout(out)
        .stderr(err)
        .process_group(0)
        .spawn()
        .map_err(|error| format!("offhook: {error}"))?;
    let mut app = App { child, url: format!("http://127.0.0.1:{port}"), log };
    converse(place, &app, &login, &format!("+1415556{number:04}"))
        .and_then(|()| app.stop())
        .map_err(|why| format!("{why}; {}", app.said()))
}

/// The application texts a phone, the phone answers, the application replies.
fn converse(place: &Place, app: &App, login: &Login, phone: &str) -> Result<(), String> {
    wait_for(PATIENCE, || http(&[&app.url]).ok()).ok_or("the application does not listen")?;
    let send = format!("{}/send?to=%2B{}", app.url, &phone[1..]);
    let (status, sid) = http(&[&send])?;
    if status != 200 {
        return Err(format!("/send answers {status}"));
    }
    let sent = arrives(place, phone, "Your order is on its way")?;
    if sent["sid"] != sid.trim() || sent["peer"] != login.number.as_str() {
        return Err(format!("the phone got {sent}, the application sent {sid}"));
    }

    let numbers = format!("IncomingPhoneNumbers.json?PhoneNumber=%2B{}", &login.number[1..]);
    let found = place.server.rest(login, &numbers, &[])?;
    let number = found["incoming_phone_numbers"][0]["sid"].as_str();
    let number =
        number.ok_or_else(|| format!("{} is not a number of its account", login.number))?;
    let sms_url = format!("SmsUrl={}/sms", app.url);
    place.server.rest(login, &format!("IncomingPhoneNumbers/{number}.json"), &[&sms_url])?;
    let typed = json!({"to": login.number, "body": "ping"});
    place.server.post(&format!("/_offhook/v1/handsets/{phone}/messages"), &typed)?;
    arrives(place, phone, "You said: ping")?;

    let webhook = format!("{}/sms", app.url);
    let (status, body) =
        http(&["-H", "X-Twilio-Signature: d3Jvbmcgc2lnbmF0dXJl", "-d", "Body=ping", &webhook])?;
    if status != 403 || body.contains("You said") {
        return Err(format!("a wrong signature is answered with {status} {body}"));
    }
    Ok(())
}

/// The received text with this body, once the phone shows it.
fn arrives(place: &Place, phone: &str, body: &str) -> Result<Value, String> {
    let thread = format!("/_offhook/v1/handsets/{phone}/messages");
    wait_for(PATIENCE, || {
        let shown = place.server.get(&thread).ok()?;
        let messages = shown["messages"].as_array()?;
        let is_it = |line: &&Value| line["body"] == body && line["direction"] == "received";
        messages.iter().find(is_it).cloned()
    })
    .ok_or_else(|| format!("'{body}' does not arrive at {phone}"))
}

impl App {
    /// Asks `offhook run` to end, as a service manager does: the application ends
    /// with it, and by what exit code it ended is passed on.
    fn stop(&mut self) -> Result<(), String> {
        run::command("kill", &["-TERM", &self.child.id().to_string()])?;
        let ended = wait_for(PATIENCE, || self.child.try_wait().ok().flatten());
        let status = ended.ok_or("`offhook run` does not end on SIGTERM")?;
        // 128 and the number of SIGTERM.
        if status.code() != Some(143) {
            return Err(format!("after SIGTERM `offhook run` ended with {status}"));
        }
        wait_for(PATIENCE, || http(&[&self.url]).err().map(drop))
            .ok_or_else(|| "the application outlives `offhook run`".to_owned())
    }

    fn said(&self) -> String {
        reason(&std::fs::read_to_string(&self.log).unwrap_or_default())
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // The group is ours alone: it was made for this application.
        let group = format!("-{}", self.child.id());
        let _ = run::output("kill", &["-KILL", "--", &group]);
        let _ = self.child.wait();
    }
}

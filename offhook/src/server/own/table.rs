//! The operations, by what they are about. Who may use them: [`super::super::access`].

use axum::handler::Handler;

use super::super::api::{self, App};
use super::super::{
    calls, check, console, health, links, mailboxes, networks, people, quiet_hours, views,
};
use super::super::{handsets, live, time};
use super::Operation;
use super::shapes as is;

fn get<T: 'static>(
    path: &'static str,
    what: &'static str,
    handler: impl Handler<T, App>,
) -> Operation {
    Operation::new(&["get"], path, what, handler)
}

fn post<T: 'static>(
    path: &'static str,
    what: &'static str,
    handler: impl Handler<T, App>,
) -> Operation {
    Operation::new(&["post"], path, what, handler)
}

fn set<T: 'static>(
    path: &'static str,
    what: &'static str,
    handler: impl Handler<T, App>,
) -> Operation {
    Operation::new(&["put", "post"], path, what, handler)
}

fn delete<T: 'static>(
    path: &'static str,
    what: &'static str,
    handler: impl Handler<T, App>,
) -> Operation {
    Operation::new(&["delete"], path, what, handler)
}

/// What is open to everybody.
pub fn door() -> Vec<Operation> {
    let what = "Signs a user in; the session is in the cookie.";
    vec![post("/sign-in", what, people::sign_in).takes(&is::SIGN_IN).gives(&is::SESSION)]
}

/// What is for who may.
pub fn operations() -> Vec<Operation> {
    [who(), phones(), phone_calls(), what_happens(), set_up(), mail()]
        .into_iter()
        .flatten()
        .collect()
}

fn who() -> Vec<Operation> {
    vec![
        get("/env", "What a program needs to know of this instance.", api::env).gives(&is::ENV),
        get("/session", "Who looks on, and what the role may do.", people::session)
            .gives(&is::SESSION),
        delete("/session", "Signs out.", people::sign_out),
        get("/users", "The users of this instance.", people::users).gives(&is::USERS),
        post("/users", "Adds a user.", people::add).takes(&is::NEW_USER).creates(&is::USER),
        Operation::new(&["put"], "/users/{name}", "Changes a role or password.", people::change)
            .takes(&is::USER_CHANGE)
            .gives(&is::NAMED),
        delete("/users/{name}", "Removes a user.", people::remove),
    ]
}

fn phones() -> Vec<Operation> {
    vec![
        get("/handsets", "The simulated phones.", handsets::handsets).gives(&is::HANDSETS),
        get("/handsets/{number}", "A phone; every number is one.", handsets::handset)
            .gives(&is::HANDSET),
        set(
            "/handsets/{number}",
            "Names a phone, and tells how it behaves.",
            handsets::set_handset,
        )
        .takes(&is::HANDSET_CHANGE)
        .gives(&is::HANDSET),
        get("/handsets/{number}/messages", "What a phone shows, newest first.", handsets::thread)
            .query(is::LIMIT)
            .gives(&is::THREAD),
        post("/handsets/{number}/messages", "Somebody types on a phone.", handsets::send_from)
            .takes(&is::TYPED)
            .creates(&is::SENT),
        post("/handsets/{number}/read", "Somebody looks at a phone.", handsets::look)
            .gives(&is::READ),
        get("/handsets/{number}/owner", "Who a phone belongs to.", handsets::owner)
            .gives(&is::OWNER),
        Operation::new(
            &["put"],
            "/handsets/{number}/owner",
            "Says who a phone belongs to.",
            handsets::set_owner,
        )
        .takes(&is::OWNER)
        .gives(&is::OWNER),
        get(
            "/handsets/{number}/standing",
            "What a phone opted out of, and who may say anything to it.",
            views::standing,
        )
        .gives(&is::STANDING),
    ]
}

fn phone_calls() -> Vec<Operation> {
    vec![
        get("/handsets/{number}/calls", "A phone's calls, newest first.", calls::list)
            .query(is::LIMIT)
            .gives(&is::CALLS),
        post("/handsets/{number}/calls", "Somebody dials on a phone.", calls::call)
            .takes(&is::DIALLED)
            .creates(&is::CALL),
        post(
            "/handsets/{number}/calls/{call}/sound",
            "Connects a page to a call's sound by WebRTC.",
            calls::listen,
        )
        .takes(&is::OFFER)
        .creates(&is::ANSWER),
        delete(
            "/handsets/{number}/calls/{call}/sound/{page}",
            "The page leaves the call.",
            calls::leave,
        ),
        post("/handsets/{number}/answer", "Answers the call that rings.", calls::answer)
            .gives(&is::CALL),
        post("/handsets/{number}/reject", "Declines the call that rings.", calls::reject)
            .gives(&is::CALL),
        post("/handsets/{number}/hangup", "Hangs up.", calls::hang_up).gives(&is::CALL),
        post("/handsets/{number}/digits", "Presses keys.", calls::press)
            .takes(&is::PRESSED)
            .gives(&is::CALL),
        post("/handsets/{number}/speak", "Says something.", calls::speak)
            .takes(&is::SPOKEN)
            .gives(&is::CALL),
        post(
            "/handsets/{number}/user-messages",
            "The program on a phone sends any JSON.",
            calls::message,
        )
        .gives(&is::CALL),
    ]
}

fn what_happens() -> Vec<Operation> {
    vec![
        get("/events", "What happened, oldest first.", live::events)
            .query(is::EVENTS_QUERY)
            .gives(&is::EVENTS),
        get("/events/stream", "Events as they are committed, without a gap.", live::stream)
            .query(is::AFTER)
            .sends("text/event-stream"),
        get("/events/socket", "The same by WebSocket: one event a message.", live::socket)
            .query(is::AFTER)
            .upgrades(),
        post("/events/{seq}/replay", "Makes a webhook's request once more.", views::replay)
            .answers(202, &is::REPLAYED),
        get("/dead-jobs", "What was tried in vain.", api::dead_jobs).gives(&is::DEAD_JOBS),
        post("/dead-jobs/{id}/replay", "Tries it again.", api::replay).gives(&is::DEAD_REPLAYED),
        get("/errors/{code}", "The page of an error code.", console::error_page)
            .sends("text/markdown"),
        post("/twiml", "Reads a document and does nothing else.", check::twiml)
            .takes(&is::DOCUMENT)
            .gives(&is::CHECKED),
        get("/profile", "What the processor does, as collapsed stacks.", health::profile)
            .query(is::SECONDS)
            .sends("text/plain"),
    ]
}

fn set_up() -> Vec<Operation> {
    vec![
        get("/clock", "The platform's time.", time::clock_now).gives(&is::CLOCK),
        post("/clock", "Moves the clock.", time::move_clock).takes(&is::MOVE).gives(&is::CLOCK),
        post("/short-codes", "Gives an account a short code.", api::add_short_code)
            .takes(&is::NEW_SHORT_CODE)
            .creates(&is::SHORT_CODE),
        get("/link-domains", "Domains of an account's short links.", links::domains)
            .query(is::OF_ACCOUNT)
            .gives(&is::LINK_DOMAINS),
        post("/link-domains", "Adds a domain of short links.", links::add_domain)
            .takes(&is::NEW_LINK_DOMAIN)
            .creates(&is::ADDED_LINK_DOMAIN),
        delete("/link-domains/{domain}", "Removes a domain of short links.", links::remove_domain)
            .query(is::OF_ACCOUNT),
        get("/quiet-hours", "Who keeps quiet hours.", quiet_hours::show)
            .query(is::OF_ACCOUNT)
            .gives(&is::QUIET_HOURS),
        set("/quiet-hours", "Says who keeps quiet hours.", quiet_hours::set)
            .takes(&is::QUIET_SWITCH)
            .gives(&is::QUIET_SET),
        get("/sandbox", "The WhatsApp sandbox of an account.", api::sandbox)
            .query(is::OF_ACCOUNT)
            .gives(&is::SANDBOX),
        get("/opt-outs", "The newest opt-outs of all accounts.", views::opt_outs)
            .gives(&is::OPT_OUTS),
        get("/networks", "Networks and routes as they are now.", networks::show)
            .gives(&is::NETWORKS),
        get("/delivery-rates", "How much of each sender's arrives.", networks::delivery_rates)
            .gives(&is::DELIVERY_RATES),
    ]
}

fn mail() -> Vec<Operation> {
    vec![
        get("/mailboxes", "The simulated mailboxes.", mailboxes::mailboxes).gives(&is::MAILBOXES),
        get("/mailboxes/{address}", "A mailbox; every address is one.", mailboxes::mailbox)
            .gives(&is::MAILBOX),
        set("/mailboxes/{address}", "Tells how a mailbox behaves.", mailboxes::set_mailbox)
            .takes(&is::MAILBOX_CHANGE)
            .gives(&is::MAILBOX),
        get("/mailboxes/{address}/mails", "A mailbox's mails, newest first.", mailboxes::mails)
            .query(is::LIMIT)
            .gives(&is::MAILS),
        post("/mailboxes/{address}/mails", "Somebody writes a mail.", mailboxes::write)
            .takes(&is::WRITTEN)
            .creates(&is::WROTE),
        get("/mailboxes/{address}/mails/{id}/page", "A mail's HTML, tamed.", mailboxes::page)
            .sends("text/html"),
        post(
            "/mailboxes/{address}/mails/{id}/{reaction}",
            "A mail's reader does something.",
            mailboxes::react,
        )
        .gives(&is::REACTED),
    ]
}

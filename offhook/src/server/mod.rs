//! The platform as one process: wiring only.

mod access;
mod api;
mod backplane;
mod calls;
mod carriers;
mod check;
mod clients;
mod cluster;
mod console;
mod front;
mod handsets;
mod health;
mod homes;
mod hooks;
mod links;
mod live;
mod mailboxes;
mod networks;
mod otlp;
mod own;
mod people;
mod ports;
mod proxy;
mod quiet_hours;
mod redact;
mod speech;
mod time;
mod views;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use accounts::Accounts;
use authority::Authority;
use bus::Nats;
use client::Clients;
use clock::Clock;
use content::Content;
use contracts::{NoticeChannel, NoticeSender};
use door::{Door, Foreign};
use email::Email;
use events::{Events, Pump};
use jobs::Runner;
use lookup::{HttpSource, Lookup};
use media::Engine;
use messaging::Messaging;
use monitor::{Keep, Monitor, Retention};
use numbers::{Numbers, ValidationWorker};
use pricing::Pricing;
use rest::Router;
use sim::{Mailboxes, Network, Sim};
use sip_carrier::Sip;
use smpp_carrier::Smpp;
use smtp::Smtp;
use store::{BlobStore, Leases, Location, Sealer, Store};
use telemetry::Metrics;
use tokio::net::TcpListener;
use tokio::sync::watch;
use trunking::Trunking;
use trust::Trust;
use twilio::Twilio;
use users::Users;
use verify::Verify;
use voice::Voice;
use webhooks::Webhooks;
use whatsapp::WhatsApp;

use crate::config::Config;
use carriers::Networks;

pub use api::Env;
pub use clients::Config as ClientConfig;
pub use cluster::LimitsConfig;
pub use front::Front;
pub use otlp::Config as TraceConfig;
pub use own::description as own_description;
pub use speech::Config as SpeechConfig;

/// Everything `offhook up` decides.
#[derive(Clone)]
pub struct Settings {
    pub listen: SocketAddr,
    /// Keys, blobs and, by default, the database.
    pub data: PathBuf,
    pub database: Location,
    /// How the nodes of a cluster hear of each other; without it there is one node.
    pub bus: Option<Nats>,
    /// The schema is brought up to date at the start; else it has to be.
    pub migrate: bool,
    /// Unknown accounts and senders are adopted; the clock moves.
    pub development: bool,
    pub policy: outbound::Policy,
    /// Where applications reach this platform; derived from the listener when absent.
    pub public_url: Option<String>,
    pub network: Network,
    /// How long the simulated reviewer of WhatsApp templates takes.
    pub review_delay: Duration,
    /// How fast senders may send.
    pub rates: messaging::Rates,
    /// How much they may send in a day.
    pub caps: messaging::Caps,
    /// Unregistered American senders are refused.
    pub enforce_registration: bool,
    /// Floods of texts to one block of numbers are stopped.
    pub guard_pumping: bool,
    /// Requests of one account in flight beyond which 20429 answers; 0 is no limit.
    pub concurrency_max: u32,
    /// Legs with sound at once.
    pub legs_max: usize,
    /// How long events are kept.
    pub keep: Keep,
    /// Append every API request and answer to this file, secrets left out.
    pub wire_log: Option<PathBuf>,
    /// Where traces go; without it there are none.
    pub traces: Option<TraceConfig>,
    /// Whose certificates the port answers TLS with; without it there is no TLS.
    pub authority: Option<Arc<Authority>>,
    /// What the port does with traffic for other hosts.
    pub foreign: Foreign,
    /// Domains and trunks, where the platform's own are not meant.
    pub sip_directory: Option<Arc<dyn contracts::SipDirectory>>,
    /// How long a verification waits for its code.
    pub verification_lifetime: Duration,
    pub config: Config,
}

/// The usual time of the simulated reviewer: long enough to be seen, short enough to wait for.
pub const REVIEW_DELAY: Duration = Duration::from_secs(5);

/// How long Event Webhooks collect: as SendGrid does, but on a laptop, where somebody waits.
const EVENT_WEBHOOK_DELAY: Duration = Duration::from_secs(30);

/// Who calls codes out in development where `[notices] call` is not set.
const NOTICE_CALLER: &str = "+18445550100";

impl Settings {
    /// As `offhook up` starts it when nothing is asked for, but without TLS and for no other
    /// host's traffic.
    pub fn development(listen: SocketAddr, data: &Path) -> Self {
        Self {
            listen,
            data: data.to_owned(),
            database: Location::Sqlite(data.join("offhook.db")),
            bus: None,
            migrate: true,
            development: true,
            policy: outbound::Policy::Open,
            public_url: None,
            network: Network { seed: 1, delay_ms: (40, 160), fault_rate: 0.0 },
            review_delay: REVIEW_DELAY,
            rates: messaging::Rates::UNLIMITED,
            caps: messaging::Caps::default(),
            enforce_registration: false,
            guard_pumping: false,
            concurrency_max: 0,
            legs_max: 4096,
            keep: Keep::default(),
            wire_log: None,
            traces: None,
            authority: None,
            foreign: Foreign::Refuse,
            sip_directory: None,
            verification_lifetime: verify::LIFETIME,
            config: Config::default(),
        }
    }
}

/// A running platform.
pub struct Platform {
    pub store: Store,
    pub leases: Leases,
    pub clock: Clock,
    pub accounts: Arc<Accounts>,
    pub users: Users,
    pub numbers: Arc<Numbers>,
    pub messaging: Arc<Messaging>,
    pub voice: Arc<Voice>,
    pub trunking: Arc<Trunking>,
    pub sim: Arc<Sim>,
    pub mailboxes: Arc<Mailboxes>,
    pub email: Arc<Email>,
    pub verify: Arc<Verify>,
    pub smpp: Option<Arc<Smpp>>,
    pub twilio: Option<Arc<Twilio>>,
    pub whatsapp: Option<Arc<WhatsApp>>,
    pub smtp: Option<Arc<Smtp>>,
    pub sip: Option<Arc<Sip>>,
    pub clients: Arc<Clients>,
    pub sound: Arc<Engine>,
    /// What nodes say to each other live, where there are some.
    between_nodes: Option<Arc<backplane::Live>>,
    pub events: Arc<Events>,
    pub router: Router,
    /// Those that somebody works on.
    pub queues: Vec<&'static str>,
    pub metrics: Arc<Metrics>,
    pub config: Config,
    pub url: String,
    pub is_loopback: bool,
    pub wire_log: Option<front::WireLog>,
    /// The certificate of this machine's authority, PEM; for programs elsewhere.
    pub authority_pem: Option<String>,
    /// True when no more requests should come.
    pub draining: watch::Sender<bool>,
    /// True when it is time to end: what would go on for ever ends by itself.
    stop: watch::Sender<bool>,
}

/// What keeps a started platform alive and stops it.
pub struct Running {
    pub platform: Arc<Platform>,
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// How long a stopping instance waits for requests and jobs at work.
const DRAIN: Duration = Duration::from_secs(20);

impl Running {
    /// Says at `/readyz` that no more requests should come; they are still answered.
    pub fn drain(&self) {
        self.platform.draining.send_replace(true);
    }

    /// Stops taking requests and jobs, lets those at work finish, for so long as all together
    /// may take.
    pub async fn stop(self) {
        // No receiver means that the tasks have ended already.
        self.drain();
        let _ = self.stop.send(true);
        let until = tokio::time::Instant::now() + DRAIN;
        for task in self.tasks {
            let _ = tokio::time::timeout_at(until, task).await;
        }
    }
}

/// Why an instance did not start.
#[derive(Debug)]
pub struct StartError(pub String);

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

fn failed(what: &str) -> impl Fn(String) -> StartError + '_ {
    move |why| StartError(format!("{what}: {why}"))
}

/// Opens the store, wires products and carriers, and serves.
pub async fn start(settings: Settings) -> Result<Running, StartError> {
    let listener = TcpListener::bind(settings.listen)
        .await
        .map_err(|error| failed("cannot listen")(format!("{}: {error}", settings.listen)))?;
    let local =
        listener.local_addr().map_err(|error| failed("cannot listen")(error.to_string()))?;
    let (platform, runner) = wire(&settings, local).await?;
    let stop = platform.stop.clone();
    let stopped = stop.subscribe();
    let journal = platform.store.background().journal();
    let retention = Retention::new(
        journal,
        platform.store.background().census(),
        vec![platform.email.clone(), platform.verify.clone()],
        platform.clock.clone(),
        settings.keep,
    );
    let pump = Pump::new(platform.events.clone(), platform.store.bus().clone());
    let mut tasks = Vec::new();
    if let Some(config) = settings.traces {
        // The operator names the collector, wherever it is.
        let client = outbound::Client::new(outbound::Policy::Open, platform.clock.clone())
            .map_err(|error| failed("trusted certificates")(error.to_string()))?;
        tasks.push(tokio::spawn(otlp::run(config, Arc::new(client), stopped.clone())));
    }
    if let Some(smpp) = platform.smpp.clone() {
        let leases = platform.leases.clone();
        let stopped = stopped.clone();
        tasks.push(tokio::spawn(async move {
            leases.alone(smpp_carrier::LEASE, stopped, |stop| smpp.clone().run(stop)).await;
        }));
    }
    if let Some(smtp) = &platform.smtp {
        tasks.push(tokio::spawn(smtp.clone().run(stopped.clone())));
        smtp.ready().await;
    }
    if let Some(sip) = &platform.sip {
        tasks.push(tokio::spawn(sip.clone().run(stopped.clone())));
        sip.ready().await;
    }
    if let Some(live) = platform.between_nodes.clone() {
        tasks.push(tokio::spawn(live.carry(platform.clients.clone(), stopped.clone())));
    }
    if settings.bus.is_some() {
        let (leases, stopped) = (platform.leases.clone(), stopped.clone());
        let (voice, clock) = (platform.voice.clone(), platform.clock.clone());
        let (sim, bus) = (platform.sim.clone(), platform.store.bus().clone());
        tasks.push(tokio::spawn(homes::hear_of_rooms(bus, sim.clone(), stopped.clone())));
        tasks.push(tokio::spawn(async move {
            let orphans = |stop| {
                let (clock, sim) = (clock.clone(), sim.clone());
                homes::end_orphans(leases.clone(), voice.clone(), sim, move || clock.now(), stop)
            };
            leases.clone().alone(homes::LEASE, stopped, orphans).await;
        }));
    }
    tasks.extend([
        tokio::spawn(platform.leases.clone().stay_alive(stopped.clone())),
        tokio::spawn(cluster::follow_clock(
            platform.store.clone(),
            platform.clock.clone(),
            stopped.clone(),
        )),
        tokio::spawn(runner.run(stopped.clone())),
        tokio::spawn(retention.run(stopped.clone())),
        tokio::spawn(pump.run(stopped.clone())),
        tokio::spawn(door::serve(
            listener,
            Door {
                service: Front::new(platform.clone()),
                authority: settings.authority,
                foreign: settings.foreign,
                watch: Arc::new(front::Counted(platform.clone())),
            },
            stopped,
        )),
    ]);
    if settings.bus.is_none() && platform.store.kind() == "postgres" {
        tasks.push(tokio::spawn(cluster::miss_bus(platform.leases.clone(), stop.subscribe())));
    }
    Ok(Running { platform, stop, tasks })
}

/// Everything wired as [`start`] does, but without a listener and with no job at work:
/// for checks of what is mounted. `data` is a scratch directory.
///
/// # Errors
/// When the store in `data` cannot be opened.
pub async fn assemble(data: &Path) -> Result<Arc<Platform>, StartError> {
    let local = SocketAddr::from(([127, 0, 0, 1], 4010));
    let settings = Settings::development(local, data);
    Ok(wire(&settings, local).await?.0)
}

async fn wire(
    settings: &Settings,
    local: SocketAddr,
) -> Result<(Arc<Platform>, Arc<Runner>), StartError> {
    let data = &settings.data;
    std::fs::create_dir_all(data).map_err(|error| {
        let place = format!("data directory {}", data.display());
        failed(&place)(format!("{error}; name another with --data"))
    })?;
    let sealer = Sealer::from_file(&data.join("secret.key"))
        .map_err(|error| failed("secret.key")(error.to_string()))?;
    let opened = match settings.migrate {
        true => Store::open(&settings.database, cluster::bus(settings)).await,
        false => Store::open_as_it_is(&settings.database, cluster::bus(settings)).await,
    };
    let store = opened.map_err(|error| failed("database")(error.to_string()))?;
    cluster::check_key(&store, &sealer).await?;
    let leases = cluster::leases(&store.background());
    let blobs = BlobStore::open(data.join("blobs"), &store)
        .map_err(|error| failed("blobs")(error.to_string()))?
        .sealed_by(&sealer, settings.config.storage.encrypt);
    let development = settings.development;
    let clock = if development { Clock::movable() } else { Clock::fixed() };
    time::restore_clock(&store, &clock).await.map_err(|e| failed("clock")(e.to_string()))?;
    cluster::check_clock(&store, &clock).await?;

    let accounts = Accounts::new(store.clone(), clock.clone(), sealer.clone(), development);
    let client = outbound::Client::new(settings.policy.clone(), clock.clone())
        .map_err(|error| failed("trusted certificates")(error.to_string()))?;
    let client = Arc::new(client);
    let metrics = Arc::new(Metrics::default());
    let keys = Arc::new(ports::Keys(accounts.clone()));
    let webhooks = Webhooks::new(client.clone(), keys, clock.clone(), metrics.clone());
    // What workers and carriers write yields to what API callers wait for.
    let background = store.background();
    let url = settings.public_url.clone().unwrap_or_else(|| reachable(local));
    let networks = Networks::new(settings, &background, &clock, &client, &url, &leases)?;
    let sim = networks.sim.clone();
    let numbers =
        Numbers::new(store.clone(), clock.clone(), accounts.clone(), sim.clone(), development);
    let content = Content::new(content::Parts {
        store: background.by_account(),
        clock: clock.clone(),
        webhooks: webhooks.clone(),
        review_delay: settings.review_delay,
        development,
    });
    let trust = Trust::new(background.by_account(), clock.clone(), numbers.clone(), development);
    let email = Email::new(email::Parts {
        store: background.by_account(),
        clock: clock.clone(),
        blobs: blobs.clone(),
        sealer: sealer.clone(),
        names: Arc::new(ports::Claims { store: store.clone(), accounts: accounts.clone() }),
        accounts: accounts.clone(),
        gate: accounts.clone(),
        webhooks: webhooks.clone(),
        client: client.clone(),
        public_url: url.clone(),
        development,
        webhook_delay: if development { Duration::from_millis(200) } else { EVENT_WEBHOOK_DELAY },
    });
    let messaging = Messaging::new(messaging::Parts {
        store: background.by_account(),
        clock: clock.clone(),
        bus: store.bus().clone(),
        blobs: blobs.clone(),
        numbers: numbers.clone(),
        accounts: accounts.clone(),
        content: content.clone(),
        trust: trust.clone(),
        webhooks: webhooks.clone(),
        client: client.clone(),
        public_url: url.clone(),
        development,
        rates: settings.rates,
        caps: settings.caps,
        enforce_registration: settings.enforce_registration,
        guard_pumping: settings.guard_pumping,
        sealer: sealer.clone(),
        notice_senders: settings.config.notices.clone(),
    });
    networks.connect(&messaging, &metrics)?;
    let trunking = Trunking::new(trunking::Parts {
        store: background.by_account(),
        sealer: sealer.clone(),
        clock: clock.clone(),
        numbers: numbers.clone(),
        accounts: accounts.clone(),
        config: settings.config.voice.clone(),
        development,
    });
    numbers.connect_trunks(trunking.clone());
    let speech = Arc::new(speech::Speech::new(settings.config.speech.clone(), client.clone()));
    let directory: Arc<dyn contracts::SipDirectory> = match &settings.sip_directory {
        Some(directory) => directory.clone(),
        None => trunking.clone(),
    };
    let notice_caller = settings.config.notices.call.clone();
    let notice_caller = notice_caller.or_else(|| development.then(|| NOTICE_CALLER.to_owned()));
    let homes: Arc<dyn contracts::Homes> = Arc::new(homes::Rows(leases.clone()));
    let voice = Voice::new(voice::Parts {
        store: background.by_account(),
        clock: clock.clone(),
        blobs,
        numbers: numbers.clone(),
        accounts: accounts.clone(),
        permissions: trunking.clone(),
        webhooks: webhooks.clone(),
        client: client.clone(),
        texts: messaging.clone(),
        speaker: speech.clone(),
        files: Arc::new(speech::Lame),
        recogniser: speech.clone(),
        sip: directory.clone(),
        siprec_connectors: settings
            .config
            .carriers
            .sip
            .iter()
            .flat_map(|sip| &sip.recorders)
            .map(|recorder| recorder.name.clone())
            .collect(),
        homes: homes.clone(),
        public_url: url.clone(),
        development,
        sealer: sealer.clone(),
        connectors: settings.config.pay.clone(),
        agents: settings.config.virtual_agents.clone(),
        notice_caller: notice_caller.clone(),
    });
    let between_nodes = settings.bus.clone().map(backplane::Live::new);
    let time = clock.clone();
    let sound = Engine::start(
        media::Parts {
            now: Arc::new(move || time.now()),
            speaker: speech.clone(),
            recogniser: speech,
            client: client.clone(),
            sink: voice.clone(),
            spool: data.join("recordings"),
            legs_max: settings.legs_max,
            links: between_nodes.as_ref().map(|live| live.links.clone()),
        },
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    );
    let time = clock.clone();
    let browsers = clients::addresses(settings, local);
    let clients = Clients::new(client::Parts {
        now: Arc::new(move || time.now()),
        tokens: accounts.clone(),
        homes: homes.clone(),
        backplane: between_nodes.as_ref().map(|live| live.backplane.clone()),
        addresses: browsers.clone(),
        random: Arc::new(rand::random::<u128>),
    });
    let tell_of_room = homes::tell_of_rooms(settings, store.bus());
    sim.connect_sound(sound.clone(), browsers, homes.clone(), tell_of_room);
    networks.connect_calls(&voice, directory, &sound, &clients, &homes);
    let mut senders: HashMap<NoticeChannel, Arc<dyn NoticeSender>> = HashMap::from([
        (NoticeChannel::Sms, messaging.clone() as Arc<dyn NoticeSender>),
        (NoticeChannel::WhatsApp, messaging.clone()),
        (NoticeChannel::Email, email.clone()),
    ]);
    if notice_caller.is_some() {
        senders.insert(NoticeChannel::Call, voice.clone());
    }
    let lookup = Lookup::new(match settings.config.lookup.clone() {
        Some(config) => lookup::Source::Http(HttpSource::new(config, client.clone())),
        None => lookup::Source::Network(sim.clone()),
    });
    let verify = Verify::new(verify::Parts {
        store: background.by_account(),
        clock: clock.clone(),
        sealer,
        webhooks: webhooks.clone(),
        lines: sim.clone(),
        senders,
        public_url: url.clone(),
        lifetime: settings.verification_lifetime,
        development,
    });
    messaging.connect_notices(verify.clone());
    voice.connect_notices(verify.clone());
    email.connect_notices(verify.clone());
    networks.connect_mail(&email);

    let events = Events::new(events::Parts {
        journal: background.journal(),
        store: background.by_account(),
        clock: clock.clone(),
        webhooks: webhooks.clone(),
        client,
        messages: Arc::new(ports::Contents(background.by_account())),
    });
    let runner = Runner::new(background, clock.clone())
        .among(leases.clone())
        .with(webhooks)
        .with(Arc::new(usage::Watch::new(clock.clone())))
        .with(Arc::new(ValidationWorker(numbers.clone())));
    let monitor = Monitor::new(clock.clone(), email.clone());
    let runner = content.work(trust.work(monitor.work(events.work(runner))));
    let runner = voice.work(verify.work(email.work(runner)));
    let runner = Arc::new(networks.work(messaging.work(runner)));
    if matches!(settings.database, Location::Sqlite(_)) {
        let freed = runner.release_leases().await;
        freed.map_err(|error| failed("database")(error.to_string()))?;
    }
    let limits = cluster::limits(settings);
    let doors = ports::Doors { accounts: accounts.clone(), verify: verify.clone() };
    let router = Router::new(store.clone(), clock.clone(), Arc::new(doors), development)
        .with_limits(
            limits.everybody,
            limits.accounts,
            limits.node_requests_in_flight,
            cluster::counts(&store),
        );
    let router = trust.mount(numbers.mount(accounts.mount(router)));
    let router = content.mount(messaging.mount(router));
    let router = usage::mount(monitor.mount(router));
    let router = Pricing::new(tariff::EXAMPLE, numbers.clone()).mount(router);
    let router = trunking.mount(router);
    let router = lookup.mount(voice.mount(verify.mount(events.mount(router))));
    let router = email.mount(router);
    let wire_log = settings.wire_log.as_deref().map(front::WireLog::open).transpose();
    let platform = Arc::new(Platform {
        users: Users::new(store.clone(), clock.clone()),
        config: settings.config.clone(),
        store,
        leases,
        clock,
        accounts,
        numbers,
        messaging,
        voice,
        trunking,
        sim,
        mailboxes: networks.mailboxes.clone(),
        email,
        verify,
        smpp: networks.smpp.clone(),
        twilio: networks.twilio.clone(),
        whatsapp: networks.whatsapp.clone(),
        smtp: networks.smtp.clone(),
        sip: networks.sip.clone(),
        clients,
        sound,
        between_nodes,
        events,
        router,
        queues: runner.queues(),
        metrics,
        url,
        is_loopback: local.ip().is_loopback(),
        draining: watch::channel(false).0,
        stop: watch::channel(false).0,
        authority_pem: settings.authority.as_ref().map(|authority| authority.pem().to_owned()),
        wire_log: wire_log.map_err(|error| failed("wire log")(error.to_string()))?,
    });
    Ok((platform, runner))
}

/// The URL of a listener as a local program reaches it.
fn reachable(local: SocketAddr) -> String {
    match local.ip() {
        ip if ip.is_unspecified() => format!("http://127.0.0.1:{}", local.port()),
        _ => format!("http://{local}"),
    }
}

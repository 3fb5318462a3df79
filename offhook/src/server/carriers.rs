//! The networks: made, connected to Messaging, and routed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use client::Clients;
use clock::Clock;
use contracts::{
    BindAccount, BindDirectory, BoxFuture, CallNetwork, Homes, MessageCarrier, Order, OutboundCall,
    OutboundMessage, SipDirectory, Submission, Unavailable, VoiceCarrier, home_of_leg,
};
use email::Email;
use jobs::{Queue, Runner};
use kernel::{Sid, Timestamp};
use media::Engine;
use messaging::Messaging;
use outbound::Client;
use routes::{CallRoutes, Route, Routes, SIM};
use sim::{Mailboxes, Sim};
use sip_carrier::Sip;
use smpp_carrier::Smpp;
use smtp::Smtp;
use store::{Leases, Store};
use telemetry::Metrics;
use twilio::Twilio;
use voice::Voice;
use whatsapp::WhatsApp;

use super::homes::Housed;
use super::ports::Notes;
use super::{Settings, StartError, failed};
use crate::config::Application;

/// A carrier whose time is taken.
struct Measured {
    name: String,
    carrier: Arc<dyn MessageCarrier>,
    metrics: Arc<Metrics>,
}

impl MessageCarrier for Measured {
    fn submit<'a>(&'a self, message: &'a OutboundMessage) -> BoxFuture<'a, Submission> {
        Box::pin(async move {
            let began = Instant::now();
            let submission = self.carrier.submit(message).await;
            let outcome = match submission {
                Submission::Accepted => "accepted",
                Submission::Refused { .. } => "refused",
                Submission::Busy(_) => "busy",
                Submission::Elsewhere(_) => "elsewhere",
            };
            self.metrics.submitted(&self.name, outcome, began.elapsed());
            telemetry::trace::annotate("offhook.carrier", &self.name);
            submission
        })
    }
}

/// The networks of this instance.
pub struct Networks {
    pub sim: Arc<Sim>,
    pub mailboxes: Arc<Mailboxes>,
    pub smpp: Option<Arc<Smpp>>,
    pub twilio: Option<Arc<Twilio>>,
    pub whatsapp: Option<Arc<WhatsApp>>,
    pub smtp: Option<Arc<Smtp>>,
    pub sip: Option<Arc<Sip>>,
    applications: Vec<Application>,
    routes: Vec<Route>,
}

impl Networks {
    /// Makes what the configuration names; the simulated network is always there.
    pub fn new(
        settings: &Settings,
        store: &Store,
        clock: &Clock,
        client: &Arc<Client>,
        public_url: &str,
        leases: &Leases,
    ) -> Result<Self, StartError> {
        let config = &settings.config;
        let is_shared = settings.bus.is_some();
        let notes = |carrier| Arc::new(Notes::new(store.clone(), carrier, is_shared));
        let queue = || Queue::new(store.clone(), clock.clone());
        let sim = Sim::new(notes(SIM), queue(), settings.network);
        let mailboxes = Mailboxes::new(notes("mailbox"), queue());
        let now = clock.clone();
        let smpp = config.carriers.smpp.clone().map(|smpp| {
            let now = Arc::new(move || now.now());
            Smpp::new(smpp, notes("smpp"), settings.network.seed, now)
        });
        let smpp = smpp.transpose().map_err(|error| failed("carriers.smpp")(error.to_string()))?;
        // A URL that was derived from a loopback listener is no address for somebody else.
        let reachable = settings.public_url.as_ref().map(|_| public_url.to_owned());
        let twilio =
            config.carriers.twilio.clone().map(|twilio| {
                Twilio::new(twilio, notes("twilio"), queue(), client.clone(), reachable)
            });
        let twilio =
            twilio.transpose().map_err(|error| failed("carriers.twilio")(error.to_string()))?;
        let now = clock.clone();
        let whatsapp = config.carriers.whatsapp.clone().map(|whatsapp| {
            WhatsApp::new(whatsapp, notes("whatsapp"), move || now.now(), client.clone())
        });
        let whatsapp =
            whatsapp.transpose().map_err(|error| failed("carriers.whatsapp")(error.to_string()))?;
        let smtp = config.carriers.smtp.clone();
        let smtp = smtp.or_else(|| settings.development.then(smtp::Config::development));
        // On this machine the authority vouches for the hosts that programs mean.
        let tls = settings.authority.as_ref().filter(|_| settings.development);
        let tls = tls.map(|authority| authority.server_config(Some("smtp.sendgrid.net")));
        let smtp = smtp.map(|smtp| Smtp::new(smtp, settings.policy.clone(), tls)).transpose();
        let smtp = smtp.map_err(|error| failed("carriers.smtp")(error.to_string()))?;
        let sip = config.carriers.sip.clone();
        let sip = sip.or_else(|| settings.development.then(sip_carrier::Config::development));
        let time = clock.clone();
        let sip = sip.map(|sip| {
            let now: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(move || time.now());
            let policy = settings.policy.clone();
            let home = is_shared.then(|| leases.home());
            Sip::new(sip, sip_carrier::Parts { now, policy, notes: notes("sip"), home })
        });
        let sip = sip.transpose().map_err(|error| failed("carriers.sip")(error.to_string()))?;
        let has_listener =
            config.carriers.smpp.as_ref().is_some_and(|smpp| !smpp.listeners.is_empty());
        check_applications(&config.applications, has_listener)
            .map_err(|why| failed("applications")(why))?;
        let applications = config.applications.clone();
        let routes = config.routes.clone();
        Ok(Self { sim, mailboxes, smpp, twilio, whatsapp, smtp, sip, applications, routes })
    }

    /// Connects them and Messaging, both ways.
    pub fn connect(
        &self,
        messaging: &Arc<Messaging>,
        metrics: &Arc<Metrics>,
    ) -> Result<(), StartError> {
        self.sim.connect(messaging.clone());
        let mut carriers: Vec<(String, Arc<dyn MessageCarrier>)> =
            vec![(SIM.to_owned(), self.sim.clone())];
        if let Some(smpp) = &self.smpp {
            smpp.connect(messaging.clone());
            smpp.serve(messaging.clone(), Arc::new(Binders(self.applications.clone())));
            let numbers = self.applications.iter().flat_map(|application| {
                let name = application.system_id.clone();
                application.numbers.iter().map(move |number| (number.clone(), name.clone()))
            });
            messaging.connect_applications(smpp.clone(), numbers.collect::<HashMap<_, _>>());
            carriers.push(("smpp".to_owned(), smpp.clone()));
        }
        if let Some(twilio) = &self.twilio {
            twilio.connect(messaging.clone());
            carriers.push(("twilio".to_owned(), twilio.clone()));
        }
        if let Some(whatsapp) = &self.whatsapp {
            whatsapp.connect(messaging.clone());
            carriers.push(("whatsapp".to_owned(), whatsapp.clone()));
        }
        let measured = |(name, carrier): (String, Arc<dyn MessageCarrier>)| {
            let measured = Measured { name: name.clone(), carrier, metrics: metrics.clone() };
            (name, Arc::new(measured) as Arc<dyn MessageCarrier>)
        };
        let mut carriers: Vec<_> = carriers.into_iter().map(measured).collect();
        if self.routes.is_empty() {
            // The simulated network is the first.
            messaging.connect(carriers.swap_remove(0).1);
            return Ok(());
        }
        let routes = Routes::new(carriers, &self.routes)
            .map_err(|error| failed("routes")(error.to_string()))?;
        messaging.connect(Arc::new(routes));
        Ok(())
    }

    /// Connects those that carry calls and Voice, both ways.
    pub fn connect_calls(
        &self,
        voice: &Arc<Voice>,
        directory: Arc<dyn SipDirectory>,
        sound: &Arc<Engine>,
        clients: &Arc<Clients>,
        homes: &Arc<dyn Homes>,
    ) {
        let housed = Arc::new(Housed { sink: voice.clone(), homes: homes.clone() });
        self.sim.connect_voice(voice.clone());
        let sip = self.sip.iter().map(|sip| {
            sip.connect(housed.clone(), directory.clone(), sound.clone());
            sip.clone() as Arc<dyn CallNetwork>
        });
        clients.connect(housed.clone(), sound.clone());
        let homed = |network| Arc::new(Homed(network, homes.clone())) as Arc<dyn CallNetwork>;
        let networks = sip.chain([clients.clone() as Arc<dyn CallNetwork>]).map(homed).collect();
        let recorder = self.sip.clone().map(|sip| sip as Arc<dyn VoiceCarrier>);
        let routes = CallRoutes::new(networks, self.sim.clone()).recorded_by(recorder);
        voice.connect(Arc::new(routes));
    }

    /// Connects those that carry mail and Email, both ways.
    pub fn connect_mail(&self, email: &Arc<Email>) {
        self.mailboxes.connect(email.clone());
        let Some(smtp) = &self.smtp else { return email.connect(self.mailboxes.clone()) };
        smtp.connect(email.clone(), email.clone());
        email.connect_dns(smtp.clone());
        match smtp.delivers() {
            true => email.connect(smtp.clone()),
            false => email.connect(self.mailboxes.clone()),
        }
    }

    /// Adds their workers.
    pub fn work(&self, runner: Runner) -> Runner {
        let legs = Arc::new(sim::Legs(self.sim.clone()));
        let runner = runner.with(self.sim.clone()).with(legs);
        let runner = runner.with(self.mailboxes.clone());
        match &self.twilio {
            Some(twilio) => runner.with(twilio.clone()),
            None => runner,
        }
    }
}

/// An application needs a listener, a name and a password of its own, and numbers that are some.
fn check_applications(applications: &[Application], has_listener: bool) -> Result<(), String> {
    let mut names = HashSet::new();
    for (at, application) in applications.iter().enumerate() {
        let Application { system_id, password, numbers, .. } = application;
        if !has_listener {
            return Err(format!("[{at}] {system_id:?} needs one of [[carriers.smpp.listeners]]"));
        }
        if !names.insert(system_id) {
            return Err(format!("[{at}].system_id {system_id:?} is another application's"));
        }
        if password.0.is_empty() {
            return Err(format!("[{at}].password is empty"));
        }
        for number in numbers {
            let is_normal =
                numbering::E164::parse(number).is_ok_and(|parsed| parsed.to_string() == *number);
            if !is_normal {
                return Err(format!("[{at}].numbers has {number:?}: write it as +14155550100"));
            }
        }
    }
    Ok(())
}

/// A network whose legs live on this node.
struct Homed(Arc<dyn CallNetwork>, Arc<dyn Homes>);

impl CallNetwork for Homed {
    fn reaches(&self, call: &OutboundCall) -> bool {
        self.0.reaches(call)
    }

    fn has(&self, leg: Sid) -> bool {
        self.0.has(leg)
    }
}

impl VoiceCarrier for Homed {
    fn place<'a>(&'a self, call: &'a OutboundCall) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            self.1.claim(&home_of_leg(call.account, call.leg)).await?;
            self.0.place(call).await
        })
    }

    fn home_of<'a>(
        &'a self,
        call: &'a OutboundCall,
    ) -> BoxFuture<'a, Result<Option<String>, Unavailable>> {
        self.0.home_of(call)
    }

    fn order<'a>(
        &'a self,
        account: Sid,
        leg: Sid,
        at: Timestamp,
        order: &'a Order,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        self.0.order(account, leg, at, order)
    }
}

/// The applications of the configuration.
struct Binders(Vec<Application>);

impl BindDirectory for Binders {
    fn bind_account<'a>(
        &'a self,
        system_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<BindAccount>, Unavailable>> {
        let found = self.0.iter().find(|application| application.system_id == system_id);
        let account = found.map(|application| BindAccount {
            account: application.account_sid,
            password: application.password.0.clone(),
            sessions_max: application.sessions_max,
            rate_per_second: application.rate_per_second,
        });
        Box::pin(async move { Ok(account) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn what_is_wrong_with_an_application_is_named() {
        let one = "[[applications]]\nsystem_id = 'a'\npassword = 'p'\n\
                   account_sid = 'AC00000000000000000000000000000001'\n";
        let check = |text: &str, has_listener| {
            check_applications(&Config::read_text(text).unwrap().applications, has_listener)
        };
        assert_eq!(check(&format!("{one}numbers = ['+14155550100']"), true), Ok(()));
        for (text, has_listener, why) in [
            (one.to_owned(), false, "listeners"),
            (format!("{one}{one}"), true, "system_id"),
            (one.replace("'p'", "''"), true, "password"),
            (format!("{one}numbers = ['4155550100']"), true, "numbers"),
        ] {
            assert!(check(&text, has_listener).unwrap_err().contains(why), "{text}");
        }
    }
}

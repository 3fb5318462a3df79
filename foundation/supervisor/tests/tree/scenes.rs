//! What is expected of the supervisor while the roles are played.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use supervisor::{Facts, Method, Refused, Rules, Supervised, probe, spawn};

use crate::door::Door;

/// A user without privileges: nobody.
const NOBODY: u32 = 65534;
const HOST: &str = "api.twilio.com";
const BOTH: [Method; 2] = [Method::PidfdGetfd, Method::AddFd];

type Scene = (&'static str, fn());

pub const ALL: &[Scene] = &[
    ("this_machine_can", this_machine_can),
    ("every_way_of_connecting_reaches_the_door", every_way_of_connecting_reaches_the_door),
    ("mail_reaches_its_listener", mail_reaches_its_listener),
    ("who_is_behind_a_connection_is_known", who_is_behind_a_connection_is_known),
    ("other_ports_and_datagrams_are_refused", other_ports_and_datagrams_are_refused),
    ("what_is_not_ours_is_left_alone", what_is_not_ours_is_left_alone),
    ("offline_has_no_public_addresses", offline_has_no_public_addresses),
    ("what_goes_past_is_noted", what_goes_past_is_noted),
    ("bad_arguments_get_the_kernels_answer", bad_arguments_get_the_kernels_answer),
    ("a_tree_may_die_at_any_moment", a_tree_may_die_at_any_moment),
    ("thousands_of_connections_and_hundreds_of_processes", thousands),
    ("a_dropped_supervisor_goes_on", a_dropped_supervisor_goes_on),
    ("what_cannot_start_says_why", what_cannot_start_says_why),
    ("a_supervised_program_cannot_supervise", a_supervised_program_cannot_supervise),
    ("all_of_it_without_privileges", all_of_it_without_privileges),
];

fn me(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(args);
    command
}

fn start(door: &Door, method: Method, offline: bool, role: &[&str]) -> (Child, Supervised) {
    let rules = Rules { door: door.address, mail: None, offline };
    spawn(me(&[&["child"], role].concat()), rules, method).unwrap()
}

/// Plays a role to its end, which must be a good one and leave no thread.
fn play(door: &Door, method: Method, offline: bool, role: &[&str]) -> Supervised {
    let (mut child, run) = start(door, method, offline, role);
    let status = child.wait().unwrap();
    assert!(status.success(), "{method:?} {role:?}: {status}");
    until_over(&run);
    run
}

fn facts(method: Method, offline: bool, role: &[&str]) -> Facts {
    play(&Door::open(), method, offline, role).facts()
}

fn until_over(run: &Supervised) {
    let limit = Instant::now() + Duration::from_secs(20);
    while !run.is_over() {
        assert!(Instant::now() < limit, "its threads have not ended");
        std::thread::yield_now();
    }
}

fn this_machine_can() {
    let found = probe();
    assert!(found.is_ok(), "{}", found.unwrap_err());
}

fn every_way_of_connecting_reaches_the_door() {
    for method in BOTH {
        let door = Door::open();
        for role in ["connect", "nonblocking", "mapped", "thread", "grandchild"] {
            let facts = play(&door, method, false, &[role, HOST, "443"]).facts();
            assert_eq!(facts.redirected, if role == "nonblocking" { 2 } else { 1 }, "{role}");
            assert_eq!(facts.hosts.keys().collect::<Vec<_>>(), [HOST], "{role}");
            assert!(facts.connects >= 2, "{role}: {facts:?}");
            assert!(facts.refused.entries.is_empty(), "{role}: {facts:?}");
            door.next();
        }
        play(&door, method, true, &["connect", "Verify.Twilio.Com", "80"]);
        play(&door, method, true, &["dns-over-tcp"]);
        play(&door, method, true, &["checks-source"]);
    }
}

fn mail_reaches_its_listener() {
    const MAIL: &str = "smtp.sendgrid.net";
    for method in BOTH {
        let (door, mail) = (Door::open(), Door::open());
        let rules = Rules { door: door.address, mail: Some(mail.address), offline: true };
        let command = me(&["child", "connect", MAIL, "587"]);
        let (mut child, run) = spawn(command, rules, method).unwrap();
        assert!(child.wait().unwrap().success());
        until_over(&run);
        mail.next();
        let facts = run.facts();
        assert_eq!((facts.mail.get(MAIL), facts.redirected), (Some(&1), 0), "{facts:?}");
        // Without a listener it is refused, as TLS from the start always is.
        play(&door, method, false, &["refused", MAIL, "587"]);
        play(&door, method, false, &["refused", MAIL, "465"]);
    }
}

fn who_is_behind_a_connection_is_known() {
    for method in BOTH {
        let door = Door::open();
        let (mut child, run) = start(&door, method, false, &["connect", HOST, "443"]);
        let caller = run.behind(door.next()).unwrap();
        let me = std::env::current_exe().unwrap();
        assert_eq!(caller.host, HOST);
        assert_eq!(caller.program, me.file_name().unwrap().to_str().unwrap());
        let mine = TcpStream::connect(door.address).unwrap();
        assert_eq!(run.behind(mine.local_addr().unwrap().port()), None);
        assert!(child.wait().unwrap().success());
    }
}

fn other_ports_and_datagrams_are_refused() {
    // A server on every address of this machine must not get what was for another host.
    let server = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = server.local_addr().unwrap().port();
    for method in BOTH {
        let found = facts(method, false, &["refused", "smtp.sendgrid.net", &port.to_string()]);
        let [Refused { host, port: noted, .. }] = &found.refused.entries[..] else {
            panic!("{found:?}")
        };
        assert_eq!((host.as_str(), *noted), ("smtp.sendgrid.net", port));
        let found = facts(method, false, &["refused", "127.66.3.3", "443"]);
        assert_eq!(found.refused.entries[0].host, "127.66.3.3", "a name nobody asked for");
        let found = facts(method, false, &["udp-refused", HOST, "443"]);
        assert_eq!(found.refused.entries, [], "{found:?}");
    }
}

fn what_is_not_ours_is_left_alone() {
    for method in BOTH {
        let (ours, theirs) = (Door::open(), Door::open());
        let port = theirs.address.port().to_string();
        for host in ["127.0.0.1", "localhost"] {
            let run = play(&ours, method, true, &["connect", host, &port]);
            assert_eq!(run.facts().redirected, 0);
            theirs.next();
        }
        assert!(ours.came.try_recv().is_err());
    }
}

fn offline_has_no_public_addresses() {
    for method in BOTH {
        let found = facts(method, true, &["refused", "192.0.2.1", "443"]);
        assert_eq!(found.refused.entries[0].host, "192.0.2.1");
        assert_eq!(found.foreign_tls.entries, []);
    }
}

fn what_goes_past_is_noted() {
    let door = Door::open();
    for method in BOTH {
        let run = play(&door, method, false, &["own-resolver"]);
        assert_eq!(run.facts().own_resolver.entries.len(), 1);
        let run = play(&door, method, false, &["io-uring"]);
        assert_eq!(run.facts().io_uring.entries.len(), 1);
        let (mut child, run) = start(&door, method, false, &["try", "192.0.2.1", "443"]);
        let limit = Instant::now() + Duration::from_secs(10);
        while run.facts().foreign_tls.entries.is_empty() {
            assert!(Instant::now() < limit, "{:?}", run.facts());
            std::thread::yield_now();
        }
        let address = run.facts().foreign_tls.entries[0].address;
        assert_eq!(address, IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)));
        child.kill().unwrap();
        child.wait().unwrap();
        until_over(&run);
    }
}

fn bad_arguments_get_the_kernels_answer() {
    for method in BOTH {
        let found = facts(method, false, &["bad-arguments", HOST]);
        assert_eq!(found.redirected, 0, "{found:?}");
    }
}

fn a_tree_may_die_at_any_moment() {
    for method in BOTH {
        let door = Door::open();
        for _ in 0..20 {
            play(&door, method, false, &["exit-in-call", HOST, "443"]);
        }
        let (mut child, run) = start(&door, method, false, &["often", HOST, "443", "65535"]);
        let last = std::iter::repeat_with(|| door.next()).take(40).last();
        assert!(last.is_some());
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
        until_over(&run);
    }
}

fn thousands() {
    for method in BOTH {
        let door = Door::open();
        let before = open_files();
        for (role, count) in [("often", 2000), ("many", 200)] {
            let role = [role, HOST, "443", &count.to_string()];
            assert_eq!(play(&door, method, false, &role).facts().hosts[HOST], count);
        }
        // The door closes the last connection when it has seen who came.
        while door.came.try_recv().is_ok() {}
        assert_eq!(open_files(), before, "{method:?}");
    }
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn a_dropped_supervisor_goes_on() {
    for method in BOTH {
        let door = Door::open();
        drop(start(&door, method, false, &["often", HOST, "443", "50"]));
        for _ in 0..50 {
            door.next();
        }
    }
}

fn what_cannot_start_says_why() {
    let rules = Rules { door: Door::open().address, mail: None, offline: false };
    let missing = spawn(Command::new("/nowhere/at/all"), rules, Method::PidfdGetfd);
    assert_eq!(missing.err().unwrap().kind(), ErrorKind::NotFound);
}

fn a_supervised_program_cannot_supervise() {
    let door = Door::open();
    let rules = Rules { door: door.address, mail: None, offline: false };
    let (mut child, _) = spawn(me(&["child", "nested"]), rules, probe().unwrap()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Plays everything again as a user who may not do what root may. Whoever is not root
/// has just done that.
fn all_of_it_without_privileges() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let mut command = me(&[]);
    command.uid(NOBODY).gid(NOBODY);
    assert!(command.status().unwrap().success());
}

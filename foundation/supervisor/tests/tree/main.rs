//! Real programs under supervision, each with both methods, as whoever runs the tests and
//! as a user without privileges.
//!
//! The programs are this one: with `child` as its first argument it plays a role.
//! `cargo test -p supervisor --test tree [part of a name]`.

#[cfg(target_os = "linux")]
mod door;
#[cfg(target_os = "linux")]
mod raw;
#[cfg(target_os = "linux")]
mod roles;
#[cfg(target_os = "linux")]
mod scenes;

#[cfg(target_os = "linux")]
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|first| first == "child") {
        roles::play(&args[1], &args[2..]);
        return;
    }
    let part = args.iter().find(|arg| !arg.starts_with('-'));
    let mut failed = 0;
    for (name, scene) in scenes::ALL {
        if part.is_some_and(|part| !name.contains(part.as_str())) {
            continue;
        }
        let outcome = std::panic::catch_unwind(scene);
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        failed += usize::from(outcome.is_err());
    }
    std::process::exit(i32::from(failed > 0));
}

#[cfg(not(target_os = "linux"))]
fn main() {
    assert!(supervisor::probe().is_err());
}

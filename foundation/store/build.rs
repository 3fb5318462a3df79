//! A new migration is a change of this crate: the macro that embeds them does not say so.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}

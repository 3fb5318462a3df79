//! One target under libFuzzer, named by `OFFHOOK_FUZZ_TARGET`; `cargo xtask fuzz` runs it.

#![no_main]

use std::sync::OnceLock;

static TARGET: OnceLock<fn(&[u8])> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("OFFHOOK_FUZZ_TARGET").unwrap_or_default();
        fuzz::target(&name).expect("OFFHOOK_FUZZ_TARGET names a target")
    });
    target(octets);
});

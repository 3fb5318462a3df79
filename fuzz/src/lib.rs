//! Everything that reads octets of strangers, as targets of a fuzzer.
//!
//! A target panics when a promise is broken: octets make nothing panic, what was read and is written
//! reads the same again, and what is kept is bounded by what came. `cargo xtask fuzz` looks for
//! octets that break one; the corpus of each target is what it has found worth keeping, and every
//! `cargo test` goes through it.

mod media;
mod messages;
mod text;

/// A parser's name, and what holds it to its promises.
pub type Target = (&'static str, fn(&[u8]));

/// All of them, by name.
pub const TARGETS: &[Target] = &[
    ("address", text::address),
    ("dns", messages::dns),
    ("handlebars", text::handlebars),
    ("link", media::link),
    ("liquid", text::liquid),
    ("mail", messages::mail),
    ("overrides", text::overrides),
    ("rtcp", media::rtcp),
    ("rtp", media::rtp),
    ("sdp", messages::sdp),
    ("segments", text::segments),
    ("sip", messages::sip),
    ("smpp", messages::smpp),
    ("twiml-messaging", text::twiml_messaging),
    ("twiml-voice", text::twiml_voice),
    ("variables", text::variables),
    ("wav", media::wav),
];

/// The target of this name.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::TARGETS;

    /// Method: what was found before is tried again.
    #[test]
    fn no_octets_of_the_corpus_break_a_promise() {
        for (name, target) in TARGETS {
            let file = format!("corpus/{name}.txt");
            let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
            let corpus = std::fs::read_to_string(&corpus).unwrap_or_else(|error| {
                panic!("{file}: {error}: every target has a corpus");
            });
            assert!(corpus.lines().count() > 0, "{file} is empty");
            for (at, line) in corpus.lines().enumerate() {
                let octets = BASE64_STANDARD.decode(line).unwrap();
                let outcome = std::panic::catch_unwind(|| target(&octets));
                assert!(outcome.is_ok(), "{file}, line {}", at + 1);
            }
        }
    }
}

//! The languages of opt-out keywords: the keys of the official definition.

/// The language of what counts in every language.
pub(crate) const ALL: &str = "ALL";

/// Every key; a key of several words is written with underscores.
pub(crate) const LANGUAGES: [&str; 42] = [
    ALL,
    "AFRIKAANS",
    "ARABIC",
    "BENGALI",
    "CHINESE",
    "CROATIAN",
    "CZECH",
    "DANISH",
    "DUTCH",
    "ENGLISH",
    "ESTONIAN",
    "FINNISH",
    "FRENCH",
    "GERMAN",
    "GREEK",
    "HEBREW",
    "HINDI",
    "HUNGARIAN",
    "ITALIAN",
    "JAPANESE",
    "KOREAN",
    "LATVIAN",
    "LITHUANIAN",
    "MALAY",
    "MALAYSIAN",
    "NORWEGIAN",
    "POLISH",
    "PORTUGUESE",
    "RUSSIAN",
    "SLOVAK",
    "SLOVENE",
    "SPANISH",
    "SOUTHERN_NDEBELE",
    "SOUTHERN_SOTHO",
    "SWATI",
    "SWEDISH",
    "TAMIL",
    "TSWANA",
    "TSONGA",
    "VENDA",
    "XHOSA",
    "ZULU",
];

/// For people: `Southern Sotho`.
pub(crate) fn friendly_name(key: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(1.min(word.len()));
        format!("{first}{}", rest.to_ascii_lowercase())
    };
    key.split('_').map(word).collect::<Vec<_>>().join(" ")
}

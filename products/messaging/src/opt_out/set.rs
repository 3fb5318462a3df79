//! An opt-out set: which words stop, start and help, by language and country, and what is
//! answered (compliance §2). Pure.

use serde::{Deserialize, Serialize};
use sms::Keyword;

use super::language::{ALL, LANGUAGES};
use super::reply;

/// Entries of one set: kinds, languages and countries together.
const ENTRIES_MAX: usize = 500;
/// Keywords of one entry.
const KEYWORDS_MAX: usize = 50;
const KEYWORD_CHARS_MAX: usize = 34;

/// The words that mean the same in every set.
const RESERVED: [(&str, Keyword); 3] =
    [("STOP", Keyword::Stop), ("START", Keyword::Start), ("HELP", Keyword::Help)];

/// The name of a kind on the wire, which also is a webhook's `OptOutType`.
pub(crate) fn kind_name(kind: Keyword) -> &'static str {
    match kind {
        Keyword::Stop => "STOP",
        Keyword::Start => "START",
        Keyword::Help => "HELP",
    }
}

pub(crate) const KINDS: [Keyword; 3] = [Keyword::Stop, Keyword::Start, Keyword::Help];

/// Whether a set cannot do without this word.
pub(crate) fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|(reserved, _)| *reserved == word)
}

/// Kind and language; `STOP.ENGLISH` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KeywordType {
    pub kind: Keyword,
    pub language: &'static str,
}

impl KeywordType {
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, language) = text.split_once('.')?;
        let kind = KINDS.into_iter().find(|known| kind_name(*known) == kind)?;
        let language = LANGUAGES.into_iter().find(|known| *known == language)?;
        Some(Self { kind, language })
    }
}

impl std::fmt::Display for KeywordType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", kind_name(self.kind), self.language)
    }
}

impl Serialize for KeywordType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeywordType {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("no keyword type"))
    }
}

/// The words of one kind and language in one country, and their answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub keyword_type: KeywordType,
    /// `ALL` or an ISO code.
    pub message_type: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Everything an account has said about keywords.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct OptOutSet(pub Vec<Entry>);

/// What a message means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matched {
    pub kind: Keyword,
    pub reply: String,
}

/// Why a set cannot be changed like this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not one word of 1 to 34 letters and digits.
    NotAWord,
    /// The word means something else already.
    Taken(&'static str),
    /// The set cannot do without it.
    Reserved,
    /// It has as many entries or keywords as it may.
    Full,
    Absent,
}

impl OptOutSet {
    /// A new set: the default words and answers, everywhere.
    pub fn usual() -> Self {
        let entry = |kind| Entry {
            keyword_type: KeywordType { kind, language: ALL },
            message_type: ALL.to_owned(),
            keywords: sms::keywords(kind).iter().map(|&word| word.to_owned()).collect(),
            message: Some(reply(kind).to_owned()),
        };
        Self(KINDS.into_iter().map(entry).collect())
    }

    /// What a message of somebody in `country` means. The whole body must be one keyword: of
    /// their country before those of all, in a language before those of all.
    pub fn find(&self, body: &str, country: &str) -> Option<Matched> {
        let word = word(body)?;
        let has_word = |entry: &&Entry| entry.keywords.contains(&word);
        let found = self.nearest(country, has_word)?;
        let KeywordType { kind, language } = found.keyword_type;
        // Its own answer, else that of its language, else that of its kind.
        let answers = |language| {
            self.nearest(country, move |entry: &&Entry| {
                entry.keyword_type == KeywordType { kind, language } && entry.message.is_some()
            })
        };
        let own = Some(found).filter(|entry| entry.message.is_some());
        let reply = own.or_else(|| answers(language)).or_else(|| answers(ALL));
        let reply = reply.and_then(|entry| entry.message.clone());
        Some(Matched { kind, reply: reply.unwrap_or_else(|| super::reply(kind).to_owned()) })
    }

    /// The best entry: by country, then by language.
    fn nearest(&self, country: &str, fits: impl Fn(&&Entry) -> bool) -> Option<&Entry> {
        let here = |entry: &&Entry| entry.message_type == ALL || entry.message_type == country;
        let distance =
            |entry: &&Entry| (entry.message_type == ALL, entry.keyword_type.language == ALL);
        self.0.iter().filter(here).filter(fits).min_by_key(distance)
    }

    /// The countries it speaks of; `ALL` is always one.
    pub fn countries(&self) -> Vec<&str> {
        let mut all = vec![ALL];
        for entry in &self.0 {
            if !all.contains(&entry.message_type.as_str()) {
                all.push(&entry.message_type);
            }
        }
        all
    }

    /// # Errors
    /// When the text is no keyword, or one of another kind in this country, or there are too many.
    pub fn add_keyword(
        &mut self,
        keyword_type: KeywordType,
        country: &str,
        text: &str,
    ) -> Result<(), Fault> {
        let word = word(text).ok_or(Fault::NotAWord)?;
        let kind = keyword_type.kind;
        if let Some((_, owner)) = RESERVED.iter().find(|(reserved, _)| *reserved == word)
            && *owner != kind
        {
            return Err(Fault::Taken(kind_name(*owner)));
        }
        let other = self.0.iter().find(|entry| {
            entry.message_type == country
                && entry.keyword_type.kind != kind
                && entry.keywords.contains(&word)
        });
        if let Some(other) = other {
            return Err(Fault::Taken(kind_name(other.keyword_type.kind)));
        }
        let entry = self.entry(keyword_type, country)?;
        if entry.keywords.contains(&word) {
            return Ok(());
        }
        if entry.keywords.len() == KEYWORDS_MAX {
            return Err(Fault::Full);
        }
        entry.keywords.push(word);
        Ok(())
    }

    /// # Errors
    /// For a word that is not there, and for the last place of a reserved one.
    pub fn remove_keyword(
        &mut self,
        keyword_type: KeywordType,
        country: &str,
        text: &str,
    ) -> Result<(), Fault> {
        let word = word(text).ok_or(Fault::NotAWord)?;
        let entry = self.existing(keyword_type, country).ok_or(Fault::Absent)?;
        let at = entry.keywords.iter().position(|known| *known == word).ok_or(Fault::Absent)?;
        if is_reserved(&word) && country == ALL && keyword_type.language == ALL {
            return Err(Fault::Reserved);
        }
        entry.keywords.remove(at);
        self.tidy();
        Ok(())
    }

    /// # Errors
    /// [`Fault::Full`].
    pub fn set_message(
        &mut self,
        keyword_type: KeywordType,
        country: &str,
        message: &str,
    ) -> Result<(), Fault> {
        self.entry(keyword_type, country)?.message = Some(message.to_owned());
        Ok(())
    }

    /// # Errors
    /// [`Fault::Absent`].
    pub fn remove_message(
        &mut self,
        keyword_type: KeywordType,
        country: &str,
    ) -> Result<(), Fault> {
        let entry = self.existing(keyword_type, country).ok_or(Fault::Absent)?;
        entry.message.take().ok_or(Fault::Absent)?;
        self.tidy();
        Ok(())
    }

    /// Forgets what is said of a country.
    ///
    /// # Errors
    /// [`Fault::Reserved`] for `ALL`; [`Fault::Absent`].
    pub fn remove_country(&mut self, country: &str) -> Result<(), Fault> {
        if country == ALL {
            return Err(Fault::Reserved);
        }
        let before = self.0.len();
        self.0.retain(|entry| entry.message_type != country);
        if self.0.len() == before { Err(Fault::Absent) } else { Ok(()) }
    }

    fn existing(&mut self, keyword_type: KeywordType, country: &str) -> Option<&mut Entry> {
        let is_it = |entry: &&mut Entry| {
            entry.keyword_type == keyword_type && entry.message_type == country
        };
        self.0.iter_mut().find(is_it)
    }

    fn entry(&mut self, keyword_type: KeywordType, country: &str) -> Result<&mut Entry, Fault> {
        if self.existing(keyword_type, country).is_none() {
            if self.0.len() == ENTRIES_MAX {
                return Err(Fault::Full);
            }
            let message_type = country.to_owned();
            self.0.push(Entry { keyword_type, message_type, keywords: vec![], message: None });
        }
        Ok(self.existing(keyword_type, country).expect("it was just added"))
    }

    /// Drops entries that say nothing.
    fn tidy(&mut self) {
        self.0.retain(|entry| !entry.keywords.is_empty() || entry.message.is_some());
    }
}

/// The text as a keyword is written: without the space around it, in capitals.
///
// Differs: letters of every script are taken, so that a language can have its own words; Twilio's
// pattern for keywords as it shows them is A–Z and 0–9.
fn word(text: &str) -> Option<String> {
    let word = text.trim().to_uppercase();
    let is_part = |c: char| !c.is_whitespace() && !c.is_control() && !c.is_ascii_punctuation();
    let length = word.chars().count();
    let is_word = (1..=KEYWORD_CHARS_MAX).contains(&length) && word.chars().all(is_part);
    (is_word && word.chars().any(char::is_alphanumeric)).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Keyword::{Help, Start, Stop};

    fn of(text: &str) -> KeywordType {
        KeywordType::parse(text).unwrap()
    }

    fn example() -> OptOutSet {
        let mut set = OptOutSet::usual();
        for (keyword_type, country, keyword) in [
            ("STOP.FRENCH", "FR", "Arret"),
            ("STOP.FRENCH", "ALL", "ARRETER"),
            ("HELP.FRENCH", "FR", "INFOS"),
            ("STOP.RUSSIAN", "ALL", "стоп"),
            ("START.ALL", "DE", "JA"),
            ("STOP.ALL", "FR", "FIN"),
        ] {
            set.add_keyword(of(keyword_type), country, keyword).unwrap();
        }
        set.set_message(of("STOP.FRENCH"), "FR", "Au revoir").unwrap();
        set.set_message(of("STOP.FRENCH"), "ALL", "Adieu").unwrap();
        set.set_message(of("STOP.ALL"), "FR", "Fin.").unwrap();
        set
    }

    #[test]
    fn the_nearest_entry_answers() {
        let usual = |kind| Some((kind, reply(kind)));
        for (body, country, expected) in [
            ("STOP", "US", usual(Stop)),
            (" stop\n", "US", usual(Stop)),
            ("unstop", "US", usual(Start)),
            ("INFO", "FR", usual(Help)),
            // A country's own words are heard there only.
            ("arret", "FR", Some((Stop, "Au revoir"))),
            ("arret", "US", None),
            // Words of all countries have their own answer.
            ("Arreter", "US", Some((Stop, "Adieu"))),
            ("Arreter", "FR", Some((Stop, "Adieu"))),
            ("FIN", "FR", Some((Stop, "Fin."))),
            ("infos", "FR", usual(Help)),
            ("Стоп", "RU", usual(Stop)),
            ("ja", "DE", usual(Start)),
            ("ja", "AT", None),
            ("stop please", "US", None),
            ("stop.", "US", None),
            ("", "US", None),
        ] {
            let found = example().find(body, country);
            let found = found.as_ref().map(|found| (found.kind, found.reply.as_str()));
            assert_eq!(found, expected, "{body:?} in {country}");
        }
    }

    #[test]
    fn words_keep_their_meaning() {
        let mut set = example();
        for (keyword_type, country, keyword, expected) in [
            ("START.ENGLISH", "US", "STOP", Err(Fault::Taken("STOP"))),
            ("STOP.ENGLISH", "US", "HELP", Err(Fault::Taken("HELP"))),
            ("HELP.ALL", "FR", "FIN", Err(Fault::Taken("STOP"))),
            ("HELP.ALL", "DE", "FIN", Ok(())),
            ("STOP.ENGLISH", "US", "STOP", Ok(())),
            ("STOP.ENGLISH", "US", "STOP", Ok(())),
            ("STOP.ENGLISH", "US", "two words", Err(Fault::NotAWord)),
            ("STOP.ENGLISH", "US", "stop!", Err(Fault::NotAWord)),
            ("STOP.ENGLISH", "US", "🛑", Err(Fault::NotAWord)),
            ("STOP.ENGLISH", "US", &"A".repeat(35), Err(Fault::NotAWord)),
            ("STOP.ENGLISH", "US", &"A".repeat(34), Ok(())),
        ] {
            let added = set.add_keyword(of(keyword_type), country, keyword);
            assert_eq!(added, expected, "{keyword_type} {country} {keyword}");
        }
        for (keyword_type, country, keyword, expected) in [
            ("STOP.ALL", "ALL", "STOP", Err(Fault::Reserved)),
            ("STOP.ENGLISH", "US", "STOP", Ok(())),
            ("STOP.ENGLISH", "US", "STOP", Err(Fault::Absent)),
            ("STOP.ALL", "ALL", "END", Ok(())),
            ("START.ALL", "ALL", "YES", Ok(())),
        ] {
            let removed = set.remove_keyword(of(keyword_type), country, keyword);
            assert_eq!(removed, expected, "{keyword_type} {country} {keyword}");
        }
        assert_eq!(set.find("yes", "US"), None);
        assert_eq!(set.find("end", "US"), None);
        assert_eq!(set.remove_country("ALL"), Err(Fault::Reserved));
        assert_eq!(set.remove_country("FR"), Ok(()));
        assert_eq!(set.remove_country("FR"), Err(Fault::Absent));
        assert_eq!(set.find("FIN", "FR"), None);
    }

    #[test]
    fn sets_are_bounded_and_survive_the_store() {
        let mut set = OptOutSet::usual();
        let kind = of("STOP.ENGLISH");
        for at in 0..KEYWORDS_MAX {
            set.add_keyword(kind, "US", &format!("WORD{at}")).unwrap();
        }
        assert_eq!(set.add_keyword(kind, "US", "ONEMORE"), Err(Fault::Full));
        let json = serde_json::to_value(&set).unwrap();
        assert_eq!(serde_json::from_value::<OptOutSet>(json).unwrap(), set);
        assert_eq!(KeywordType::parse("STOP.KLINGON"), None);
        assert_eq!(KeywordType::parse("QUIT.ENGLISH"), None);
    }
}

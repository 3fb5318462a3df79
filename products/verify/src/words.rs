//! What is said to people, by language (verify §5).

/// The sentences of a language. `{{friendly_name}}`, `{{code}}`, `{{amount}}` and `{{payee}}` are
/// filled in.
pub(crate) struct Words {
    pub locale: &'static str,
    pub plain: &'static str,
    /// Follows `plain` where a service warns.
    pub warning: &'static str,
    pub payment: &'static str,
    /// Spoken; the code comes digit by digit.
    pub spoken: &'static str,
    /// Spoken before, where a key must be pressed.
    pub press: &'static str,
}

const fn words(
    locale: &'static str,
    plain: &'static str,
    warning: &'static str,
    payment: &'static str,
    spoken: &'static str,
    press: &'static str,
) -> Words {
    Words { locale, plain, warning, payment, spoken, press }
}

/// English first: what other languages fall back to.
#[rustfmt::skip]
static WORDS: &[Words] = &[
    words("en", "Your {{friendly_name}} verification code is: {{code}}",
        "Do not share this code with anyone; nobody of ours will ask for it.",
        "Your code to pay {{amount}} to {{payee}} with {{friendly_name}} is: {{code}}",
        "Your {{friendly_name}} verification code is {{code}}. Once more: {{code}}.",
        "Press any key to hear your code."),
    words("ar", "رمز التحقق الخاص بك من {{friendly_name}} هو: {{code}}",
        "لا تعط هذا الرمز لأحد.",
        "رمزك لدفع {{amount}} إلى {{payee}} عبر {{friendly_name}} هو: {{code}}",
        "رمز التحقق من {{friendly_name}} هو {{code}}. مرة أخرى: {{code}}.",
        "اضغط أي مفتاح لسماع الرمز."),
    words("cs", "Váš ověřovací kód pro {{friendly_name}}: {{code}}",
        "Kód nikomu nesdělujte.",
        "Kód k platbě {{amount}} pro {{payee}} ({{friendly_name}}): {{code}}",
        "Váš kód pro {{friendly_name}} je {{code}}. Ještě jednou: {{code}}.",
        "Stiskněte libovolnou klávesu a uslyšíte kód."),
    words("da", "Din bekræftelseskode til {{friendly_name}} er: {{code}}",
        "Del ikke koden med nogen.",
        "Din kode til at betale {{amount}} til {{payee}} med {{friendly_name}} er: {{code}}",
        "Din kode til {{friendly_name}} er {{code}}. Igen: {{code}}.",
        "Tryk på en tast for at høre koden."),
    words("de", "Ihr Bestätigungscode für {{friendly_name}} lautet: {{code}}",
        "Geben Sie diesen Code an niemanden weiter.",
        "Ihr Code für die Zahlung von {{amount}} an {{payee}} mit {{friendly_name}} lautet: {{code}}",
        "Ihr Code für {{friendly_name}} lautet {{code}}. Noch einmal: {{code}}.",
        "Drücken Sie eine Taste, um den Code zu hören."),
    words("es", "Tu código de verificación de {{friendly_name}} es: {{code}}",
        "No compartas este código con nadie.",
        "Tu código para pagar {{amount}} a {{payee}} con {{friendly_name}} es: {{code}}",
        "Tu código de {{friendly_name}} es {{code}}. Otra vez: {{code}}.",
        "Pulsa una tecla para oír el código."),
    words("fi", "{{friendly_name}}-vahvistuskoodisi on: {{code}}",
        "Älä anna koodia kenellekään.",
        "Koodisi maksuun {{amount}} saajalle {{payee}} ({{friendly_name}}): {{code}}",
        "{{friendly_name}}-koodisi on {{code}}. Uudelleen: {{code}}.",
        "Paina jotakin näppäintä kuullaksesi koodin."),
    words("fr", "Votre code de vérification {{friendly_name}} est : {{code}}",
        "Ne communiquez ce code à personne.",
        "Votre code pour payer {{amount}} à {{payee}} avec {{friendly_name}} est : {{code}}",
        "Votre code {{friendly_name}} est {{code}}. Je répète : {{code}}.",
        "Appuyez sur une touche pour entendre le code."),
    words("hi", "आपका {{friendly_name}} सत्यापन कोड है: {{code}}",
        "यह कोड किसी को न बताएं।",
        "{{friendly_name}} से {{payee}} को {{amount}} देने का आपका कोड है: {{code}}",
        "आपका {{friendly_name}} कोड है {{code}}. फिर से: {{code}}.",
        "कोड सुनने के लिए कोई भी बटन दबाएं।"),
    words("id", "Kode verifikasi {{friendly_name}} Anda: {{code}}",
        "Jangan berikan kode ini kepada siapa pun.",
        "Kode Anda untuk membayar {{amount}} kepada {{payee}} dengan {{friendly_name}}: {{code}}",
        "Kode {{friendly_name}} Anda adalah {{code}}. Sekali lagi: {{code}}.",
        "Tekan tombol apa saja untuk mendengar kode."),
    words("it", "Il tuo codice di verifica {{friendly_name}} è: {{code}}",
        "Non dare questo codice a nessuno.",
        "Il tuo codice per pagare {{amount}} a {{payee}} con {{friendly_name}} è: {{code}}",
        "Il tuo codice {{friendly_name}} è {{code}}. Di nuovo: {{code}}.",
        "Premi un tasto per ascoltare il codice."),
    words("ja", "{{friendly_name}}の認証コード: {{code}}",
        "このコードを誰にも教えないでください。",
        "{{friendly_name}}で{{payee}}に{{amount}}を支払うためのコード: {{code}}",
        "{{friendly_name}}の認証コードは {{code}} です。もう一度、{{code}} です。",
        "コードを聞くには、いずれかのキーを押してください。"),
    words("ko", "{{friendly_name}} 인증 코드: {{code}}",
        "이 코드를 아무에게도 알려 주지 마세요.",
        "{{friendly_name}}(으)로 {{payee}}에게 {{amount}} 결제용 코드: {{code}}",
        "{{friendly_name}} 인증 코드는 {{code}} 입니다. 다시, {{code}} 입니다.",
        "코드를 들으려면 아무 키나 누르세요."),
    words("nb", "Bekreftelseskoden din for {{friendly_name}} er: {{code}}",
        "Ikke del koden med noen.",
        "Koden din for å betale {{amount}} til {{payee}} med {{friendly_name}} er: {{code}}",
        "Koden din for {{friendly_name}} er {{code}}. Igjen: {{code}}.",
        "Trykk på en tast for å høre koden."),
    words("nl", "Je verificatiecode voor {{friendly_name}} is: {{code}}",
        "Deel deze code met niemand.",
        "Je code om {{amount}} aan {{payee}} te betalen met {{friendly_name}} is: {{code}}",
        "Je code voor {{friendly_name}} is {{code}}. Nog een keer: {{code}}.",
        "Druk op een toets om de code te horen."),
    words("pl", "Twój kod weryfikacyjny {{friendly_name}}: {{code}}",
        "Nie podawaj nikomu tego kodu.",
        "Twój kod płatności {{amount}} na rzecz {{payee}} ({{friendly_name}}): {{code}}",
        "Twój kod {{friendly_name}} to {{code}}. Jeszcze raz: {{code}}.",
        "Naciśnij dowolny klawisz, aby usłyszeć kod."),
    words("pt", "O seu código de verificação {{friendly_name}} é: {{code}}",
        "Não partilhe este código com ninguém.",
        "O seu código para pagar {{amount}} a {{payee}} com {{friendly_name}} é: {{code}}",
        "O seu código {{friendly_name}} é {{code}}. Outra vez: {{code}}.",
        "Prima uma tecla para ouvir o código."),
    words("pt-BR", "Seu código de verificação {{friendly_name}} é: {{code}}",
        "Não compartilhe este código com ninguém.",
        "Seu código para pagar {{amount}} a {{payee}} com {{friendly_name}} é: {{code}}",
        "Seu código {{friendly_name}} é {{code}}. De novo: {{code}}.",
        "Pressione uma tecla para ouvir o código."),
    words("ru", "Ваш код подтверждения {{friendly_name}}: {{code}}",
        "Никому не сообщайте этот код.",
        "Ваш код для оплаты {{amount}} получателю {{payee}} через {{friendly_name}}: {{code}}",
        "Ваш код {{friendly_name}}: {{code}}. Ещё раз: {{code}}.",
        "Нажмите любую клавишу, чтобы услышать код."),
    words("sv", "Din verifieringskod för {{friendly_name}} är: {{code}}",
        "Dela inte koden med någon.",
        "Din kod för att betala {{amount}} till {{payee}} med {{friendly_name}} är: {{code}}",
        "Din kod för {{friendly_name}} är {{code}}. En gång till: {{code}}.",
        "Tryck på en knapp för att höra koden."),
    words("tr", "{{friendly_name}} doğrulama kodunuz: {{code}}",
        "Bu kodu kimseyle paylaşmayın.",
        "{{friendly_name}} ile {{payee}} alıcısına {{amount}} ödeme kodunuz: {{code}}",
        "{{friendly_name}} kodunuz {{code}}. Tekrar: {{code}}.",
        "Kodu duymak için bir tuşa basın."),
    words("uk", "Ваш код підтвердження {{friendly_name}}: {{code}}",
        "Нікому не повідомляйте цей код.",
        "Ваш код для оплати {{amount}} отримувачу {{payee}} через {{friendly_name}}: {{code}}",
        "Ваш код {{friendly_name}}: {{code}}. Ще раз: {{code}}.",
        "Натисніть будь-яку клавішу, щоб почути код."),
    words("zh", "您的 {{friendly_name}} 验证码是：{{code}}",
        "请勿将此验证码告诉任何人。",
        "您使用 {{friendly_name}} 向 {{payee}} 支付 {{amount}} 的验证码是：{{code}}",
        "您的 {{friendly_name}} 验证码是 {{code}}。重复一遍：{{code}}。",
        "请按任意键收听验证码。"),
];

/// Locales that requests may name; of those without words of their own the language's are used, or
/// English.
// Differs: Twilio has words for every one of them.
const LOCALES: &[&str] = &[
    "af", "ar", "ca", "cs", "da", "de", "el", "en", "en-GB", "es", "et", "fi", "fr", "he", "hi",
    "hr", "hu", "id", "it", "ja", "kn", "ko", "lt", "mr", "ms", "nb", "nl", "pl", "pt", "pt-BR",
    "ro", "ru", "sk", "sv", "te", "th", "tl", "tr", "uk", "vi", "zh", "zh-CN", "zh-HK",
];

/// Countries whose people are spoken to in another language than English.
const COUNTRIES: &[(&str, &str)] = &[
    ("AE", "ar"),
    ("AR", "es"),
    ("AT", "de"),
    ("BR", "pt-BR"),
    ("CH", "de"),
    ("CL", "es"),
    ("CN", "zh"),
    ("CO", "es"),
    ("CZ", "cs"),
    ("DE", "de"),
    ("DK", "da"),
    ("EC", "es"),
    ("EG", "ar"),
    ("ES", "es"),
    ("FI", "fi"),
    ("FR", "fr"),
    ("HK", "zh"),
    ("ID", "id"),
    ("IT", "it"),
    ("JP", "ja"),
    ("KR", "ko"),
    ("MX", "es"),
    ("NL", "nl"),
    ("NO", "nb"),
    ("PE", "es"),
    ("PL", "pl"),
    ("PT", "pt"),
    ("RU", "ru"),
    ("SA", "ar"),
    ("SE", "sv"),
    ("TR", "tr"),
    ("TW", "zh"),
    ("UA", "uk"),
    ("VE", "es"),
];

/// The locale as it is written, if it is one that may be asked for.
pub(crate) fn known(locale: &str) -> Option<&'static str> {
    LOCALES.iter().find(|known| known.eq_ignore_ascii_case(locale)).copied()
}

/// The locale of a country's people.
pub(crate) fn of_country(iso: &str) -> &'static str {
    COUNTRIES.iter().find(|(country, _)| *country == iso).map_or("en", |(_, locale)| locale)
}

/// The words of a locale or of its language.
pub(crate) fn exact(locale: &str) -> Option<&'static Words> {
    let language = locale.split('-').next().unwrap_or_default();
    let find = |wanted: &str| WORDS.iter().find(|words| words.locale.eq_ignore_ascii_case(wanted));
    find(locale).or_else(|| find(language))
}

/// The words of a locale, or English.
pub(crate) fn of(locale: &str) -> &'static Words {
    exact(locale).unwrap_or(&WORDS[0])
}

/// All languages that have words.
pub(crate) fn all() -> &'static [Words] {
    WORDS
}

/// `text` with every `{{name}}` that has a value filled in, once: what a value says is never
/// filled in again.
pub(crate) fn fill(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once("{{") {
        out.push_str(head);
        let Some((name, after)) = tail.split_once("}}") else {
            out.push_str("{{");
            rest = tail;
            continue;
        };
        match value(name.trim()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&format!("{{{{{name}}}}}")),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The names that `text` asks for.
pub(crate) fn names(text: &str) -> Vec<&str> {
    let parts = text.split("{{").skip(1);
    parts.filter_map(|part| part.split_once("}}").map(|(name, _)| name.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_says_the_code_and_of_whom_it_is() {
        for words in WORDS {
            assert!(known(words.locale).is_some(), "{}", words.locale);
            for text in [words.plain, words.spoken, words.payment] {
                let said = names(text);
                assert!(said.contains(&"code") && said.contains(&"friendly_name"), "{text}");
            }
            let paid = names(words.payment);
            assert!(paid.contains(&"amount") && paid.contains(&"payee"), "{}", words.payment);
            assert!(!words.warning.contains("{{") && !words.press.contains("{{"));
        }
        assert!(COUNTRIES.iter().all(|(_, locale)| exact(locale).is_some()));
        assert_eq!(of("de").locale, "de");
        assert_eq!(of("zh-HK").locale, "zh");
        assert_eq!(of("th").locale, "en");
        assert_eq!(of_country("BR"), "pt-BR");
        assert_eq!(known("PT-br"), Some("pt-BR"));
    }

    #[test]
    fn values_are_not_filled_in_again() {
        let value = |name: &str| match name {
            "a" => Some("{{code}}".to_owned()),
            "code" => Some("1".to_owned()),
            _ => None,
        };
        for (text, filled) in [
            ("{{a}} {{ code }}", "{{code}} 1"),
            ("{{b}} {{", "{{b}} {{"),
            ("{{{{code}}}}", "{{{{code}}}}"),
            ("none", "none"),
        ] {
            assert_eq!(fill(text, value), filled);
        }
    }
}

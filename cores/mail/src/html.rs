//! Links and ends of HTML, found by a scan that needs no tree.

/// Lets `link` replace the target of every `<a href>` that is http(s) and not marked
/// `clicktracking=off`; the mark is taken away. `link` is given the target and its position.
pub fn rewrite_links(html: &str, mut link: impl FnMut(&str, usize) -> String) -> String {
    let mut out = String::with_capacity(html.len() + 256);
    let (mut rest, mut count) = (html, 0);
    while let Some(at) = rest.find('<') {
        let (head, tag) = rest.split_at(at);
        out.push_str(head);
        let end = tag_end(tag);
        let (tag, tail) = tag.split_at(end);
        rest = tail;
        let is_anchor = tag.get(..2).is_some_and(|two| two.eq_ignore_ascii_case("<a"))
            && tag.as_bytes().get(2).is_some_and(u8::is_ascii_whitespace);
        if !is_anchor {
            out.push_str(tag);
            continue;
        }
        if let Some((at, length, _)) = attribute(tag, "clicktracking") {
            out.push_str(&tag[..at]);
            out.push_str(&tag[at + length..]);
            continue;
        }
        match attribute(tag, "href") {
            Some((at, length, value)) if is_web(&value) => {
                out.push_str(&tag[..at]);
                let target = link(&value.replace("&amp;", "&"), count);
                count += 1;
                out.push_str(&format!(
                    "href=\"{}\"",
                    target.replace('&', "&amp;").replace('"', "%22")
                ));
                out.push_str(&tag[at + length..]);
            }
            _ => out.push_str(tag),
        }
    }
    out.push_str(rest);
    out
}

fn is_web(url: &str) -> bool {
    let starts = |prefix: &str| {
        url.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
    };
    starts("http://") || starts("https://")
}

/// The length of the tag or comment at the beginning, its `>` included.
fn tag_end(tag: &str) -> usize {
    if tag.starts_with("<!--") {
        return tag.find("-->").map_or(tag.len(), |at| at + 3);
    }
    let mut quote = None;
    for (at, c) in tag.char_indices() {
        match (quote, c) {
            (None, '>') => return at + 1,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    tag.len()
}

/// Where an attribute stands in a tag, how long it is, and its value.
fn attribute(tag: &str, name: &str) -> Option<(usize, usize, String)> {
    let bytes = tag.as_bytes();
    let mut at = 2;
    while at < bytes.len() {
        while at < bytes.len() && (bytes[at].is_ascii_whitespace() || bytes[at] == b'/') {
            at += 1;
        }
        let begin = at;
        while at < bytes.len() && !bytes[at].is_ascii_whitespace() && !b"=>/".contains(&bytes[at]) {
            at += 1;
        }
        let key = &tag[begin..at];
        let mut next = at;
        while next < bytes.len() && bytes[next].is_ascii_whitespace() {
            next += 1;
        }
        let mut value = "";
        if bytes.get(next) == Some(&b'=') {
            next += 1;
            while next < bytes.len() && bytes[next].is_ascii_whitespace() {
                next += 1;
            }
            let quote = bytes.get(next).filter(|byte| b"\"'".contains(byte)).copied();
            let from = next + usize::from(quote.is_some());
            let mut end = from;
            while end < bytes.len()
                && match quote {
                    Some(quote) => bytes[end] != quote,
                    None => !bytes[end].is_ascii_whitespace() && bytes[end] != b'>',
                }
            {
                end += 1;
            }
            value = &tag[from..end];
            at = (end + usize::from(quote.is_some())).min(bytes.len());
        }
        if !key.is_empty() && key.eq_ignore_ascii_case(name) {
            return Some((begin, at - begin, value.trim().to_owned()));
        }
        if at == begin {
            at += 1;
        }
    }
    None
}

/// `html` with `piece` before its `</body>`, or at its end.
pub fn with_before_end(html: &str, piece: &str) -> String {
    let at = html.to_ascii_lowercase().rfind("</body>").unwrap_or(html.len());
    format!("{}{piece}{}", &html[..at], &html[at..])
}

/// What HTML says without its tags, for readers of plain text.
pub fn plain_text(html: &str) -> String {
    let mut out = String::new();
    let (mut rest, mut hidden) = (html, None);
    while let Some(at) = rest.find('<') {
        if hidden.is_none() {
            out.push_str(&rest[..at].replace(['\r', '\n'], " "));
        }
        let tag = &rest[at..];
        let end = tag_end(tag);
        let name: String =
            tag[1..end].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '/').collect();
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "style" | "script" | "head" if hidden.is_none() => hidden = Some(format!("/{name}")),
            "br" | "br/" | "/p" | "/div" | "/tr" | "/li" | "/h1" | "/h2" | "/h3" => out.push('\n'),
            _ => {}
        }
        if hidden.as_deref() == Some(&*name) {
            hidden = None;
        }
        rest = &tag[end..];
    }
    if hidden.is_none() {
        out.push_str(rest);
    }
    for (entity, text) in [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        out = out.replace(entity, text);
    }
    let lines: Vec<_> =
        out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_rewritten_and_the_rest_is_left() {
        let track = |html: &str| rewrite_links(html, |url, at| format!("T{at}({url})"));
        for (html, expected) in [
            (
                "<a href=\"http://x/?a=1&amp;b=2\">x</a>",
                "<a href=\"T0(http://x/?a=1&amp;b=2)\">x</a>",
            ),
            ("<A class=b HREF='https://x' id=c>", "<A class=b href=\"T0(https://x)\" id=c>"),
            (
                "<a href=https://x>y<a href=http://z>",
                "<a href=\"T0(https://x)\">y<a href=\"T1(http://z)\">",
            ),
            ("<a href=\"https://x\" clicktracking=off>", "<a href=\"https://x\" >"),
            (
                "<a href=\"mailto:a@b.c\"><a name=x><abbr href='http://x'>",
                "<a href=\"mailto:a@b.c\"><a name=x><abbr href='http://x'>",
            ),
            (
                "<!-- <a href='http://x'> --><p title='>'>",
                "<!-- <a href='http://x'> --><p title='>'>",
            ),
            ("a < b <a", "a < b <a"),
            ("ü<a href=\"http://ü\"", "ü<a href=\"T0(http://ü)\""),
        ] {
            assert_eq!(track(html), expected);
        }
    }

    #[test]
    fn text_is_what_html_says() {
        let html = "<head><style>p{}</style></head><p>Hi &amp; <b>you</b></p><p>Two<br>lines</p>";
        assert_eq!(plain_text(html), "Hi & you\nTwo\nlines");
        assert_eq!(with_before_end("<BODY>x</BODY>", "!"), "<BODY>x!</BODY>");
        assert_eq!(with_before_end("x", "!"), "x!");
    }
}

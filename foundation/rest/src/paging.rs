//! Pages: what a request asks for and the two envelopes (rest-conventions §7).

use std::fmt::Write;

use kernel::{ApiError, Sid};

use crate::form::Pairs;
use crate::reply::{Page, write_string};
use crate::table::{Dialect, Table};

/// Rows of a page when the request does not say.
const PAGE_SIZE_DEFAULT: u32 = 50;

/// Where a page begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cursor {
    /// At `number * size` rows from the newest.
    #[default]
    Offset,
    /// Behind the row with this key: `PageToken=PA…`.
    After(String),
    /// Before the row with this key: `PageToken=PB…`.
    Before(String),
}

/// What the request asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageRequest {
    pub size: u32,
    pub number: u32,
    pub cursor: Cursor,
    /// The request names a size, page or token.
    pub asked: bool,
}

impl PageRequest {
    /// Reads `PageSize`, `Page` and `PageToken`. A size above the maximum is
    /// clamped: ordinary SDK calls ask for `PageSize=limit` uncapped.
    ///
    /// # Errors
    /// 20001 / 400 for a size or number that is none; 21481 / 400 for a bad token.
    pub(crate) fn parse(pairs: &Pairs, table: &Table) -> Result<Self, ApiError> {
        let value = |name: &str| {
            let found = pairs.0.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
        };
        let number = |name: &str, least: u64| match value(name).map(str::parse::<u64>) {
            None => Ok(None),
            Some(Ok(number)) if number >= least => Ok(Some(number)),
            Some(_) => {
                let why = format!("{name} must be an integer of {least} or more");
                Err(ApiError::new(20001, why))
            }
        };
        // Lists of resources with SIDs page by SID.
        let is_key = |key: &str| match table.sid_prefix {
            "" => !key.is_empty(),
            _ => key.parse::<Sid>().is_ok(),
        };
        let size = number("PageSize", 1)?.unwrap_or(u64::from(PAGE_SIZE_DEFAULT));
        let page = number("Page", 0)?.unwrap_or(0);
        let cursor = match value("PageToken") {
            None => Cursor::Offset,
            Some(token) => match (token.get(..2), token.get(2..)) {
                (Some("PA"), Some(key)) if is_key(key) => Cursor::After(key.to_owned()),
                (Some("PB"), Some(key)) if is_key(key) => Cursor::Before(key.to_owned()),
                _ => return Err(ApiError::new(21481, format!("PageToken '{token}' is not valid"))),
            },
        };
        Ok(Self {
            size: size.min(u64::from(table.page_size_max)) as u32,
            number: u32::try_from(page).unwrap_or(u32::MAX),
            cursor,
            asked: ["PageSize", "Page", "PageToken"].iter().any(|name| value(name).is_some()),
        })
    }

    /// Rows to skip from the newest: only a page asked for by bare number skips.
    pub fn offset(&self) -> i64 {
        match self.cursor {
            Cursor::Offset => i64::from(self.number) * i64::from(self.size),
            _ => 0,
        }
    }

    /// Rows to read: one more than shown, which tells whether there is more.
    pub fn limit(&self) -> i64 {
        i64::from(self.size) + 1
    }

    /// Cuts rows that were read by [`PageRequest::limit`] in the cursor's
    /// direction to the page: newest first, and whether more follow.
    pub fn cut<T>(&self, mut rows: Vec<T>) -> (Vec<T>, bool) {
        let more = rows.len() > self.size as usize;
        rows.truncate(self.size as usize);
        match self.cursor {
            // Reading upwards from a row: that row follows whatever was found.
            Cursor::Before(_) => {
                rows.reverse();
                (rows, true)
            }
            _ => (rows, more),
        }
    }
}

/// Everything around the array.
pub(crate) struct Envelope<'a> {
    pub table: &'a Table,
    pub request: &'a PageRequest,
    pub page: &'a Page,
    /// Path with extension, as the client sent it.
    pub path: &'a str,
    /// Raw query as the client sent it.
    pub query: &'a str,
    pub base: &'a str,
}

impl Envelope<'_> {
    /// The list response; `rows` are the rendered records.
    pub fn json(&self, rows: &[String]) -> String {
        let mut out =
            String::with_capacity(rows.iter().map(|row| row.len() + 1).sum::<usize>() + 600);
        match self.table.dialect {
            Dialect::V2010 => {
                let _ = write!(out, "{{\"{}\":[{}]", self.table.key, rows.join(","));
                for (name, value) in self.v2010_members() {
                    let _ = write!(out, ",\"{name}\":{value}");
                }
                out.push('}');
            }
            Dialect::Product => {
                let _ = write!(out, "{{\"{}\":[{}],\"meta\":{{", self.table.key, rows.join(","));
                let _ = write!(
                    out,
                    "\"page\":{},\"page_size\":{}",
                    self.request.number, self.request.size
                );
                for (name, link) in [
                    ("first_page_url", Some(self.first())),
                    ("previous_page_url", self.previous()),
                    ("url", Some(self.own())),
                    ("next_page_url", self.next()),
                ] {
                    let _ = write!(
                        out,
                        ",\"{name}\":{}",
                        quoted(link.map(|l| format!("{}{l}", self.base)))
                    );
                }
                let _ = write!(out, ",\"key\":\"{}\"}}}}", self.table.key);
            }
        }
        out
    }

    /// Name and JSON of the paging members of the 2010 API.
    pub fn v2010_members(&self) -> Vec<(&'static str, String)> {
        if !self.table.paging_members {
            return vec![("uri", quoted(Some(self.path.to_owned())))];
        }
        let count = self.page.records.len() as u64;
        let start = if count == 0 {
            0
        } else {
            u64::from(self.request.number) * u64::from(self.request.size)
        };
        vec![
            ("end", (start + count.saturating_sub(1)).to_string()),
            ("first_page_uri", quoted(Some(self.first()))),
            ("next_page_uri", quoted(self.next())),
            ("page", self.request.number.to_string()),
            ("page_size", self.request.size.to_string()),
            ("previous_page_uri", quoted(self.previous())),
            ("start", start.to_string()),
            ("uri", quoted(Some(self.own()))),
        ]
    }

    fn own(&self) -> String {
        match self.query {
            "" => self.link(self.request.number, None),
            query => format!("{}?{query}", self.path),
        }
    }

    fn first(&self) -> String {
        self.link(0, None)
    }

    fn next(&self) -> Option<String> {
        let last = self.page.records.last().filter(|_| self.page.has_next)?;
        Some(self.link(self.request.number.saturating_add(1), Some(("PA", &last.cursor))))
    }

    fn previous(&self) -> Option<String> {
        let first = self.page.records.first().filter(|_| self.request.number > 0)?;
        Some(self.link(self.request.number - 1, Some(("PB", &first.cursor))))
    }

    /// The request's own filters in their own encoding, then the paging.
    fn link(&self, number: u32, token: Option<(&str, &str)>) -> String {
        let mut link = format!("{}?", self.path);
        for pair in self.query.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split('=').next().unwrap_or_default();
            if !matches!(name, "Page" | "PageSize" | "PageToken") {
                link.push_str(pair);
                link.push('&');
            }
        }
        let _ = write!(link, "PageSize={}&Page={number}", self.request.size);
        if let Some((direction, key)) = token {
            let key: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
            let _ = write!(link, "&PageToken={direction}{key}");
        }
        link
    }
}

fn quoted(text: Option<String>) -> String {
    let Some(text) = text else { return "null".to_owned() };
    let mut out = String::with_capacity(text.len() + 2);
    write_string(&text, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<PageRequest, u32> {
        let mut pairs = Pairs::default();
        pairs.add(query.as_bytes()).unwrap();
        let table = Table::v2010("Message", "/list", "/list/{Sid}").sid("SM");
        PageRequest::parse(&pairs, &table).map_err(|error| error.code)
    }

    #[test]
    fn sizes_are_clamped_and_bad_requests_named() {
        assert_eq!(parse("").unwrap().size, 50);
        assert_eq!(parse("PageSize=5000").unwrap().size, 1000);
        assert_eq!(parse("PageSize=0"), Err(20001));
        assert_eq!(parse("Page=-1"), Err(20001));
        assert_eq!(parse("PageToken=nonsense"), Err(21481));
        assert_eq!(parse("PageToken=PASM1"), Err(21481));
        let sid = "SM0123456789abcdef0123456789abcdef";
        let token = parse(&format!("PageToken=PA{sid}")).unwrap();
        assert_eq!(token.cursor, Cursor::After(sid.into()));
    }

    #[test]
    fn pages_are_cut_in_both_directions() {
        let forward = parse("PageSize=2").unwrap();
        assert_eq!(forward.cut(vec![9, 8, 7]), (vec![9, 8], true));
        assert_eq!(forward.cut(vec![9, 8]), (vec![9, 8], false));
        let back =
            parse("PageSize=2&Page=0&PageToken=PBSM0123456789abcdef0123456789abcdef").unwrap();
        assert_eq!(back.cut(vec![7, 8, 9]), (vec![8, 7], true));
    }
}

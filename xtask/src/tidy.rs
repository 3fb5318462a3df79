//! The house rules that a machine can check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::{Outcome, layers, run};

/// Lines of code in one file, tests not counted; tables are exempt.
const LINES_MAX: usize = 800;
/// Pages generated from the code, and what generates them.
const DIFFERS_PAGE: &str = "docs/differs.md";

/// A tracked text file.
struct File {
    path: String,
    text: String,
}

/// Checks everything; `write` regenerates the generated pages first.
pub fn run(write: bool) -> Outcome {
    let files = tracked()?;
    let differs = differs_page(&files);
    if write {
        std::fs::write(run::root().join(DIFFERS_PAGE), &differs).map_err(|e| e.to_string())?;
    }
    let mut found = layers::violations()?;
    for file in &files {
        check_words(file, &mut found);
        if file.path.ends_with(".rs") {
            check_code(file, &mut found);
        }
        check_migration(file, &mut found);
    }
    check_error_pages(&files, &mut found);
    let page = std::fs::read_to_string(run::root().join(DIFFERS_PAGE)).unwrap_or_default();
    if page != differs {
        found.push(format!("{DIFFERS_PAGE} is out of date: run cargo xtask tidy --write"));
    }
    if found.is_empty() {
        println!("tidy: {} files, nothing to mend", files.len());
        return Ok(());
    }
    found.sort();
    Err(format!("tidy found {}:\n  {}", found.len(), found.join("\n  ")))
}

/// Every text file that git tracks or would track.
fn tracked() -> Result<Vec<File>, String> {
    let args = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let list = run::output("git", &args).ok_or("git ls-files failed")?;
    let read = |path: &str| {
        let text = std::fs::read_to_string(run::root().join(path)).ok()?;
        Some(File { path: path.to_owned(), text })
    };
    Ok(list.lines().filter_map(read).collect())
}

/// Hosts of package registries and paths of one machine have no place in the repository.
fn check_words(file: &File, found: &mut Vec<String>) {
    if file.path == "Cargo.lock" || file.path.ends_with("go.sum") || file.path == "LICENSE" {
        return;
    }
    let banned = [
        ["crates", ".io"].concat(),
        ["npmjs", ".org"].concat(),
        ["npmjs", ".com"].concat(),
        ["pypi", ".org"].concat(),
        ["proxy.golang", ".org"].concat(),
        ["repo1.maven", ".org"].concat(),
        ["deb.debian", ".org"].concat(),
        ["/wo", "rk/"].concat(),
        ["/ro", "ot/"].concat(),
    ];
    for (at, line) in file.text.lines().enumerate() {
        if let Some(word) = banned.iter().find(|word| line.contains(word.as_str())) {
            found.push(format!("{}:{}: names {word}", file.path, at + 1));
        }
    }
}

/// The last migration that was written before several versions shared a database.
const LAST_FREE_MIGRATION: u32 = 17;

/// A node of the version before runs with the schema of the next: migrations only add
/// (foundation/store/src/schema.rs).
fn check_migration(file: &File, found: &mut Vec<String>) {
    let Some((_, name)) = file.path.split_once("store/migrations/") else { return };
    let version =
        name.rsplit('/').next().and_then(|name| name.strip_prefix('V')?.split('_').next());
    let version = version.and_then(|version| version.parse::<u32>().ok()).unwrap_or(u32::MAX);
    if version <= LAST_FREE_MIGRATION {
        return;
    }
    for why in takes_away(&file.text) {
        found.push(format!("{}: {why}", file.path));
    }
}

/// The statements of a migration that an older program could stumble over.
fn takes_away(migration: &str) -> Vec<String> {
    let code: Vec<&str> =
        migration.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let mut found = Vec::new();
    for statement in code.join(" ").split(';') {
        let words: Vec<String> =
            statement.split_whitespace().map(|word| word.to_uppercase()).collect();
        let text = words.join(" ");
        let adds_column = text.starts_with("ALTER TABLE") && text.contains(" ADD COLUMN ");
        let drops_index = text.starts_with("DROP INDEX");
        let breaks = (text.contains("DROP ") && !drops_index)
            || text.contains(" RENAME ")
            || text.contains(" ALTER COLUMN ")
            || (text.starts_with("ALTER TABLE") && !adds_column)
            || (adds_column && text.contains("NOT NULL") && !text.contains(" DEFAULT "));
        if breaks {
            let text: String = text.chars().take(60).collect();
            found.push(format!("'{text}' breaks nodes of the version before; only add"));
        }
    }
    found
}

fn check_code(file: &File, found: &mut Vec<String>) {
    let path = &file.path;
    let is_test = ["/tests/", "testing.rs", "benches/", "fuzz/"].iter().any(|p| path.contains(p));
    let prints = ["offhook/src/cli/", "xtask/", "conformance/", "benches/"];
    // A build script speaks to cargo by printing.
    let may_print = prints.iter().any(|folder| path.starts_with(folder))
        || path.ends_with("/build.rs")
        || is_test;
    let code = file.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut banned: Vec<String> =
        ["todo!(", "unimplemented!(", "dbg!(", "#[ignore"].map(str::to_owned).to_vec();
    if !is_test {
        banned.push([".unwrap", "()"].concat());
    }
    if !may_print {
        banned.push("println!(".to_owned());
    }
    if path.starts_with("cores/") && !is_test {
        let ambient = ["Instant::now", "SystemTime::now", "tokio::", "rand::", "async fn"];
        banned.extend(ambient.map(str::to_owned));
    }
    // This file names what it bans.
    if path != "xtask/src/tidy.rs" {
        for (at, line) in code.lines().enumerate() {
            let line = line.trim_start();
            if line.starts_with("//") {
                continue;
            }
            if let Some(word) = banned.iter().find(|word| line.contains(word.as_str())) {
                found.push(format!("{path}:{}: {word}", at + 1));
            }
        }
    }
    let lines = code.lines().count();
    if lines > LINES_MAX && !path.ends_with("_table.rs") && !is_test {
        found.push(format!("{path}: {lines} lines of code; is it still one thought?"));
    }
}

/// Every code that the source can answer with has a page, and every page a code.
fn check_error_pages(files: &[File], found: &mut Vec<String>) {
    let known = known_codes(files);
    let mut emitted: BTreeMap<u32, String> = BTreeMap::new();
    for file in files.iter().filter(|file| is_shipped(&file.path)) {
        let code = file.text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for (at, line) in code.lines().enumerate() {
            for number in codes_in(line).into_iter().filter(|code| known.contains(code)) {
                emitted.entry(number).or_insert_with(|| format!("{}:{}", file.path, at + 1));
            }
        }
    }
    let pages: BTreeSet<u32> = files
        .iter()
        .filter_map(|file| Path::new(file.path.strip_prefix("docs/errors/")?).file_stem()?.to_str())
        .filter_map(|stem| stem.parse().ok())
        .collect();
    for (code, place) in &emitted {
        if !pages.contains(code) {
            found.push(format!("{place}: code {code} has no page docs/errors/{code}.md"));
        }
    }
    for code in pages.iter().filter(|code| !emitted.contains_key(code)) {
        found.push(format!("docs/errors/{code}.md: nothing answers with this code"));
    }
    let list = files.iter().find(|file| file.path == "docs/errors/README.md");
    let list = list.map_or("", |file| &file.text);
    for code in pages.iter().filter(|code| !list.contains(&format!("({code}.md)"))) {
        found.push(format!("docs/errors/README.md: no row for {code}"));
    }
}

/// Code that runs in the platform, tables of all codes aside.
fn is_shipped(path: &str) -> bool {
    let folders = ["products/", "carriers/", "foundation/", "cores/", "offhook/src/"];
    path.ends_with(".rs")
        && folders.iter().any(|folder| path.starts_with(folder))
        && !path.contains("/tests/")
        && !path.ends_with("_table.rs")
}

/// The rows of the error table.
fn known_codes(files: &[File]) -> BTreeSet<u32> {
    let table = files.iter().find(|file| file.path.ends_with("kernel/src/error_table.rs"));
    let lines = table.map_or("", |file| &file.text).lines();
    lines
        .filter_map(|line| line.trim().strip_prefix("row(")?.split(',').next()?.parse().ok())
        .collect()
}

/// Numbers of five or six digits that stand alone in code.
fn codes_in(line: &str) -> Vec<u32> {
    let line = line.split("//").next().unwrap_or_default();
    let mut codes = Vec::new();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.' || c == '+';
    for word in line.split(|c: char| !is_word(c)) {
        if matches!(word.len(), 5 | 6)
            && word.bytes().all(|byte| byte.is_ascii_digit())
            && let Ok(number) = word.parse::<u32>()
        {
            codes.push(number);
        }
    }
    codes
}

/// A page of every line that says where the platform differs from Twilio.
fn differs_page(files: &[File]) -> String {
    let mut page = String::from(
        "# Where Offhook differs from Twilio\n\n\
         Generated from the `Differs:` lines in the source by `cargo xtask tidy --write`. Each is a\n\
         choice where Twilio's behaviour is undocumented, or a deliberate deviation.\n",
    );
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        if file.path.starts_with("xtask/") {
            continue;
        }
        let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
        let mut said = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let Some(text) = comment(line).and_then(|text| text.strip_prefix("Differs: ")) else {
                continue;
            };
            let more = lines[at + 1..]
                .iter()
                .map_while(|line| comment(line))
                .take_while(|text| !text.is_empty() && !text.starts_with("Differs:"));
            let words: Vec<&str> = std::iter::once(text).chain(more).collect();
            said.push(words.join(" "));
        }
        if !said.is_empty() {
            page.push_str(&format!("\n## `{}`\n\n", file.path));
            for text in said {
                page.push_str(&format!("- {text}\n"));
            }
        }
    }
    page
}

/// The text of a comment line.
fn comment(line: &str) -> Option<&str> {
    let text = line.strip_prefix("//")?;
    Some(text.trim_start_matches(['/', '!']).trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_where_they_stand_alone() {
        assert_eq!(codes_in("ApiError::new(21211, why)"), [21211]);
        assert_eq!(codes_in("Event::Failed { code: 30036 } // 30003"), [30036]);
        assert_eq!(codes_in("Fault::new(216602, why)"), [216602]);
        assert_eq!(codes_in("\"+15005550006\" 1.21211 1212112"), Vec::<u32>::new());
        assert_eq!(codes_in("Err(30_002)"), Vec::<u32>::new());
    }

    #[test]
    fn migrations_only_add() {
        for (sql, fine) in [
            ("CREATE TABLE x (a TEXT NOT NULL); CREATE INDEX y ON x (a);", true),
            ("ALTER TABLE x ADD COLUMN b BIGINT NOT NULL DEFAULT 0", true),
            ("ALTER TABLE x ADD COLUMN b TEXT -- NOT NULL in the next release", true),
            ("DROP INDEX y; CREATE INDEX y ON x (a, b)", true),
            ("ALTER TABLE x ADD COLUMN b TEXT NOT NULL", false),
            ("alter table x drop column a", false),
            ("DROP TABLE x", false),
            ("ALTER TABLE x RENAME COLUMN a TO b", false),
            ("ALTER TABLE x ALTER COLUMN a SET NOT NULL", false),
        ] {
            assert_eq!(takes_away(sql).is_empty(), fine, "{sql}");
        }
    }

    #[test]
    fn differences_are_collected_with_their_following_lines() {
        let text = "/// Differs: one\n/// two.\n///\n/// Not this.\nfn x() {}\n";
        let files = [File { path: "a.rs".into(), text: text.into() }];
        assert!(differs_page(&files).ends_with("## `a.rs`\n\n- one two.\n"));
    }
}

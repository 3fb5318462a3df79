//! Where a secret rests that should not.

use std::path::Path;

use super::World;

impl World {
    /// Every table and column, and every file of the instance, in which this text rests: what was
    /// deleted of a SQLite database may still be in its file, and counts.
    pub async fn places_with(&self, secret: &str) -> Vec<String> {
        let mut found = Vec::new();
        let store = self.platform().store.clone();
        let is_postgres = store.kind() == "postgres";
        let tables = match is_postgres {
            true => "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
            false => "SELECT name FROM sqlite_master WHERE type = 'table'",
        };
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        for table in store.query(tables, vec![]).await.expect("the schema is readable") {
            let table = table.text(0).to_owned();
            let sql = match is_postgres {
                // Blobs are shown in hexadecimal.
                true => format!(
                    "SELECT count(*) FROM \"{table}\" AS t
                     WHERE t::text LIKE '%{secret}%' OR t::text LIKE '%{hex}%'"
                ),
                false => {
                    let sql = format!("SELECT name FROM pragma_table_info('{table}')");
                    let columns = store.query(&sql, vec![]).await.expect("columns are listed");
                    let is_in: Vec<String> = columns
                        .iter()
                        .map(|row| {
                            format!("instr(CAST(\"{}\" AS TEXT), '{secret}') > 0", row.text(0))
                        })
                        .collect();
                    format!("SELECT count(*) FROM \"{table}\" WHERE {}", is_in.join(" OR "))
                }
            };
            let row = store.point(&sql, vec![]).await.expect("every table is readable");
            if row.is_some_and(|row| row.int(0) > 0) {
                found.push(format!("table {table}"));
            }
        }
        files_with(self.database.directory(), secret.as_bytes(), &mut found);
        found
    }
}

fn files_with(directory: &Path, secret: &[u8], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_with(&path, secret, found);
        } else if std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(secret.len()).any(|part| part == secret))
        {
            found.push(format!("file {}", path.display()));
        }
    }
}

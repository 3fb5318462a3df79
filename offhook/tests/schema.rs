//! Goal: nodes of two versions share a database, and an instance survives being copied. Method: a
//! schema as a later version would leave it, under this program; a backup of a running instance,
//! restored elsewhere; the binary's own words about a schema that is behind.

mod harness;

use std::process::Command;

use harness::node::Plan;
use harness::{eventually, worlds};
use serde_json::Value;
use store::testing::{databases, sqlite};
use store::{Batch, Location, Store};

const USER: &str = "+14155550111";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_runs_with_the_schema_of_a_later_version() {
    for mut world in worlds().await {
        let store = world.platform().store.clone();
        let tables = match store.kind() {
            "postgres" => "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
            _ => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
        };
        let tables = store.query(tables, vec![]).await.unwrap();
        assert!(tables.len() > 10);
        for table in
            tables.iter().map(|row| row.text(0)).filter(|name| !name.starts_with("refinery"))
        {
            let mut batch = Batch::new();
            batch.run(
                format!("ALTER TABLE {table} ADD COLUMN later BIGINT NOT NULL DEFAULT 7"),
                vec![],
            );
            store.commit(batch).await.unwrap();
        }
        let mut batch = Batch::new();
        batch.run(
            "INSERT INTO refinery_schema_history (version, name, applied_on, checksum)
             VALUES (999, 'later', '2030-01-01T00:00:00Z', '1')",
            vec![],
        );
        store.commit(batch).await.unwrap();
        world.delivered(&[("To", USER), ("Body", "while it ran")]).await;
        world.restart(&|_| {}).await;
        world.delivered(&[("To", USER), ("Body", "started with it")]).await;
        world.restart(&|settings| settings.migrate = false).await;
        assert_eq!(world.bodies(USER, 2).await, ["while it ran", "started with it"]);
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_behind_is_named_and_mended() {
    for database in databases().await {
        // One without any schema.
        let location = match &database.location {
            Location::Sqlite(path) => Location::Sqlite(path.with_file_name("empty.db")),
            Location::Postgres(_) => continue,
        };
        let missing = Store::missing(&location).await.unwrap();
        assert_eq!(missing.first().map(String::as_str), Some("V1__base"));
        let refused = Store::open_as_it_is(&location, bus::Bus::default()).await.err().unwrap();
        assert!(refused.to_string().contains("offhook migrate"), "{refused}");
        Store::migrate(&location).await.unwrap();
        assert!(Store::missing(&location).await.unwrap().is_empty());
        assert!(Store::open_as_it_is(&location, bus::Bus::default()).await.is_ok());
    }
}

fn offhook(args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_offhook"))
        .args(args)
        .env_remove("OFFHOOK_DATABASE")
        .env_remove("OFFHOOK_BUS")
        .output()
        .expect("the binary runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_running_instance_is_an_instance() {
    let place = sqlite().await;
    let path = |name: &str| place.directory().join(name).display().to_string();
    let mut plan = Plan::new(path("first").into());
    let mut node = plan.start().await;
    let (login, number) = node.env().await;
    let picture = serde_json::json!({"to": number, "body": "look",
        "media": [{"content_type": "image/png", "data": "iVBORw0KGgo="}]});
    let typed = harness::Request::new("POST", "/_offhook/v1/handsets/+14155550111/messages")
        .body("application/json", picture.to_string().into_bytes());
    let sid = harness::exchange(&node.url, typed).await.text_of("sid");

    let (first, second, file) = (path("first"), path("second"), path("copy.offhook"));
    let (code, said) = offhook(&["backup", &file, "--data", &first]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = offhook(&["backup", &file, "--data", &first]);
    assert!(code == 1 && said.contains("exists"), "{said}");
    let (code, said) = offhook(&["restore", &file, "--data", &first]);
    assert!(code == 1 && said.contains("move it away"), "{said}");
    node.kill().await;

    let (code, said) = offhook(&["restore", &file, "--data", &second]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = offhook(&["migrate", "--check", "--data", &second]);
    assert_eq!(code, 0, "{said}");
    plan.data = second.into();
    plan.more = vec!["--no-migrate".to_owned()];
    let node = plan.start().await;
    assert_eq!(node.env().await.0.password, login.password, "its secrets are opened");
    let path = harness::account_path(&login.user, &format!("Messages/{sid}/Media.json"));
    let media: Value = eventually("the picture is there", || async {
        let request = harness::Request::new("GET", &path).login(&login);
        let list = harness::exchange(&node.url, request).await.json();
        list["media_list"].get(0).cloned()
    })
    .await;
    let uri = media["uri"].as_str().unwrap().trim_end_matches(".json").to_owned();
    let request = harness::Request::new("GET", &uri).login(&login);
    let bytes = harness::exchange(&node.url, request).await;
    assert_eq!((bytes.status, &bytes.body[..4]), (200, &b"\x89PNG"[..]), "{bytes:?}");
    let (code, said) = offhook(&["restore", &path_of(&node), "--data", &path]);
    assert!(code == 1, "{said}");
}

/// A file that is no backup.
fn path_of(node: &harness::node::Node) -> String {
    node.plan.data.join("offhook.db").display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_names_what_is_wrong_and_how_to_mend_it() {
    let place = sqlite().await;
    let data = place.directory().join("data").display().to_string();
    let (_, said) = offhook(&["doctor", "--data", &data, "--listen", "127.0.0.1:0"]);
    for what in ["data directory", "database", "port", "espeak-ng", "ffmpeg"] {
        assert!(said.contains(what), "{what}: {said}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let wrong = [
        "--listen",
        &listen,
        "--database",
        "postgres://nobody@127.0.0.1:1/none",
        "--bus",
        "nats://127.0.0.1:1",
    ];
    let (code, said) = offhook(&[&["doctor", "--data", &data, "--json"], &wrong[..]].concat());
    assert_eq!(code, 1, "{said}");
    let report: Vec<Value> = serde_json::from_str(&said).unwrap();
    for what in ["database", "bus", "port"] {
        let one = report.iter().find(|finding| finding["what"] == what).unwrap();
        assert_eq!(one["grade"], "wrong", "{one}");
        assert!(one["fix"].as_str().is_some_and(|fix| fix.len() > 10), "{one}");
    }
}

//! Who may use the console of an instance that others can reach.
//!
//! Users belong to the instance, not to an account. A password is kept as its Argon2id hash; a
//! session as the SHA-256 of its token, for twelve hours that begin again while it is used, and for
//! a week at most. Whoever tries passwords is counted by user and by address, and waits.
//!
//! Bounds: 1,000 users; two passwords are checked at a time.

mod password;
mod role;

use std::time::Duration;

use aws_lc_rs::digest;
use clock::Clock;
use data_encoding::HEXLOWER;
use kernel::Timestamp;
use store::{Batch, Row, Store, StoreError};
use tokio::sync::Semaphore;

pub use role::{Need, Role};

/// A session that is not used for so long is over.
const SESSION: Duration = Duration::from_secs(12 * 3600);
/// However much it is used.
const SESSION_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How much of its time is gone before a session begins again: not every request is a write.
const RENEW_AFTER: Duration = Duration::from_secs(600);
/// How long failures are counted together.
const PERIOD: Duration = Duration::from_secs(15 * 60);
/// Failures of a user, and from an address, within the period.
const FAILURES_OF_USER: i64 = 10;
const FAILURES_FROM_ADDRESS: i64 = 30;
const USERS_MAX: i64 = 1000;
const NAME_CHARS_MAX: usize = 64;
const CHECKS_AT_ONCE: usize = 2;
/// Hex digits of a session's token: 256 bits.
const TOKEN_DIGITS: usize = 64;

/// What must be so for a user to be no owner any more: there is another one, or nobody else at all.
/// Judged in the batch that does it, behind [`one_at_a_time`].
const STAYS_OWNED: &str = "(role <> 'owner'
    OR EXISTS (SELECT 1 FROM console_user other WHERE other.role = 'owner' AND other.name <> $1)
    OR NOT EXISTS (SELECT 1 FROM console_user other WHERE other.name <> $1))";

/// A user, without the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub role: Role,
    pub created: Timestamp,
}

/// Who a session is of, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub user: String,
    pub role: Role,
    pub ends: Timestamp,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The name or the password is not right: which one is not said.
    #[error("Nobody signs in with this name and password")]
    Unknown,
    /// Too many failures: after so many seconds again.
    #[error("Too many failed attempts: try again in {0} s")]
    Wait(u64),
    /// What was given is no name, password or role.
    #[error("{0}")]
    Bad(String),
    #[error("There is no user {0}")]
    NoSuchUser(String),
    #[error("There is a user {0} already")]
    Exists(String),
    /// The last owner stays one.
    #[error("{0} is the only owner: make another one first")]
    LastOwner(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The users of an instance.
pub struct Users {
    store: Store,
    clock: Clock,
    checks: Semaphore,
    /// Checked when nobody has the name, so that it takes as long.
    decoy: String,
}

impl Users {
    pub fn new(store: Store, clock: Clock) -> Self {
        let decoy = password::hash("nobody has this password").unwrap_or_default();
        Self { store, clock, checks: Semaphore::new(CHECKS_AT_ONCE), decoy }
    }

    /// All of them by name.
    pub async fn list(&self) -> Result<Vec<User>, Refused> {
        let sql = "SELECT name, role, date_created FROM console_user ORDER BY name LIMIT $1";
        let rows = self.store.query(sql, vec![USERS_MAX.into()]).await?;
        Ok(rows.iter().filter_map(user).collect())
    }

    pub async fn add(&self, name: &str, role: Role, password: &str) -> Result<User, Refused> {
        check_name(name)?;
        if self.list().await?.len() >= usize::try_from(USERS_MAX).unwrap_or(0) {
            return Err(Refused::Bad(format!("There are {USERS_MAX} users already")));
        }
        let kept = self.hashed(password).await?;
        let now = self.clock.now();
        let mut batch = Batch::new();
        batch.run(
            "INSERT INTO console_user (name, role, password, date_created, date_updated)
             VALUES ($1, $2, $3, $4, $5)",
            vec![name.into(), role.as_str().into(), kept.into(), now.into(), now.into()],
        );
        match self.store.commit(batch).await {
            Ok(_) => Ok(User { name: name.to_owned(), role, created: now }),
            Err(StoreError::Duplicate(_)) => Err(Refused::Exists(name.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives another role or password; whoever is signed in as the user is signed out.
    pub async fn change(
        &self,
        name: &str,
        role: Option<Role>,
        password: Option<&str>,
    ) -> Result<(), Refused> {
        let mut batch = one_at_a_time();
        if let Some(role) = role {
            let sql = "UPDATE console_user SET role = $2, date_updated = $3 WHERE name = $1";
            let sql = match role {
                Role::Owner => sql.to_owned(),
                _ => format!("{sql} AND {STAYS_OWNED}"),
            };
            batch.must(sql, vec![name.into(), role.as_str().into(), self.clock.now().into()]);
        }
        if let Some(password) = password {
            let kept = self.hashed(password).await?;
            let sql = "UPDATE console_user SET password = $2, date_updated = $3 WHERE name = $1";
            batch.must(sql, vec![name.into(), kept.into(), self.clock.now().into()]);
        }
        batch.run("DELETE FROM console_session WHERE user_name = $1", vec![name.into()]);
        self.done(name, batch).await
    }

    pub async fn remove(&self, name: &str) -> Result<(), Refused> {
        let mut batch = one_at_a_time();
        let sql = format!("DELETE FROM console_user WHERE name = $1 AND {STAYS_OWNED}");
        batch.must(sql, vec![name.into()]);
        batch.run("DELETE FROM console_session WHERE user_name = $1", vec![name.into()]);
        self.done(name, batch).await
    }

    async fn done(&self, name: &str, batch: Batch) -> Result<(), Refused> {
        match self.store.commit(batch).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict) => {
                let sql = "SELECT 1 FROM console_user WHERE name = $1";
                let found = self.store.point(sql, vec![name.into()]).await?;
                Err(match found {
                    Some(_) => Refused::LastOwner(name.to_owned()),
                    None => Refused::NoSuchUser(name.to_owned()),
                })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Begins a session; its token is told here and nowhere else.
    pub async fn sign_in(
        &self,
        name: &str,
        password: &str,
        address: &str,
    ) -> Result<(String, Session), Refused> {
        let counted = [
            (format!("user {}", digest_of(name)), FAILURES_OF_USER),
            (format!("from {address}"), FAILURES_FROM_ADDRESS),
        ];
        let now = self.clock.now();
        // Counted before it is checked: many at once are no way around it.
        self.count(&counted, now).await?;
        let sql = "SELECT name, role, date_created, password FROM console_user WHERE name = $1";
        let row = self.store.point(sql, vec![name.into()]).await?;
        let kept = row.as_ref().map_or(&*self.decoy, |row| row.text(3));
        let fits = self.fits(kept, password).await;
        let Some(user) = row.as_ref().and_then(user).filter(|_| fits) else {
            tracing::info!(address, "somebody did not sign in");
            return Err(Refused::Unknown);
        };
        let token = self.clock.hex_token(TOKEN_DIGITS);
        let ends = now + SESSION;
        let mut batch = Batch::new();
        batch.run("DELETE FROM console_session WHERE ends <= $1", vec![now.into()]);
        batch.run(
            "INSERT INTO console_session (token, user_name, ends, date_created)
             VALUES ($1, $2, $3, $4)",
            vec![digest_of(&token).into(), name.into(), ends.into(), now.into()],
        );
        for (who, _) in &counted {
            batch.run(
                "UPDATE console_attempt SET failures = failures - 1 WHERE who = $1",
                vec![who.as_str().into()],
            );
        }
        self.store.commit(batch).await?;
        tracing::info!(user = name, role = user.role.as_str(), address, "signed in");
        Ok((token, Session { user: user.name, role: user.role, ends }))
    }

    /// One more attempt of each, unless there were too many.
    async fn count(&self, counted: &[(String, i64)], now: Timestamp) -> Result<(), Refused> {
        let begun = now - PERIOD;
        let mut batch = Batch::new();
        batch.run("DELETE FROM console_attempt WHERE since <= $1", vec![begun.into()]);
        for (who, most) in counted {
            batch.must(
                "INSERT INTO console_attempt (who, since, failures) VALUES ($1, $2, 1)
                 ON CONFLICT (who) DO UPDATE SET failures = console_attempt.failures + 1
                 WHERE console_attempt.failures < $3",
                vec![who.as_str().into(), now.into(), (*most).into()],
            );
        }
        match self.store.commit(batch).await {
            Ok(_) => Ok(()),
            Err(StoreError::Conflict) => {
                let sql = "SELECT max(since) FROM console_attempt WHERE who = $1 OR who = $2";
                let values = counted.iter().map(|(who, _)| who.as_str().into()).collect();
                let row = self.store.point(sql, values).await?;
                let since = row.and_then(|row| row.opt_time(0)).unwrap_or(now);
                let left = (since + PERIOD).since(now).as_secs().max(1);
                Err(Refused::Wait(left))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whose session it is, if it is one; use makes it begin again.
    pub async fn session(&self, token: &str) -> Result<Option<Session>, StoreError> {
        if token.len() != TOKEN_DIGITS {
            return Ok(None);
        }
        let now = self.clock.now();
        let kept = digest_of(token);
        let sql = "SELECT u.name, u.role, s.ends, s.date_created FROM console_session s
                   JOIN console_user u ON u.name = s.user_name WHERE s.token = $1 AND s.ends > $2";
        let Some(row) = self.store.point(sql, vec![kept.clone().into(), now.into()]).await? else {
            return Ok(None);
        };
        let Ok(role) = row.text(1).parse() else { return Ok(None) };
        let mut session = Session { user: row.text(0).to_owned(), role, ends: row.time(2) };
        let last = row.time(3) + SESSION_MAX;
        let ends = (now + SESSION).min(last);
        if ends > session.ends + RENEW_AFTER {
            let mut batch = Batch::new();
            let sql = "UPDATE console_session SET ends = $2 WHERE token = $1";
            batch.run(sql, vec![kept.into(), ends.into()]);
            self.store.commit(batch).await?;
            session.ends = ends;
        }
        Ok(Some(session))
    }

    pub async fn sign_out(&self, token: &str) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        let sql = "DELETE FROM console_session WHERE token = $1";
        batch.run(sql, vec![digest_of(token).into()]);
        self.store.commit(batch).await.map(|_| ())
    }

    async fn hashed(&self, password: &str) -> Result<String, Refused> {
        if let Some(why) = password::problem(password) {
            return Err(Refused::Bad(why));
        }
        let password = password.to_owned();
        let _turn = self.checks.acquire().await;
        let hashed = tokio::task::spawn_blocking(move || password::hash(&password)).await;
        let why = || Refused::Bad("The password cannot be hashed".to_owned());
        hashed.ok().flatten().ok_or_else(why)
    }

    async fn fits(&self, kept: &str, password: &str) -> bool {
        if password.len() > 4 * password::CHARS_MAX {
            return false;
        }
        let (kept, password) = (kept.to_owned(), password.to_owned());
        let _turn = self.checks.acquire().await;
        let fits = tokio::task::spawn_blocking(move || password::fits(&kept, &password)).await;
        fits.unwrap_or(false)
    }
}

/// A batch that waits for any other of its kind, on whichever node: what it judges by is what the
/// other left.
fn one_at_a_time() -> Batch {
    let mut batch = Batch::new();
    batch.run(
        "INSERT INTO meta (name, value) VALUES ('users', '')
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        vec![],
    );
    batch
}

fn user(row: &Row) -> Option<User> {
    let role = row.text(1).parse().ok()?;
    Some(User { name: row.text(0).to_owned(), role, created: row.time(2) })
}

fn check_name(name: &str) -> Result<(), Refused> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+');
    match !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX && name.chars().all(fits) {
        true => Ok(()),
        false => Err(Refused::Bad(format!(
            "A name has 1 to {NAME_CHARS_MAX} letters, digits, or any of . - _ @ +"
        ))),
    }
}

/// What is kept of a token, and of names that may be absurdly long.
fn digest_of(text: &str) -> String {
    HEXLOWER.encode(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use store::testing::{TestDatabase, databases};

    use super::*;

    const PASSWORD: &str = "correct horse battery";

    async fn all() -> Vec<(Arc<Users>, Clock, TestDatabase)> {
        let mut all = Vec::new();
        for database in databases().await {
            let clock = Clock::movable();
            let users = Users::new(database.store.clone(), clock.clone());
            users.add("ada", Role::Owner, PASSWORD).await.unwrap();
            all.push((Arc::new(users), clock, database));
        }
        all
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_session_lasts_while_it_is_used_and_a_week_at_most() {
        for (users, clock, _database) in all().await {
            let (token, session) = users.sign_in("ada", PASSWORD, "192.0.2.1").await.unwrap();
            assert_eq!((session.user.as_str(), session.role), ("ada", Role::Owner));
            assert!(users.session(&"0".repeat(64)).await.unwrap().is_none());
            assert!(users.session("").await.unwrap().is_none());
            for _ in 0..16 {
                clock.advance(Duration::from_secs(10 * 3600)).unwrap();
                assert!(users.session(&token).await.unwrap().is_some());
            }
            clock.advance(Duration::from_secs(8 * 3600)).unwrap();
            assert!(users.session(&token).await.unwrap().is_none(), "a week is over");

            let (token, _) = users.sign_in("ada", PASSWORD, "192.0.2.1").await.unwrap();
            clock.advance(Duration::from_secs(12 * 3600)).unwrap();
            assert!(users.session(&token).await.unwrap().is_none(), "it was not used");

            let (token, _) = users.sign_in("ada", PASSWORD, "192.0.2.1").await.unwrap();
            users.sign_out(&token).await.unwrap();
            assert!(users.session(&token).await.unwrap().is_none());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_fails_too_often_waits_whatever_the_password() {
        for (users, clock, _database) in all().await {
            for _ in 0..FAILURES_OF_USER {
                let failed = users.sign_in("ada", "wrong", "192.0.2.1").await.unwrap_err();
                assert!(matches!(failed, Refused::Unknown), "{failed}");
            }
            let failed = users.sign_in("ada", PASSWORD, "192.0.2.2").await.unwrap_err();
            assert!(matches!(failed, Refused::Wait(1..=900)), "{failed}");
            for at in 0..FAILURES_FROM_ADDRESS - FAILURES_OF_USER {
                let failed = users.sign_in(&format!("nobody{at}"), "wrong", "192.0.2.1").await;
                assert!(matches!(failed, Err(Refused::Unknown)));
            }
            let failed = users.sign_in("somebody", "wrong", "192.0.2.1").await.unwrap_err();
            assert!(matches!(failed, Refused::Wait(_)), "{failed}");
            clock.advance(PERIOD).unwrap();
            users.sign_in("ada", PASSWORD, "192.0.2.1").await.unwrap();
            // What succeeds is no failure.
            for _ in 0..FAILURES_OF_USER {
                users.sign_in("ada", PASSWORD, "192.0.2.1").await.unwrap();
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_owners_who_go_at_once_one_stays() {
        for (users, clock, database) in all().await {
            let other = match users.store.kind() {
                "postgres" => {
                    let node = Store::open_as_it_is(&database.location, bus::Bus::default());
                    Arc::new(Users::new(node.await.unwrap(), clock))
                }
                _ => users.clone(),
            };
            users.add("grace", Role::Support, PASSWORD).await.unwrap();
            for turn in 0..10 {
                users.add("bob", Role::Owner, PASSWORD).await.unwrap();
                let done = match turn % 2 {
                    0 => tokio::join!(users.remove("ada"), other.remove("bob")),
                    _ => tokio::join!(
                        users.change("ada", Some(Role::Auditor), None),
                        other.remove("bob")
                    ),
                };
                let owners = users.list().await.unwrap();
                let owners = owners.iter().filter(|user| user.role == Role::Owner).count();
                assert_eq!(owners, 1, "{done:?}");
                let refused = [done.0, done.1].into_iter().filter_map(Result::err);
                let refused: Vec<_> = refused.collect();
                assert!(matches!(refused[..], [Refused::LastOwner(_)]), "{refused:?}");
                // As it was.
                let _ = users.add("ada", Role::Owner, PASSWORD).await;
                users.change("ada", Some(Role::Owner), None).await.unwrap();
                let _ = users.remove("bob").await;
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn users_are_added_changed_and_removed_and_an_owner_stays() {
        for (users, _, _database) in all().await {
            users.add("grace", Role::Support, PASSWORD).await.unwrap();
            let again = users.add("grace", Role::Owner, PASSWORD).await.unwrap_err();
            assert!(matches!(again, Refused::Exists(_)), "{again}");
            for (name, password) in [("", PASSWORD), ("a b", PASSWORD), ("eve", "short")] {
                let bad = users.add(name, Role::Owner, password).await.unwrap_err();
                assert!(matches!(bad, Refused::Bad(_)), "{bad}");
            }
            for gone in
                [users.remove("ada").await, users.change("ada", Some(Role::Billing), None).await]
            {
                assert!(matches!(gone, Err(Refused::LastOwner(_))));
            }
            let (token, _) = users.sign_in("grace", PASSWORD, "192.0.2.1").await.unwrap();
            users.change("grace", Some(Role::Owner), Some("another password")).await.unwrap();
            assert!(users.session(&token).await.unwrap().is_none(), "signed out by the change");
            assert!(users.sign_in("grace", PASSWORD, "192.0.2.1").await.is_err());
            users.sign_in("grace", "another password", "192.0.2.1").await.unwrap();
            users.remove("ada").await.unwrap();
            assert!(matches!(users.remove("ada").await, Err(Refused::NoSuchUser(_))));
            let left = users.list().await.unwrap();
            assert_eq!(left.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["grace"]);
        }
    }
}

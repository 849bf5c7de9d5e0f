// SPDX-License-Identifier: GPL-3.0-or-later
//! The database: every domain, and the effect that is intended or done for it.
//!
//! One writer, one transaction per change; a change is durable when the call returns
//! (write-ahead log, `synchronous = FULL`). Reading happens once, at the start.

mod rows;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bulkhead_types::DomainUuid;
use rusqlite::{Connection, OptionalExtension, params};
use thiserror::Error;

use crate::model::{Domain, Global, Stage};

/// The version of the tables below, kept in `user_version`.
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE domain (
    uuid       TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    class      TEXT NOT NULL,
    label      TEXT NOT NULL,
    template   TEXT,
    created_by TEXT NOT NULL,
    dispid     INTEGER,
    stage      TEXT NOT NULL
) STRICT;
CREATE TABLE property (
    domain TEXT NOT NULL REFERENCES domain (uuid) ON DELETE CASCADE,
    name   TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (domain, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE global (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE identity (
    value TEXT NOT NULL
) STRICT;
CREATE TABLE used_dispid (
    dispid  INTEGER PRIMARY KEY,
    used_at INTEGER NOT NULL
) STRICT;
";

/// The database cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// SQLite refused.
    #[error("cannot open the database {path}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: rusqlite::Error,
    },
    /// A later release wrote it.
    #[error(
        "the database {path} has version {found}; this bulkheadd knows version {SCHEMA_VERSION}; install the release that wrote it"
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: i64,
    },
}

/// What the database held.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Every domain that could be read.
    pub domains: Vec<Domain>,
    /// The system's own properties.
    pub globals: Vec<(Global, DomainUuid)>,
    /// Rows that make no sense, for people. They stay in the database untouched.
    pub damaged: Vec<String>,
}

/// The open database.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
}

impl Store {
    /// Opens the file, creating it when there is none.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let refused = |error| OpenError::Sqlite {
            path: path.to_owned(),
            error,
        };
        let connection = Connection::open(path).map_err(refused)?;
        let prepare = || -> rusqlite::Result<i64> {
            connection.busy_timeout(Duration::from_secs(5))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "foreign_keys", true)?;
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            connection.query_row("PRAGMA user_version", [], |row| row.get(0))
        };
        match prepare().map_err(refused)? {
            0 => connection
                .execute_batch(&format!(
                    "BEGIN;{SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;"
                ))
                .map_err(refused)?,
            SCHEMA_VERSION => {}
            found => {
                return Err(OpenError::TooNew {
                    path: path.to_owned(),
                    found,
                });
            }
        }
        Ok(Self { connection })
    }

    /// What tells this database from all others: made once, for whoever has to know whose
    /// something is. `fresh` is what it becomes when there is none yet.
    pub fn identity(&mut self, fresh: &DomainUuid) -> rusqlite::Result<String> {
        let sql = "SELECT value FROM identity";
        let known = self
            .connection
            .query_row(sql, [], |row| row.get(0))
            .optional()?;
        if let Some(identity) = known {
            return Ok(identity);
        }
        let sql = "INSERT INTO identity (value) VALUES (?1)";
        self.connection.execute(sql, [fresh.as_str()])?;
        Ok(fresh.to_string())
    }

    /// Reads everything. Rows that make no sense are reported and left out.
    pub fn load(&self) -> rusqlite::Result<Loaded> {
        rows::load(&self.connection)
    }

    /// Writes a domain with all its properties, new or changed.
    pub fn put(&mut self, domain: &Domain) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        rows::write(&transaction, domain)?;
        transaction.commit()
    }

    /// Writes how far an effect on a domain is intended.
    pub fn set_stage(&mut self, domain: &DomainUuid, stage: Stage) -> rusqlite::Result<()> {
        let sql = "UPDATE domain SET stage = ?2 WHERE uuid = ?1";
        self.connection
            .prepare_cached(sql)?
            .execute(params![domain.as_str(), stage.name()])?;
        Ok(())
    }

    /// Deletes a domain and its properties.
    pub fn delete(&mut self, domain: &DomainUuid) -> rusqlite::Result<()> {
        let sql = "DELETE FROM domain WHERE uuid = ?1";
        self.connection
            .prepare_cached(sql)?
            .execute([domain.as_str()])?;
        Ok(())
    }

    /// Writes or clears a property of the system.
    pub fn set_global(
        &mut self,
        global: Global,
        value: Option<&DomainUuid>,
    ) -> rusqlite::Result<()> {
        match value {
            Some(uuid) => self.connection.execute(
                "INSERT OR REPLACE INTO global (name, value) VALUES (?1, ?2)",
                params![global.name(), uuid.as_str()],
            ),
            None => self
                .connection
                .execute("DELETE FROM global WHERE name = ?1", [global.name()]),
        }?;
        Ok(())
    }

    /// When a disposable's number was last given out, in seconds since 1970.
    pub fn dispid_used_at(&self, dispid: u16) -> rusqlite::Result<Option<i64>> {
        let sql = "SELECT used_at FROM used_dispid WHERE dispid = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        statement.query_row([dispid], |row| row.get(0)).optional()
    }

    /// Writes a new disposable, and that its number is in use from now on.
    pub fn put_disposable(&mut self, domain: &Domain, now: i64) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        rows::write(&transaction, domain)?;
        transaction.execute(
            "INSERT OR REPLACE INTO used_dispid (dispid, used_at) VALUES (?1, ?2)",
            params![domain.dispid, now],
        )?;
        transaction.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Class, Property, Value};
    use bulkhead_types::Label;

    fn work() -> Domain {
        let uuid = DomainUuid::parse("00000000-0000-4000-8000-000000000001").unwrap();
        let mut domain = Domain::new(
            uuid,
            "work".parse().unwrap(),
            Class::TemplateVM,
            Label::Blue,
        );
        domain.set.insert(Property::Memory, Value::Number(300));
        domain
            .set
            .insert(Property::TemplateForDispvms, Value::Flag(true));
        domain
            .set
            .insert(Property::DefaultUser, Value::Text("root".into()));
        domain
            .set
            .insert(Property::DefaultDispvm, Value::Domain(None));
        domain
    }

    #[test]
    fn what_was_written_is_read_again_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        let mut store = Store::open(&path).unwrap();
        store.put(&work()).unwrap();
        store.set_stage(&work().uuid, Stage::Running).unwrap();
        store
            .set_global(Global::DefaultTemplate, Some(&work().uuid))
            .unwrap();
        drop(store);
        let loaded = Store::open(&path).unwrap().load().unwrap();
        assert_eq!(
            loaded.domains,
            [Domain {
                stage: Stage::Running,
                ..work()
            }]
        );
        assert_eq!(loaded.globals, [(Global::DefaultTemplate, work().uuid)]);
        assert_eq!(loaded.damaged, [""; 0]);
    }

    #[test]
    fn a_row_that_makes_no_sense_is_reported_and_the_others_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(&dir.path().join("state.sqlite")).unwrap();
        store.put(&work()).unwrap();
        let sql =
            "INSERT INTO domain VALUES ('x', 'odd', 'AppVM', 'pink', NULL, 'dom0', NULL, 'halted')";
        store.connection.execute(sql, []).unwrap();
        let sql = "INSERT INTO property VALUES (?1, 'memory_', 'lots')";
        store
            .connection
            .execute(sql, [work().uuid.as_str()])
            .unwrap();
        let loaded = store.load().unwrap();
        assert_eq!(loaded.domains, [work()]);
        assert_eq!(loaded.damaged.len(), 2, "{:?}", loaded.damaged);
    }

    #[test]
    fn a_database_of_a_later_release_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.sqlite");
        let store = Store::open(&path).unwrap();
        store
            .connection
            .pragma_update(None, "user_version", 9)
            .unwrap();
        drop(store);
        assert!(matches!(
            Store::open(&path),
            Err(OpenError::TooNew { found: 9, .. })
        ));
    }
}

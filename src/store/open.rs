//! Opening the file: settings, migrations, and reading the settings back.

use super::{Result, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::fs::OpenOptions as OpenFile;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Each migration once, in order; none is ever edited after it has shipped.
const MIGRATIONS: &[&str] = &[include_str!("schema/001.sql"), include_str!("schema/002.sql")];

/// The oldest release schema that can still read what this one writes.
const MIN_READER: i64 = 1;

/// How the file is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The database file.
    pub path: PathBuf,
    /// Name of a SQLite VFS, for tests that lose unsynced writes; the system's without it.
    pub vfs: Option<String>,
    /// See [`Durability`].
    pub durability: Durability,
    /// The most bytes of the database file.
    pub max_bytes: u64,
}

/// What a commit promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// It is on the disk.
    Synced,
    /// It is in the file: the simulator cuts the power itself and needs no real disk.
    Simulated,
}

impl Options {
    /// The usual way for the file in the data directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Options { path: path.into(), vfs: None, durability: Durability::Synced, max_bytes: 1 << 30 }
    }
}

/// Opens the file for the one writer; makes it where there is none, and brings its schema up to date.
pub fn for_writing(options: &Options) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if options.vfs.is_none() {
        // For its owner alone; what SQLite makes beside it takes over the mode.
        let made = OpenFile::new().write(true).create(true).truncate(false).mode(0o600).open(&options.path);
        made.map_err(|e| if e.kind() == ErrorKind::StorageFull { StoreError::DiskFull } else { StoreError::Disk(e.to_string()) })?;
    }
    let conn = connect(&options.path, options.vfs.as_deref(), flags)?;
    // Takes effect only before the first table is made.
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    settings(&conn, -4096)?;
    let full = options.durability == Durability::Synced;
    conn.pragma_update(None, "synchronous", if full { "FULL" } else { "OFF" })?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "journal_size_limit", 16_777_216)?;
    conn.pragma_update(None, "secure_delete", "ON")?;
    conn.pragma_update(None, "max_page_count", i64::try_from(options.max_bytes / 4096).unwrap_or(i64::MAX))?;
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    let synchronous: i64 = conn.pragma_query_value(None, "synchronous", |row| row.get(0))?;
    if mode != "wal" || (full && synchronous < 2) {
        return Err(StoreError::Disk(format!("journal mode {mode}, synchronous {synchronous}: the file system cannot keep the promise")));
    }
    migrate(&conn)?;
    Ok(conn)
}

/// Opens the file for reading beside the writer.
pub fn for_reading(options: &Options) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = connect(&options.path, options.vfs.as_deref(), flags)?;
    settings(&conn, -1024)?;
    Ok(conn)
}

#[allow(clippy::disallowed_methods)] // this is the one place that opens the database
fn connect(path: &Path, vfs: Option<&str>, flags: OpenFlags) -> Result<Connection> {
    let conn = match vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs)?,
        None => Connection::open_with_flags(path, flags)?,
    };
    conn.set_prepared_statement_cache_capacity(96);
    Ok(conn)
}

fn settings(conn: &Connection, cache: i64) -> Result<()> {
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    // Plans do not depend on bound values: else statements on partial indexes are prepared anew for each.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "foreign_keys", "ON")?;
    conn.pragma_update(None, "trusted_schema", "OFF")?;
    conn.pragma_update(None, "cell_size_check", "ON")?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", cache)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    Ok(())
}

/// Runs the migrations that the file has not seen, each in a transaction of its own.
fn migrate(conn: &Connection) -> Result<()> {
    conn.execute_batch("CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID")?;
    let meta = |name: &str| -> Result<Option<i64>> {
        Ok(conn.query_row("SELECT value FROM meta WHERE name = ?1", [name], |row| row.get(0)).optional()?)
    };
    let have = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let needs = meta("min_reader")?.unwrap_or(0);
    if needs > have {
        return Err(StoreError::TooNew { needs, have });
    }
    let done = meta("schema")?.unwrap_or(0);
    for (number, sql) in (1i64..).zip(MIGRATIONS).skip(usize::try_from(done).unwrap_or(0)) {
        conn.execute_batch("BEGIN IMMEDIATE")?;
        conn.execute_batch(sql)?;
        let mut set = conn.prepare("INSERT INTO meta(name, value) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value")?;
        set.execute(params!["schema", number])?;
        set.execute(params!["min_reader", MIN_READER])?;
        drop(set);
        conn.execute_batch("COMMIT")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_folder() -> (tempfile::TempDir, Options) {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(folder.path().join("tillpost.db"));
        (folder, options)
    }

    #[test]
    fn settings_are_what_the_promise_needs() {
        let (_folder, options) = in_folder();
        let conn = for_writing(&options).unwrap();
        let number = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((number("synchronous"), number("secure_delete"), number("auto_vacuum"), number("wal_autocheckpoint")), (2, 1, 2, 0));
        assert!(rusqlite::version_number() >= 3_051_003, "earlier ones can lose committed WAL writes");
    }

    #[test]
    fn the_files_are_their_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, options) = in_folder();
        let conn = for_writing(&options).unwrap();
        conn.execute_batch("CREATE TABLE x(y)").unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        }
    }

    #[test]
    fn opening_again_changes_nothing_and_a_newer_file_is_refused() {
        let (_folder, options) = in_folder();
        drop(for_writing(&options).unwrap());
        let conn = for_writing(&options).unwrap();
        conn.execute("UPDATE meta SET value = 99 WHERE name = 'min_reader'", []).unwrap();
        drop(conn);
        assert!(matches!(for_writing(&options), Err(StoreError::TooNew { needs: 99, .. })));
    }

    #[test]
    fn a_file_of_a_later_release_that_we_may_read_is_opened() {
        let (_folder, options) = in_folder();
        let conn = for_writing(&options).unwrap();
        conn.execute("UPDATE meta SET value = 7 WHERE name = 'schema'", []).unwrap();
        conn.execute_batch("ALTER TABLE receipt ADD COLUMN later TEXT").unwrap();
        drop(conn);
        for_writing(&options).unwrap();
    }
}

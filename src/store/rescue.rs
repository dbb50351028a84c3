//! Rescue: a damaged file is set aside whole, and a new one opened, so that sales are always taken.
//!
//! What was in the damaged file is not thrown away: it lies in `quarantine/`. What keeps a message from
//! going out twice or to the wrong people (transactions, what was already taken, blocked addresses) is
//! read out of it as far as it can be read. For a sale from before the damage that only the old file
//! knew, nothing is sent by itself: its message is held ([`DAMAGED_AT`]).

use super::receipts::transaction_key;
use super::writer::WriterCore;
use super::{Options, Result, Snapshot, StoreError, Tx, Writer, open};
use crate::domain::ids::ReceiptId;
use crate::domain::time::UnixMs;
use crate::sys::durable;
use std::fs;
use std::path::{Path, PathBuf};

/// How a start went.
pub struct Opened {
    /// The writer.
    pub writer: Writer,
    /// Where a damaged file was set aside, if it was.
    pub quarantined: Option<PathBuf>,
}

/// Opens the file; where it is damaged, sets it aside and opens a new one.
pub fn open(options: &Options, now: UnixMs, fatal: impl Fn(StoreError) + Clone + Send + 'static) -> Result<Opened> {
    match Writer::start(options, fatal.clone()) {
        Ok(writer) => Ok(Opened { writer, quarantined: None }),
        Err(StoreError::Damaged(why)) => {
            let to = set_aside(&options.path, now)?;
            tracing::error!(why, to = %to.display(), "the database was damaged and is set aside; a new one is opened");
            begin_anew(options, &to, now)?;
            Ok(Opened { writer: Writer::start(options, fatal)?, quarantined: Some(to) })
        }
        Err(other) => Err(other),
    }
}

/// The fact that names the moment of the last damage, in milliseconds.
pub const DAMAGED_AT: &str = "damaged_at";

/// Makes the new file, and takes over from the damaged one what can be read of its memory.
fn begin_anew(options: &Options, quarantine: &Path, now: UnixMs) -> Result<()> {
    let mut core = WriterCore::open(options)?;
    let old = Options { path: quarantine.join(options.path.file_name().unwrap_or_default()), ..options.clone() };
    let (taken, whole) = core.run(|tx| {
        tx.put_fact(DAMAGED_AT, &now.0.to_string())?;
        Ok(match open::for_reading(&old) {
            Ok(conn) => salvage(tx, Snapshot(&conn), now),
            Err(_) => (0, false),
        })
    })?;
    tracing::warn!(taken, whole, "what was already taken was read out of the damaged file");
    Ok(())
}

/// Row by row, until the damage is met; gives how many rows, and whether all could be read. Each part is
/// read as far as it goes: one that fails does not keep the next from being read.
fn salvage(tx: Tx<'_>, old: Snapshot<'_>, now: UnixMs) -> (usize, bool) {
    let mut taken = 0;
    let receipts = salvage_receipts(tx, old, now, &mut taken);
    let dedup = salvage_dedup(tx, old, &mut taken);
    let suppressions = salvage_suppressions(tx, old, &mut taken);
    (taken, receipts.is_ok() && dedup.is_ok() && suppressions.is_ok())
}

fn salvage_receipts(tx: Tx<'_>, old: Snapshot<'_>, now: UnixMs, taken: &mut usize) -> Result<()> {
    let mut select = old.sql("SELECT unit_id, transaction_id, content, receipt_id FROM receipt")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (unit, transaction, id): (String, String, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let id = ReceiptId::from_bytes(&id).map(|id| id.to_string()).unwrap_or_default();
        tx.remember(&transaction_key(&unit, &transaction), now, &row.get(2)?, &id)?;
        *taken += 1;
    }
    Ok(())
}

fn salvage_dedup(tx: Tx<'_>, old: Snapshot<'_>, taken: &mut usize) -> Result<()> {
    let mut select = old.sql("SELECT key, at, content, answer FROM dedup")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        tx.remember(&row.get(0)?, UnixMs(row.get(1)?), &row.get(2)?, &row.get::<_, String>(3)?)?;
        *taken += 1;
    }
    Ok(())
}

fn salvage_suppressions(tx: Tx<'_>, old: Snapshot<'_>, taken: &mut usize) -> Result<()> {
    let mut insert = tx.sql("INSERT OR IGNORE INTO suppression(channel, address, reason, at, origin) VALUES(?1, ?2, ?3, ?4, ?5)")?;
    let mut select = old.sql("SELECT channel, address, reason, at, origin FROM suppression")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let values: (String, String, String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        insert.execute(values)?;
        *taken += 1;
    }
    Ok(())
}

/// Moves the database with its companions, together, into `quarantine/<time>/`.
pub fn set_aside(database: &Path, now: UnixMs) -> Result<PathBuf> {
    let io = |e: std::io::Error| StoreError::Disk(e.to_string());
    let folder = database.with_file_name("quarantine").join(now.rfc3339().replace(':', "-"));
    durable::private_folder(&folder).map_err(io)?;
    for ending in ["", "-wal", "-shm"] {
        let mut name = database.file_name().unwrap_or_default().to_os_string();
        name.push(ending);
        let from = database.with_file_name(&name);
        if from.exists() {
            fs::rename(&from, folder.join(&name)).map_err(io)?;
        }
    }
    for changed in [Some(folder.as_path()), database.parent()].into_iter().flatten() {
        durable::sync_folder(changed).map_err(io)?;
    }
    Ok(folder)
}

/// Marks the file as damaged before a restart, so that the start sets it aside.
pub fn mark(database: &Path, why: &str) -> std::io::Result<()> {
    durable::replace(&database.with_file_name("damaged"), why.as_bytes())
}

/// Sets a file aside that was marked as damaged by an earlier run; gives where it lies now.
pub fn heed_mark(options: &Options, now: UnixMs) -> Result<Option<PathBuf>> {
    let mark = options.path.with_file_name("damaged");
    if !mark.exists() {
        return Ok(None);
    }
    let folder = set_aside(&options.path, now)?;
    begin_anew(options, &folder, now)?;
    fs::remove_file(&mark).map_err(|e| StoreError::Disk(e.to_string()))?;
    Ok(Some(folder))
}

impl super::Snapshot<'_> {
    /// SQLite's own quick check of one table after the other; gives what it found wrong.
    pub fn quick_check(&self) -> Result<Option<String>> {
        let mut tables = self.sql("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
        let names: Vec<String> = tables.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        for name in names {
            let said: String = self.0.query_row(&format!("PRAGMA quick_check('{}')", name.replace('\'', "''")), [], |row| row.get(0))?;
            if said != "ok" {
                return Ok(Some(said));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_damaged_file_is_set_aside_and_sales_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(folder.path().join("tillpost.db"));
        fs::write(&options.path, b"this is no database, whatever it was before").unwrap();
        let opened = open(&options, UnixMs(1_790_000_000_000), |_| ()).unwrap();
        assert!(opened.quarantined.unwrap().join("tillpost.db").exists());
        opened.writer.run(|tx| tx.put_fact("a", "b")).await.unwrap();
    }

    #[test]
    fn what_was_taken_is_remembered_through_a_damage() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(folder.path().join("tillpost.db"));
        let mut core = WriterCore::open(&options).unwrap();
        core.run(|tx| {
            tx.remember(&[7; 16], UnixMs(1), &[8; 16], "stored")?;
            tx.suppress(
                crate::domain::channel::Channel::Email,
                "a@b.example",
                crate::domain::outcome::Suppress::HardBounce,
                UnixMs(1),
                "test",
            )
        })
        .unwrap();
        drop(core);
        mark(&options.path, "a test says so").unwrap();
        let now = UnixMs(1_790_000_000_000);
        assert!(heed_mark(&options, now).unwrap().unwrap().join("tillpost.db").exists());
        assert!(heed_mark(&options, now).unwrap().is_none(), "the mark is gone");
        let core = WriterCore::open(&options).unwrap();
        assert_eq!(core.read().recall(&[7; 16]).unwrap().unwrap().answer, "stored");
        assert!(core.read().suppressed(crate::domain::channel::Channel::Email, "a@b.example").unwrap().is_some());
        assert_eq!(core.read().fact(DAMAGED_AT).unwrap(), Some(now.0.to_string()));
    }

    #[test]
    fn a_good_file_passes_the_check() {
        let folder = tempfile::tempdir().unwrap();
        let core = super::super::writer::WriterCore::open(&Options::new(folder.path().join("tillpost.db"))).unwrap();
        assert_eq!(core.read().quick_check().unwrap(), None);
    }
}

//! Rescue: a damaged file is set aside whole, and a new one opened, so that sales are always taken.
//!
//! What was in the damaged file is not thrown away: it lies in `quarantine/` until a person has it
//! salvaged. Nothing is sent from the new file for what only the old one knew.

use super::{Options, Result, StoreError, Writer};
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
            Ok(Opened { writer: Writer::start(options, fatal)?, quarantined: Some(to) })
        }
        Err(other) => Err(other),
    }
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
pub fn heed_mark(database: &Path, now: UnixMs) -> Result<Option<PathBuf>> {
    let mark = database.with_file_name("damaged");
    if !mark.exists() {
        return Ok(None);
    }
    let folder = set_aside(database, now)?;
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
    fn a_good_file_passes_the_check() {
        let folder = tempfile::tempdir().unwrap();
        let core = super::super::writer::WriterCore::open(&Options::new(folder.path().join("tillpost.db"))).unwrap();
        assert_eq!(core.read().quick_check().unwrap(), None);
    }
}

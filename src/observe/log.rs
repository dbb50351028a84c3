//! Logs: to a file that rolls by size and to the terminal. No personal data: what is logged is said with
//! words and ids, never with addresses, bodies or queries.

use crate::config::checked::Log;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging; what it gives must live as long as the program, so that the last lines are written.
/// Without a folder only the terminal is written to.
pub fn start(log: &Log, folder: Option<&Path>) -> Option<WorkerGuard> {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = fmt::layer().with_writer(io::stderr).with_target(false).compact();
    let rolling = folder.and_then(|folder| Rolling::open(folder, log.max_size, log.max_files).ok());
    let (file, guard) = match rolling {
        Some(rolling) => {
            let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(4_000).lossy(true).finish(rolling);
            (Some(fmt::layer().json().with_writer(writer).with_target(false)), Some(guard))
        }
        None => (None, None),
    };
    // A second start (tests in one process) keeps the first.
    let _ = tracing_subscriber::registry().with(filter).with(terminal).with(file).try_init();
    guard
}

/// A file that is renamed to `tillpost.1.log` when it is full, up to `keep` of them.
struct Rolling {
    folder: PathBuf,
    file: File,
    size: u64,
    most: u64,
    keep: usize,
}

impl Rolling {
    fn open(folder: &Path, most: u64, keep: usize) -> io::Result<Rolling> {
        crate::sys::durable::private_folder(folder)?;
        let (file, size) = current(folder)?;
        Ok(Rolling { folder: folder.to_owned(), file, size, most, keep: keep.max(1) })
    }

    fn roll(&mut self) -> io::Result<()> {
        let name = |n: usize| self.folder.join(if n == 0 { "tillpost.log".to_owned() } else { format!("tillpost.{n}.log") });
        for n in (0..self.keep.saturating_sub(1)).rev() {
            if name(n).exists() {
                fs::rename(name(n), name(n + 1))?;
            }
        }
        if self.keep == 1 {
            fs::remove_file(name(0))?;
        }
        (self.file, self.size) = current(&self.folder)?;
        Ok(())
    }
}

fn current(folder: &Path) -> io::Result<(File, u64)> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(folder.join("tillpost.log"))?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

impl Write for Rolling {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.size + line.len() as u64 > self.most && self.size > 0 {
            self.roll()?;
        }
        let written = self.file.write(line)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_roll_by_size_and_no_more_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Rolling::open(folder.path(), 100, 3).unwrap();
        for n in 0..50 {
            writeln!(log, "line {n:02} of this log").unwrap();
        }
        let mut names: Vec<String> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["tillpost.1.log", "tillpost.2.log", "tillpost.log"]);
        assert!(fs::read_to_string(folder.path().join("tillpost.log")).unwrap().contains("line 49"));
        assert!(names.iter().all(|n| fs::metadata(folder.path().join(n)).unwrap().len() <= 100));
    }
}

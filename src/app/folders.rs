//! Folders that others write into: a till's files (`done/` and `failed/` with the reason beside it), and the
//! relay's envelopes. A file is taken when it rests, and moved only after what it says was committed: one that
//! was taken and not moved yet is known again.

use crate::config::checked::Config;
use crate::sources::file_drop::{FILE_NAME, KIND};
use crate::sources::relay;
use crate::sources::ways::Way;
use crate::sys::durable;
use crate::sys::supervisor::{Restart, Stop};
use crate::web::answer::Problem;
use crate::web::{Shared, hooks};
use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Size and time of a file must rest for so long.
const REST: Duration = Duration::from_secs(2);

/// How often a folder is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The largest file that is read.
const MOST: u64 = 32 << 20;

/// Files that are looked at in one go.
const AT_ONCE: usize = 1000;

/// Who reads what lies in a folder.
#[derive(Clone)]
enum Reader {
    Till(Arc<Way>),
    Relay(String),
}

/// Starts to watch every folder that the config names.
pub fn start(web: &Shared) {
    let config = web.config();
    let tills = web.ways();
    let tills = tills.all().filter(|way| way.kind.keys.name == KIND.keys.name);
    let mut all: Vec<(PathBuf, Reader)> = tills.map(|way| (PathBuf::from(way.setup().text("dir")), Reader::Till(way.clone()))).collect();
    all.extend(spools(&config).map(|(name, folder)| (folder, Reader::Relay(name))));
    for (folder, reader) in all {
        let shared = web.clone();
        web.supervisor.spawn("folder", Restart::OnFailure, move |stop| {
            Watch { web: shared.clone(), folder: folder.clone(), reader: reader.clone(), seen: BTreeMap::new(), troubled: false }
                .serve(stop)
        });
    }
}

/// The folders of the relay: the first without one of its own has `relay/` in the data directory.
fn spools(config: &Config) -> impl Iterator<Item = (String, PathBuf)> {
    let relays = config.sources.iter().filter(|(_, source)| source.kind == relay::KEYS.name);
    relays.map(|(name, source)| match source.settings.text("dir") {
        "" => (name.clone(), config.agent.data_dir.join("relay")),
        dir => (name.clone(), PathBuf::from(dir)),
    })
}

/// A file as it looked, and since when by the clock that only runs.
type Look = (u64, Option<SystemTime>, u64);

struct Watch {
    web: Shared,
    folder: PathBuf,
    reader: Reader,
    seen: BTreeMap<PathBuf, Look>,
    troubled: bool,
}

/// What becomes of a file.
enum End {
    /// It was taken; the text, where there is one, tells what in it was not.
    Done(String),
    Failed(String),
    /// It stays and is tried again.
    Later,
}

impl Watch {
    async fn serve(mut self, mut stop: Stop) -> Result<(), String> {
        loop {
            let rested = match self.look() {
                Ok(rested) => rested,
                Err(error) => {
                    if !std::mem::replace(&mut self.troubled, true) {
                        tracing::error!(folder = %self.folder.display(), %error, "a folder cannot be read");
                    }
                    Vec::new()
                }
            };
            for path in rested {
                if stop.is_asked() {
                    return Ok(());
                }
                self.take(&path).await;
                self.seen.remove(&path);
            }
            tokio::select! { () = tokio::time::sleep(LOOK) => {}, () = stop.asked() => return Ok(()) }
        }
    }

    /// Files that have not changed for a while, by name.
    fn look(&mut self) -> io::Result<Vec<PathBuf>> {
        if matches!(self.reader, Reader::Relay(_)) {
            durable::private_folder(&self.folder)?;
        }
        let mono = self.web.clock.now().mono.0;
        let mut now = BTreeMap::new();
        for entry in fs::read_dir(&self.folder)?.take(AT_ONCE) {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let unfinished = name.starts_with('.') || [".tmp", ".part"].iter().any(|end| name.ends_with(end));
            let Some(meta) = entry.metadata().ok().filter(|m| m.is_file() && !unfinished) else { continue };
            let look = (meta.len(), modified(&meta));
            let since = self.seen.get(&entry.path()).filter(|(len, at, _)| (*len, *at) == look).map_or(mono, |(.., since)| *since);
            now.insert(entry.path(), (look.0, look.1, since));
        }
        self.troubled = false;
        self.seen = now;
        let rests = |since: u64| u128::from(mono.saturating_sub(since)) >= REST.as_millis();
        Ok(self.seen.iter().filter(|(_, (.., since))| rests(*since)).map(|(path, _)| path.clone()).collect())
    }

    async fn take(&self, path: &Path) {
        let file = path.to_owned();
        let end = match self.web.heavy.run(move || read(&file)).await.unwrap_or_else(|| Err(io::ErrorKind::Other.into())) {
            Ok(Some(bytes)) => self.taken(path, bytes).await,
            Ok(None) => End::Failed(format!("it is larger than {} MiB", MOST >> 20)),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "a file cannot be read");
                End::Later
            }
        };
        let moved = match (&end, &self.reader) {
            (End::Later, _) => return,
            (End::Done(why), Reader::Relay(_)) if why.is_empty() => fs::remove_file(path),
            (End::Done(why), _) => put_away(path, &self.folder.join("done"), why),
            (End::Failed(why), _) => {
                tracing::warn!(file = %path.display(), why, "a file was not taken");
                put_away(path, &self.folder.join("failed"), why)
            }
        };
        if let Err(error) = moved {
            tracing::error!(file = %path.display(), %error, "a file that was read cannot be moved");
        }
    }

    async fn taken(&self, path: &Path, bytes: Vec<u8>) -> End {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let done = match &self.reader {
            Reader::Relay(source) => hooks::relayed(&self.web, source, bytes).await.map(|()| Vec::new()),
            Reader::Till(way) => hooks::filed(&self.web, way, vec![(FILE_NAME.to_owned(), name)], bytes).await,
        };
        match done {
            Ok(rejected) => End::Done(rejected.iter().map(|(place, faults)| format!("{place}: {}\n", words(faults))).collect()),
            Err(problem) if problem.status.is_server_error() || problem.status.as_u16() == 429 => End::Later,
            Err(problem) => End::Failed(reason(&problem)),
        }
    }
}

fn modified(meta: &Metadata) -> Option<SystemTime> {
    meta.modified().ok()
}

/// The bytes; `None` where there are too many.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MOST).then_some(bytes))
}

fn words(faults: &[crate::domain::fault::Fault]) -> String {
    faults.iter().map(|f| format!("{} {}", f.pointer, f.message).trim().to_owned()).collect::<Vec<_>>().join("; ")
}

fn reason(problem: &Problem) -> String {
    let faults: String = problem.errors.iter().map(|f| format!("{} {}\n", f.pointer, f.message)).collect();
    format!("{}: {}\n{faults}", problem.code, problem.detail)
}

/// Moves a file into a folder, beside others of its name, with the reason in a file beside it.
fn put_away(path: &Path, into: &Path, why: &str) -> io::Result<()> {
    fs::create_dir_all(into)?;
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let free = |n: u32| into.join(if n == 0 { name.clone() } else { format!("{name}.{n}") });
    let to = (0..10_000).map(free).find(|to| !to.exists()).unwrap_or_else(|| free(0));
    if !why.is_empty() {
        let mut beside = to.clone().into_os_string();
        beside.push(".reason.txt");
        fs::write(beside, why)?;
    }
    fs::rename(path, to)
}

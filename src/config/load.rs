//! Finding and reading the layers. All files and the environment that a configuration depends on are
//! read here and in `secrets`, from what is handed in, so that a test needs no machine of its own.

use crate::config::build;
use crate::config::checked::Config;
use crate::config::defaults;
use crate::config::key::Kinds;
use crate::config::last_good::Kept;
use crate::config::problem::{self, Problem, Severity};
use crate::config::raw;
use crate::config::relate::{self, Related};
use crate::config::secrets::Fetch;
use crate::config::tree::{Layer, Node, Place, Table, Value, merge};
use crate::config::walk::Walk;
use crate::domain::text::one_line;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest config file.
const MOST: u64 = 1024 * 1024;

/// Where to look.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`.
    pub explicit: Option<PathBuf>,
    /// The environment, whole.
    pub environment: BTreeMap<String, String>,
    /// Settings from the command line, as `section.key=value`.
    pub flags: Vec<String>,
    /// Whether this process may write everywhere.
    pub root: bool,
    /// Where `tillpost.toml` is looked for; empty: the current folder.
    pub folder: PathBuf,
    /// The file of the machine; `None`: `/etc/tillpost/tillpost.toml`.
    pub system: Option<PathBuf>,
    /// Files as they were when last good: read in place of what is there now.
    pub last_good: Vec<Kept>,
}

impl Sources {
    /// As this process sees them.
    pub fn of_process(explicit: Option<PathBuf>, flags: Vec<String>) -> Sources {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Sources {
            explicit,
            environment: std::env::vars_os().filter_map(text).collect(),
            flags,
            root: rustix::process::geteuid().is_root(),
            folder: PathBuf::new(),
            system: None,
            last_good: Vec::new(),
        }
    }

    /// The file to read, and whether it was named and so has to be there.
    pub fn file(&self) -> Option<(PathBuf, bool)> {
        let named = self.environment.get("TILLPOST_CONFIG").filter(|p| !p.is_empty()).map(PathBuf::from);
        if let Some(path) = self.explicit.clone().or(named) {
            return Some((path, true));
        }
        let system = self.system.clone().unwrap_or_else(|| PathBuf::from("/etc/tillpost/tillpost.toml"));
        let there = |path: &PathBuf| !matches!(path.try_exists(), Ok(false));
        [self.folder.join("tillpost.toml"), system].into_iter().find(there).map(|path| (path, false))
    }

    /// Where data is kept when nothing says where.
    pub fn data_dir(&self) -> PathBuf {
        let folder = |name: &str| self.environment.get(name).filter(|p| Path::new(p).is_absolute()).map(PathBuf::from);
        if self.root {
            return PathBuf::from("/var/lib/tillpost");
        }
        let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
        state.map_or_else(|| PathBuf::from("/var/lib/tillpost"), |state| state.join("tillpost"))
    }
}

/// The files that a configuration would be read from now, in the order of their layers.
pub fn files(sources: &Sources) -> Vec<PathBuf> {
    let Some((file, _)) = sources.file() else { return Vec::new() };
    let parts = folder_of(&file, &mut Vec::new());
    std::iter::once(file).chain(parts).collect()
}

/// What came of loading.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings; `None` where there is an error among the problems.
    pub config: Option<Config>,
    /// Everything that was found, the most important last.
    pub problems: Vec<Problem>,
    /// The files that were read, in the order of their layers.
    pub files: Vec<PathBuf>,
    /// All layers laid over each other, as written; may hold secrets: only `show` may show it.
    pub tree: Table,
}

/// Reads and checks everything.
pub fn load(sources: &Sources, kinds: &Kinds) -> Loaded {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    let mut tree = defaults::tree();
    let data_dir = Node::at(&Place::built_in(), Value::Text(sources.data_dir().to_string_lossy().into_owned()));
    merge(&mut tree, crate::config::tree::nested(&["agent".to_owned(), "data_dir".to_owned()], data_dir));
    let file = sources.file();
    let safe_mode = file.is_none();
    if let [first, parts @ ..] = sources.last_good.as_slice() {
        lay_text(&mut tree, &first.path, Layer::File, &first.text, &mut files, &mut problems);
        for part in parts {
            lay_text(&mut tree, &part.path, Layer::Folder, &part.text, &mut files, &mut problems);
        }
    } else if let Some((path, _)) = file {
        lay_file(&mut tree, &path, Layer::File, &mut files, &mut problems);
        for path in folder_of(&path, &mut problems) {
            lay_file(&mut tree, &path, Layer::Folder, &mut files, &mut problems);
        }
    }
    // Here the signed bundle of the head office will be laid over the files.
    problems.extend(raw::lay_environment(&mut tree, sources.environment.iter(), kinds));
    problems.extend(raw::lay_flags(&mut tree, &sources.flags, kinds));
    defaults::fill(&mut tree, kinds);
    let mut walk = Walk::new(kinds, Fetch::From(&sources.environment));
    walk.demand = problems.is_empty();
    let config = finish(walk, &tree, &mut problems, &sources.data_dir(), safe_mode);
    let config = config.map(|config| Config { last_good: !sources.last_good.is_empty(), ..config });
    Loaded { config, problems, files, tree }
}

/// Checks a configuration that is handed over as JSON with the same keys. No file and no environment
/// is read: secrets that refer to one are empty. With `lenient_types` every type of the contract is
/// taken, built or not, and a table needs nothing but its `type`.
pub fn from_json(value: &serde_json::Value, kinds: &Kinds, lenient_types: bool) -> Result<Config, Vec<Problem>> {
    let place = Place::whole(Layer::Given, "the given config");
    let node = raw::from_json(value, &place);
    let mut problems = Vec::new();
    let mut tree = defaults::tree();
    match node.value {
        Value::Table(table) => merge(&mut tree, table),
        other => {
            let message = format!("config: must be a table, not {}", other.what());
            problems.push(Problem::error("TP-CFG-005", &place, "", message, "write an object with the sections as members"));
        }
    }
    defaults::fill(&mut tree, kinds);
    let mut walk = Walk::new(kinds, Fetch::Nothing);
    walk.lenient = lenient_types;
    let config = finish(walk, &tree, &mut problems, Path::new("/var/lib/tillpost"), false);
    config.ok_or(problems)
}

fn finish(mut walk: Walk<'_>, tree: &Table, problems: &mut Vec<Problem>, data_dir: &Path, safe_mode: bool) -> Option<Config> {
    let settings = walk.root(tree);
    let (kinds, lenient, whole) = (walk.kinds, walk.lenient, walk.demand);
    let mut found = walk.problems;
    let related = relate::check(&Related { tree, settings: &settings, kinds, lenient });
    // What seems to be missing may stand in the part that could not be read.
    found.extend(related.into_iter().filter(|p| whole || !matches!(p.code, "TP-CFG-015" | "TP-CFG-024" | "TP-CFG-027")));
    let unread: Vec<Place> = problems.iter().filter(|p| p.place.line > 0).map(|p| p.place.clone()).collect();
    found.retain(|p| !unread.iter().any(|u| u.source == p.place.source && u.line == p.place.line));
    problems.extend(found);
    problem::sort(problems);
    let good = |problems: &[Problem]| problems.iter().all(|p| p.severity == Severity::Warning);
    let config = good(problems).then(|| build::config(&settings, data_dir, safe_mode))?;
    if let Some(check) = kinds.check_source.filter(|_| whole && !lenient) {
        let table = tree.get("sources").and_then(Node::table);
        for (name, node) in table.into_iter().flatten() {
            let Err(why) = check(&config, name) else { continue };
            let message = format!("source \"{}\": {why}", one_line(name, 40));
            let fix = format!("`tillpost help sources` shows what type \"{}\" needs", config.sources.get(name).map_or("", |s| &s.kind));
            problems.push(Problem::error("TP-CFG-028", &node.key_place, format!("sources.{name}"), message, fix));
        }
    }
    good(problems).then_some(config)
}

fn lay_file(tree: &mut Table, path: &Path, layer: Layer, files: &mut Vec<PathBuf>, problems: &mut Vec<Problem>) {
    match read(path) {
        Ok(text) => lay_text(tree, path, layer, &text, files, problems),
        Err(why) => {
            files.push(path.to_owned());
            problems.push(unreadable(&Place::whole(layer, &path.to_string_lossy()), why));
        }
    }
}

fn lay_text(tree: &mut Table, path: &Path, layer: Layer, text: &str, files: &mut Vec<PathBuf>, problems: &mut Vec<Problem>) {
    files.push(path.to_owned());
    let (table, syntax) = raw::from_toml(text, layer, &path.to_string_lossy());
    problems.extend(syntax);
    merge(tree, table);
}

fn unreadable(place: &Place, why: String) -> Problem {
    let fix = "name a file that this user may read; `tillpost init` writes one";
    Problem::error("TP-CFG-001", place, "", "config file cannot be read", fix).why(why)
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| e.kind().to_string())?;
    file.take(MOST + 1).read_to_string(&mut text).map_err(|e| e.kind().to_string())?;
    if text.len() as u64 > MOST { Err("it is larger than 1 MiB".into()) } else { Ok(text) }
}

/// The files of `conf.d` beside the file, by name.
fn folder_of(file: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let folder = file.with_file_name("conf.d");
    let mut all = Vec::new();
    match std::fs::read_dir(&folder) {
        Ok(entries) => all.extend(entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| is_part(p))),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {}
        Err(e) => problems.push(unreadable(&Place::whole(Layer::Folder, &folder.to_string_lossy()), e.kind().to_string())),
    }
    all.sort();
    all
}

/// Files whose name begins with a dot are those of editors.
fn is_part(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    name.ends_with(".toml") && !name.starts_with('.')
}

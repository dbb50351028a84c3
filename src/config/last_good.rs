//! The last good configuration: the files as they were when the agent last started on them, kept in the
//! data directory, so that a mistake in a file never stops a box that had a good one.

use crate::config::tree::{Node, Table, Value};
use crate::sys::durable;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file with its text. It may hold secrets, as the file itself may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Where it was read from: paths in it are relative to that.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

fn place(data_dir: &Path) -> PathBuf {
    data_dir.join("last-good.json")
}

/// Keeps the files that a configuration was made of, readable by the owner only.
pub fn keep(data_dir: &Path, files: &[PathBuf]) -> io::Result<()> {
    let kept = files.iter().map(|path| Ok(Kept { path: path.clone(), text: fs::read_to_string(path)? }));
    let json = serde_json::to_vec(&kept.collect::<io::Result<Vec<_>>>()?)?;
    if fs::read(place(data_dir)).is_ok_and(|before| before == json) {
        return Ok(()); // a card is worn by writing
    }
    durable::replace(&place(data_dir), &json)
}

/// What was kept; empty where nothing was, or it cannot be read.
pub fn recall(data_dir: &Path) -> Vec<Kept> {
    fs::read(place(data_dir)).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default()
}

/// The data directory that a configuration means, even one that cannot be used.
pub fn data_dir(tree: &Table, otherwise: &Path) -> PathBuf {
    let agent = tree.get("agent").map(|node| &node.value);
    match agent {
        Some(Value::Table(table)) => match table.get("data_dir") {
            Some(Node { value: Value::Text(text), .. }) => PathBuf::from(text),
            _ => otherwise.to_owned(),
        },
        _ => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::fakes;
    use crate::config::load::{Sources, load};

    #[test]
    fn a_broken_file_gives_way_to_what_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tillpost.toml");
        let data = folder.path().join("data");
        fs::create_dir(&data).unwrap();
        fs::write(&file, format!("[shop]\nname = \"Good\"\ntimezone = \"UTC\"\n[agent]\ndata_dir = {:?}\n", data.to_str().unwrap()))
            .unwrap();
        let sources = Sources { explicit: Some(file.clone()), ..Sources::default() };
        let good = load(&sources, &fakes::kinds());
        keep(&data, &good.files).unwrap();

        let broken = fs::read_to_string(&file).unwrap().replace("timezone = \"UTC\"", "timezone = \"Mars\"");
        fs::write(&file, broken).unwrap();
        let loaded = load(&sources, &fakes::kinds());
        assert!(loaded.config.is_none());
        let kept = recall(&data_dir(&loaded.tree, Path::new("/nowhere")));
        let again = load(&Sources { last_good: kept, ..sources }, &fakes::kinds()).config.unwrap();
        assert_eq!((again.shop.name.as_str(), again.shop.timezone.as_str(), again.last_good), ("Good", "UTC", true));
    }
}

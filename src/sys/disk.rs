//! Disk space: what is free, what we take, and a ballast to let go when nothing else is left.

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

/// Bytes that may still be written to the file system of the path.
pub fn free(path: &Path) -> io::Result<u64> {
    let fs = statvfs(path)?;
    Ok(fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// Bytes of the files directly in the folder.
pub fn used(folder: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let data = entry?.metadata()?;
        if data.is_file() {
            sum += data.len();
        }
    }
    Ok(sum)
}

/// Makes the ballast file with real blocks, unless it is there with that size.
pub fn fill_ballast(path: &Path, bytes: u64) -> io::Result<()> {
    if fs::metadata(path).is_ok_and(|m| m.len() == bytes) {
        return Ok(());
    }
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    fallocate(&file, FallocateFlags::empty(), 0, bytes).map_err(io::Error::from).inspect_err(|_| {
        let _ = fs::remove_file(path); // a short one would be of no use
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ballast_takes_real_space() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ballast");
        fill_ballast(&path, 1 << 20).unwrap();
        assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 1 << 20);
        assert_eq!(used(folder.path()).unwrap(), 1 << 20);
        assert!(free(folder.path()).unwrap() > 0);
    }
}

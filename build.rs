//! Packs what the pages need beside their HTML: each file is gzipped once, under a name with the hash of
//! its bytes, so that a browser may keep it for good.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const FOLDER: &str = "src/web/pages/assets";

/// Constant, file and type.
const ASSETS: &[(&str, &str, &str)] = &[
    ("STYLE", "tillpost.css", "text/css; charset=utf-8"),
    ("SCRIPT", "tillpost.js", "text/javascript; charset=utf-8"),
    ("ICON", "icon.svg", "image/svg+xml"),
];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={FOLDER}");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let mut code = String::new();
    for (constant, file, kind) in ASSETS {
        let bytes = fs::read(Path::new(FOLDER).join(file))?;
        let mut packer = GzEncoder::new(Vec::new(), Compression::best());
        packer.write_all(&bytes)?;
        let packed = out.join(format!("{file}.gz"));
        fs::write(&packed, packer.finish()?)?;
        let (stem, extension) = file.rsplit_once('.').unwrap_or((file, ""));
        let name = format!("{stem}-{:012x}.{extension}", hash(&bytes) & 0xffff_ffff_ffff);
        let _ = writeln!(
            code,
            "const {constant}: Asset = Asset {{ path: \"/assets/{name}\", kind: {kind:?}, gzip: include_bytes!({packed:?}) }};"
        );
    }
    fs::write(out.join("assets.rs"), code)
}

/// FNV-1a: names a version, protects nothing.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

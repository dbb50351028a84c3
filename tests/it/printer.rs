//! Prints against the world outside: streams of python-escpos decode to what was asked of it, and what is
//! painted reads back by `zbarimg`. Needs both, which `tests/run` installs.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/escpos").join(name)
}

/// `tap decode` with the paper as a picture.
fn decode(stream: &Path, png: &Path) -> Vec<Value> {
    let said =
        Command::new(env!("CARGO_BIN_EXE_tillpost")).args(["tap", "decode", "--json", "--png"]).args([png, stream]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let json: Value = serde_json::from_slice(&said.stdout).unwrap();
    json["jobs"].as_array().unwrap().clone()
}

/// What a reader finds in a picture: kind and data.
fn read_back(png: &Path) -> Vec<String> {
    let out = Command::new("zbarimg").args(["-q", "-Sbinary", "-Sean8.enable", "-Supca.enable"]).arg(png).stderr(Stdio::null()).output();
    let text = String::from_utf8_lossy(&out.expect("zbar-tools").stdout).into_owned();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn painted_codes_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let png = folder.path().join("codes.png");
    let jobs = decode(&fixture("codes.bin"), &png);
    let symbols = jobs[0]["symbols"].as_array().unwrap();
    assert_eq!(symbols.len(), 10);
    let found = read_back(&png);
    for symbol in symbols {
        let data = symbol["data"].as_str().unwrap();
        assert!(found.iter().any(|line| line.contains(data)), "{symbol} in {found:?}");
    }
}

#[test]
fn streams_of_python_escpos_decode_to_what_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let asked = json!({
        "lines": ["Café «Zürich»", "Müsli 4,50 €", "Łódź 12,00 zł", "Привет 7,00", "TOTAL 23,50"],
        "ean13": "4006381333931", "qr": "https://example.org/r/42", "picture": [96, 40],
    });
    let stream = folder.path().join("stream.bin");
    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/escpos_peer.py");
    let out = Command::new("python3").arg(peer).arg(asked.to_string()).arg(&stream).output().expect("python3");
    assert!(out.status.success(), "python3 -m pip install python-escpos==3.1: {}", String::from_utf8_lossy(&out.stderr));
    let jobs = decode(&stream, &folder.path().join("slip.png"));
    assert_eq!(jobs.len(), 1);
    let text: Vec<&str> = jobs[0]["text"].as_array().unwrap().iter().filter_map(Value::as_str).filter(|line| !line.is_empty()).collect();
    let lines: Vec<&str> = asked["lines"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let wanted = [&lines[..], &["{image}", "{ean13} 4006381333931", "{qr} https://example.org/r/42", "{drawer}", "{cut}"]].concat();
    assert_eq!(text, wanted);
    let image = &jobs[0]["images"][0];
    assert_eq!((&image["width"], &image["height"]), (&json!(96), &json!(40)));
    assert_eq!(image["sha256_1bpp"], fs::read_to_string(stream.with_extension("sha256")).unwrap().trim());
    let total = jobs[0]["spans"].as_array().unwrap().iter().find(|span| span["text"].as_str().unwrap().starts_with("TOTAL")).unwrap();
    assert_eq!(
        (&total["bold"], &total["width"], &total["height"], &total["align"]),
        (&json!(true), &json!(2), &json!(2), &json!("center"))
    );
}

//! Whole streams: samples of tills, every split, damaged and hostile input, the boundaries.

use super::*;
use proptest::prelude::*;
use serde_json::Value;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

const NAMES: [&str; 6] = ["01-codepages", "02-styles", "03-qr-barcode", "04-raster-logo", "05-two-copies", "06-grocery-loyalty"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/escpos").join(name)
}

fn stream(name: &str) -> Vec<u8> {
    fs::read(fixture(&format!("{name}.bin"))).unwrap()
}

fn expected(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(&format!("{name}.json"))).unwrap()).unwrap()
}

fn auto(bytes: &[u8]) -> Vec<Job> {
    decode(bytes, Settings::default())
}

fn lines(text: &str) -> Vec<String> {
    let one = |line: &str| line.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
    text.lines().map(one).filter(|line| !line.is_empty()).collect()
}

fn text_of(jobs: &[Job]) -> String {
    jobs.iter().flat_map(Job::text).collect::<Vec<_>>().join("\n")
}

#[test]
fn samples_read_as_they_were_printed() {
    for name in NAMES {
        let wanted = fs::read_to_string(fixture(&format!("{name}.txt"))).unwrap();
        assert_eq!(lines(&text_of(&auto(&stream(name)))), lines(&wanted), "{name}");
    }
}

#[test]
fn samples_have_their_styles_symbols_and_requests() {
    for name in NAMES {
        let (jobs, wanted) = (auto(&stream(name)), expected(name));
        let receipts = wanted["receipts"].as_array().unwrap();
        assert_eq!(jobs.len(), receipts.len(), "{name}");
        for (job, receipt) in jobs.iter().zip(receipts) {
            let symbols: Vec<Value> = job.page.symbols().map(|s| serde_json::json!({"type": s.kind.word(), "data": s.data})).collect();
            assert_eq!(Value::from(symbols), receipt["symbols"], "{name}");
            assert_eq!(job.page.drawer.len() as u64, receipt["drawer_pulses"].as_u64().unwrap(), "{name}");
            assert_eq!(job.boundary.word(), receipt["boundary"], "{name}");
            assert!(!job.truncated && !job.page.cut_short, "{name}");
        }
        if let Some(requests) = wanted.get("host_requests") {
            assert_eq!(&Value::from(jobs[0].notes.host_requests.clone()), requests, "{name}");
        }
        for style in wanted["styles"].as_array().into_iter().flatten() {
            let text = style["text"].as_str().unwrap();
            let found = jobs[0].page.lines().find_map(|l| Some((l.align, l.spans.iter().find(|s| s.text.trim().starts_with(text))?)));
            let (align, span) = found.unwrap_or_else(|| panic!("{name}: {text}"));
            for (key, value) in style.as_object().unwrap() {
                let has = match key.as_str() {
                    "bold" => Value::from(span.style.bold),
                    "underline" => Value::from(span.style.underline),
                    "invert" => Value::from(span.style.invert),
                    "width" => Value::from(span.style.width),
                    "height" => Value::from(span.style.height),
                    "align" => Value::from(align.word()),
                    _ => value.clone(),
                };
                assert_eq!(&has, value, "{name}: {text}: {key}");
            }
        }
    }
}

/// Rows of a PNG file as this program writes them: one bit a dot, no filter.
fn rows_of(png: &[u8]) -> (u32, u32, Vec<u8>) {
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
    let (mut at, mut packed) = (8, Vec::new());
    while at < png.len() {
        let size = number(at) as usize;
        if &png[at + 4..at + 8] == b"IDAT" {
            packed.extend_from_slice(&png[at + 8..at + 8 + size]);
        }
        at += size + 12;
    }
    let mut raw = Vec::new();
    flate2::read::ZlibDecoder::new(packed.as_slice()).read_to_end(&mut raw).unwrap();
    (number(16), number(20), raw)
}

#[test]
fn paper_is_painted_dot_for_dot() {
    for name in ["02-styles", "03-qr-barcode", "06-grocery-loyalty"] {
        let golden = rows_of(&fs::read(fixture(&format!("{name}.png"))).unwrap());
        let painted = rows_of(&paint::png(&auto(&stream(name))[0].page, paint::WIDE));
        assert_eq!((painted.0, painted.1), (golden.0, golden.1), "{name}");
        assert!(painted.2 == golden.2, "{name}: the dots differ; look at both before taking the new one");
    }
}

#[test]
fn pictures_are_the_dots_that_were_sent() {
    let jobs = auto(&stream("04-raster-logo"));
    let image = jobs[0].page.images().next().unwrap();
    let file = rows_of(&paint::picture_png(image));
    assert_eq!((file.0, file.1), (384, 96));
    let black: Vec<u8> = file.2.chunks(49).flat_map(|row| row[1..].iter().map(|b| !b)).collect();
    assert_eq!(black, image.rows);
}

/// Without what depends on how the stream came: nothing does.
fn split(bytes: &[u8], at: &[usize]) -> Vec<Job> {
    let mut decoder = Decoder::new(Settings::default());
    let mut jobs = Vec::new();
    let mut from = 0;
    for &to in at.iter().chain([&bytes.len()]) {
        decoder.feed(&bytes[from..to], Duration::ZERO, &mut jobs);
        from = to;
    }
    decoder.close(Duration::ZERO, &mut jobs);
    jobs
}

#[test]
fn any_split_of_a_sample_gives_the_same() {
    for name in NAMES {
        let bytes = stream(name);
        let whole = auto(&bytes);
        for at in 0..=bytes.len() {
            assert_eq!(split(&bytes, &[at]), whole, "{name} at {at}");
        }
        assert_eq!(split(&bytes, &(0..bytes.len()).collect::<Vec<_>>()), whole, "{name} byte by byte");
    }
}

/// Adds up what the tokens stand for.
struct Count(u64);

impl Sink for Count {
    fn token(&mut self, token: Token<'_>) {
        assert!(!token.is_empty());
        self.0 += token.len();
    }
}

fn covered(dialect: Dialect, bytes: &[u8]) {
    let mut lexer = Lexer::new(dialect);
    let mut count = Count(0);
    lexer.feed(bytes, &mut count);
    lexer.end(&mut count);
    assert_eq!(count.0, bytes.len() as u64);
}

/// Bytes that like to be commands.
fn commands() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![
        3 => Just(0x1bu8), 3 => Just(0x1d), 1 => Just(0x1c), 1 => Just(0x10), 1 => Just(0x0a), 1 => Just(0x0c),
        4 => any::<u8>(), 6 => 0u8..4, 6 => 0x20u8..0x7f,
    ];
    prop::collection::vec(code, 0..600)
}

proptest! {
    #[test]
    fn damaged_input_is_cut_into_tokens_without_gap(bytes in commands()) {
        covered(Dialect::EscPos, &bytes);
        covered(Dialect::Star, &bytes);
    }

    #[test]
    fn damaged_input_reads_the_same_however_it_is_split(bytes in commands(), cuts in prop::collection::vec(0usize..600, 0..6)) {
        let mut at: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
        at.sort_unstable();
        prop_assert_eq!(split(&bytes, &at), auto(&bytes));
    }

    #[test]
    fn jobs_lie_one_behind_the_other(bytes in commands()) {
        for language in [Dialect::EscPos, Dialect::Star] {
            let mut end = 0;
            for job in decode(&bytes, Settings { language: Some(language), ..Settings::default() }) {
                prop_assert_eq!(job.range.start, end);
                end = job.range.end;
            }
            prop_assert!(end <= bytes.len() as u64);
        }
    }

    #[test]
    fn a_sample_with_bytes_changed_still_reads(which in 0usize..6, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = stream(NAMES[which]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let jobs = auto(&bytes);
        prop_assert!(jobs.iter().map(|job| job.page.items.len()).sum::<usize>() < 1000);
    }
}

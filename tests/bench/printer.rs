//! `cargo bench --bench printer`: how fast printer streams become pages.
//!
//! Text receipts of a till (42 columns, styles, code page, cut), the same with an accented letter in every
//! line, and pictures as drivers send them (bands of 24 rows across 80 mm paper). Fed in pieces of 4 KB, as a
//! tap reads them. The figure is the best of the rounds; beside it what copying the same bytes takes.
//! Nothing is judged.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a bench may stop, and reads the clock")]

use std::hint::black_box;
use std::time::{Duration, Instant};
use tillpost::printer::{Decoder, Settings};

fn receipt(line: &str) -> Vec<u8> {
    let mut out = b"\x1b@\x1bt\x13\x1ba\x01\x1b!\x30CORNER MART\n\x1b!\x00\x1ba\x00".to_vec();
    for i in 0..40 {
        out.extend(format!("{line:<34}{i:>4}.{:02}\n", i % 100).into_bytes());
    }
    out.extend(b"\x1bE\x01TOTAL                              780.00\n\x1bE\x00\x1bd\x04\x1dVA\x00");
    out
}

fn picture() -> Vec<u8> {
    let mut out = b"\x1b@".to_vec();
    for band in 0..40u32 {
        out.extend(b"\x1dv0\x00\x48\x00\x18\x00");
        out.extend((0..72 * 24).map(|i: u32| (i.wrapping_mul(2_654_435_761).wrapping_add(band) >> 13) as u8));
    }
    out.extend(b"\x1bd\x04\x1dVA\x00");
    out
}

/// Bytes in a second.
fn decode(stream: &[u8]) -> (f64, usize) {
    let mut decoder = Decoder::new(Settings::default());
    let (mut jobs, mut count) = (Vec::new(), 0);
    let start = Instant::now();
    for piece in stream.chunks(4096) {
        decoder.feed(piece, Duration::ZERO, &mut jobs);
        count += jobs.len();
        jobs.clear();
    }
    decoder.close(Duration::ZERO, &mut jobs);
    (stream.len() as f64 / start.elapsed().as_secs_f64(), count + jobs.len())
}

fn copy(stream: &[u8]) -> f64 {
    let start = Instant::now();
    let mut out = Vec::with_capacity(stream.len());
    stream.chunks(4096).for_each(|piece| out.extend_from_slice(piece));
    black_box(&out);
    stream.len() as f64 / start.elapsed().as_secs_f64()
}

fn main() {
    let short = std::env::args().any(|arg| arg == "--short");
    let (size, rounds) = if short { (200_000, 1) } else { (100_000_000, 5) };
    let streams =
        [("text, ASCII", receipt("2 LECHE ENTERA 1L")), ("text, accents", receipt("CR\u{c8}ME BR\u{db}L\u{c9}E")), ("pictures", picture())];
    println!("{:<16} {:>8} {:>10} {:>10}", "", "MB/s", "copy MB/s", "receipts");
    for (name, unit) in streams {
        // The accented letters are single bytes of the code page.
        let unit: Vec<u8> =
            String::from_utf8(unit.clone()).map_or(unit, |text| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect());
        let stream = unit.repeat(size / unit.len());
        let best = (0..rounds).map(|_| decode(&stream)).fold((0.0, 0), |best, now| if now.0 > best.0 { now } else { best });
        let copied = (0..rounds).map(|_| copy(&stream)).fold(0.0, f64::max);
        println!("{name:<16} {:>8.0} {:>10.0} {:>10}", best.0 / 1e6, copied / 1e6, best.1);
    }
}

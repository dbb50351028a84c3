//! PNG of one bit a dot: the smallest file for paper that is black or white.

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use std::io::Write;

/// Dots in a metre, of 203 in an inch.
const DOTS_A_METRE: u32 = 7992;

/// A picture file from rows of ⌈width / 8⌉ bytes, 1 = black.
pub fn encode(width: u32, height: u32, rows: &[u8]) -> Vec<u8> {
    let stride = width.div_ceil(8) as usize;
    let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
    for row in rows.chunks_exact(stride.max(1)).take(height as usize) {
        let mut line = vec![0]; // no filter: it does not pay for single bits
        line.extend(row.iter().map(|byte| !byte)); // here 1 is white
        let _ = packer.write_all(&line); // memory takes all
    }
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[1, 0, 0, 0, 0]].concat();
    chunk(&mut out, b"IHDR", &header);
    chunk(&mut out, b"pHYs", &[&DOTS_A_METRE.to_be_bytes()[..], &DOTS_A_METRE.to_be_bytes(), &[1]].concat());
    chunk(&mut out, b"IDAT", &packer.finish().unwrap_or_default());
    chunk(&mut out, b"IEND", &[]);
    out
}

fn chunk(out: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(data);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(name);
    out.extend_from_slice(data);
    out.extend_from_slice(&crc.sum().to_be_bytes());
}

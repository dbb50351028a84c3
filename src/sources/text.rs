//! Bytes of tills as text: byte order marks, UTF-8, else the code page that the config names.

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// What tills write besides what the web knows.
const OEM: &[(&str, u16)] = &[
    ("cp437", 437),
    ("ibm437", 437),
    ("cp850", 850),
    ("cp852", 852),
    ("cp858", 858),
    ("cp860", 860),
    ("cp863", 863),
    ("cp865", 865),
    ("cp866", 866),
];

/// Whether there is a code page of that name.
pub fn is_known(label: &str) -> bool {
    oem(label).is_some() || Encoding::for_label(label.as_bytes()).is_some()
}

fn oem(label: &str) -> Option<&'static oem_cp::code_table_type::TableType> {
    let label = label.trim().to_ascii_lowercase();
    let (_, page) = OEM.iter().find(|(name, _)| *name == label || name.trim_start_matches("cp") == label)?;
    oem_cp::code_table::DECODING_TABLE_CP_MAP.get(page)
}

/// The bytes as text. A byte order mark counts first, then valid UTF-8 (so that a file that holds both
/// spellings is read), then the code page; without one Windows-1252.
pub fn decode(bytes: &[u8], label: &str) -> String {
    if let Some((encoding, skip)) = Encoding::for_bom(bytes) {
        return encoding.decode_without_bom_handling(bytes.get(skip..).unwrap_or_default()).0.into_owned();
    }
    // A code page of two bytes a letter is never UTF-8 by chance.
    let wide = Encoding::for_label(label.as_bytes()).filter(|e| *e == UTF_16LE || *e == UTF_16BE);
    if let Some(encoding) = wide {
        return encoding.decode_without_bom_handling(bytes).0.into_owned();
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    match oem(label) {
        Some(table) => table.decode_string_lossy(bytes),
        None => Encoding::for_label(label.as_bytes()).unwrap_or(WINDOWS_1252).decode_without_bom_handling(bytes).0.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_pages_of_tills() {
        for (bytes, label, is) in [
            (&b"\xef\xbb\xbfK\xc3\xa4se"[..], "cp437", "Käse"),
            (b"K\xc3\xa4se", "cp437", "Käse"),
            (b"K\xe4se 2 \x80", "", "Käse 2 €"),
            (b"K\xe4se 2 \xa4", "iso-8859-15", "Käse 2 €"),
            (b"K\x84se", "CP437", "Käse"),
            (b"K\x84se 2 \xd5", "cp858", "Käse 2 €"),
            (b"\xff\xfeK\0\xe4\0", "", "Kä"),
            (b"\0K\0\xe4", "utf-16be", "Kä"),
        ] {
            assert_eq!(decode(bytes, label), is, "{label}");
        }
        assert!(is_known("windows-1252") && is_known("858") && !is_known("klingon"));
    }
}

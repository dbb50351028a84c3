//! Time and boundaries: cuts, silence, pulses, heads before their receipt, bytes that were lost; and what
//! hostile streams may cost.

use super::*;
use std::time::Duration;

const SALE: &[u8] = b"\x1b@CORNER SHOP\nTea                 2.50\nTOTAL               2.50\n";
const CUT: &[u8] = b"\x1dV\x00";

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A decoder and its jobs, with bytes and silence in turn.
struct Till {
    decoder: Decoder,
    jobs: Vec<Job>,
}

impl Till {
    fn new(boundary: Rule) -> Till {
        let settings = Settings { language: Some(Dialect::EscPos), boundary, ..Settings::default() };
        Till { decoder: Decoder::new(settings), jobs: Vec::new() }
    }

    fn send(&mut self, at: u64, bytes: &[u8]) {
        self.decoder.feed(bytes, s(at), &mut self.jobs);
    }

    fn tick(&mut self, at: u64) -> usize {
        self.decoder.tick(s(at), &mut self.jobs);
        self.jobs.len()
    }
}

#[test]
fn silence_ends_a_receipt_until_the_first_cut() {
    let mut till = Till::new(Rule::Auto);
    till.send(0, SALE);
    assert_eq!((till.tick(2), till.tick(3)), (0, 1));
    assert_eq!(till.jobs[0].boundary, Boundary::Idle);
    till.send(10, SALE);
    till.send(11, CUT);
    assert_eq!(till.tick(12), 2, "a cut is known at once, its pulse is waited for");
    till.send(20, SALE);
    assert_eq!(till.tick(60), 2, "who cuts may print line by line");
    assert_eq!(till.decoder.deadline(), Some(s(140)));
    assert_eq!(till.tick(140), 3);
}

#[test]
fn the_rule_can_be_set() {
    let mut till = Till::new(Rule::Cut);
    till.send(0, SALE);
    assert_eq!((till.tick(100), till.tick(120)), (0, 1));
    let mut till = Till::new(Rule::Idle);
    till.send(0, &[SALE, CUT, SALE].concat());
    assert_eq!(till.tick(4), 2);
}

#[test]
fn silence_in_a_line_or_a_command_is_none() {
    let mut till = Till::new(Rule::Auto);
    till.send(0, b"TOTAL ");
    assert_eq!(till.tick(50), 0, "a line is open");
    till.send(51, b"2.50\n\x1dv0\x00\x30\x00\x10");
    assert_eq!(till.tick(100), 0, "a picture is open");
    assert_eq!(till.decoder.deadline(), Some(s(171)));
    assert_eq!(till.tick(171), 1);
    assert!(till.jobs[0].truncated);
    till.send(180, b"NEXT 1.00\n");
    assert_eq!(till.tick(183), 2, "what came of the picture is forgotten");
    assert!(!till.jobs[1].truncated);
    assert_eq!(till.jobs[1].text(), ["NEXT 1.00"]);
}

#[test]
fn pulses_belong_to_their_receipt() {
    let pulse = b"\x1bp\x00\x32\x32";
    let mut till = Till::new(Rule::Auto);
    till.send(0, &[SALE, CUT, pulse].concat());
    assert_eq!(till.tick(1), 1);
    assert_eq!(till.jobs[0].text().last().unwrap(), "{cut}");
    assert_eq!(till.jobs[0].page.drawer, [1], "right behind the cut: the receipt before");
    till.send(100, pulse);
    till.send(101, &[SALE, CUT].concat());
    assert_eq!(till.tick(102), 2);
    assert_eq!(till.jobs[1].page.drawer, [1], "before any print: the receipt after");
    till.send(200, b"\x10\x14\x01\x01\x02");
    assert_eq!(till.tick(203), 3);
    assert_eq!(kind::by_look(&till.jobs[2]), Some(kind::Kind::DrawerOnly));
    assert_eq!(till.jobs[2].text(), ["{drawer 2}"]);
    assert_eq!(till.decoder.deadline(), None);
}

#[test]
fn a_head_waits_for_its_receipt() {
    let mut till = Till::new(Rule::Auto);
    till.send(0, &[SALE, CUT, b"CORNER SHOP\n12 Mill Lane\n"].concat());
    assert_eq!((till.tick(1), till.tick(200)), (1, 1));
    till.send(300, b"Milk 1.20\n");
    till.send(301, CUT);
    assert_eq!(till.tick(302), 2);
    assert_eq!(till.jobs[1].text(), ["CORNER SHOP", "12 Mill Lane", "Milk 1.20", "{cut}"]);
    assert_eq!(till.jobs[1].range.start, till.jobs[0].range.end);
    assert_eq!((till.jobs[1].started, till.jobs[1].ended), (s(0), s(301)));

    let mut till = Till::new(Rule::Auto);
    till.send(0, &[SALE, CUT, b"HEAD\n"].concat());
    till.tick(130);
    till.send(14 * 3600, &[SALE, CUT].concat());
    assert_eq!(till.tick(14 * 3600 + 1), 3, "after half a day it is a print of its own");
}

#[test]
fn nothing_visible_is_no_receipt() {
    let jobs = decode(b"\x1b@\n\n\x1bd\x05\x1dV\x00\x1b@\x10\x04\x01\x1dI\x01", Settings::default());
    assert!(jobs.is_empty(), "{jobs:?}");
    let jobs = decode(b"\x1b@A\x1dV\x00\x1bd\x03\x1dV\x01", Settings::default());
    assert_eq!(jobs.len(), 1);
}

#[test]
fn lost_bytes_mark_the_receipt() {
    let mut till = Till::new(Rule::Auto);
    till.send(0, b"\x1b@FIRST\n\x1dv0\x00\xff\xff");
    till.decoder.lost();
    till.send(1, &[b"SECOND\n", CUT].concat());
    till.tick(2);
    assert!(till.jobs[0].lost_bytes);
    assert_eq!(till.jobs[0].text(), ["FIRST", "SECOND", "{cut}"]);
}

#[test]
fn commands_keep_their_data() {
    let auto = |bytes: &[u8]| decode(bytes, Settings::default()).iter().flat_map(Job::text).collect::<Vec<_>>();
    for (bytes, text) in [
        (&b"A\n\x1d(X\x03\x00xyzB\n"[..], &["A", "B"][..]),
        (b"\x1dv0\x00\x01\x00\x05\x00A\x10\x04\x01Bafter\n", &["{image}", "after"]),
        (b"\x1b*\x21\x02\x00abcdefB\n", &["{image}", "B"]),
        (b"\x1bD\x04\x0c\x00a\tb\tc\n", &["a   b       c"]),
        (b"\x1bD\x08\x04X\n", &["X"]),
        (b"a\tb\n", &["a       b"]),
        (b"\x1bB\x03\x02x\n\x1bBy\n", &["x", "y"]),
        (b"\x1b&\x03\x41\x42\x02abcdef\x01ghiZ\n", &["Z"]),
        (b"one\r\ntwo\rthree\n", &["one", "twothree"]),
        (b"\x1b=\x02WELCOME\n\x1b=\x01paper\n", &["paper"]),
        (b"\x10\x04\x01A\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08B\x10C\n", &["ABC"]),
        (b"\x1b?\x0a\x00A\n", &["A"]),
        (b"\x1bX\x1dY\x1cZ.\n", &["."]),
        (b"{no marker}\n", &["\\{no marker}"]),
        (b"\x1d8L\x0b\x00\x00\x000p0\x01\x011\x08\x00\x01\x00\xaa\x1d(L\x02\x0002x\n", &["{image}", "x"]),
        (b"\x1cp\x01\x00x\n", &["{logo}", "x"]),
        (b"\x1bL\x1d$\x00\x00left\x1d$\x20\x00next\x0c\n", &["left", "next", ""]),
        (b"\x1bLdropped\x1bSkept\n", &["kept"]),
        (b"\x1d(k\x03\x001Q0no data\n", &["no data"]),
        (b"\x12q\x00A\x12B\n", &["AB"]),
        (b"\x1dk\x02400638133393\x00x\n", &["{ean13} 4006381333931", "x"]),
        (b"\x1d(k\x07\x001P0a%b\x1b\x1d(k\x03\x001Q0\x1d(k\x03\x001Q0", &["{qr} a%b ", "{qr} a%b "]),
    ] {
        assert_eq!(auto(bytes), text, "{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn star_is_not_read_as_escpos() {
    let bytes = b"\x1b@\x1b\x1da\x01\x1b\x1dt\x20STAR CAF\xc9\n\x1b\x1da\x00\x1bE\x1bi\x01\x01TOTAL 3.50\x1bi\x00\x00\x1bF\n\
        \x1b\x1dyS0\x02\x1b\x1dyD1\x00\x03\x00abc\x1b\x1dyP\x1bb\x06\x02\x02\x40AB12\x1e\x1bJ\x10\x07\x1bd\x02";
    let jobs = decode(bytes, Settings::default());
    assert_eq!(jobs.len(), 1);
    assert_eq!(jobs[0].dialect, Dialect::Star);
    assert_eq!(jobs[0].text(), ["STAR CAFÉ", "TOTAL 3.50", "{qr} abc", "{code128} AB12", "{drawer}", "{cut}"]);
    let total = jobs[0].page.lines().nth(1).unwrap().spans[0].style;
    assert!(total.bold && (total.width, total.height) == (2, 2));
    let raster = b"\x1b*rA\x1b*rE0\x00b\x02\x00\xff\x0fb\x01\x00\xf0k\x02\x00\x1b\x07\x1b*rB\x1b\x0c\x00";
    let jobs = decode(raster, Settings { language: Some(Dialect::Star), ..Settings::default() });
    let image = jobs[0].page.images().next().unwrap();
    assert_eq!((image.width, image.height, image.rows.as_slice()), (16, 3, &[0xff, 0x0f, 0xf0, 0, 0x1b, 0x07][..]));
    assert_eq!(jobs[0].boundary, Boundary::Cut);
}

#[test]
fn scripts_are_read() {
    let text = |bytes: &[u8], settings: Settings| decode(bytes, settings).iter().flat_map(Job::text).collect::<Vec<_>>().join("|");
    let plain = Settings::default;
    let with = |code| Settings { multibyte: Some(code), ..Settings::default() };
    let cases: &[(&[u8], Settings, &str)] = &[
        (b"\x1ct\x1bt\x02caf\x82\n", plain(), "café"),
        (b"\x1bR\x02[\\]{|}~ $\n", plain(), "ÄÖÜäöüß $"),
        (b"\x1bt\x01\xb1\xb2\xfc\n", plain(), "ｱｲ村"),
        ("Größe 3 €\n".as_bytes(), plain(), "Größe 3 €"),
        (b"\x1bt\x00Gr\x94\xe1e\n", plain(), "Größe"),
        (b"Gr\x94\xe1e\n", plain(), "Größe"),
        (b"\x1cC1\x93\x8c\x8b\x9e ABC \xb1\n", plain(), "東京 ABC ｱ"),
        (b"\x1cC0\x1c&\x45\x6c\x35\x7e\x1c. AB\n", plain(), "東京 AB"),
        (b"\x1c&\xb1\xb1\xbe\xa9\x1c. AB\n", plain(), "北京 AB"),
        (b"\x1bR\x0d\x1c&\xbc\xad\xbf\xef\n", plain(), "서울"),
        (b"\xb1\xb1\xbe\xa9 \x81\x30\x81\x30 ok\n", with(Multibyte::Gb18030), "北京 \u{80} ok"),
        (b"\xa5\x78\xa5_ 7\n", with(Multibyte::Big5), "台北 7"),
        (b"\xbc\xad\xbf\xef 7\n", with(Multibyte::EucKr), "서울 7"),
        (b"\x93\x8c\x8b\x9e\n", with(Multibyte::ShiftJis), "東京"),
        (b"\x1c(C\x02\x000\x02\xc3\xa9\xe2\x82\xac\n", plain(), "é€"),
        (b"\x1bt\xc8odd \x80\n", plain(), "odd Ç"),
    ];
    for (bytes, settings, wanted) in cases {
        assert_eq!(text(bytes, settings.clone()), *wanted, "{bytes:x?}");
    }
    assert!(decode(b"\x1bt\xc8odd\n", plain())[0].notes.unknown_codepage);
    let epson = decode(b"\x1bt\x06\xe4\n", Settings { codepages: Table::Xprinter, ..plain() });
    assert_eq!(epson[0].text(), ["ä"]);
}

#[test]
fn bands_are_one_picture() {
    let band = b"\x1dv0\x00\x01\x00\x02\x00\xf0\x0f";
    let one = decode(&[&band[..], band, b"text\n", band].concat(), Settings::default());
    assert_eq!(one[0].text(), ["{image}", "text", "{image}"]);
    assert!(!one[0].page.is_picture() && decode(band, Settings::default())[0].page.is_picture());
    assert_eq!(one[0].page.images().next().unwrap().rows, [0xf0, 0x0f, 0xf0, 0x0f]);
    let lines = decode(b"\x1b3\x18\x1b*\x21\x01\x00\xff\xff\xff\n\x1b*\x21\x01\x00\x80\x00\x01\n", Settings::default());
    let image = lines[0].page.images().next().unwrap();
    assert_eq!((lines[0].text().as_slice(), image.width, image.height), (&["{image}".to_owned()][..], 1, 48));
}

#[test]
fn hostile_streams_are_bounded() {
    // A length of 4 GB, a bar code without an end, tab stops, line feeds, spans: a few MB of each.
    let mega = |unit: &[u8]| unit.repeat(4_000_000 / unit.len());
    let streams: [Vec<u8>; 8] = [
        [b"\x1d8L\xff\xff\xff\xff0p".to_vec(), mega(b"x")].concat(),
        mega(b"\x1dk\x04A"),
        mega(b"\n"),
        mega(b"\x1bE\x01a\x1bE\x00b"),
        mega(b"\x1dv0\x00\x40\x00\xff\xffx"),
        mega(b"\x1b$\x00\x01a"),
        mega("ü".as_bytes()),
        mega(b"\x1b*\x00\xff\xff"),
    ];
    for stream in streams {
        let jobs = decode(&stream, Settings::default());
        assert!(jobs.len() <= 1);
        for job in &jobs {
            assert!(job.page.items.len() <= page::ITEMS_MAX + 1);
            let spans: usize = job.page.lines().map(|l| l.spans.len()).sum();
            let text: usize = job.page.lines().flat_map(|l| &l.spans).map(|s| s.text.len()).sum();
            let dots: usize = job.page.images().map(|i| i.rows.len()).sum();
            assert!(spans <= page::ITEMS_MAX + 1 && text <= 4 * page::TEXT_MAX && dots <= page::DOTS_MAX, "{spans} {text} {dots}");
            assert!(paint::png(&job.page, paint::WIDE).len() < 4_000_000);
        }
    }
}

#[test]
fn garbage_is_named() {
    let noise: Vec<u8> = (0..40_000u32).map(|i| [0x01, 0x02, 0x03, 0x05, 0x41][i as usize % 5]).collect();
    let jobs = decode(&noise, Settings::default());
    assert_eq!(kind::by_look(&jobs[0]), Some(kind::Kind::Garbage));
}

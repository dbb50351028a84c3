//! Any bytes as a printer stream: first byte = language, second = where it is split. Both ways give the same
//! jobs, and each job is painted, read and told.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use tillpost::printer::fields::{self, Shop};
use tillpost::printer::profile::Profile;
use tillpost::printer::sale::{Place, sale};
use tillpost::printer::{Decoder, Dialect, Settings, decode, html, paint, report};

fuzz_target!(|data: &[u8]| {
    let [language, at, stream @ ..] = data else { return };
    let language = [None, Some(Dialect::EscPos), Some(Dialect::Star)][usize::from(language % 3)];
    let settings = Settings { language, ..Settings::default() };
    let whole = decode(stream, settings.clone());
    let (head, tail) = stream.split_at(usize::from(*at).min(stream.len()));
    let mut decoder = Decoder::new(settings);
    let mut jobs = Vec::new();
    decoder.feed(head, Duration::ZERO, &mut jobs);
    decoder.feed(tail, Duration::ZERO, &mut jobs);
    decoder.close(Duration::ZERO, &mut jobs);
    assert_eq!(jobs, whole);
    let built_in = Profile::built_in();
    for job in &jobs {
        let reading = fields::read(job, &[], &built_in, &Shop::default());
        let _ = (report::json(job, &reading), sale(job, &reading, &Place::default()));
        let _ = (html::html(&job.page, 42), paint::png(&job.page, paint::WIDE));
    }
});

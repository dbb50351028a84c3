//! `cargo bench --bench idle`: the memory of an agent that waits, and after sales; the size of the binary.
//!
//! `VmRSS` and `RssAnon` from the kernel, five seconds after the start and five seconds after the last of
//! the sales, each of which became a receipt by mail (to the test inbox). Nothing is judged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a bench may stop"
)]

mod agent;

use agent::{Agent, BINARY, Till, folder, sale, short};
use std::thread::sleep;
use std::time::Duration;

fn main() {
    let (sales, rest) = if short() { (20, Duration::from_millis(200)) } else { (5_000, Duration::from_secs(5)) };
    let mb = |bytes: u64| bytes as f64 / 1e6;
    println!("binary                {:>6.2} MB", mb(std::fs::metadata(BINARY).unwrap().len()));
    let folder = folder();
    let agent = Agent::start(folder.path());
    let say = |when: String| {
        sleep(rest);
        println!(
            "{when:<21} {:>6.2} MB resident, {:.2} MB of it its own",
            mb(agent.memory("VmRSS") * 1024),
            mb(agent.memory("RssAnon") * 1024)
        );
    };
    say("idle after start".into());
    let mut till = Till::new(agent.address);
    for n in 0..sales {
        till.post(&sale(1, n, true));
    }
    say(format!("after {sales} sales"));
}

//! README: the tour is run, output and all, and what it copies from elsewhere is compared.

use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

const README: &str = include_str!("../../README.md");
const LIB: &str = include_str!("../../src/lib.rs");

/// A fenced block: the word behind its fence, its text, and the last line before it.
struct Block {
    word: String,
    text: String,
    before: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let (mut inside, mut before) = (false, "");
    for line in page.lines() {
        match (inside, line.strip_prefix("```")) {
            (false, Some(word)) => found.push(Block { word: word.into(), text: String::new(), before: before.into() }),
            (true, None) => found.last_mut().unwrap().text.extend([line, "\n"]),
            (false, None) => {}
            (true, Some(_)) => before = "",
        }
        inside ^= line.starts_with("```");
        if !inside && !line.is_empty() && !line.starts_with("```") {
            before = line;
        }
    }
    found
}

fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    rest.split("\n## ").next().unwrap()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The comment of the crate without its marks.
fn lib() -> String {
    LIB.lines().map_while(|l| l.strip_prefix("//!")).map(|l| format!("{}\n", l.strip_prefix(' ').unwrap_or(l))).collect()
}

/// Whether a text is as expected; `…` stands for anything.
fn fits(expected: &str, said: &str) -> bool {
    let mut parts = expected.trim().split('…');
    let Some(mut rest) = said.trim().strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(part) = last.replace(part) {
            let Some((_, behind)) = rest.split_once(part) else { return false };
            rest = behind;
        }
    }
    last.map_or(rest.is_empty(), |part| rest.ends_with(part))
}

/// A person's shell in a folder of its own. Its processes end with it.
struct Shell {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Shell {
    fn start(folder: &Path, port: u16) -> Shell {
        let binary = Path::new(env!("CARGO_BIN_EXE_tillpost"));
        let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc", "-euo", "pipefail", "-s"])
            .current_dir(folder)
            .env_clear()
            .envs([("PATH", path.as_str()), ("LC_ALL", "C.UTF-8"), ("TZ", "America/New_York")])
            .envs([("HOME", folder), ("TMPDIR", folder)])
            .env("TILLPOST__HTTP__LISTEN", format!("127.0.0.1:{port}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("bash");
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (say, lines) = sync_channel(1000);
        thread::Builder::new().spawn(move || stdout.lines().map_while(Result::ok).all(|line| say.send(line).is_ok())).unwrap();
        Shell { stdin: child.stdin.take().unwrap(), child, lines }
    }

    /// Runs some commands; what they said. Panics where one of them fails.
    fn run(&mut self, commands: &str) -> String {
        const END: &str = "--- end of block ---";
        write!(self.stdin, "{commands}\nprintf '\\n%s\\n' '{END}'\n").unwrap();
        let mut said = String::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(60)) {
                Ok(line) if line == END => return said,
                Ok(line) => said.extend([line.as_str(), "\n"]),
                Err(why) => panic!("{why}: these commands failed or hang:\n{commands}\nafter saying:\n{said}"),
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

#[test]
fn the_tour_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut shell = Shell::start(folder.path(), port);
    let blocks = blocks(section(README, "Five minutes"));
    let commands = blocks.iter().filter(|b| b.word == "sh").count();
    assert!(commands >= 7, "the tour has {commands} blocks of commands");
    for (i, block) in blocks.iter().enumerate().filter(|(_, b)| b.word == "sh") {
        let commands = block.text.replace(":8480", &format!(":{port}"));
        let expected = blocks.get(i + 1).filter(|b| b.word == "text").map(|b| b.text.as_str());
        let tries = if block.before == "<!-- may take a moment -->" { 100 } else { 1 };
        let mut said = String::new();
        let good = (0..tries).any(|n| {
            if n > 0 {
                thread::sleep(Duration::from_millis(100));
            }
            said = shell.run(&commands);
            expected.is_none_or(|expected| fits(expected, &said))
        });
        assert!(good, "README says that\n{commands}\ngives\n{}\nbut it gives\n{said}", expected.unwrap_or_default());
    }
}

#[test]
fn newcomers_meet_two_commands_first() {
    let blocks = blocks(README);
    assert_eq!(blocks[0].text, "cargo run --release -- demo\n");
    assert_eq!(blocks[1].text, "tests/run\n");
}

#[test]
fn picture_promise_and_rooms_are_those_of_the_source() {
    let lib = lib();
    let picture = &blocks(&lib)[0].text;
    assert!(blocks(section(README, "The picture"))[0].text == *picture, "README has another picture than src/lib.rs:\n{picture}");
    let promise = lib.split("# The promise\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let quoted: String = section(README, "The promise").lines().filter_map(|l| l.strip_prefix('>')).collect::<Vec<_>>().join(" ");
    assert_eq!(one_line(&quoted), one_line(promise));
    let mut rooms: Vec<&str> = LIB.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let mut told: Vec<&str> = section(README, "The rooms").lines().filter_map(|l| l.strip_prefix("| `")?.split('`').next()).collect();
    rooms.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, rooms, "README's list of rooms");
}

#[test]
fn dots_stand_for_anything() {
    for (expected, said, good) in [
        ("a\n", "a", true),
        ("a…c", "abc", true),
        ("a…c…e", "a\nb c d e", true),
        ("a…c…e", "a\nb d e", false),
        ("…", "", true),
        ("a…", "b", false),
        ("a", "ab", false),
    ] {
        assert_eq!(fits(expected, said), good, "{expected} {said}");
    }
}

//! A config is tried on the sales that are there: it says what would change, and changes nothing.

use crate::agent::{Setup, sale, until};
use crate::sink::Sink;
use std::fs;

#[test]
fn another_config_is_tried_on_what_was_sold() {
    let sink = Sink::start();
    let agent = Setup::mailing(&sink).start();
    let id = agent.sold(&sale("R-1", "lee@example.org"));
    agent.sold(&sale("R-2", ""));
    until("it is accepted", || (agent.state("R-1") == "accepted").then_some(()));
    let file = agent.data().with_file_name("tillpost.toml");
    let (new, text) = (file.with_file_name("new.toml"), fs::read_to_string(&file).unwrap());
    fs::write(&new, format!("{text}[routes.receipts]\nenabled = false\n")).unwrap();
    let new = new.to_str().unwrap();

    let (before, mails) = (agent.counts(), sink.about("R-1").len());
    let found = agent.json(&["config", "backtest", new, "--since", "2026-01-01T00:00:00Z"]);
    assert_eq!((&found["receipts"], &found["changed"], &found["lose"]), (&2.into(), &2.into(), &1.into()), "{found}");
    assert!(found["differences"].to_string().contains(&id) && !found.to_string().contains("lee@"), "{found}");
    let (code, out, _) = agent.cli(&["config", "backtest", new, "--since", "2026-01-01T00:00:00Z"]);
    assert!(code == 0 && out.contains("1 get none any more") && out.contains("nothing was sent"), "{out}");
    let same = agent.json(&["config", "backtest", file.to_str().unwrap(), "--since", "2026-01-01T00:00:00Z"]);
    assert_eq!((&same["receipts"], &same["changed"]), (&2.into(), &0.into()));
    assert_eq!((agent.counts(), sink.about("R-1").len()), (before, mails));

    fs::write(new, format!("{text}[routes.receipts]\nwhen = \"total >\"\n")).unwrap();
    let (code, _, err) = agent.cli(&["config", "backtest", new]);
    assert!(code == 3 && err.contains("new.toml"), "{err}");
    assert_eq!(agent.cli(&["config", "backtest", new, "--since", "lately"]).0, 2);
}

//! Addresses that must not be written to, as a person keeps them: blocked, lifted, moved from box to box.

use crate::agent::{KEY, PATIENCE, Setup, sale, until};
use crate::sink::Sink;
use serde_json::json;
use std::fs;

#[test]
fn a_blocked_address_gets_nothing_until_it_is_lifted() {
    let sink = Sink::start();
    let agent = Setup::mailing(&sink).start();
    let added = agent.json(&["suppress", "add", "email", " Lee@Example.ORG "]);
    assert_eq!((&added["address"], &added["reason"], &added["origin"]), (&json!("lee@example.org"), &json!("manual"), &json!("owner")));
    assert_eq!(
        agent.json(&["suppress", "add", "email", "lee@example.org", "--reason", "unsubscribe"])["reason"],
        "manual",
        "the stronger stays"
    );
    agent.sold(&sale("R-1", "lee@example.org"));
    until("it is undeliverable", || (agent.state("R-1") == "undeliverable").then_some(()));
    assert_eq!(agent.json(&["suppress", "remove", "email", "LEE@example.org"])["lifted"], "manual");
    assert_eq!(agent.cli(&["suppress", "remove", "email", "lee@example.org"]).0, 5);
    agent.sold(&sale("R-2", "lee@example.org"));
    until("the next goes out", || sink.about("R-2").pop());
    assert!(sink.about("R-1").is_empty());

    agent.json(&["suppress", "add", "sms", "(607) 555-0100", "--reason", "sms_stop"]);
    let (code, _, err) = agent.cli(&["suppress", "remove", "sms", "+16075550100"]);
    assert!(code == 1 && err.contains("START") && err.contains("not_yours_to_lift"), "{err}");
    for (args, word) in [(["fax", "x@example.org"], "unknown_word"), (["email", "nobody"], "no address"), (["sms", "12"], "no address")] {
        let (code, _, err) = agent.cli(&[&["suppress", "add"], args.as_slice()].concat());
        assert!(code == 3 && (err.contains(word) || err.contains("`channel`")), "{args:?}: {err}");
    }
    // A till's key may not.
    let headers = [("Authorization", format!("Bearer {KEY}"))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
    for method in ["GET", "POST", "DELETE"] {
        assert_eq!(agent.line.ask(method, "/v1/suppressions", &headers, b"", PATIENCE).unwrap().status, 403, "{method}");
    }
}

#[test]
fn a_list_is_moved_from_one_box_to_another() {
    let agent = Setup::silent().start();
    let file = agent.data().with_file_name("list.csv");
    fs::write(
        &file,
        "channel,address,reason,at\nemail,A@example.org,hard_bounce,2026-01-02T03:04:05Z\nsms,+16075550100,sms_stop,\nemail,broken,,\nemail,c@example.org,boredom,\n",
    )
    .unwrap();
    let path = file.to_str().unwrap();
    let (code, out, _) = agent.cli(&["suppress", "import", path]);
    assert_eq!(code, 3, "{out}");
    assert!(
        out.contains("line 4: ") && out.contains("line 5: ") && out.contains("2 would be added, 0 are blocked already, 2 cannot"),
        "{out}"
    );
    assert_eq!(agent.json(&["suppress", "list"])["suppressions"], json!([]), "a dry run writes nothing");

    let (code, out, _) = agent.cli(&["suppress", "import", path, "--apply"]);
    assert!(code == 7 && out.contains("2 added"), "{code} {out}");
    // A weaker reason lifts nothing.
    fs::write(&file, "address,channel,reason\n+16075550100,sms,unsubscribe\n").unwrap();
    let again = agent.json(&["suppress", "import", path, "--apply"]);
    assert_eq!((&again["added"], &again["kept"]), (&json!(0), &json!(1)));

    let (_, csv, _) = agent.cli(&["suppress", "export"]);
    assert!(
        csv.starts_with("channel,address,reason,at\nsms,+16075550100,sms_stop,")
            && csv.ends_with("email,a@example.org,hard_bounce,2026-01-02T03:04:05Z\n"),
        "{csv}"
    );
    let listed = agent.json(&["suppress", "list", "--reason", "hard_bounce", "--find", "A@EXA"]);
    assert_eq!(listed["suppressions"].as_array().unwrap().len(), 1);
    assert_eq!(agent.json(&["suppress", "list", "--channel", "push"])["suppressions"], json!([]));
    let first = agent.json(&["suppress", "list", "--limit", "1"]);
    assert_eq!((first["suppressions"].as_array().unwrap().len(), first["next"].is_string()), (1, true));
    let out = agent.data().with_file_name("out.csv");
    agent.json(&["suppress", "export", "--out", out.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(out).unwrap(), csv, "all pages of it");
}

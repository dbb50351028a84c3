//! What providers tell of messages: verified to the letter, acted on once, and nothing kept of a forgery.

use crate::agent::{Agent, Answer, KEY, PATIENCE, Setup, sale, until};
use crate::stub::Stub;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::hmac;
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

const PHONE: &str = "+12125550101";
const PUBLIC: &str = "https://pos.cmart.example";

/// Mailgun and Twilio that take everything.
fn providers() -> Stub {
    Stub::start(|asked| {
        Some(match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", path) if path.ends_with("/Messages.json") => (201, json!({"sid": "SM0001", "status": "queued", "num_segments": "1"})),
            ("GET", path) if path.contains("/Messages.json") => (200, json!({"messages": [], "next_page_uri": null})),
            ("POST", path) if path.ends_with("/messages") => (200, json!({"id": "<m1@mg.cmart.example>", "message": "Queued. Thank you."})),
            ("GET", path) if path.contains("/events") => (200, json!({"items": [], "paging": {}})),
            _ => (404, json!({})),
        })
    })
}

fn setup(stub: &Stub) -> Setup {
    let base = format!("base_url = \"http://127.0.0.1:{}\"\n", stub.port);
    let mail =
        format!("type = \"mailgun\"\n{base}api_key = \"k\"\ndomain = \"mg.cmart.example\"\ncallback = {{ signing_key = \"canary\" }}");
    let texts = format!(
        "type = \"twilio\"\n{base}account_sid = \"AC0123456789abcdef0123456789abcdef\"\nauth_token = \"12345\"\ncallback = {{ shared_key = \"shared\" }}"
    );
    Setup::silent()
        .set("http", &format!("public_url = \"{PUBLIC}\""))
        .set("providers.mail", &mail)
        .set("providers.texts", &texts)
        .set("channels.email", "from = \"Corner Mart <receipts@cmart.example>\"\nproviders = [\"mail\"]")
        .set("channels.sms", "from = \"+12125550199\"\nproviders = [\"texts\"]")
}

fn seconds() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A call of Mailgun, signed at a moment with a token.
fn mailgun(at: i64, token: &str, data: &Value) -> Value {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"canary");
    let code: String = hmac::sign(&key, format!("{at}{token}").as_bytes()).as_ref().iter().map(|b| format!("{b:02x}")).collect();
    json!({"signature": {"timestamp": at.to_string(), "token": token, "signature": code}, "event-data": data})
}

fn event(step: &str, id: &str, event: &str, more: &Value) -> Value {
    let mut data = json!({"event": event, "id": id, "recipient": "lee@example.org", "timestamp": seconds(), "user-variables": {"tp_id": step},
        "message": {"headers": {"message-id": "m1@mg.cmart.example"}}});
    for (name, value) in more.as_object().unwrap() {
        data[name] = value.clone();
    }
    data
}

fn call(agent: &Agent, path: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
    let all = [&[("Host", "pos.cmart.example")], headers].concat();
    agent.line.ask("POST", path, &all, body.as_bytes(), PATIENCE).expect("an answer")
}

fn tell(agent: &Agent, body: &Value) -> u16 {
    call(agent, "/callbacks/mail", &body.to_string(), &[("Content-Type", "application/json")]).status
}

/// A call of Twilio, signed in the old or in the new way.
fn twilio(agent: &Agent, query: &str, fields: &[(&str, &str)], new: bool) -> Answer {
    let path = format!("/callbacks/texts{query}");
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let text: String = sorted.iter().map(|(name, value)| format!("{name}{value}")).collect();
    let (algorithm, key) = if new { (hmac::HMAC_SHA256, "shared") } else { (hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, "12345") };
    let code = hmac::sign(&hmac::Key::new(algorithm, key.as_bytes()), format!("{PUBLIC}{path}{text}").as_bytes());
    let signature = BASE64_STANDARD.encode(code);
    let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded"), ("X-Twilio-Signature", signature.as_str())];
    if new {
        headers.push(("X-Twilio-Webhooks-Signature-Settings", "key=k1,algorithm=HMAC_SHA256"));
    }
    let percent = |text: &str| {
        text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect::<String>()
    };
    let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
    call(agent, &path, &body.join("&"), &headers)
}

/// A sale whose receipt the stub took; gives our id of the delivery.
fn mailed(agent: &Agent, stub: &Stub, number: &str, sale: &Value) -> String {
    let before = stub.asked("POST", "/messages").len();
    agent.sold(sale);
    until("it is accepted", || (agent.state(number) == "accepted").then_some(()));
    stub.asked("POST", "/messages").get(before).expect("a mail").step()
}

fn suppressed(agent: &Agent) -> Vec<(String, String)> {
    let list = agent.json(&["suppress", "list"]);
    let rows = list["suppressions"].as_array().unwrap().iter();
    rows.map(|row| (row["address"].as_str().unwrap().to_owned(), row["reason"].as_str().unwrap().to_owned())).collect()
}

fn raw_events(agent: &Agent) -> Vec<Value> {
    let list = agent.json(&["event", "list"]);
    list["events"].as_array().unwrap().iter().filter(|e| e["type"] == "callback").cloned().collect()
}

#[test]
fn a_mail_that_arrived_is_known_to_have_and_a_repeat_changes_nothing() {
    let stub = providers();
    let agent = setup(&stub).start();
    let step = mailed(&agent, &stub, "R-1", &sale("R-1", "lee@example.org"));
    assert_eq!(tell(&agent, &mailgun(seconds(), "t1", &event(&step, "e1", "delivered", &json!({})))), 200);
    assert_eq!(agent.state("R-1"), "delivered");
    assert_eq!(raw_events(&agent).len(), 1);
    // The same event in another call, as Mailgun repeats it: its token is new.
    assert_eq!(tell(&agent, &mailgun(seconds(), "t2", &event(&step, "e1", "delivered", &json!({})))), 200);
    assert_eq!(raw_events(&agent).len(), 1, "a repeat is not kept again");
    // Nobody's message: kept with the reason.
    let foreign = json!({"user-variables": {}, "message": {"headers": {"message-id": "other@mg"}}, "recipient": "kim@example.org"});
    assert_eq!(tell(&agent, &mailgun(seconds(), "t3", &event("", "e2", "delivered", &foreign))), 200);
    let kept = raw_events(&agent);
    assert_eq!((kept.len(), &kept[0]["reason"], &kept[0]["source"]), (2, &json!("unknown_message"), &json!("mail")));
    // By the provider's own id, without ours.
    let by_theirs = event("", "e3", "complained", &json!({"user-variables": {}}));
    assert_eq!(tell(&agent, &mailgun(seconds(), "t4", &by_theirs)), 200);
    assert_eq!(agent.state("R-1"), "complained");
    assert_eq!(suppressed(&agent), [("lee@example.org".to_owned(), "complaint".to_owned())]);
    // Whoever asks to be forgotten goes out of what providers told, too.
    let raw = |agent: &Agent| {
        let events = raw_events(agent);
        events.iter().map(|e| agent.json(&["event", "show", &e["seq"].to_string()])["raw"].to_string()).collect::<String>()
    };
    assert!(raw(&agent).contains("lee@example.org"));
    let data = json!({"email": "lee@example.org"});
    let request = json!({"type": "contact.erasure_requested", "id": "x1", "time": now_rfc3339(), "subject": "lee", "data": data});
    let key = format!("Bearer {KEY}");
    let answer = agent.line.post("/v1/events", request.to_string().as_bytes(), &[("Authorization", &key)]).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(!raw(&agent).contains("lee@example.org") && raw(&agent).contains("kim@example.org"), "{}", raw(&agent));
    let metrics = agent.get("/metrics").body;
    for line in
        [r#"{provider="mail",result="accepted"} 2"#, r#"{provider="mail",result="duplicate"} 1"#, r#"{provider="mail",result="unknown"} 1"#]
    {
        assert!(metrics.contains(&format!("tillpost_webhook_requests_total{line}")), "{line}: {metrics}");
    }
}

#[test]
fn a_bounce_blocks_the_address_and_the_next_channel_takes_over() {
    let stub = providers();
    let agent = setup(&stub).start();
    let mut both = sale("R-1", "lee@example.org");
    both["customer"]["phone"] = PHONE.into();
    both["receipt_date_time"] = now_rfc3339().into();
    let step = mailed(&agent, &stub, "R-1", &both);
    let bounce = event(&step, "e1", "failed", &json!({"severity": "permanent", "reason": "bounce"}));
    assert_eq!(tell(&agent, &mailgun(seconds(), "t1", &bounce)), 200);
    assert_eq!(suppressed(&agent), [("lee@example.org".to_owned(), "hard_bounce".to_owned())]);
    let text = until("a text", || stub.asked("POST", "/Messages.json").into_iter().next());
    assert!(text.body.contains("To=%2B12125550101"), "{text:?}");
    assert!(text.body.contains("StatusCallback=https%3A%2F%2Fpos.cmart.example%2Fcallbacks%2Ftexts%3Ftp_id%3Dtp_"), "{text:?}");
    until("it is accepted", || (agent.state("R-1") == "accepted").then_some(()));
    // The text's own report, by the id that travels in the URL.
    let fields = [("MessageSid", "SM0001"), ("MessageStatus", "delivered"), ("To", PHONE)];
    let answer = twilio(&agent, &format!("?tp_id={}", text.step()), &fields, false);
    assert_eq!((answer.status, answer.body.as_str(), answer.headers["content-type"].as_str()), (200, "<Response/>", "text/xml"));
    assert_eq!(agent.state("R-1"), "delivered");
    assert!(agent.get("/metrics").body.contains("tillpost_bounce_handling_seconds_count 1"));
}

#[test]
fn stop_by_either_signature_ends_the_texts_and_start_begins_them_anew() {
    let stub = providers();
    let agent = setup(&stub).start();
    let said = |sid: &str, text: &str, new: bool| {
        let fields = [("MessageSid", sid), ("SmsStatus", "received"), ("From", PHONE), ("To", "+12125550199"), ("Body", text)];
        twilio(&agent, "", &fields, new).status
    };
    assert_eq!(said("SM1", "Stop", false), 200);
    assert_eq!(suppressed(&agent), [(PHONE.to_owned(), "sms_stop".to_owned())]);
    assert_eq!(said("SM2", "start", true), 200);
    assert_eq!(suppressed(&agent), []);
    assert_eq!(said("SM1", "Stop", false), 200, "a repeat of the first");
    assert_eq!(suppressed(&agent), [], "what was said since stands");
    assert_eq!(said("SM3", "STOP", true), 200);
    assert_eq!(suppressed(&agent).len(), 1);
}

#[test]
fn what_is_forged_altered_replayed_or_stale_is_refused_and_leaves_nothing() {
    let stub = providers();
    let agent = setup(&stub).start();
    let step = mailed(&agent, &stub, "R-1", &sale("R-1", "lee@example.org"));
    let bounce = event(&step, "e1", "failed", &json!({"severity": "permanent", "reason": "bounce"}));
    let mut forged = mailgun(seconds(), "t1", &bounce);
    forged["signature"]["token"] = "t2".into();
    assert_eq!(tell(&agent, &forged), 401, "altered");
    assert_eq!(tell(&agent, &json!({"event-data": bounce})), 401, "unsigned");
    assert_eq!(tell(&agent, &mailgun(seconds() - 86_400, "t3", &bounce)), 401, "stale");
    assert_eq!(tell(&agent, &mailgun(seconds(), "t4", &json!(7))), 400, "unreadable");
    let fields = [("MessageSid", "SM1"), ("SmsStatus", "received"), ("From", PHONE), ("Body", "STOP")];
    let unsigned = call(&agent, "/callbacks/texts", "MessageSid=SM1&SmsStatus=received&From=%2B12125550101&Body=STOP", &[]);
    assert_eq!(unsigned.status, 401);
    for path in ["/callbacks/nobody", "/callbacks/test-inbox"] {
        assert_eq!(call(&agent, path, "{}", &[]).status, 404, "{path}");
    }
    assert_eq!((suppressed(&agent), raw_events(&agent)), (Vec::new(), Vec::new()));
    assert_eq!(agent.state("R-1"), "accepted");

    let good = mailgun(seconds(), "t5", &event(&step, "e2", "delivered", &json!({})));
    assert_eq!((tell(&agent, &good), tell(&agent, &good)), (200, 401), "a token counts once");
    // Mailgun signs no event: with the token of another a forger would get no further.
    let mut other = good.clone();
    other["event-data"] = bounce;
    assert_eq!(tell(&agent, &other), 401);
    assert_eq!((suppressed(&agent).len(), agent.state("R-1").as_str()), (0, "delivered"));
    assert_eq!(twilio(&agent, "", &fields, true).status, 200, "the signed one is taken");
    let metrics = agent.get("/metrics").body;
    for (word, n) in [("signature_wrong", 1), ("signature_missing", 1), ("stale", 1), ("malformed", 1), ("replayed", 2)] {
        assert!(metrics.contains(&format!("{{provider=\"mail\",result=\"{word}\"}} {n}")), "{word}: {metrics}");
    }
}

#[test]
fn after_a_lost_answer_the_provider_is_asked_before_anything_goes_out() {
    let stub = providers();
    let agent = setup(&stub).set("routing", "lookup_delay = \"0 s\"").start();
    // Its answer is lost, and it cannot say what it has.
    stub.answers(|asked| (asked.method != "POST").then(|| (500, json!({"message": "later"}))));
    agent.sold(&sale("R-1", "lee@example.org"));
    until("it is asked", || (!stub.asked("GET", "recipient=lee").is_empty()).then_some(()));
    assert_eq!(agent.state("R-1"), "uncertain");
    assert_eq!(stub.asked("POST", "/messages").len(), 1, "nothing else went out");
}

#[test]
fn what_is_certainly_absent_goes_again_under_its_id() {
    let stub = providers();
    let agent = setup(&stub).set("routing", "lookup_delay = \"0 s\"").start();
    let lost = AtomicBool::new(false);
    stub.answers(move |asked| match asked.method.as_str() {
        "POST" if !lost.swap(true, Ordering::SeqCst) => None,
        "POST" => Some((200, json!({"id": "<m2@mg>", "message": "Queued. Thank you."}))),
        _ => Some((200, json!({"items": []}))),
    });
    agent.sold(&sale("R-1", "lee@example.org"));
    until("it is accepted", || (agent.state("R-1") == "accepted").then_some(()));
    let posts = stub.asked("POST", "/messages");
    assert_eq!((posts.len(), posts[0].step()), (2, posts[1].step()));
    assert_eq!(stub.asked("GET", "recipient=lee").len(), 1, "asked once, before the second");
}

#[test]
fn what_the_provider_has_is_not_sent_again() {
    let stub = providers();
    let agent = setup(&stub).set("routing", "lookup_delay = \"0 s\"").start();
    let step = Mutex::new(String::new());
    stub.answers(move |asked| {
        if asked.method == "POST" {
            *step.lock().unwrap() = asked.step();
            return None;
        }
        let item = json!({"event": "accepted", "user-variables": {"tp_id": *step.lock().unwrap()}, "message": {"headers": {"message-id": "m9@mg"}}});
        Some((200, json!({"items": [item]})))
    });
    agent.sold(&sale("R-1", "lee@example.org"));
    until("it is found", || (agent.state("R-1") == "accepted").then_some(()));
    assert_eq!(stub.asked("POST", "/messages").len(), 1);
    // Its report comes by the id that the look-up told.
    let delivered = json!({"user-variables": {}, "message": {"headers": {"message-id": "m9@mg"}}});
    assert_eq!(tell(&agent, &mailgun(seconds(), "t1", &event("", "e1", "delivered", &delivered))), 200);
    assert_eq!(agent.state("R-1"), "delivered");
}

#[test]
fn a_box_that_nobody_can_call_asks() {
    let stub = Stub::start(|asked| {
        Some(match asked.method.as_str() {
            "POST" if asked.path.ends_with("/Messages.json") => (201, json!({"sid": "SM0001", "status": "queued"})),
            "POST" => (200, json!({"ErrorCode": 0, "MessageID": "m1", "Message": "OK"})),
            _ if asked.path.contains("/Messages.json") => (200, json!({"messages": []})),
            _ => (200, json!({"Bounces": [], "Suppressions": []})),
        })
    });
    let base = format!("base_url = \"http://127.0.0.1:{}\"\n", stub.port);
    let texts = format!("type = \"twilio\"\n{base}account_sid = \"AC0123456789abcdef0123456789abcdef\"\nauth_token = \"12345\"");
    let mut agent = Setup::silent()
        .set("providers.mail", &format!("type = \"postmark\"\n{base}server_token = \"t\""))
        .set("providers.texts", &texts)
        .set("channels.email", "from = \"Corner Mart <receipts@cmart.example>\"\nproviders = [\"mail\"]")
        .set("channels.sms", "from = \"+12125550199\"\nproviders = [\"texts\"]")
        .start();
    let mut both = sale("R-1", "lee@example.org");
    both["customer"]["phone"] = PHONE.into();
    both["receipt_date_time"] = now_rfc3339().into();
    agent.sold(&both);
    until("it is accepted", || (agent.state("R-1") == "accepted").then_some(()));
    until("each list was asked for", || (stub.asked("GET", "/dump").len() >= 2).then_some(()));

    // The mail bounced, the text that follows is delivered, and somebody answers STOP. It asks when it starts.
    stub.answers(|asked| {
        let text = |sid: &str, direction: &str, status: &str| {
            json!({"sid": sid, "direction": direction, "status": status, "body": "Stop", "from": "+12125550102", "to": PHONE,
                "error_code": null, "date_updated": null, "date_sent": null})
        };
        let gone = json!([{"EmailAddress": "lee@example.org", "SuppressionReason": "HardBounce", "CreatedAt": now_rfc3339()}]);
        Some(match asked.method.as_str() {
            "POST" => (201, json!({"sid": "SM0001", "status": "queued"})),
            _ if asked.path.contains("/Messages.json") => {
                (200, json!({"messages": [text("SM0001", "outbound-api", "delivered"), text("SM9", "inbound", "received")]}))
            }
            _ if asked.path.contains("outbound") => (200, json!({"Suppressions": gone})),
            _ => (200, json!({"Bounces": [], "Suppressions": []})),
        })
    });
    agent.stop();
    agent.start();
    until("a text", || stub.asked("POST", "/Messages.json").into_iter().next());
    until("both are blocked", || (suppressed(&agent).len() == 2).then_some(()));
    let all = suppressed(&agent);
    assert!(
        all.contains(&("lee@example.org".into(), "hard_bounce".into())) && all.contains(&("+12125550102".into(), "sms_stop".into())),
        "{all:?}"
    );
    until("it is accepted", || ["accepted", "delivered"].contains(&agent.state("R-1").as_str()).then_some(()));
    agent.stop();
    agent.start();
    until("it is delivered", || (agent.state("R-1") == "delivered").then_some(()));
    assert_eq!(stub.asked("POST", "/Messages.json").len(), 1, "a bounce that is listed again sends nothing again");
}

#[test]
fn accounts_are_tested_paused_and_resumed() {
    let stub = providers();
    stub.answers(|asked| {
        Some(match asked.path.as_str() {
            path if path.contains("/domains/") => (200, json!({"domain": {"state": "active"}})),
            path if path.ends_with(".json") && path.contains("/Accounts/AC") && !path.contains("Messages") => {
                (401, json!({"code": 20003, "message": "Authenticate"}))
            }
            _ if asked.method == "POST" => (200, json!({"id": "<m1@mg>", "message": "Queued. Thank you."})),
            _ => (200, json!({"items": [], "messages": []})),
        })
    });
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let relay = format!("type = \"smtp\"\nhost = \"127.0.0.1\"\nport = {closed}\ntls = \"none\"");
    let agent = setup(&stub).set("providers.relay", &relay).start();
    let list = agent.json(&["provider", "list"]);
    assert_eq!(list["providers"][0]["callback_url"], format!("{PUBLIC}/callbacks/mail"));

    let (code, said, _) = agent.cli(&["provider", "test", "mail"]);
    assert!(code == 0 && said.contains("login    ok"), "{said}");
    assert!(stub.asked("POST", "/messages").is_empty(), "nothing is sent without an address");
    let (code, said, _) = agent.cli(&["provider", "test", "mail", "--to", "kim@example.org"]);
    assert!(code == 0 && said.contains("message  ok") && !said.contains("kim@"), "{said}");
    assert_eq!(stub.asked("POST", "/messages").len(), 1);
    let (code, said, _) = agent.cli(&["provider", "test", "texts"]);
    assert!(code == 1 && said.contains("login    FAILED") && said.contains("fix: check key"), "{said}");
    let (code, said, _) = agent.cli(&["provider", "test", "relay"]);
    assert!(code == 1 && said.contains("tcp      FAILED") && said.contains("refuses the connection"), "{said}");
    assert_eq!(agent.cli(&["provider", "test", "nobody"]).0, 5);
    assert_eq!(agent.cli(&["provider", "test", "mail", "--to", PHONE]).0, 3, "it sends no texts");
    assert_eq!(agent.cli(&["provider", "probe"]).0, 7, "some work");
    assert_eq!(agent.cli(&["provider", "probe", "mail"]).0, 0);

    // Paused, also over a restart; then nothing goes there, and afterwards what waited.
    let mut agent = agent;
    assert_eq!(agent.cli(&["provider", "pause", "mail"]).0, 0);
    agent.stop();
    agent.start();
    assert_eq!(agent.json(&["provider", "list"])["providers"][0]["state"], "paused");
    agent.sold(&sale("R-1", "lee@example.org"));
    let mut now = sale("R-2", PHONE);
    now["receipt_date_time"] = now_rfc3339().into(); // whoever has just paid is texted at any hour
    agent.sold(&now);
    until("the text is tried", || (!stub.asked("POST", "/Messages.json").is_empty()).then_some(()));
    assert_eq!((agent.state("R-1").as_str(), stub.asked("POST", "/messages").len()), ("ready", 1));
    assert_eq!(agent.cli(&["provider", "resume", "mail"]).0, 0);
    until("it is accepted", || (agent.state("R-1") == "accepted").then_some(()));
}

fn now_rfc3339() -> String {
    tillpost::domain::time::UnixMs(seconds() * 1000).rfc3339()
}

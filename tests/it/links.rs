//! What stands behind a receipt's link: for whoever has it, and nothing for whoever guesses.

use crate::agent::{self, Setup};
use crate::inside::{Running, sale};
use tillpost::app::Outside;
use tillpost::domain::ids::ReceiptId;
use tillpost::domain::time::UnixMs;
use tillpost::domain::token::{Mark, token};
use tillpost::sys::clock::{Clock, SystemClock};
use tillpost::sys::device_key::DeviceKey;

fn now() -> UnixMs {
    SystemClock::new(true).now().wall
}

/// A token of this box for a receipt of that moment.
fn token_of(shop: &Running, at_ms: i64) -> String {
    let key = std::fs::read(shop.data().join("keys/device.key")).unwrap();
    token(DeviceKey::new(key.try_into().unwrap()).links(), Mark::of(&ReceiptId::new(at_ms, [9; 10])))
}

#[test]
fn a_link_opens_its_receipt_without_a_key() {
    let shop = Running::start(Outside::default());
    let id = shop.sell(&sale("1-1288", 1247, "lee@example.org"));
    let link = shop.api(&format!("/v1/receipts/{id}/link"));
    let token = link["token"].as_str().unwrap();
    assert!(link["url"].is_null() && link["lan_url"].is_null(), "this one listens to itself only: {link}");
    assert_eq!((&link["published"], &link["receipt_id"]), (&false.into(), &id.as_str().into()));
    assert!(link["viewer_fragment"].as_str().unwrap().len() > 100);

    let page = shop.get(&format!("/t/{token}"));
    assert_eq!(page.status, 200, "{}", page.body);
    for word in ["1-1288", "12.47", "Rye &lt;b&gt;bread"] {
        assert!(page.body.contains(word), "{word}");
    }
    assert!(page.header("x-robots-tag").contains("noindex") && page.body.contains("noindex"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!((page.header("referrer-policy"), page.header("cache-control")), ("no-referrer", "no-store"));
    assert!(!page.body.contains("src=\"http") && !page.body.contains("<script"), "nothing of third parties");
    assert!(shop.get(&format!("/r/{id}")).body.replace("&#x2f;", "/").contains(&format!("href=\"/t/{token}\"")));
    assert_eq!(shop.ask("GET", &format!("/v1/receipts/{id}/link"), &[], "").status, 401);
    assert_eq!(shop.get(&format!("/t/{token}/link")).status, 404, "nothing else by it");
}

#[test]
fn guesses_lead_nowhere_and_soon_not_even_there() {
    let shop = Running::start(Outside::default());
    let id = shop.sell(&sale("1-1288", 1247, ""));
    let good = shop.api(&format!("/v1/receipts/{id}/link"))["token"].as_str().unwrap().to_owned();
    let long_ago = token_of(&shop, now().0 - 200 * 86_400_000);
    let past = shop.get(&format!("/t/{long_ago}"));
    assert_eq!(past.status, 410);
    assert!(past.body.contains("ask the shop") && past.body.contains("Corner Mart"), "{}", past.body);
    for n in 0..19 {
        let bad = if n % 2 == 0 { "junk".to_owned() } else { token_of(&shop, 4_000_000_000_000 + n) };
        let page = shop.get(&format!("/t/{bad}"));
        assert_eq!(page.status, 404, "{bad}");
        assert!(page.body.contains("There is no receipt here") && !page.body.contains("<script"), "{}", page.body);
    }
    let stopped = shop.get(&format!("/t/{good}"));
    assert_eq!((stopped.status, stopped.header("retry-after")), (429, "60"));
    assert_eq!(shop.get("/r").status, 200, "only links are stopped");
}

#[test]
fn the_viewer_knows_nobody() {
    let shop = Running::start(Outside::default());
    let page = shop.get("/v");
    let policy = page.header("content-security-policy");
    assert!(page.status == 200 && policy.contains("script-src 'sha256-") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(page.body.contains("noindex"));
}

#[test]
fn a_text_carries_a_link_that_leads_somewhere() {
    let agent = Setup::silent()
        .set("providers.inbox", "type = \"capture\"")
        .set("providers.host", "type = \"publish\"\ndir = \"pages\"")
        .set("channels.sms", "from = \"+16075550199\"\nproviders = [\"inbox\"]")
        .set("channels.publish", "host = \"r.cmart.example\"\nproviders = [\"host\"]")
        .start();
    let mut fresh = agent::sale("R-900", "+16075550100");
    fresh["receipt_date_time"] = now().rfc3339().into(); // no quiet hours for who stands at the till
    let id = agent.sold(&fresh);
    let link = agent.get(&format!("/v1/receipts/{id}/link")).json();
    let (token, url) = (link["token"].as_str().unwrap(), link["url"].as_str().unwrap());
    assert_eq!(url, format!("https://r.cmart.example/{token}"));
    agent::until("the text is there", || (agent.state("R-900") == "accepted").then_some(()));
    let list = agent.json(&["outbox", "list"]);
    let texts: Vec<&str> = list["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|d| d["channel"] == "sms")
        .map(|d| d["delivery_id"].as_str().unwrap())
        .collect();
    let shown = agent.json(&["outbox", "show", texts[0]]);
    assert!(texts.len() == 1 && shown["content"]["text"].as_str().unwrap().contains(url), "{shown}");
    let page = std::fs::read_to_string(agent.data().with_file_name("pages").join(format!("{token}.html"))).unwrap();
    assert!(page.contains("R-900") && page.contains("noindex") && !page.contains("<script"), "{page}");
    assert_eq!(agent.get(&format!("/v1/receipts/{id}/link")).json()["published"], true);
    let here = agent.line.ask("GET", &format!("/t/{token}"), &[("Host", "r.cmart.example")], b"", agent::PATIENCE).unwrap();
    assert!(here.status == 200 && here.body.contains("R-900"), "the same token on the box");
    let (_, said, _) = agent.cli(&["explain", &id]);
    assert!(said.contains("The page behind the receipt's link"), "{said}");
}

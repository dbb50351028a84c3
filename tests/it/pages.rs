//! The pages for people, as a browser without a script sees them.

use crate::inside::{Reply, Running, sale};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use tillpost::app::Outside;
use tillpost::dispatch::run::{Courier, Sending};
use tillpost::domain::content::Outgoing;
use tillpost::domain::outcome::{Class, Outcome, Scope};
use tillpost::domain::time::UnixMs;
use tillpost::providers::capture::Capture;
use tillpost::web::pages::Demo;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The outside that a test unplugs.
#[derive(Default)]
struct World {
    unplugged: AtomicBool,
    broken: AtomicBool,
    rung: AtomicU32,
}

impl Demo for World {
    fn state(&self) -> (bool, bool) {
        (!self.unplugged.load(Ordering::SeqCst), !self.broken.load(Ordering::SeqCst))
    }
    fn set_line(&self, up: bool) {
        self.unplugged.store(!up, Ordering::SeqCst);
    }
    fn set_provider(&self, good: bool) {
        self.broken.store(!good, Ordering::SeqCst);
    }
    fn ring_up(&self) {
        self.rung.fetch_add(1, Ordering::SeqCst);
    }
}

struct Carries(Arc<World>);

impl Courier for Carries {
    fn send<'a>(&'a self, _: &'a str, message: &'a Outgoing, _: UnixMs) -> Sending<'a, Outcome> {
        Box::pin(async move {
            match self.0.state() {
                (false, _) => Outcome::new(Class::Offline, Scope::Line, "no line"),
                (_, false) => Outcome::new(Class::Retry, Scope::Account, "503"),
                _ => Capture.send(message),
            }
        })
    }
    fn probe(&self) -> Sending<'_, bool> {
        Box::pin(async move { self.0.state().0 })
    }
}

fn shop() -> Running {
    Running::start(Outside { courier: Some(Arc::new(Carries(Arc::default()))), demo: None, sources: None })
}

fn demo() -> (Running, Arc<World>) {
    let world = Arc::new(World::default());
    (Running::start(Outside { courier: Some(Arc::new(Carries(world.clone()))), demo: Some(world.clone()), sources: None }), world)
}

/// The token in a page's forms.
fn token(page: &Reply) -> String {
    between(&page.body, "name=\"token\" value=\"", "\"").to_owned()
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map(|(found, _)| found).unwrap_or_else(|| panic!("no {from} in {text}"))
}

fn good(page: &Reply) {
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(page.header("content-security-policy"), POLICY);
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.body.matches("<h1").count(), 1);
    assert!(page.body.contains("<html lang=\"en\">") && page.body.contains("href=\"#main\"") && page.body.contains("role=\"status\""));
    assert!(
        !page.body.contains("<style")
            && !page.body.contains(" style=\"")
            && !page.body.contains("<script>")
            && !page.body.contains("=\"http")
    );
}

#[test]
fn every_page_opens() {
    let (shop, _) = demo();
    good(&shop.until("/inbox", "Nothing was caught yet"));
    good(&shop.get("/r"));
    let id = shop.sell(&sale("1-1288", 1247, "lee@example.org"));
    shop.sell(&sale("1-1289", 300, ""));
    let page = shop.until("/inbox", "Receipt 1-1288");
    good(&page);
    let mail = between(&page.body, "<iframe src=\"", "/mail.html").to_owned();
    for part in ["", "/text", "/headers", "/source"] {
        good(&shop.get(&format!("{mail}{part}")));
    }
    for path in [
        "/r",
        "/outbox",
        "/outbox?state=accepted&channel=email&provider=inbox",
        "/about",
        "/demo",
        "/demo?tab=text",
        "/demo?tab=sms",
        "/demo?tab=source",
    ] {
        good(&shop.get(path));
    }
    good(&shop.get(&format!("/r/{id}")));
    good(&shop.get(&format!("/r/{id}/send")));
    for frame in [format!("/r/{id}/receipt.html"), format!("{mail}/mail.html")] {
        let shown = shop.get(&frame);
        assert!(shown.header("content-security-policy").ends_with("sandbox"), "{shown:?}");
        assert!(shown.body.contains("Rye &lt;b&gt;bread"), "what a till writes is no markup");
    }
    assert_eq!(shop.get("/").header("location"), "/demo");
    assert!(shop.get("/r/last").header("location").starts_with("/r/"));
    assert_eq!(shop.get("/r/nothing").status, 404);
}

#[test]
fn what_lies_beside_a_page_is_packed_and_kept() {
    let shop = shop();
    let page = shop.get("/r");
    for asset in [between(&page.body, "rel=\"stylesheet\" href=\"", "\""), between(&page.body, "script src=\"", "\""), "/favicon.ico"] {
        let file = shop.get(asset);
        assert_eq!((file.status, file.header("content-encoding")), (200, "gzip"), "{asset}");
        assert!(asset == "/favicon.ico" || file.header("cache-control").contains("immutable"));
    }
    assert_eq!(shop.get("/assets/other.css").status, 404);
    assert_eq!(shop.get("/demo").status, 404, "only a demo has its page");
    assert_eq!(shop.get("/").header("location"), "/r");
}

#[test]
fn a_search_finds_or_says_what_it_searched() {
    let shop = shop();
    assert!(shop.get("/r").body.contains("No sales yet"));
    shop.sell(&sale("1-1288", 1247, "lee@example.org"));
    shop.sell(&sale("1-1300", 500, ""));
    for q in ["1-1288", "288", "12.47", "12%2C47", "lee@"] {
        assert!(shop.get(&format!("/r?q={q}")).body.contains("1-1288"), "{q}");
    }
    let page = shop.get("/r?q=12.47");
    assert!(
        page.body.contains("$12.47")
            && page.body.contains("l***@example.org")
            && !page.body.contains("lee@example.org")
            && !page.body.contains("1-1300")
    );
    assert!(shop.get("/r?q=1-1300").body.contains("No address given"));
    let none = shop.get("/r?q=zzz&till=front").body;
    assert!(none.contains("Nothing found") && none.contains("zzz") && none.contains("Search all tills"));
}

#[test]
fn a_form_must_come_from_our_own_page() {
    let shop = shop();
    let id = shop.sell(&sale("1-1", 900, "lee@example.org"));
    let token = token(&shop.get(&format!("/r/{id}")));
    let (path, fields, kind) = (format!("/r/{id}/again"), format!("token={token}"), ("Content-Type", "application/x-www-form-urlencoded"));
    let own = format!("http://{}", shop.address);
    for origin in [None, Some("null"), Some("http://evil.example"), Some("http://127.0.0.1:1")] {
        let headers: Vec<_> = origin.map(|o| ("Origin", o)).into_iter().chain([kind]).collect();
        assert_eq!(shop.ask("POST", &path, &headers, &fields).status, 403, "{origin:?}");
    }
    let cross = [("Origin", own.as_str()), ("Sec-Fetch-Site", "cross-site"), kind];
    assert_eq!(shop.ask("POST", &path, &cross, &fields).status, 403);
    assert_eq!(shop.post(&path, "token=guess").status, 403);
    assert_eq!(shop.post(&path, "").status, 403);
    assert_eq!(shop.post(&path, &fields).status, 303);
}

#[test]
fn send_again_waits_and_can_be_undone() {
    let shop = shop();
    let id = shop.sell(&sale("1-1", 900, "lee@example.org"));
    let token = token(&shop.until(&format!("/r/{id}"), "Caught in test inbox"));
    let sent = shop.post(&format!("/r/{id}/again"), &format!("token={token}"));
    assert_eq!(sent.status, 303);
    let after = shop.get(sent.header("location"));
    good(&after);
    assert!(after.body.contains("Goes to l***@example.org in a moment") && after.body.contains("Saved, waiting to send"), "{}", after.body);
    let m = between(&after.body, "name=\"m\" value=\"", "\"");
    let twice = shop.post(&format!("/r/{id}/again"), &format!("token={token}"));
    assert_eq!(twice.header("location"), sent.header("location"), "two presses are one");
    let undone = shop.post(&format!("/r/{id}/undo"), &format!("token={token}&m={m}"));
    assert_eq!(undone.status, 303);
    assert!(shop.get(undone.header("location")).body.contains("Undone: nothing goes to l***@example.org."));
    assert_eq!(shop.post(&format!("/r/{id}/undo"), &format!("token={token}&m={m}")).status, 303, "too late is no error");
    let anew = shop.post(&format!("/r/{id}/again"), &format!("token={token}"));
    assert_ne!(anew.header("location"), sent.header("location"), "after an undo it can be pressed anew");
}

#[test]
fn another_address_is_read_or_explained() {
    let shop = shop();
    let id = shop.sell(&sale("1-1", 900, ""));
    let page = shop.get(&format!("/r/{id}"));
    assert!(page.body.contains("Add address"));
    let form = shop.get(&format!("/r/{id}/send?to=jo%40example.org"));
    assert!(form.body.contains("value=\"jo@example.org\"") && form.body.contains("inputmode=\"email\""));
    let token = token(&form);
    let path = format!("/r/{id}/send");
    let wrong = shop.post(&path, &format!("token={token}&channel=email&address=jo.example"));
    assert!(wrong.status == 200 && wrong.body.contains("This is neither an e-mail address") && wrong.body.contains("value=\"jo.example\""));
    let right = shop.post(&path, &format!("token={token}&channel=email&address=+jo%40example.org+"));
    assert!(shop.get(right.header("location")).body.contains("Goes to j***@example.org"));
    let text = shop.post(&path, &format!("token={token}&channel=sms&address=%28607%29+555-0100"));
    assert!(shop.get(text.header("location")).body.contains("+16***100"));
}

#[test]
fn an_outage_is_told_and_the_outbox_keeps() {
    let (shop, world) = demo();
    let token = token(&shop.get("/demo"));
    assert_eq!(shop.post("/demo/line", &format!("token={token}&up=0")).status, 303);
    shop.sell(&sale("1-1", 900, "lee@example.org"));
    shop.sell(&sale("1-2", 800, "jo@example.org"));
    shop.until("/r", "No internet since");
    let page = shop.until("/demo", "Plug back in");
    assert!(
        page.body.contains("2 receipts are saved and will go out by themselves.") && page.body.contains("Saved, waiting for internet"),
        "{}",
        page.body
    );
    let outbox = shop.get("/outbox?state=ready");
    let act = between(&outbox.body, "formaction=\"/outbox/", "/hold\"").to_owned();
    let held = shop.post(&format!("/outbox/{act}/hold"), &format!("token={token}&state=held"));
    assert_eq!((held.status, held.header("location")), (303, "/outbox?state=held"));
    assert!(shop.get("/outbox?state=held").body.contains("On hold (by cashier)"));
    assert_eq!(shop.post("/demo/line", &format!("token={token}&up=1")).status, 303);
    shop.until("/demo", "Internet is back.");
    shop.until("/outbox?state=accepted", "Caught in test inbox");
    shop.post(&format!("/outbox/{act}/release"), &format!("token={token}&state="));
    shop.until("/outbox", "Nothing is waiting");
    assert_eq!(shop.post("/demo/provider", &format!("token={token}&good=0")).status, 303);
    assert!(shop.get("/demo").body.contains("Mend provider"));
    assert_eq!(shop.post("/demo/sale", &format!("token={token}")).status, 303);
    assert_eq!(world.rung.load(Ordering::SeqCst), 1);
}

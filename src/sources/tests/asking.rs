//! What sources ask their vendors: look-ups, tokens and pulls as requests, and what the answers mean.

use super::*;

fn at(text: &str) -> UnixMs {
    UnixMs::parse_rfc3339(text).unwrap()
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer { status, headers: Vec::new(), body: body.to_string().into_bytes() }
}

#[test]
fn examples_pass_the_check_and_names_are_found() {
    for kind in KINDS {
        let table: toml::Table = kind.keys.example.parse().unwrap();
        let settings = with_defaults(kind, read_table(kind, &table).unwrap());
        let source = Source { kind: kind.keys.name.to_owned(), sends_receipt_itself: false, strict: false, settings };
        let setup = Setup { name: "pos", source: &source, shop: &Shop::default(), rules: "" };
        assert_eq!((kind.check)(&setup), Ok(()), "{}", kind.keys.name);
        assert!(std::ptr::eq(find(kind.keys.name).unwrap(), *kind));
        assert!(read_table(kind, &"nonsense = 1".parse().unwrap()).is_err());
    }
    assert!(find("abacus").is_none());
}

#[test]
fn settings_that_do_not_make_sense_are_told() {
    for (kind, settings, word) in [
        ("square", "signature_keys = [\"k\"]", "notification_url"),
        ("square", "", "signature_keys"),
        ("clover", "auth_codes = [\"a\"]", "access_token"),
        ("toast", "client_id = \"c\"", "api_base"),
        ("shopify", "client_secrets = [\"s\"]\naccess_token = \"t\"", "shops"),
        ("shopify", "client_secrets = [\"s\"]\nshops = [\"x.example/path\"]", "shops"),
        ("stripe", "", "endpoint_secrets"),
        ("zapier", "", "tokens"),
        ("lan", "", "tokens"),
        ("lan", "signing_secrets = [\"whsec_!\"]", "base64"),
        ("file-drop", "dir = \"d\"\nformat = \"csv\"", "mapping"),
    ] {
        let bench = Bench::new(kind, settings);
        let told = (bench.kind.check)(&bench.setup()).unwrap_err();
        assert!(told.contains(word), "{kind}: {told}");
    }
}

#[test]
fn look_ups_carry_what_the_vendor_wants() {
    for (kind, settings, name, value) in [
        ("square", "access_token = \"t\"", "Square-Version", "2026-09-16"),
        ("stripe", "api_key = \"t\"", "Stripe-Version", "2026-07-29.dahlia"),
        ("clover", "access_token = \"t\"", "Authorization", "Bearer t"),
        ("toast", "api_base = \"https://toast.example.org\"", "Authorization", "Bearer t"),
        ("shopify", "shops = [\"a.myshopify.com\"]", "X-Shopify-Access-Token", "t"),
    ] {
        let bench = Bench::new(kind, settings);
        let lookup = LookUp::new("k", "of", Need::Required, "/v2/x?y=1");
        let asked = request(bench.kind, &bench.setup(), &lookup, &Secret::new("t")).unwrap();
        assert!(asked.url.starts_with("https://") && asked.url.ends_with("/v2/x?y=1"), "{}", asked.url);
        assert_eq!(header(&asked.headers, name), Some(value), "{kind}");
    }
    let elsewhere = Bench::new("square", "api_base = \"http://127.0.0.1:9/\"");
    assert_eq!(base(elsewhere.kind, &elsewhere.setup()).unwrap(), "http://127.0.0.1:9");
    let plain = Bench::new("square", "api_base = \"http://example.org\"");
    assert!(base(plain.kind, &plain.setup()).unwrap_err().contains("api_base"));
    assert!(base(&zapier::KIND, &Bench::new("zapier", "").setup()).is_err());
}

#[test]
fn answers_to_look_ups() {
    let bench = Bench::new("square", "");
    let (now, early, late) = (UnixMs(0), Duration::from_secs(5), Duration::from_secs(90_000));
    let lookup = |need| LookUp::new("k", "of", need, "/");
    let judge = |status, need, waited| classify(&bench.setup(), &lookup(need), &answer(status, &json!({})), waited, now);
    for (status, early_is, late_is) in [
        (200, Reply::Found, Reply::Found),
        (404, Reply::NotYet, Reply::Gone),
        (400, Reply::Gone, Reply::Gone),
        (401, Reply::Auth, Reply::Auth),
        (403, Reply::Auth, Reply::Auth),
        (429, Reply::Throttle(None), Reply::Throttle(None)),
        (500, Reply::Retry, Reply::Retry),
        (503, Reply::Retry, Reply::Retry),
        (302, Reply::Retry, Reply::Retry),
    ] {
        assert_eq!(judge(status, Need::Required, early), early_is, "{status}");
        assert_eq!(judge(status, Need::Required, late), late_is, "{status}");
    }
    assert_eq!(judge(404, Need::Enriches, Duration::from_secs(61)), Reply::Gone);
    let portal = Answer { status: 200, headers: Vec::new(), body: b"<html>log in</html>".to_vec() };
    assert_eq!(classify(&bench.setup(), &lookup(Need::Required), &portal, early, now), Reply::Retry);
    let mut slow = answer(429, &json!({}));
    slow.headers.push(("Retry-After".into(), "7".into()));
    assert_eq!(classify(&bench.setup(), &lookup(Need::Required), &slow, early, now), Reply::Throttle(Some(Duration::from_secs(7))));
}

#[test]
fn tokens_are_renewed_in_time_and_in_order() {
    let now = at("2026-10-03T00:00:00Z");
    let day = |n: i64| UnixMs(now.0 + n * 86_400_000);
    let before =
        Tokens { access: Secret::new("a0"), refresh: Secret::new("r0"), obtained_at: now, expires_at: Some(day(30)), ..Tokens::default() };
    let (square, clover, shopify, toast) = (
        Bench::new("square", "client_id = \"c\"\nclient_secret = \"s\"\nrefresh_token = \"first\""),
        Bench::new("clover", "client_id = \"c\"\nrefresh_token = \"first\""),
        Bench::new("shopify", "client_id = \"c\"\nclient_secrets = [\"s&1\"]\nshops = [\"a.myshopify.com\"]"),
        Bench::new("toast", "client_id = \"c\"\nclient_secret = \"s\"\napi_base = \"https://toast.example.org\""),
    );
    let ask = |b: &Bench, tokens: Option<&Tokens>| (b.api().renewal.as_ref().unwrap().request)(&b.setup(), tokens).unwrap().unwrap();
    let read = |b: &Bench, status, body: Value| (b.api().renewal.as_ref().unwrap().read)(&answer(status, &body), Some(&before), now);
    let new = |renewed: Renewed| if let Renewed::New(tokens) = renewed { tokens } else { panic!("{renewed:?}") };

    let asked = ask(&square, None);
    assert!(asked.url.ends_with("/oauth2/token") && String::from_utf8(asked.body).unwrap().contains("\"refresh_token\":\"first\""));
    assert!(String::from_utf8(ask(&square, Some(&before)).body).unwrap().contains("\"refresh_token\":\"r0\""));
    let tokens = new(read(&square, 200, json!({"access_token": "a1", "expires_at": "2026-11-02T00:00:00Z"})));
    assert_eq!((tokens.access.expose(), tokens.refresh.expose(), tokens.expires_at), ("a1", "r0", Some(day(30))));
    let renewal = square.api().renewal.as_ref().unwrap();
    assert!(!renewal.is_due(&tokens, day(6)) && renewal.is_due(&tokens, day(7)));
    assert!(renewal.is_due(&Tokens::default(), now));

    assert!(ask(&clover, Some(&before)).url.ends_with("/oauth/v2/refresh"));
    let end = now.0 / 1000 + 3600;
    let tokens = new(read(
        &clover,
        200,
        json!({"access_token": "a1", "refresh_token": "r1", "access_token_expiration": end, "refresh_token_expiration": end * 2}),
    ));
    assert_eq!((tokens.refresh.expose(), tokens.refresh_expires_at), ("r1", Some(UnixMs(end * 2000))));
    assert!(tokens.run_out_within(Duration::from_secs(4_000_000_000), now) && !tokens.run_out_within(Duration::from_secs(60), now));
    let renewal = clover.api().renewal.as_ref().unwrap();
    assert!(!renewal.is_due(&tokens, UnixMs(now.0 + 1_799_000)) && renewal.is_due(&tokens, UnixMs(now.0 + 1_800_000)));

    let asked = ask(&shopify, None);
    assert_eq!(asked.url, "https://a.myshopify.com/admin/oauth/access_token");
    assert_eq!(asked.body, b"grant_type=client_credentials&client_id=c&client_secret=s%261");
    assert_eq!(new(read(&shopify, 200, json!({"access_token": "a1", "expires_in": 86_400}))).expires_at, Some(day(1)));
    assert!(ask(&toast, None).url.ends_with("/authentication/v1/authentication/login"));
    assert_eq!(new(read(&toast, 200, json!({"token": {"accessToken": "a1", "expiresIn": 86_400}}))).access.expose(), "a1");

    for b in [&square, &clover, &shopify, &toast] {
        assert_eq!(read(b, 400, json!({"error": "invalid_grant"})), Renewed::Refused);
        assert_eq!(read(b, 500, json!({})), Renewed::Retry(None));
        assert_eq!(read(b, 200, json!({})), Renewed::Retry(None));
        assert!(!format!("{before:?}").contains("a0"));
    }
    assert!((renewal.request)(&Bench::new("clover", "access_token = \"t\"").setup(), None).is_none());
}

/// A vendor's list of three days of orders, cut in pages as each vendor does.
struct Stub {
    orders: Vec<(i64, Value)>,
}

impl Stub {
    fn new(make: impl Fn(usize, i64) -> Value, from: UnixMs) -> Stub {
        Stub { orders: (0..1200).map(|n| (n as usize, from.0 + n * 200_000)).map(|(n, at)| (at, make(n, at))).collect() }
    }

    fn between(&self, since: i64, until: i64) -> Vec<Value> {
        self.orders.iter().filter(|(at, _)| (since..=until).contains(at)).map(|(_, o)| o.clone()).collect()
    }
}

/// Pulls until nothing more is to be had; gives every item's key, as often as it came.
fn pull_all(b: &Bench, now: UnixMs, begin: Cursor, serve: impl Fn(&Request, &Cursor) -> Answer) -> (Vec<String>, Cursor) {
    let pull = b.api().pull.as_ref().unwrap();
    let (mut cursor, mut keys) = (begin, Vec::new());
    for _ in 0..200 {
        let window = cursor.window(now, i64::MAX / 4);
        let asked = (pull.request)(&b.setup(), &cursor, &Secret::new("t"), now).unwrap();
        let page = (pull.read)(&b.setup(), &cursor, &serve(&asked, &window), now).unwrap();
        keys.extend(page.items.into_iter().map(|(key, _)| key));
        cursor = page.next;
        if !page.more {
            return (keys, cursor);
        }
    }
    panic!("the pull never ends");
}

fn paged(all: Vec<Value>, from: usize, size: usize) -> (Vec<Value>, bool) {
    let more = all.len() > from + size;
    (all.into_iter().skip(from).take(size).collect(), more)
}

#[test]
fn three_missed_days_are_read_once_and_the_cursor_moves() {
    let (from, now) = (at("2026-10-03T00:00:00Z"), at("2026-10-05T19:00:00Z"));
    let begin = |account: &str| Cursor { account: account.into(), since: from.0, ..Cursor::default() };
    let page_of = |text: &str| text.parse::<usize>().unwrap_or(0);
    let check = |kind: &str, (keys, cursor): (Vec<String>, Cursor)| {
        let mut once = keys.clone();
        once.sort();
        once.dedup();
        assert_eq!((keys.len(), once.len()), (1200, 1200), "{kind}");
        assert_eq!((cursor.since, cursor.until, cursor.page.as_str()), (now.0 - OVERLAP, 0, ""), "{kind}");
    };

    let square = Bench::new("square", "access_token = \"t\"\nlocations = [\"L1\"]");
    let stub = Stub::new(|n, at| json!({"id": format!("O{n}"), "version": 1, "updated_at": UnixMs(at).rfc3339()}), from);
    check(
        "square",
        pull_all(&square, now, begin(""), |asked, window| {
            let body: Value = serde_json::from_slice(&asked.body).unwrap();
            assert_eq!(body["query"]["filter"]["date_time_filter"]["updated_at"]["start_at"], UnixMs(window.since).rfc3339());
            let at = page_of(body["cursor"].as_str().unwrap_or("0"));
            let (orders, more) = paged(stub.between(window.since, window.until), at, 500);
            answer(200, &if more { json!({"orders": orders, "cursor": (at + 500).to_string()}) } else { json!({"orders": orders}) })
        }),
    );

    let clover = Bench::new("clover", "access_token = \"t\"\nmerchants = [\"M1\"]");
    let stub = Stub::new(|n, at| json!({"id": format!("O{n}"), "modifiedTime": at}), from);
    check(
        "clover",
        pull_all(&clover, now, begin("M1"), |asked, window| {
            assert!(asked.url.contains("/v3/merchants/M1/orders?filter=modifiedTime"), "{}", asked.url);
            answer(200, &json!({"elements": paged(stub.between(window.since, window.until), page_of(&window.page), 500).0}))
        }),
    );

    let toast = Bench::new("toast", "client_id = \"c\"\nrestaurants = [\"R1\"]\napi_base = \"https://toast.example.org\"");
    let stub = Stub::new(|n, at| json!({"guid": format!("O{n}"), "modifiedDate": UnixMs(at).rfc3339()}), from);
    check(
        "toast",
        pull_all(&toast, now, begin("R1"), |asked, window| {
            assert_eq!(header(&asked.headers, "toast-restaurant-external-id"), Some("R1"));
            assert!(asked.url.contains("startDate=2026-10-03T00:00:00.000%2B0000"), "{}", asked.url);
            answer(200, &json!(paged(stub.between(window.since, window.until), (page_of(&window.page).max(1) - 1) * 100, 100).0))
        }),
    );

    let shopify = Bench::new("shopify", "access_token = \"t\"\nshops = [\"a.myshopify.com\"]");
    let stub = Stub::new(|n, at| json!({"id": n + 1, "updated_at": UnixMs(at).rfc3339()}), from);
    check(
        "shopify",
        pull_all(&shopify, now, begin(""), |asked, window| {
            let at = asked.url.split("page_info=").nth(1).map_or(0, page_of);
            let (orders, more) = paged(stub.between(window.since, window.until), at, 250);
            let mut answer = answer(200, &json!({"orders": orders}));
            if more {
                let link = format!(
                    "<https://a.myshopify.com/x?page_info=1>; rel=\"previous\", <https://a.myshopify.com/x?limit=250&page_info={}>; rel=\"next\"",
                    at + 250
                );
                answer.headers.push(("Link".into(), link));
            }
            answer
        }),
    );

    let stripe = Bench::new("stripe", "api_key = \"t\"");
    let stub = Stub::new(|n, at| json!({"id": format!("evt_{n}"), "created": at / 1000}), from);
    check(
        "stripe",
        pull_all(&stripe, now, begin(""), |_, window| {
            let mut all = stub.between(window.since, window.until);
            all.reverse();
            let at = all.iter().position(|e| e["id"] == window.page).map_or(0, |p| p + 1);
            let (data, more) = paged(all, at, 100);
            answer(200, &json!({"data": data, "has_more": more}))
        }),
    );
}

#[test]
fn a_first_pull_begins_now_and_what_is_no_list_moves_nothing() {
    let now = at("2026-10-03T00:00:00Z");
    for (kind, settings, cursors) in [
        ("square", "access_token = \"t\"\nlocations = [\"L1\"]", 1),
        ("clover", "access_token = \"t\"\nmerchants = [\"M1\", \"M2\", \"../x\"]", 2),
        ("toast", "client_id = \"c\"\nrestaurants = [\"R1\"]\napi_base = \"https://toast.example.org\"", 1),
        ("shopify", "access_token = \"t\"\nshops = [\"a.myshopify.com\"]", 1),
        ("stripe", "api_key = \"t\"", 1),
    ] {
        let b = Bench::new(kind, settings);
        let pull = b.api().pull.as_ref().unwrap();
        let all = (pull.begin)(&b.setup(), now);
        assert_eq!(all.len(), cursors, "{kind}");
        assert_eq!(all[0].since, now.0 - OVERLAP);
        for body in [json!("no"), json!({"errors": [{"code": "x"}]}), json!(null)] {
            assert!((pull.read)(&b.setup(), &all[0], &answer(200, &body), now).is_err(), "{kind} {body}");
        }
        // Far behind: a window at a time, each after the other.
        let old = Cursor { since: now.0 - 100 * 86_400_000, ..all[0].clone() };
        let empty = match kind {
            "toast" => json!([]),
            "clover" => json!({"elements": []}),
            "stripe" => json!({"data": []}),
            _ => json!({"orders": []}),
        };
        let page = (pull.read)(&b.setup(), &old, &answer(200, &empty), now).unwrap();
        assert!(page.more && page.next.since > old.since && page.next.since < now.0 - 60 * 86_400_000, "{kind}");
    }
}

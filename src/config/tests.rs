//! The whole way: files, environment and flags in; settings or problems out.

use crate::cli::config::{CheckArgs, SchemaArgs, ShowArgs, check, schema, show};
use crate::config::checked::{IpNet, Rate, Receipts, Setting};
use crate::config::fakes::kinds;
use crate::config::{Loaded, Problem, Secret, Sources, defaults, from_json, keys, load, problem};
use crate::domain::channel::Channel;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A folder with files, gone at the end of the test.
struct Place(tempfile::TempDir);

impl Place {
    fn with(files: &[(&str, &str)]) -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = place.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sources(&self, environment: &[(&str, &str)], flags: &[&str]) -> Sources {
        Sources {
            environment: environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            flags: flags.iter().map(|f| (*f).to_owned()).collect(),
            folder: self.0.path().to_owned(),
            system: Some(self.path("etc/tillpost.toml")),
            ..Sources::default()
        }
    }

    fn load(&self) -> Loaded {
        load(&self.sources(&[], &[]), &kinds())
    }
}

fn one_file(text: &str) -> (Place, Loaded) {
    let place = Place::with(&[("tillpost.toml", text), ("secrets/a", "0123456789abcdef-a\n"), ("secrets/empty", "\n")]);
    let loaded = place.load();
    (place, loaded)
}

/// `code line:column` of each problem, in their order.
fn found(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(|p| format!("{} {}:{}", p.code.trim_start_matches("TP-CFG-"), p.place.line, p.place.column)).collect()
}

const SHOP: &str = "shop = { name = \"Corner Mart\", timezone = \"America/New_York\" }\n";

#[test]
fn without_a_file_the_defaults_hold_and_nothing_is_sent() {
    let place = Place::with(&[]);
    let loaded = place.load();
    assert_eq!(loaded.problems, []);
    let config = loaded.config.unwrap();
    assert!(config.safe_mode && config.tills.is_empty() && config.providers.is_empty() && config.channels.is_empty());
    assert_eq!(config.agent.data_dir, Path::new("/var/lib/tillpost"));
    assert_eq!(config.http.listen, "127.0.0.1:8480".parse().unwrap());
    assert_eq!((config.http.rate_limit, config.http.rate_burst, config.http.body_limit), (Rate::per_second(200), 500, 2 << 20));
    assert_eq!((config.agent.disk_budget, config.agent.log.max_size, config.agent.clock_trusted), (2 << 30, 10 << 20, false));
    let routing = &config.routing;
    assert_eq!(routing.retry.iter().map(Duration::as_secs).collect::<Vec<_>>(), [5, 30, 120, 600, 1800, 3600, 7200, 14_400, 21_600]);
    assert_eq!((routing.max_attempts, routing.failover_attempts, routing.drain_oldest), (20, 3, true));
    assert_eq!(routing.channels, [Channel::Email, Channel::Sms, Channel::Whatsapp, Channel::Push]);
    assert_eq!(config.retention.receipts, Duration::from_secs(120 * 86_400));
}

#[test]
fn where_data_is_kept() {
    for (root, environment, expected) in [
        (true, &[("HOME", "/root")][..], "/var/lib/tillpost"),
        (false, &[("HOME", "/home/a")], "/home/a/.local/state/tillpost"),
        (false, &[("HOME", "/home/a"), ("XDG_STATE_HOME", "/s")], "/s/tillpost"),
        (false, &[("HOME", "/home/a"), ("XDG_STATE_HOME", "relative")], "/home/a/.local/state/tillpost"),
        (false, &[], "/var/lib/tillpost"),
    ] {
        let sources = Sources { root, ..Place::with(&[]).sources(environment, &[]) };
        assert_eq!(load(&sources, &kinds()).config.unwrap().agent.data_dir, Path::new(expected));
    }
}

#[test]
fn the_file_that_is_read() {
    let place = Place::with(&[("tillpost.toml", SHOP), ("etc/tillpost.toml", SHOP), ("other.toml", SHOP), ("named.toml", SHOP)]);
    let named = place.path("named.toml");
    let mut sources = place.sources(&[("TILLPOST_CONFIG", named.to_str().unwrap())], &[]);
    assert_eq!(load(&sources, &kinds()).files, [named]);
    sources.explicit = Some(place.path("other.toml"));
    assert_eq!(load(&sources, &kinds()).files, [place.path("other.toml")]);
    assert_eq!(place.load().files, [place.path("tillpost.toml")]);
    std::fs::remove_file(place.path("tillpost.toml")).unwrap();
    assert_eq!(place.load().files, [place.path("etc/tillpost.toml")]);
    sources.explicit = Some(place.path("absent.toml"));
    let loaded = load(&sources, &kinds());
    assert_eq!((found(&loaded.problems), loaded.config), (vec!["001 0:0".into()], None));
}

#[test]
fn a_full_file_becomes_settings() {
    let (place, loaded) = one_file(
        r#"
        [shop]
        name = "Corner Mart"
        timezone = "America/New_York"
        [tills.front]
        key = [{ file = "secrets/a" }, { file = "secrets/a" }]
        addresses = ["10.1.2.0/24"]
        receipts = "on_request"
        [sources.lan]
        type = "lan"
        validation = "strict"
        tokens = [{ file = "secrets/a" }]
        [providers.main]
        type = "smtp"
        host = "127.0.0.1"
        rate = "90/h"
        password = { file = "secrets/a" }
        [providers.grid]
        type = "sendgrid"
        api_key = { file = "secrets/a" }
        [channels.email]
        from = "Corner Mart <receipts@cmart.example>"
        providers = ["main", "grid"]
        [brand.links]
        Returns = "https://cmart.example/returns"
        [templates]
        dir = "mine"
        "#,
    );
    assert_eq!(loaded.problems, []);
    let config = loaded.config.unwrap();
    let till = &config.tills["front"];
    assert_eq!(till.keys, [Secret::new("0123456789abcdef-a"), Secret::new("0123456789abcdef-a")]);
    assert_eq!((till.receipts, &till.addresses[..]), (Receipts::OnRequest, &[IpNet::parse("10.1.2.0/24").unwrap()][..]));
    assert!(config.sources["lan"].strict && config.sources["lan"].settings.secrets("tokens").len() == 1);
    let main = &config.providers["main"];
    assert_eq!((main.settings.text("host"), main.settings.int("port"), main.timeout.as_secs()), ("127.0.0.1", Some(587), 30));
    assert_eq!(main.rate, Some(Rate { count: 90, per: Duration::from_secs(3600) }));
    assert!(!main.settings.0.contains_key("type") && !main.settings.0.contains_key("rate"));
    assert_eq!(config.providers["grid"].settings.0.get("timeout"), None);
    assert_eq!(config.providers["grid"].timeout.as_secs(), 10);
    assert_eq!(config.channels[&Channel::Email].providers, ["main", "grid"]);
    assert_eq!(config.brand.links, [("Returns".to_owned(), "https://cmart.example/returns".to_owned())]);
    assert_eq!(config.templates.dir, Some(place.path("mine")));
}

#[test]
fn all_problems_of_one_file_at_once_with_their_places() {
    let (place, loaded) = one_file(
        "[shop]\nname = \"A\"\ntimezone = \"America/New_Yorx\"\ncountry = \"usa\"\n\
         [http]\nlisten = \"0.0.0.0:8480\"\nbody_limt = \"1 MiB\"\n\
         [rooting]\nx = 1\n\
         [providers.main]\ntype = \"smtp\"\nprot = 25\n\
         [providers.grid]\ntype = \"sendgrid\"\napi_key = { file = \"secrets/none\" }\nbase_url = \"http://10.0.0.9/\"\n\
         [providers.odd]\ntype = \"smpt\"\n\
         [channels.email]\nfrom = \"nobody\"\nproviders = [\"mian\", \"grid\"]\n\
         [channels.sms]\nproviders = [\"grid\"]\n\
         [tills.a]\nkey = { file = \"secrets/a\" }\n[tills.b]\nkey = { file = \"secrets/a\" }\n[tills.c]\nkey = \"short\"\n\
         [routing]\nfresh = 30\nretry = [\"5 s\", \"soon\"]\nmax_attempts = 0\ndrain = \"old\"\n",
    );
    assert_eq!(loaded.config, None);
    let expected = [
        "022 29:7",
        "014 3:12",
        "011 4:11",
        "019 6:10",
        "003 7:1",
        "004 8:2",
        "009 10:1",
        "003 12:1",
        "012 15:11",
        "021 16:12",
        "010 18:8",
        "011 20:8",
        "015 21:14",
        "016 23:14",
        "018 27:7",
        "017 29:7",
        "005 31:9",
        "007 32:17",
        "006 33:16",
        "008 34:9",
    ];
    assert_eq!(found(&loaded.problems), expected, "{}", problem::text(&loaded.problems));
    let text = problem::text(&loaded.problems);
    let at = place.path("tillpost.toml").display().to_string();
    for part in [
        "error[TP-CFG-012]: provider \"grid\": api key file not found\n",
        &format!("  at {at}:15:11\n"),
        "did you mean \"America/New_York\"?",
        "did you mean body_limit?",
        "unknown table [rooting]",
        "did you mean routing?",
        "did you mean port?",
        "did you mean \"smtp\"?",
        "did you mean \"main\"?",
        "type \"sendgrid\" sends on email",
        "\"soon\" is not a length of time",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn one_mistake_one_problem() {
    for (text, expected) in [
        ("[tills.a]\nkey = { fil = \"x\" }", "013 3:7"),
        ("[tills.a]\nkey = { file = \"secrets/empty\" }", "012 3:7"),
        ("[tills.a]\nkey = { env = \"NOT_SET\" }", "012 3:7"),
        ("[tills.a]\nkey = { credential = \"c\" }", "012 3:7"),
        ("[tills.a]\nkey = 5", "005 3:7"),
        ("[tills.a]\nkey = []\ntest = \"yes\"", "005 4:8"),
        ("[tills.a]", "009 2:1"),
        ("[tills]\na = 1", "005 3:5"),
        ("[providers.a]\nhost = \"x\"", "009 2:1"),
        ("[providers.a]\ntype = \"capture\"\nbase_url = \"https://me:pw@x.example\"", "011 4:12"),
        ("[sources.a]\ntype = \"lan\"\nvalidation = \"harsh\"", "008 4:14"),
        ("[channels.fax]\nproviders = []", "003 2:11"),
        ("[channels.chat]\nproviders = []", "024 2:11"),
        ("[http]\nlisten = \"0.0.0.0:1\"\ntls = \"off\"", "020 4:7"),
        ("[http]\nlisten = \"[::ffff:127.0.0.1]:1\"", ""),
        ("[providers.a]\ntype = \"capture\"\nbase_url = \"http://[::1]:9\"", ""),
        ("[providers.a]\ntype = \"capture\"\nallow_insecure = true\nbase_url = \"http://10.0.0.1\"", ""),
        ("[routing]\nretry = []", "006 3:9"),
        ("[routing]\nfailover_after = \"3 h\"", "025 3:18"),
        ("[routing]\nmax_attempts = 2", "025 3:16"),
        ("[agent]\nlog = { level = \"loud\" }", "008 3:17"),
        ("[agent]\ndisk_budget = 99999999999999999999", "005 3:15"),
        ("[brand]\ncolor = \"green\"", "011 3:9"),
        ("[agent.x]\na = 1", "003 2:8"),
        ("nam = 1", "003 2:1"),
    ] {
        let (_place, loaded) = one_file(&format!("{SHOP}{text}"));
        let expected: Vec<&str> = expected.split(", ").filter(|e| !e.is_empty()).collect();
        assert_eq!(found(&loaded.problems), expected, "{text}\n{}", problem::text(&loaded.problems));
    }
    let (_place, loaded) = one_file("[shop]\nname = \"A\"");
    assert_eq!(found(&loaded.problems), ["027 1:1"]);
    let (_place, loaded) = one_file("[shop]\nname = \"A\nid = 5\n");
    assert_eq!(loaded.problems.last().unwrap().code, "TP-CFG-002", "{}", problem::text(&loaded.problems));
}

#[test]
fn layers_in_their_order() {
    let place = Place::with(&[
        (
            "tillpost.toml",
            "[shop]\nid = \"file\"\nname = \"file\"\nphone = \"file\"\nlegal_name = \"file\"\ntimezone = \"UTC\"\n[providers.Main-1]\ntype = \"smtp\"\nhost = \"file\"\n",
        ),
        ("conf.d/20.toml", "shop.name = \"20\"\nshop.phone = \"20\"\n"),
        ("conf.d/10.toml", "shop.name = \"10\"\nshop.legal_name = \"10\"\n"),
        ("conf.d/.30.toml", "broken"),
        ("conf.d/note.txt", "broken"),
    ]);
    let environment = [
        ("TILLPOST__SHOP__PHONE", "555"),
        ("tillpost__providers__main_1__host", "env"),
        ("TILLPOST__PROVIDERS__MAIN_1__PORT", "26"),
        ("TILLPOST__PROVIDERS__MAIN_1__PASSWORD", "123456"),
        ("TILLPOST__PROVIDERS__SECOND__HOST", "second"),
        ("TILLPOST__PROVIDERS__SECOND__TYPE", "smtp"),
        ("TILLPOST__TILLS__FRONT__KEY", "[{ env = \"K1\" }, { env = \"K2\" }]"),
        ("TILLPOST__AGENT__LOG__LEVEL", "debug"),
        ("K1", "0123456789abcdef"),
        ("K2", "0123456789abcdeg"),
        ("TILLPOST_CONFIGURATION", "not ours"),
    ];
    let loaded = load(&place.sources(&environment, &["agent.data_dir=/flag", "shop.phone=flag"]), &kinds());
    assert_eq!(loaded.problems, [], "{}", problem::text(&loaded.problems));
    assert_eq!(loaded.files, ["tillpost.toml", "conf.d/10.toml", "conf.d/20.toml"].map(|f| place.path(f)));
    let config = loaded.config.unwrap();
    let shop = &config.shop;
    assert_eq!([&shop.id, &shop.name, &shop.legal_name, &shop.phone], ["file", "20", "10", "flag"]);
    let main = &config.providers["Main-1"].settings;
    assert_eq!((main.text("host"), main.int("port"), main.secret("password")), ("env", Some(26), Secret::new("123456")));
    assert_eq!(config.providers["second"].settings.text("host"), "second");
    assert_eq!((config.tills["front"].keys.len(), config.agent.log.level.as_str()), (2, "debug"));
    assert_eq!(config.agent.data_dir, Path::new("/flag"));

    let mut out = Vec::new();
    show(&ShowArgs { origin: true, json: false }, &place.sources(&environment, &["shop.phone=flag"]), &kinds(), &mut out, &mut Vec::new())
        .unwrap();
    let shown = String::from_utf8(out).unwrap();
    for part in [
        "file ",
        "tillpost.toml:2:6",
        "conf.d ",
        "20.toml:1:13",
        "environment tillpost__providers__main_1__host",
        "flag the flag for shop.phone",
        "# default",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}

#[test]
fn mistakes_in_environment_and_flags_say_so() {
    let place = Place::with(&[("tillpost.toml", SHOP)]);
    let environment = [("TILLPOST__HTTP__LISTN", "x"), ("TILLPOST__", "x"), ("TILLPOST__HTTP__RATE_BURST", "many")];
    let loaded = load(&place.sources(&environment, &["nonsense"]), &kinds());
    let said: Vec<String> = loaded.problems.iter().map(|p| format!("{} {}", p.code, p.place)).collect();
    assert_eq!(
        said,
        ["TP-CFG-023 TILLPOST__", "TP-CFG-003 TILLPOST__HTTP__LISTN", "TP-CFG-005 TILLPOST__HTTP__RATE_BURST", "TP-CFG-023 a flag"]
    );
}

#[test]
fn a_config_for_the_simulator() {
    let given = json!({
        "shop": { "timezone": "America/Chicago" },
        "providers": { "mail": { "type": "postmark" }, "second": { "type": "smtp" }, "texts": { "type": "vonage", "api_key": "x" } },
        "sources": { "front": { "type": "square" } },
        "channels": { "email": { "providers": ["mail", "second"] }, "sms": { "providers": ["texts"] } },
        "tills": { "t": {} },
        "routing": { "max_attempts": 4, "fresh": "10 min" },
    });
    let config = from_json(&given, &kinds(), true).unwrap();
    assert_eq!((config.providers["mail"].kind.as_str(), config.sources["front"].kind.as_str()), ("postmark", "square"));
    assert_eq!(config.providers["texts"].settings.0["api_key"], Setting::Text("x".into()));
    assert_eq!((config.routing.max_attempts, config.routing.failover_attempts, config.safe_mode), (4, 3, false));
    assert_eq!(config.channels[&Channel::Email].providers, ["mail", "second"]);
    assert_eq!(config.providers["mail"].timeout.as_secs(), 30);

    let strict = from_json(&given, &kinds(), false).unwrap_err();
    assert!(strict.iter().any(|p| p.code == "TP-CFG-010") && strict.iter().any(|p| p.code == "TP-CFG-009"));
    for bad in [
        json!({ "providers": { "a": { "type": "pigeon" } } }),
        json!({ "providers": { "a": {} } }),
        json!({ "channels": { "email": { "providers": ["none"] } } }),
        json!({ "shop": { "nmae": "x" } }),
        json!([]),
    ] {
        assert!(from_json(&bad, &kinds(), true).is_err(), "{bad}");
    }
}

#[test]
fn no_secret_is_ever_shown() {
    const CANARY: &str = "canary-6f1e0c";
    let texts = [
        format!(
            "[tills.a]\nkey = [\"{CANARY}-0123456789\", \"{CANARY}\"]\n[providers.p]\ntype = \"smtp\"\nhost = \"h\"\npassword = \"{CANARY}\"\npasword = \"{CANARY}\"\n"
        ),
        format!(
            "[providers.p]\ntype = \"nothing\"\npassword = \"{CANARY}\"\nx = {{ y = \"{CANARY}\" }}\n[providers.q]\npassword = \"{CANARY}\"\n"
        ),
        format!("[providers.p]\ntype = \"sendgrid\"\napi_key = [\"{CANARY}\"]\nbase_url = \"https://u:{CANARY}@x.example\"\n"),
        format!(
            "[providers.p]\ntype = \"sendgrid\"\napi_key = {{ text = \"{CANARY}\" }}\nbase_url = \"{CANARY}\"\ntimeout = {{ a = \"{CANARY}\" }}\n"
        ),
        format!("[tills.a]\nkey = \"{CANARY}\n[tills.b]\nkey = {CANARY}\n"),
        format!("[tills.a]\nkey = {{ file = \"secret\" }}\n[tills.b]\nkey = {{ file = \"secret\" }}\n# {CANARY}\n"),
        format!("[extra]\npassword = \"{CANARY}\"\n[tills]\nb = \"{CANARY}\"\n"),
    ];
    for text in texts {
        let place = Place::with(&[("tillpost.toml", &text), ("secret", CANARY)]);
        let sources = place.sources(&[("TILLPOST__PROVIDERS__E__PASSWORD", CANARY), ("TILLPOST__TILLS__E__KEY", CANARY)], &[]);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        for json in [false, true] {
            check(&CheckArgs { json }, &sources, &kinds(), &mut out, &mut err).unwrap();
            show(&ShowArgs { origin: true, json }, &sources, &kinds(), &mut out, &mut err).unwrap();
        }
        let all = format!("{}{}", String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap());
        let all = format!("{all}{:?}", load(&sources, &kinds()));
        assert!(!all.contains(CANARY), "{text}\n{all}");
    }
}

#[test]
fn check_says_the_same_to_people_and_programs() {
    let run = |text: &str, json: bool| {
        let place = Place::with(&[("tillpost.toml", text)]);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = check(&CheckArgs { json }, &place.sources(&[], &[]), &kinds(), &mut out, &mut err).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    };
    let (code, out, err) = run(SHOP, false);
    assert!(code == 0 && out.starts_with("Config is good") && err.is_empty(), "{out}{err}");
    let (code, out, err) = run("x = 1", false);
    assert!(code == 3 && out.contains("1 error and 1 warning") && err.contains("error[TP-CFG-003]"), "{out}{err}");
    let (code, out, err) = run("x = 1", true);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, err.as_str(), &report["schema"], &report["ok"]), (3, "", &json!("tillpost.config-check/1"), &json!(false)));
    assert_eq!((&report["problems"][1]["line"], &report["problems"][1]["key"]), (&json!(1), &json!("x")));
}

#[test]
fn the_documented_file_is_the_default_and_passes_also_with_everything_on() {
    assert_eq!(crate::config::raw::from_toml(defaults::DOCUMENT, crate::config::tree::Layer::File, "t").1, []);
    let mut filled = defaults::tree();
    let before = filled.clone();
    defaults::fill(&mut filled, &kinds());
    assert!(filled == before, "every default of a fixed section is an active line");
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') && !rest.is_empty() => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    let text: String = defaults::DOCUMENT.lines().map(on).collect();
    let place = Place::with(&[("tillpost.toml", &text), ("secrets/front.key", "0123456789abcdef")]);
    let sources = place.sources(&[("TILLPOST__PROVIDERS__MAIN__HOST", "h")], &["channels.email.providers=[\"main\"]"]);
    let loaded = load(&sources, &kinds());
    assert_eq!(problem::count(&loaded.problems).0, 0, "{}", problem::text(&loaded.problems));
}

#[test]
fn the_schema_names_every_key_and_agrees_with_the_check() {
    let mut out = Vec::new();
    assert_eq!(schema(&SchemaArgs { json: false }, &kinds(), &mut out).unwrap(), 0);
    let schema: Value = serde_json::from_slice(&out).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for section in keys::ROOT {
        assert_eq!(schema["properties"][section.name]["description"], json!(section.doc));
    }
    let smtp = &schema["properties"]["providers"]["additionalProperties"]["oneOf"][0];
    assert_eq!((&smtp["properties"]["type"]["const"], &smtp["properties"]["port"]["default"]), (&json!("smtp"), &json!(587)));
    assert_eq!(smtp["properties"]["tls"]["enum"], json!(["implicit", "starttls", "none"]));
    let documented: Value = toml::from_str(defaults::DOCUMENT).unwrap();
    for (config, good) in [
        (documented, true),
        (json!({ "providers": { "a": { "type": "smtp", "host": "h", "rate": "5/s" } } }), true),
        (json!({ "tills": { "a": { "key": [{ "env": "K" }, "literal"] } } }), true),
        (json!({ "providers": { "a": { "type": "smtp" } } }), false),
        (json!({ "providers": { "a": { "type": "smtp", "host": "h", "api_key": "x" } } }), false),
        (json!({ "tills": { "a": { "key": { "environment": "K" } } } }), false),
        (json!({ "routing": { "fresh": "30 sec" } }), false),
        (json!({ "nonsense": {} }), false),
    ] {
        assert_eq!(validator.is_valid(&config), good, "{config}");
    }
}

#[test]
fn what_is_shown_is_toml_with_the_note_of_each_secret() {
    let place =
        Place::with(&[("tillpost.toml", "[tills.\"front desk\"]\nkey = [{ file = \"k\" }, { env = \"K\" }, \"literal-0123456789\"]\n")]);
    let mut out = Vec::new();
    show(&ShowArgs::default(), &place.sources(&[], &[]), &kinds(), &mut out, &mut Vec::new()).unwrap();
    let shown = String::from_utf8(out).unwrap();
    let read: Value = toml::from_str(&shown).unwrap();
    assert_eq!((&read["http"]["rate_burst"], &read["tills"]["front desk"]["key"]), (&json!(500), &json!(["***", "***", "***"])));
    let note = format!("# file {}, env K, literal\n", place.path("k").display());
    assert!(shown.contains(&note), "{shown}");
}

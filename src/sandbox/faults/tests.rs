use std::time::Duration;

use super::*;

const FILE: &str = r#"
seed = 7
throttle = 0.2
throttling = "ec2"
latency = [{ action = "Describe*", median = 0.1, p99 = 2 }, { fixed = 0.05 }]
lost_answers = 0.05
clock_skew = -300

[[error]]
action = "RunInstances"
region = "us-west-2"
code = "InternalError"
rate = 0.1

[[capacity]]
zone = "us-west-2a"
type = "t3.medium"
lifecycle = "spot"
available = 0
during = { from = 600, until = 1200, every = 3600 }

[[price]]
zone = "us-west-2b"
factor = 3
during = { from = 60 }

[[host]]
number = 1
faults = { never_boots = true }

[[interruption]]
share = 0.5
after = 60
rebalance = 30
"#;

fn refusal(text: &str) -> String {
    let error = Faults::parse_toml("faults.toml", text).unwrap_err();
    assert_eq!(error.kind(), crate::Kind::Config);
    error.message().to_owned()
}

#[test]
fn a_file_is_read() {
    let faults = Faults::parse_toml("faults.toml", FILE).unwrap();
    assert_eq!((faults.seed, faults.throttle, faults.lost_answers), (Some(7), 0.2, 0.05));
    assert_eq!(faults.throttling, Throttling::ec2());
    assert_eq!(faults.latency.len(), 2);
    assert_eq!(faults.latency[1].delay, Delay::Fixed(Duration::from_millis(50)));
    assert_eq!((faults.refusals[0].status, faults.refusals[0].rate), (500, 0.1));
    let window = faults.capacity[0].during.unwrap();
    assert!(window.is_open(Duration::from_secs(3600 + 700)) && !window.is_open(Duration::from_secs(1300)));
    assert_eq!(faults.capacity[0].lifecycle, Some(Lifecycle::Spot));
    assert_eq!(faults.prices[0].factor, Some(3.0));
    assert_eq!(faults.interruptions[0].notice, Duration::from_secs(120));
    assert!(faults.has_chance() && !Faults::default().has_chance());
    let number = Faults::parse_toml("faults.toml", "latency = 2").unwrap();
    assert_eq!(number.latency, [Latency::fixed(Duration::from_secs(2))]);
}

#[test]
fn what_is_told_as_json_can_be_read_again() {
    let faults = Faults::parse_toml("faults.toml", FILE).unwrap();
    let text = serde_json::to_string(&faults).unwrap();
    assert_eq!(serde_json::from_str::<Faults>(&text).unwrap(), faults, "{text}");
    assert_eq!(serde_json::from_str::<Faults>("{}").unwrap(), Faults::default());
}

#[test]
fn what_is_told_as_a_file_can_be_read_again() {
    let mut faults = Faults::parse_toml("faults.toml", FILE).unwrap();
    for text in [
        "market=0.3/5",
        "quota:L-34B43A08@us-west-2=0",
        "no-service-roles",
        "interrupt:#2=1",
        "dns:us-west-2=0.5@0..60",
        "host:us-west-2a/t3.medium=command:apt-get/\"x\"*=100",
        "host:#0=login-as=admin",
        "capacity:us-west-2b=0",
    ] {
        faults.add_short(text).unwrap();
    }
    let text = faults.to_toml();
    assert_eq!(Faults::parse_toml("faults.toml", &text).unwrap(), faults, "{text}");
    assert!(text.starts_with("seed = 7\nthrottle = 0.2\n") && text.contains("\n[[capacity]]\n"), "{text}");
    assert!(!text.contains("hangs") && !text.contains("null"), "{text}");
    assert_eq!(Faults::default().to_toml(), "");
}

#[test]
fn mistakes_name_line_and_column_the_range_and_the_nearest_name() {
    for (text, place, words) in [
        (
            "throtle = 0.2",
            "faults.toml:1:1",
            "unknown key `throtle`\n  1 | throtle = 0.2\n    | ^^^^^^^\n  hint: did you mean `throttle`?",
        ),
        ("\nthrottle = 1.5", "faults.toml:2:12", "`throttle` must be from 0 to 1, found 1.5"),
        (
            "throttle = \"much\"",
            "faults.toml:1:12",
            "`throttle`: expected a number, found the string \"much\"",
        ),
        (
            "[[error]]\naction = \"RunInstnaces\"\ncode = \"X\"",
            "faults.toml:2:10",
            "did you mean `RunInstances`?",
        ),
        ("[[error]]\naction = \"RunInstances\"", "faults.toml:1:1", "`code` is missing"),
        (
            "[[error]]\ncode = \"X\"\nstatus = 200",
            "faults.toml:3:10",
            "`status` must be from 400 to 599, found 200",
        ),
        ("[[capacity]]\nzone = \"us-west-2z\"", "faults.toml:2:8", "unknown Availability Zone `us-west-2z`"),
        ("[[capacity]]\ntpye = \"t3.medium\"", "faults.toml:2:1", "did you mean `type`?"),
        ("[[capacity]]\nlifecycle = \"sopt\"", "faults.toml:2:13", "did you mean `spot`?"),
        (
            "[[price]]\nduring = { from = 9, until = 3 }",
            "faults.toml:2:10",
            "`until` must be later than `from`",
        ),
        (
            "latency = { min = 1 }",
            "faults.toml:1:11",
            "expected `fixed`, or `min` and `max`, or `median` and `p99`",
        ),
        ("dns = 2", "faults.toml:1:7", "`dns` must be from 0 to 1, found 2"),
        ("[[dns]]\nregion = \"us-wset-2\"", "faults.toml:2:10", "did you mean `us-west-2`?"),
        ("latency = -1", "faults.toml:1:11", "`latency` must be from 0 to 31536000, found -1"),
        ("throttling = \"gcp\"", "faults.toml:1:14", "unknown preset `gcp`, known is `ec2`"),
        ("seed = -3", "faults.toml:1:8", "`seed`: expected a whole number from 0, found the number -3"),
        ("throttle = ", "faults.toml:1:", "cannot be read as TOML"),
        ("[[host]]\nfaults = { slow_bot = 1 }", "faults.toml:2:12", "did you mean `slow_boot`?"),
        ("[[host]]\nfaults = { max_sessions = 0 }", "faults.toml:2:10", "max_sessions: expected at least 1"),
        ("[[interruption]]\n", "faults.toml:1:1", "`after` is missing"),
    ] {
        let told = refusal(text);
        assert!(told.contains(place) && told.contains(words), "{text}\n{told}");
    }
    let missing = Faults::parse_file(Path::new("/nonexistent/faults.toml")).unwrap_err();
    assert!(missing.message().contains("/nonexistent/faults.toml"), "{missing}");
}

#[test]
fn short_forms_say_the_same_as_a_file() {
    let mut short = Faults { seed: Some(7), ..Faults::default() };
    for text in [
        "throttle=20%",
        "throttling=ec2",
        "latency:Describe*=0.1,p99=2",
        "latency=0.05s",
        "lost-answers=0.05",
        "clock-skew=-300",
        "error:RunInstances@us-west-2=InternalError@0.1",
        "capacity:us-west-2a/t3.medium=0@600..1200/3600",
        "price:us-west-2b=x3@60..",
        "interrupt=60@0.5",
    ] {
        short.add_short(text).unwrap();
    }
    let mut file = Faults::parse_toml("faults.toml", FILE).unwrap();
    assert!(file.hosts[0].faults.never_boots && file.hosts[0].applies(7, 1, "us-west-2a", "t3.medium"));
    assert!(!file.hosts[0].applies(7, 0, "us-west-2a", "t3.medium"));
    file.hosts.clear();
    file.capacity[0].lifecycle = None;
    file.interruptions[0].rebalance = None;
    assert_eq!(short, file);
    let mut more = Faults::default();
    for text in ["market=0.3/5", "quota:L-34B43A08@us-west-2=8", "no-service-roles", "interrupt:#2=1"] {
        more.add_short(text).unwrap();
    }
    assert_eq!(more.interruptions[0].which.number, Some(2));
    assert!(more.without_service_roles && more.quotas[0].region.is_some());
}

#[test]
fn short_forms_are_refused_with_an_example() {
    for (text, words) in [
        ("throtle=0.2", "unknown fault `throtle`, did you mean `throttle`?"),
        ("throttle=2", "must be from 0 to 1, found 2"),
        ("throttle", "a value is missing"),
        ("throttle:RunInstances=0.2", "takes no scope"),
        ("error:RunInstnaces=X", "did you mean `RunInstances`?"),
        ("error=", "a value is missing"),
        ("error=a b", "is no error code"),
        ("latency=3..1", "`max` must not be less than `min`"),
        ("capacity:us-west-2a=1@5", "expected a time such as 600..1200"),
        ("capacity:us-wset-2a=1", "did you mean `us-west-2a`?"),
        ("interrupt:#x=1", "`x` is no whole number"),
        ("market=0.3", "expected a share and a number"),
        ("quota:x=1", "is no code of a quota"),
        ("dns:us-wset-2=1", "did you mean `us-west-2`?"),
        ("host:#1=refsues", "did you mean `refuses`?"),
        ("host", "a value is missing"),
        ("", "unknown fault ``"),
    ] {
        let mut faults = Faults::default();
        let error = faults.add_short(text).unwrap_err();
        assert_eq!(error.kind(), crate::Kind::Usage);
        assert!(error.message().contains(words), "{text}: {error}");
        assert_eq!(faults, Faults::default(), "nothing was added");
    }
    let error = Faults::default().add_short("throttle=2").unwrap_err();
    assert_eq!(error.hint(), Some("for example throttle=0.2"));
}

#[test]
fn the_example_of_the_documentation_is_a_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sandbox.md");
    let text = std::fs::read_to_string(path).unwrap();
    let examples: Vec<_> =
        text.split("```toml\n").skip(1).map(|part| part.split("```").next().unwrap()).collect();
    let faults = Faults::parse_toml("faults.toml", examples[0]).unwrap();
    assert_eq!((faults.seed, faults.hosts.len(), faults.latency.len()), (Some(7), 1, 2));
    let shown: Vec<_> = text
        .split("\n## Faults")
        .nth(1)
        .unwrap()
        .split("\n## ")
        .next()
        .unwrap()
        .split('`')
        .filter(|code| {
            let name = code.split(['=', ':']).next().unwrap_or_default();
            code.contains('=') && !code.contains(' ') && !name.contains('_') && name.len() > 2
        })
        .collect();
    assert!(shown.len() > 15, "{shown:?}");
    for form in shown {
        Faults::default().add_short(form).unwrap();
    }
}

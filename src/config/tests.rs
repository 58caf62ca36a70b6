//! The room as a whole: which file counts, what a full report looks like, and hostile input.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;
use crate::error::Error;

/// A project folder and a home folder of its own.
pub(super) struct Folder {
    root: tempfile::TempDir,
}

impl Folder {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("app")).unwrap();
        std::fs::create_dir_all(root.path().join("home/.ssh")).unwrap();
        Folder { root }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("app").join(name)
    }

    pub(super) fn with(self, name: &str, content: &str) -> Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        self
    }

    pub(super) fn mode(self, name: &str, mode: u32) -> Self {
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    pub(super) fn load(&self) -> Result<Config, Problems> {
        let place = Place::new(&self.root.path().join("app"), Some(self.root.path().join("home")));
        load_at(&place, None)
    }

    /// The configuration, which must have no error.
    pub(super) fn good(&self) -> Config {
        self.load().unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// `severity line: message | hint` of all problems.
    pub(super) fn problems(&self) -> Vec<String> {
        let problems = match self.load() {
            Ok(config) => config.warnings,
            Err(problems) => problems.into_iter().collect(),
        };
        let root = self.root.path().display().to_string();
        let line = |problem: Problem| {
            let hint = problem.hint.map(|hint| format!(" | {hint}")).unwrap_or_default();
            format!("{} {}: {}{hint}", problem.severity, problem.line, problem.message).replace(&root, "ROOT")
        };
        problems.into_iter().map(line).collect()
    }

    /// The full report, as people see it.
    fn report(&self) -> String {
        let problems = self.load().expect_err("an error was expected");
        problems.to_string().replace(&self.root.path().display().to_string(), "ROOT")
    }
}

pub(super) const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB test\n";
pub(super) const OTHER_PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA other\n";

/// The private key file of `PUBLIC_KEY`, as far as anyone can tell without using it.
pub(super) static PRIVATE_KEY: LazyLock<String> = LazyLock::new(|| {
    let field = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let public = STANDARD.decode(PUBLIC_KEY.split(' ').nth(1).unwrap()).unwrap();
    let fields =
        [field(b"none"), field(b"none"), field(b""), vec![0, 0, 0, 1], field(&public), field(b"no key")];
    let bytes = [b"openssh-key-v1\0".as_slice(), &fields.concat()].concat();
    format!(
        "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n",
        STANDARD.encode(bytes)
    )
});

const BAD_TOML: &str = include_str!("testdata/bad_spot.toml");
const BAD_YAML: &str = include_str!("testdata/bad_config.yaml");

#[test]
fn everything_wrong_with_a_spot_toml_is_reported_at_once() {
    let folder = Folder::new()
        .with("spot.toml", BAD_TOML)
        .with("deploy/setup.sh", "#!/bin/sh\n")
        .with("keys/id", &PRIVATE_KEY)
        .with("keys/id.pub", PUBLIC_KEY)
        .mode("keys/id", 0o644);
    assert_eq!(folder.report(), include_str!("testdata/bad_spot.toml.out").trim_end());
}

#[test]
fn everything_wrong_with_a_config_yaml_is_reported_at_once() {
    let folder = Folder::new().with("config.yaml", BAD_YAML).with("startup.py", "#!/usr/bin/env python3\n");
    assert_eq!(folder.report(), include_str!("testdata/bad_config.yaml.out").trim_end());
}

#[test]
fn a_project_without_a_file_has_the_defaults() {
    let folder = Folder::new();
    let config = folder.good();
    assert_eq!(config.source, None);
    assert_eq!(config.project.name, "app");
    assert_eq!(config.fleet.count, 3);
    assert_eq!(config.fleet.regions, ["us-west-2", "us-east-1"]);
    assert_eq!(config.fleet.types, ["t3.medium", "t3a.medium"]);
    assert_eq!(config.network.ssh_from, ["auto"]);
    assert_eq!((config.ssh.port, config.ssh.connect_timeout, config.ssh.wait_timeout), (22, 10, 300));
    assert_eq!(config.ssh.private_key, None);
    assert!(config.deploy.files.is_empty() && config.deploy.setup.is_empty() && config.warnings.is_empty());
}

#[test]
fn spot_toml_goes_before_config_yaml_and_says_so() {
    let folder = Folder::new()
        .with("spot.toml", "[fleet]\ncount = 7\n")
        .with("config.yaml", "regions:\n  - eu-west-1: {machine_type: t3.small}\n");
    let config = folder.good();
    assert_eq!(config.fleet.count, 7);
    assert_eq!(config.source, Some(folder.path("spot.toml")));
    let warning = config.warnings[0].to_string();
    assert_eq!(
        warning,
        "warning: spot.toml: is used, config.yaml is ignored\n  \
         hint: remove one of the two, or choose by `--config config.yaml`"
    );
}

#[test]
fn the_config_yaml_of_another_program_is_left_alone() {
    let other = "baseURL: https://example.org\ntitle: x\n";
    let folder = Folder::new().with("spot.toml", "").with("config.yaml", other);
    assert!(folder.good().warnings.is_empty());
    let folder = Folder::new().with("config.yaml", other);
    let config = folder.good();
    assert_eq!(config.source, None);
    assert!(config.warnings[0].message.contains("is not a configuration of Spot Deployer"));
    let folder = folder.with(".spot/config.yaml", "regions:\n  - eu-west-1: {machine_type: t3.small}\n");
    assert_eq!(folder.good().source, Some(folder.path(".spot/config.yaml")));
}

#[test]
fn a_named_file_is_the_only_one() {
    let folder =
        Folder::new().with("spot.toml", "[fleet]\ncount = 7\n").with("other.toml", "[fleet]\ncount = 8\n");
    let config = load(&folder.path(""), Some(&folder.path("other.toml"))).unwrap();
    assert_eq!(config.fleet.count, 8);
    assert!(config.warnings.is_empty());
    let message = |name: &str| load(&folder.path(""), Some(&folder.path(name))).unwrap_err().to_string();
    let missing = message("missing.toml");
    assert!(missing.starts_with("error: missing.toml: cannot be read: No such file"), "{missing}");
    assert!(missing.ends_with("hint: `spot setup` writes a spot.toml"), "{missing}");
    assert!(message("x.json").contains("is no configuration"));
}

#[test]
fn problems_become_an_error_of_the_configuration() {
    let folder = Folder::new().with("spot.toml", "[fleet]\ncount = 0\nuser = 3\n");
    let error = Error::from(folder.load().unwrap_err());
    assert!(error.message().starts_with("spot.toml cannot be used: 2 errors\n\n"));
    assert_eq!(error.exit_code(), 2);
    assert!(error.message().contains("spot.toml:2:9"));
}

#[test]
fn the_template_loads_and_says_the_defaults() {
    let folder = Folder::new().with("spot.toml", &template("My App"));
    let config = folder.good();
    assert!(config.warnings.is_empty(), "{:#?}", config.warnings);
    assert_eq!(config.project.name, "My-App");
    let defaults = Folder::new().good();
    assert_eq!(config.fleet, defaults.fleet);
    assert_eq!((config.network, config.tags), (defaults.network, defaults.tags));
}

#[test]
fn every_line_of_the_template_that_is_commented_out_is_valid() {
    let is_setting = |line: &str| {
        line.starts_with("# [") || line.split_once(" = ").is_some_and(|(key, _)| !key[2..].contains(' '))
    };
    let text: Vec<String> =
        template("app")
            .lines()
            .filter(|line| !line.starts_with("# files = \"deploy"))
            .map(|line| {
                if line.starts_with("# ") && is_setting(line) {
                    line[2..].to_owned()
                } else {
                    line.to_owned()
                }
            })
            .collect();
    let folder = Folder::new()
        .with("spot.toml", &text.join("\n"))
        .with("deploy/files/a", "")
        .with("deploy/setup.sh", "#!/bin/sh\n")
        .with("../home/.ssh/id_ed25519", &PRIVATE_KEY)
        .with("../home/.ssh/id_ed25519.pub", PUBLIC_KEY);
    let config = folder.good();
    assert!(config.warnings.is_empty(), "{:#?}", config.warnings);
    assert_eq!(config.fleet.region.len(), 1);
    assert_eq!(config.fleet.max_price, Some(0.05));
    assert_eq!(config.deploy.environment.len(), 1);
    assert!(config.ssh.private_key.is_some());
}

#[test]
fn scripts_see_the_configuration_as_an_object() {
    let json =
        serde_json::to_value(Folder::new().with("spot.toml", "[network]\nports = [\"8000-8100\"]\n").good())
            .unwrap();
    assert_eq!(json["fleet"]["market"], "spot");
    assert_eq!(json["ssh"]["address"], "public");
    assert_eq!(json["network"]["ports"][0]["to"], 8100);
    assert_eq!(json["fleet"]["max_price"], serde_json::Value::Null);
}

#[test]
fn a_missing_project_folder_is_an_error() {
    let missing = Folder::new().path("missing");
    let report = load(&missing, None).unwrap_err().to_string();
    assert!(report.contains("there is no such project folder\n  hint: mkdir -p "), "{report}");
}

#[test]
fn huge_files_end_quickly() {
    let start = std::time::Instant::now();
    let many = |line: &dyn Fn(usize) -> String| (0..40_000).map(line).collect::<String>();
    let environment = many(&|n| format!("\"a {n}\"={n},"));
    let huge = [
        "[".repeat(100_000),
        "{a=".repeat(100_000),
        "[[a.".repeat(100_000),
        "a.".repeat(100_000),
        "[a]\n".repeat(100_000),
        format!("fleet.regions = [{}]", many(&|n| format!("\"{n}\","))),
        format!("{}: 1\n", "x".repeat(900_000)),
        format!("{} = 1\n", "x".repeat(900_000)),
        many(&|n| format!("k{n} = {n}\n")),
        many(&|n| format!("k{n}: {n}\n")),
        format!("deploy.environment = {{{environment}}}"),
    ];
    for text in huge {
        let folder = Folder::new().with("x.toml", &text).with("x.yaml", &text);
        for name in ["x.toml", "x.yaml"] {
            assert!(load(&folder.path(""), Some(&folder.path(name))).is_err(), "{text:.20}");
        }
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(60), "{:?}", start.elapsed());
}

/// A text that is nearly a valid file: parts of it replaced, repeated or cut out.
fn mutated(text: &'static str) -> impl Strategy<Value = String> {
    let edit =
        (any::<prop::sample::Index>(), 0..12usize, "[\\[\\]{}\"'=:#&*<>!|?\\-\\n \ta-z0-9é\u{0}]{0,6}");
    prop::collection::vec(edit, 1..6).prop_map(move |edits| {
        let mut characters: Vec<char> = text.chars().collect();
        for (at, removed, added) in edits {
            let at = at.index(characters.len() + 1);
            let end = (at + removed).min(characters.len());
            characters.splice(at..end, added.chars());
        }
        characters.into_iter().collect()
    })
}

/// Loads in both formats; whatever comes, it is an answer whose report can be shown.
fn survives(bytes: &[u8]) {
    let folder = Folder::new();
    for name in ["x.toml", "x.yaml"] {
        std::fs::write(folder.path(name), bytes).unwrap();
        let problems = match load(&folder.path(""), Some(&folder.path(name))) {
            Ok(config) => config.warnings,
            Err(problems) => {
                assert!(problems.count(Severity::Error) > 0, "an error without a problem");
                problems.into_iter().collect()
            }
        };
        for problem in problems {
            assert!(!problem.to_string().chars().any(|c| c.is_control() && c != '\n'), "{problem:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&bytes);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "[\\[\\]{}\"'=:,.#&*<>!|?%@`\\-\\n\r \ta-c0-9é\u{feff}]{0,120}") {
        survives(text.as_bytes());
    }

    #[test]
    fn mutated_files_never_panic(
        toml in mutated(template::TEMPLATE),
        bad in mutated(BAD_TOML),
        yaml in mutated(BAD_YAML),
    ) {
        for text in [toml, bad, yaml] {
            survives(text.as_bytes());
        }
    }
}

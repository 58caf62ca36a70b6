//! Golden cases: every `tests/scripts/NAME.rhai` prints what `NAME.out` says.
//!
//! `SPOT_BLESS=1 cargo test scripts` writes the outputs anew, to be read in the diff.

use crate::spot::Spot;

/// The lines of a log without their time of day.
fn without_time(log: &str) -> String {
    let is_time =
        |word: &str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_digit() || byte == b':');
    log.lines()
        .map(|line| match line.split_once(' ') {
            Some((time, rest)) if is_time(time) => format!("{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}

/// The text with one name for all ids of resources, which are other ones each time.
fn without_ids(text: &str) -> String {
    let is_id = |word: &&str| {
        word.split_once('-')
            .is_some_and(|(_, tail)| tail.len() == 17 && tail.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '-');
    words.filter(is_id).fold(text.to_owned(), |text, id| {
        let kind = id.split('-').next().unwrap_or_default();
        text.replace(id, &format!("{kind}-ID"))
    })
}

#[test]
fn scripts_print_what_they_should() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rhai"))
        .collect();
    cases.sort();
    assert!(!cases.is_empty());
    let mut wrong = Vec::new();
    for case in cases {
        let spot = Spot::new();
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let path = spot.write(&name, &std::fs::read_to_string(&case).unwrap());
        let finished = spot.sandbox(&["run", &path.to_string_lossy(), "--quiet"]);
        let stderr = without_time(&finished.stderr.replace(&format!("{}/", spot.folder().display()), ""));
        let actual = without_ids(&format!("{}{}exit code {}\n", finished.stdout, stderr, finished.code));
        let expected = case.with_extension("out");
        if std::env::var_os("SPOT_BLESS").is_some() {
            std::fs::write(&expected, &actual).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != actual {
            wrong.push(format!("{name} printed\n{actual}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

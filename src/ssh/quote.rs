//! POSIX shell quoting.

/// Quotes a word so that a POSIX shell takes it literally, as one argument.
///
/// A word of harmless characters is returned as it is; anything else is put into single quotes. A
/// NUL byte cannot be passed to a program at all and is left as it is: callers that take words from
/// outside refuse it.
pub fn quote(word: &str) -> String {
    if !word.is_empty() && word.bytes().all(is_harmless) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Characters that no shell gives a meaning, wherever in a word they stand. `=` is not among them:
/// as the first word of a command, `a=b` is an assignment.
fn is_harmless(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_@%+:,./-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn through_a_shell(word: &str) -> String {
        let output = Command::new("sh").arg("-c").arg(format!("printf %s {}", quote(word))).output().unwrap();
        assert!(output.status.success(), "{word:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_real_shell_gives_every_word_back() {
        for word in [
            "",
            "plain",
            "two words",
            "it's",
            "''",
            "'",
            "\\",
            "a\\'b",
            "\"$HOME\"",
            "$(id)",
            "`id`",
            "a;b&c|d>e<f",
            "*?[a-z]{1,2}",
            "~",
            "~root",
            "#no comment",
            "!history",
            "line\nbreak\n",
            "tab\tand\rreturn",
            "ünï ✓",
            "a=b",
            "\x07\x1b[31m",
        ] {
            assert_eq!(through_a_shell(word), word);
        }
    }

    #[test]
    fn a_leading_dash_or_assignment_stays_a_word() {
        assert_eq!(quote("-rf"), "-rf");
        let status =
            Command::new("sh").arg("-c").arg(format!("{} 2>/dev/null", quote("a=b"))).status().unwrap();
        assert_eq!(status.code(), Some(127), "taken as a command name, not as an assignment");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
        #[test]
        fn any_word_survives(word in "[^\0]{0,40}") {
            proptest::prop_assert_eq!(through_a_shell(&word), word);
        }
    }
}

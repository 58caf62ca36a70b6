//! The patterns of OpenSSH's files: `*` stands for any characters, `?` for one.

/// Whether a name fits a pattern, letter by letter.
pub fn glob(pattern: &str, name: &str) -> bool {
    matches(pattern.as_bytes(), name.as_bytes(), |wanted, byte| wanted == byte)
}

/// The same for host names, where the case of letters says nothing.
pub fn glob_any_case(pattern: &str, name: &str) -> bool {
    matches(pattern.as_bytes(), name.as_bytes(), |wanted, byte| wanted.eq_ignore_ascii_case(&byte))
}

fn matches(pattern: &[u8], name: &[u8], same: impl Fn(u8, u8) -> bool) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(from) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, from));
                at += 1;
            }
            Some(wanted) if *wanted == b'?' || same(*wanted, *byte) => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((after, taken)) = star else { return false };
                star = Some((after, taken + 1));
                at = after;
                from = taken + 1;
            }
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_like_openssh() {
        assert!(glob("*", ""));
        assert!(glob("a*b?d", "axxbcd"));
        assert!(!glob("a*b?d", "axxbd"));
        assert!(glob("*a*a", "banana"));
        assert!(!glob("i-1", "i-12"));
        assert!(!glob("A*", "abc") && glob_any_case("A*", "abc"));
    }
}

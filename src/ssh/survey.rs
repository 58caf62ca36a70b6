//! What is at a number of remote paths, found out with a single command.

use std::collections::VecDeque;

use sha2::{Digest, Sha256};

use super::command::Command;
use super::content::hex;
use super::exec;
use super::pool::{Attempts, Pool};
use super::quote;
use super::target::Target;
use crate::error::Result;
use std::sync::Arc;

/// What is at a remote path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The host lacks the programs to tell, or could not read it.
    Unknown,
    Missing,
    Folder,
    /// A symbolic link; with the [`link_hash`] of what it points to.
    Link {
        hash: String,
    },
    /// A file; with its permission bits and the SHA-256 of its content.
    File {
        mode: u32,
        hash: String,
    },
    Other,
}

/// The hash that a link to `target` is found with.
pub fn link_hash(target: &str) -> String {
    hex(&Sha256::digest(format!("{target}\n")))
}

/// Handles up to a hundred paths: first a line with a letter for each, then a line with the mode and
/// a line with the hash for each file, then one for each link.
const BATCH: &str = r#"t=; l=
for f do
  shift
  if [ -L "$f" ]; then t=${t}l; l="$l $(readlink "$f" | sha256sum | cut -c 1-64)"
  elif [ -d "$f" ]; then t=${t}d
  elif [ -f "$f" ]; then t=${t}f; set -- "$@" "$f"
  elif [ -e "$f" ]; then t=${t}o
  else t=${t}m; fi
done
echo "T:$t"
if [ $# -gt 0 ]; then stat -c M:%a "$@"; sha256sum "$@"; fi
for h in $l; do echo "L:$h"; done"#;

/// Looks at the paths, each of which must begin with `/` or `./`. What cannot be told is
/// [`Found::Unknown`].
pub async fn survey(pool: &Arc<Pool>, target: &Target, paths: &[&str], sudo: bool) -> Result<Vec<Found>> {
    let script = format!(
        "for p in sha256sum xargs stat readlink cut; do command -v $p >/dev/null || exit 0; done\n\
         exec xargs -0 -n 100 sh -c {} sh 2>/dev/null",
        quote(BATCH)
    );
    let mut command = Command::new(format!("exec sh -c {}", quote(&script)));
    command.sudo = sudo;
    command.stdin = Some(paths.iter().flat_map(|path| path.bytes().chain([0])).collect());
    // 64 digits, two spaces and the path for each file, and a little more.
    command.capture_limit = paths.iter().map(|path| 2 * path.len() + 200).sum::<usize>() + 10_000;
    let output = exec::run(pool, target, &command, Attempts::Policy, &|_, _| {}).await?;
    let mut found = parse(&output.stdout);
    found.resize(paths.len(), Found::Unknown);
    Ok(found)
}

fn parse(text: &str) -> Vec<Found> {
    let mut all = Vec::new();
    let mut batches = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("T:") {
            Some(types) => batches.push((types, Vec::new())),
            None => {
                if let Some((_, lines)) = batches.last_mut() {
                    lines.push(line);
                }
            }
        }
    }
    for (types, lines) in batches {
        let mut modes: VecDeque<u32> =
            lines.iter().filter_map(|line| u32::from_str_radix(line.strip_prefix("M:")?, 8).ok()).collect();
        let mut hashes: VecDeque<&str> = lines.iter().filter_map(|line| file_hash(line)).collect();
        let mut links: VecDeque<&str> = lines.iter().filter_map(|line| line.strip_prefix("L:")).collect();
        let count = |letter| types.chars().filter(|other| *other == letter).count();
        // A file that could not be read has no line, and then no line can be told to be whose.
        if modes.len() != count('f') || hashes.len() != count('f') {
            hashes.clear();
        }
        if links.len() != count('l') {
            links.clear();
        }
        for letter in types.chars() {
            all.push(match letter {
                'm' => Found::Missing,
                'd' => Found::Folder,
                'o' => Found::Other,
                'f' => match (modes.pop_front(), hashes.pop_front()) {
                    (Some(mode), Some(hash)) => Found::File { mode: mode & 0o777, hash: hash.to_owned() },
                    _ => Found::Unknown,
                },
                'l' => links.pop_front().map_or(Found::Unknown, |hash| Found::Link { hash: hash.to_owned() }),
                _ => Found::Unknown,
            });
        }
    }
    all
}

/// The hash in a line of `sha256sum`, which begins with a backslash if the name has one.
fn file_hash(line: &str) -> Option<&str> {
    let line = line.strip_prefix('\\').unwrap_or(line);
    let (hash, rest) = line.split_at_checked(64)?;
    let is_hash = hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (is_hash && rest.starts_with("  ")).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_given_to_their_paths() {
        let (one, two) = ("1".repeat(64), "2".repeat(64));
        let text = format!("T:mfdlf\nM:644\nM:4755\n{one}  ./a\n\\{two}  ./b\\nc\nL:{one}\nT:o\n");
        let file = |mode, hash: &str| Found::File { mode, hash: hash.into() };
        let expected = [
            Found::Missing,
            file(0o644, &one),
            Found::Folder,
            Found::Link { hash: one.clone() },
            file(0o755, &two),
            Found::Other,
        ];
        assert_eq!(parse(&text), expected);
    }

    #[test]
    fn a_missing_line_makes_the_files_unknown_and_nothing_else() {
        let text = format!("T:dff\nM:644\nM:600\n{}  ./a\n", "1".repeat(64));
        assert_eq!(parse(&text), [Found::Folder, Found::Unknown, Found::Unknown]);
        assert_eq!(parse("sh: not found\n"), []);
    }
}

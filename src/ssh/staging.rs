//! Putting files in place as root: SFTP cannot, so they go to a private folder of the login user
//! first, with a script that moves them.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use super::command::Command;
use super::content::Content;
use super::exec;
use super::pool::{Attempts, Pool};
use super::quote;
use super::sftp::{Flow, Sftp, parent};
use super::target::Target;
use super::transfer::{Transfer, beside};
use super::upload::{FILES_AT_ONCE, Work};
use crate::error::{Error, Result};

/// How long removing the staging folder after a failure may take.
const CLEANUP_PATIENCE: Duration = Duration::from_secs(10);

/// A function that puts a temporary file or link in the place of another:
/// `mv` would move it *into* a folder that a link of that name leads to.
pub const PLACE: &str = r#"place() {
  if [ -L "$2" ] && [ -d "$2" ]; then rm -f "$2"; fi
  if [ -d "$2" ]; then rm -f "$1"; echo "$2 is a folder" >&2; exit 1; fi
  mv -f "$1" "$2" || { rm -f "$1"; exit 1; }
}
"#;

/// What else the script begins with.
const FUNCTIONS: &str = r#"set -eu
umask 022
file() {
  cp "$1" "$4" && chmod "$2" "$4" || { rm -f "$4"; exit 1; }
  place "$4" "$3"
}
link() {
  ln -s -- "$1" "$3"
  place "$3" "$2"
}
"#;

/// Does the work as root.
pub async fn apply(
    pool: &Arc<Pool>,
    target: &Target,
    work: &Work,
    on_sent: &(dyn Fn(u64) + Send + Sync),
    transfer: &mut Transfer,
) -> Result<()> {
    let folder = format!("./.spot-staging-{:016x}", rand::random::<u64>());
    let result = tokio::select! {
        biased;
        () = pool.cancel.cancelled() => Err(Error::interrupted()),
        result = stage(pool, target, &folder, work, on_sent) => result,
    };
    let result = match result {
        Ok(sizes) => put_in_place(pool, target, &folder).await.map(|()| sizes),
        Err(error) => Err(error),
    };
    if result.is_err() {
        // Also when interrupted: what was sent may be secret, and nobody would find it. Should the
        // connection be lost for good, it stays.
        let removing = exec::aside(pool, target, format!("rm -rf {folder}"));
        let _ = timeout(CLEANUP_PATIENCE, removing).await;
    }
    let sizes = result?;
    transfer.files += sizes.len() as u64;
    transfer.bytes += sizes.iter().sum::<u64>();
    transfer.folders += work.folders.len() as u64;
    transfer.links += work.links.len() as u64;
    transfer.modes += work.modes.len() as u64;
    Ok(())
}

/// Sends the files, by number, and the script.
async fn stage(
    pool: &Arc<Pool>,
    target: &Target,
    folder: &str,
    work: &Work,
    on_sent: &(dyn Fn(u64) + Send + Sync),
) -> Result<Vec<u64>> {
    let sftp = Sftp::open(pool, target).await?;
    sftp.make_folder(folder, 0o700).await?;
    let flow = Flow::new(&pool.chunks);
    let sending = stream::iter(work.files.iter().enumerate()).map(|(number, file)| {
        let (path, sftp, flow) = (format!("{folder}/{number}"), &sftp, &flow);
        async move { sftp.create(&path, &file.content, 0o600, flow, on_sent).await }
    });
    let sizes = sending.buffer_unordered(FILES_AT_ONCE).boxed().try_collect().await?;
    let script = Content::Bytes(script(folder, work).into_bytes().into());
    sftp.create(&format!("{folder}/script"), &script, 0o600, &flow, &|_| {}).await?;
    Ok(sizes)
}

async fn put_in_place(pool: &Arc<Pool>, target: &Target, folder: &str) -> Result<()> {
    let line = format!("sh {folder}/script; status=$?; rm -rf {folder} || status=70; exit $status");
    let mut command = Command::new(format!("exec sh -c {}", quote(&line)));
    command.sudo = true;
    let output = exec::run(pool, target, &command, Attempts::Policy, &|_, _| {}).await?;
    if output.ok() {
        return Ok(());
    }
    let reason = output.last_line().unwrap_or("no reason given");
    let error =
        Error::ssh(format!("cannot put the files in place on {target}: {reason}")).with_code("SudoFailed");
    match reason.starts_with("sudo:") {
        true => Err(error.with_hint(format!("{} needs sudo without a password there", target.user))),
        false => Err(error),
    }
}

/// The script that root runs in the home folder of the login user.
fn script(folder: &str, work: &Work) -> String {
    let mut script = format!("{PLACE}{FUNCTIONS}");
    if let Some(above) = work.root().and_then(parent) {
        script.push_str(&format!("mkdir -p {}\n", quote(above)));
    }
    for (path, _) in &work.folders {
        script.push_str(&format!("[ -d {0} ] || mkdir {0}\n", quote(path)));
    }
    for (number, file) in work.files.iter().enumerate() {
        let (path, temporary) = (quote(&file.path), quote(&beside(&file.path)));
        script.push_str(&format!("file {folder}/{number} {:o} {path} {temporary}\n", file.mode));
    }
    for (to, path) in &work.links {
        script.push_str(&format!("link {} {} {}\n", quote(to), quote(path), quote(&beside(path))));
    }
    for (path, mode) in work.modes.iter().chain(work.folders.iter().rev()) {
        script.push_str(&format!("chmod {mode:o} {}\n", quote(path)));
    }
    script
}

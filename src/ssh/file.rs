//! Sending one file as a raw stream, over several connections at once where the path is long, and
//! going on where a broken connection stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};

use super::content::{LocalFile, blocking, hex};
use super::exec;
use super::feed::{self, Ended, Nothing, Supply};
use super::pool::{Attempts, Pool};
use super::quote;
use super::session::{NoChannel, Session};
use super::sftp::parent;
use super::staging::PLACE;
use super::target::Target;
use super::transfer::{Transfer, Upload, Verify, beside};
use super::upload::{DEFAULT_UMASK, OnProgress};
use crate::error::{Error, Result};

/// Remote programs count in blocks of this size.
const BLOCK: u64 = 1 << 20;
/// A path with a longer round trip is worth several connections: a server's window lets each carry
/// 2 MiB per round trip.
const FAR: Duration = Duration::from_millis(10);
/// Connections for a file on a long path.
const STRIPES: u64 = 4;
/// A smaller file is not worth their handshakes.
const STRIPE_FROM: u64 = 32 * BLOCK;
/// What may have been sent without having arrived: our queue, the socket's buffers, the window.
const UNCERTAIN: u64 = 16 * BLOCK;
/// How long cleaning up after a failure may take.
const CLEANUP_PATIENCE: Duration = Duration::from_secs(5);
/// The status of a script that got less than it was to get: what it has is kept.
const INCOMPLETE: u32 = 75;

/// A file on its way to one host.
pub struct Sending<'a> {
    pub pool: &'a Arc<Pool>,
    pub target: &'a Target,
    pub local: &'a Arc<LocalFile>,
    pub path: &'a str,
    /// Permission bits for a new file, and for one that is there.
    pub mode: u32,
    pub options: &'a Upload,
    pub on_progress: OnProgress<'a>,
}

/// What is in the place of the file.
enum Present {
    Same { mode: u32 },
    Other,
}

/// A part of the file and how far it has been sent.
struct Range {
    start: u64,
    end: u64,
    sent: AtomicU64,
}

impl Sending<'_> {
    /// Sends the file unless it is there. `None` if the host has no shell for that.
    pub async fn send(&self) -> Result<Option<Transfer>> {
        let mut transfer = Transfer::default();
        match self.look().await? {
            None => return Ok(None),
            Some(Present::Same { mode }) => {
                transfer.unchanged = 1;
                if mode != self.mode {
                    let script = format!("LC_ALL=C chmod {:o} {}", self.mode, quote(self.path));
                    self.script(&script, "change the mode of").await?;
                    transfer.modes = 1;
                }
                return Ok(Some(transfer));
            }
            Some(Present::Other) => {}
        }
        let temporary = beside(self.path);
        let result = tokio::select! {
            biased;
            () = self.pool.cancel.cancelled() => Err(Error::interrupted()),
            result = self.transmit(&temporary) => result,
        };
        if let Err(error) = result {
            let sudo = if self.options.sudo { "[ \"$(id -u)\" = 0 ] || s='sudo -n'; " } else { "" };
            let removing = format!("exec sh -c {}", quote(&format!("{sudo}$s rm -f {}", quote(&temporary))));
            // Should the connection be lost for good, the temporary file stays.
            let _ = timeout(CLEANUP_PATIENCE, exec::aside(self.pool, self.target, removing)).await;
            return Err(error);
        }
        (self.on_progress)(self.local.size, self.local.size);
        transfer.files = 1;
        transfer.bytes = self.local.size;
        Ok(Some(transfer))
    }

    /// Looks at what is there, and whether the host has what it takes.
    async fn look(&self) -> Result<Option<Present>> {
        let script = format!(
            "LC_ALL=C; export LC_ALL\n\
             for c in dd stat chmod touch mv mkdir rm; do command -v $c >/dev/null || exit 0; done\n\
             p={path}\n\
             if [ -d \"$p\" ] && [ ! -L \"$p\" ]; then echo spot:folder; exit 0; fi\n\
             if [ ! -L \"$p\" ] && [ -f \"$p\" ] && [ \"$(stat -c %s \"$p\")\" = {size} ]; then\n\
             echo \"spot:file $(stat -c %a \"$p\") $(sha256sum \"$p\" 2>/dev/null)\"; exit 0; fi\n\
             echo spot:other",
            path = quote(self.path),
            size = self.local.size,
        );
        let (_, ended) = self.run(&script, 8192).await?;
        let text = String::from_utf8_lossy(&ended.stdout);
        let Some((_, said)) = text.split_once("spot:") else {
            // Without a shell there is no output at all; with one that cannot become root, no status 0.
            return match ended.ok() || !self.options.sudo {
                true => Ok(None),
                false => Err(ended.failure(self.target, &format!("write {}", self.path))),
            };
        };
        let mut words = said.split_whitespace();
        match words.next() {
            Some("folder") => {
                let error = Error::ssh(format!("{} on {} is a folder", self.path, self.target));
                let hint = format!("to put the file into it, write {}/", self.path);
                Err(error.with_code("InTheWay").with_hint(hint))
            }
            Some("file") => {
                let mode = words.next().and_then(|mode| u32::from_str_radix(mode, 8).ok());
                let hash = words.next().map(|hash| hash.trim_start_matches('\\').to_owned());
                let (Some(mode), Some(hash)) = (mode, hash) else { return Ok(Some(Present::Other)) };
                let local = Arc::clone(self.local);
                match blocking(move || Ok(local.hash()? == hash)).await? {
                    true => Ok(Some(Present::Same { mode: mode & 0o777 })),
                    false => Ok(Some(Present::Other)),
                }
            }
            _ => Ok(Some(Present::Other)),
        }
    }

    async fn transmit(&self, temporary: &str) -> Result<()> {
        if let Some(folder) = parent(self.path) {
            let script =
                format!("LC_ALL=C; export LC_ALL; umask {DEFAULT_UMASK}; exec mkdir -p {}", quote(folder));
            // Only a file in a folder that may be missing needs this round trip.
            self.script(&script, "make the folder of").await?;
        }
        if self.options.verify == Verify::Hash {
            let local = Arc::clone(self.local);
            blocking(move || local.hash().map(drop)).await?;
        }
        let far = self.local.size >= STRIPE_FROM && self.round_trip().await? >= FAR;
        let ranges = split(self.local.size, if far { STRIPES } else { 1 });
        self.send_ranges(&ranges, temporary).await
    }

    async fn send_ranges(&self, ranges: &[Range], temporary: &str) -> Result<()> {
        let settle = self.settle(temporary);
        if let [range] = ranges {
            return self.send_range(range, ranges, temporary, true, Some(&settle)).await;
        }
        // The file is there, and nobody else's, before several write to it.
        self.script(&format!("umask 077; : > {}", quote(temporary)), "write").await?;
        let parts = ranges
            .iter()
            .enumerate()
            .map(|(number, range)| self.send_range(range, ranges, temporary, number == 0, None));
        try_join_all(parts).await?;
        self.script(&settle, "write").await
    }

    /// How long the host takes to open a channel: one round trip on a connection that stands.
    async fn round_trip(&self) -> Result<Duration> {
        self.pool.session(self.target, Attempts::Policy).await?;
        let mut shortest = Duration::MAX;
        for _ in 0..2 {
            let started = Instant::now();
            let _channel = self.pool.open(self.target, Attempts::Policy).await?;
            shortest = shortest.min(started.elapsed());
        }
        Ok(shortest)
    }

    /// Sends a part, again from where it stopped when a connection breaks.
    async fn send_range(
        &self,
        range: &Range,
        all: &[Range],
        temporary: &str,
        shared: bool,
        settle: Option<&str>,
    ) -> Result<()> {
        let attempt = |attempt: u32| async move {
            let from = if attempt > 1 {
                self.resume_at(range, temporary, settle.is_none()).await?
            } else {
                range.start
            };
            range.sent.store(from, Ordering::Relaxed);
            let session = match shared {
                true => self.pool.session(self.target, Attempts::One).await?,
                // A server that takes no further connection still has room on the first.
                false => match self.pool.connect(self.target).await {
                    Ok(session) => Arc::new(session),
                    Err(_) => self.pool.session(self.target, Attempts::One).await?,
                },
            };
            let ended = self.write(&session, range, all, temporary, from, settle).await;
            if !shared {
                session.close().await;
            }
            let ended = ended?;
            match ended.status {
                Some(0) => Ok(()),
                Some(INCOMPLETE) => Err(session.lost("a transfer was under way")),
                _ => Err(ended.failure(self.target, &format!("write {}", self.path))),
            }
        };
        self.pool.settings.retry.run(&self.pool.cancel, attempt).await
    }

    async fn write(
        &self,
        session: &Arc<Session>,
        range: &Range,
        all: &[Range],
        temporary: &str,
        from: u64,
        settle: Option<&str>,
    ) -> Result<Ended> {
        let quoted = quote(temporary);
        let script = format!(
            "LC_ALL=C; export LC_ALL; umask 077; t={quoted}\n\
             dd of=\"$t\" bs={BLOCK} seek={} conv=notrunc iflag=fullblock status=none || {{ rm -f \"$t\"; exit 1; }}\n{}",
            from / BLOCK,
            settle.unwrap_or_default(),
        );
        let channel = match session.open().await {
            Ok(channel) => channel,
            Err(NoChannel::Dead(error) | NoChannel::Refused(error)) => return Err(error.retryable(true)),
        };
        let mut pieces = Pieces { sending: self, range, all, at: from, file: None };
        feed::run(session, channel, self.options.sudo, &script, 0, &mut pieces).await
    }

    /// The offset up to which what the host has of a part is what we have. Nothing it has is taken
    /// on trust: a process that dies may leave anything.
    async fn resume_at(&self, range: &Range, temporary: &str, striped: bool) -> Result<u64> {
        let sent = range.sent.load(Ordering::Relaxed).min(range.end);
        let certain = if striped { sent.saturating_sub(UNCERTAIN) } else { sent };
        let blocks = certain.saturating_sub(range.start) / BLOCK;
        let script = format!(
            "t={}; n=$(( $(stat -c %s \"$t\") / {BLOCK} - {skip} )); [ $n -le {blocks} ] || n={blocks}\n\
             [ $n -gt 0 ] && echo \"spot:$n $(dd if=\"$t\" bs={BLOCK} skip={skip} count=$n 2>/dev/null | sha256sum)\"",
            quote(temporary),
            skip = range.start / BLOCK,
        );
        let (_, ended) = self.run(&script, 8192).await?;
        let text = String::from_utf8_lossy(&ended.stdout);
        let mut words =
            text.split_once("spot:").map(|(_, said)| said.split_whitespace()).into_iter().flatten();
        let number = words.next().and_then(|number| number.parse::<u64>().ok());
        let (Some(number), Some(theirs)) = (number.filter(|number| *number <= blocks), words.next()) else {
            return Ok(range.start);
        };
        let (local, start) = (Arc::clone(self.local), range.start);
        let ours = blocking(move || {
            let file = local.open()?;
            let mut hasher = Sha256::new();
            for block in 0..number {
                let length = usize::try_from(BLOCK).unwrap_or(usize::MAX);
                hasher.update(local.read_at(&file, start + block * BLOCK, length)?);
            }
            Ok(hex(&hasher.finalize()))
        });
        Ok(if ours.await? == theirs { range.start + number * BLOCK } else { range.start })
    }

    /// The script that looks at the whole temporary file and puts it in place.
    fn settle(&self, temporary: &str) -> String {
        let (seconds, nanoseconds) = self.local.modified;
        let verify = match self.options.verify {
            Verify::Size => "",
            Verify::Hash => {
                "[ \"$(sha256sum < \"$t\" | cut -c 1-64)\" = \"$hash\" ] || { rm -f \"$t\"; echo 'spot: checksum differs' >&2; exit 1; }\n"
            }
        };
        let hash = match self.options.verify {
            Verify::Hash => self.local.known_hash().unwrap_or_default(),
            Verify::Size => "",
        };
        let sync = if self.options.sync { "sync \"$t\" 2>/dev/null || sync\n" } else { "" };
        format!(
            "LC_ALL=C; export LC_ALL; t={temporary}; p={path}; hash={hash}\n{PLACE}\
             [ \"$(stat -c %s \"$t\")\" = {size} ] || exit {INCOMPLETE}\n{verify}\
             chmod {mode:o} \"$t\" || {{ rm -f \"$t\"; exit 1; }}\n\
             touch -d @{seconds}.{nanoseconds:09} \"$t\" 2>/dev/null || touch -d @{seconds} \"$t\" 2>/dev/null\n\
             {sync}place \"$t\" \"$p\"",
            temporary = quote(temporary),
            path = quote(self.path),
            size = self.local.size,
            mode = self.mode,
        )
    }

    async fn script(&self, script: &str, doing: &str) -> Result<()> {
        let (_, ended) = self.run(script, 0).await?;
        match ended.ok() {
            true => Ok(()),
            false => Err(ended.failure(self.target, &format!("{doing} {}", self.path))),
        }
    }

    async fn run(&self, script: &str, limit: usize) -> Result<(Arc<Session>, Ended)> {
        run(self.pool, self.target, self.options.sudo, script, limit).await
    }

    fn report(&self, all: &[Range]) {
        let done = all.iter().map(|range| range.sent.load(Ordering::Relaxed) - range.start).sum();
        (self.on_progress)(done, self.local.size);
    }
}

/// A number of parts that begin where a remote program can seek to.
fn split(size: u64, parts: u64) -> Vec<Range> {
    let step = size.div_ceil(parts.max(1)).next_multiple_of(BLOCK).max(BLOCK);
    let starts = (0..size.max(1)).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    let range = |start| Range { start, end: (start + step).min(size), sent: AtomicU64::new(start) };
    starts.map(range).collect()
}

/// Runs a script without input that may be run again: when its connection breaks, it is.
pub async fn run(
    pool: &Arc<Pool>,
    target: &Target,
    sudo: bool,
    script: &str,
    limit: usize,
) -> Result<(Arc<Session>, Ended)> {
    let attempt = |_: u32| async move {
        let (session, channel) = pool.open(target, Attempts::Policy).await?;
        let ended = feed::run(&session, channel, sudo, script, limit, &mut Nothing).await?;
        Ok((session, ended))
    };
    tokio::select! {
        biased;
        () = pool.cancel.cancelled() => Err(Error::interrupted()),
        result = pool.settings.retry.run(&pool.cancel, attempt) => result,
    }
}

/// A part of a local file, piece by piece.
struct Pieces<'a> {
    sending: &'a Sending<'a>,
    range: &'a Range,
    all: &'a [Range],
    at: u64,
    file: Option<Arc<std::fs::File>>,
}

impl Supply for Pieces<'_> {
    async fn next(&mut self) -> Result<Bytes> {
        self.range.sent.store(self.at, Ordering::Relaxed);
        self.sending.report(self.all);
        let length = (self.range.end - self.at).min(BLOCK);
        let last = self.at + length == self.range.end;
        let (local, at, file) = (Arc::clone(self.sending.local), self.at, self.file.take());
        if length == 0 && (file.is_some() || local.size > 0) {
            return Ok(Bytes::new());
        }
        let read = blocking(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(local.open()?),
            };
            let piece = local.read_at(&file, at, usize::try_from(length).unwrap_or(usize::MAX))?;
            if last {
                // Before the last piece is sent: without it, nothing is put in place.
                local.check_unchanged(&file)?;
            }
            Ok((file, piece))
        });
        let (file, piece) = read.await?;
        self.file = Some(file);
        self.at += length;
        Ok(Bytes::from(piece))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::super::sshd::Sshd;
    use super::*;

    #[test]
    fn parts_are_aligned_and_cover_the_file() {
        for (size, parts, expected) in [(0, 1, 1), (1, 4, 1), (5 * BLOCK + 1, 4, 3), (64 * BLOCK, 4, 4)] {
            let ranges = split(size, parts);
            assert_eq!(ranges.len(), expected, "{size}");
            let mut at = 0;
            for range in &ranges {
                assert_eq!((range.start, range.start % BLOCK), (at, 0));
                at = range.end;
            }
            assert_eq!(at, size);
        }
    }

    #[tokio::test]
    async fn several_connections_write_one_file_and_go_on_when_all_break() {
        let sshd = Sshd::start();
        let folder = sshd.folder.path().to_owned();
        let content: Vec<u8> = (0..90_000_001_u32).map(|number| (number % 251) as u8).collect();
        std::fs::write(folder.join("source"), &content).unwrap();
        let metadata = std::fs::metadata(folder.join("source")).unwrap();
        let local = Arc::new(LocalFile::new(folder.join("source"), &metadata));
        let (ssh, target) = (sshd.ssh(), sshd.target());
        let (path, temporary) = (folder.join("there"), folder.join(".spot-test.part"));
        let broken = AtomicBool::new(false);
        let half = tokio::sync::Notify::new();
        let on_progress = |done: u64, total: u64| {
            if done > total / 2 && !broken.swap(true, Ordering::Relaxed) {
                half.notify_one();
            }
        };
        let (options, path) = (Upload::default(), path.display().to_string());
        let sending = Sending {
            pool: &ssh.0,
            target: &target,
            local: &local,
            path: &path,
            mode: 0o640,
            options: &options,
            on_progress: &on_progress,
        };
        let ranges = split(local.size, STRIPES);
        let temporary = temporary.display().to_string();
        let breaking = async {
            half.notified().await;
            sshd.end_connections();
        };
        let (sent, ()) = tokio::join!(sending.send_ranges(&ranges, &temporary), breaking);
        sent.unwrap();
        assert!(std::fs::read(&path).unwrap() == content);
        assert!(!std::path::Path::new(&temporary).exists());
    }
}

//! The two output streams of the process, and what happens when nobody reads them any more.

use std::io::{ErrorKind, Write};

use super::environment::{Decision, Sink};
use super::event::Level;
use super::lines;

/// One stream with what it can show.
pub(super) struct Output {
    writer: Box<dyn Write + Send>,
    pub(super) sink: Sink,
    broken: bool,
    failure: Option<std::io::Error>,
}

impl Output {
    pub(super) fn new(writer: Box<dyn Write + Send>, sink: Sink) -> Self {
        Output { writer, sink, broken: false, failure: None }
    }

    /// Writes text and flushes it. A closed pipe (`spot list | head -1`) is remembered, not reported:
    /// whoever closed it wanted no more.
    pub(super) fn write(&mut self, text: &str) {
        if self.broken || text.is_empty() {
            return;
        }
        let written = self.writer.write_all(text.as_bytes()).and_then(|()| self.writer.flush());
        match written {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.broken = true,
            // A full disk must not pass in silence; it is said once.
            Err(error) => {
                self.broken = true;
                self.failure = Some(error);
            }
        }
    }

    /// Whether the reader is gone.
    pub(super) fn broken(&self) -> bool {
        self.broken
    }

    /// Why writing failed, if not for want of a reader; told once.
    pub(super) fn take_failure(&mut self) -> Option<String> {
        self.failure.take().map(|error| format!("cannot write to standard output: {error}"))
    }
}

/// Both streams.
pub(super) struct Outputs {
    pub(super) stdout: Output,
    pub(super) stderr: Output,
}

impl Outputs {
    /// The streams of this process.
    pub(super) fn of_process(decision: &Decision) -> Self {
        Outputs {
            stdout: Output::new(Box::new(std::io::stdout()), decision.stdout),
            stderr: Output::new(Box::new(std::io::stderr()), decision.stderr),
        }
    }

    /// Writes data; if that fails for another reason than a closed pipe, standard error says so.
    pub(super) fn data(&mut self, text: &str) {
        self.stdout.write(text);
        if let Some(failure) = self.stdout.take_failure() {
            let style = self.stderr.sink.style;
            self.stderr.write(&lines::message(Level::Error, &failure, None, &style));
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::ui::style::Style;
    use std::sync::{Arc, Mutex, PoisonError};

    /// A writer whose bytes can be read back.
    #[derive(Clone, Default)]
    pub struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        /// What has been written since the last call.
        pub fn take(&self) -> String {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
            String::from_utf8(bytes).unwrap()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A writer that always fails.
    pub struct Failing(pub ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    pub const PIPE: Sink = Sink { tty: false, columns: crate::ui::UNLIMITED, style: Style::PLAIN };

    #[test]
    fn a_closed_pipe_is_remembered_and_a_full_disk_reported() {
        let mut output = Output::new(Box::new(Failing(ErrorKind::BrokenPipe)), PIPE);
        output.write("x");
        output.write("y");
        assert!(output.broken());
        assert_eq!(output.take_failure(), None);
        let mut output = Output::new(Box::new(Failing(ErrorKind::StorageFull)), PIPE);
        output.write("x");
        assert!(
            output
                .take_failure()
                .is_some_and(|failure| failure.starts_with("cannot write to standard output:"))
        );
        assert_eq!(output.take_failure(), None);
    }
}

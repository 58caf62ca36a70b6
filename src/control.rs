//! Asks something of a running sandbox itself: its control API below `/_sandbox/`.
//!
//! A client and no more, so that whoever drives a sandbox (the command line, recipes, tests) need not
//! be the process in which it runs.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, Result};

/// How long a sandbox may take to answer. It carries some of what is asked out before it does.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the control API of a sandbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    address: SocketAddr,
    patience: Duration,
}

impl Control {
    /// The control API beside the EC2 endpoint at `url`, such as `http://127.0.0.1:4566`.
    ///
    /// # Errors
    /// [`Usage`](crate::Kind::Usage) when this is no address of a sandbox.
    pub fn at(url: &str) -> Result<Control> {
        let address = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/').parse();
        let address =
            address.map_err(|_| Error::usage(format!("`{url}` is not the address of a sandbox")))?;
        Ok(Control { address, patience: PATIENCE })
    }

    /// Waits no longer than this for an answer; two minutes unless said otherwise.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Control {
        self.patience = patience;
        self
    }

    /// Asks for what is at `path`, such as `/_sandbox/status`.
    ///
    /// # Errors
    /// With the sandbox's own code when it refuses; internal when it does not answer.
    pub fn get(&self, path: &str) -> Result<Value> {
        parsed(&self.text(path)?)
    }

    /// The text at `path`.
    ///
    /// # Errors
    /// As [`Control::get`].
    pub fn text(&self, path: &str) -> Result<String> {
        self.exchange("GET", path, "")
    }

    /// Asks for something to be done, with its parameters as a JSON object.
    ///
    /// # Errors
    /// As [`Control::get`].
    pub fn post(&self, path: &str, body: &Value) -> Result<Value> {
        parsed(&self.exchange("POST", path, &body.to_string())?)
    }

    /// Puts something in place of what is at `path`, as a JSON object.
    ///
    /// # Errors
    /// As [`Control::get`].
    pub fn put(&self, path: &str, body: &Value) -> Result<Value> {
        parsed(&self.exchange("PUT", path, &body.to_string())?)
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let answer = self.send(method, path, body).map_err(|error| {
            Error::internal(format!("the sandbox at {} does not answer", self.address)).with_source(error)
        })?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        if head.starts_with("HTTP/1.1 200") {
            return Ok(body.to_owned());
        }
        let answer: Value = serde_json::from_str(body).unwrap_or_default();
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        Err(Error::usage(format!("the sandbox refuses: {}", text("message"))).with_code(text("__type")))
    }

    fn send(&self, method: &str, path: &str, body: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, self.patience)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        let (address, length) = (self.address, body.len());
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

fn parsed(body: &str) -> Result<Value> {
    serde_json::from_str(body)
        .map_err(|error| Error::internal("the sandbox's answer is no JSON").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_is_one() {
        assert!(Control::at("http://127.0.0.1:80").is_ok());
        for wrong in ["https://127.0.0.1:80", "http://ec2.amazonaws.com", "", "http://127.0.0.1"] {
            assert!(Control::at(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_does_not_answer_is_named() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let control = Control::at(&format!("http://{address}")).unwrap().patience(Duration::from_millis(50));
        let error = control.get("/_sandbox/status").unwrap_err();
        assert!(error.message().contains(&address.to_string()), "{error}");
    }
}

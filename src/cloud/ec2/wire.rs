//! Tests against a tiny EC2 in this process, which answers what a test tells it: faults that moto
//! does not have. It speaks the query protocol, so the real SDK code path runs.

mod call;
mod fleet;
mod instance;
mod launch;
mod market;
mod network;
mod removal;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Ec2;
use crate::cloud::record::remembered::Remembered;
use crate::cloud::*;
use crate::error::{Kind, RESOURCES_REMAIN};
use crate::retry::Retry;

/// What a call gets.
enum Reply {
    /// An answer in XML; in JSON for the services that speak it.
    Ok(String),
    /// A refusal with its code and message.
    Refused(u16, &'static str, String),
    /// The connection is closed without an answer.
    Dropped,
}

/// The parameters of a call.
type Form = HashMap<String, String>;

/// A server that asks a function what to answer; ends with the test's runtime.
struct Wire {
    url: String,
    calls: Arc<Mutex<Vec<Form>>>,
}

impl Wire {
    async fn start(answer: impl Fn(&str, &Form) -> Reply + Send + Sync + 'static) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&calls), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                let service =
                    service_fn(move |request| serve(request, Arc::clone(&log), Arc::clone(&answer)));
                tokio::spawn(async move {
                    drop(
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await,
                    );
                });
            }
        });
        Wire { url, calls }
    }

    fn cloud(&self) -> Ec2 {
        let retry = Retry { base: Duration::from_millis(1), ..Retry::default() };
        let settings = Settings {
            retry,
            poll: Duration::from_millis(5),
            dependency_timeout: Duration::from_millis(40),
            ..Settings::local()
        };
        Ec2::new(Endpoint::local(&self.url), settings, CancellationToken::new())
    }

    fn count(&self, action: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|form| form["Action"] == action).count()
    }

    fn last(&self, action: &str) -> Form {
        self.calls.lock().unwrap().iter().rfind(|form| form["Action"] == action).cloned().unwrap()
    }
}

async fn serve(
    request: Request<Incoming>,
    log: Arc<Mutex<Vec<Form>>>,
    answer: Arc<impl Fn(&str, &Form) -> Reply>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    // Quotas and prices speak JSON, with the action in a header.
    let target = request.headers().get("x-amz-target").and_then(|it| it.to_str().ok()).map(str::to_owned);
    let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    let mut form: Form = form_urlencoded::parse(&body).into_owned().collect();
    if let Some(target) = &target {
        let name = target.rsplit('.').next().unwrap_or_default().to_owned();
        let text = String::from_utf8_lossy(&body).into_owned();
        form = Form::from([("Action".to_owned(), name), ("Body".to_owned(), text)]);
    }
    let action = form["Action"].clone();
    let iam = form.get("Version").is_some_and(|version| version == "2010-05-08");
    log.lock().unwrap().push(form.clone());
    let (status, text) = match answer(&action, &form) {
        Reply::Ok(inner) if target.is_some() => (200, inner),
        Reply::Refused(status, code, message) if target.is_some() => {
            (status, format!(r#"{{"__type":"{code}","message":"{message}"}}"#))
        }
        Reply::Ok(inner) if iam => {
            (200, format!("<{action}Response><{action}Result>{inner}</{action}Result></{action}Response>"))
        }
        Reply::Refused(status, code, message) if iam => (
            status,
            format!(
                "<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
            ),
        ),
        Reply::Ok(inner) => {
            (200, format!("<{action}Response><requestId>r</requestId>{inner}</{action}Response>"))
        }
        Reply::Refused(status, code, message) => (
            status,
            format!(
                "<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>r</RequestID></Response>"
            ),
        ),
        Reply::Dropped => return Err(std::io::Error::other("dropped")),
    };
    Ok(Response::builder().status(status).body(Full::new(Bytes::from(text))).unwrap())
}

/// Instances that the server has launched, by their token.
#[derive(Default)]
struct Fleet(Mutex<Vec<(String, String)>>);

impl Fleet {
    fn launch(&self, form: &Form, count: usize) -> Vec<(String, String)> {
        let mut all = self.0.lock().unwrap();
        let first = all.len();
        all.extend((first..first + count).map(|number| (format!("i-{number}"), form["ClientToken"].clone())));
        all[first..].to_vec()
    }

    fn with_token(&self, form: &Form) -> Vec<(String, String)> {
        let wanted = form.values().find(|value| value.starts_with("spot-")).cloned().unwrap_or_default();
        self.0.lock().unwrap().iter().filter(|(_, token)| *token == wanted).cloned().collect()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

fn instances_xml(instances: &[(String, String)]) -> String {
    let items: String = instances
        .iter()
        .map(|(id, token)| {
            format!(
                "<item><instanceId>{id}</instanceId><instanceState><code>0</code><name>pending</name></instanceState><tagSet><item><key>spot:token</key><value>{token}</value></item></tagSet></item>"
            )
        })
        .collect();
    format!("<instancesSet>{items}</instancesSet>")
}

fn reservations_xml(instances: &[(String, String)]) -> String {
    format!(
        "<reservationSet><item><reservationId>r-1</reservationId>{}</item></reservationSet>",
        instances_xml(instances)
    )
}

fn refused(code: &'static str) -> Reply {
    Reply::Refused(400, code, "no".to_owned())
}

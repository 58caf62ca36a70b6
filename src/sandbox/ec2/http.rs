//! The HTTP side: connections, and what a request is before it is an action.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::authorization;
use super::body::{Lost, Sent};
use super::calls::{self, RecordedCall};
use super::fault::Fault;
use super::force::{Delivery, Force};
use super::request::{Params, hex};
use super::response::{self, Response};
use super::service::Service;
use super::services::{self, iam, s3};
use super::signature::Signed;
use crate::error::{Error, Result};
use crate::sandbox::faults::dice::Lot;

/// No request but those of S3 is longer: with 16 KiB of user data and a thousand ids.
const LONGEST_BODY: usize = 1 << 20;
/// How long a shutdown waits for the requests under way.
const PATIENCE: Duration = Duration::from_secs(10);
/// The version of the STS API, which tells its requests from those of EC2.
const STS_VERSION: &str = "2011-06-15";

/// The listening server.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    service: Arc<Service>,
    stop: CancellationToken,
    /// Connections, and requests that outlive theirs.
    tasks: TaskTracker,
}

impl Server {
    /// Listens on a port of 127.0.0.1, 0 for any that is free.
    pub async fn start(service: Arc<Service>, port: u16) -> Result<Self> {
        let failed = |error| match port {
            0 => Error::internal("cannot listen on 127.0.0.1 for the sandbox").with_source(error),
            port => Error::usage(format!("cannot listen on 127.0.0.1:{port} for the sandbox"))
                .with_hint("choose another port, or none: any free one is taken then")
                .with_source(error),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let server = Server { address, service, stop: CancellationToken::new(), tasks: TaskTracker::new() };
        let accept = accept(listener, server.connections());
        server.tasks.spawn(accept);
        server.tasks.spawn(Arc::clone(&server.service).tend(server.stop.clone()));
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it carries out actions with.
    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Stops listening and waits for the requests under way.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        // A request that takes longer is cut off; what it changed is stored below all the same.
        let _ = tokio::time::timeout(PATIENCE, self.tasks.wait()).await;
        // There is nobody left to tell, and the last change of each request was stored before its answer.
        let _ = self.service.flush().await;
    }

    fn connections(&self) -> Connections {
        Connections { service: Arc::clone(&self.service), stop: self.stop.clone(), tasks: self.tasks.clone() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What each connection needs.
#[derive(Clone)]
struct Connections {
    service: Arc<Service>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

async fn accept(listener: TcpListener, connections: Connections) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = connections.stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                connections.tasks.spawn(connections.clone().serve(stream, peer));
            }
            // Out of file descriptors, most likely: give the others time to close theirs.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

impl Connections {
    async fn serve(self, stream: TcpStream, peer: SocketAddr) {
        // Answers are small and complete: there is nothing to wait for.
        let _ = stream.set_nodelay(true);
        let stop = self.stop.clone();
        let handler = service_fn(move |request| self.clone().handle(request, peer));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(60))
            .serve_connection(TokioIo::new(stream), handler);
        tokio::pin!(connection);
        // An error here is the client's going away, or an answer lost on purpose.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }

    async fn handle(
        self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Result<hyper::Response<Sent>, Lost> {
        let path = request.uri().path();
        if path == "/checkip" && request.method() == Method::GET {
            return Ok(hyper::Response::new(Sent::whole(format!("{}\n", peer.ip()))));
        }
        if path.starts_with("/_sandbox/") {
            return Ok(whole(self.control(request).await, 0.0));
        }
        let start = self.service.calls().now();
        let asked = read(&self.service, request).await;
        let mut record = asked.as_ref().map(Asked::record).unwrap_or_else(|_| Asked::unreadable());
        record.start_ms = start;
        let force = self.service.force();
        let lot = force.lot(&record);
        let latency = force.latency(&record, lot, self.service.now());
        if !latency.is_zero() {
            record.faults.push("latency");
            tokio::time::sleep(latency).await;
        }
        // The other faults are about EC2 alone.
        let of_ec2 = asked.as_ref().is_ok_and(|asked| matches!(asked.body, Body::Ec2(_)));
        if of_ec2 && force.loses_request(lot) {
            record.faults.push("lost-request");
            self.service.note_call(record, lot);
            return Err(Lost);
        }
        let throttled = if !of_ec2 {
            None
        } else if force.throttles(lot) {
            Some("throttle")
        } else if !force.takes_tokens(&record) {
            Some("throttling")
        } else {
            None
        };
        record.faults.extend(throttled);
        let mut answer = match throttled {
            Some(_) => {
                let fault = Fault::with_status(503, "RequestLimitExceeded", "Request limit exceeded.");
                response::ec2_fault(&record.id, &fault)
            }
            None => {
                // A task of its own: what has begun is finished even if the client goes away.
                let (service, force, id) = (Arc::clone(&self.service), Arc::clone(&force), record.id.clone());
                let answer = self.tasks.spawn(async move { answer(&service, &force, lot, &id, asked).await });
                answer.await.unwrap_or_else(|_| {
                    response::ec2_fault(&record.id, &Fault::internal("the sandbox failed"))
                })
            }
        };
        if answer.on_purpose {
            record.faults.push("error");
        }
        // S3 has a header of its own for it.
        if record.service != "s3" {
            answer = answer.with("x-amzn-requestid", record.id.clone());
        }
        let delivery = if of_ec2 { force.delivery(lot) } else { Delivery::Whole };
        (record.status, record.code) = (answer.status, answer.code.take());
        match delivery {
            Delivery::Whole => {}
            Delivery::Lost => {
                record.status = 0;
                record.faults.push("lost-answer");
            }
            Delivery::Cut => record.faults.push("cut-answer"),
            Delivery::Malformed => record.faults.push("malformed-answer"),
        }
        self.service.note_call(record, lot);
        match delivery {
            Delivery::Whole => Ok(whole(answer, force.clock_skew)),
            Delivery::Lost => Err(Lost),
            Delivery::Cut => {
                let body = Sent::half(std::mem::take(&mut answer.body));
                Ok(whole(answer, force.clock_skew).map(|_| body))
            }
            Delivery::Malformed => {
                answer.body = response::malformed(&answer.body);
                Ok(whole(answer, force.clock_skew))
            }
        }
    }

    /// What tests and tools ask of the sandbox itself.
    async fn control(&self, request: Request<Incoming>) -> Response {
        let path = request.uri().path().to_owned();
        match (request.method().clone(), path.as_str()) {
            (Method::GET, "/_sandbox/calls") => {
                let from = request.uri().query().and_then(|query| query.strip_prefix("from=")?.parse().ok());
                let numbered = self.service.calls().since(from.unwrap_or(0)).into_iter();
                let lines = numbered.filter_map(|(number, call)| {
                    let mut line = serde_json::to_value(call).ok()?;
                    line["number"] = number.into();
                    Some(format!("{line}\n"))
                });
                Response::json(200, lines.collect::<String>())
            }
            (Method::GET, "/_sandbox/status") => Response::json(200, self.service.status().await.to_string()),
            (Method::GET, "/_sandbox/resolve") => {
                let name = request.uri().query().and_then(|query| query.strip_prefix("name="));
                let address = self.service.resolves(name.unwrap_or_default()).then_some("127.0.0.1");
                Response::json(200, serde_json::json!({ "address": address }).to_string())
            }
            (Method::GET, "/_sandbox/clock") => {
                Response::json(200, format!("{}\n", self.service.clock_state()))
            }
            (Method::GET, "/_sandbox/faults") => {
                let force = self.service.force();
                match serde_json::to_string(&**force) {
                    Ok(text) => Response::json(200, text + "\n"),
                    Err(error) => response::json_fault(&Fault::internal(error.to_string())),
                }
            }
            (Method::POST, "/_sandbox/clock" | "/_sandbox/faults") | (Method::PUT, "/_sandbox/faults") => {
                let adds = request.method() == Method::POST;
                let body = Limited::new(request.into_body(), LONGEST_BODY).collect().await;
                let text = body.ok().and_then(|body| String::from_utf8(body.to_bytes().into()).ok());
                let Some(text) = text else {
                    return response::json_fault(&Fault::value("expected at most 1 MiB of text"));
                };
                let done = match path.as_str() {
                    "/_sandbox/clock" => self.service.set_clock(&text).await,
                    _ if adds => self.service.change_faults(&text).await,
                    _ => self.service.set_faults(&text).await,
                };
                match done {
                    Ok(answer) => Response::json(200, format!("{answer}\n")),
                    Err(fault) => response::json_fault(&fault),
                }
            }
            (Method::GET, "/_sandbox/inventory") => {
                match serde_json::to_string(&self.service.inventory().await) {
                    Ok(text) => Response::json(200, text),
                    Err(error) => response::json_fault(&Fault::internal(error.to_string())),
                }
            }
            (Method::GET, path) if path.starts_with("/_sandbox/hosts/") => {
                let rest = path.strip_prefix("/_sandbox/hosts/").unwrap_or_default();
                let all = request.uri().query() != Some("unusual");
                let told = match rest.split_once('/') {
                    None => self.service.spoilt(rest, all).await.map(|faults| format!("{faults}\n")),
                    Some((id, "commands")) => self.service.commands(id).await,
                    Some(_) => Err(not_found(path)),
                };
                match told {
                    Ok(text) => Response::json(200, text),
                    Err(fault) => response::json_fault(&fault),
                }
            }
            (
                Method::POST,
                "/_sandbox/interrupt" | "/_sandbox/hold" | "/_sandbox/release" | "/_sandbox/host",
            ) => {
                let body = Limited::new(request.into_body(), LONGEST_BODY).collect().await;
                let wanted: Option<Value> =
                    body.ok().and_then(|body| serde_json::from_slice(&body.to_bytes()).ok());
                let Some(wanted) = wanted else {
                    return response::json_fault(&Fault::value("expected a JSON object"));
                };
                let nothing = |()| Value::Object(Default::default());
                let done = match path.as_str() {
                    "/_sandbox/host" => self.service.spoil(wanted).await.map(nothing),
                    "/_sandbox/hold" => self
                        .service
                        .hold(wanted)
                        .await
                        .map(|id| serde_json::json!({ "network_interface_id": id })),
                    "/_sandbox/release" => self.service.release(wanted).await.map(nothing),
                    _ => self.service.interrupt(wanted).await.map(nothing),
                };
                match done {
                    Ok(answer) => Response::json(200, format!("{answer}\n")),
                    Err(fault) => response::json_fault(&fault),
                }
            }
            _ => response::json_fault(&not_found(&path)),
        }
    }
}

fn not_found(path: &str) -> Fault {
    Fault::with_status(404, "NotFound", format!("there is no {path}"))
}

/// A request that has been read.
pub(super) struct Asked {
    authorization: Option<String>,
    signed: Signed,
    body: Body,
}

/// Which service is asked, and what.
enum Body {
    Ec2(Params),
    Sts(Params),
    Iam(Params),
    /// A service that speaks JSON, and its action.
    Json(&'static str, String, Value),
    S3(Box<s3::Request>),
}

impl Body {
    /// The service, as signatures name it.
    fn service(&self) -> &'static str {
        match self {
            Body::Ec2(_) => "ec2",
            Body::Sts(_) => "sts",
            Body::Iam(_) => "iam",
            Body::Json(service, _, _) => service,
            Body::S3(_) => "s3",
        }
    }
}

impl Asked {
    /// What is known of the call before it is answered.
    fn record(&self) -> RecordedCall {
        let action = |params: &Params| params.text("Action").unwrap_or_default().to_owned();
        let (action, parameters) = match &self.body {
            Body::Ec2(params) | Body::Sts(params) | Body::Iam(params) => {
                (action(params), calls::of_query(params))
            }
            Body::Json(_, action, input) => (action.clone(), calls::of_json(input)),
            Body::S3(request) => (request.action().to_owned(), request.parameters()),
        };
        let region =
            authorization::scope(self.authorization.as_deref()).map(|scope| scope.region).unwrap_or_default();
        RecordedCall {
            service: self.body.service().to_owned(),
            action,
            region,
            parameters,
            ..Self::unreadable()
        }
    }

    /// What is recorded of a call that cannot be read.
    pub(super) fn unreadable() -> RecordedCall {
        RecordedCall {
            id: response::request_id(),
            faults: Vec::new(),
            service: String::new(),
            action: String::new(),
            region: String::new(),
            status: 0,
            code: None,
            start_ms: 0.0,
            end_ms: 0.0,
            parameters: BTreeMap::new(),
        }
    }
}

async fn read(service: &Service, request: Request<Incoming>) -> Result<Asked, Fault> {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = header(AUTHORIZATION.as_str()).map(str::to_owned);
    let query = head.uri.query().unwrap_or_default();
    let scope = authorization::scope(authorization.as_deref());
    let of_s3 = scope.is_ok_and(|scope| scope.service == "s3");
    if !of_s3 && head.method != Method::GET && head.method != Method::POST {
        return Err(Fault::with_status(405, "InvalidRequest", "The request method is not allowed"));
    }
    let to_s3 = of_s3.then(|| {
        let mut request =
            s3::Request::new(head.method.as_str(), head.uri.path(), query, head.headers.clone());
        // What happens to the object from here on, while the body is still under way, is at the same time.
        request.deletions = service.buckets().deletions(&request.bucket, &request.key);
        request
    });
    let too_long = |_| Fault::with_status(413, "RequestEntityTooLarge", "The request is too long");
    let longest = if of_s3 { s3::LONGEST } else { LONGEST_BODY };
    let body = Limited::new(body, longest).collect().await.map_err(too_long)?.to_bytes();
    let signed = Signed {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: query.to_owned(),
        headers: head.headers.clone(),
        digest: hex(&Sha256::digest(&body)),
    };
    if let Some(request) = to_s3 {
        let body = Body::S3(Box::new(s3::Request { body, ..request }));
        return Ok(Asked { authorization, signed, body });
    }
    let body = unpacked(header(CONTENT_ENCODING.as_str()), body)?;
    if let Some((service, action)) = header("x-amz-target").and_then(services::target) {
        let input = if body.is_empty() {
            Ok(Value::Object(Default::default()))
        } else {
            serde_json::from_slice(&body)
        };
        let input =
            input.map_err(|error| Fault::new("SerializationException", format!("not JSON: {error}")))?;
        return Ok(Asked { authorization, signed, body: Body::Json(service, action.to_owned(), input) });
    }
    let mut encoded = query.as_bytes().to_vec();
    if !body.is_empty() {
        encoded.push(b'&');
        encoded.extend_from_slice(&body);
    }
    let params = Params::parse(&encoded)?;
    let body = match params.text("Version") {
        Some(STS_VERSION) => Body::Sts(params),
        Some(iam::VERSION) => Body::Iam(params),
        _ => Body::Ec2(params),
    };
    Ok(Asked { authorization, signed, body })
}

/// A body as it was before it was compressed, as clients of CloudWatch do with long ones.
fn unpacked(encoding: Option<&str>, body: Bytes) -> Result<Bytes, Fault> {
    if encoding != Some("gzip") {
        return Ok(body);
    }
    let mut unpacked = Vec::new();
    let limit = LONGEST_BODY as u64 * 4;
    let mut read = std::io::Read::take(flate2::read::GzDecoder::new(&body[..]), limit + 1);
    match std::io::copy(&mut read, &mut unpacked) {
        Ok(length) if length <= limit => Ok(Bytes::from(unpacked)),
        Ok(_) => Err(Fault::with_status(413, "RequestEntityTooLarge", "The request is too long")),
        Err(error) => Err(Fault::new("SerializationException", format!("not gzip: {error}"))),
    }
}

async fn answer(
    service: &Service,
    force: &Arc<Force>,
    lot: Lot,
    id: &str,
    asked: Result<Asked, Fault>,
) -> Response {
    let asked = match asked {
        Ok(asked) => asked,
        Err(fault) => return response::ec2_fault(id, &fault),
    };
    let scope = authorization::scope(asked.authorization.as_deref());
    let scope = scope.and_then(|scope| {
        service.believe(&asked.signed, &scope, asked.body.service())?;
        Ok(scope)
    });
    match asked.body {
        Body::Sts(params) => match scope.and_then(|_| caller_identity(&params)) {
            Ok(()) => response::identity(id),
            Err(fault) => response::query_fault(response::STS, id, &fault),
        },
        Body::Iam(params) => {
            let done = match scope {
                Ok(_) => service.roles(&params).await,
                Err(fault) => Err(fault),
            };
            match done {
                Ok(xml) => response::iam(params.text("Action").unwrap_or_default(), id, xml),
                Err(fault) => response::query_fault(response::IAM, id, &fault),
            }
        }
        Body::Json(name, action, input) => {
            let done = match scope {
                Ok(scope) => service.ask(&scope.region, name, &action, &input, (&**force, lot)).await,
                Err(fault) => Err(fault),
            };
            match done {
                Ok(value) => Response::json(200, value.to_string()),
                Err(fault) if name == "monitoring" => response::metrics_fault(&fault),
                Err(fault) => response::json_fault(&fault),
            }
        }
        Body::S3(request) => service.store_or_fetch(scope, *request, (&**force, lot), id).await,
        Body::Ec2(params) => {
            let done = match scope {
                Ok(scope) => service.perform(&params, &scope.region, force, lot).await,
                Err(fault) => Err(fault),
            };
            match done {
                Ok((action, xml)) => response::ec2(action, id, xml),
                Err(fault) => response::ec2_fault(id, &fault),
            }
        }
    }
}

fn caller_identity(params: &Params) -> Result<(), Fault> {
    match params.required("Action")? {
        "GetCallerIdentity" => Ok(()),
        other => {
            let message = format!("Could not find operation {other} for version {STS_VERSION}");
            Err(Fault::new("InvalidAction", message))
        }
    }
}

/// An answer as it is sent; its `Date` is ahead of the real time by so many seconds.
fn whole(response: Response, skew: f64) -> hyper::Response<Sent> {
    let mut whole = hyper::Response::new(Sent::whole(response.body));
    if let Ok(status) = hyper::StatusCode::from_u16(response.status) {
        *whole.status_mut() = status;
    }
    if let Ok(content_type) = HeaderValue::from_str(&response.content_type) {
        whole.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    for (name, value) in response.headers {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()))
        {
            whole.headers_mut().insert(name, value);
        }
    }
    if skew != 0.0
        && let Ok(date) = HeaderValue::from_str(&skewed(skew))
    {
        whole.headers_mut().insert(DATE, date);
    }
    whole
}

/// The real time, so many seconds ahead, in the form of HTTP.
fn skewed(seconds: f64) -> String {
    let now = jiff::Timestamp::now();
    let skew = jiff::SignedDuration::from_secs(seconds as i64);
    now.checked_add(skew).unwrap_or(now).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

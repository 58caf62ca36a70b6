//! The HTTP side: connections, and what a request is before it is an action.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::authorization;
use super::fault::Fault;
use super::request::Params;
use super::response::{self, Response};
use super::service::Service;
use crate::error::{Error, Result};

/// No request of EC2 is longer, with 16 KiB of user data and a thousand ids.
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
    /// Listens on a free port of 127.0.0.1.
    pub async fn start(service: Arc<Service>) -> Result<Self> {
        let failed = |error| Error::internal("cannot listen on 127.0.0.1 for the sandbox").with_source(error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let server = Server { address, service, stop: CancellationToken::new(), tasks: TaskTracker::new() };
        let accept = accept(listener, server.connections());
        server.tasks.spawn(accept);
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
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
    ) -> Result<hyper::Response<Full<Bytes>>, Lost> {
        if request.uri().path() == "/checkip" && request.method() == Method::GET {
            return Ok(hyper::Response::new(Full::new(Bytes::from(format!("{}\n", peer.ip())))));
        }
        let (_, latency, lost) = self.service.trouble();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let asked = read(request).await;
        let of_ec2 = asked.as_ref().is_ok_and(|asked| !asked.of_sts());
        // A task of its own: what has begun is finished even if the client goes away.
        let service = Arc::clone(&self.service);
        let answer = self.tasks.spawn(async move { answer(&service, asked).await }).await;
        if of_ec2 && self.service.chance(lost) {
            return Err(Lost);
        }
        let answer = answer.unwrap_or_else(|_| {
            response::ec2_fault(&response::request_id(), &Fault::internal("the sandbox failed"))
        });
        Ok(whole(answer))
    }
}

/// The answer was lost: hyper closes the connection without it.
#[derive(Debug)]
struct Lost;

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer was lost on purpose")
    }
}

impl std::error::Error for Lost {}

/// A request that has been read.
struct Asked {
    authorization: Option<String>,
    params: Params,
}

impl Asked {
    fn of_sts(&self) -> bool {
        self.params.text("Version") == Some(STS_VERSION)
    }
}

async fn read(request: Request<Incoming>) -> Result<Asked, Fault> {
    let (head, body) = request.into_parts();
    if head.method != Method::GET && head.method != Method::POST {
        return Err(Fault::with_status(405, "InvalidRequest", "The request method is not allowed"));
    }
    let too_long = |_| Fault::with_status(413, "RequestEntityTooLarge", "The request is too long");
    let body = Limited::new(body, LONGEST_BODY).collect().await.map_err(too_long)?.to_bytes();
    let mut encoded = head.uri.query().unwrap_or_default().as_bytes().to_vec();
    if !body.is_empty() {
        encoded.push(b'&');
        encoded.extend_from_slice(&body);
    }
    let authorization = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    Ok(Asked { authorization: authorization.map(str::to_owned), params: Params::parse(&encoded)? })
}

async fn answer(service: &Service, asked: Result<Asked, Fault>) -> Response {
    let id = response::request_id();
    let asked = match asked {
        Ok(asked) => asked,
        Err(fault) => return response::ec2_fault(&id, &fault),
    };
    let scope = authorization::scope(asked.authorization.as_deref());
    if asked.of_sts() {
        return match scope.and_then(|_| caller_identity(&asked.params)) {
            Ok(()) => response::identity(&id),
            Err(fault) => response::sts_fault(&id, &fault),
        };
    }
    let done = match scope {
        Ok(_) if service.chance(service.trouble().0) => {
            Err(Fault::with_status(503, "RequestLimitExceeded", "Request limit exceeded."))
        }
        Ok(scope) => service.perform(&asked.params, &scope.region).await,
        Err(fault) => Err(fault),
    };
    match done {
        Ok((action, xml)) => response::ec2(action, &id, xml),
        Err(fault) => response::ec2_fault(&id, &fault),
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

fn whole(response: Response) -> hyper::Response<Full<Bytes>> {
    let mut whole = hyper::Response::new(Full::new(Bytes::from(response.body)));
    if let Ok(status) = hyper::StatusCode::from_u16(response.status) {
        *whole.status_mut() = status;
    }
    whole
        .headers_mut()
        .insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("text/xml;charset=UTF-8"));
    whole
}

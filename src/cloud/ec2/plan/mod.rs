//! Plans: every request passes here on its way to EC2. What reads goes on and has what was planned so
//! far laid over its answer; what changes something is noted and answered here. So the whole code
//! above runs as it would, and the calls of a plan are those of the real run by construction.
//!
//! | file | what lives there |
//! |---|---|
//! | `mod.rs` | [`Watch`]: what becomes of each request |
//! | `request.rs` `element.rs` | requests decoded, answers as trees |
//! | `answers.rs` `launch.rs` `network.rs` | what planned calls are answered with |
//! | `overlay.rs` `shapes.rs` `filter.rs` | what was planned, laid over what EC2 answers |
//! | `probe.rs` | EC2's own `DryRun`, for permissions |

mod answers;
mod element;
mod filter;
mod launch;
mod network;
mod overlay;
mod probe;
mod request;
mod shapes;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;

use crate::cloud::plan::{Mode, NOT_PLANNABLE, Observer, Permission, READ_ONLY};
use element::Element;
use overlay::{Overlay, shape};
use request::Asked;

/// What a connection gives back.
type Answered = Result<HttpResponse, ConnectorError>;

/// What becomes of the requests of one [`Ec2`](super::Ec2).
#[derive(Default)]
pub(super) struct Watch {
    mode: Mode,
    observer: Option<Observer>,
    overlay: Mutex<Overlay>,
    /// How EC2 is asked about permissions: over connections that are not watched.
    unwatched: OnceLock<SdkConfig>,
}

impl Watch {
    pub(super) fn new(mode: Mode, observer: Option<Observer>) -> Self {
        Watch { mode, observer, ..Watch::default() }
    }

    /// Whether requests need to be looked at.
    pub(super) fn is_idle(&self) -> bool {
        self.mode == Mode::Act && self.observer.is_none()
    }

    /// Whether permissions are to be asked about.
    pub(super) fn asks(&self) -> bool {
        self.mode == Mode::Plan { permissions: true }
    }

    /// Gives it a way to ask EC2 itself.
    pub(super) fn set_unwatched(&self, config: SdkConfig) {
        // A second configuration is the same as the first.
        let _ = self.unwatched.set(config);
    }

    fn overlay(&self) -> MutexGuard<'_, Overlay> {
        self.overlay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn handle(&self, inner: SharedHttpConnector, request: HttpRequest) -> Answered {
        let Some(asked) = Asked::read(&request) else { return inner.call(request).await };
        if asked.reads() {
            return match self.mode {
                Mode::Plan { .. } => self.read(&inner, request, &asked).await,
                Mode::Act | Mode::ReadOnly => inner.call(request).await,
            };
        }
        match self.mode {
            Mode::Act => {
                self.tell(&asked.call());
                inner.call(request).await
            }
            Mode::ReadOnly => refusal(&asked, READ_ONLY, "this run may only read"),
            Mode::Plan { .. } => self.plan(&asked).await,
        }
    }

    fn tell(&self, call: &crate::cloud::plan::Call) {
        if let Some(observer) = &self.observer {
            observer(call);
        }
    }

    /// Notes a call and answers it.
    async fn plan(&self, asked: &Asked) -> Answered {
        let answer = if asked.json { None } else { answers::answer(&mut self.overlay(), asked) };
        let Some(answer) = answer else {
            let text = format!("what {} would do is not known, so a plan cannot go past it", asked.action);
            return refusal(asked, NOT_PLANNABLE, &text);
        };
        let mut call = asked.call();
        if self.asks() && asked.service == "ec2" && !call.has_placeholder() {
            call.permission = if !probe::has_dry_run(&call.action) {
                // Sent with a parameter that it does not have, a call might be carried out.
                Some(Permission::Unclear("NoDryRun".to_owned()))
            } else {
                match self.unwatched.get() {
                    Some(config) => Some(probe::permission(config, &call).await),
                    None => Some(Permission::Unclear("NotEc2".to_owned())),
                }
            };
        }
        self.tell(&call);
        response(200, answer.write())
    }

    /// Answers a question with what EC2 says and what was planned.
    async fn read(&self, inner: &SharedHttpConnector, request: HttpRequest, asked: &Asked) -> Answered {
        if let Some(role) = self.planned_role(asked) {
            return response(200, role.write());
        }
        let shape = shape(asked);
        let only_planned = shape.is_some_and(|shape| self.overlay().only_planned(asked, shape));
        let mut answer = if only_planned {
            Element::new(&format!("{}Response", asked.action)).with("requestId", "planned")
        } else {
            let real = inner.call(request).await?;
            let matters = shape.is_some() || asked.action == "DescribeAvailabilityZones";
            if !matters || !real.status().is_success() {
                return Ok(real);
            }
            let body = ByteStream::new(real.into_body()).collect().await;
            let body = body.map_err(|error| ConnectorError::io(error.into()))?.into_bytes();
            match std::str::from_utf8(&body).ok().and_then(Element::parse) {
                Some(tree) => tree,
                // The SDK says best what is wrong with it.
                None => return response(200, body),
            }
        };
        let mut overlay = self.overlay();
        overlay.learn(asked, &answer);
        if let Some(shape) = shape {
            overlay.merge(asked, shape, &mut answer);
        }
        response(200, answer.write())
    }

    /// A role that was planned, asked for by its name.
    fn planned_role(&self, asked: &Asked) -> Option<Element> {
        if asked.service != "iam" || asked.action != "GetRole" {
            return None;
        }
        let name = asked.get("RoleName")?.to_lowercase();
        // `spot.amazonaws.com` is served by AWSServiceRoleForEC2Spot.
        let service = |service: &&String| name.ends_with(service.split('.').next().unwrap_or_default());
        let planned = self.overlay().roles.iter().find(service).cloned()?;
        let role = Element::new("Role")
            .with("Path", format!("/aws-service-role/{planned}/"))
            .with("RoleName", asked.get("RoleName")?)
            .with("RoleId", "role-?1")
            .with("Arn", format!("arn:aws:iam::aws-service-role/{planned}/role-?1"))
            .with("CreateDate", jiff::Timestamp::now().to_string());
        Some(Element::new("GetRoleResponse").child(Element::new("GetRoleResult").child(role)))
    }
}

fn response(status: u16, body: impl Into<SdkBody>) -> Answered {
    let status = StatusCode::try_from(status).map_err(|error| ConnectorError::other(error.into(), None))?;
    let mut response = HttpResponse::new(status, body.into());
    response.headers_mut().insert("content-type", "text/xml;charset=UTF-8");
    Ok(response)
}

/// An error in the shape of the service.
fn refusal(asked: &Asked, code: &str, message: &str) -> Answered {
    let error = Element::new("Error").with("Code", code).with("Message", message);
    if asked.json {
        let body = serde_json::json!({ "__type": code, "message": message }).to_string();
        let mut answer = response(400, body)?;
        answer.headers_mut().insert("content-type", "application/x-amz-json-1.1");
        return Ok(answer);
    }
    let answer = match asked.service.as_str() {
        "ec2" => {
            Element::new("Response").child(Element::new("Errors").child(error)).with("RequestID", "planned")
        }
        _ => Element::new("ErrorResponse").child(error).with("RequestId", "planned"),
    };
    response(400, answer.write())
}

/// The service, the region and the action that a request is for, if it belongs to a service's API.
pub(super) fn name_of(request: &HttpRequest) -> Option<(String, String, String)> {
    let asked = Asked::read(request)?;
    Some((asked.service, asked.region, asked.action))
}

/// Connections that are watched.
pub(super) struct Watched {
    pub(super) watch: Arc<Watch>,
    pub(super) inner: SharedHttpConnector,
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl HttpConnector for Watched {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (watch, inner) = (Arc::clone(&self.watch), self.inner.clone());
        HttpConnectorFuture::new(async move { watch.handle(inner, request).await })
    }
}

//! From the SDK's errors to ours: code, message, hint, and whether trying again can help.

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use crate::cloud::codes::{self, Class};
use crate::error::{Error, Kind};

/// Turns the failure of `action` (with its service, such as `ec2:RunInstances`) in `region` into an
/// error with code, hint and retryability.
pub(super) fn convert<E>(action: &str, region: &str, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let name = action.split_once(':').map_or(action, |(_, name)| name);
    if let SdkError::ServiceError(service) = error {
        let status = service.raw().status().as_u16();
        // No refusal has such a status: it is an answer that cannot be read, to a request that was carried out.
        if status < 300 {
            let cause = format!("unreadable answer: {}", innermost(error));
            return build(action, region, name, codes::INVALID_RESPONSE, &cause, true);
        }
        let code = service.err().code().map_or_else(|| code_of_status(status).to_owned(), str::to_owned);
        let message = service.err().message().map_or_else(|| format!("HTTP status {status}"), tidy);
        let passing = status >= 500 || status == 429 || is_about_the_time(&code, service.raw());
        return build(action, region, name, &code, &message, passing);
    }
    if let Some(credentials) = find::<CredentialsError>(error) {
        return credentials_error(action, region, credentials);
    }
    let cause = innermost(error);
    match error {
        SdkError::TimeoutError(_) => {
            build(action, region, name, codes::REQUEST_TIMEOUT, "no answer in time", true)
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            build(action, region, name, codes::REQUEST_TIMEOUT, "no answer in time", true)
        }
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            build(action, region, name, "InvalidRequest", &cause, false)
        }
        SdkError::DispatchFailure(_) if never_sent(error) => {
            build(action, region, name, codes::UNREACHABLE, &format!("no connection: {cause}"), true)
        }
        SdkError::DispatchFailure(_) => build(
            action,
            region,
            name,
            codes::CONNECTION_FAILED,
            &format!("connection failed: {cause}"),
            true,
        ),
        SdkError::ResponseError(_) => {
            build(action, region, name, codes::INVALID_RESPONSE, &format!("unreadable answer: {cause}"), true)
        }
        _ => build(action, region, name, "InvalidRequest", &cause, false),
    }
}

fn build(action: &str, region: &str, name: &str, code: &str, message: &str, passing: bool) -> Error {
    let kind = if code == codes::REQUEST_TIMEOUT { Kind::Timeout } else { Kind::Aws };
    // EC2 refuses for want of capacity with the status 500: what the code says counts for more.
    let retryable = match codes::classify(code) {
        Class::Retryable => true,
        Class::Terminal => passing,
        Class::Capacity | Class::Quota | Class::Gone => false,
    };
    let error =
        Error::new(kind, format!("{name} in {region}: {message}")).with_code(code).retryable(retryable);
    let error = if codes::throttled(code) { error.throttled() } else { error };
    match codes::hint_about(code, message, action, region) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Services take requests that are five minutes off, and a clock that is a little off is not the reason.
const SKEW: Duration = Duration::from_secs(4 * 60);

/// Whether a request was refused because this machine's clock is wrong. The client has read the right time
/// from the answer then and signs by it: the same request will do, if it was that.
fn is_about_the_time(code: &str, answer: &HttpResponse) -> bool {
    if !codes::about_the_time(code) {
        return false;
    }
    let date = answer.headers().get("date").and_then(|date| DateTime::from_str(date, Format::HttpDate).ok());
    let Some(theirs) = date.and_then(|date| SystemTime::try_from(date).ok()) else { return false };
    let ours = SystemTime::now();
    theirs.duration_since(ours).or_else(|_| ours.duration_since(theirs)).is_ok_and(|skew| skew > SKEW)
}

/// A code for an answer that has none.
fn code_of_status(status: u16) -> &'static str {
    match status {
        401 | 403 => "AccessDenied",
        408 => codes::REQUEST_TIMEOUT,
        429 => "Throttling",
        503 => "ServiceUnavailable",
        500..=599 => "InternalError",
        _ => "UnknownError",
    }
}

fn credentials_error(action: &str, region: &str, error: &CredentialsError) -> Error {
    let cause = innermost(error);
    let words = chain(error).join(": ").to_lowercase();
    let sign_in = words.contains("sso") || words.contains("token") || words.contains("session");
    if sign_in && (words.contains("expired") || words.contains("invalid_grant") || words.contains("refresh"))
    {
        let message = format!("the credentials have expired: {cause}");
        return build(action, region, "signing in", codes::EXPIRED_TOKEN, &message, false);
    }
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            let message = "no AWS credentials in the environment, the profile or the instance metadata";
            without_region(action, region, codes::NO_CREDENTIALS, message)
        }
        CredentialsError::ProviderTimedOut(_) => without_region(
            action,
            region,
            codes::NO_CREDENTIALS,
            "no source of AWS credentials answered in time",
        ),
        _ => {
            let message = format!("cannot load the AWS credentials: {cause}");
            without_region(action, region, codes::NO_CREDENTIALS, &message)
        }
    }
}

fn without_region(action: &str, region: &str, code: &str, message: &str) -> Error {
    let error = Error::aws(message).with_code(code);
    match codes::hint(code, action, region) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// AWS's words without the full stop, and without the encoded text that only AWS can read.
fn tidy(message: &str) -> String {
    let end = message.find("Encoded authorization failure message").unwrap_or(message.len());
    message.get(..end).unwrap_or(message).trim().trim_end_matches('.').to_owned()
}

/// Whether the request certainly did not leave this machine: nobody listens, or no such name.
fn never_sent(error: &(dyn StdError + 'static)) -> bool {
    let refused = causes(error).any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused)
    });
    refused || causes(error).any(|cause| cause.to_string().contains("dns error"))
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    causes(error).find_map(|cause| cause.downcast_ref::<T>())
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn chain(error: &(dyn StdError + 'static)) -> Vec<String> {
    causes(error).map(ToString::to_string).collect()
}

/// What the last cause says: the others only say that something failed.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map(|cause| tidy(&cause.to_string())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_and_expired_credentials_are_told_apart() {
        let missing =
            credentials_error("sts:GetCallerIdentity", "r", &CredentialsError::not_loaded_no_source());
        assert_eq!(missing.code(), Some("NoCredentials"));
        assert!(missing.hint().is_some_and(|hint| hint.contains("--sandbox")));
        assert!(!missing.is_retryable());
        let expired = CredentialsError::provider_error("the SSO session token has expired");
        let expired = credentials_error("sts:GetCallerIdentity", "r", &expired);
        assert_eq!(expired.code(), Some("ExpiredToken"));
        assert!(expired.hint().is_some_and(|hint| hint.contains("aws sso login")));
        let broken = CredentialsError::invalid_configuration("profile `x` is not defined");
        let broken = credentials_error("sts:GetCallerIdentity", "r", &broken);
        assert!(broken.message().contains("profile `x`"), "{broken}");
    }

    #[test]
    fn the_limit_of_the_sandbox_is_no_quota() {
        let hint = |message| {
            let error = build("ec2:RunInstances", "r", "X", "InstanceLimitExceeded", message, false);
            error.hint().unwrap_or_default().to_owned()
        };
        assert!(hint("this is the limit of the sandbox, of which 2 are left").contains("--sandbox-hosts"));
        assert!(hint("more than your current limit").contains("service-quotas"));
    }

    #[test]
    fn a_wrong_clock_is_worth_another_attempt_and_a_wrong_key_is_not() {
        let answer = |seconds: i64| {
            let body = aws_smithy_types::body::SdkBody::empty();
            let mut answer = HttpResponse::new(400.try_into().unwrap(), body);
            let date = DateTime::from_secs(DateTime::from(SystemTime::now()).secs() + seconds);
            answer.headers_mut().insert("date", date.fmt(Format::HttpDate).unwrap());
            answer
        };
        assert!(is_about_the_time("RequestExpired", &answer(-600)));
        assert!(is_about_the_time("AuthFailure", &answer(600)));
        assert!(!is_about_the_time("AuthFailure", &answer(30)), "the key is wrong");
        assert!(!is_about_the_time("UnauthorizedOperation", &answer(600)));
    }

    #[test]
    fn the_encoded_part_of_a_refusal_is_left_out() {
        let words =
            "You are not authorized to perform this operation. Encoded authorization failure message: abc";
        assert_eq!(tidy(words), "You are not authorized to perform this operation");
    }

    #[test]
    fn an_answer_without_a_code_is_judged_by_its_status() {
        assert_eq!(codes::classify(code_of_status(503)), Class::Retryable);
        assert_eq!(codes::classify(code_of_status(403)), Class::Terminal);
        assert!(build("ec2:X", "r", "X", code_of_status(502), "", true).is_retryable());
    }

    #[test]
    fn a_pool_without_capacity_is_not_asked_again_whatever_the_status() {
        assert!(
            !build("ec2:RunInstances", "r", "X", "InsufficientInstanceCapacity", "", true).is_retryable()
        );
        assert!(build("ec2:RunInstances", "r", "X", "SomethingNew", "", true).is_retryable());
    }
}

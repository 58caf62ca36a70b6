//! Calls of web services, translated.

use crate::error::{Error, Kind, Result};
use crate::http::{Answer as Answered, Request, address, is_idempotent, is_safe};
use crate::native::Context;
use crate::native::options::Options;
use crate::native::thrown::{Answer, answer, to_json};
use crate::native::unknown::ASSUMED;
use rhai::plugin::*;
use rhai::{Dynamic, Map};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Seconds that one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Attempts in all.
const ATTEMPTS: u32 = 4;
/// The largest answer that is taken without being asked for.
const MAX_BYTES: usize = 16 << 20;
/// How much of the body of a refusal an error quotes, in characters.
const EXCERPT: usize = 200;

/// Calls of web services: TLS by the system's certificates, time-outs, tries again where that is safe.
#[export_module]
pub mod http {
    use super::*;

    /// Gets what is at a URL; see `get(url, options)`.
    ///
    /// ```rhai,network
    /// print(http::get("https://example.com/version").body);
    /// ```
    #[rhai_fn(name = "get", return_raw)]
    pub fn get(call: NativeCallContext, url: &str) -> Answer {
        send(&call, "http::get", "GET", url, Map::new())
    }

    /// Gets what is at a URL: an object with `status`, `ok` (200 to 299), `headers` (names in small
    /// letters), `body` (text), `json` (the body, where it is said to be JSON; `()` otherwise), `url` (after
    /// redirects) and `seconds`. Throws with the code `Http404` and so on for any status from 300, unless
    /// `check` is false.
    ///
    /// Options: `headers` (an object), `bearer` (a token for the header `authorization`, which is shown
    /// nowhere), `query` (an object that is added to the URL), `body` (text) or `json` (anything) or `form`
    /// (an object), `timeout` (seconds for each attempt, 30), `attempts` (in all, 4), `max_bytes` (of the
    /// answer, 16 MiB), `check` (true), `conceal` (whether the path of the URL is a secret too, as that of a
    /// webhook: then it is shown nowhere), `repeatable` (whether to send it again when nobody knows what became
    /// of it; true for GET, PUT and DELETE, false for POST and PATCH).
    ///
    /// It is sent again when no connection came about, and after 429 and 503; what is `repeatable` also
    /// after a broken connection, a time-out, and 500, 502 and 504. `Retry-After` is heeded. Errors name the
    /// URL without its query.
    ///
    /// ```rhai,network
    /// let nodes = http::get("https://example.com/api/nodes", #{ bearer: "TOKEN", timeout: 5 }).json;
    /// ```
    #[rhai_fn(name = "get", return_raw)]
    pub fn get_with_options(call: NativeCallContext, url: &str, options: Map) -> Answer {
        send(&call, "http::get", "GET", url, options)
    }

    /// Posts to a URL. Options and result are those of `get(url, options)`. With `--dry-run` nothing is sent.
    ///
    /// ```rhai,network
    /// http::post("https://hooks.example.com/T1/B2", #{ json: #{ text: "3 hosts ready" } });
    /// ```
    #[rhai_fn(return_raw)]
    pub fn post(call: NativeCallContext, url: &str, options: Map) -> Answer {
        send(&call, "http::post", "POST", url, options)
    }

    /// Puts to a URL. Options and result are those of `get(url, options)`. With `--dry-run` nothing is sent.
    ///
    /// ```rhai,network
    /// http::put("https://example.com/api/nodes/n1", #{ json: #{ action: "delete" } });
    /// ```
    #[rhai_fn(return_raw)]
    pub fn put(call: NativeCallContext, url: &str, options: Map) -> Answer {
        send(&call, "http::put", "PUT", url, options)
    }

    /// Deletes what is at a URL. Options and result are those of `get(url, options)`. With `--dry-run`
    /// nothing is sent.
    ///
    /// ```rhai,network
    /// http::delete("https://example.com/api/nodes/n1", #{ check: false });
    /// ```
    #[rhai_fn(return_raw)]
    pub fn delete(call: NativeCallContext, url: &str, options: Map) -> Answer {
        send(&call, "http::delete", "DELETE", url, options)
    }

    /// Any other call. Options and result are those of `get(url, options)`; with `--dry-run` only GET, HEAD
    /// and OPTIONS are sent.
    ///
    /// ```rhai,network
    /// http::request("PATCH", "https://example.com/api/jobs/j1", #{ json: #{ state: "stopped" } });
    /// ```
    #[rhai_fn(return_raw)]
    pub fn request(call: NativeCallContext, method: &str, url: &str, options: Map) -> Answer {
        send(&call, "http::request", method, url, options)
    }
}

/// What scripts see of an answer.
#[derive(Serialize)]
struct Reply {
    status: u16,
    ok: bool,
    headers: BTreeMap<String, String>,
    body: String,
    json: serde_json::Value,
    url: String,
    seconds: f64,
}

fn send(call: &NativeCallContext, function: &'static str, method: &str, url: &str, options: Map) -> Answer {
    answer(call, |spot| {
        let (request, check) = prepared(spot, function, method, url, options)?;
        let doing = request.doing();
        if is_safe(&request.method) {
            spot.act()?;
        } else if !spot.may("http", || doing.clone(), Vec::new())? {
            return Ok(assumed(&request));
        }
        let (client, cancel) = (spot.http(), spot.runtime().cancellation());
        let begun = Instant::now();
        let answered = spot.runtime().wait(async move { client.send(&request, &cancel).await })?;
        if check && !answered.is_ok() {
            return Err(refused(&doing, &answered));
        }
        reply(&doing, &answered, begun.elapsed().as_secs_f64())
    })
}

fn prepared(
    spot: &Context,
    function: &'static str,
    method: &str,
    url: &str,
    options: Map,
) -> Result<(Request, bool)> {
    if method.is_empty() || !method.bytes().all(|letter| letter.is_ascii_uppercase()) {
        let message = format!("{function}: expected a method in capitals such as PATCH, found `{method}`");
        return Err(Error::script(message));
    }
    let mut url = address(url).map_err(|error| error.context(function))?;
    let mut options = Options::new(function, options);
    let given = options.or("headers", BTreeMap::<String, String>::new())?;
    let mut headers: Vec<(String, String)> = given.into_iter().collect();
    if let Some(token) = options.optional::<String>("bearer")? {
        spot.ui().conceal(&token);
        headers.push(("authorization".to_owned(), format!("Bearer {token}")));
    }
    for (name, value) in pairs(function, "query", options.optional::<BTreeMap<String, Dynamic>>("query")?)? {
        url.query_pairs_mut().append_pair(&name, &value);
    }
    let (text, json) = (options.optional::<String>("body")?, options.optional::<Dynamic>("json")?);
    let form = options.optional::<BTreeMap<String, Dynamic>>("form")?;
    if [text.is_some(), json.is_some(), form.is_some()].into_iter().filter(|given| *given).count() > 1 {
        return Err(Error::script(format!("{function}: only one of `body`, `json` and `form` can be sent")));
    }
    let (body, kind) = match (text, json) {
        (Some(text), _) => (text.into_bytes(), Some("text/plain; charset=utf-8")),
        (None, Some(value)) => (to_json(&value).to_string().into_bytes(), Some("application/json")),
        (None, None) if form.is_some() => {
            let mut coded = form_urlencoded::Serializer::new(String::new());
            coded.extend_pairs(pairs(function, "form", form)?);
            (coded.finish().into_bytes(), Some("application/x-www-form-urlencoded"))
        }
        (None, None) => (Vec::new(), None),
    };
    let has = |name: &str| headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let missing = [
        ("content-type", kind),
        ("user-agent", Some(concat!("spot/", env!("CARGO_PKG_VERSION")))),
        ("accept", Some("*/*")),
    ];
    let missing: Vec<_> = missing.into_iter().filter(|(name, value)| value.is_some() && !has(name)).collect();
    headers
        .extend(missing.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))));
    let attempts = options.or("attempts", i64::from(ATTEMPTS))?;
    let max_bytes = options.or("max_bytes", i64::try_from(MAX_BYTES).unwrap_or(i64::MAX))?;
    let positive = |key: &str, number: i64| {
        u32::try_from(number).ok().filter(|number| *number > 0).ok_or_else(|| {
            Error::script(format!("{function}: option `{key}`: expected 1 to {}, found {number}", u32::MAX))
        })
    };
    let request = Request {
        method: method.to_owned(),
        url,
        headers,
        body,
        timeout: options.seconds("timeout", TIMEOUT)?,
        attempts: positive("attempts", attempts)?,
        max_bytes: usize::try_from(positive("max_bytes", max_bytes)?).unwrap_or(usize::MAX),
        repeatable: options.or("repeatable", is_idempotent(method))?,
        conceal: options.or("conceal", false)?,
    };
    let check = options.or("check", true)?;
    options.finish()?;
    if request.conceal {
        spot.ui().conceal(request.url.path());
    }
    Ok((request, check))
}

/// An object as names and values in words.
fn pairs(
    function: &str,
    option: &str,
    map: Option<BTreeMap<String, Dynamic>>,
) -> Result<Vec<(String, String)>> {
    let words = map.unwrap_or_default().into_iter().map(|(name, value)| {
        if value.is_map() || value.is_array() || value.is_unit() {
            let found = value.type_name().to_owned();
            return Err(Error::script(format!(
                "{function}: option `{option}`: expected a text, a number or a truth value for `{name}`, found {found}"
            )));
        }
        Ok((name, value.to_string()))
    });
    words.collect()
}

/// What a plan goes on with in place of an answer.
fn assumed(request: &Request) -> Reply {
    Reply {
        status: 200,
        ok: true,
        headers: BTreeMap::new(),
        body: ASSUMED.to_owned(),
        json: serde_json::Value::Null,
        url: request.url.to_string(),
        seconds: 0.0,
    }
}

fn reply(doing: &str, answered: &Answered, seconds: f64) -> Result<Reply> {
    let json = match answered.is_json() && !answered.body.is_empty() {
        true => serde_json::from_slice(&answered.body).map_err(|error| {
            Error::new(Kind::Http, format!("{doing}: the answer says that it is JSON, and is none: {error}"))
                .with_code("InvalidAnswer")
        })?,
        false => serde_json::Value::Null,
    };
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in &answered.headers {
        let all = headers.entry(name.clone()).or_default();
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(value);
    }
    Ok(Reply {
        status: answered.status,
        ok: answered.is_ok(),
        headers,
        body: answered.text(),
        json,
        url: answered.url.to_string(),
        seconds,
    })
}

/// The error for an answer that refuses, with the beginning of what it says.
fn refused(doing: &str, answered: &Answered) -> Error {
    let text = answered.text();
    let said: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(EXCERPT).collect();
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let error = Error::new(Kind::Http, format!("{doing}: answered with status {}{said}", answered.status))
        .with_code(answered.code())
        .retryable(matches!(answered.status, 429 | 500 | 502 | 503 | 504));
    match answered.status {
        401 | 403 => error.with_hint("check the token, such as `bearer: sys::env(\"TOKEN\")`"),
        300..=399 => error.with_hint("only GET, HEAD and OPTIONS follow redirects; call the new address"),
        _ => error,
    }
}

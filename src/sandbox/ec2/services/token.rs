//! Pages of the services that speak JSON: `MaxResults` and `NextToken`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::sandbox::ec2::fault::Fault;

/// The items of one page, and the token of the next; `items` are sorted by `key`. A token that no page
/// has given is refused with `code`.
pub(super) fn page<T>(
    items: Vec<T>,
    input: &Value,
    most: usize,
    key: impl Fn(&T) -> &str,
    code: &str,
) -> Result<(Vec<T>, Option<String>), Fault> {
    let asked = input.get("MaxResults").and_then(Value::as_u64).unwrap_or(most as u64);
    let most = usize::try_from(asked.clamp(1, most as u64)).unwrap_or(most);
    let after = match input.get("NextToken").and_then(Value::as_str).filter(|token| !token.is_empty()) {
        None => None,
        Some(token) => {
            let bytes = URL_SAFE_NO_PAD.decode(token).ok();
            let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            let after = text.and_then(|text| text.strip_prefix("after ").map(str::to_owned));
            Some(after.ok_or_else(|| Fault::new(code, "The specified token is not valid."))?)
        }
    };
    let mut left: Vec<T> =
        items.into_iter().filter(|item| after.as_deref().is_none_or(|after| key(item) > after)).collect();
    if left.len() <= most {
        return Ok((left, None));
    }
    left.truncate(most);
    let next = left.last().map(|item| URL_SAFE_NO_PAD.encode(format!("after {}", key(item))));
    Ok((left, next))
}

//! `MaxResults` and `NextToken`.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::fault::Fault;
use super::request::Params;

/// Where a listing starts and how much of it is wanted.
pub(super) struct Page {
    most: usize,
    after: Option<String>,
    /// Whose pages these are: a token of one action means nothing to another.
    action: String,
}

impl Page {
    /// Reads the two parameters; `range` is what `MaxResults` may be.
    pub fn parse(params: &Params, range: RangeInclusive<usize>) -> Result<Self, Fault> {
        let asked: Option<usize> = params.integer("MaxResults")?;
        if let Some(asked) = asked
            && !range.contains(&asked)
        {
            let (low, high) = (range.start(), range.end());
            let why = if asked < *low { format!("greater than {low}") } else { format!("less than {high}") };
            return Err(Fault::value(format!(
                "Value ( {asked} ) for parameter maxResults is invalid. Expecting a value {why}."
            )));
        }
        let action = params.text("Action").unwrap_or_default();
        let after = match params.text("NextToken") {
            Some(token) => Some(decode(token, action)?),
            None => None,
        };
        Ok(Page { most: asked.unwrap_or(*range.end()), after, action: action.to_owned() })
    }

    /// Sorts `items` by `key` and cuts the page out; the token continues after its last item.
    ///
    /// The token holds a key, not a number, so that nothing is skipped or told twice when other
    /// items come and go between two pages.
    pub fn cut<T>(self, mut items: Vec<T>, key: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
        items.sort_by_cached_key(&key);
        if let Some(after) = &self.after {
            items.retain(|item| key(item) > *after);
        }
        if items.len() <= self.most {
            return (items, None);
        }
        items.truncate(self.most);
        let token = items.last().map(|item| URL_SAFE_NO_PAD.encode(format!("{} {}", self.action, key(item))));
        (items, token)
    }
}

fn decode(token: &str, action: &str) -> Result<String, Fault> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.and_then(|text| Some(text.strip_prefix(action)?.strip_prefix(' ')?.to_owned()))
        .ok_or_else(|| Fault::new("InvalidNextToken", "The specified NextToken is not valid."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Result<Page, Fault> {
        Page::parse(&Params::parse(query.as_bytes()).unwrap(), 2..=100)
    }

    #[test]
    fn pages_join_up_even_when_an_item_goes() {
        let items = vec!["c", "a", "d", "b", "e"];
        let (first, token) = page("MaxResults=2").unwrap().cut(items, |item| item.to_string());
        assert_eq!(first, ["a", "b"]);
        let rest = vec!["c", "d", "e"];
        let query = format!("MaxResults=3&NextToken={}", token.unwrap());
        let (second, token) = page(&query).unwrap().cut(rest, |item| item.to_string());
        assert_eq!((second, token), (vec!["c", "d", "e"], None));
    }

    #[test]
    fn sizes_and_tokens_are_checked() {
        assert_eq!(page("MaxResults=1").err().unwrap().code, "InvalidParameterValue");
        assert_eq!(page("MaxResults=101").err().unwrap().code, "InvalidParameterValue");
        assert_eq!(page("NextToken=%00%00").err().unwrap().code, "InvalidNextToken");
        let (_, token) =
            page("MaxResults=2&Action=A").unwrap().cut(vec!["a", "b", "c"], |item| item.to_string());
        let token = token.unwrap();
        assert!(page(&format!("Action=A&NextToken={token}")).is_ok());
        assert_eq!(page(&format!("Action=B&NextToken={token}")).err().unwrap().code, "InvalidNextToken");
    }
}

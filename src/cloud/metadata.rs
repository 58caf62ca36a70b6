//! What an instance's own metadata service says of its end: the shell script that asks it, and the
//! reading of the answer. The script runs on the instance, with whichever of curl, wget, python3 and
//! bash is there.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Asks for a token (IMDSv2) and then for both notices. Its output is a block for each question: a line
/// `?name`, then the body of the answer, then a line with the HTTP status, `000` when there was none.
///
/// `AWS_EC2_METADATA_SERVICE_ENDPOINT` is honoured, as the AWS SDKs do. Each question takes at most
/// two seconds.
pub const SCRIPT: &str = r#"
base=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}; base=${base%/}
has() { command -v "$1" >/dev/null 2>&1; }
# ask METHOD PATH HEADER: the body, then a line with the status.
by_curl() { curl -s -m 2 --noproxy '*' -X "$1" -H "$3" -w '\n%{http_code}\n' "$base$2" || true; }
by_wget() {
  wget --no-proxy -q -S -T 2 -t 1 --content-on-error --method="$1" --header="$3" -O - "$base$2" 2>&1 |
    awk '/^  HTTP\//{status=$2; next} /^  [A-Za-z0-9-]+:/{next} {print} END{print status ? status : "000"}'
}
by_python() {
  python3 -c '
import sys, urllib.request, urllib.error
method, url, header = sys.argv[1:]
name, value = header.split(": ", 1)
request = urllib.request.Request(url, method=method, headers={name: value})
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    with opener.open(request, timeout=2) as answer:
        print(answer.read().decode()); print(answer.status)
except urllib.error.HTTPError as error:
    print(error.code)
except Exception:
    print("000")
' "$1" "$base$2" "$3"
}
by_bash() {
  bash -c '
    place=${4#http://}; host=${place%%/*}; path=/${place#*/}; port=80
    case $host in \[*\]:*) port=${host##*:}; host=${host%:*} ;; \[*\]) ;; *:*) port=${host##*:}; host=${host%:*} ;; esac
    host=${host#\[}; host=${host%\]}
    exec 3<>"/dev/tcp/$host/$port" || exit 0
    printf "%s %s HTTP/1.0\r\nHost: %s\r\nContent-Length: 0\r\n%s\r\n\r\n" "$1" "$path" "$host" "$3" >&3
    cr=$(printf "\r"); status=000; read -r -t 2 _ status _ <&3
    while IFS= read -r -t 2 line <&3; do line=${line%"$cr"}; [ -z "$line" ] && break; done
    while IFS= read -r -t 2 line <&3 || [ -n "$line" ]; do printf "%s\n" "$line"; line=; done
    echo "$status"
  ' ask "$1" "$2" "$3" "$base$2" 2>/dev/null
}
if has curl; then ask=by_curl
elif has wget && wget --help 2>&1 | grep -q -- --method && has awk; then ask=by_wget
elif has python3; then ask=by_python
elif has bash; then ask=by_bash
else echo '?tool'; echo 000; exit 0; fi
answer=$($ask PUT /latest/api/token 'X-aws-ec2-metadata-token-ttl-seconds: 60')
token=$(printf '%s\n' "$answer" | sed '$d' | tr -d '\r\n')
echo '?token'; printf '%s\n' "$answer" | sed -n '$p'
for question in action:spot/instance-action rebalance:events/recommendations/rebalance; do
  echo "?${question%%:*}"
  $ask GET "/latest/meta-data/${question#*:}" "X-aws-ec2-metadata-token: $token"
done
"#;

/// What an instance's metadata say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Notices {
    /// What will be done to it, `terminate`, `stop` or `hibernate`, and when (RFC 3339).
    pub action: Option<(String, String)>,
    /// Since when EC2 recommends to replace it (RFC 3339): it is likelier than others to be taken back.
    pub rebalance: Option<String>,
}

/// Reads the output of [`SCRIPT`]. An answer 404 means that nothing is due.
///
/// # Errors
/// `NoMetadata` when the service could not be asked: it does not answer, it refuses, or the host has no
/// program to ask with.
pub fn read(output: &str) -> Result<Notices> {
    #[derive(Deserialize)]
    struct Action {
        action: String,
        #[serde(default)]
        time: String,
    }
    #[derive(Deserialize)]
    struct Rebalance {
        #[serde(rename = "noticeTime")]
        time: String,
    }
    let blocks = blocks(output);
    if blocks.iter().any(|block| block.name == "tool") {
        return Err(unasked("the host has none of curl, wget, python3 and bash"));
    }
    let find = |name: &str| {
        let block = blocks.iter().find(|block| block.name == name);
        block.ok_or_else(|| unasked("the answer is cut short"))
    };
    let refused = |status: &str| match status {
        "000" | "" => unasked("the metadata service does not answer"),
        status => unasked(&format!("the metadata service answers with the HTTP status {status}")),
    };
    let ask = |name: &str| {
        let block = find(name)?;
        match block.status.as_str() {
            "200" => Ok(Some(block.body.as_str())),
            "404" => Ok(None),
            status => Err(refused(status)),
        }
    };
    // A service without IMDSv2 refuses the token and still answers what follows.
    let token = find("token")?;
    if token.status == "000" {
        return Err(refused(&token.status));
    }
    let unreadable = |name: &str| unasked(&format!("the {name} in the metadata cannot be read"));
    let action = ask("action")?
        .map(|body| serde_json::from_str::<Action>(body).map_err(|_| unreadable("instance action")))
        .transpose()?;
    let rebalance = ask("rebalance")?
        .map(|body| serde_json::from_str::<Rebalance>(body).map_err(|_| unreadable("recommendation")))
        .transpose()?;
    Ok(Notices { action: action.map(|it| (it.action, it.time)), rebalance: rebalance.map(|it| it.time) })
}

struct Block {
    name: String,
    body: String,
    status: String,
}

fn blocks(output: &str) -> Vec<Block> {
    let mut blocks: Vec<(String, Vec<&str>)> = Vec::new();
    for line in output.lines() {
        match (line.strip_prefix('?'), blocks.last_mut()) {
            (Some(name), _) => blocks.push((name.trim().to_owned(), Vec::new())),
            (None, Some((_, lines))) => lines.push(line.trim_end()),
            (None, None) => {}
        }
    }
    let block = |(name, mut lines): (String, Vec<&str>)| {
        while lines.last().is_some_and(|line| line.is_empty()) {
            lines.pop();
        }
        let status = lines.pop().unwrap_or_default().to_owned();
        Block { name, body: lines.join("\n").trim().to_owned(), status }
    };
    blocks.into_iter().map(block).collect()
}

fn unasked(why: &str) -> Error {
    Error::aws(format!("the instance metadata could not be asked: {why}")).with_code("NoMetadata")
}

#[cfg(test)]
mod tests;

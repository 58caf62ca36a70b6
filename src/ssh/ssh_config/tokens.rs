//! `%h`, `%u`, `~` and `${NAME}` in values.

use crate::error::{Error, Result};

/// What the tokens stand for; an empty text where it is not known yet.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tokens<'a> {
    /// `%h`: the host name.
    pub host: &'a str,
    /// `%n`: the name as it was typed.
    pub original: &'a str,
    /// `%p`: the port.
    pub port: u16,
    /// `%r`: the login user.
    pub user: &'a str,
    /// `%u`: whoever runs this.
    pub local_user: &'a str,
    /// `%d`, and what `~` stands for.
    pub home: &'a str,
}

/// Replaces the tokens of a text.
///
/// # Errors
/// Kind `config`: a token that we do not know, a variable that is not set.
pub fn expand(text: &str, tokens: &Tokens<'_>) -> Result<String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        let (before, after) = rest.split_at(at);
        expanded.push_str(before);
        if let Some(variable) = after.strip_prefix("${") {
            let (name, remaining) = variable.split_once('}').ok_or_else(|| unknown(text, "${"))?;
            expanded.push_str(&std::env::var(name).map_err(|_| unknown(text, name))?);
            rest = remaining;
            continue;
        }
        let Some(token) = after.strip_prefix('%').and_then(|rest| rest.chars().next()) else {
            // A dollar sign, or a percent sign at the very end.
            expanded.push_str(&after[..1]);
            rest = &after[1..];
            continue;
        };
        match token {
            '%' => expanded.push('%'),
            'h' => expanded.push_str(tokens.host),
            'n' => expanded.push_str(tokens.original),
            'p' => expanded.push_str(&tokens.port.to_string()),
            'r' => expanded.push_str(tokens.user),
            'u' => expanded.push_str(tokens.local_user),
            'd' => expanded.push_str(tokens.home),
            other => return Err(unknown(text, &format!("%{other}"))),
        }
        rest = &after[1 + token.len_utf8()..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn unknown(text: &str, token: &str) -> Error {
    Error::config(format!("ssh configuration: `{token}` in `{text}` stands for nothing that is known"))
        .with_code("SshConfig")
        .with_hint("expected %h, %n, %p, %r, %u, %d, %% or a variable of the environment, as ${NAME}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_replaced_and_unknown_ones_named() {
        let tokens =
            Tokens { host: "h", original: "n", port: 2, user: "r", local_user: "u", home: "/home/u" };
        assert_eq!(expand("%h-%n:%p %r %u %d %% é $x 5%", &tokens).unwrap(), "h-n:2 r u /home/u % é $x 5%");
        assert!(expand("a%zb", &tokens).unwrap_err().message().contains("%z"));
        assert!(expand("${SURELY_NOT_SET_HERE}", &tokens).is_err());
    }
}

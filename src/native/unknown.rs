//! Comparisons of what a plan cannot know: operators on texts that note where a script takes a branch
//! on a placeholder, or on what a command that was not run would have printed.

use rhai::{Engine, ImmutableString, NativeCallContext};

use super::context::Context;
use crate::cloud::plan::placeholder;
use crate::ui::Level;

/// What a command that was not run has printed, as far as a plan knows.
pub(crate) const ASSUMED: &str = "?";

/// Makes an engine tell of such comparisons. Without this, its operators are the built-in ones.
pub(crate) fn watch(engine: &mut Engine) {
    // Built-in operators would otherwise not look for ours.
    engine.set_fast_operators(false);
    macro_rules! operators {
        ($($name:literal $certain:ident $result:expr;)*) => {$(
            engine.register_fn($name, |call: NativeCallContext, a: ImmutableString, b: ImmutableString| -> bool {
                let result: bool = $result(a.as_str(), b.as_str());
                tell(&call, &a, &b, $certain(&a, &b, result));
                result
            });
        )*};
    }
    operators! {
        "==" equality |a: &str, b: &str| a == b;
        "!=" equality |a: &str, b: &str| a != b;
        "<" order |a: &str, b: &str| a < b;
        "<=" order |a: &str, b: &str| a <= b;
        ">" order |a: &str, b: &str| a > b;
        ">=" order |a: &str, b: &str| a >= b;
        "contains" part |a: &str, b: &str| a.contains(b);
        "starts_with" part |a: &str, b: &str| a.starts_with(b);
        "ends_with" part |a: &str, b: &str| a.ends_with(b);
    }
}

/// What is unknown of a text: a placeholder, or the output of a command.
fn unknown(text: &str) -> Option<&str> {
    placeholder(text).or_else(|| (text.trim() == ASSUMED).then_some(ASSUMED))
}

/// Whether texts are equal for certain, or for certain not: the id of something new is that of nothing
/// else.
fn equality(a: &str, b: &str, _: bool) -> bool {
    if a.is_empty() || b.is_empty() {
        return unknown(a) != Some(ASSUMED) && unknown(b) != Some(ASSUMED);
    }
    if a == b {
        return unknown(a) != Some(ASSUMED);
    }
    let whole = |text: &str| placeholder(text) == Some(text);
    let address = |text: &str| placeholder(text).is_some_and(|found| found.starts_with("ip-"));
    match (whole(a), whole(b)) {
        (true, true) => true,
        (true, false) => !address(a) && unknown(b).is_none(),
        (false, true) => !address(b) && unknown(a).is_none(),
        (false, false) => false,
    }
}

fn order(a: &str, b: &str, _: bool) -> bool {
    a == b && unknown(a) != Some(ASSUMED)
}

/// What was found in the known part of a text is there for certain.
fn part(_: &str, b: &str, result: bool) -> bool {
    result && unknown(b).is_none() && !b.contains('?')
}

fn tell(call: &NativeCallContext, a: &str, b: &str, certain: bool) {
    if certain {
        return;
    }
    let Some(what) = unknown(a).or_else(|| unknown(b)) else { return };
    let Ok(spot) = Context::of(call) else { return };
    let position = call.call_position();
    let origin = call.call_source().or_else(|| call.fn_source()).unwrap_or("recipe");
    let place = match (position.line(), position.position()) {
        (Some(line), Some(column)) => format!("{origin}:{line}:{column}"),
        _ => origin.to_owned(),
    };
    let what = if what == ASSUMED { "what a command would print" } else { what };
    if spot.planning().note_unknown(format!("{place} ({what})")) {
        let text = format!("{place}: this branch depends on a value known only after the launch ({what})");
        spot.message(Level::Warning, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_equals_no_other_and_an_address_might() {
        for (a, b, certain) in [
            ("i-?1", "i-?1", true),
            ("i-?1", "i-?2", true),
            ("i-?1", "i-0123", true),
            ("i-?1", "", true),
            ("ip-?1", "10.0.0.1", false),
            ("http://ip-?1", "http://10.0.0.1", false),
            ("?", "active", false),
            ("?", "?", false),
            ("?", "", false),
            ("i-?1", "?", false),
        ] {
            assert_eq!(equality(a, b, a == b), certain, "{a} == {b}");
        }
        assert!(part("i-?1", "i-", true) && !part("i-?1", "7", false));
        assert!(!order("i-?1", "i-5", false));
    }

    #[test]
    fn only_what_is_unknown_is_told_of() {
        assert_eq!(unknown("a"), None);
        assert_eq!(unknown("?\n"), Some("?"));
        assert_eq!(unknown("x vpc-?3"), Some("vpc-?3"));
    }
}

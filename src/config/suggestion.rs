//! What a misspelt word was meant to be.

/// Longer words are no slips of the keyboard, and comparing them would take long.
const LONGEST: usize = 64;

/// The candidate nearest to `word`, if it is near enough to be what was meant.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    crate::error::nearest(word, candidates)
}

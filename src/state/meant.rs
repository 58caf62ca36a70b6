//! Which instance a person means.

use super::Document;
use crate::error::{Error, Result, nearest};

impl Document {
    /// The id that a person means: an id, the beginning of one, or a place in the list, from 1; nothing
    /// at all means the only instance. `list` is the command that shows the instances.
    ///
    /// # Errors
    /// A usage error that names what was given, with the nearest id or the command for the list as hint.
    pub fn meant(&self, word: Option<&str>, list: &str) -> Result<String> {
        let ids: Vec<&str> = self.instances().map(|instance| instance.id.as_str()).collect();
        let list = format!("'{list}' shows them");
        let Some(word) = word else {
            return match ids.as_slice() {
                [only] => Ok((*only).to_owned()),
                [] => Err(Error::usage("this project has no instances")),
                all => Err(Error::usage(format!(
                    "there are {} instances: name one by its id or its place",
                    all.len()
                ))
                .with_hint(list)),
            };
        };
        if let Some(id) = ids.iter().find(|id| **id == word) {
            return Ok((*id).to_owned());
        }
        if let Ok(place) = word.parse::<usize>() {
            let at = place.checked_sub(1).and_then(|index| ids.get(index));
            return at.map(|id| (*id).to_owned()).ok_or_else(|| {
                Error::usage(format!("there is no instance {place}: there are {}", ids.len())).with_hint(list)
            });
        }
        let mut like = ids.iter().filter(|id| id.starts_with(word));
        match (like.next(), like.next()) {
            (Some(id), None) => Ok((*id).to_owned()),
            (Some(_), Some(_)) => {
                Err(Error::usage(format!("several instances begin with `{word}`")).with_hint(list))
            }
            _ => {
                let error = Error::usage(format!("there is no instance `{word}` in the state"));
                Err(match nearest(word, ids.iter().copied()) {
                    Some(near) => error.with_hint(format!("did you mean {near}?")),
                    None => error.with_hint(list),
                })
            }
        }
    }
}

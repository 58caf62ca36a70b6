//! Which instance a person means.

use super::{Document, Instance};
use crate::error::{Error, Result, nearest};

impl Document {
    /// The instance that a word names: its id, the beginning of one, or its place in the order of
    /// [`instances`](Self::instances), from 1. No word at all names the only instance. `list` is the
    /// command that shows the instances.
    ///
    /// # Errors
    /// [`Usage`](crate::error::Kind::Usage) when it names none, or more than one, with the nearest id
    /// or the command for the list as hint.
    pub fn meant(&self, word: Option<&str>, list: &str) -> Result<&Instance> {
        let listed = |text: String| Error::usage(text).with_hint(format!("'{list}' shows them"));
        if self.instance_count() == 0 {
            return Err(Error::usage("this project has no instances"));
        }
        let Some(word) = word else {
            let mut all = self.instances();
            return match (all.next(), all.next()) {
                (Some(only), None) => Ok(only),
                _ => Err(listed(format!(
                    "there are {} instances: name one by its id or its place",
                    self.instance_count()
                ))),
            };
        };
        if let Some(instance) = self.instance(word) {
            return Ok(instance);
        }
        if let Ok(place) = word.parse::<usize>() {
            let at = place.checked_sub(1).and_then(|index| self.instances().nth(index));
            return at.ok_or_else(|| {
                listed(format!("there is no instance {place}: there are {}", self.instance_count()))
            });
        }
        let mut like = self.instances().filter(|instance| !word.is_empty() && instance.id.starts_with(word));
        match (like.next(), like.next()) {
            (Some(instance), None) => Ok(instance),
            (Some(_), Some(_)) => Err(listed(format!("several instances begin with `{word}`"))),
            _ => {
                let none = format!("there is no instance `{word}` in the state");
                Err(match nearest(word, self.instances().map(|instance| instance.id.as_str())) {
                    Some(near) => Error::usage(none).with_hint(format!("did you mean {near}?")),
                    None => listed(none),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::record::Record;

    fn document(ids: &[&str]) -> Document {
        let mut document = Document::default();
        for id in ids {
            let instance = Box::new(Instance::new(*id, "r"));
            document.apply(1, "2026-01-01T00:00:00Z", &Record::Put { instance });
        }
        document
    }

    #[test]
    fn an_instance_is_named_by_id_beginning_or_place() {
        let document = document(&["i-0aa1", "i-0ab2", "i-0ab"]);
        let meant = |word: &str| document.meant(Some(word), "spot list").map(|instance| instance.id.clone());
        assert_eq!(meant("i-0aa").unwrap(), "i-0aa1");
        assert_eq!(meant("2").unwrap(), "i-0ab2");
        // A whole id is no mere beginning.
        assert_eq!(meant("i-0ab").unwrap(), "i-0ab");
        assert!(meant("i-0a").unwrap_err().message().contains("several"));
        assert_eq!(meant("4").unwrap_err().message(), "there is no instance 4: there are 3");
        assert!(meant("0").is_err() && meant("").is_err());
        assert!(document.meant(None, "spot list").unwrap_err().message().contains("3 instances"));
        assert_eq!(meant("i-0ax1").unwrap_err().hint(), Some("did you mean i-0aa1?"));
        let nothing = Document::default().meant(Some("1"), "spot list").unwrap_err();
        assert_eq!(nothing.message(), "this project has no instances");
    }
}

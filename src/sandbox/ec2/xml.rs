//! A small XML writer: elements, text, and EC2's `<item>` sets.

use std::fmt::{Display, Write as _};

use super::moment::Moment;

/// A fragment of XML being written.
#[derive(Debug, Default)]
pub(super) struct Xml {
    text: String,
}

impl Xml {
    /// An empty fragment.
    pub fn new() -> Self {
        Self::default()
    }

    /// `<name>value</name>`, escaped.
    pub fn text(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.open(name);
        escape_into(&mut self.text, &value.to_string());
        self.close(name)
    }

    /// [`Xml::text`] if there is a value, else nothing.
    pub fn optional(&mut self, name: &str, value: Option<impl Display>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    /// A point in time as ISO 8601 in UTC.
    pub fn time(&mut self, name: &str, value: Moment) -> &mut Self {
        self.text(name, value)
    }

    /// `<name>` with what `write` writes inside.
    pub fn element(&mut self, name: &str, write: impl FnOnce(&mut Xml)) -> &mut Self {
        self.open(name);
        write(self);
        self.close(name)
    }

    /// `<name><item>…</item>…</name>`, an item for each of `items`.
    pub fn set<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Xml, T),
    ) -> &mut Self {
        self.element(name, |xml| {
            for item in items {
                xml.element("item", |xml| write(xml, item));
            }
        })
    }

    /// A set of plain strings.
    pub fn words<T: Display>(&mut self, name: &str, words: impl IntoIterator<Item = T>) -> &mut Self {
        self.element(name, |xml| {
            for word in words {
                xml.text("item", word);
            }
        })
    }

    /// Another fragment, behind this one.
    pub fn append(&mut self, other: Xml) -> &mut Self {
        self.text.push_str(&other.text);
        self
    }

    /// The fragment as text.
    pub fn finish(self) -> String {
        self.text
    }

    fn open(&mut self, name: &str) {
        // Writing to a String cannot fail.
        let _ = write!(self.text, "<{name}>");
    }

    fn close(&mut self, name: &str) -> &mut Self {
        let _ = write!(self.text, "</{name}>");
        self
    }
}

/// Appends `value` so that an XML parser reads it back unchanged; what XML 1.0 cannot carry at all
/// becomes U+FFFD.
fn escape_into(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&quot;"),
            // A bare carriage return would be read as a line feed.
            '\r' => text.push_str("&#13;"),
            '\n' | '\t' => text.push(character),
            '\u{fffe}' | '\u{ffff}' => text.push('\u{fffd}'),
            other if other.is_control() && (other as u32) < 0x20 => text.push('\u{fffd}'),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_what_xml_cannot_carry_is_replaced() {
        let mut xml = Xml::new();
        xml.text("a", "<b & \"c\">\r\n\u{1}é");
        assert_eq!(xml.finish(), "<a>&lt;b &amp; &quot;c&quot;&gt;&#13;\n\u{fffd}é</a>");
    }

    #[test]
    fn sets_wrap_each_item() {
        let mut xml = Xml::new();
        xml.set("s", [1, 2], |xml, n| {
            xml.text("n", n);
        });
        assert_eq!(xml.finish(), "<s><item><n>1</n></item><item><n>2</n></item></s>");
    }
}

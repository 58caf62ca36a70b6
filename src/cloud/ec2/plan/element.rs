//! Answers of EC2 as a tree: read, changed, and written again.

use std::fmt::Write as _;

/// An XML element: text, or children. EC2's answers have no attributes that matter.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    pub(super) fn new(name: &str) -> Self {
        Element { name: name.to_owned(), ..Element::default() }
    }

    /// An element with a text.
    pub(super) fn leaf(name: &str, text: impl Into<String>) -> Self {
        Element { name: name.to_owned(), text: text.into(), children: Vec::new() }
    }

    /// With a child of this name and text.
    pub(super) fn with(mut self, name: &str, text: impl Into<String>) -> Self {
        self.children.push(Element::leaf(name, text));
        self
    }

    /// With a child.
    pub(super) fn child(mut self, child: Element) -> Self {
        self.children.push(child);
        self
    }

    /// With a child, if there is one.
    pub(super) fn maybe(mut self, name: &str, text: Option<&str>) -> Self {
        self.children.extend(text.map(|text| Element::leaf(name, text)));
        self
    }

    /// A set of items.
    pub(super) fn set(name: &str, items: impl IntoIterator<Item = Element>) -> Self {
        let children = items.into_iter().map(|item| Element { name: "item".to_owned(), ..item }).collect();
        Element { name: name.to_owned(), text: String::new(), children }
    }

    pub(super) fn find(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The child of a name, made when it is not there.
    pub(super) fn entry(&mut self, name: &str) -> &mut Element {
        let at = self.children.iter().position(|child| child.name == name).unwrap_or_else(|| {
            self.children.push(Element::new(name));
            self.children.len() - 1
        });
        &mut self.children[at]
    }

    /// The text of a child; empty when there is none.
    pub(super) fn text_of(&self, name: &str) -> &str {
        self.find(name).map_or("", |child| child.text.as_str())
    }

    /// The texts at a path; the items of sets are looked through.
    pub(super) fn at<'a>(&'a self, path: &[&str]) -> Vec<&'a str> {
        let Some((first, rest)) = path.split_first() else { return vec![self.text.as_str()] };
        self.children
            .iter()
            .flat_map(|child| {
                if child.name == *first {
                    child.at(rest)
                } else if child.name == "item" {
                    child.at(path)
                } else {
                    Vec::new()
                }
            })
            .collect()
    }

    /// Sets the text at a path, making what is missing.
    pub(super) fn put(&mut self, path: &[&str], text: &str) {
        match path.split_first() {
            None => text.clone_into(&mut self.text),
            Some((first, rest)) => self.entry(first).put(rest, text),
        }
    }

    pub(super) fn write(&self) -> String {
        let mut out = String::new();
        self.write_into(&mut out);
        out
    }

    fn write_into(&self, out: &mut String) {
        // Writing to a String cannot fail.
        let _ = write!(out, "<{}>", self.name);
        for character in self.text.chars() {
            match character {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '\r' => out.push_str("&#13;"),
                other => out.push(other),
            }
        }
        self.children.iter().for_each(|child| child.write_into(out));
        let _ = write!(out, "</{}>", self.name);
    }

    /// Reads a document; `None` when it is not well formed.
    pub(super) fn parse(text: &str) -> Option<Element> {
        let mut open: Vec<Element> = vec![Element::default()];
        let mut rest = text;
        while let Some(at) = rest.find('<') {
            let (before, tag) = rest.split_at(at);
            let top = open.last_mut()?;
            top.text.push_str(&unescape(before));
            if let Some(after) = tag.strip_prefix("<!--") {
                rest = after.split_once("-->")?.1;
                continue;
            }
            if let Some(after) = tag.strip_prefix("<![CDATA[") {
                let (data, after) = after.split_once("]]>")?;
                top.text.push_str(data);
                rest = after;
                continue;
            }
            let (inside, after) = tag.get(1..)?.split_once('>')?;
            rest = after;
            if inside.starts_with(['?', '!']) {
                continue;
            }
            if let Some(name) = inside.strip_prefix('/') {
                let closed = open.pop()?;
                if closed.name != name.trim() {
                    return None;
                }
                open.last_mut()?.children.push(closed.tidy());
                continue;
            }
            let empty = inside.ends_with('/');
            let name = inside.trim_end_matches('/').split_whitespace().next()?;
            match empty {
                true => top.children.push(Element::new(name)),
                false => open.push(Element::new(name)),
            }
        }
        let mut document = open.pop().filter(|_| open.is_empty())?;
        document.children.pop()
    }

    /// White space between children means nothing.
    fn tidy(mut self) -> Self {
        if !self.children.is_empty() {
            self.text.clear();
        }
        self
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('&');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (name, rest) = part.split_once(';').unwrap_or(("", part));
        let number = name
            .strip_prefix("#x")
            .map(|hex| u32::from_str_radix(hex, 16))
            .or_else(|| name.strip_prefix('#').map(str::parse));
        match (name, number) {
            ("amp", _) => out.push('&'),
            ("lt", _) => out.push('<'),
            ("gt", _) => out.push('>'),
            ("quot", _) => out.push('"'),
            ("apos", _) => out.push('\''),
            (_, Some(Ok(code))) => out.push(char::from_u32(code).unwrap_or('\u{fffd}')),
            _ => out.push('&'),
        }
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_survives_reading_and_writing() {
        let text = "<?xml version=\"1.0\"?>\n<R xmlns=\"x\">\n <s>\n  <item><a>1 &lt; 2 &amp; &#233;</a></item>\n  <item><a/></item>\n </s>\n</R>\n";
        let tree = Element::parse(text).unwrap();
        assert_eq!(tree.at(&["s", "a"]), ["1 < 2 & é", ""]);
        let again = Element::parse(&tree.write()).unwrap();
        assert_eq!(again, tree);
        assert_eq!(Element::parse("<a><b></a>"), None);
    }

    #[test]
    fn paths_lead_through_sets_and_are_made_when_set() {
        let mut tree = Element::new("x");
        tree.put(&["state", "name"], "running");
        assert_eq!(tree.at(&["state", "name"]), ["running"]);
        tree.children
            .push(Element::set("set", [Element::new("").with("id", "1"), Element::new("").with("id", "2")]));
        assert_eq!(tree.at(&["set", "id"]), ["1", "2"]);
    }
}

//! The reference of all functions, out of the engine's metadata: one text for the REPL's help, its
//! completion, and docs/reference.md.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;

use super::Host;
use crate::cloud::codes::{Class, TABLE};
use crate::error::{Error, Result};

/// One function as scripts call it.
#[derive(Debug, Clone)]
pub struct Function {
    /// Its namespace, or none for functions that need none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// How it is called: `ssh::run(hosts, command, options)`.
    pub call: String,
    /// Its text, Markdown with examples.
    pub text: String,
}

/// All functions, by namespace.
#[derive(Debug, Clone, Default)]
pub struct Reference {
    /// Text of each namespace; the empty name is that of the functions without one.
    pub namespaces: BTreeMap<String, String>,
    /// The functions, sorted by namespace, name and number of parameters.
    pub functions: Vec<Function>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    functions: Vec<FunctionMetadata>,
    #[serde(default)]
    modules: BTreeMap<String, ModuleMetadata>,
}

#[derive(Deserialize)]
struct ModuleMetadata {
    #[serde(default)]
    doc: String,
    #[serde(default)]
    functions: Vec<FunctionMetadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionMetadata {
    name: String,
    #[serde(default)]
    params: Vec<ParameterMetadata>,
    #[serde(default)]
    doc_comments: Vec<String>,
    #[serde(default)]
    is_anonymous: bool,
}

#[derive(Deserialize)]
struct ParameterMetadata {
    #[serde(default)]
    name: Option<String>,
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

impl Reference {
    pub(super) fn of(host: &Host) -> Result<Self> {
        let metadata: Metadata = serde_json::from_str(&host.metadata()?)
            .map_err(|error| Error::internal("the engine's metadata could not be read").with_source(error))?;
        let mut reference = Reference::default();
        reference.namespaces.insert(String::new(), "Called without a namespace.".to_owned());
        reference.add(None, metadata.functions);
        for (name, module) in metadata.modules {
            reference.namespaces.insert(name.clone(), plain(&module.doc));
            reference.add(Some(&name), module.functions);
        }
        let key = |function: &Function| {
            (
                function.namespace.clone(),
                function.name.clone(),
                function.call.matches(',').count(),
                function.call.clone(),
            )
        };
        reference.functions.sort_by_key(key);
        Ok(reference)
    }

    fn add(&mut self, namespace: Option<&str>, functions: Vec<FunctionMetadata>) {
        for function in functions {
            let text = plain(&function.doc_comments.join("\n"));
            // Without a text it is the engine's own, such as the operators of a type.
            if function.is_anonymous || text.is_empty() {
                continue;
            }
            let parameters: Vec<String> = function
                .params
                .iter()
                .filter(|parameter| {
                    !parameter.kind.as_deref().is_some_and(|kind| kind.contains("NativeCallContext"))
                })
                .filter_map(|parameter| parameter.name.clone())
                .collect();
            let prefix = namespace.map(|namespace| format!("{namespace}::")).unwrap_or_default();
            self.functions.push(Function {
                namespace: namespace.map(str::to_owned),
                call: format!("{prefix}{}({})", function.name, parameters.join(", ")),
                name: function.name,
                text,
            });
        }
    }

    /// The functions with a name such as `run` or `ssh::run`, or all of a namespace.
    pub fn find(&self, name: &str) -> Vec<&Function> {
        let full = |function: &Function| match &function.namespace {
            Some(namespace) => format!("{namespace}::{}", function.name),
            None => function.name.clone(),
        };
        let exact: Vec<&Function> = self
            .functions
            .iter()
            .filter(|function| full(function) == name || function.name == name)
            .collect();
        if !exact.is_empty() {
            return exact;
        }
        let namespace = name.trim_end_matches("::");
        self.functions.iter().filter(|function| function.namespace.as_deref() == Some(namespace)).collect()
    }

    /// The whole reference as Markdown.
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "# Reference\n\nAll functions that recipes can call, besides those of \
             [Rhai itself](https://rhai.rs/book/). Made from their doc comments; the examples are run by a test.\n",
        );
        for (namespace, documentation) in &self.namespaces {
            let functions: Vec<&Function> = self
                .functions
                .iter()
                .filter(|function| function.namespace.as_deref().unwrap_or_default() == namespace)
                .collect();
            if functions.is_empty() {
                continue;
            }
            let title = if namespace.is_empty() {
                "Without a namespace".to_owned()
            } else {
                format!("`{namespace}::`")
            };
            let _ = write!(text, "\n## {title}\n\n{documentation}\n");
            for function in functions {
                let _ = write!(text, "\n### `{}`\n\n{}\n", function.call, function.text);
            }
        }
        text.push_str(&error_codes());
        text
    }
}

/// What each error code of AWS means: the table that the cloud itself goes by.
fn error_codes() -> String {
    let mut text = String::from(
        "\n## Error codes of AWS\n\n`catch (e) { e.code }` has one of these, or another code of the service; \
         `e.retryable` says whether the same call may succeed later. Codes that are not listed go by their \
         form: `Throttl…` is retryable, `Insufficient…Capacity…` is capacity, `…LimitExceeded` a quota, \
         `….NotFound` gone, and the rest terminal.\n\n| class | what it means | codes |\n|---|---|---|\n",
    );
    for (class, name, meaning) in Class::ALL {
        let codes: Vec<String> =
            TABLE.iter().filter(|(_, of)| *of == class).map(|(code, _)| format!("`{code}`")).collect();
        let _ = writeln!(text, "| {name} | {meaning} | {} |", codes.join(", "));
    }
    text
}

/// A doc comment without its marks.
fn plain(comment: &str) -> String {
    let lines: Vec<&str> = comment
        .lines()
        .map(|line| {
            let line = line.trim_start();
            let line = ["///", "//!"].iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line);
            line.strip_prefix(' ').unwrap_or(line).trim_end()
        })
        .collect();
    lines.join("\n").trim().to_owned()
}

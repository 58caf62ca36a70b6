//! What the engine knows: functions with their signatures, and the names of properties.

use std::any::TypeId;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use rhai::{Array, Dynamic, Engine, FnNamespace, ImmutableString, Map};

use super::options::OPTIONS;
use crate::script::embedded;

/// Parts of the language that look like functions. They take what they take.
const LANGUAGE: [&str; 11] = [
    "call",
    "curry",
    "Fn",
    "eval",
    "is_def_var",
    "is_def_fn",
    "is_shared",
    "type_of",
    "print",
    "debug",
    "to_json",
];

/// One way to call a function.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    /// How many arguments it takes; of a method, the object among them.
    pub count: usize,
    /// Their types; empty where any will do, as in functions of scripts.
    types: Vec<TypeId>,
    /// Whether the last of them is a map of options.
    pub has_options: bool,
}

impl Signature {
    fn of(metadata: &rhai::FuncMetadata) -> Self {
        let last = metadata.params_info.last().map(|info| info.split(':').next().unwrap_or_default().trim());
        Signature {
            count: metadata.num_params,
            types: metadata.param_types.to_vec(),
            has_options: last == Some("options"),
        }
    }

    /// Whether an argument of this type may stand in this place.
    pub fn takes(&self, place: usize, literal: Literal) -> bool {
        let Some(wanted) = self.types.get(place) else { return true };
        *wanted == TypeId::of::<Dynamic>() || literal.types().contains(wanted)
    }

    /// What stands in this place, in words.
    pub fn wants(&self, place: usize) -> Option<&'static str> {
        let wanted = self.types.get(place)?;
        Literal::ALL.into_iter().find(|literal| literal.types().contains(wanted)).map(Literal::word)
    }
}

/// The type of a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Literal {
    Integer,
    Float,
    Text,
    Character,
    Truth,
    List,
    Object,
    Nothing,
}

impl Literal {
    const ALL: [Literal; 8] = [
        Literal::Integer,
        Literal::Float,
        Literal::Text,
        Literal::Character,
        Literal::Truth,
        Literal::List,
        Literal::Object,
        Literal::Nothing,
    ];

    fn types(self) -> Vec<TypeId> {
        match self {
            Literal::Integer => vec![TypeId::of::<rhai::INT>()],
            Literal::Float => vec![TypeId::of::<rhai::FLOAT>()],
            Literal::Text => {
                vec![TypeId::of::<ImmutableString>(), TypeId::of::<String>(), TypeId::of::<&str>()]
            }
            Literal::Character => vec![TypeId::of::<char>()],
            Literal::Truth => vec![TypeId::of::<bool>()],
            Literal::List => vec![TypeId::of::<Array>()],
            Literal::Object => vec![TypeId::of::<Map>()],
            Literal::Nothing => vec![TypeId::of::<()>()],
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Literal::Integer => "a whole number",
            Literal::Float => "a broken number",
            Literal::Text => "a text",
            Literal::Character => "a character",
            Literal::Truth => "true or false",
            Literal::List => "a list",
            Literal::Object => "an object map",
            Literal::Nothing => "nothing",
        }
    }
}

/// All that can be called or read.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The ways to call a function, by its name: `print`, `ssh::run`.
    pub functions: BTreeMap<String, Vec<Signature>>,
    /// The names that properties of values have.
    pub properties: BTreeSet<String>,
}

impl Known {
    /// Asks an engine in which everything is registered.
    pub fn of(engine: &Engine) -> Self {
        let mut known = Known::default();
        // Most words come many times: each is kept once before anything is sorted.
        let documented: RefCell<HashSet<String>> = RefCell::default();
        let documented = &documented;
        let all = engine.collect_fn_metadata(
            None,
            |info| {
                let metadata = info.metadata;
                for word in metadata.comments.iter().flat_map(|comment| quoted(comment)) {
                    let mut documented = documented.borrow_mut();
                    if !documented.contains(word) {
                        documented.insert(word.to_owned());
                    }
                }
                let global = info.namespace.is_empty() || metadata.namespace == FnNamespace::Global;
                let own =
                    (!info.namespace.is_empty()).then(|| format!("{}::{}", info.namespace, metadata.name));
                Some((own, global.then(|| metadata.name.to_string()), Signature::of(metadata)))
            },
            true,
        );
        known.properties.extend(documented.take());
        for (own, global, signature) in all {
            for name in own.into_iter().chain(global) {
                match name.strip_prefix("get$") {
                    Some(property) => {
                        known.properties.insert(property.to_owned());
                    }
                    None => known.functions.entry(name).or_default().push(signature.clone()),
                }
            }
        }
        for name in LANGUAGE {
            known.functions.insert(name.to_owned(), Vec::new());
        }
        known.properties.extend(OPTIONS.iter().flat_map(|takes| takes.all()).map(str::to_owned));
        // The built-in scripts are tested: what they read is there.
        let shipped = embedded::RECIPES.iter().chain(embedded::STDLIB);
        let words: HashSet<&str> = shipped.flat_map(|(_, text)| identifiers(text)).collect();
        known.properties.extend(words.into_iter().map(str::to_owned));
        known
    }
}

/// The names in backticks in a text: `id`, `error.message`.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).flat_map(identifiers)
}

/// The words of a text that may be names.
fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
        .filter(|word| word.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_'))
}

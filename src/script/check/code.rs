//! What the check finds, by code: `spot explain CODE` and docs/check.md tell of each.

use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The recipe fails when it gets there: it does not start.
    Error,
    /// Probably not what was meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// One kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// Its name, as findings and comments give it.
    pub name: &'static str,
    /// How bad it is, unless the finding says otherwise.
    pub severity: Severity,
    /// One line: what it means.
    pub summary: &'static str,
    /// Why it matters and what to do.
    pub why: &'static str,
    /// A script in which it is found.
    pub wrong: &'static str,
    /// The same without it.
    pub right: &'static str,
}

macro_rules! codes {
    ($($constant:ident = $name:literal, $severity:ident, $summary:literal, $why:literal, $wrong:literal, $right:literal;)*) => {
        $(
            #[doc = $summary]
            pub const $constant: Code = Code {
                name: $name,
                severity: Severity::$severity,
                summary: $summary,
                why: $why,
                wrong: $wrong,
                right: $right,
            };
        )*
        /// Every code, errors first.
        pub const CODES: &[&Code] = &[$(&$constant),*];
    };
}

codes! {
    SYNTAX = "syntax", Error,
        "The script cannot be read, or uses a variable or namespace that does not exist.",
        "Nothing of the script can run.",
        "let x = ; print(x);",
        "let x = 1; print(x);";
    UNKNOWN_FUNCTION = "unknown-function", Error,
        "There is no function of this name.",
        "The call would fail when it is reached, perhaps when instances already run.",
        "pritn(1);",
        "print(1);";
    WRONG_ARGUMENTS = "wrong-arguments", Error,
        "The function takes another number of arguments.",
        "The call would fail when it is reached. Optional things are given as a map of options, last.",
        "let results = ssh::run(state::instances()); print(results);",
        "let results = ssh::run(state::instances(), \"uptime\"); print(results);";
    WRONG_TYPE = "wrong-type", Error,
        "The function takes no argument of this type there.",
        "The call would fail when it is reached. A whole number is no text, and a text is no list.",
        "sleep(\"5\");",
        "sleep(5);";
    UNKNOWN_OPTION = "unknown-option", Error,
        "The function has no option of this name.",
        "The call would be refused when it is reached.",
        "let results = ssh::run(state::instances(), \"uptime\", #{ timout: 5 }); print(results);",
        "let results = ssh::run(state::instances(), \"uptime\", #{ timeout: 5 }); print(results);";
    MISSING_OPTION = "missing-option", Error,
        "An option that the function cannot do without is not given.",
        "The call would be refused when it is reached.",
        "print(aws::find_image(#{ image: \"auto\" }));",
        "print(aws::find_image(#{ region: \"us-west-2\", image: \"auto\" }));";
    UNKNOWN_ARGUMENT = "unknown-argument", Error,
        "The recipe's `args` do not declare this.",
        "Reading it would fail; what the command line may say is what `args(#{…})` lists.",
        "let opt = args(#{ count: 1 }); print(opt.cuont);",
        "let opt = args(#{ count: 1 }); print(opt.count);";
    UNKNOWN_PROPERTY = "unknown-property", Error,
        "Nothing that spot returns, and nothing in this script, has a property of this name.",
        "Reading it would fail. Only a name that is nearly a known one is reported. It is a warning where the name \
         is set and never read, and in a script that reads JSON of others.",
        "for host in state::instances() { print(host.public_pi); }",
        "for host in state::instances() { print(host.public_ip); }";
    UNREACHABLE = "unreachable", Warning,
        "Nothing ever gets here.",
        "The statement before it leaves the block in any case.",
        "fail(\"no\"); print(1);",
        "print(1); fail(\"no\");";
    UNUSED_VARIABLE = "unused-variable", Warning,
        "The variable is never read.",
        "Perhaps another one was meant. A name that begins with `_` says that it is meant so.",
        "let hosts = state::instances(); print(1);",
        "let hosts = state::instances(); print(hosts);";
    UNUSED_IMPORT = "unused-import", Warning,
        "The imported module is never used.",
        "It is loaded and run for nothing.",
        "import \"lib/names\" as names; print(1);",
        "import \"lib/names\" as names; print(names::hello());";
    IGNORED_RESULT = "ignored-result", Warning,
        "What became of each host is not looked at.",
        "The function does not fail when hosts do: it returns a result for each, with `ok` and `error`.",
        "ssh::run(state::instances(), \"make\"); print(1);",
        "let failed = ssh::run(state::instances(), \"make\").filter(|result| !result.ok); print(failed);";
    SHADOWED_FUNCTION = "shadowed-function", Warning,
        "A function of the script has the name of a built-in one and takes its place.",
        "Who reads the script expects the built-in one.",
        "fn len(list) { 0 } print(len([1]));",
        "fn length(list) { 0 } print(length([1]));";
    PARALLEL_MUTATION = "parallel-mutation", Warning,
        "A function that runs in parallel changes a variable from outside.",
        "Workers run at once, in any order: return values and combine what `parallel` returns.",
        "let sum = 0; parallel([1, 2], |x| { sum += x; }); print(sum);",
        "let sum = parallel([1, 2], |x| x).reduce(|a, x| a + x, 0); print(sum);";
    SECRET_LITERAL = "secret-literal", Warning,
        "A secret stands in the script.",
        "Scripts are committed and shared. Secrets come from the environment, a file or a parameter store.",
        "let api_token = \"8fe1c0ffee\"; print(api_token);",
        "let api_token = sys::env(\"API_TOKEN\"); print(api_token);";
    UNDOCUMENTED = "undocumented", Warning,
        "The script does not say what it does.",
        "Lines that begin with `//!` at its top are what `spot list-recipes` and `--help` show.",
        "print(1);",
        "//! Prints one.\nprint(1);";
    UNUSED_ALLOW = "unused-allow", Warning,
        "A comment allows something that is not found there, has no reason, or names no code.",
        "What is allowed has the form `// spot:allow(code): reason`, in the line or the one above.",
        "// spot:allow(unreachable): it was once\nprint(1);",
        "print(1);";
}

/// The code of a name.
pub fn code(name: &str) -> Option<&'static Code> {
    CODES.iter().copied().find(|code| code.name == name)
}

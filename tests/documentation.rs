//! The reference is up to date, and what the documentation shows works.

use crate::site::Site;
use crate::spot::{Spot, code_blocks};
use spot::{Host, Sandbox};

fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `SPOT_BLESS=1 cargo test reference` writes docs/reference.md anew.
#[test]
fn the_reference_is_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let markdown = Host::builder().project(folder.path()).build().unwrap().reference().unwrap().markdown();
    let path = root().join("docs/reference.md");
    if std::env::var_os("SPOT_BLESS").is_some() {
        std::fs::write(&path, &markdown).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    let differing = written.lines().zip(markdown.lines()).position(|(old, new)| old != new);
    let line = differing.map_or(0, |index| index + 1);
    assert!(
        written == markdown,
        "docs/reference.md is stale at line {line}: run SPOT_BLESS=1 cargo test reference"
    );
}

#[test]
fn every_native_has_an_example_and_every_example_runs() {
    let folder = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::start(folder.path()).unwrap();
    let host = Host::builder()
        .project(folder.path())
        .sandbox(&sandbox)
        .ui(std::sync::Arc::new(spot::ui::Recorder::with_answers(std::iter::repeat_n(
            spot::ui::Answer::Confirmed(true),
            9,
        ))))
        .build()
        .unwrap();
    // One host for the examples that need some, with what they read there.
    std::fs::create_dir_all(folder.path().join("deploy/files")).unwrap();
    std::fs::write(folder.path().join("deploy/setup.sh"), "#!/bin/sh\necho set up\n").unwrap();
    let prepare = folder.path().join("prepare.rhai");
    std::fs::write(
        &prepare,
        "run(\"create\", #{ count: 1 }); ssh::run(state::instances(), \"echo started | sudo tee /var/log/app.log; sudo mkdir -p /opt/app; sudo chown ubuntu /opt/app\");",
    )
    .unwrap();
    host.run(&prepare.to_string_lossy(), [""; 0]).unwrap();
    let modules: Vec<String> =
        host.library().modules().unwrap().into_iter().map(|script| script.name).collect();
    let site = Site::start(|_| Some((200, String::new(), "[]".into())));
    let mut wrong = Vec::new();
    for function in host.reference().unwrap().functions {
        let blocks = code_blocks(&function.text);
        let is_native = !function.namespace.as_ref().is_some_and(|namespace| modules.contains(namespace));
        if is_native && blocks.is_empty() {
            wrong.push(format!("{} has no example", function.call));
        }
        for (_, language, body) in blocks {
            let path = folder.path().join("example.rhai");
            std::fs::write(&path, &body).unwrap();
            let path = path.to_string_lossy();
            let result = match language.as_str() {
                "rhai" => host.run(&path, [""; 0]).map(drop),
                "rhai,host" => {
                    let body = format!(
                        "let hosts = state::instances().filter(|h| h.phase == \"ready\"); let host = hosts[0];\n{body}"
                    );
                    std::fs::write(path.as_ref(), body).unwrap();
                    host.run(&path, [""; 0]).map(drop)
                }
                "rhai,network" => {
                    let body = body.replace("https://hooks.example.com", &site.url);
                    std::fs::write(path.as_ref(), body.replace("https://example.com", &site.url)).unwrap();
                    host.run(&path, [""; 0]).map(drop)
                }
                // What needs a person or starts another recipe is compiled; its free names are variables.
                "rhai,no_run" => {
                    std::fs::write(path.as_ref(), format!("let host = (); let hosts = [];\n{body}")).unwrap();
                    host.check(&path)
                }
                other => panic!("{}: unknown language `{other}`", function.call),
            };
            if let Err(failure) = result {
                wrong.push(format!("{}: {failure}", function.call));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_recipes_in_the_readme_compile() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let blocks: Vec<_> =
        code_blocks(&readme).into_iter().filter(|(_, language, _)| language == "rhai").collect();
    assert!(!blocks.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let host = Host::builder().project(folder.path()).build().unwrap();
    for (line, _, body) in blocks {
        let path = folder.path().join("readme.rhai");
        std::fs::write(&path, body).unwrap();
        if let Err(failure) = host.check(&path.to_string_lossy()) {
            panic!("README.md:{line}: {failure}");
        }
    }
}

/// The first command of the README, then the tutorial's own recipe, as a newcomer types them.
#[test]
fn the_readme_works_as_written() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let recipe = code_blocks(&readme).into_iter().find(|(_, language, _)| language == "rhai").unwrap().2;
    let spot = Spot::new();
    spot.sandbox(&["run", &root().join("recipes/create.rhai").to_string_lossy(), "--count", "2"]).expect(0);
    spot.write("recipes/uptime.rhai", &recipe);
    let finished = spot.sandbox(&["uptime"]).expect(0);
    assert!(finished.stdout.contains("us-"), "{}", finished.all());
    spot.sandbox(&["destroy", "--yes"]).expect(0);
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for file in [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/benchmarks.md",
        "docs/configuration.md",
        "docs/patterns.md",
        "docs/recipes.md",
        "docs/ssh.md",
        "docs/sandbox.md",
        "docs/state.md",
        "docs/terminal.md",
    ] {
        let path = root().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if !target.is_empty() && !target.contains("://") && !path.parent().unwrap().join(target).exists()
            {
                broken.push(format!("{file}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn recipes_and_modules_call_only_what_exists() {
    // As files of a project, the modules are checked like recipes; as part of the binary they are not.
    let spot = Spot::new();
    for entry in std::fs::read_dir(root().join("stdlib")).unwrap() {
        let path = entry.unwrap().path();
        spot.write(
            &format!("stdlib/{}", path.file_name().unwrap().to_string_lossy()),
            &std::fs::read_to_string(&path).unwrap(),
        );
    }
    let host = Host::builder().project(spot.folder()).build().unwrap();
    for script in host.library().recipes().unwrap() {
        if let Err(failure) = host.check(&script.name) {
            panic!("{}: {failure}", script.name);
        }
    }
}

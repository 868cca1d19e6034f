//! The layers of the source: see docs/architecture.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::skip;

/// The folders of src from the lowest layer up. A file imports its own folder and lower ones.
const LAYERS: [&str; 11] = [
    "signal",
    "sys",
    "log",
    "options",
    "process",
    "policy",
    "report",
    "spawn",
    "supervisor",
    "explain",
    "run",
];

/// Everything that the decisions depend on.
const IMPORTS_OF_POLICY: [&str; 4] = ["signal", "options::settings", "log::Message", "policy"];

/// A source file: the path of its module, and the paths that its `use` lines name.
struct Module {
    name: String,
    imports: Vec<String>,
}

#[test]
fn folders_of_src_import_only_lower_folders() {
    if !has_source() {
        return;
    }
    let mut wrong = Vec::new();
    for module in modules() {
        let own = layer_of(&module.name);
        let higher = module.imports.iter().filter(|import| layer_of(import) > own);
        wrong.extend(higher.map(|import| format!("{} imports {import}", module.name)));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Imports of types that do nothing.
const VALUES: [&str; 2] = ["use nix::unistd::Pid;", "use nix::errno::Errno;"];

#[test]
fn policy_imports_signals_settings_and_messages_only() {
    if !has_source() {
        return;
    }
    let modules = modules();
    let policy: Vec<&Module> = modules.iter().filter(|module| is_below(&module.name, "policy")).collect();
    assert!(policy.len() >= 3);
    for module in policy.iter().filter(|module| !module.name.contains("tests")) {
        let others: Vec<&String> = module
            .imports
            .iter()
            .filter(|import| !IMPORTS_OF_POLICY.iter().any(|allowed| is_below(import, allowed)))
            .collect();
        assert!(others.is_empty(), "{}: {others:?}", module.name);
        // The PID, Errno and Instant are values; everything else of these crates acts.
        let text = fs::read_to_string(file_of(&module.name)).expect("a source file");
        for word in ["nix::", "libc::", "std::fs", "std::process", "Instant::now"] {
            let lines =
                text.lines().filter(|line| line.contains(word) && !line.trim_start().starts_with("//"));
            let acting: Vec<&str> = lines.filter(|line| !VALUES.contains(line)).collect();
            assert!(acting.is_empty(), "{}: {acting:?}", module.name);
        }
    }
}

#[test]
fn files_of_src_import_each_other_in_no_cycle() {
    if !has_source() {
        return;
    }
    let modules = modules();
    let names: BTreeSet<&str> = modules.iter().map(|module| module.name.as_str()).collect();
    let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for module in &modules {
        let targets = module.imports.iter().filter_map(|import| file_that_has(import, &names));
        // A folder's own file and the other files of the folder are one.
        let others =
            targets.filter(|&target| !is_below(target, &module.name) && !is_below(&module.name, target));
        edges.insert(&module.name, others.collect());
    }
    // Files that import nothing that is left cannot be part of a cycle.
    loop {
        let left: BTreeSet<&str> = edges.keys().copied().collect();
        edges.retain(|_, targets| targets.iter().any(|target| left.contains(target)));
        if edges.len() == left.len() {
            break;
        }
    }
    assert!(edges.is_empty(), "{edges:#?}");
}

#[test]
fn architecture_page_names_existing_files() {
    if !has_source() {
        return;
    }
    let page = include_str!("../docs/architecture.md");
    let paths = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| text.starts_with("src/") || text.starts_with("tests/"));
    let missing: Vec<&str> =
        paths.clone().filter(|path| !Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists()).collect();
    assert!(paths.count() > 20 && missing.is_empty(), "{missing:?}");
}

/// Whether the tests run beside the source, and not in an image of their own.
fn has_source() -> bool {
    let has_source = source().exists();
    if !has_source {
        skip("the source is not here");
    }
    has_source
}

fn layer_of(path: &str) -> usize {
    let folder = path.split("::").next().unwrap_or_default();
    LAYERS.iter().position(|&layer| layer == folder).unwrap_or_else(|| panic!("{path} is in no layer"))
}

/// Whether a path is `ancestor`, or lies in it.
fn is_below(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The longest beginning of an imported path that is a file.
fn file_that_has<'a>(import: &str, names: &BTreeSet<&'a str>) -> Option<&'a str> {
    names.iter().filter(|name| is_below(import, name)).max_by_key(|name| name.len()).copied()
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn file_of(module: &str) -> PathBuf {
    let path = source().join(module.replace("::", "/"));
    let folder = path.join("mod.rs");
    if folder.exists() { folder } else { path.with_extension("rs") }
}

fn modules() -> Vec<Module> {
    let mut files = Vec::new();
    collect(&source(), &mut files);
    assert!(files.len() > 30, "{files:?}");
    let modules = files.iter().map(|file| {
        let path = file.strip_prefix(source()).expect("a path in src").with_extension("");
        let parts: Vec<&str> =
            path.iter().filter_map(|part| part.to_str()).filter(|part| *part != "mod").collect();
        let name = parts.join("::");
        let text = fs::read_to_string(file).expect("a source file");
        Module { imports: imports(&text, &name), name }
    });
    modules.filter(|module| !["lib", "main"].contains(&module.name.as_str())).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of src").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The paths that the `use` lines before the tests name, from the root of the crate.
fn imports(text: &str, module: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut imports = Vec::new();
    for statement in code.split("\nuse ").skip(1).chain(code.split("\npub(crate) use ").skip(1)) {
        let statement: String = statement.split(';').next().unwrap_or_default().split_whitespace().collect();
        for path in expanded(&statement) {
            if let Some(path) = path.strip_prefix("crate::") {
                imports.push(path.to_owned());
            } else if path.starts_with("super::") {
                let mut base: Vec<&str> = module.split("::").collect();
                let mut rest = path.as_str();
                while let Some(above) = rest.strip_prefix("super::") {
                    base.pop();
                    rest = above;
                }
                base.push(rest);
                imports.push(base.join("::"));
            }
        }
    }
    imports
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d` and `a::c::e`.
fn expanded(statement: &str) -> Vec<String> {
    let Some((before, group)) = statement.split_once('{') else { return vec![statement.to_owned()] };
    let inside = &group[..group.rfind('}').expect("a closing brace")];
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (index, letter) in inside.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inside[begin..index]);
                begin = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&inside[begin..]);
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.flat_map(|part| expanded(part).into_iter().map(|path| format!("{before}{path}"))).collect()
}

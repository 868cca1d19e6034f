//! Every row of the table has a test, or says that it was not run.

use std::collections::BTreeSet;

use super::{PAGE, rows};
use crate::documentation::tests;

#[test]
fn recipes_page_names_existing_tests() {
    let (rows, all) = (rows(), tests());
    assert!(rows.len() >= 10, "{} rows", rows.len());
    for row in &rows {
        assert!(row.tests.is_empty() == (row.tried == "not run"), "{}: {}", row.program, row.tried);
        for name in &row.tests {
            assert!(all.contains(*name), "{}: no test {name}", row.program);
        }
        let is_setting = |setting: &&str| setting.starts_with("DUMB_INIT_") && setting.contains('=');
        assert!(row.settings.iter().all(is_setting), "{}: {:?}", row.program, row.settings);
        assert!(PAGE.contains(&format!("\n## {}\n", row.program)), "no entry about {}", row.program);
    }
    let named: BTreeSet<&str> = rows.iter().flat_map(|row| row.tests.iter().copied()).collect();
    let own = all.iter().filter(|name| name.starts_with("recipes::") && !name.contains("::documentation::"));
    let missing: Vec<&String> = own.filter(|name| !named.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
}

/// The entry of a program has the settings of its row as text to copy.
#[test]
fn recipe_entries_have_the_settings_of_the_table() {
    for row in rows() {
        let entry = PAGE.split(&format!("\n## {}\n", row.program)).nth(1).expect("an entry");
        let entry = entry.split("\n## ").next().expect("a part");
        for setting in row.settings {
            assert!(entry.contains(setting), "{}: no {setting} in the entry", row.program);
        }
    }
}

//! The README's tables of keys are what the definitions say.

use expect_test::expect_file;
use tidegate_plugin_sqlite::PLUGIN;
use tidegate_sdk::testing::fill_readme;

#[test]
fn the_readme_says_what_the_definitions_say() {
    expect_file!["../README.md"].assert_eq(&fill_readme(include_str!("../README.md"), &PLUGIN));
}

//! Tidegate's own transforms through the host, with schemas and without: a field that lies deep, whose schema changes too.

use expect_test::{Expect, expect};

use crate::process::Place;

/// Compiled plugins are found again, which saves most of the time.
const CACHE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/tried");

fn check(config: &str, lines: &str, expected: Expect) {
    let place = Place::new();
    place.write("chain.json", config);
    let output = place.run_on(&["try", "--chain", "chain.json", "--cache", CACHE], lines);
    let shown = [output.stdout, output.stderr].concat();
    expected.assert_eq(&String::from_utf8(shown).unwrap());
}

const SCHEMAS: &str = r#"{"name":"t","connector.class":"FileStreamSink","topics":"t","value.converter":"JsonConverter",
    "value.converter.schemas.enable":"true","transforms":"STEPS",
    "transforms.rename.type":"Rename$Value","transforms.rename.fields":"by.name:who,by.card:number",
    "transforms.redact.type":"Redact$Value","transforms.redact.fields":"by.number","transforms.redact.action":"keep-last",
    "transforms.drop.type":"Redact$Value","transforms.drop.fields":"by.who","transforms.drop.action":"drop",
    "transforms.explode.type":"Explode$Value","transforms.explode.field":"by.items","transforms.explode.index.field":"n",
    "transforms.whole.type":"Explode$Value","transforms.whole.field":"by.items","transforms.whole.keep.fields":"false",
    "transforms.kept.type":"Explode$Value","transforms.kept.field":"by.items","transforms.kept.on.empty":"keep",
    "transforms.text.type":"JsonStringify$Value","transforms.text.field":"by.items",
    "transforms.all.type":"JsonStringify$Value","transforms.parse.type":"JsonParse$Value"}"#;

/// A line with a schema: somebody with a name, a card and items.
fn somebody(items: &str) -> String {
    format!(
        r#"{{"schema":{{"type":"struct","optional":false,"fields":[{{"field":"by","type":"struct","optional":false,"fields":[{{"field":"name","type":"string","optional":false}},{{"field":"card","type":"string","optional":false}},{{"field":"items","type":"array","optional":false,"items":{{"type":"int32","optional":false}}}}]}}]}},"payload":{{"by":{{"name":"Jane","card":"4111-1111","items":{items}}}}}}}"#
    )
}

fn with(steps: &str) -> String {
    SCHEMAS.replace("STEPS", steps)
}

#[test]
fn what_lies_deep_is_renamed_redacted_and_dropped_and_its_schema_says_so() {
    check(
        &with("rename,redact,drop"),
        &somebody("[1]"),
        expect![[r#"
            sample 1
              input
                topic: try
                partition: 0
                key schema: {"type":"string","optional":true}
                key: null
                value schema: {"type":"struct","fields":[{"type":"struct","fields":[{"type":"string","optional":false,"field":"name"},{"type":"string","optional":false,"field":"card"},{"type":"array","items":{"type":"int32","optional":false},"optional":false,"field":"items"}],"optional":false,"field":"by"}],"optional":false}
                value: {"by":{"name":"Jane","card":"4111-1111","items":[1]}}
              rename
                value schema: {"type":"struct","fields":[{"type":"struct","fields":[{"type":"string","optional":false,"field":"who"},{"type":"string","optional":false,"field":"number"},{"type":"array","items":{"type":"int32","optional":false},"optional":false,"field":"items"}],"optional":false,"field":"by"}],"optional":false}
                value: {"by":{"who":"Jane","number":"4111-1111","items":[1]}}
              redact
                value: {"by":{"who":"Jane","number":"*****1111","items":[1]}}
              drop
                value schema: {"type":"struct","fields":[{"type":"struct","fields":[{"type":"string","optional":false,"field":"number"},{"type":"array","items":{"type":"int32","optional":false},"optional":false,"field":"items"}],"optional":false,"field":"by"}],"optional":false}
                value: {"by":{"number":"*****1111","items":[1]}}
        "#]],
    );
}

#[test]
fn what_is_made_of_a_record_has_the_schema_of_an_element() {
    check(
        &with("explode"),
        &somebody("[7,8]"),
        expect![[r#"
            sample 1
              input
                topic: try
                partition: 0
                key schema: {"type":"string","optional":true}
                key: null
                value schema: {"type":"struct","fields":[{"type":"struct","fields":[{"type":"string","optional":false,"field":"name"},{"type":"string","optional":false,"field":"card"},{"type":"array","items":{"type":"int32","optional":false},"optional":false,"field":"items"}],"optional":false,"field":"by"}],"optional":false}
                value: {"by":{"name":"Jane","card":"4111-1111","items":[7,8]}}
              explode, record 1 of 2
                value schema: {"type":"struct","fields":[{"type":"struct","fields":[{"type":"string","optional":false,"field":"name"},{"type":"string","optional":false,"field":"card"},{"type":"int32","optional":false,"field":"items"}],"optional":false,"field":"by"},{"type":"int32","optional":false,"field":"n"}],"optional":false}
                value: {"by":{"name":"Jane","card":"4111-1111","items":7},"n":0}
              explode, record 2 of 2
                value schema: {"type":"struct","fields":[{"type":"struct","fields":[{"type":"string","optional":false,"field":"name"},{"type":"string","optional":false,"field":"card"},{"type":"int32","optional":false,"field":"items"}],"optional":false,"field":"by"},{"type":"int32","optional":false,"field":"n"}],"optional":false}
                value: {"by":{"name":"Jane","card":"4111-1111","items":8},"n":1}
        "#]],
    );
    check(
        &with("whole"),
        &somebody("[7,8]"),
        expect![[r#"
            sample 1
              input
                topic: try
                partition: 0
                key schema: {"type":"string","optional":true}
                key: null
                value schema: {"type":"struct","fields":[{"type":"struct","fields":[{"type":"string","optional":false,"field":"name"},{"type":"string","optional":false,"field":"card"},{"type":"array","items":{"type":"int32","optional":false},"optional":false,"field":"items"}],"optional":false,"field":"by"}],"optional":false}
                value: {"by":{"name":"Jane","card":"4111-1111","items":[7,8]}}
              whole, record 1 of 2
                value schema: {"type":"int32","optional":false}
                value: 7
              whole, record 2 of 2
                value schema: {"type":"int32","optional":false}
                value: 8
        "#]],
    );
    check(
        &with("kept"),
        &somebody("[]"),
        expect![[r#"
            sample 1
              input
                topic: try
                partition: 0
                key schema: {"type":"string","optional":true}
                key: null
                value schema: {"type":"struct","fields":[{"type":"struct","fields":[{"type":"string","optional":false,"field":"name"},{"type":"string","optional":false,"field":"card"},{"type":"array","items":{"type":"int32","optional":false},"optional":false,"field":"items"}],"optional":false,"field":"by"}],"optional":false}
                value: {"by":{"name":"Jane","card":"4111-1111","items":[]}}
              kept
                value schema: {"type":"struct","fields":[{"type":"struct","fields":[{"type":"string","optional":false,"field":"name"},{"type":"string","optional":false,"field":"card"},{"type":"int32","optional":true,"field":"items"}],"optional":false,"field":"by"}],"optional":false}
                value: {"by":{"name":"Jane","card":"4111-1111","items":null}}
        "#]],
    );
}

#[test]
fn a_structure_becomes_a_text_and_a_text_a_structure_without_a_schema() {
    check(
        &with("text"),
        &somebody("[7]"),
        expect![[r#"
            sample 1
              input
                topic: try
                partition: 0
                key schema: {"type":"string","optional":true}
                key: null
                value schema: {"type":"struct","fields":[{"type":"struct","fields":[{"type":"string","optional":false,"field":"name"},{"type":"string","optional":false,"field":"card"},{"type":"array","items":{"type":"int32","optional":false},"optional":false,"field":"items"}],"optional":false,"field":"by"}],"optional":false}
                value: {"by":{"name":"Jane","card":"4111-1111","items":[7]}}
              text
                value schema: {"type":"struct","fields":[{"type":"struct","fields":[{"type":"string","optional":false,"field":"name"},{"type":"string","optional":false,"field":"card"},{"type":"string","optional":false,"field":"items"}],"optional":false,"field":"by"}],"optional":false}
                value: {"by":{"name":"Jane","card":"4111-1111","items":"[7]"}}
        "#]],
    );
    check(
        &with("all,parse"),
        &somebody("[7]"),
        expect![[r#"
            sample 1
              input
                topic: try
                partition: 0
                key schema: {"type":"string","optional":true}
                key: null
                value schema: {"type":"struct","fields":[{"type":"struct","fields":[{"type":"string","optional":false,"field":"name"},{"type":"string","optional":false,"field":"card"},{"type":"array","items":{"type":"int32","optional":false},"optional":false,"field":"items"}],"optional":false,"field":"by"}],"optional":false}
                value: {"by":{"name":"Jane","card":"4111-1111","items":[7]}}
              all
                value schema: {"type":"string","optional":false}
                value: "{\"by\":{\"name\":\"Jane\",\"card\":\"4111-1111\",\"items\":[7]}}"
              parse
                value: {"by":{"name":"Jane","card":"4111-1111","items":[7]}}
                value schema: removed
        "#]],
    );
}

#[test]
fn the_example_of_the_page_runs() {
    let page = include_str!("../../../../docs/transforms.md");
    let config = page.split("<<'JSON'\n").nth(1).and_then(|rest| rest.split("JSON\n").next()).unwrap();
    let line = page.split("echo '").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    check(
        config,
        line,
        expect![[r#"
            sample 1
              input
                topic: try
                partition: 0
                key schema: {"type":"string","optional":true}
                key: null
                value: {"id":1,"by":{"card":"4111-1111"},"items":[{"price":2.5,"count":2},{"price":0.0,"count":1}]}
              items, record 1 of 2
                value: {"id":1,"by":{"card":"4111-1111"},"items":{"price":2.5,"count":2},"line":0}
              items, record 2 of 2
                value: {"id":1,"by":{"card":"4111-1111"},"items":{"price":0.0,"count":1},"line":1}
              total, record 1 of 2
                value: {"id":1,"by":{"card":"4111-1111"},"items":{"price":2.5,"count":2},"line":0,"total":5.0}
              total, record 2 of 2
                dropped
              card, record 1 of 2
                value: {"id":1,"by":{"card":"*****1111"},"items":{"price":2.5,"count":2},"line":0,"total":5.0}
              card, record 2 of 2
                dropped
        "#]],
    );
}

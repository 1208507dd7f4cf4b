"""A transform in Python against the bare contract: adds `greeting` made from the field that `field` names.

Everything is imported at the top, because the interpreter is snapshotted when the component is built.
"""

import json

import wit_world.exports
from componentize_py_types import Err
from wit_world.imports import types

DESCRIPTION = {
    "name": "hello-transform-python",
    "version": "0.1.0",
    "license": "Apache-2.0",
    "description": "Greets the name in a field.",
    "definitions": [
        {
            "kind": "transform",
            "name": "HelloPython",
            "doc": "Adds a field `greeting` made from the field that `field` names.",
            "encoding": "json",
            "config": [
                {
                    "name": "field",
                    "type": "string",
                    "default": "name",
                    "importance": "high",
                    "doc": "Field of the value that holds the name.",
                }
            ],
        }
    ],
}


class Plugin(wit_world.exports.Plugin):
    def describe(self) -> str:
        return json.dumps(DESCRIPTION)


class Transform(wit_world.exports.Transform):
    def validate(self, definition, config):
        return [types.Problem("field", "is empty") for key, value in config if key == "field" and not value]

    def configure(self, definition, config):
        field = dict(config).get("field", "name")
        return types.Plan(
            [types.Column(types.Place.VALUE, [field])],
            [types.Column(types.Place.VALUE, ["greeting"])],
        )

    def reshape(self, definition, place, schema):
        struct = json.loads(schema)
        if struct["type"] != "struct":
            raise Err(types.Error_Fatal("only a struct can hold a greeting"))
        struct["fields"].append({"field": "greeting", "type": "string", "optional": True})
        return json.dumps(struct)

    def apply(self, definition, columns):
        names = json.loads(columns.value)["columns"][0]
        where = [i for i, name in enumerate(names) if isinstance(name, str)]
        values = [f"hello, {names[i]}" for i in where]
        edits = {"edits": [{"op": "set", "target": 0, "where": where, "values": values}]}
        return types.Payload_Json(json.dumps(edits))

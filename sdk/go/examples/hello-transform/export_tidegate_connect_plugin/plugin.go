// Package export_tidegate_connect_plugin says what the component contains (the generated bindings fix the name).
package export_tidegate_connect_plugin

const description = `{
  "name": "hello-transform-go", "version": "0.1.0", "license": "Apache-2.0",
  "description": "Greets the name in a field.",
  "definitions": [{
    "kind": "transform", "name": "HelloGo", "encoding": "tlv",
    "doc": "Adds a field ` + "`greeting` made from the field that `field`" + ` names.",
    "config": [{
      "name": "field", "type": "string", "default": "name", "importance": "high",
      "doc": "Field of the value that holds the name."
    }]
  }]
}`

func Describe() string { return description }

// Package export_tidegate_connect_transform is a transform in Go against the bare contract: it adds `greeting` made
// from the field that `field` names. The arenas are those of wit/BATCH.md ("Columns", "Edits").
package export_tidegate_connect_transform

import (
	"encoding/binary"
	"encoding/json"

	wit "go.bytecodealliance.org/pkg/wit/types"
	types "wit_component/tidegate_connect_types"
)

const (
	tagString  = 8
	tagMissing = 255

	editsHeader = 40
	editSize    = 24
	cellSize    = 16

	opSetValues = 3
)

const hello = "hello, "

var little = binary.LittleEndian

func Validate(definition string, config types.Config) []types.Problem {
	for _, entry := range config {
		if entry.F0 == "field" && entry.F1 == "" {
			return []types.Problem{{Key: "field", Message: "is empty"}}
		}
	}
	return nil
}

func Configure(definition string, config types.Config) wit.Result[types.Plan, types.Error] {
	field := "name"
	for _, entry := range config {
		if entry.F0 == "field" {
			field = entry.F1
		}
	}
	return wit.Ok[types.Plan, types.Error](types.Plan{
		Read:  []types.Column{{Place: types.Place_Value, Path: []string{field}}},
		Write: []types.Column{{Place: types.Place_Value, Path: []string{"greeting"}}},
	})
}

func Reshape(definition string, place uint8, schema string) wit.Result[wit.Option[string], types.Error] {
	var shape map[string]json.RawMessage
	var fields []json.RawMessage
	if json.Unmarshal([]byte(schema), &shape) != nil || json.Unmarshal(shape["fields"], &fields) != nil {
		return wit.Err[wit.Option[string], types.Error](types.MakeErrorFatal("only a struct can hold a greeting"))
	}
	fields = append(fields, json.RawMessage(`{"field":"greeting","type":"string","optional":true}`))
	shape["fields"], _ = json.Marshal(fields)
	text, _ := json.Marshal(shape)
	return wit.Ok[wit.Option[string], types.Error](wit.Some(string(text)))
}

func Apply(definition string, columns types.Payload) wit.Result[types.Payload, types.Error] {
	collect()
	if columns.Tag() != types.Payload_Arena {
		return wit.Err[types.Payload, types.Error](
			types.MakeErrorFatal("the host sent columns in a form that was not asked for"))
	}
	in := columns.Arena()
	n := int(little.Uint32(in[8:]))
	cells := in[little.Uint32(in[24:]):]

	values := editsHeader + editSize
	out := make([]byte, values+n*cellSize, values+n*(cellSize+32))
	copy(out, "TGE1")
	little.PutUint16(out[4:], 1) // version
	little.PutUint16(out[6:], 1) // one edit
	little.PutUint32(out[8:], uint32(n))
	little.PutUint32(out[36:], editsHeader)
	little.PutUint16(out[editsHeader:], opSetValues)
	little.PutUint32(out[editsHeader+12:], uint32(values))
	for i := range n {
		cell := cells[i*cellSize:]
		to := values + i*cellSize
		if cell[0] != tagString {
			out[to] = tagMissing
			continue
		}
		length, at := little.Uint32(cell[4:]), little.Uint32(cell[8:])
		out[to] = tagString
		little.PutUint32(out[to+4:], uint32(len(hello))+length)
		little.PutUint32(out[to+8:], uint32(len(out)))
		out = append(append(out, hello...), in[at:at+length]...)
	}
	little.PutUint32(out[12:], uint32(len(out)))
	return wit.Ok[types.Payload, types.Error](types.MakePayloadArena(out))
}

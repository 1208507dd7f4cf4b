"""Records of a schema registry as others read and write them: fastavro, protoc with Google's runtime, and jsonschema.

    oracle.py REGISTRY BROKER read FORMAT TOPIC COUNT    prints {"id": …, "subject": …, "value": …} a line
    oracle.py REGISTRY BROKER write FORMAT TOPIC         takes {"schema": …, "references": […], "value": …} a line
"""

import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import urllib.request

from confluent_kafka import Consumer, Producer

REGISTRY, BROKER, ACTION, FORMAT, TOPIC = sys.argv[1:6]
KNOWN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../host/registry/src/protobuf/known")


def ask(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(REGISTRY + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def message_class(text):
    """The class of the first message of a .proto text."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    import grpc_tools

    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "schema.proto"), "w") as file:
            file.write(text)
        out = os.path.join(folder, "set")
        google = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
        subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", "-I", folder, "-I", google, "-I", KNOWN,
             "--include_imports", "--descriptor_set_out", out, "schema.proto"], check=True)
        with open(out, "rb") as file:
            files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    own = pool.FindFileByName("schema.proto")
    name = next(file for file in files.file if file.name == "schema.proto").message_type[0].name
    return message_factory.GetMessageClass(own.message_types_by_name[name])


def read_value(schema, payload):
    if FORMAT == "avro":
        import fastavro

        named = {}
        for reference in schema.get("references", []):
            text = ask(f"/subjects/{reference['subject']}/versions/{reference['version']}")["schema"]
            fastavro.parse_schema(json.loads(text), named_schemas=named)
        parsed = fastavro.parse_schema(json.loads(schema["schema"]), named_schemas=named)
        return fastavro.schemaless_reader(io.BytesIO(payload), parsed)
    if FORMAT == "json":
        import jsonschema

        value = json.loads(payload)
        jsonschema.Draft7Validator(json.loads(schema["schema"])).validate(value)
        return value
    from google.protobuf import json_format

    assert payload[0] == 0, "the first message of the file"
    message = message_class(schema["schema"]).FromString(payload[1:])
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def write_value(sample):
    if FORMAT == "avro":
        import fastavro

        named = {}
        for reference in sample.get("references", []):
            text = ask(f"/subjects/{reference['subject']}/versions/{reference['version']}")["schema"]
            fastavro.parse_schema(json.loads(text), named_schemas=named)
        out = io.BytesIO()
        fastavro.schemaless_writer(out, fastavro.parse_schema(json.loads(sample["schema"]), named_schemas=named), sample["value"])
        return out.getvalue()
    if FORMAT == "json":
        return json.dumps(sample["value"]).encode()
    from google.protobuf import json_format

    message = json_format.ParseDict(sample["value"], message_class(sample["schema"])())
    return b"\0" + message.SerializeToString()


def read(count):
    consumer = Consumer({"bootstrap.servers": BROKER, "group.id": "oracle", "auto.offset.reset": "earliest"})
    consumer.subscribe([TOPIC])
    while count > 0:
        message = consumer.poll(30)
        assert message is not None, "nothing came within 30 seconds"
        assert not message.error(), message.error()
        magic, number = struct.unpack(">bI", message.value()[:5])
        assert magic == 0
        value = read_value(ask(f"/schemas/ids/{number}"), message.value()[5:])
        print(json.dumps({"id": number, "value": value}, default=str), flush=True)
        count -= 1
    consumer.close()


def write():
    producer = Producer({"bootstrap.servers": BROKER})
    kinds = {"avro": "AVRO", "json": "JSON", "protobuf": "PROTOBUF"}
    for line in sys.stdin:
        sample = json.loads(line)
        body = {"schema": sample["schema"], "schemaType": kinds[FORMAT], "references": sample.get("references", [])}
        number = ask(f"/subjects/{TOPIC}-value/versions", body)["id"]
        producer.produce(TOPIC, struct.pack(">bI", 0, number) + write_value(sample))
    assert producer.flush(30) == 0


if ACTION == "read":
    read(int(sys.argv[6]))
else:
    write()

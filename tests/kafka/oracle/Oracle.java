import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.ConnectSchema;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.header.Headers;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.storage.Converter;
import org.apache.kafka.connect.storage.ConverterConfig;
import org.apache.kafka.connect.storage.HeaderConverter;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.predicates.Predicate;

/**
 * Answers what the real Kafka Connect makes of a record: a line of JSON for each line, in the encoding of docs/try.md, so that what
 * "tidegate try --vectors" answers can be compared with it.
 */
public final class Oracle {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final JsonNodeFactory MAKE = JsonNodeFactory.instance;
    private static final int KEPT = 256;
    /** What was configured, by class and configuration. */
    private static final Map<String, Object> MADE = new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Object> eldest) {
            return size() > KEPT;
        }
    };

    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        System.setOut(System.err);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode question = JSON.readTree(line);
            ObjectNode answer = MAKE.objectNode();
            answer.set("id", question.get("id"));
            // A record that Connect itself cannot hold is no question.
            String at = "input";
            try {
                Object input = input(question);
                at = "configure";
                Object made = made(question);
                at = "apply";
                answer(question, made, input, answer);
            } catch (Throwable error) {
                ObjectNode refusal = answer.putObject("error");
                refusal.put("at", at).put("class", error.getClass().getName()).put("message", String.valueOf(error.getMessage()));
            }
            out.println(JSON.writeValueAsString(answer));
            // Whoever asks waits for the answer.
            out.flush();
        }
    }

    private static Object made(JsonNode question) throws Exception {
        String kind = question.has("transform") ? "transform" : question.has("predicate") ? "predicate" : "converter";
        String name = question.get(kind).asText();
        boolean isKey = question.path("isKey").asBoolean();
        String key = name + question.get("config") + isKey;
        Object made = MADE.get(key);
        if (made == null) {
            Map<String, Object> config = new HashMap<>();
            question.get("config").properties().forEach(entry -> config.put(entry.getKey(), entry.getValue().asText()));
            made = Class.forName(name).getDeclaredConstructor().newInstance();
            if (made instanceof Transformation<?> transform) {
                transform.configure(config);
            } else if (made instanceof Predicate<?> predicate) {
                predicate.configure(config);
            } else if (made instanceof HeaderConverter converter && question.get("op").asText().endsWith("Header")) {
                config.put(ConverterConfig.TYPE_CONFIG, "header");
                converter.configure(config);
            } else {
                ((Converter) made).configure(config, isKey);
            }
            MADE.put(key, made);
        }
        return made;
    }

    private static void answer(JsonNode question, Object made, Object input, ObjectNode answer) {
        if (made instanceof Transformation<?> transform) {
            ConnectRecord<?> output = apply(transform, (ConnectRecord<?>) input);
            answer.set("output", output == null ? MAKE.nullNode() : recordJson(output));
        } else if (made instanceof Predicate<?> predicate) {
            answer.put("result", test(predicate, (ConnectRecord<?>) input));
        } else {
            answer.set("output", convert(question.get("op").asText(), made, input));
        }
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static ConnectRecord<?> apply(Transformation transform, ConnectRecord record) {
        return (ConnectRecord<?>) transform.apply(record);
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static boolean test(Predicate predicate, ConnectRecord record) {
        return predicate.test(record);
    }

    /** A record, a value with its schema, or bytes. */
    private static Object input(JsonNode question) {
        JsonNode input = question.get("input");
        if (!question.has("converter")) {
            return record(input);
        }
        if (question.get("op").asText().startsWith("to")) {
            return bytes(input);
        }
        Schema schema = schema(input.get("schema"));
        Object value = value(input.get("value"), schema);
        if (schema != null) {
            ConnectSchema.validateValue(schema, value);
        }
        return new SchemaAndValue(schema, value);
    }

    private static JsonNode convert(String op, Object made, Object input) {
        switch (op) {
            case "fromConnectData": {
                SchemaAndValue typed = (SchemaAndValue) input;
                return bytesJson(((Converter) made).fromConnectData("topic-a", typed.schema(), typed.value()));
            }
            case "fromConnectHeader": {
                SchemaAndValue typed = (SchemaAndValue) input;
                return bytesJson(((HeaderConverter) made).fromConnectHeader("topic-a", "hdr", typed.schema(), typed.value()));
            }
            case "toConnectData":
                return typedJson(((Converter) made).toConnectData("topic-a", (byte[]) input));
            default:
                return typedJson(((HeaderConverter) made).toConnectHeader("topic-a", "hdr", (byte[]) input));
        }
    }

    private static byte[] bytes(JsonNode json) {
        return json == null || json.isNull() ? null : Base64.getDecoder().decode(json.get("base64").asText());
    }

    private static JsonNode bytesJson(byte[] bytes) {
        if (bytes == null) {
            return MAKE.nullNode();
        }
        ObjectNode json = MAKE.objectNode().put("base64", Base64.getEncoder().encodeToString(bytes));
        String text = new String(bytes, StandardCharsets.UTF_8);
        if (java.util.Arrays.equals(text.getBytes(StandardCharsets.UTF_8), bytes)) {
            json.put("utf8", text);
        }
        return json;
    }

    private static JsonNode typedJson(SchemaAndValue typed) {
        ObjectNode json = MAKE.objectNode();
        json.set("schema", schemaJson(typed.schema()));
        json.set("value", valueJson(typed.value()));
        return json;
    }

    private static ConnectRecord<?> record(JsonNode json) {
        Schema keySchema = schema(json.get("keySchema"));
        Schema valueSchema = schema(json.get("valueSchema"));
        Object key = value(json.get("key"), keySchema);
        Object value = value(json.get("value"), valueSchema);
        if (keySchema != null) {
            ConnectSchema.validateValue(keySchema, key);
        }
        if (valueSchema != null) {
            ConnectSchema.validateValue(valueSchema, value);
        }
        Headers headers = new ConnectHeaders();
        for (JsonNode header : json.get("headers")) {
            Schema schema = schema(header.get("schema"));
            headers.add(header.get("name").asText(), new SchemaAndValue(schema, value(header.get("value"), schema)));
        }
        String topic = json.get("topic").asText();
        Integer partition = isNull(json.get("partition")) ? null : json.get("partition").asInt();
        Long timestamp = isNull(json.get("timestamp")) ? null : json.get("timestamp").asLong();
        if (json.get("kind").asText().equals("sink")) {
            return new SinkRecord(topic, partition, keySchema, key, valueSchema, value, json.get("offset").asLong(), timestamp,
                TimestampType.CREATE_TIME, headers);
        }
        return new SourceRecord(Map.of(), Map.of(), topic, partition, keySchema, key, valueSchema, value, timestamp, headers);
    }

    private static JsonNode recordJson(ConnectRecord<?> record) {
        ObjectNode json = MAKE.objectNode();
        json.put("kind", record instanceof SinkRecord ? "sink" : "source").put("topic", record.topic());
        json.put("partition", record.kafkaPartition());
        if (record instanceof SinkRecord sink) {
            json.put("offset", sink.kafkaOffset());
        }
        json.put("timestamp", record.timestamp());
        json.set("keySchema", schemaJson(record.keySchema()));
        json.set("key", valueJson(record.key()));
        json.set("valueSchema", schemaJson(record.valueSchema()));
        json.set("value", valueJson(record.value()));
        ArrayNode headers = json.putArray("headers");
        for (Header header : record.headers()) {
            ObjectNode one = headers.addObject().put("name", header.key());
            one.set("schema", schemaJson(header.schema()));
            one.set("value", valueJson(header.value()));
        }
        return json;
    }

    private static boolean isNull(JsonNode json) {
        return json == null || json.isNull();
    }

    private static Schema schema(JsonNode json) {
        if (isNull(json)) {
            return null;
        }
        SchemaBuilder builder;
        switch (json.get("type").asText()) {
            case "array":
                builder = SchemaBuilder.array(schema(json.get("items")));
                break;
            case "map":
                builder = SchemaBuilder.map(schema(json.get("keys")), schema(json.get("values")));
                break;
            case "struct":
                builder = SchemaBuilder.struct();
                for (JsonNode field : json.get("fields")) {
                    builder.field(field.get("field").asText(), schema(field));
                }
                break;
            default:
                builder = new SchemaBuilder(Schema.Type.valueOf(json.get("type").asText().toUpperCase(java.util.Locale.ROOT)));
        }
        if (json.path("optional").asBoolean()) {
            builder.optional();
        }
        if (!isNull(json.get("name"))) {
            builder.name(json.get("name").asText());
        }
        if (!isNull(json.get("version"))) {
            builder.version(json.get("version").asInt());
        }
        if (!isNull(json.get("doc"))) {
            builder.doc(json.get("doc").asText());
        }
        if (!isNull(json.get("parameters"))) {
            json.get("parameters").properties().forEach(entry -> builder.parameter(entry.getKey(), entry.getValue().asText()));
        }
        if (!isNull(json.get("default"))) {
            builder.defaultValue(value(json.get("default"), builder));
        }
        return builder.build();
    }

    private static JsonNode schemaJson(Schema schema) {
        if (schema == null) {
            return MAKE.nullNode();
        }
        ObjectNode json = MAKE.objectNode().put("type", schema.type().getName().toLowerCase(java.util.Locale.ROOT));
        json.put("optional", schema.isOptional());
        if (schema.name() != null) {
            json.put("name", schema.name());
        }
        if (schema.version() != null) {
            json.put("version", schema.version());
        }
        if (schema.doc() != null) {
            json.put("doc", schema.doc());
        }
        if (schema.defaultValue() != null) {
            json.set("default", valueJson(schema.defaultValue()));
        }
        if (schema.parameters() != null && !schema.parameters().isEmpty()) {
            ObjectNode parameters = json.putObject("parameters");
            schema.parameters().forEach(parameters::put);
        }
        switch (schema.type()) {
            case ARRAY -> json.set("items", schemaJson(schema.valueSchema()));
            case MAP -> {
                json.set("keys", schemaJson(schema.keySchema()));
                json.set("values", schemaJson(schema.valueSchema()));
            }
            case STRUCT -> {
                ArrayNode fields = json.putArray("fields");
                for (Field field : schema.fields()) {
                    ObjectNode one = fields.addObject().put("field", field.name());
                    one.setAll((ObjectNode) schemaJson(field.schema()));
                }
            }
            default -> { }
        }
        return json;
    }

    private static Object value(JsonNode json, Schema schema) {
        if (isNull(json)) {
            return null;
        }
        Map.Entry<String, JsonNode> tagged = json.properties().iterator().next();
        JsonNode inner = tagged.getValue();
        switch (tagged.getKey()) {
            case "boolean": return inner.asBoolean();
            case "int8": return (byte) inner.asLong();
            case "int16": return (short) inner.asLong();
            case "int32": return (int) inner.asLong();
            case "int64": return inner.asLong();
            case "float32": return inner.isTextual() ? Float.valueOf(inner.asText()) : Float.valueOf(inner.toString());
            case "float64": return inner.isTextual() ? Double.valueOf(inner.asText()) : Double.valueOf(inner.toString());
            case "string": return inner.asText();
            case "bytes": return Base64.getDecoder().decode(inner.asText());
            case "date": return new java.util.Date(inner.asLong());
            case "bigint": return new BigInteger(inner.asText());
            case "decimal": return new BigDecimal(new BigInteger(inner.get("unscaled").asText()), inner.get("scale").asInt());
            case "array": {
                List<Object> items = new ArrayList<>();
                inner.forEach(item -> items.add(value(item, schema == null ? null : schema.valueSchema())));
                return items;
            }
            case "map": {
                Map<Object, Object> map = new LinkedHashMap<>();
                for (JsonNode pair : inner) {
                    map.put(value(pair.get(0), schema == null ? null : schema.keySchema()),
                        value(pair.get(1), schema == null ? null : schema.valueSchema()));
                }
                return map;
            }
            case "struct": {
                Struct struct = new Struct(schema);
                inner.properties().forEach(entry -> {
                    if (!isNull(entry.getValue())) {
                        struct.put(entry.getKey(), value(entry.getValue(), schema.field(entry.getKey()).schema()));
                    }
                });
                return struct;
            }
            default: throw new IllegalStateException("no value is tagged " + tagged.getKey());
        }
    }

    private static JsonNode valueJson(Object value) {
        ObjectNode json = MAKE.objectNode();
        if (value == null) {
            return MAKE.nullNode();
        } else if (value instanceof Boolean flag) {
            json.put("boolean", flag);
        } else if (value instanceof Byte number) {
            json.put("int8", number);
        } else if (value instanceof Short number) {
            json.put("int16", number);
        } else if (value instanceof Integer number) {
            json.put("int32", number);
        } else if (value instanceof Long number) {
            json.put("int64", number);
        } else if (value instanceof Float number) {
            if (Float.isFinite(number)) {
                json.put("float32", number);
            } else {
                json.put("float32", number.toString());
            }
        } else if (value instanceof Double number) {
            if (Double.isFinite(number)) {
                json.put("float64", number);
            } else {
                json.put("float64", number.toString());
            }
        } else if (value instanceof String text) {
            json.put("string", text);
        } else if (value instanceof byte[] bytes) {
            json.put("bytes", Base64.getEncoder().encodeToString(bytes));
        } else if (value instanceof ByteBuffer buffer) {
            byte[] bytes = new byte[buffer.remaining()];
            buffer.duplicate().get(bytes);
            json.put("bytes", Base64.getEncoder().encodeToString(bytes));
        } else if (value instanceof java.util.Date date) {
            json.put("date", date.getTime());
        } else if (value instanceof BigInteger number) {
            json.put("bigint", number.toString());
        } else if (value instanceof BigDecimal decimal) {
            json.putObject("decimal").put("unscaled", decimal.unscaledValue().toString()).put("scale", decimal.scale());
        } else if (value instanceof List<?> items) {
            ArrayNode array = json.putArray("array");
            items.forEach(item -> array.add(valueJson(item)));
        } else if (value instanceof Map<?, ?> map) {
            List<JsonNode[]> pairs = new ArrayList<>();
            map.forEach((key, item) -> pairs.add(new JsonNode[] {valueJson(key), valueJson(item)}));
            pairs.sort(Comparator.comparing(pair -> pair[0].toString()));
            ArrayNode array = json.putArray("map");
            pairs.forEach(pair -> array.addArray().add(pair[0]).add(pair[1]));
        } else if (value instanceof Struct struct) {
            ObjectNode fields = json.putObject("struct");
            struct.schema().fields().forEach(field -> fields.set(field.name(), valueJson(struct.getWithoutDefault(field.name()))));
        } else {
            json.put("other", value.getClass().getName());
        }
        return json;
    }
}

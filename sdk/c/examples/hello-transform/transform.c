/* A transform in C against the bare contract: adds `greeting` made from the field that `field` names.
 *
 * The arenas are those of wit/BATCH.md ("Columns", "Edits"). The host has checked what it sends; what goes back is
 * checked by the host. wasm32 is little-endian, so numbers are copied as they are. */
#include "transform_plugin.h"
#include <stdlib.h>
#include <string.h>

enum { TAG_STRING = 8, TAG_MISSING = 255 };
enum { EDITS_HEADER = 40, EDIT = 24, CELL = 16 };
enum { OP_SET_VALUES = 3 };

static const char HELLO[] = "hello, ";

static const char DESCRIPTION[] =
    "{\"name\":\"hello-transform-c\",\"version\":\"0.1.0\",\"license\":\"Apache-2.0\","
    "\"description\":\"Greets the name in a field.\",\"definitions\":[{\"kind\":\"transform\",\"name\":\"HelloC\","
    "\"doc\":\"Adds a field `greeting` made from the field that `field` names.\",\"encoding\":\"tlv\",\"config\":["
    "{\"name\":\"field\",\"type\":\"string\",\"default\":\"name\",\"importance\":\"high\","
    "\"doc\":\"Field of the value that holds the name.\"}]}]}";

static uint32_t get32(const uint8_t *at) {
  uint32_t v;
  memcpy(&v, at, 4);
  return v;
}

static void put32(uint8_t *at, uint32_t v) { memcpy(at, &v, 4); }
static void put16(uint8_t *at, uint16_t v) { memcpy(at, &v, 2); }

static bool is(const transform_plugin_string_t *s, const char *text) {
  return s->len == strlen(text) && !memcmp(s->ptr, text, s->len);
}

static bool fatal(tidegate_connect_types_error_t *err, const char *message) {
  err->tag = TIDEGATE_CONNECT_TYPES_ERROR_FATAL;
  transform_plugin_string_dup(&err->val.fatal, message);
  return false;
}

void exports_tidegate_connect_plugin_describe(transform_plugin_string_t *ret) {
  transform_plugin_string_dup(ret, DESCRIPTION);
}

void exports_tidegate_connect_transform_validate(transform_plugin_string_t *definition,
                                                 tidegate_connect_types_config_t *config,
                                                 exports_tidegate_connect_transform_list_problem_t *ret) {
  ret->ptr = NULL;
  ret->len = 0;
  for (size_t i = 0; i < config->len; i++) {
    if (!is(&config->ptr[i].f0, "field") || config->ptr[i].f1.len) continue;
    ret->ptr = malloc(sizeof *ret->ptr);
    ret->len = 1;
    transform_plugin_string_dup(&ret->ptr->key, "field");
    transform_plugin_string_dup(&ret->ptr->message, "is empty");
    break;
  }
  transform_plugin_string_free(definition);
  tidegate_connect_types_config_free(config);
}

static void one_field(tidegate_connect_types_list_column_t *columns, const uint8_t *name, size_t len) {
  columns->len = 1;
  columns->ptr = malloc(sizeof *columns->ptr);
  columns->ptr->place = TIDEGATE_CONNECT_TYPES_PLACE_VALUE;
  columns->ptr->path.len = 1;
  columns->ptr->path.ptr = malloc(sizeof *columns->ptr->path.ptr);
  transform_plugin_string_dup_n(columns->ptr->path.ptr, (const char *)name, len);
}

bool exports_tidegate_connect_transform_configure(transform_plugin_string_t *definition,
                                                  tidegate_connect_types_config_t *config,
                                                  tidegate_connect_types_plan_t *ret,
                                                  tidegate_connect_types_error_t *err) {
  (void)err;
  const uint8_t *field = (const uint8_t *)"name";
  size_t len = 4;
  for (size_t i = 0; i < config->len; i++)
    if (is(&config->ptr[i].f0, "field")) field = config->ptr[i].f1.ptr, len = config->ptr[i].f1.len;
  one_field(&ret->read, field, len);
  one_field(&ret->write, (const uint8_t *)"greeting", 8);
  transform_plugin_string_free(definition);
  tidegate_connect_types_config_free(config);
  return true;
}

/* Adds the field at the end of the list "fields" of the outermost struct. The host writes schema texts compactly; the
 * list is found by counting brackets outside of strings. */
bool exports_tidegate_connect_transform_reshape(transform_plugin_string_t *definition,
                                                tidegate_connect_types_place_t place,
                                                transform_plugin_string_t *schema,
                                                transform_plugin_option_string_t *ret,
                                                tidegate_connect_types_error_t *err) {
  (void)place;
  static const char MEMBER[] = "\"fields\":[";
  static const char FIELD[] = "{\"field\":\"greeting\",\"type\":\"string\",\"optional\":true}";
  size_t depth = 0, open = 0;
  bool quoted = false, found = false, done = false;
  for (size_t i = 0; i < schema->len && !done; i++) {
    uint8_t c = schema->ptr[i];
    if (quoted) {
      if (c == '\\') i++;
      else if (c == '"') quoted = false;
      continue;
    }
    if (c == '"') {
      if (depth == 1 && !found && schema->len - i >= sizeof MEMBER - 1 && !memcmp(schema->ptr + i, MEMBER, sizeof MEMBER - 1)) {
        found = true;
        i += sizeof MEMBER - 2; /* at the bracket */
        open = ++depth;
        continue;
      }
      quoted = true;
    } else if (c == '{' || c == '[') {
      depth++;
    } else if (c == '}' || c == ']') {
      if (found && depth == open) {
        bool first = schema->ptr[i - 1] == '[';
        size_t len = schema->len + sizeof FIELD - 1 + !first;
        uint8_t *out = malloc(len), *to = out;
        memcpy(to, schema->ptr, i), to += i;
        if (!first) *to++ = ',';
        memcpy(to, FIELD, sizeof FIELD - 1), to += sizeof FIELD - 1;
        memcpy(to, schema->ptr + i, schema->len - i);
        ret->is_some = true;
        ret->val.ptr = out;
        ret->val.len = len;
        done = true;
      }
      depth--;
    }
  }
  transform_plugin_string_free(definition);
  transform_plugin_string_free(schema);
  return done ? true : fatal(err, "only a struct can hold a greeting");
}

bool exports_tidegate_connect_transform_apply(transform_plugin_string_t *definition,
                                              tidegate_connect_types_payload_t *columns,
                                              tidegate_connect_types_payload_t *ret,
                                              tidegate_connect_types_error_t *err) {
  transform_plugin_string_free(definition);
  if (columns->tag != TIDEGATE_CONNECT_TYPES_PAYLOAD_ARENA) {
    tidegate_connect_types_payload_free(columns);
    return fatal(err, "the host sent columns in a form that was not asked for");
  }
  const uint8_t *in = columns->val.arena.ptr;
  uint32_t n = get32(in + 8);
  const uint8_t *cells = in + get32(in + 24);

  size_t heap = 0;
  for (uint32_t i = 0; i < n; i++)
    if (cells[i * CELL] == TAG_STRING) heap += sizeof HELLO - 1 + get32(cells + i * CELL + 4);

  uint32_t edits = EDITS_HEADER, values = edits + EDIT, at = values + n * CELL;
  size_t length = at + heap;
  uint8_t *out = calloc(1, length);
  memcpy(out, "TGE1", 4);
  put16(out + 4, 1); /* version */
  put16(out + 6, 1); /* one edit */
  put32(out + 8, n);
  put32(out + 12, length);
  put32(out + 36, edits);
  put16(out + edits, OP_SET_VALUES);
  put32(out + edits + 12, values);
  for (uint32_t i = 0; i < n; i++) {
    const uint8_t *cell = cells + i * CELL;
    uint8_t *to = out + values + i * CELL;
    if (cell[0] != TAG_STRING) {
      to[0] = TAG_MISSING;
      continue;
    }
    uint32_t len = get32(cell + 4), hello = sizeof HELLO - 1;
    to[0] = TAG_STRING;
    put32(to + 4, hello + len);
    put32(to + 8, at);
    memcpy(out + at, HELLO, hello);
    memcpy(out + at + hello, in + get32(cell + 8), len);
    at += hello + len;
  }
  tidegate_connect_types_payload_free(columns);
  ret->tag = TIDEGATE_CONNECT_TYPES_PAYLOAD_ARENA;
  ret->val.arena.ptr = out;
  ret->val.arena.len = length;
  return true;
}

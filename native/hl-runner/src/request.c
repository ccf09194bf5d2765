/* See request.h. Two passes: the first checks every field and counts the lists, the second makes strings of them, so nothing is allocated for a bad request. */
#include "request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol.h"

struct list_counts {
  size_t argv, env, allow_read, allow_write, make_directory;
};

static bool id_is_good(const struct field *field) {
  if (field->length < 1 || field->length > ID_LENGTH_MAX) return false;
  for (size_t i = 0; i < field->length; i++) {
    const unsigned char c = field->bytes[i];
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!good) return false;
  }
  return true;
}

bool terminal_size_is_good(uint64_t number) {
  return number >= 1 && number <= UINT16_MAX;
}

static bool has_nul(const struct field *field) {
  return field->length > 0 && memchr(field->bytes, 0, field->length) != NULL;
}

static bool is_absolute(const struct field *field) {
  return field->length > 0 && field->bytes[0] == '/';
}

/* The number's place and its upper bound; NULL for tags that are not numbers of START. */
static uint64_t *number_place(struct start_request *request, uint16_t tag, uint64_t *max, uint64_t *flag) {
  *max = WAIT_MS_MAX;
  switch (tag) {
    case TAG_TIMEOUT_MS: return &request->timeout_ms;
    case TAG_IDLE_TIMEOUT_MS: return &request->idle_timeout_ms;
    case TAG_GRACE_MS: return &request->grace_ms;
    case TAG_DRAIN_MS: return &request->drain_ms;
    case TAG_OPEN_FILES_MAX: *max = UINT32_MAX; return &request->open_files_max;
    case TAG_LOG_BYTES_MAX: *max = 1ull << 50; return &request->log_bytes_max;
    case TAG_SEGMENT_BYTES: *max = 1ull << 40; return &request->segment_bytes;
    case TAG_ROWS: return &request->rows;
    case TAG_COLUMNS: return &request->columns;
    case TAG_MEMORY_BYTES_MAX: *max = 1ull << 60; return &request->memory_bytes_max;
    case TAG_CPU_PERCENT_MAX: *max = CPU_PERCENT_LIMIT; return &request->cpu_percent_max;
    case TAG_PROCESSES_MAX: *max = UINT32_MAX; return &request->processes_max;
    case TAG_STDIN:
    case TAG_NO_NEW_PRIVS:
    case TAG_SANDBOX:
    case TAG_NETWORK:
    case TAG_ALLOW_NAMESPACES:
    case TAG_HOLD: *max = UINT32_MAX; return flag;
    default: return NULL;
  }
}

static const char *read_number(struct start_request *request, const struct field *field) {
  uint64_t max, flag, number;
  uint64_t *place = number_place(request, field->tag, &max, &flag);
  if (place == NULL) return NULL;
  if (!field_number(field, &number)) return "START: a number field is not 8 bytes long";
  *place = number < max ? number : max;
  switch (field->tag) {
    case TAG_STDIN:
      if (number > STDIN_PTY) return "START: stdin is not 0, 1 or 2";
      request->stdin_kind = number;
      break;
    case TAG_ROWS:
    case TAG_COLUMNS:
      if (!terminal_size_is_good(number)) return "START: rows or columns is not 1 to 65535";
      break;
    case TAG_SANDBOX:
      if (number > 1) return "START: sandbox is not 0 or 1";
      request->sandbox = number == 1;
      break;
    case TAG_NETWORK:
      if (number > NETWORK_PROXY) return "START: network is not 0, 1 or 2";
      request->network = number;
      break;
    case TAG_ALLOW_NAMESPACES:
      if (number > 1) return "START: allow_namespaces is not 0 or 1";
      request->allow_namespaces = number == 1;
      break;
    case TAG_HOLD:
      if (number > 1) return "START: hold is not 0 or 1";
      request->hold = number == 1;
      break;
    case TAG_NO_NEW_PRIVS:
      if (number > 1) return "START: no_new_privs is not 0 or 1";
      request->no_new_privs = number == 1;
      break;
    default: break;
  }
  return NULL;
}

static const char *check_field(struct start_request *request, const struct field *field, struct list_counts *counts) {
  switch (field->tag) {
    case TAG_ID:
      if (!id_is_good(field)) return "START: id is not 1 to 64 of [A-Za-z0-9_-]";
      break;
    case TAG_ARGV:
      if (has_nul(field)) return "START: a NUL in argv";
      if (counts->argv++ == 0 && !is_absolute(field)) return "START: the first argv is not an absolute path";
      break;
    case TAG_ARGV0:
      if (has_nul(field)) return "START: a NUL in argv0";
      break;
    case TAG_ENV:
      if (has_nul(field)) return "START: a NUL in env";
      if (field->length < 2 || memchr(field->bytes + 1, '=', field->length - 1) == NULL) return "START: an env entry is not NAME=value";
      counts->env++;
      break;
    case TAG_CWD:
      if (has_nul(field)) return "START: a NUL in cwd";
      if (!is_absolute(field)) return "START: cwd is not an absolute path";
      break;
    case TAG_PROXY_SOCKET:
      if (has_nul(field)) return "START: a NUL in proxy_socket";
      if (!is_absolute(field) || field->length > SOCKET_PATH_LENGTH_MAX) return "START: proxy_socket is not an absolute path of at most 107 bytes";
      break;
    case TAG_ALLOW_READ:
    case TAG_ALLOW_WRITE:
    case TAG_MAKE_DIRECTORY:
    case TAG_TEMPORARY:
      if (has_nul(field)) return "START: a NUL in the path of a folder or rule";
      if (!is_absolute(field)) return "START: the path of a folder or rule is not absolute";
      if (field->tag == TAG_ALLOW_READ) counts->allow_read++;
      if (field->tag == TAG_ALLOW_WRITE) counts->allow_write++;
      if (field->tag == TAG_MAKE_DIRECTORY) counts->make_directory++;
      break;
    default: return read_number(request, field);
  }
  return NULL;
}

/* A field's header is no longer needed once it is parsed, so its text moves one byte down into it and the freed byte is its NUL. */
static char *string_in_place(const struct field *field) {
  char *text = (char *)field->bytes - 1;
  memmove(text, field->bytes, field->length);
  text[field->length] = 0;
  return text;
}

static bool is_mark(const struct field *entry) {
  return entry->length >= sizeof MARK_NAME - 1 && memcmp(entry->bytes, MARK_NAME, sizeof MARK_NAME - 1) == 0;
}

static bool is_list(uint16_t tag) {
  return tag == TAG_ARGV || tag == TAG_ENV || tag == TAG_ALLOW_READ || tag == TAG_ALLOW_WRITE || tag == TAG_MAKE_DIRECTORY;
}

static const char *check_frame(struct frame *frame, struct start_request *request, struct list_counts *counts, uint64_t *seen) {
  struct field_cursor cursor = field_cursor_of(frame);
  struct field field;
  int more;
  while ((more = field_parse(&cursor, &field)) > 0) {
    if (field.tag < 32 && !is_list(field.tag)) {
      /* Two values for one field are two meanings; whoever sent them does not know what it asked for. */
      if (*seen & (1ull << field.tag)) return "START: a field that is no list came twice";
      *seen |= 1ull << field.tag;
    }
    const char *why = check_field(request, &field, counts);
    if (why != NULL) return why;
  }
  return more < 0 ? "START: a field is longer than the frame" : NULL;
}

static const char *make_lists(struct start_request *request, const struct list_counts *counts) {
  struct preparation *preparation = &request->preparation;
  const size_t ends_and_mark = 6;
  char **places = calloc(counts->argv + counts->env + counts->allow_read + counts->allow_write + counts->make_directory + ends_and_mark, sizeof(char *));
  if (places == NULL) return "START: out of memory";
  request->arena = places;
  request->argv = places;
  request->env = request->argv + counts->argv + 1;
  preparation->allow_read = request->env + counts->env + 2;
  preparation->allow_write = preparation->allow_read + counts->allow_read + 1;
  preparation->make_directory = preparation->allow_write + counts->allow_write + 1;
  return NULL;
}

static void take_texts(struct frame *frame, struct start_request *request) {
  struct preparation *preparation = &request->preparation;
  char **argv = request->argv, **env = request->env;
  char **allow_read = preparation->allow_read, **allow_write = preparation->allow_write, **make_directory = preparation->make_directory;
  char *argv0 = NULL;
  *env++ = request->mark;
  struct field_cursor cursor = field_cursor_of(frame);
  struct field field;
  while (field_parse(&cursor, &field) > 0) {
    switch (field.tag) {
      case TAG_ID: request->id = string_in_place(&field); break;
      case TAG_CWD: request->cwd = string_in_place(&field); break;
      case TAG_ARGV0: argv0 = string_in_place(&field); break;
      case TAG_ARGV: *argv++ = string_in_place(&field); break;
      case TAG_ENV:
        /* The mark is ours to set; a program that were told another run's would be ended with that run. */
        if (!is_mark(&field)) *env++ = string_in_place(&field);
        break;
      case TAG_ALLOW_READ: *allow_read++ = string_in_place(&field); break;
      case TAG_ALLOW_WRITE: *allow_write++ = string_in_place(&field); break;
      case TAG_MAKE_DIRECTORY: *make_directory++ = string_in_place(&field); break;
      case TAG_TEMPORARY: preparation->temporary = string_in_place(&field); break;
      case TAG_PROXY_SOCKET: request->proxy_socket = string_in_place(&field); break;
      default: break;
    }
  }
  if (request->id != NULL) snprintf(request->mark, sizeof request->mark, MARK_NAME "%s", request->id);
  request->file = request->argv[0];
  if (argv0 != NULL && request->file != NULL) request->argv[0] = argv0;
}

const char *start_request_decode(struct frame *frame, struct start_request *request) {
  *request = (struct start_request){
      .grace_ms = GRACE_MS_DEFAULT,
      .drain_ms = DRAIN_MS_DEFAULT,
      .log_bytes_max = LOG_BYTES_DEFAULT,
      .segment_bytes = SEGMENT_BYTES_DEFAULT,
      .rows = TERMINAL_ROWS_DEFAULT,
      .columns = TERMINAL_COLUMNS_DEFAULT,
      .no_new_privs = true,
  };
  struct list_counts counts = {0};
  uint64_t seen = 0;
  const char *why = check_frame(frame, request, &counts, &seen);
  if (why != NULL) return why;
  if (frame->type != FRAME_PREPARE) {
    if (!(seen & (1ull << TAG_ID))) return "START: id is missing";
    if (!(seen & (1ull << TAG_CWD))) return "START: cwd is missing";
    if (counts.argv == 0) return "START: argv is missing";
    /* Without the rest of the sandbox a program could be told by others of its user, or as root go back by itself: a wall that does not hold (X2). */
    if (request->network != NETWORK_HOST && !request->sandbox) return "START: a network of its own needs sandbox";
    if (request->network == NETWORK_PROXY && !(seen & (1ull << TAG_PROXY_SOCKET))) return "START: proxy_socket is missing";
  }
  why = make_lists(request, &counts);
  if (why == NULL) take_texts(frame, request);
  return why;
}

void start_request_free(struct start_request *request) {
  free(request->arena);
  request->arena = NULL;
}

const char *sweep_request_decode(struct frame *frame, struct sweep_request *request) {
  *request = (struct sweep_request){.temporary = NULL};
  struct field_cursor cursor = field_cursor_of(frame);
  struct field field;
  int more;
  while ((more = field_parse(&cursor, &field)) > 0) {
    if (field.tag == TAG_ID) {
      if (request->id[0] != 0) return "id came twice";
      if (!id_is_good(&field)) return "id is not 1 to 64 of [A-Za-z0-9_-]";
      memcpy(request->id, field.bytes, field.length);
    }
    if (field.tag == TAG_TEMPORARY && frame->type == FRAME_REMOVE) {
      if (request->temporary != NULL) return "temporary came twice";
      if (has_nul(&field) || !is_absolute(&field)) return "temporary is not an absolute path without NUL";
      request->temporary = string_in_place(&field);
    }
  }
  if (more < 0) return "a field is longer than the frame";
  return request->id[0] == 0 ? "id is missing" : NULL;
}

/* Feeds arbitrary bytes to what reads a connection: the frame parser, the fields of every frame, and START's decoding. With libFuzzer the engine
 * brings the inputs; standalone, a seed and a count do: the same seed gives the same inputs on every machine. Sanitizers judge both. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frames.h"
#include "protocol.h"
#include "request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile size_t touched;

static void touch(char *const *strings) {
  for (; *strings != NULL; strings++) touched += strlen(*strings);
}

static void decode_sweep(struct frame *frame) {
  struct sweep_request request;
  if (sweep_request_decode(frame, &request) != NULL) return;
  const size_t length = strlen(request.id);
  if (length < 1 || length > ID_LENGTH_MAX || strchr(request.id, '/') != NULL) abort();
  if (request.temporary != NULL && request.temporary[0] != '/') abort();
  touched += length + (request.temporary == NULL ? 0 : strlen(request.temporary));
}

static void decode_start(struct frame *frame) {
  struct start_request request;
  if (start_request_decode(frame, &request) == NULL) {
    touch(request.argv);
    touch(request.env);
    touch(request.preparation.allow_read);
    touch(request.preparation.allow_write);
    touch(request.preparation.make_directory);
    if (request.preparation.temporary != NULL) touched += strlen(request.preparation.temporary);
    if (request.proxy_socket != NULL && (request.proxy_socket[0] != '/' || strlen(request.proxy_socket) > SOCKET_PATH_LENGTH_MAX)) abort();
    if (frame->type != FRAME_PREPARE) {
      if (request.network != NETWORK_HOST && !request.sandbox) abort();
      if (request.network == NETWORK_PROXY && request.proxy_socket == NULL) abort();
      touched += strlen(request.id) + strlen(request.cwd) + strlen(request.file);
      if (strncmp(request.env[0], MARK_NAME, sizeof MARK_NAME - 1) != 0 || strcmp(request.env[0] + sizeof MARK_NAME - 1, request.id) != 0) abort();
      if (strlen(request.id) > ID_LENGTH_MAX || request.file[0] != '/' || request.cwd[0] != '/') abort();
    }
  }
  start_request_free(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  /* A copy of exactly this size, so that one byte too far is seen. */
  unsigned char *bytes = malloc(size == 0 ? 1 : size);
  if (bytes == NULL) return 0;
  if (size > 0) memcpy(bytes, data, size);
  size_t done = 0;
  struct frame frame;
  long taken;
  while (done < size && (taken = frame_parse(bytes + done, size - done, &frame)) > 0) {
    struct field_cursor cursor = field_cursor_of(&frame);
    struct field field;
    uint64_t number;
    while (field_parse(&cursor, &field) > 0) touched += field_number(&field, &number) ? (size_t)number : field.length;
    /* Decoding changes the bytes, so each frame is decoded once. */
    if (frame.type == FRAME_SWEEP || frame.type == FRAME_REMOVE) decode_sweep(&frame);
    else decode_start(&frame);
    done += (size_t)taken;
  }
  free(bytes);
  return 0;
}

#ifdef STANDALONE
static uint64_t state;

static uint64_t next_random(void) {
  state += 0x9e3779b97f4a7c15ull;
  uint64_t mixed = state;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ull;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebull;
  return mixed ^ (mixed >> 31);
}

/* A good START, STOP and REMOVE: mutations of them reach deeper than noise. */
static size_t corpus(unsigned char *bytes, size_t capacity) {
  struct frame_writer writer = {.bytes = bytes, .capacity = capacity};
  frame_begin(&writer, FRAME_START);
  frame_put_text(&writer, TAG_ID, "fuzz-1");
  frame_put_text(&writer, TAG_ARGV, "/bin/true");
  frame_put_text(&writer, TAG_ARGV, "argument");
  frame_put_text(&writer, TAG_ARGV0, "zero");
  frame_put_text(&writer, TAG_ENV, "NAME=value");
  frame_put_text(&writer, TAG_ENV, MARK_NAME "forged");
  frame_put_text(&writer, TAG_CWD, "/");
  frame_put_number(&writer, TAG_STDIN, 1);
  frame_put_number(&writer, TAG_TIMEOUT_MS, 1000);
  frame_put_number(&writer, TAG_MEMORY_BYTES_MAX, 1u << 30);
  frame_put_number(&writer, TAG_CPU_PERCENT_MAX, 150);
  frame_put_number(&writer, TAG_PROCESSES_MAX, 64);
  frame_put_text(&writer, TAG_ALLOW_READ, "/usr");
  frame_put_text(&writer, TAG_ALLOW_WRITE, "/tmp");
  frame_put_number(&writer, TAG_SANDBOX, 1);
  frame_put_number(&writer, TAG_NETWORK, NETWORK_PROXY);
  frame_put_text(&writer, TAG_PROXY_SOCKET, "/run/proxy.sock");
  frame_put_number(&writer, TAG_ALLOW_NAMESPACES, 1);
  frame_end(&writer);
  frame_begin(&writer, FRAME_STOP);
  frame_put_text(&writer, TAG_REASON, "cancelled");
  frame_put_number(&writer, TAG_GRACE_MS, 10);
  frame_end(&writer);
  frame_begin(&writer, FRAME_REMOVE);
  frame_put_text(&writer, TAG_ID, "fuzz-1");
  frame_put_text(&writer, TAG_TEMPORARY, "/tmp/fuzz-1");
  frame_end(&writer);
  return writer.length;
}

static size_t mutate(unsigned char *bytes, size_t length) {
  for (uint64_t changes = 1 + next_random() % 6; changes > 0 && length > 0; changes--) {
    const size_t at = next_random() % length;
    switch (next_random() % 5) {
      case 0: bytes[at] ^= (unsigned char)(1u << (next_random() % 8)); break;
      case 1: bytes[at] = (unsigned char)next_random(); break;
      case 2: length = at; break;
      case 3: store_u32(bytes + (at + 4 <= length ? at : 0), (uint32_t)(next_random() % 3 == 0 ? next_random() : next_random() % 64)); break;
      default: memmove(bytes + at, bytes + next_random() % length, (length - at) / 2); break;
    }
    if (length < 4) break;
  }
  return length;
}

/* Which parts of the code have run, by address, and about how often: the compiler calls this at every one. */
#define PARTS 65536
static unsigned char hits[PARTS], known[PARTS];
static uint16_t ran[PARTS];
static size_t ran_count;

void __sanitizer_cov_trace_pc(void);
__attribute__((no_sanitize_coverage, no_sanitize("address", "undefined"))) void __sanitizer_cov_trace_pc(void) {
  const uint16_t part = (uint16_t)((uintptr_t)__builtin_return_address(0) % PARTS);
  if (hits[part] == 0) ran[ran_count++] = part;
  if (hits[part] < 255) hits[part] += 1;
}

/* Keeps what has run for the first time, or twice as often as ever before; answers whether there was such. */
__attribute__((no_sanitize_coverage)) static bool learn(void) {
  bool is_new = false;
  for (; ran_count > 0; ran_count--) {
    const uint16_t part = ran[ran_count - 1];
    unsigned char bucket = 0;
    for (unsigned char count = hits[part]; count > 0; count >>= 1) bucket++;
    if (bucket > known[part]) {
      known[part] = bucket;
      is_new = true;
    }
    hits[part] = 0;
  }
  return is_new;
}

#define KEPT_MAX 4096
#define INPUT_MAX 1024
static struct kept {
  unsigned char bytes[INPUT_MAX];
  size_t length;
} kept[KEPT_MAX];
static size_t kept_count;

static void try(const unsigned char *bytes, size_t length) {
  LLVMFuzzerTestOneInput(bytes, length);
  if (!learn() || kept_count == KEPT_MAX) return;
  memcpy(kept[kept_count].bytes, bytes, length);
  kept[kept_count++].length = length;
}

/* Coverage-guided: what has reached something new is changed further. */
int main(int argc, char **argv) {
  state = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
  const uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 200000;
  unsigned char bytes[INPUT_MAX];
  try(bytes, corpus(bytes, sizeof bytes));
  for (uint64_t i = 1; i < count; i++) {
    const struct kept *from = &kept[next_random() % kept_count];
    memcpy(bytes, from->bytes, from->length);
    try(bytes, mutate(bytes, from->length));
  }
  size_t parts = 0;
  for (size_t part = 0; part < PARTS; part++) parts += known[part] > 0;
  printf("%llu inputs, %zu parts reached, %zu kept, no finding\n", (unsigned long long)count, parts, kept_count);
  return 0;
}
#endif

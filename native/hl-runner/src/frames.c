/* See frames.h. Integers are assembled byte by byte: right on every byte order and alignment, and compilers turn it into one load. */
#include "frames.h"

#include <string.h>

#include "protocol.h"

static uint16_t load_u16(const unsigned char *bytes) {
  return (uint16_t)(bytes[0] | (uint16_t)(bytes[1] << 8));
}

static uint32_t load_u32(const unsigned char *bytes) {
  return (uint32_t)bytes[0] | ((uint32_t)bytes[1] << 8) | ((uint32_t)bytes[2] << 16) | ((uint32_t)bytes[3] << 24);
}

static uint64_t load_u64(const unsigned char *bytes) {
  return (uint64_t)load_u32(bytes) | ((uint64_t)load_u32(bytes + 4) << 32);
}

void store_u32(unsigned char *bytes, uint32_t number) {
  for (int i = 0; i < 4; i++) bytes[i] = (unsigned char)(number >> (8 * i));
}

void store_u64(unsigned char *bytes, uint64_t number) {
  store_u32(bytes, (uint32_t)number);
  store_u32(bytes + 4, (uint32_t)(number >> 32));
}

size_t frame_size(const unsigned char *bytes, size_t length) {
  if (length < 4) return 0;
  return 4 + (size_t)load_u32(bytes);
}

long frame_parse(unsigned char *bytes, size_t length, struct frame *frame) {
  if (length < 4) return 0;
  const uint32_t body = load_u32(bytes);
  if (body < 1 || body > FRAME_LENGTH_MAX) return -1;
  if (length - 4 < body) return 0;
  frame->type = bytes[4];
  frame->payload = bytes + FRAME_HEADER_BYTES;
  frame->length = body - 1;
  return 4 + (long)body;
}

struct field_cursor field_cursor_of(const struct frame *frame) {
  return (struct field_cursor){.next = frame->payload, .left = frame->length};
}

int field_parse(struct field_cursor *cursor, struct field *field) {
  if (cursor->left == 0) return 0;
  if (cursor->left < FIELD_HEADER_BYTES) return -1;
  const uint32_t length = load_u32(cursor->next + 2);
  if (length > cursor->left - FIELD_HEADER_BYTES) return -1;
  field->tag = load_u16(cursor->next);
  field->bytes = cursor->next + FIELD_HEADER_BYTES;
  field->length = length;
  cursor->next += FIELD_HEADER_BYTES + (size_t)length;
  cursor->left -= FIELD_HEADER_BYTES + (size_t)length;
  return 1;
}

bool field_number(const struct field *field, uint64_t *number) {
  if (field->length != 8) return false;
  *number = load_u64(field->bytes);
  return true;
}

static unsigned char *writer_take(struct frame_writer *writer, size_t length) {
  if (writer->overflow || writer->capacity - writer->length < length) {
    writer->overflow = true;
    return NULL;
  }
  unsigned char *taken = writer->bytes + writer->length;
  writer->length += length;
  return taken;
}

void frame_begin(struct frame_writer *writer, uint8_t type) {
  writer->frame_start = writer->length;
  writer->overflow = false;
  unsigned char *header = writer_take(writer, FRAME_HEADER_BYTES);
  if (header != NULL) header[4] = type;
}

void frame_put_bytes(struct frame_writer *writer, uint16_t tag, const void *bytes, size_t length) {
  unsigned char *field = length > FRAME_LENGTH_MAX ? NULL : writer_take(writer, FIELD_HEADER_BYTES + length);
  if (field == NULL) {
    writer->overflow = true;
    return;
  }
  field[0] = (unsigned char)tag;
  field[1] = (unsigned char)(tag >> 8);
  store_u32(field + 2, (uint32_t)length);
  if (length > 0) memcpy(field + FIELD_HEADER_BYTES, bytes, length);
}

void frame_put_number(struct frame_writer *writer, uint16_t tag, uint64_t number) {
  unsigned char bytes[8];
  store_u64(bytes, number);
  frame_put_bytes(writer, tag, bytes, sizeof bytes);
}

void frame_put_text(struct frame_writer *writer, uint16_t tag, const char *text) {
  frame_put_bytes(writer, tag, text, strlen(text));
}

void frame_end(struct frame_writer *writer) {
  if (writer->overflow) {
    writer->length = writer->frame_start;
    return;
  }
  store_u32(writer->bytes + writer->frame_start, (uint32_t)(writer->length - writer->frame_start - 4));
}

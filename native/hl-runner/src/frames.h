/* Frames and fields of docs/runner-protocol.md: a parser that never reads past what it is given, and an encoder that never writes past its buffer. Both are pure. */
#ifndef HL_FRAMES_H
#define HL_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame {
  uint8_t type;
  unsigned char *payload;
  size_t length;
};

struct field {
  uint16_t tag;
  unsigned char *bytes;
  size_t length;
};

struct field_cursor {
  unsigned char *next;
  size_t left;
};

/* Bytes taken by the frame at the start of `bytes`, 0 while it is incomplete, -1 when its length is impossible. */
long frame_parse(unsigned char *bytes, size_t length, struct frame *frame);

/* Bytes the frame at the start of `bytes` will take as a whole, or 0 when its header is not there yet. */
size_t frame_size(const unsigned char *bytes, size_t length);

struct field_cursor field_cursor_of(const struct frame *frame);

/* 1 with a field, 0 at the end, -1 when a field claims more than there is. */
int field_parse(struct field_cursor *cursor, struct field *field);

/* False unless the field is exactly 8 bytes. */
bool field_number(const struct field *field, uint64_t *number);

struct frame_writer {
  unsigned char *bytes;
  size_t capacity;
  size_t length;
  size_t frame_start;
  bool overflow;
};

void frame_begin(struct frame_writer *writer, uint8_t type);
void frame_put_number(struct frame_writer *writer, uint16_t tag, uint64_t number);
void frame_put_bytes(struct frame_writer *writer, uint16_t tag, const void *bytes, size_t length);
void frame_put_text(struct frame_writer *writer, uint16_t tag, const char *text);
/* Fills in the length. An overflowing frame is taken back as a whole, so the buffer never holds half a frame. */
void frame_end(struct frame_writer *writer);

void store_u32(unsigned char *bytes, uint32_t number);
void store_u64(unsigned char *bytes, uint64_t number);

#endif

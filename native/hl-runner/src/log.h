/* The bounded log of one command: segments on disk as docs/runner-protocol.md lays them out (P5, P7). It only ever appends; its head (segment 0) stays, the oldest of the rest go first. */
#ifndef HL_LOG_H
#define HL_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

/* Segments that can exist at once; a smaller segment_bytes is raised to keep to it. */
#define LOG_SEGMENTS_MAX 1024

struct log_segment {
  uint64_t file_bytes;
  uint64_t payload_bytes;
  uint64_t number;
};

struct log {
  int directory; /* not owned */
  int fd;        /* the segment being written, -1 before the first byte and while none can be made */
  uint64_t bytes_max, segment_bytes;
  uint64_t stream_bytes[3]; /* by enum stream; what the program wrote, kept or not */
  uint64_t dropped_bytes;
  uint64_t total_file_bytes;
  uint64_t next_number;
  size_t first, count; /* ring of the segments that exist; slot 0 is segment 0 and is not part of the ring */
  struct log_segment head;
  struct log_segment ring[LOG_SEGMENTS_MAX];
};

void log_open(struct log *log, int directory, uint64_t bytes_max, uint64_t segment_bytes);

/* The most that one call of log_append may bring: a record never straddles segments. */
size_t log_append_max(const struct log *log);

/* Always takes the bytes: what the disk refuses is counted as dropped, never an error and never a wait (S4). */
void log_append(struct log *log, enum stream stream, const void *bytes, size_t length);

uint64_t log_position(const struct log *log);

void log_close(struct log *log);

#endif

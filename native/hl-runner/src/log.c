/* See log.h. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "frames.h"

static uint64_t clamp(uint64_t number, uint64_t min, uint64_t max) {
  return number < min ? min : number > max ? max : number;
}

void log_open(struct log *log, int directory, uint64_t bytes_max, uint64_t segment_bytes) {
  log->directory = directory;
  log->fd = -1;
  log->bytes_max = bytes_max < LOG_BYTES_MIN ? LOG_BYTES_MIN : bytes_max;
  /* Four segments at least (the head, the one being written, and something to read between them); at most what the ring holds. */
  uint64_t least = log->bytes_max / LOG_SEGMENTS_MAX + 1;
  if (least < SEGMENT_BYTES_MIN) least = SEGMENT_BYTES_MIN;
  log->segment_bytes = clamp(segment_bytes, least, log->bytes_max / 4);
}

uint64_t log_position(const struct log *log) {
  return log->stream_bytes[STREAM_STDOUT] + log->stream_bytes[STREAM_STDERR];
}

size_t log_append_max(const struct log *log) {
  return log->segment_bytes - SEGMENT_HEADER_BYTES - RECORD_HEADER_BYTES;
}

static void segment_name(char *name, size_t capacity, uint64_t number) {
  snprintf(name, capacity, "log.%06llu", (unsigned long long)number);
}

static struct log_segment *current_segment(struct log *log) {
  return log->count == 0 ? &log->head : &log->ring[(log->first + log->count - 1) % LOG_SEGMENTS_MAX];
}

static void remove_oldest(struct log *log) {
  char name[32];
  const struct log_segment *oldest = &log->ring[log->first];
  segment_name(name, sizeof name, oldest->number);
  unlinkat(log->directory, name, 0);
  log->total_file_bytes -= oldest->file_bytes;
  log->dropped_bytes += oldest->payload_bytes;
  log->first = (log->first + 1) % LOG_SEGMENTS_MAX;
  log->count--;
}

/* Makes room for a whole segment before there is one, so that the bound holds at every moment and not only on average. */
static void make_room(struct log *log) {
  while (log->count > 0 && (log->count == LOG_SEGMENTS_MAX || log->total_file_bytes + log->segment_bytes > log->bytes_max)) remove_oldest(log);
}

static bool start_segment(struct log *log) {
  char name[32];
  unsigned char header[SEGMENT_HEADER_BYTES];
  if (log->fd >= 0) close(log->fd);
  log->fd = -1;
  make_room(log);
  segment_name(name, sizeof name, log->next_number);
  const int fd = openat(log->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0) return false;
  memcpy(header, SEGMENT_MAGIC, 8);
  store_u64(header + 8, log_position(log));
  store_u64(header + 16, log->stream_bytes[STREAM_STDOUT]);
  store_u64(header + 24, log->stream_bytes[STREAM_STDERR]);
  if (pwrite(fd, header, sizeof header, 0) != (ssize_t)sizeof header) {
    unlinkat(log->directory, name, 0);
    close(fd);
    return false;
  }
  const struct log_segment segment = {.file_bytes = sizeof header, .payload_bytes = 0, .number = log->next_number};
  if (log->next_number == 0) log->head = segment;
  else log->ring[(log->first + log->count++) % LOG_SEGMENTS_MAX] = segment;
  log->next_number++;
  log->total_file_bytes += sizeof header;
  log->fd = fd;
  return true;
}

/* True when the record is in the file as a whole; a part that got in is cut off again, so that the next record begins where a reader looks for it. */
static bool write_record(int fd, uint64_t offset, const unsigned char *header, const void *bytes, size_t length) {
  const size_t whole = RECORD_HEADER_BYTES + length;
  size_t done = 0;
  while (done < whole) {
    struct iovec parts[2];
    int count = 0;
    if (done < RECORD_HEADER_BYTES) parts[count++] = (struct iovec){.iov_base = (void *)(header + done), .iov_len = RECORD_HEADER_BYTES - done};
    const size_t skip = done < RECORD_HEADER_BYTES ? 0 : done - RECORD_HEADER_BYTES;
    parts[count++] = (struct iovec){.iov_base = (char *)bytes + skip, .iov_len = length - skip};
    const ssize_t wrote = pwritev(fd, parts, count, (off_t)(offset + done));
    if (wrote > 0) {
      done += (size_t)wrote;
      continue;
    }
    if (wrote < 0 && errno == EINTR) continue;
    if (done > 0 && ftruncate(fd, (off_t)offset) != 0) {
      /* Nothing to do about it: the next record overwrites the same place. */
    }
    return false;
  }
  return true;
}

void log_append(struct log *log, enum stream stream, const void *bytes, size_t length) {
  struct log_segment *segment = current_segment(log);
  const size_t record_bytes = RECORD_HEADER_BYTES + length;
  bool kept = (log->fd >= 0 && segment->file_bytes + record_bytes <= log->segment_bytes) || start_segment(log);
  if (kept) {
    unsigned char header[RECORD_HEADER_BYTES] = {(unsigned char)stream};
    store_u32(header + 4, (uint32_t)length);
    store_u64(header + 8, log->stream_bytes[stream]);
    segment = current_segment(log);
    kept = write_record(log->fd, segment->file_bytes, header, bytes, length);
  }
  if (kept) {
    segment->file_bytes += record_bytes;
    segment->payload_bytes += length;
    log->total_file_bytes += record_bytes;
  } else {
    log->dropped_bytes += length;
  }
  log->stream_bytes[stream] += length;
}

void log_close(struct log *log) {
  if (log->fd >= 0) close(log->fd);
  log->fd = -1;
}

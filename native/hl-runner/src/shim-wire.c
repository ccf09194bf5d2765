/* The connection with the daemon: frames in, frames out. Outgoing frames are made from the state when there is room for them, so what a slow reader missed is one bit each, never a queue (P5). */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim.h"
#include "util.h"

/* At full speed the daemon hears of growth this often; it needs no more to keep up, and thousands of frames a second would only slow it down. */
#define OUTPUT_PAUSE_US 2000
#define FAREWELL_MS 1000

size_t wire_encode_failed(unsigned char *bytes, size_t capacity, const char *stage, int error, const char *message) {
  struct frame_writer writer = {.bytes = bytes, .capacity = capacity};
  frame_begin(&writer, FRAME_FAILED);
  frame_put_text(&writer, TAG_STAGE, stage);
  frame_put_number(&writer, TAG_ERRNO, (uint64_t)error);
  frame_put_text(&writer, TAG_MESSAGE, message);
  frame_end(&writer);
  return writer.length;
}

static void put_started(struct frame_writer *writer, const struct shim *shim, const char *boot_id) {
  frame_begin(writer, FRAME_STARTED);
  frame_put_number(writer, TAG_PID, (uint64_t)shim->pid);
  frame_put_number(writer, TAG_START_TICKS, shim->start_ticks);
  frame_put_number(writer, TAG_SHIM_PID, (uint64_t)shim->shim_pid);
  frame_put_number(writer, TAG_SHIM_START_TICKS, shim->shim_start_ticks);
  frame_put_number(writer, TAG_STDIN, shim->stdin_kind);
  char group[CGROUP_PATH_MAX + CGROUP_NAME_MAX];
  if (group_path(shim, group, sizeof group) > 0) frame_put_text(writer, TAG_CGROUP, group);
  if (boot_id != NULL) frame_put_text(writer, TAG_BOOT_ID, boot_id);
  frame_end(writer);
}

static void put_output(struct frame_writer *writer, const struct shim *shim) {
  frame_begin(writer, FRAME_OUTPUT);
  frame_put_number(writer, TAG_POSITION, log_position(&shim->log));
  frame_put_number(writer, TAG_STDOUT_BYTES, shim->log.stream_bytes[STREAM_STDOUT]);
  frame_put_number(writer, TAG_STDERR_BYTES, shim->log.stream_bytes[STREAM_STDERR]);
  frame_end(writer);
}

static void put_input_taken(struct frame_writer *writer, const struct shim *shim) {
  frame_begin(writer, FRAME_INPUT_TAKEN);
  frame_put_number(writer, TAG_TOTAL, shim->input.taken);
  frame_put_number(writer, TAG_CLOSED, shim->input.closed_by_program);
  frame_put_number(writer, TAG_RECEIVED, shim->input.received);
  frame_end(writer);
}

static void put_end(struct frame_writer *writer, const struct shim *shim, bool in_file) {
  const struct end_facts *end = &shim->end;
  frame_begin(writer, FRAME_END);
  frame_put_number(writer, end->exited ? TAG_EXIT_CODE : TAG_SIGNAL, (uint64_t)end->code);
  frame_put_text(writer, TAG_REASON, end->reason);
  frame_put_number(writer, TAG_PID, (uint64_t)shim->pid);
  frame_put_number(writer, TAG_STARTED_MS, shim->started_ms);
  frame_put_number(writer, TAG_ENDED_MS, end->ended_ms);
  frame_put_number(writer, TAG_DURATION_US, end->duration_us);
  frame_put_number(writer, TAG_MAX_RSS_KB, end->max_rss_kb);
  if (end->memory_peak_kb != 0) frame_put_number(writer, TAG_MEMORY_PEAK_KB, end->memory_peak_kb);
  frame_put_number(writer, TAG_CPU_US, end->cpu_us);
  frame_put_text(writer, TAG_USAGE_SOURCE, end->usage_source);
  if (end->oom_kills != 0) frame_put_number(writer, TAG_OOM_KILLS, end->oom_kills);
  frame_put_number(writer, TAG_STDOUT_BYTES, end->stdout_bytes);
  frame_put_number(writer, TAG_STDERR_BYTES, end->stderr_bytes);
  frame_put_number(writer, TAG_POSITION, end->stdout_bytes + end->stderr_bytes);
  frame_put_number(writer, TAG_PIPES_STILL_OPEN, end->pipes_still_open);
  frame_put_number(writer, TAG_DROPPED_BYTES, end->dropped_bytes);
  if (in_file && shim->empty) frame_put_number(writer, TAG_EMPTY, 1);
  frame_end(writer);
}

size_t wire_encode_started(const struct shim *shim, unsigned char *bytes, size_t capacity, const char *boot_id) {
  struct frame_writer writer = {.bytes = bytes, .capacity = capacity};
  put_started(&writer, shim, boot_id);
  return writer.length;
}

size_t wire_encode_end(const struct shim *shim, unsigned char *bytes, size_t capacity) {
  struct frame_writer writer = {.bytes = bytes, .capacity = capacity};
  put_end(&writer, shim, true);
  return writer.length;
}

static bool take(bool *due) {
  const bool was = *due;
  *due = false;
  return was;
}

/* All frames together are far smaller than the outbox, so an encoder never overflows it. */
static void fill_outbox(struct shim *shim) {
  struct frame_writer writer = {.bytes = shim->outbox.bytes, .capacity = sizeof shim->outbox.bytes};
  if (take(&shim->started_due)) put_started(&writer, shim, NULL);
  if (shim->output_due) {
    const int64_t now = monotonic_us();
    if (now >= shim->output_next_us || shim->end_due || shim->empty_due) {
      shim->output_due = false;
      shim->output_next_us = now + OUTPUT_PAUSE_US;
      put_output(&writer, shim);
    } else {
      shim->deadlines[DEADLINE_OUTPUT] = shim->output_next_us;
    }
  }
  if (take(&shim->input_due)) put_input_taken(&writer, shim);
  if (shim->refusal_due != NULL) {
    writer.length += wire_encode_failed(writer.bytes + writer.length, writer.capacity - writer.length, "protocol", EINVAL, shim->refusal_due);
    shim->refusal_due = NULL;
  }
  if (take(&shim->end_due)) put_end(&writer, shim, false);
  if (take(&shim->empty_due)) {
    frame_begin(&writer, FRAME_EMPTY);
    frame_end(&writer);
  }
  shim->outbox.length = writer.length;
  shim->outbox.sent = 0;
}

static void want_out(struct shim *shim, bool wanted) {
  if (shim->wants_out == wanted) return;
  shim->wants_out = wanted;
  shim_watch(shim, EPOLL_CTL_MOD, shim->connection, EPOLLIN | EPOLLRDHUP | (wanted ? EPOLLOUT : 0u), SOURCE_CONNECTION);
}

void wire_flush(struct shim *shim) {
  struct outbox *outbox = &shim->outbox;
  while (shim->connection >= 0) {
    if (outbox->length == 0) fill_outbox(shim);
    if (outbox->length == 0) return;
    const ssize_t sent = send(shim->connection, outbox->bytes + outbox->sent, outbox->length - outbox->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        want_out(shim, true);
      } else {
        /* Callers still hold pointers into the receive buffer: the end of the connection is met where it is read. */
        outbox->length = 0;
        shutdown(shim->connection, SHUT_RDWR);
      }
      return;
    }
    outbox->sent += (size_t)sent;
    if (outbox->sent == outbox->length) {
      outbox->length = 0;
      want_out(shim, false);
    }
  }
}

static void reset_receive(struct shim *shim) {
  struct receive_buffer *receive = &shim->receive;
  if (receive->bytes != receive->fixed) free(receive->bytes);
  receive->bytes = receive->fixed;
  receive->capacity = sizeof receive->fixed;
  receive->length = 0;
}

void wire_drop(struct shim *shim) {
  if (!shim->started) {
    start_remove_directory(shim);
    group_remove(shim);
    _exit(0);
  }
  if (shim->connection < 0) return;
  close(shim->connection);
  shim->connection = -1;
  shim->wants_out = false;
  shim->outbox.length = 0;
  reset_receive(shim);
}

void wire_attach(struct shim *shim, int connection) {
  wire_drop(shim);
  shim->connection = connection;
  shim->released = false;
  shim->started_due = shim->output_due = true;
  shim->output_next_us = 0;
  shim->input_due = shim->stdin_pipe >= 0 || shim->input.received > 0 || shim->input.closed_by_program;
  shim->refusal_due = NULL;
  shim->end_due = shim->end_known;
  shim->empty_due = shim->end_known && shim->empty;
  shim_watch(shim, EPOLL_CTL_ADD, connection, EPOLLIN | EPOLLRDHUP, SOURCE_CONNECTION);
}

void wire_fail_and_leave(struct shim *shim, const char *stage, int error, const char *message) {
  unsigned char bytes[1024];
  start_remove_directory(shim);
  wire_answer_and_leave(shim, bytes, wire_encode_failed(bytes, sizeof bytes, stage, error, message));
}

void wire_answer_and_leave(struct shim *shim, const unsigned char *bytes, size_t length) {
  unsigned char scrap[4096];
  group_remove(shim);
  if (send(shim->connection, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length) {
    /* Closing with unread bytes would turn the answer into a connection reset: say goodbye, and let the other side close first. */
    shutdown(shim->connection, SHUT_WR);
    const int64_t until = monotonic_us() + FAREWELL_MS * 1000;
    struct pollfd ready = {.fd = shim->connection, .events = POLLIN};
    while (monotonic_us() < until && poll(&ready, 1, FAREWELL_MS) > 0)
      if (recv(shim->connection, scrap, sizeof scrap, MSG_DONTWAIT) <= 0) break;
  }
  _exit(0);
}

static bool make_room(struct shim *shim, size_t needed) {
  struct receive_buffer *receive = &shim->receive;
  if (needed <= receive->capacity) return true;
  unsigned char *bytes = malloc(needed);
  if (bytes == NULL) return false;
  memcpy(bytes, receive->bytes, receive->length);
  if (receive->bytes != receive->fixed) free(receive->bytes);
  receive->bytes = bytes;
  receive->capacity = needed;
  return true;
}

static void protocol_end(struct shim *shim, const char *message) {
  if (!shim->started) wire_fail_and_leave(shim, "protocol", EMSGSIZE, message);
  shim->refusal_due = message;
  wire_flush(shim);
  wire_drop(shim);
}

static void handle_all(struct shim *shim) {
  struct receive_buffer *receive = &shim->receive;
  size_t done = 0;
  while (done < receive->length) {
    struct frame frame;
    const long size = frame_parse(receive->bytes + done, receive->length - done, &frame);
    if (size < 0) {
      protocol_end(shim, "a frame's length is not 1 byte to 4 MiB");
      return;
    }
    if (size == 0) break;
    control_handle(shim, &frame);
    done += (size_t)size;
  }
  if (done == receive->length) {
    reset_receive(shim);
    return;
  }
  if (done > 0) memmove(receive->bytes, receive->bytes + done, receive->length - done);
  receive->length -= done;
  if (!make_room(shim, frame_size(receive->bytes, receive->length))) protocol_end(shim, "no memory for so large a frame");
}

void wire_go_awaited(struct shim *shim, const struct frame *frame, struct spawn_plan *plan) {
  struct receive_buffer *receive = &shim->receive;
  const unsigned char *behind = frame->payload + frame->length;
  const size_t length = (size_t)(receive->bytes + receive->length - behind);
  struct frame next = {.type = 0};
  if (length >= FRAME_HEADER_BYTES) {
    unsigned char *bytes = frame->payload + frame->length;
    if (frame_parse(bytes, length, &next) < 1 || next.type != FRAME_GO) wire_fail_and_leave(shim, "protocol", EINVAL, "a START that is held waits for GO");
    return;
  }
  plan->go_connection = shim->connection;
  plan->go_begun = behind;
  plan->go_begun_length = length;
  /* The child reads the rest of this frame, and whoever parses here goes on behind it. */
  receive->length -= length;
}

void wire_receive(struct shim *shim) {
  struct receive_buffer *receive = &shim->receive;
  if (shim->connection < 0) return;
  const ssize_t length = recv(shim->connection, receive->bytes + receive->length, receive->capacity - receive->length, MSG_DONTWAIT);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (length <= 0) {
    wire_drop(shim);
    return;
  }
  receive->length += (size_t)length;
  handle_all(shim);
}

/* Standard input, a pipe or the terminal's keyboard: at most INPUT_WINDOW_BYTES wait here, and what the program's pipe has taken is confirmed, so a program that does not read holds up only its own sender. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shim.h"
#include "util.h"

static void close_input(struct shim *shim) {
  if (shim->stdin_pipe < 0) return;
  if (shim->terminal < 0) close(shim->stdin_pipe);
  shim->stdin_pipe = -1;
  free(shim->input.bytes);
  shim->input.bytes = NULL;
  shim->input.length = 0;
  if (shim->terminal >= 0) terminal_watch(shim);
}

static void note_closed_by_program(struct shim *shim) {
  close_input(shim);
  shim->input.closed_by_program = true;
  shim->input_due = true;
}

/* Bytes that the pipe took; 0 when it is full or gone. */
static size_t write_some(struct shim *shim, const unsigned char *bytes, size_t length) {
  ssize_t wrote;
  do wrote = write(shim->stdin_pipe, bytes, length);
  while (wrote < 0 && errno == EINTR);
  if (wrote < 0) {
    if (errno != EAGAIN) note_closed_by_program(shim);
    return 0;
  }
  shim->input.taken += (uint64_t)wrote;
  if (wrote > 0) shim->input.mid_line = bytes[wrote - 1] != '\n' && bytes[wrote - 1] != '\r';
  shim->input_due = true;
  if (shim->idle_timeout_ms != 0) shim->active_us = monotonic_us();
  return (size_t)wrote;
}

/* Room is asked for while something waits; else, of a pipe, only the error that says that the program has closed its end. */
static void watch_input(struct shim *shim) {
  if (shim->terminal >= 0) terminal_watch(shim);
  else shim_watch(shim, EPOLL_CTL_MOD, shim->stdin_pipe, shim->input.length > 0 ? EPOLLOUT : 0u, SOURCE_STDIN);
}

bool input_waits(const struct shim *shim) {
  return shim->stdin_pipe >= 0 && (shim->input.length > 0 || (shim->terminal >= 0 && shim->input.eof_wanted));
}

static void enqueue(struct shim *shim, const unsigned char *bytes, size_t length) {
  struct input_queue *input = &shim->input;
  if (input->bytes == NULL) {
    input->bytes = malloc(INPUT_WINDOW_BYTES);
    input->first = 0;
    if (input->bytes == NULL) {
      note_closed_by_program(shim);
      return;
    }
  }
  const size_t place = (input->first + input->length) % INPUT_WINDOW_BYTES;
  const size_t before_wrap = INPUT_WINDOW_BYTES - place;
  const size_t head = length < before_wrap ? length : before_wrap;
  memcpy(input->bytes + place, bytes, head);
  memcpy(input->bytes, bytes + head, length - head);
  input->length += length;
  if (input->length == length) watch_input(shim);
}

void input_push(struct shim *shim, const unsigned char *bytes, size_t length) {
  struct input_queue *input = &shim->input;
  /* The program has ended its input: what was under way is lost with it, and INPUT_TAKEN has said so. */
  if (input->closed_by_program || length == 0) return;
  if (shim->stdin_pipe < 0 || (input->eof_wanted && shim->terminal < 0)) {
    shim->refusal_due = "INPUT: standard input is not a pipe or was ended by INPUT_EOF";
    return;
  }
  if (length > INPUT_WINDOW_BYTES - (input->received - input->taken)) {
    shim->refusal_due = "INPUT: more than 1 MiB unconfirmed";
    return;
  }
  input->received += length;
  const size_t taken = input_waits(shim) ? 0 : write_some(shim, bytes, length);
  if (taken < length && shim->stdin_pipe >= 0) enqueue(shim, bytes + taken, length - taken);
}

/* A terminal is never closed: its end of input is a key, and more may be typed after it. */
static void type_eof(struct shim *shim) {
  if (terminal_type_eof(shim)) shim->input.eof_wanted = false;
}

void input_finish(struct shim *shim) {
  if (shim->stdin_pipe < 0) return;
  shim->input.eof_wanted = true;
  shim->input.eof_at = shim->input.received;
  if (shim->terminal >= 0) {
    if (shim->input.length == 0) type_eof(shim);
    watch_input(shim);
  } else if (shim->input.length == 0) {
    close_input(shim);
  }
}

void input_abandon(struct shim *shim) {
  if (shim->terminal >= 0 && !shim->input.closed_by_program) note_closed_by_program(shim);
}

/* How much may be written in one piece: up to where the ring wraps, and not past a terminal's end of input. */
static size_t next_piece(const struct shim *shim) {
  const struct input_queue *input = &shim->input;
  const size_t before_wrap = INPUT_WINDOW_BYTES - input->first;
  size_t most = input->length < before_wrap ? input->length : before_wrap;
  if (shim->terminal >= 0 && input->eof_wanted && input->eof_at - input->taken < most) most = (size_t)(input->eof_at - input->taken);
  return most;
}

void input_ready(struct shim *shim) {
  struct input_queue *input = &shim->input;
  if (shim->stdin_pipe < 0) return;
  if (!input_waits(shim)) {
    if (shim->terminal >= 0) return;
    /* Nothing was asked for but the error. */
    note_closed_by_program(shim);
    return;
  }
  while (input_waits(shim)) {
    const size_t piece = next_piece(shim);
    if (piece == 0) {
      type_eof(shim);
      if (input->eof_wanted) return;
      continue;
    }
    const size_t taken = write_some(shim, input->bytes + input->first, piece);
    if (taken == 0) return;
    input->first = (input->first + taken) % INPUT_WINDOW_BYTES;
    input->length -= taken;
  }
  free(input->bytes);
  input->bytes = NULL;
  if (input->eof_wanted) close_input(shim);
  else watch_input(shim);
}

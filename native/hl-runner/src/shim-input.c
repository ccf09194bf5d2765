/* Standard input: at most INPUT_WINDOW_BYTES wait here, and what the program's pipe has taken is confirmed, so a program that does not read holds up only its own sender. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "shim.h"
#include "util.h"

static void close_input(struct shim *shim) {
  if (shim->stdin_pipe < 0) return;
  close(shim->stdin_pipe);
  shim->stdin_pipe = -1;
  free(shim->input.bytes);
  shim->input.bytes = NULL;
  shim->input.length = 0;
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
  shim->input_due = true;
  if (shim->idle_timeout_ms != 0) shim->active_us = monotonic_us();
  return (size_t)wrote;
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
    shim_watch(shim, EPOLL_CTL_MOD, shim->stdin_pipe, EPOLLOUT, SOURCE_STDIN);
  }
  const size_t place = (input->first + input->length) % INPUT_WINDOW_BYTES;
  const size_t before_wrap = INPUT_WINDOW_BYTES - place;
  const size_t head = length < before_wrap ? length : before_wrap;
  memcpy(input->bytes + place, bytes, head);
  memcpy(input->bytes, bytes + head, length - head);
  input->length += length;
}

void input_push(struct shim *shim, const unsigned char *bytes, size_t length) {
  struct input_queue *input = &shim->input;
  /* The program has ended its input: what was under way is lost with it, and INPUT_TAKEN has said so. */
  if (input->closed_by_program || length == 0) return;
  if (shim->stdin_pipe < 0 || input->eof_wanted) {
    shim->refusal_due = "INPUT: standard input is not a pipe or was ended by INPUT_EOF";
    return;
  }
  if (length > INPUT_WINDOW_BYTES - (input->received - input->taken)) {
    shim->refusal_due = "INPUT: more than 1 MiB unconfirmed";
    return;
  }
  input->received += length;
  const size_t taken = input->length == 0 ? write_some(shim, bytes, length) : 0;
  if (taken < length && shim->stdin_pipe >= 0) enqueue(shim, bytes + taken, length - taken);
}

void input_finish(struct shim *shim) {
  shim->input.eof_wanted = true;
  if (shim->input.length == 0) close_input(shim);
}

void input_ready(struct shim *shim) {
  struct input_queue *input = &shim->input;
  if (shim->stdin_pipe < 0) return;
  if (input->length == 0) {
    /* Nothing was asked for but the error. */
    note_closed_by_program(shim);
    return;
  }
  while (input->length > 0) {
    const size_t before_wrap = INPUT_WINDOW_BYTES - input->first;
    const size_t taken = write_some(shim, input->bytes + input->first, input->length < before_wrap ? input->length : before_wrap);
    if (taken == 0) return;
    input->first = (input->first + taken) % INPUT_WINDOW_BYTES;
    input->length -= taken;
  }
  free(input->bytes);
  input->bytes = NULL;
  if (input->eof_wanted) close_input(shim);
  else shim_watch(shim, EPOLL_CTL_MOD, shim->stdin_pipe, 0, SOURCE_STDIN);
}

/* From the program's pipes, or its terminal, into the log. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "shim.h"
#include "util.h"

#define READ_BYTES (256 * 1024)
/* One stream must not starve the other, the connection or the timers. A drain takes more, so that a full pipe is emptied in one go. */
#define PUMP_BYTES_MAX (1024 * 1024)
#define DRAIN_BYTES_MAX (4 * 1024 * 1024)
#define LARGE_OUTPUT_BYTES (256 * 1024)
#define LARGE_PIPE_BYTES (1024 * 1024)

/* Pages of it are only paid for once output has reached them. */
static unsigned char read_buffer[READ_BYTES];

static void close_output(struct shim *shim, enum stream stream) {
  if (shim->output[stream] == shim->terminal) {
    terminal_set_hung(shim, true);
    return;
  }
  close(shim->output[stream]);
  shim->output[stream] = -1;
}

bool output_is_open(const struct shim *shim) {
  if (shim->terminal >= 0) return !shim->terminal_hung;
  return shim->output[STREAM_STDOUT] >= 0 || shim->output[STREAM_STDERR] >= 0;
}

void output_pump(struct shim *shim, enum stream stream, bool to_the_end) {
  size_t most = log_append_max(&shim->log);
  if (most > READ_BYTES) most = READ_BYTES;
  size_t left = to_the_end ? DRAIN_BYTES_MAX : PUMP_BYTES_MAX;
  while (left > 0 && shim->output[stream] >= 0) {
    const ssize_t length = read(shim->output[stream], read_buffer, most);
    if (length == 0) close_output(shim, stream);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0 && errno != EAGAIN) close_output(shim, stream);
    if (length <= 0) return;
    if (shim->terminal_hung) terminal_set_hung(shim, false);
    log_append(&shim->log, stream, read_buffer, (size_t)length);
    left -= (size_t)length < left ? (size_t)length : left;
    shim->output_due = true;
    priority_watch(shim);
    if (shim->idle_timeout_ms != 0) shim->active_us = monotonic_us();
    if (shim->terminal < 0 && !shim->large_output[stream] && shim->log.stream_bytes[stream] >= LARGE_OUTPUT_BYTES) {
      /* A refusal (the user's budget of pipe pages) only means that it stays as fast as it is. */
      shim->large_output[stream] = true;
      (void)fcntl(shim->output[stream], F_SETPIPE_SZ, LARGE_PIPE_BYTES);
    }
    /* A short read has emptied the pipe (a terminal gives 4 KiB at most); whether that was the end shows the next event. */
    if (!to_the_end && (size_t)length < most && shim->terminal < 0) return;
  }
}

/* START: from the request to a running program, or to FAILED with nothing left behind. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox.h"
#include "shim.h"
#include "spare.h"
#include "spawn.h"
#include "util.h"

#define STATE_MODE 0750
/* A command that ends sooner leaves no identity and no socket to make and to remove. */
#define PUBLISH_DELAY_US 25000

__attribute__((noreturn)) static void fail(struct shim *shim, const char *stage, int error, const char *what) {
  char message[512];
  snprintf(message, sizeof message, "%.300s: %s", what, strerror(error));
  wire_fail_and_leave(shim, stage, error, message);
}

/* Who has the lock of a folder has its run: it is taken before the folder has the run's name and held until this process is gone. */
static int open_locked(int state_directory, const char *name) {
  const int fd = openat(state_directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  /* Waiting is right only for a spare folder, whose last user is on its way out; nobody else has the lock of one that has just been made. */
  if (fd < 0 || flock(fd, LOCK_EX) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

void start_make_directory(struct shim *shim) {
  snprintf(shim->directory_name, sizeof shim->directory_name, ".waiting-%d", (int)shim->shim_pid);
  /* One that is there already was left by a shim that was killed and had our number; it is as good as new, since it is empty. */
  if (!spare_make(shim->state_directory, shim->directory_name, STATE_MODE) && errno != EEXIST) return;
  shim->directory = open_locked(shim->state_directory, shim->directory_name);
}

void start_remove_directory(struct shim *shim) {
  if (!shim->started) prepare_remove_temporary(shim);
  if (shim->directory >= 0) spare_remove(shim->state_directory, shim->directory_name, STATE_MODE);
}

/* The id becomes the folder's name exclusively: the same id is never started twice (C1), whoever asks. */
bool start_name_directory(struct shim *shim, const char *id) {
  bool named = shim->directory >= 0 && renameat2(shim->state_directory, shim->directory_name, shim->state_directory, id, RENAME_NOREPLACE) == 0;
  if (!named && (shim->directory < 0 || errno != EEXIST)) {
    /* There was no room for it earlier, or this file system cannot rename without replacing. */
    start_remove_directory(shim);
    if (shim->directory >= 0) close(shim->directory);
    shim->directory = -1;
    if (mkdirat(shim->state_directory, id, STATE_MODE) != 0) return false;
    shim->directory = open_locked(shim->state_directory, id);
    named = shim->directory >= 0;
  }
  if (named) snprintf(shim->directory_name, sizeof shim->directory_name, "%s", id);
  return named;
}

/* In place of the pipes: what the program writes to either stream arrives at the one master. */
static void make_terminal(struct shim *shim) {
  int ends[2];
  if (!terminal_open(shim->request.rows, shim->request.columns, ends)) fail(shim, "limits", errno, "the terminal cannot be made");
  close(shim->output[STREAM_STDOUT]);
  close(shim->output[STREAM_STDERR]);
  shim->terminal = shim->stdin_pipe = shim->output[STREAM_STDOUT] = ends[0];
  shim->output[STREAM_STDERR] = -1;
  for (int fd = 0; fd < 3; fd++) {
    close(shim->program_stdio[fd]);
    shim->program_stdio[fd] = fd == 0 ? ends[1] : fcntl(ends[1], F_DUPFD_CLOEXEC, 3);
    if (shim->program_stdio[fd] < 0) fail(shim, "limits", errno, "the terminal cannot be made");
  }
  shim_watch(shim, EPOLL_CTL_ADD, ends[0], EPOLLIN, SOURCE_TERMINAL);
}

static void make_stdin(struct shim *shim) {
  if (shim->request.stdin_kind == STDIN_PTY) make_terminal(shim);
  if (shim->request.stdin_kind != STDIN_PIPE) return;
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail(shim, "limits", errno, "the input pipe cannot be made");
  fcntl(ends[1], F_SETFL, O_NONBLOCK);
  close(shim->program_stdio[0]);
  shim->program_stdio[0] = ends[0];
  shim->stdin_pipe = ends[1];
  /* No event but the error that says that the program has closed its end. */
  shim_watch(shim, EPOLL_CTL_ADD, ends[1], 0, SOURCE_STDIN);
}

static void prepare_all(struct shim *shim) {
  const struct prepare_failure *failure = &shim->prepare_failure;
  prepare(shim, &shim->request.preparation, shim->request.sandbox, shim->request.allow_namespaces);
  if (failure->stage != NULL) fail(shim, failure->stage, failure->error, failure->what);
  /* Its own terminal by its own descriptor, so that the folder of everybody's terminals can stay closed (X1). */
  if (shim->request.sandbox && shim->terminal >= 0 && !sandbox_allow_device(shim->ruleset, shim->program_stdio[0])) fail(shim, "sandbox", errno, "the terminal");
}

/* The child makes the proxy's listener, in its own network, and hands it over through this. */
static void make_listener_sockets(struct shim *shim, int ends[2]) {
  ends[0] = ends[1] = -1;
  if (shim->request.network != NETWORK_PROXY) return;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) fail(shim, "limits", errno, "the sockets for the proxy's listener cannot be made");
}

static void begin_relay(struct shim *shim, const int ends[2]) {
  if (ends[0] < 0) return;
  close(ends[1]);
  /* Without a descriptor for it the listener goes with the sockets: whoever connects to it is refused. */
  const int listener = network_take_listener(ends[0]);
  close(ends[0]);
  if (listener >= 0) relay_begin(shim, listener, shim->request.proxy_socket);
}

static const char *what_failed(const struct shim *shim, const char *stage) {
  if (strcmp(stage, "exec") == 0) return shim->request.file;
  if (strcmp(stage, "cwd") == 0) return shim->request.cwd;
  if (strcmp(stage, "limits") == 0) return "open_files_max or the control group cannot be set";
  if (strcmp(stage, "protocol") == 0) return "a START that is held waits for GO";
  return "the program's process cannot be made";
}

__attribute__((noreturn)) static void fail_to_spawn(struct shim *shim, const struct spawn_failure *failure) {
  char message[512];
  if (failure->stage == NULL) wire_drop(shim);
  const char *what = failure->what != NULL ? failure->what : what_failed(shim, failure->stage);
  snprintf(message, sizeof message, "%.300s: %s%s%s", what, strerror(failure->error), failure->hint == NULL ? "" : "; ", failure->hint == NULL ? "" : failure->hint);
  wire_fail_and_leave(shim, failure->stage, failure->error, message);
}

static void keep_what_outlives_the_frame(struct shim *shim) {
  const struct start_request *request = &shim->request;
  shim->stdin_kind = request->stdin_kind;
  shim->grace_ms = request->grace_ms;
  shim->drain_ms = request->drain_ms;
  shim->idle_timeout_ms = request->idle_timeout_ms;
  const int64_t now = shim->started_us;
  shim->active_us = now;
  if (request->timeout_ms != 0) shim->deadlines[DEADLINE_TIMEOUT] = now + (int64_t)request->timeout_ms * 1000;
  if (request->idle_timeout_ms != 0) shim->deadlines[DEADLINE_IDLE] = now + (int64_t)request->idle_timeout_ms * 1000;
  shim->deadlines[DEADLINE_PUBLISH] = now + PUBLISH_DELAY_US;
  if (!shim->cgroup->memory) memory_begin(shim, request->memory_bytes_max);
}

void shim_start(struct shim *shim, struct frame *frame) {
  const char *why = start_request_decode(frame, &shim->request);
  if (why != NULL) wire_fail_and_leave(shim, "protocol", EINVAL, why);
  if (!start_name_directory(shim, shim->request.id)) fail(shim, "log", errno, "the state folder cannot be made");
  make_stdin(shim);
  prepare_all(shim);
  const char *unlimited = group_limit(shim);
  if (unlimited != NULL) fail(shim, "limits", errno, unlimited);
  struct network_maps maps;
  network_make_maps(&maps);
  int listener_sockets[2];
  make_listener_sockets(shim, listener_sockets);
  struct spawn_plan plan = {
      .request = &shim->request,
      .stdio = {shim->program_stdio[0], shim->program_stdio[1], shim->program_stdio[2]},
      .ruleset = shim->request.sandbox ? shim->ruleset : -1,
      .filter = &shim->filter,
      .maps = &maps,
      .listener_socket = listener_sockets[1],
      .shim_pid = shim->shim_pid,
      .go_connection = -1,
      .terminal = shim->terminal >= 0,
      .group = shim->group.directory,
      .group_required = shim->group.required,
  };
  if (shim->request.hold) wire_go_awaited(shim, frame, &plan);
  struct spawn_failure failure;
  struct spawn_result result;
  shim->pid = spawn_program(&plan, &result, &failure);
  if (shim->pid < 0) fail_to_spawn(shim, &failure);

  /* Ours must go, or the pipes would never come to their end. */
  for (int fd = 0; fd < 3; fd++) close(shim->program_stdio[fd]);
  if (shim->ruleset >= 0) close(shim->ruleset);
  shim->ruleset = -1;
  begin_relay(shim, listener_sockets);
  shim->started_ms = result.wall_ms;
  shim->started_us = result.monotonic_us;
  shim->group.entered = result.in_group;
  if (!result.in_group) group_remove(shim);
  log_open(&shim->log, shim->directory, shim->request.log_bytes_max, shim->request.segment_bytes);
  keep_what_outlives_the_frame(shim);
  struct process_stat program;
  if (process_stat_read(shim->pid, &program)) shim->start_ticks = program.start_ticks;
  shim->started = true;
  shim->started_due = true;
  wire_flush(shim);
  title_set("shim", shim->directory_name);
  start_request_free(&shim->request);
  /* The environment may hold secrets (X4); the program has its own copy. */
  explicit_bzero(frame->payload, frame->length);
}

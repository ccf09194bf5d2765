/* SWEEP and REMOVE: ends what is left of a run that no shim holds any more, and removes what it left on disk. Answered with EMPTY, which is P1 for it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "remove.h"
#include "shim.h"
#include "tree.h"
#include "util.h"

/* Where the kernel has no pidfds, and for a process that cannot be killed. */
#define KILL_WAIT_FIRST_MS 5
#define KILL_WAIT_MAX_MS 250

/* Gets the lock of the run's folder; makes the folder where there is none, so that nobody starts that run meanwhile.
 * The descriptor that holds the lock, or -1 with errno; EWOULDBLOCK: its shim lives. */
static int take_run(struct shim *shim, const char *id) {
  for (;;) {
    const int fd = openat(shim->state_directory, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno != ENOENT) return -1;
    if (fd < 0) {
      if (start_name_directory(shim, id)) return shim->directory;
      if (errno != EEXIST) return -1;
      continue;
    }
    struct stat locked, named;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) return -1;
    /* Whoever had the lock before may have removed the folder; the name then stands for another one. */
    if (fstat(fd, &locked) == 0 && fstatat(shim->state_directory, id, &named, AT_SYMLINK_NOFOLLOW) == 0 && locked.st_ino == named.st_ino && locked.st_dev == named.st_dev) return fd;
    close(fd);
  }
}

/* False when there is nobody left who wants the answer. */
static bool wait_for(struct shim *shim, const struct tree_held *held, int wait_ms) {
  struct pollfd ready[TREE_HELD_MAX + 2] = {{.fd = shim->connection, .events = POLLRDHUP}, {.fd = shim->signals, .events = POLLIN}};
  for (size_t i = 0; i < held->count; i++) ready[i + 2] = (struct pollfd){.fd = held->pidfds[i], .events = POLLIN};
  size_t left = held->count;
  do {
    if (poll(ready, (nfds_t)held->count + 2, held->count > 0 ? -1 : wait_ms) < 0 && errno != EINTR) return true;
    if (ready[0].revents != 0 || ready[1].revents != 0) return false;
    left = 0;
    for (size_t i = 0; i < held->count; i++) {
      if (ready[i + 2].revents != 0) ready[i + 2].fd = -1;
      if (ready[i + 2].fd >= 0) left++;
    }
  } while (left > 0);
  return true;
}

/* In rounds: the next one finds what was born during this one. */
static bool kill_marked(struct shim *shim, const char *id) {
  char mark[MARK_LENGTH_MAX + 1];
  static struct tree_held held;
  snprintf(mark, sizeof mark, MARK_NAME "%s", id);
  for (int wait_ms = KILL_WAIT_FIRST_MS; tree_kill_marked(mark, &held) > 0; wait_ms = wait_ms * 2 < KILL_WAIT_MAX_MS ? wait_ms * 2 : KILL_WAIT_MAX_MS) {
    const bool wanted = wait_for(shim, &held, wait_ms);
    for (size_t i = 0; i < held.count; i++) close(held.pidfds[i]);
    if (!wanted) return false;
  }
  return true;
}

/* The frame that a file of the run's folder holds; it points into `bytes`. */
static bool read_frame(int run, const char *name, char *bytes, size_t capacity, struct frame *frame) {
  const ssize_t length = read_small_file(run, name, bytes, capacity);
  return length > 0 && frame_parse((unsigned char *)bytes, (size_t)length, frame) > 0;
}

/* Where the identity file says that the run was; false when it says nothing of the kind. */
static bool group_of(int run, char *path, size_t capacity) {
  char bytes[2048];
  struct frame frame;
  if (!read_frame(run, "identity", bytes, sizeof bytes, &frame)) return false;
  struct field_cursor cursor = field_cursor_of(&frame);
  struct field field;
  while (field_parse(&cursor, &field) > 0) {
    if (field.tag != TAG_CGROUP || field.length >= capacity || field.length == 0 || memchr(field.bytes, 0, field.length) != NULL) continue;
    memcpy(path, field.bytes, field.length);
    path[field.length] = 0;
    return path[0] == '/' && cgroup_name_is_dead(strrchr(path, '/') + 1);
  }
  return false;
}

/* Its shim saw the tree empty before it left: nothing of it can have come back since. */
static bool was_empty(int run) {
  char bytes[1024];
  struct frame frame;
  if (!read_frame(run, "end", bytes, sizeof bytes, &frame)) return false;
  struct field_cursor cursor = field_cursor_of(&frame);
  struct field field;
  while (field_parse(&cursor, &field) > 0) {
    uint64_t empty;
    if (field.tag == TAG_EMPTY) return field_number(&field, &empty) && empty == 1;
  }
  return false;
}

/* False when there is nobody left who wants the answer. */
static bool kill_group(struct shim *shim, char *path) {
  char *name = strrchr(path, '/');
  *name++ = 0;
  bool wanted = true;
  const int base = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int group = base < 0 ? -1 : openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  struct statfs system;
  if (group >= 0 && fstatfs(group, &system) == 0 && system.f_type == CGROUP2_SUPER_MAGIC) {
    struct pollfd ready[] = {
        {.fd = openat(group, "cgroup.events", O_RDONLY | O_CLOEXEC), .events = POLLPRI},
        {.fd = shim->connection, .events = POLLRDHUP},
        {.fd = shim->signals, .events = POLLIN},
    };
    /* Where the kernel cannot kill a group, what carries the mark is all that is found. */
    if (cgroup_kill(group))
      while (wanted && ready[0].fd >= 0 && cgroup_populated(ready[0].fd)) wanted = poll(ready, 3, -1) > 0 && ready[1].revents == 0 && ready[2].revents == 0;
    if (ready[0].fd >= 0) close(ready[0].fd);
    (void)cgroup_remove(base, name);
  }
  if (group >= 0) close(group);
  if (base >= 0) close(base);
  return wanted;
}

__attribute__((noreturn)) static void fail(struct shim *shim, const char *stage, int error, const char *what) {
  char message[512];
  snprintf(message, sizeof message, "%.300s: %s", what, strerror(error));
  wire_fail_and_leave(shim, stage, error, message);
}

void shim_sweep(struct shim *shim, struct frame *frame) {
  struct sweep_request request;
  const char *why = sweep_request_decode(frame, &request);
  if (why != NULL) wire_fail_and_leave(shim, "protocol", EINVAL, why);
  const int run = take_run(shim, request.id);
  if (run < 0 && errno == EWOULDBLOCK) fail(shim, "alive", EBUSY, "the run's shim lives");
  if (run < 0) fail(shim, "log", errno, "the run's state folder cannot be held");
  char path[CGROUP_PATH_MAX + CGROUP_NAME_MAX];
  /* A run whose shim was killed before it wrote its identity: then every group without a shim is as good as its own. */
  if (!group_of(run, path, sizeof path)) cgroup_sweep_dead(shim->cgroup);
  else if (!kill_group(shim, path)) wire_drop(shim);
  /* The search looks at every process of the machine, and thousands of finished runs are removed at a time. */
  const bool searched = frame->type == FRAME_SWEEP || !was_empty(run);
  if (searched && !kill_marked(shim, request.id)) wire_drop(shim);
  if (frame->type == FRAME_REMOVE) {
    const int log_error = remove_folder_at(shim->state_directory, request.id);
    if (log_error != 0) fail(shim, "log", log_error, "the state folder cannot be removed");
    /* Who has that name from now on is another run. */
    if (run == shim->directory) shim->directory = -1;
    const int temporary_error = request.temporary == NULL ? 0 : remove_folder(request.temporary);
    if (temporary_error != 0) fail(shim, "log", temporary_error, request.temporary);
  }
  start_remove_directory(shim);
  /* Before the answer, so that who has it may ask again at once. */
  close(run);
  unsigned char bytes[64];
  struct frame_writer writer = {.bytes = bytes, .capacity = sizeof bytes};
  frame_begin(&writer, FRAME_EMPTY);
  frame_end(&writer);
  wire_answer_and_leave(shim, bytes, writer.length);
}

/* See shim.h. The event loop, reaping, and the way from the program's end to the shim's own. */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tree.h"
#include "util.h"

#define EVENTS_MAX 8
/* How long a daemon has to say RELEASE before the shim pays for the fsync of an end record that the daemon then does not need. */
#define RECORD_DELAY_US 250000

/* One per process; untouched pages of it cost nothing. */
static struct shim the_shim;

void shim_watch(struct shim *shim, int operation, int fd, uint32_t events, uint32_t source) {
  struct epoll_event event = {.events = events, .data.u32 = source};
  epoll_ctl(shim->epoll, operation, fd, &event);
}

/* Everything that does not depend on the request is done here, before there is one: a daemon that connects ahead of time does not wait for it. */
static void set_up(struct shim *shim) {
  setsid();
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  prctl(PR_SET_NAME, SHIM_NAME, 0, 0, 0);
  title_set("shim", "(waiting)");
  shim->shim_pid = getpid();
  struct process_stat self;
  if (process_stat_read(shim->shim_pid, &self)) shim->shim_start_ticks = self.start_ticks;

  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  sigaddset(&mask, SIGTERM);
  shim->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
  shim->epoll = epoll_create1(EPOLL_CLOEXEC);
  if (shim->signals < 0 || shim->epoll < 0) wire_fail_and_leave(shim, "limits", errno, "the shim has no descriptors left");
  if (peer_is_command(shim->connection, shim->state_directory, shim->resident)) wire_fail_and_leave(shim, "protocol", EPERM, "a command may not ask its own runner");
  if (fchdir(shim->state_directory) != 0) wire_fail_and_leave(shim, "log", errno, "the state folder cannot be entered");
  shim_watch(shim, EPOLL_CTL_ADD, shim->connection, EPOLLIN | EPOLLRDHUP, SOURCE_CONNECTION);
  shim_watch(shim, EPOLL_CTL_ADD, shim->signals, EPOLLIN, SOURCE_SIGNALS);

  start_make_directory(shim);
  group_make(shim);
  shim->program_stdio[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int stream = STREAM_STDOUT; stream <= STREAM_STDERR; stream++) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) wire_fail_and_leave(shim, "limits", errno, "the output pipes cannot be made");
    /* Only our end: the flag belongs to one end, and the program's must block. */
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    shim->output[stream] = ends[0];
    shim->program_stdio[stream] = ends[1];
    shim_watch(shim, EPOLL_CTL_ADD, ends[0], EPOLLIN, stream == STREAM_STDOUT ? SOURCE_STDOUT : SOURCE_STDERR);
  }
}

static void note_main_end(struct shim *shim, int status) {
  const int64_t now = monotonic_us();
  shim->main_ended = true;
  shim->end.exited = WIFEXITED(status);
  shim->end.code = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
  const bool out_of_memory = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && group_oom_kills(shim) > 0;
  shim->end.reason = shim->stop_reason != NULL ? shim->stop_reason : WIFEXITED(status) ? "exited" : out_of_memory ? "oom" : "signalled";
  shim->end.ended_ms = wall_ms();
  shim->end.duration_us = (uint64_t)(now - shim->started_us);
  shim->deadlines[DEADLINE_TIMEOUT] = shim->deadlines[DEADLINE_IDLE] = NEVER;
  shim->deadlines[DEADLINE_DRAIN] = now + (int64_t)shim->drain_ms * 1000;
}

void shim_reap(struct shim *shim) {
  for (;;) {
    int status;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid > 0 && pid == shim->pid && !shim->main_ended) note_main_end(shim, status);
    if (pid > 0 || (pid < 0 && errno == EINTR)) continue;
    /* ECHILD from a subreaper means that no descendant exists at all, however often it forked away (P1); the group, that nobody joined it either. */
    shim->empty = shim->started && pid < 0 && errno == ECHILD && !group_populated(shim);
    return;
  }
}

static void take_signals(struct shim *shim) {
  struct signalfd_siginfo taken;
  while (read(shim->signals, &taken, sizeof taken) == (ssize_t)sizeof taken) {
    if (taken.ssi_signo != SIGTERM) continue;
    if (!shim->started) wire_drop(shim);
    stop_begin(shim, "shutdown", shim->grace_ms);
  }
  shim_reap(shim);
  /* The child of what has just ended is ours now, and perhaps about to fork and end itself. */
  if (shim->killing && !shim->empty) (void)tree_kill_children(NULL);
}

static uint64_t microseconds(const struct timeval *time) {
  return (uint64_t)time->tv_sec * 1000000u + (uint64_t)time->tv_usec;
}

static void settle_end(struct shim *shim) {
  if (!shim->main_ended || shim->end_known) return;
  output_pump(shim, STREAM_STDOUT, true);
  output_pump(shim, STREAM_STDERR, true);
  const bool open = output_is_open(shim);
  const int64_t now = monotonic_us();
  if (open && now < shim->deadlines[DEADLINE_DRAIN]) return;
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  struct end_facts *end = &shim->end;
  end->max_rss_kb = (uint64_t)usage.ru_maxrss;
  end->cpu_us = microseconds(&usage.ru_utime) + microseconds(&usage.ru_stime);
  end->usage_source = "wait4";
  group_usage(shim, end);
  if (shim->memory.peak_kb != 0) {
    end->usage_source = "watch";
    end->memory_peak_kb = shim->memory.peak_kb;
    end->oom_kills = shim->memory.exceeded;
  }
  end->stdout_bytes = shim->log.stream_bytes[STREAM_STDOUT];
  end->stderr_bytes = shim->log.stream_bytes[STREAM_STDERR];
  end->dropped_bytes = shim->log.dropped_bytes;
  end->pipes_still_open = open;
  if (!open) input_abandon(shim);
  shim->end_known = true;
  shim->end_due = true;
  shim->deadlines[DEADLINE_DRAIN] = NEVER;
  shim->deadlines[DEADLINE_RECORD] = now + RECORD_DELAY_US;
}

static void leave_when_done(struct shim *shim) {
  if (!shim->end_known || !shim->empty || shim->empty_due) return;
  if (shim->connection >= 0 && (!shim->released || shim->outbox.length > 0)) return;
  group_remove(shim);
  if (shim->released && log_position(&shim->log) == 0) {
    /* The daemon has the end, and there was no output: a million of these leave nothing on the disk (P7). */
    files_remove(shim);
  } else {
    /* One that was written while something still ran does not say that nothing is left, which spares REMOVE the search. */
    if (shim->released) shim->recorded = false;
    files_record_end(shim, !shim->released);
    files_withdraw(shim);
  }
  /* The lock goes before the connection does: whoever sees that closed may remove the folder at once. */
  close(shim->directory);
  _exit(0);
}

static void settle(struct shim *shim) {
  settle_end(shim);
  if (shim->empty) shim->deadlines[DEADLINE_MEMORY] = shim->deadlines[DEADLINE_GRACE] = shim->deadlines[DEADLINE_KILL] = NEVER;
  if (shim->empty && shim->end_known && !shim->empty_announced) {
    /* A pipe can outlive the tree in the hands of a stranger; what is in it now still belongs to the log. */
    output_pump(shim, STREAM_STDOUT, true);
    output_pump(shim, STREAM_STDERR, true);
    relay_finish(shim);
    shim->empty_announced = true;
    shim->empty_due = true;
  }
  wire_flush(shim);
  /* Without a daemon nobody can say RELEASE, and after a kill -9 of a daemon somebody will look for these files at once (P3). */
  if (shim->connection < 0 && shim->started) {
    if (!shim->published && !shim->empty) files_publish(shim);
    if (shim->end_known && !shim->recorded && !shim->released) files_record_end(shim, true);
    shim->empty_due = shim->end_due = false;
  }
  /* Only now: whoever waits for the end does not wait for this. */
  if (shim->empty_announced && !shim->empty_due && shim->outbox.length == 0) prepare_remove_temporary(shim);
  leave_when_done(shim);
}

static void run_deadlines(struct shim *shim) {
  const int64_t now = monotonic_us();
  stop_check_timeouts(shim, now);
  if (now >= shim->deadlines[DEADLINE_GRACE] || now >= shim->deadlines[DEADLINE_KILL]) stop_kill_round(shim);
  if (now >= shim->deadlines[DEADLINE_OUTPUT]) shim->deadlines[DEADLINE_OUTPUT] = NEVER;
  if (now >= shim->deadlines[DEADLINE_RELAY]) relay_accept(shim);
  if (now >= shim->deadlines[DEADLINE_MEMORY]) memory_look(shim);
  if (now >= shim->deadlines[DEADLINE_PUBLISH]) files_publish(shim);
  if (now >= shim->deadlines[DEADLINE_PRIORITY]) priority_lower(shim);
  if (now >= shim->deadlines[DEADLINE_RECORD]) files_record_end(shim, true);
}

/* Milliseconds for epoll_wait, rounded up so that it never wakes before the deadline. */
static int wait_ms(const struct shim *shim) {
  int64_t next = NEVER;
  for (int i = 0; i < DEADLINE_COUNT; i++)
    if (shim->deadlines[i] < next) next = shim->deadlines[i];
  if (next == NEVER) return -1;
  const int64_t left = next - monotonic_us();
  if (left <= 0) return 0;
  return left > 60000000 ? 60000 : (int)((left + 999) / 1000);
}

static void dispatch(struct shim *shim, const struct epoll_event *event) {
  switch (event->data.u32) {
    case SOURCE_CONNECTION:
      if (event->events & ~(uint32_t)EPOLLOUT) wire_receive(shim);
      break;
    case SOURCE_SIGNALS: take_signals(shim); break;
    case SOURCE_STDOUT: output_pump(shim, STREAM_STDOUT, false); break;
    case SOURCE_STDERR: output_pump(shim, STREAM_STDERR, false); break;
    case SOURCE_STDIN: input_ready(shim); break;
    case SOURCE_TERMINAL:
      if (event->events & ~(uint32_t)EPOLLOUT) output_pump(shim, STREAM_STDOUT, false);
      if (event->events & EPOLLOUT) input_ready(shim);
      break;
    case SOURCE_GROUP: shim_reap(shim); break;
    case SOURCE_LISTENER: files_accept(shim); break;
    case SOURCE_RELAY_LISTENER: relay_accept(shim); break;
    default: relay_ready(shim, event->data.u32 - SOURCE_RELAY); break;
  }
}

void shim_run(int connection, int state_directory, pid_t resident, const struct allowed_uids *allowed, const struct cgroup_base *cgroup) {
  struct shim *shim = &the_shim;
  shim->cgroup = cgroup;
  shim->allowed = allowed;
  shim->state_directory = state_directory;
  shim->resident = resident;
  shim->connection = connection;
  shim->directory = shim->listener = shim->stdin_pipe = shim->ruleset = shim->terminal = -1;
  shim->group = (struct group){.directory = -1, .events = -1};
  shim->receive.bytes = shim->receive.fixed;
  shim->receive.capacity = sizeof shim->receive.fixed;
  for (int i = 0; i < DEADLINE_COUNT; i++) shim->deadlines[i] = NEVER;
  set_up(shim);
  for (;;) {
    struct epoll_event events[EVENTS_MAX];
    const int count = epoll_wait(shim->epoll, events, EVENTS_MAX, wait_ms(shim));
    for (int i = 0; i < count; i++) dispatch(shim, &events[i]);
    if (!shim->started) continue;
    run_deadlines(shim);
    settle(shim);
  }
}

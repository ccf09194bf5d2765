/* The shim: one process that starts one program, holds its tree, and speaks with whichever daemon is connected.
 *
 * States: waiting (no START yet) → running (the program lives) → draining (it has ended, its pipes are not at EOF, P4) → ended (END is known;
 * descendants may live on) → empty (none is left, P1) → gone. A connection may come and go in every state after waiting (P3). */
#ifndef HL_SHIM_H
#define HL_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cgroup.h"
#include "frames.h"
#include "log.h"
#include "peer.h"
#include "protocol.h"
#include "request.h"
#include "spawn.h"

#define OUTBOX_BYTES 4096
#define RECEIVE_BYTES 16384

enum deadline {
  DEADLINE_TIMEOUT,
  DEADLINE_IDLE,
  DEADLINE_DRAIN,
  DEADLINE_GRACE,   /* SIGTERM was sent; SIGKILL follows */
  DEADLINE_KILL,    /* the next round of a kill */
  DEADLINE_OUTPUT,  /* the next OUTPUT may go */
  DEADLINE_PUBLISH, /* identity and attach.sock are made: a command that is over by then never pays for them */
  DEADLINE_RECORD,  /* the end record is made durable if no RELEASE came before */
  DEADLINE_PRIORITY, /* the next try to yield to the daemon */
  DEADLINE_RELAY,   /* a proxy that had no room is tried again */
  DEADLINE_MEMORY,  /* the next look at the tree's memory */
  DEADLINE_COUNT,
};

struct outbox {
  unsigned char bytes[OUTBOX_BYTES];
  size_t length, sent;
};

struct receive_buffer {
  unsigned char fixed[RECEIVE_BYTES];
  unsigned char *bytes; /* fixed, or allocated for one larger frame */
  size_t capacity, length;
};

struct input_queue {
  unsigned char *bytes; /* a ring of INPUT_WINDOW_BYTES, allocated while something waits in it */
  size_t first, length;
  uint64_t received, taken;
  uint64_t eof_at; /* terminals: how much of the input comes before the end that is wanted */
  bool eof_wanted, closed_by_program;
  bool mid_line; /* terminals: the last byte taken was not the end of a line */
};

struct end_facts {
  bool exited; /* else signalled */
  int code;
  const char *reason;
  uint64_t ended_ms, duration_us, max_rss_kb, cpu_us;
  uint64_t stdout_bytes, stderr_bytes, dropped_bytes;
  uint64_t memory_peak_kb, oom_kills; /* 0: not known, none */
  const char *usage_source;
  bool pipes_still_open;
};

/* The control group of the run. */
struct group {
  char name[CGROUP_NAME_MAX];
  int directory, events; /* -1: there is none */
  bool required, entered, watched;
};

#define WATCHED_THREADS_MAX 32

/* Memory of the tree, where no control group bounds it. */
struct memory_watch {
  uint64_t bytes_max; /* 0: not watched */
  uint64_t peak_kb, cpu_ticks, rss_pages, cgroup_cpu_us;
  int64_t looked_us, pace_us;
  int children; /* what /proc tells of our own children */
  int threads[WATCHED_THREADS_MAX]; /* how long each thread of a tree that slept has run so far */
  size_t thread_count;
  uint64_t threads_run;
  unsigned trusted; /* looks that may be saved by them */
  bool exceeded;
};

/* The first thing that could not be prepared. */
struct prepare_failure {
  const char *stage; /* NULL: none */
  int error;
  char what[300];
};

struct shim {
  const struct allowed_uids *allowed;
  const struct cgroup_base *cgroup;
  int state_directory, directory, epoll, signals, connection, listener, stdin_pipe;
  int output[3], program_stdio[3]; /* output by enum stream; the program's ends until it has them */
  int terminal; /* the master, which is then output[STREAM_STDOUT] and stdin_pipe too; -1: pipes */
  bool terminal_hung;
  int ruleset; /* -1: none yet */
  struct seccomp_filter filter;
  char *temporary; /* the program's private folder; ours to remove */
  struct prepare_failure prepare_failure;
  char directory_name[ID_LENGTH_MAX + 1]; /* the id, once START has brought it */
  pid_t resident, shim_pid, pid;
  uint64_t shim_start_ticks, start_ticks;
  uint64_t grace_ms, drain_ms, idle_timeout_ms, started_ms, stdin_kind;
  int64_t started_us, active_us, output_next_us;
  int64_t deadlines[DEADLINE_COUNT];
  bool started, main_ended, end_known, empty, empty_announced, released;
  int64_t flood_began_us;
  uint64_t flood_from; /* position */
  bool program_yields, shim_yields;
  bool published, recorded, large_output[3], wants_out;
  /* What the connected daemon has not been told yet; each is one bit, so a slow reader costs nothing (P5). */
  bool started_due, output_due, input_due, end_due, empty_due;
  const char *refusal_due;
  const char *stop_reason;
  bool stopping, killing;
  int64_t kill_wait_us;
  struct end_facts end;
  struct outbox outbox;
  struct receive_buffer receive;
  struct input_queue input;
  struct start_request request;
  struct log log;
  struct group group;
  struct memory_watch memory;
};

/* Runs in the fork of the resident and never returns. */
__attribute__((noreturn)) void shim_run(int connection, int state_directory, pid_t resident, const struct allowed_uids *allowed, const struct cgroup_base *cgroup);

/* shim.c */
void shim_reap(struct shim *shim);
void shim_watch(struct shim *shim, int operation, int fd, uint32_t events, uint32_t source);
enum source { SOURCE_CONNECTION, SOURCE_SIGNALS, SOURCE_STDOUT, SOURCE_STDERR, SOURCE_STDIN, SOURCE_TERMINAL, SOURCE_LISTENER, SOURCE_GROUP, SOURCE_RELAY_LISTENER, SOURCE_RELAY /* and what relay_ready is given */ };

/* shim-start.c: START. The folder is made before its name is known, because on a real disk making it takes longer than starting a program. */
void start_make_directory(struct shim *shim);
void start_remove_directory(struct shim *shim);
/* Exclusively; false with errno when there is such a folder, or none can be made. */
bool start_name_directory(struct shim *shim, const char *id);
void shim_start(struct shim *shim, struct frame *frame);

/* shim-prepare.c: folders and the sandbox's rules. What fails is told at START. */
void prepare(struct shim *shim, const struct preparation *preparation, bool sandbox, bool allow_namespaces);
void prepare_ahead(struct shim *shim, struct frame *frame);
void prepare_remove_temporary(struct shim *shim);

/* shim-probe.c: PROBE, in place of START. */
__attribute__((noreturn)) void shim_probe(struct shim *shim);

/* shim-sweep.c: SWEEP and REMOVE, in place of START. */
__attribute__((noreturn)) void shim_sweep(struct shim *shim, struct frame *frame);

/* shim-group.c: the run's control group. All of it does nothing where there is none. */
void group_make(struct shim *shim);
/* NULL when the limits of the request are set, or are not for the group to keep; else what failed, with errno. */
const char *group_limit(struct shim *shim);
/* True while something lives there; then the end of that is an event. */
bool group_populated(struct shim *shim);
void group_kill(struct shim *shim);
uint64_t group_oom_kills(const struct shim *shim);
void group_usage(const struct shim *shim, struct end_facts *end);
/* Its absolute path; 0 when the program is in none. */
size_t group_path(const struct shim *shim, char *path, size_t capacity);
void group_remove(struct shim *shim);

/* shim-memory.c: the memory of the tree, watched. */
void memory_begin(struct shim *shim, uint64_t bytes_max);
void memory_look(struct shim *shim);

/* shim-priority.c: a flood yields to the daemon. */
void priority_watch(struct shim *shim);
void priority_forget(struct shim *shim);
void priority_lower(struct shim *shim);

/* shim-wire.c: the connection. */
void wire_receive(struct shim *shim);
void wire_flush(struct shim *shim);
void wire_drop(struct shim *shim);
/* What of GO has come behind this frame: tells a plan whether, and from where, to wait for the rest. */
void wire_go_awaited(struct shim *shim, const struct frame *frame, struct spawn_plan *plan);
void wire_attach(struct shim *shim, int connection);
__attribute__((noreturn)) void wire_fail_and_leave(struct shim *shim, const char *stage, int error, const char *message);
/* Sends the last frame, lets the other side close first, and ends. */
__attribute__((noreturn)) void wire_answer_and_leave(struct shim *shim, const unsigned char *bytes, size_t length);
size_t wire_encode_started(const struct shim *shim, unsigned char *bytes, size_t capacity, const char *boot_id);
size_t wire_encode_end(const struct shim *shim, unsigned char *bytes, size_t capacity);
size_t wire_encode_failed(unsigned char *bytes, size_t capacity, const char *stage, int error, const char *message);

/* shim-control.c: what a frame asks for. */
void control_handle(struct shim *shim, struct frame *frame);

/* shim-input.c: standard input. */
void input_push(struct shim *shim, const unsigned char *bytes, size_t length);
void input_finish(struct shim *shim);
void input_ready(struct shim *shim);
void input_abandon(struct shim *shim); /* nobody has the terminal any more */
bool input_waits(const struct shim *shim);

/* shim-output.c: the program's pipes, or its terminal. */
void output_pump(struct shim *shim, enum stream stream, bool to_the_end);
bool output_is_open(const struct shim *shim);

/* shim-terminal.c */
bool terminal_open(uint64_t rows, uint64_t columns, int ends[2]); /* ends: master, slave; false with errno */
void terminal_watch(struct shim *shim);
void terminal_set_hung(struct shim *shim, bool hung);
void terminal_resize(struct shim *shim, uint64_t rows, uint64_t columns);
bool terminal_type_eof(struct shim *shim); /* false: no room yet */

/* shim-relay.c: the way from a network namespace to the daemon's proxy. */
void relay_begin(struct shim *shim, int listener, const char *proxy_socket);
void relay_accept(struct shim *shim);
void relay_ready(struct shim *shim, uint32_t place);
/* The tree is empty: what it has sent and what can go at once goes, and nothing is waited for. */
void relay_finish(struct shim *shim);

/* shim-stop.c: signals, STOP, timeouts. */
void stop_begin(struct shim *shim, const char *reason, uint64_t grace_ms);
void stop_kill_round(struct shim *shim);
void stop_check_timeouts(struct shim *shim, int64_t now);
void stop_signal(struct shim *shim, int signal_number, uint64_t scope);

/* shim-files.c: identity, end record, attach.sock. */
void files_publish(struct shim *shim);
void files_record_end(struct shim *shim, bool durable);
void files_accept(struct shim *shim);
void files_withdraw(struct shim *shim);
/* Everything that this shim has put into its folder, and the folder, unless there is a log in it. */
void files_remove(struct shim *shim);

#endif

/* The numbers of docs/runner-protocol.md: frame types, tags, limits and defaults. That page is the contract; this file is one of its two implementations. */
#ifndef HL_PROTOCOL_H
#define HL_PROTOCOL_H

#include <stdint.h>

enum frame_type {
  FRAME_START = 1,
  FRAME_SIGNAL = 2,
  FRAME_STOP = 3,
  FRAME_INPUT = 4,
  FRAME_INPUT_EOF = 5,
  FRAME_RESIZE = 6,
  FRAME_RELEASE = 7,
  FRAME_SWEEP = 8,
  FRAME_REMOVE = 9,
  FRAME_GO = 10,
  FRAME_PREPARE = 11,
  FRAME_PROBE = 12,
  FRAME_STARTED = 65,
  FRAME_FAILED = 66,
  FRAME_OUTPUT = 67,
  FRAME_INPUT_TAKEN = 68,
  FRAME_END = 69,
  FRAME_EMPTY = 70,
  FRAME_PROBED = 71,
};

enum tag {
  TAG_ID = 1,
  TAG_ARGV = 2,
  TAG_ARGV0 = 3,
  TAG_ENV = 4,
  TAG_CWD = 5,
  TAG_STDIN = 6,
  TAG_TIMEOUT_MS = 7,
  TAG_IDLE_TIMEOUT_MS = 8,
  TAG_GRACE_MS = 9,
  TAG_DRAIN_MS = 10,
  TAG_OPEN_FILES_MAX = 11,
  TAG_LOG_BYTES_MAX = 12,
  TAG_SEGMENT_BYTES = 13,
  TAG_NO_NEW_PRIVS = 14,
  TAG_SANDBOX = 15,
  TAG_ALLOW_READ = 16,
  TAG_ALLOW_WRITE = 17,
  TAG_ROWS = 18,
  TAG_COLUMNS = 19,
  TAG_MEMORY_BYTES_MAX = 20,
  TAG_CPU_PERCENT_MAX = 21,
  TAG_PROCESSES_MAX = 22,
  TAG_TEMPORARY = 23,
  TAG_MAKE_DIRECTORY = 24,
  TAG_HOLD = 25,
  TAG_NETWORK = 26,
  TAG_PROXY_SOCKET = 27,
  TAG_ALLOW_NAMESPACES = 28,
  TAG_SIGNAL = 32,
  TAG_SCOPE = 33,
  TAG_REASON = 34,
  TAG_DATA = 35,
  TAG_PID = 48,
  TAG_START_TICKS = 49,
  TAG_SHIM_PID = 50,
  TAG_SHIM_START_TICKS = 51,
  TAG_BOOT_ID = 52,
  TAG_STAGE = 53,
  TAG_ERRNO = 54,
  TAG_MESSAGE = 55,
  TAG_POSITION = 56,
  TAG_STDOUT_BYTES = 57,
  TAG_STDERR_BYTES = 58,
  TAG_TOTAL = 59,
  TAG_CLOSED = 60,
  TAG_EXIT_CODE = 61,
  TAG_STARTED_MS = 62,
  TAG_ENDED_MS = 63,
  TAG_DURATION_US = 64,
  TAG_MAX_RSS_KB = 65,
  TAG_CPU_US = 66,
  TAG_PIPES_STILL_OPEN = 67,
  TAG_DROPPED_BYTES = 68,
  TAG_RECEIVED = 69,
  TAG_MEMORY_PEAK_KB = 70,
  TAG_USAGE_SOURCE = 71,
  TAG_OOM_KILLS = 72,
  TAG_CGROUP = 73,
  TAG_EMPTY = 74, /* in the file `end` only */
};

enum stdin_kind { STDIN_NULL = 0, STDIN_PIPE = 1, STDIN_PTY = 2 };
enum network_kind { NETWORK_HOST = 0, NETWORK_NONE = 1, NETWORK_PROXY = 2 };
enum signal_scope { SCOPE_MAIN = 0, SCOPE_GROUP = 1, SCOPE_TREE = 2 };
enum stream { STREAM_STDOUT = 1, STREAM_STDERR = 2 };

#define RUNNER_VERSION "0.1.0"

#define FRAME_HEADER_BYTES 5
#define FRAME_LENGTH_MAX (4u * 1024u * 1024u)
#define FIELD_HEADER_BYTES 6
#define ID_LENGTH_MAX 64
/* What fits into the address of a unix socket. */
#define SOCKET_PATH_LENGTH_MAX 107
/* Every program has it in its environment, with the id of its run: what outlived its shim is known by it. */
#define MARK_NAME "HL_RUN_ID="
#define MARK_LENGTH_MAX (sizeof MARK_NAME - 1 + ID_LENGTH_MAX)
/* The bytes of standard input that may be on their way to the program's pipe. */
#define INPUT_WINDOW_BYTES (1024u * 1024u)

#define GRACE_MS_DEFAULT 5000
#define DRAIN_MS_DEFAULT 100
#define TERMINAL_ROWS_DEFAULT 24
#define TERMINAL_COLUMNS_DEFAULT 80
#define LOG_BYTES_DEFAULT (256ull * 1024 * 1024)
#define LOG_BYTES_MIN (16ull * 1024)
#define SEGMENT_BYTES_DEFAULT (8ull * 1024 * 1024)
#define SEGMENT_BYTES_MIN 4096ull
/* A year; longer waits are treated as this one, so that sums of times never overflow. */
#define WAIT_MS_MAX (366ull * 24 * 3600 * 1000)

/* A thousand processors. */
#define CPU_PERCENT_LIMIT 100000

#define SEGMENT_HEADER_BYTES 32
#define RECORD_HEADER_BYTES 16
#define SEGMENT_MAGIC "HLLOG1\n" /* its NUL is the eighth byte */

#endif

/* The frames START and PREPARE, decoded and judged. Its strings point into the frame's own bytes. */
#ifndef HL_REQUEST_H
#define HL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "frames.h"
#include "protocol.h"

/* What a command needs around it; PREPARE brings a part of it ahead of START. The lists are NULL-terminated. */
struct preparation {
  char **allow_read;
  char **allow_write;
  char **make_directory;
  const char *temporary; /* NULL: none */
};

struct start_request {
  const char *id;
  const char *file; /* what is executed: the first argv, whatever argv0 says */
  char **argv;      /* NULL-terminated, argv0 applied */
  char **env;       /* NULL-terminated */
  const char *cwd;
  struct preparation preparation;
  uint64_t stdin_kind;
  uint64_t rows, columns; /* of a terminal */
  uint64_t timeout_ms;      /* 0: none */
  uint64_t idle_timeout_ms; /* 0: none */
  uint64_t grace_ms;
  uint64_t drain_ms;
  uint64_t open_files_max; /* 0: as inherited */
  uint64_t log_bytes_max;
  uint64_t segment_bytes;
  uint64_t memory_bytes_max; /* 0: none; the same for the next two */
  uint64_t cpu_percent_max;  /* 100: one processor */
  uint64_t processes_max;
  bool no_new_privs;
  bool sandbox;
  bool hold;
  bool allow_namespaces;
  uint64_t network;         /* enum network_kind */
  const char *proxy_socket; /* NULL: none */
  char mark[MARK_LENGTH_MAX + 1]; /* the first entry of env */
  void *arena;
};

/* A terminal's rows or columns, as the kernel can hold them. */
bool terminal_size_is_good(uint64_t number);

/* Decodes a START, or a PREPARE (of which only `preparation` is meant), in place: the payload is changed (strings get their NUL) and must outlive the request. NULL when it is good, else why not. */
const char *start_request_decode(struct frame *frame, struct start_request *request);

void start_request_free(struct start_request *request);

/* SWEEP and REMOVE. */
struct sweep_request {
  char id[ID_LENGTH_MAX + 1];
  const char *temporary; /* NULL: none; points into the frame */
};

/* The same for SWEEP and REMOVE. */
const char *sweep_request_decode(struct frame *frame, struct sweep_request *request);

#endif

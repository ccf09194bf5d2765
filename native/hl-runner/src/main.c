/* hl-runner's command line; docs/runner-protocol.md is its contract. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sysexits.h>
#include <unistd.h>

#include "launch.h"
#include "probe.h"
#include "protocol.h"
#include "resident.h"
#include "shim.h"
#include "util.h"

#define SHIMS_MAX_DEFAULT 4096
#define SHIMS_MAX_LIMIT 65536

extern char **environ;

static const char help_text[] =
    "hl-runner: starts, holds and ends process trees for hl-daemon\n"
    "\n"
    "  hl-runner serve --socket PATH --state DIR [--allow-uid UID]... [--exit-with-fd FD] [--shims-max N]\n"
    "            [--cgroup auto|off|DIR]\n"
    "  hl-runner launch PROGRAM [ARGUMENT]...\n"
    "  hl-runner probe\n"
    "  hl-runner --version | --help\n"
    "\n"
    "serve     listens on the unix socket PATH; each command keeps its files in DIR/ID\n"
    "          --allow-uid     a user, besides this one and root, who may connect (up to 16 times)\n"
    "          --exit-with-fd  ends when this inherited descriptor is at EOF; commands live on\n"
    "          --shims-max     commands at the same time (default 4096)\n"
    "          --cgroup        the control group (v2) to make groups of commands in: auto (default) is the own\n"
    "                          one, where it was delegated; off; or the path of one\n"
    "launch    becomes PROGRAM (an absolute path) with a datagram socket to $NOTIFY_SOCKET in descriptor $HL_NOTIFY_FD\n"
    "probe     prints what this kernel offers, as one JSON line\n";

static int usage(const char *what, const char *about) {
  complain(what, about, 0);
  complain("try: hl-runner --help", NULL, 0);
  return EX_USAGE;
}

static bool parse_number(const char *text, unsigned long max, unsigned long *number) {
  char *end;
  errno = 0;
  if (text[0] < '0' || text[0] > '9') return false;
  *number = strtoul(text, &end, 10);
  return errno == 0 && *end == 0 && *number <= max;
}

/* NULL when the option is good, else what is wrong with it. */
static const char *read_option(struct resident_options *options, const char *name, const char *value) {
  unsigned long number;
  if (strcmp(name, "--socket") == 0) {
    options->socket_path = value;
  } else if (strcmp(name, "--state") == 0) {
    options->state_path = value;
  } else if (strcmp(name, "--allow-uid") == 0) {
    if (!parse_number(value, UINT32_MAX - 1, &number)) return "--allow-uid needs a user id, not";
    if (options->allowed.count == ALLOWED_UIDS_MAX) return "--allow-uid is given too often, from";
    options->allowed.uids[options->allowed.count++] = (uid_t)number;
  } else if (strcmp(name, "--exit-with-fd") == 0) {
    if (!parse_number(value, INT_MAX, &number) || fcntl((int)number, F_GETFD) < 0) return "--exit-with-fd needs an open descriptor, not";
    options->exit_fd = (int)number;
  } else if (strcmp(name, "--shims-max") == 0) {
    if (!parse_number(value, SHIMS_MAX_LIMIT, &number) || number == 0) return "--shims-max needs a number from 1 to 65536, not";
    options->shims_max = number;
  } else if (strcmp(name, "--cgroup") == 0) {
    if (strcmp(value, "auto") != 0 && strcmp(value, "off") != 0 && value[0] != '/') return "--cgroup needs auto, off or an absolute path, not";
    options->cgroup = value;
  } else {
    return "unknown option with value";
  }
  return NULL;
}

/* Nothing that our starter left open reaches a shim or a program; 0, 1 and 2 exist, so that no descriptor of ours becomes one of them. */
static void tidy_descriptors(int keep) {
  int fd;
  do fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  while (fd >= 0 && fd < 3);
  if (fd >= 0) close(fd);
  for (fd = 0; fd < 3; fd++)
    if (fd != keep) fcntl(fd, F_SETFD, 0);
  if (keep >= 0) fcntl(keep, F_SETFD, FD_CLOEXEC);
  if (keep > 3) syscall(SYS_close_range, 3u, (unsigned)keep - 1u, 0u);
  syscall(SYS_close_range, keep >= 3 ? (unsigned)keep + 1u : 3u, UINT_MAX, 0u);
}

static int serve(int argc, char **argv) {
  /* Static, because the titles that `ps` shows overwrite argv, and these outlive it. */
  static struct resident_options options = {.exit_fd = -1, .shims_max = SHIMS_MAX_DEFAULT, .cgroup = "auto"};
  for (int i = 2; i < argc; i += 2) {
    if (i + 1 == argc) return usage("missing value or unknown option:", argv[i]);
    const char *problem = read_option(&options, argv[i], argv[i + 1]);
    if (problem != NULL) return usage(problem, argv[i + 1]);
  }
  if (options.socket_path == NULL || options.state_path == NULL) return usage("serve needs --socket PATH and --state DIR", NULL);
  options.socket_path = strdup(options.socket_path);
  options.state_path = strdup(options.state_path);
  options.cgroup = strdup(options.cgroup);
  if (options.socket_path == NULL || options.state_path == NULL || options.cgroup == NULL) return EX_OSERR;
  tidy_descriptors(options.exit_fd);
  title_area(argc, argv, environ);
  environ = (char *[]){NULL};
  return resident_run(&options);
}

static int probe(void) {
  char json[PROBE_BYTES];
  if (probe_json(NULL, json, sizeof json) == 0) return EX_OSERR;
  return puts(json) >= 0 && fflush(stdout) == 0 ? 0 : EX_OSERR;
}

int main(int argc, char **argv) {
  if (argc < 2) return usage("a command is missing", NULL);
  if (strcmp(argv[1], "serve") == 0) return serve(argc, argv);
  if (strcmp(argv[1], "launch") == 0) return argc > 2 ? launch(argv + 2) : usage("launch needs a program", NULL);
  if (argc > 2) return usage("too many arguments after", argv[1]);
  if (strcmp(argv[1], "probe") == 0) return probe();
  if (strcmp(argv[1], "--version") == 0) return printf("hl-runner " RUNNER_VERSION "\n") < 0 || fflush(stdout) != 0 ? EX_OSERR : 0;
  if (strcmp(argv[1], "--help") == 0) return fputs(help_text, stdout) < 0 || fflush(stdout) != 0 ? EX_OSERR : 0;
  return usage("unknown command:", argv[1]);
}

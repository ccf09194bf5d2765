/* See resident.h. It keeps the pids of its shims for two things only: to bound their number, and to tell a stray (what a shim that died left behind) from a shim (P1). */
#include "resident.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "tree.h"
#include "util.h"

#define KILL_WAIT_FIRST_MS 5
#define KILL_WAIT_MAX_MS 250
/* Connections taken in a row before signals are looked at again. */
#define ACCEPTS_MAX 64

static struct {
  const struct resident_options *options;
  int listener, signals, state_directory, null_device;
  char socket_path[sizeof ((struct sockaddr_un *)0)->sun_path];
  struct stat socket_identity;
  pid_t *shims;
  size_t shim_count;
  bool strays;
  int kill_wait_ms;
  struct cgroup_base cgroup;
} resident;

static int is_shim(pid_t pid) {
  for (size_t i = 0; i < resident.shim_count; i++)
    if (resident.shims[i] == pid) return 1;
  return 0;
}

static bool forget_shim(pid_t pid) {
  for (size_t i = 0; i < resident.shim_count; i++) {
    if (resident.shims[i] != pid) continue;
    resident.shims[i] = resident.shims[--resident.shim_count];
    return true;
  }
  return false;
}

static void kill_strays(void) {
  tree_signal(SIGKILL, is_shim);
  resident.kill_wait_ms *= 2;
  if (resident.kill_wait_ms > KILL_WAIT_MAX_MS) resident.kill_wait_ms = KILL_WAIT_MAX_MS;
}

static void reap(void) {
  for (;;) {
    int status;
    const pid_t pid = waitpid(-1, &status, WNOHANG);
    if (pid < 0 && errno == EINTR) continue;
    if (pid <= 0) break;
    /* A shim ends by itself only when its tree is empty; any other end leaves its tree to us. */
    if (forget_shim(pid) && (!WIFEXITED(status) || WEXITSTATUS(status) != 0)) {
      resident.strays = true;
      resident.kill_wait_ms = KILL_WAIT_FIRST_MS;
      complain("a shim died; what it left behind is killed", NULL, 0);
      char waiting[40];
      snprintf(waiting, sizeof waiting, ".waiting-%d", (int)pid);
      unlinkat(resident.state_directory, waiting, AT_REMOVEDIR);
      cgroup_sweep_dead(&resident.cgroup);
    }
  }
  if (!resident.strays) return;
  const bool children = tree_kill_children(is_shim) > 0;
  kill_strays();
  /* Only shims left below us means that no stray is: asked again by waiting for any child that is none. */
  resident.strays = tree_signal(0, is_shim) > 0 || children;
}

static void refuse(int connection, const char *stage, int error, const char *message) {
  unsigned char bytes[512];
  const size_t length = wire_encode_failed(bytes, sizeof bytes, stage, error, message);
  (void)!send(connection, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

__attribute__((noreturn)) static void become_shim(int connection, pid_t self) {
  const struct resident_options *options = resident.options;
  close(resident.listener);
  close(resident.signals);
  if (options->exit_fd >= 0) close(options->exit_fd);
  /* A shim outlives the resident and must not keep its terminal, its log or its parent's pipes open. */
  for (int fd = 0; fd < 3; fd++) dup2(resident.null_device, fd);
  close(resident.null_device);
  shim_run(connection, resident.state_directory, self, &options->allowed, &resident.cgroup);
}

static void serve_connection(int connection) {
  if (!peer_is_allowed(connection, &resident.options->allowed)) {
    complain("a connection of a user who is not allowed was refused", NULL, 0);
    return;
  }
  if (resident.shim_count >= resident.options->shims_max) {
    refuse(connection, "limits", EAGAIN, "as many shims as --shims-max allows are running");
    return;
  }
  const pid_t self = getpid(), pid = fork();
  if (pid == 0) become_shim(connection, self);
  if (pid < 0) {
    refuse(connection, "fork", errno, "the shim cannot be forked");
    return;
  }
  resident.shims[resident.shim_count++] = pid;
}

static void accept_connections(void) {
  for (int i = 0; i < ACCEPTS_MAX; i++) {
    const int connection = accept4(resident.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0) return;
    serve_connection(connection);
    close(connection);
  }
}

/* True when SIGTERM or SIGINT came. */
static bool take_signals(void) {
  struct signalfd_siginfo taken;
  bool asked_to_end = false;
  while (read(resident.signals, &taken, sizeof taken) == (ssize_t)sizeof taken)
    if (taken.ssi_signo != SIGCHLD) asked_to_end = true;
  return asked_to_end;
}

static void serve(void) {
  enum { ON_CONNECTION, ON_SIGNAL, ON_EXIT_FD, COUNT };
  struct pollfd ready[COUNT] = {
      [ON_CONNECTION] = {.fd = resident.listener, .events = POLLIN},
      [ON_SIGNAL] = {.fd = resident.signals, .events = POLLIN},
      [ON_EXIT_FD] = {.fd = resident.options->exit_fd, .events = POLLIN},
  };
  for (;;) {
    const int count = poll(ready, COUNT, resident.strays ? resident.kill_wait_ms : -1);
    if (count < 0 && errno != EINTR) return;
    if (ready[ON_SIGNAL].revents != 0 && take_signals()) return;
    if (ready[ON_SIGNAL].revents != 0 || resident.strays) reap();
    if (ready[ON_CONNECTION].revents != 0) accept_connections();
    if (ready[ON_EXIT_FD].revents != 0) {
      char scrap[64];
      if (read(resident.options->exit_fd, scrap, sizeof scrap) <= 0) return;
    }
  }
}

/* Signals wait for the descriptor; dispositions are the default ones, whoever started us, because every program inherits them. */
static bool set_up_process(void) {
  for (int number = 1; number < 65; number++) signal(number, SIG_DFL);
  sigset_t all, wanted;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigaddset(&wanted, SIGTERM);
  sigaddset(&wanted, SIGINT);
  resident.signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
  /* No core of us or of a program: it would hold secrets (X4). */
  const struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  umask(027);
  prctl(PR_SET_NAME, "hl-runner", 0, 0, 0);
  title_set("serve", NULL);
  return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 && resident.signals >= 0;
}

/* A connect that succeeds proves only that somebody holds the listening socket: a shim that was just forked by a resident that has been killed
 * holds it for a moment too. The kernel remembers who called listen, and that process must live. */
static bool listener_lives(int connection) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  /* Number 0 is a process of another pid namespace, which cannot be asked about. */
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid == 0) return true;
  return kill(peer.pid, 0) == 0 || errno != ESRCH;
}

/* 0, or the errno with which it failed; EADDRINUSE when another resident answers. */
static int listen_on_socket(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  memcpy(address.sun_path, resident.socket_path, sizeof address.sun_path);
  const struct sockaddr *where = (const struct sockaddr *)&address;
  struct stat there;
  if (lstat(resident.socket_path, &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) return EEXIST;
    const int asking = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool answered = asking >= 0 && (connect(asking, where, sizeof address) == 0 ? listener_lives(asking) : errno != ECONNREFUSED);
    if (asking >= 0) close(asking);
    if (answered) return EADDRINUSE;
    unlink(resident.socket_path);
  }
  resident.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (resident.listener < 0) return errno;
  const mode_t before = umask(0117);
  const bool bound = bind(resident.listener, where, sizeof address) == 0;
  umask(before);
  if (!bound || listen(resident.listener, 1024) != 0) return errno;
  return stat(resident.socket_path, &resident.socket_identity) == 0 ? 0 : errno;
}

static bool absolute_path(const char *path, char *absolute, size_t capacity) {
  char here[4096] = "";
  if (path[0] != '/' && getcwd(here, sizeof here) == NULL) return false;
  const int length = snprintf(absolute, capacity, "%s%s%s", here, path[0] == '/' ? "" : "/", path);
  return length > 0 && (size_t)length < capacity;
}

static void print_ready(void) {
  char line[1024];
  size_t length = (size_t)snprintf(line, sizeof line, "{\"ready\":true,\"socket\":\"");
  for (const char *c = resident.socket_path; *c != 0; c++) {
    const bool plain = (unsigned char)*c >= 0x20 && *c != '"' && *c != '\\';
    length += (size_t)snprintf(line + length, sizeof line - length, plain ? "%c" : "\\u%04x", (unsigned char)*c);
  }
  length += (size_t)snprintf(line + length, sizeof line - length, "\",\"pid\":%d}\n", (int)getpid());
  write_all(STDOUT_FILENO, line, length);
}

/* Not when a successor has already put its own socket there. */
static void remove_socket(void) {
  struct stat there;
  if (lstat(resident.socket_path, &there) == 0 && there.st_ino == resident.socket_identity.st_ino && there.st_dev == resident.socket_identity.st_dev)
    unlink(resident.socket_path);
}

int resident_run(const struct resident_options *options) {
  resident.options = options;
  if (!absolute_path(options->socket_path, resident.socket_path, sizeof resident.socket_path)) {
    complain("the socket's path is longer than a socket's path may be:", options->socket_path, 0);
    return EX_USAGE;
  }
  resident.shims = malloc(options->shims_max * sizeof *resident.shims);
  resident.null_device = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (resident.shims == NULL || resident.null_device < 0 || !set_up_process()) {
    complain("the resident cannot be set up", NULL, errno);
    return EX_OSERR;
  }
  if (mkdir(options->state_path, 0750) != 0 && errno != EEXIST) {
    complain("the state folder cannot be made:", options->state_path, errno);
    return EX_CANTCREAT;
  }
  resident.state_directory = open(options->state_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (resident.state_directory < 0) {
    complain("the state folder cannot be opened:", options->state_path, errno);
    return EX_CANTCREAT;
  }
  const char *what = NULL;
  if (!cgroup_base_open(&resident.cgroup, options->cgroup, &what)) {
    complain(what, options->cgroup, errno);
    /* What was asked for by name is missed; what was only there to be used is done without. */
    if (strcmp(options->cgroup, "auto") != 0) return EX_CANTCREAT;
  }
  const int error = listen_on_socket();
  if (error != 0) {
    complain(error == EADDRINUSE ? "another resident answers on" : "cannot listen on", resident.socket_path, error);
    return EX_CANTCREAT;
  }
  cgroup_sweep_dead(&resident.cgroup);
  (void)!chdir("/"); /* so that no file system is held by our working directory */
  print_ready();
  serve();
  remove_socket();
  return 0;
}

/* From the proxy's port in the program's network namespace to the daemon's proxy, byte for byte. Nothing in here waits, and nothing keeps the shim.
 *
 * A connection is two flows, one each way. A flow reads only while nothing of it waits to be written, so each holds one piece at most, and whoever reads
 * slowly slows down who writes. States of a flow: open → at its end (no more comes) → closed (passed on; the other flow goes on). Both closed end a connection. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shim.h"
#include "util.h"

#define CONNECTIONS_MAX 64
#define PIECE_BYTES (64 * 1024)
/* How long a proxy that has no room for a connection is left alone. */
#define RETRY_US 20000
/* What is still under way when the tree is empty: so many rounds of at most one piece for each flow. */
#define FINISH_ROUNDS_MAX 64

enum side { PROGRAM, PROXY };

struct flow {
  unsigned char *waiting; /* the rest of a piece; NULL: none */
  size_t first, length;
  bool at_end, closed;
};

struct relayed {
  bool used;
  int fds[2];          /* by side */
  uint32_t watched[2]; /* the events that are asked for */
  struct flow flows[2]; /* by the side that they come from */
};

/* One per process; untouched pages of it cost nothing. */
static struct {
  bool begun, listening; /* listening: connections are asked for */
  int listener;
  struct sockaddr_un proxy;
  size_t count;
  struct relayed connections[CONNECTIONS_MAX];
  unsigned char piece[PIECE_BYTES];
} relay;

static void watch_listener(struct shim *shim, bool wanted) {
  if (relay.listening == wanted) return;
  relay.listening = wanted;
  shim_watch(shim, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, relay.listener, EPOLLIN, SOURCE_RELAY_LISTENER);
}

void relay_begin(struct shim *shim, int listener, const char *proxy_socket) {
  relay.begun = true;
  relay.listener = listener;
  relay.proxy.sun_family = AF_UNIX;
  /* The request was refused if it did not fit. */
  strncpy(relay.proxy.sun_path, proxy_socket, sizeof relay.proxy.sun_path - 1);
  watch_listener(shim, true);
}

/* What a program sees as an error of the connection; an end would pass for the end of what it reads. */
static void close_reset(int fd) {
  const struct linger at_once = {.l_onoff = 1};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  close(fd);
}

static void end_connection(struct shim *shim, struct relayed *connection, bool broken) {
  for (enum side side = PROGRAM; side <= PROXY; side++) free(connection->flows[side].waiting);
  if (broken) close_reset(connection->fds[PROGRAM]);
  else close(connection->fds[PROGRAM]);
  close(connection->fds[PROXY]);
  *connection = (struct relayed){.used = false};
  relay.count--;
  if (shim->deadlines[DEADLINE_RELAY] == NEVER) watch_listener(shim, true);
}

static void watch(struct shim *shim, struct relayed *connection) {
  for (enum side side = PROGRAM; side <= PROXY; side++) {
    const struct flow *from = &connection->flows[side], *to = &connection->flows[1 - side];
    const uint32_t wanted = (!from->at_end && from->waiting == NULL ? EPOLLIN : 0u) | (to->waiting != NULL ? EPOLLOUT : 0u);
    if (wanted == connection->watched[side]) continue;
    /* One that nothing is wanted from is let go of: the kernel would tell of its end for ever. */
    const int operation = wanted == 0 ? EPOLL_CTL_DEL : connection->watched[side] == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    const uint32_t source = SOURCE_RELAY + (uint32_t)(connection - relay.connections) * 2 + side;
    shim_watch(shim, operation, connection->fds[side], wanted, source);
    connection->watched[side] = wanted;
  }
}

/* Nobody reads any more at the other end; what comes back from there may still be read. */
static void cut_off(struct flow *flow) {
  free(flow->waiting);
  flow->waiting = NULL;
  flow->at_end = flow->closed = true;
}

/* Bytes that the receiver took. */
static size_t send_some(struct flow *flow, int to, const unsigned char *bytes, size_t length) {
  ssize_t sent;
  do sent = send(to, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  if (sent >= 0) return (size_t)sent;
  if (errno != EAGAIN) cut_off(flow);
  return 0;
}

static void send_waiting(struct flow *flow, int to) {
  const size_t sent = send_some(flow, to, flow->waiting + flow->first, flow->length);
  if (flow->waiting == NULL) return;
  flow->first += sent;
  flow->length -= sent;
  if (flow->length > 0) return;
  free(flow->waiting);
  flow->waiting = NULL;
}

/* False when there is no memory for it. */
static bool keep(struct flow *flow, const unsigned char *bytes, size_t length) {
  flow->waiting = malloc(length);
  if (flow->waiting == NULL) return false;
  memcpy(flow->waiting, bytes, length);
  flow->first = 0;
  flow->length = length;
  return true;
}

enum progress { NONE, SOME, BROKEN };

/* One piece at most. */
static enum progress move(struct flow *flow, int from, int to) {
  if (flow->closed) return NONE;
  const size_t waited = flow->waiting == NULL ? 0 : flow->length;
  if (flow->waiting != NULL) send_waiting(flow, to);
  if (flow->waiting != NULL) return flow->length < waited ? SOME : NONE;
  ssize_t got = 0;
  if (!flow->at_end) {
    got = recv(from, relay.piece, sizeof relay.piece, MSG_DONTWAIT);
    if (got < 0) return errno != EAGAIN && errno != EINTR ? BROKEN : waited > 0 ? SOME : NONE;
  }
  if (got == 0) {
    flow->at_end = flow->closed = true;
    shutdown(to, SHUT_WR);
    return SOME;
  }
  const size_t sent = send_some(flow, to, relay.piece, (size_t)got);
  if (!flow->closed && sent < (size_t)got && !keep(flow, relay.piece + sent, (size_t)got - sent)) return BROKEN;
  return SOME;
}

static enum progress move_both(struct shim *shim, struct relayed *connection) {
  enum progress most = NONE;
  for (enum side side = PROGRAM; side <= PROXY && most != BROKEN; side++) {
    const enum progress progress = move(&connection->flows[side], connection->fds[side], connection->fds[1 - side]);
    if (progress > most) most = progress;
  }
  const bool over = connection->flows[PROGRAM].closed && connection->flows[PROXY].closed;
  if (most == BROKEN || over) end_connection(shim, connection, most == BROKEN);
  else watch(shim, connection);
  return over ? NONE : most;
}

static void add_connection(struct shim *shim, int program, int proxy) {
  struct relayed *connection = relay.connections;
  while (connection->used) connection++;
  *connection = (struct relayed){.used = true, .fds = {program, proxy}};
  relay.count++;
  watch(shim, connection);
}

static void rest(struct shim *shim) {
  watch_listener(shim, false);
  shim->deadlines[DEADLINE_RELAY] = monotonic_us() + RETRY_US;
}

/* False when there is nothing more to take now. The proxy first: while it has no room, what waits for it may as well wait where it is. */
static bool take_connection(struct shim *shim) {
  struct pollfd ready = {.fd = relay.listener, .events = POLLIN};
  if (poll(&ready, 1, 0) != 1) return false;
  const int proxy = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const bool reached = proxy >= 0 && connect(proxy, (const struct sockaddr *)&relay.proxy, sizeof relay.proxy) == 0;
  const bool busy = !reached && (proxy < 0 || errno == EAGAIN);
  const int program = busy ? -1 : accept4(relay.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (program >= 0 && reached) {
    add_connection(shim, program, proxy);
    return true;
  }
  if (busy || (program < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)) rest(shim);
  if (proxy >= 0) close(proxy);
  /* There is no proxy: a program that is told so does not wait for it. */
  if (program >= 0) close_reset(program);
  return program >= 0;
}

void relay_accept(struct shim *shim) {
  shim->deadlines[DEADLINE_RELAY] = NEVER;
  watch_listener(shim, true);
  /* One at a time: the event comes again while more wait. */
  (void)take_connection(shim);
  if (relay.count == CONNECTIONS_MAX) watch_listener(shim, false);
}

void relay_ready(struct shim *shim, uint32_t place) {
  struct relayed *connection = &relay.connections[place / 2];
  /* An event may be left of one that has ended since the kernel told of it. */
  if (connection->used) (void)move_both(shim, connection);
}

void relay_finish(struct shim *shim) {
  if (!relay.begun) return;
  while (relay.count < CONNECTIONS_MAX && take_connection(shim)) continue;
  bool moved = true;
  for (int round = 0; moved && round < FINISH_ROUNDS_MAX; round++) {
    moved = false;
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
      if (relay.connections[i].used && move_both(shim, &relay.connections[i]) == SOME) moved = true;
  }
}

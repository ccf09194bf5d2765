/* The network of a program that may not use the machine's: a namespace with nothing but loopback in it, and in it perhaps the port that leads to the proxy. */
#ifndef HL_NETWORK_H
#define HL_NETWORK_H

#include <stdbool.h>
#include <stddef.h>

#define NETWORK_PROXY_PORT 3128
#define NETWORK_MAP_BYTES 32
#define NETWORK_PROBLEM_BYTES 256

/* How a user namespace shows this user to itself: by the same numbers. Made ahead, because the child that needs it may use system calls only. */
struct network_maps {
  char uid[NETWORK_MAP_BYTES], gid[NETWORK_MAP_BYTES];
};

void network_make_maps(struct network_maps *maps);

/* Moves the calling process into a network namespace of its own, by way of a user namespace where it has no right to it; there it then has every
 * capability. NULL, or what failed, with errno. Async-signal-safe; so are the next two. */
const char *network_enter(const struct network_maps *maps);

/* Listens at the proxy's port and puts the listener into the socket. The same. */
const char *network_hand_over_listener(int socket);

/* What else there is to say about a refusal; NULL when nothing is. */
const char *network_hint(int error);

/* The listener that was put in at the other end; -1 when there is none. */
int network_take_listener(int socket);

/* Tries it in a child. Empty when it works, else what was refused and why. */
void network_probe(char problem[NETWORK_PROBLEM_BYTES]);

#endif

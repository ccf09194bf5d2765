/* Landlock file rules (X1), fail closed (X2). */
#ifndef HL_SANDBOX_H
#define HL_SANDBOX_H

#include <stdbool.h>

enum sandbox_access { SANDBOX_READ, SANDBOX_WRITE };

/* The kernel's Landlock ABI, 0 when it has none. */
int sandbox_abi(void);

/* A ruleset descriptor that allows nothing; -1 with errno and *what set to what failed. */
int sandbox_create(const char **what);

/* Allows what is beneath a path, or the file that it is; a missing path is skipped, and one with a link in it. False with errno for anything else that fails. */
bool sandbox_allow(int ruleset, const char *path, enum sandbox_access access);

/* Adds one open device file with every right that means something there. */
bool sandbox_allow_device(int ruleset, int fd);

/* Binds the calling thread, and what it executes, to the ruleset. Async-signal-safe. */
bool sandbox_enter(int ruleset);

#endif

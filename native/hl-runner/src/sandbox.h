/* Landlock file rules (X1), fail closed (X2). */
#ifndef HL_SANDBOX_H
#define HL_SANDBOX_H

#include <stdbool.h>

/* The kernel's Landlock ABI, 0 when it has none. */
int sandbox_abi(void);

/* A ruleset descriptor made from the paths; a missing path is skipped, everything else that fails is -1 with errno and *what set to what failed. */
int sandbox_prepare(char *const *allow_read, char *const *allow_write, const char **what);

/* Binds the calling thread, and what it executes, to the ruleset. Async-signal-safe. */
bool sandbox_enter(int ruleset);

#endif

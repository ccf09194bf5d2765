/* Capabilities of a sandboxed program: none, also as root, also after every exec (X1). */
#ifndef HL_CAPABILITIES_H
#define HL_CAPABILITIES_H

#include <stdbool.h>

/* Takes them from the calling thread. Root keeps what the permission bits give to its number. False with errno. Async-signal-safe. */
bool capabilities_drop(void);

#endif

/* The filter of system calls that a sandboxed program runs under (X1): what Landlock does not judge and no ordinary tool needs. */
#ifndef HL_SECCOMP_H
#define HL_SECCOMP_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>

/* As far as a jump of the filter's language reaches. The table needs half of it. */
#define SECCOMP_INSTRUCTIONS_MAX 255

struct seccomp_filter {
  struct sock_filter instructions[SECCOMP_INSTRUCTIONS_MAX]; /* at their end */
  size_t length; /* 0: not made yet, or not known for this processor */
  bool allows_namespaces;
};

/* Whether this kernel takes filters, and we have one for this processor. */
bool seccomp_is_offered(void);

/* Makes the filter, unless it is there already. */
void seccomp_make(struct seccomp_filter *filter, bool allow_namespaces);

/* Binds the calling thread, and what it executes, to the filter. Needs no_new_privs. False with errno. Async-signal-safe. */
bool seccomp_enter(const struct seccomp_filter *filter);

#endif

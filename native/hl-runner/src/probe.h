/* What this kernel offers, and what this runner can enforce with it. */
#ifndef HL_PROBE_H
#define HL_PROBE_H

#include <stddef.h>

#include "cgroup.h"

#define PROBE_BYTES 2048

/* One JSON object without a line end; with `cgroup` (NULL: nobody serves) also the limits that are enforced. Returns its length, 0 when it does not fit. */
size_t probe_json(const struct cgroup_base *cgroup, char *json, size_t capacity);

#endif

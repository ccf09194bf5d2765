/* The control group (v2) below which every run gets a group of its own: found or named at the resident's start, handed to each shim by the fork. */
#ifndef HL_CGROUP_H
#define HL_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_PATH_MAX 512
#define CGROUP_NAME_MAX 48

struct cgroup_base {
  int fd; /* of the folder; -1: there is none */
  char path[CGROUP_PATH_MAX];
  bool memory, cpu, processes; /* controllers that the groups below it have */
};

/* `wanted` is `off`, `auto` (our own group, where it was delegated to us) or the absolute path of a group. Moves this process into the leaf `runner`
 * of it and enables the controllers that are offered. False with errno and *what when that fails; base->fd is -1 when there is none to use. */
bool cgroup_base_open(struct cgroup_base *base, const char *wanted, const char **what);

/* Ends and removes the groups below it whose shim is gone. */
void cgroup_sweep_dead(const struct cgroup_base *base);

/* A group below it, named for the shim that makes it. False when it is no group of ours, or its shim lives. */
bool cgroup_name_is_dead(const char *name);

/* Kills everything in the group and below; false where the kernel cannot (before 5.14). */
bool cgroup_kill(int group);

/* By the open descriptor of its cgroup.events. */
bool cgroup_populated(int events);

/* With the groups that a program made in it. 0 or errno; EBUSY while something lives there. */
int cgroup_remove(int parent, const char *name);

bool cgroup_write(int group, const char *file, const char *text);

/* The number behind `key` in a file of lines "key number", or the number that is the whole file (key ""). False when there is none. */
bool cgroup_read(int group, const char *file, const char *key, uint64_t *number);

#endif

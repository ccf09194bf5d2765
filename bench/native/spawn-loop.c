/*
 * The yardstick of `command/execute`: starts a program and waits for its end, with nothing around it.
 * Reads a line with two numbers, how many starts and how many of them at once, and answers each line with one line of the
 * nanoseconds of each start, so that the harness can take turns with other ways of starting the same program.
 * Usage: spawn-loop PROGRAM
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STARTS_MAX = 4096 };

static long long now_ns(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000000000LL + at.tv_nsec;
}

int main(int count, char **arguments) {
  static long long started[STARTS_MAX], took[STARTS_MAX];
  static pid_t pids[STARTS_MAX];
  if (count != 2) return 64;
  char *program[] = {arguments[1], NULL}, *environment[] = {"PATH=/usr/bin:/bin", NULL};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int descriptor = 0; descriptor < 3; descriptor += 1)
    posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_RDWR, 0);
  int starts, at_once;
  while (scanf("%d %d", &starts, &at_once) == 2) {
    if (starts > STARTS_MAX) return 64;
    int begun = 0, ended = 0;
    while (ended < starts) {
      while (begun < starts && begun - ended < at_once) {
        started[begun] = now_ns();
        if (posix_spawn(&pids[begun], arguments[1], &actions, NULL, program, environment) != 0) return 71;
        begun += 1;
      }
      int status;
      pid_t pid = wait(&status);
      if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return 70;
      for (int index = 0; index < begun; index += 1)
        if (pids[index] == pid) took[index] = now_ns() - started[index], pids[index] = 0;
      ended += 1;
    }
    for (int index = 0; index < starts; index += 1) printf("%lld%c", took[index], index + 1 < starts ? ' ' : '\n');
    fflush(stdout);
  }
  return 0;
}

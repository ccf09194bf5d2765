/* See spawn.h. The child shares the shim's memory until it executes (as posix_spawn does it): no page table is copied, the caller waits
 * until the exec has happened or failed, and the failure is simply there to be read. What runs in between may use system calls only. */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capabilities.h"
#include "frames.h"
#include "protocol.h"
#include "sandbox.h"
#include "util.h"

#define CHILD_STACK_BYTES (64 * 1024)

#ifdef __SANITIZE_ADDRESS__
/* The sanitizer's bookkeeping does not survive a second stack in the same memory; the failure then travels through a shared page. */
#define SHARED_MEMORY_FLAG 0
#else
#define SHARED_MEMORY_FLAG CLONE_VM
#endif

struct child_job {
  const struct spawn_plan *plan;
  volatile struct spawn_failure failure;
  volatile struct spawn_result result;
  volatile bool unwanted; /* the connection ended before GO */
  bool enter_group;       /* it was not born there */
};

__attribute__((noreturn)) static void give_up(struct child_job *job, const char *stage) {
  job->failure.stage = stage;
  job->failure.error = errno;
  _exit(127);
}

/* What of the sandbox could not be entered. */
__attribute__((noreturn)) static void give_up_outside(struct child_job *job, const char *what) {
  job->failure.what = what;
  give_up(job, "sandbox");
}

static bool limit_open_files(uint64_t open_files_max) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return false;
  /* Lower is always allowed; a wish above the hard limit ends at the hard limit. */
  if (open_files_max < limit.rlim_max) limit.rlim_max = open_files_max;
  limit.rlim_cur = limit.rlim_max;
  return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static bool enter_group(int group) {
  const int processes = openat(group, "cgroup.procs", O_WRONLY | O_CLOEXEC);
  return processes >= 0 && write(processes, "0", 1) == 1;
}

/* In this order: a namespace takes capabilities to make and gives some, what Landlock and the filter refuse nobody here needs any more. */
__attribute__((no_sanitize("address"))) static void enter_sandbox(struct child_job *job) {
  const struct spawn_plan *plan = job->plan;
  if (plan->request->network != NETWORK_HOST) {
    const char *what = network_enter(plan->maps);
    if (what == NULL && plan->listener_socket >= 0) what = network_hand_over_listener(plan->listener_socket);
    if (what != NULL) {
      job->failure.hint = network_hint(errno);
      give_up_outside(job, what);
    }
  }
  if (plan->request->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) give_up_outside(job, "no_new_privs");
  if (plan->ruleset < 0) return;
  if (!capabilities_drop()) give_up_outside(job, "the capabilities cannot be dropped");
  if (!sandbox_enter(plan->ruleset)) give_up_outside(job, "Landlock");
  if (!seccomp_enter(plan->filter)) give_up_outside(job, "the filter of system calls");
}

/* The child itself waits for GO, so that nobody has to be woken to wake it; its shim is suspended meanwhile, as it is until every exec. */
__attribute__((no_sanitize("address"))) static void wait_for_go(struct child_job *job) {
  static const unsigned char go[FRAME_HEADER_BYTES] = {1, 0, 0, 0, FRAME_GO};
  const struct spawn_plan *plan = job->plan;
  unsigned char bytes[FRAME_HEADER_BYTES];
  size_t length = plan->go_begun_length;
  for (size_t i = 0; i < length; i++) bytes[i] = plan->go_begun[i];
  struct pollfd ready = {.fd = plan->go_connection, .events = POLLIN};
  while (length < sizeof bytes) {
    const ssize_t got = recv(plan->go_connection, bytes + length, sizeof bytes - length, MSG_DONTWAIT);
    if (got > 0) {
      length += (size_t)got;
    } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
      poll(&ready, 1, -1);
    } else {
      job->unwanted = true;
      _exit(127);
    }
  }
  errno = EINVAL;
  if (memcmp(bytes, go, sizeof go) != 0) give_up(job, "protocol");
}

__attribute__((no_sanitize("address"))) static int child_main(void *argument) {
  struct child_job *job = argument;
  const struct spawn_plan *plan = job->plan;
  const struct start_request *request = plan->request;

  /* A shim that is killed takes the main process with it; one that was killed before this could be asked for is no longer the parent. A program of
   * another user (set-user-id) loses this wish in exec. */
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) give_up(job, "fork");
  if (getppid() != plan->shim_pid) _exit(127);
  if (job->enter_group) job->result.in_group = enter_group(plan->group);
  if (plan->group_required && !job->result.in_group) give_up(job, "limits");
  setsid();
  for (int fd = 0; fd < 3; fd++)
    if (dup2(plan->stdio[fd], fd) < 0) give_up(job, "fork");
  if (plan->terminal && ioctl(0, TIOCSCTTY, 0) != 0) give_up(job, "fork");
  umask(022);
  if (request->open_files_max != 0 && !limit_open_files(request->open_files_max)) give_up(job, "limits");
  if (chdir(request->cwd) != 0) give_up(job, "cwd");
  enter_sandbox(job);

  if (plan->go_connection >= 0) wait_for_go(job);
  job->result.wall_ms = wall_ms();
  job->result.monotonic_us = monotonic_us();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(request->file, request->argv, request->env);
  give_up(job, "exec");
}

/* Born in the group: moving there afterwards waits for every processor, and leaves a moment outside of it. -1 where that cannot be done. The child
 * goes on below the caller's frame, as after vfork; it never returns, so that nothing of the caller is touched. */
__attribute__((noinline)) static pid_t clone_into_group(struct child_job *job) {
#if !defined(__SANITIZE_ADDRESS__) && (defined(__x86_64__) || defined(__aarch64__))
  struct clone_args arguments = {
      .flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP,
      .exit_signal = SIGCHLD,
      .cgroup = (unsigned)job->plan->group,
  };
#ifdef __x86_64__
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "0"((long)SYS_clone3), "D"(&arguments), "S"(sizeof arguments) : "rcx", "r11", "memory");
#else
  register long number __asm__("x8") = SYS_clone3;
  register long result __asm__("x0") = (long)&arguments;
  register size_t size __asm__("x1") = sizeof arguments;
  __asm__ volatile("svc 0" : "+r"(result) : "r"(number), "r"(size) : "memory");
#endif
  if (result == 0) _exit(child_main(job));
  return result < 0 ? -1 : (pid_t)result;
#else
  (void)job;
  return -1;
#endif
}

static pid_t clone_child(struct child_job *job) {
  static unsigned char stack[CHILD_STACK_BYTES] __attribute__((aligned(16)));
  job->result.in_group = true;
  pid_t pid = job->plan->group < 0 ? -1 : clone_into_group(job);
  if (pid >= 0) return pid;
  job->enter_group = job->plan->group >= 0;
  job->result.in_group = false;
  return clone(child_main, stack + sizeof stack, SHARED_MEMORY_FLAG | CLONE_VFORK | SIGCHLD, job);
}

pid_t spawn_program(const struct spawn_plan *plan, struct spawn_result *result, struct spawn_failure *failure) {
#ifdef __SANITIZE_ADDRESS__
  struct child_job *job = mmap(NULL, sizeof *job, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (job == MAP_FAILED) {
    *failure = (struct spawn_failure){.stage = "fork", .error = errno};
    return -1;
  }
#else
  struct child_job job_here, *job = &job_here;
#endif
  job->plan = plan;
  job->result.wall_ms = 0;
  job->failure.stage = job->failure.what = job->failure.hint = NULL;
  job->unwanted = false;
  job->enter_group = false;
  const pid_t pid = clone_child(job);
  if (pid < 0) {
    *failure = (struct spawn_failure){.stage = "fork", .error = errno};
    return -1;
  }
  *result = (struct spawn_result){.wall_ms = job->result.wall_ms, .monotonic_us = job->result.monotonic_us, .in_group = job->result.in_group};
  /* Somebody may have killed it on its way (while it waited for GO there was time enough): then it came to no exec either. */
  const bool killed = job->failure.stage == NULL && !job->unwanted && result->wall_ms == 0;
  if (job->failure.stage == NULL && !job->unwanted && !killed) return pid;
  *failure = killed ? (struct spawn_failure){.stage = "fork", .error = ECHILD} : (struct spawn_failure){.stage = job->failure.stage, .error = job->failure.error, .what = job->failure.what, .hint = job->failure.hint};
  waitpid(pid, NULL, 0);
  return -1;
}

/* What a command needs around it: private folders and the ruleset of its sandbox. PREPARE brings what is known before the command is (opening some fifty
 * paths takes longer than starting a program), START the rest. What fails is kept and told at START: before it nobody waits for an answer. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "remove.h"
#include "sandbox.h"
#include "shim.h"
#include "spare.h"

#define PRIVATE_MODE 0700

static void fail(struct shim *shim, const char *stage, const char *what, int error) {
  struct prepare_failure *failure = &shim->prepare_failure;
  if (failure->stage != NULL) return;
  failure->stage = stage;
  failure->error = error;
  snprintf(failure->what, sizeof failure->what, "%s", what);
}

static void make_directory(struct shim *shim, const char *path) {
  if (mkdir(path, PRIVATE_MODE) != 0 && errno != EEXIST) fail(shim, "log", path, errno);
}

static void make_temporary(struct shim *shim, const char *path) {
  if (shim->temporary != NULL && strcmp(shim->temporary, path) == 0) return;
  if (shim->temporary != NULL) {
    fail(shim, "protocol", "temporary is another one than in PREPARE", EINVAL);
    return;
  }
  /* A folder that is there is somebody else's, and ours is removed with all it holds. */
  if (!spare_make_path(path, PRIVATE_MODE)) fail(shim, "log", path, errno);
  else if ((shim->temporary = strdup(path)) == NULL) fail(shim, "log", path, ENOMEM);
}

static void add_rules(struct shim *shim, char *const *paths, enum sandbox_access access) {
  for (; *paths != NULL && shim->ruleset >= 0; paths++)
    if (!sandbox_allow(shim->ruleset, *paths, access)) fail(shim, "sandbox", *paths, errno);
}

void prepare(struct shim *shim, const struct preparation *preparation, bool sandbox, bool allow_namespaces) {
  for (char **path = preparation->make_directory; *path != NULL; path++) make_directory(shim, *path);
  if (preparation->temporary != NULL) make_temporary(shim, preparation->temporary);
  if (!sandbox) return;
  const char *what;
  if (shim->ruleset < 0 && (shim->ruleset = sandbox_create(&what)) < 0) fail(shim, "sandbox", what, errno);
  seccomp_make(&shim->filter, allow_namespaces);
  add_rules(shim, preparation->allow_read, SANDBOX_READ);
  add_rules(shim, preparation->allow_write, SANDBOX_WRITE);
}

void prepare_ahead(struct shim *shim, struct frame *frame) {
  struct start_request request;
  const char *why = start_request_decode(frame, &request);
  if (why != NULL) wire_fail_and_leave(shim, "protocol", EINVAL, why);
  const struct preparation *wanted = &request.preparation;
  prepare(shim, wanted, *wanted->allow_read != NULL || *wanted->allow_write != NULL, false);
  start_request_free(&request);
}

void prepare_remove_temporary(struct shim *shim) {
  if (shim->temporary == NULL) return;
  /* Empty nearly always. What cannot be removed is garbage, and the next sweep of this run meets it. */
  if (!spare_remove_path(shim->temporary, PRIVATE_MODE) && errno != ENOENT) {
    /* What a program without a sandbox has put in its place goes too: by its name, never where it leads. */
    if (remove_folder(shim->temporary) == ENOTDIR) unlink(shim->temporary);
  }
  free(shim->temporary);
  shim->temporary = NULL;
}

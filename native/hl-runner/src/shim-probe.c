/* PROBE: a runner answers for itself, because the daemon may be another user, in another unit, with other rights. */
#include "probe.h"
#include "shim.h"

void shim_probe(struct shim *shim) {
  char json[PROBE_BYTES];
  unsigned char bytes[PROBE_BYTES + CGROUP_PATH_MAX + 64];
  struct frame_writer writer = {.bytes = bytes, .capacity = sizeof bytes};
  const size_t length = probe_json(shim->cgroup, json, sizeof json);
  start_remove_directory(shim);
  frame_begin(&writer, FRAME_PROBED);
  frame_put_bytes(&writer, TAG_MESSAGE, json, length);
  if (shim->cgroup->fd >= 0) frame_put_text(&writer, TAG_CGROUP, shim->cgroup->path);
  frame_end(&writer);
  wire_answer_and_leave(shim, bytes, writer.length);
}

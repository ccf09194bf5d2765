/* What the daemon's frames ask for. A frame that cannot be obeyed is refused by itself; nothing else changes. */
#include <errno.h>
#include <string.h>

#include "shim.h"
#include "util.h"

static const char *known_reason(const struct field *field) {
  static const char *const reasons[] = {"cancelled", "timeout", "idle_timeout", "oom", "shutdown", "daemon_lost", "unknown"};
  for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
    if (strlen(reasons[i]) == field->length && memcmp(reasons[i], field->bytes, field->length) == 0) return reasons[i];
  return NULL;
}

struct control {
  uint64_t signal, scope, grace_ms, rows, columns;
  const char *reason;
};

static uint64_t *number_place(struct control *control, uint16_t tag) {
  switch (tag) {
    case TAG_SIGNAL: return &control->signal;
    case TAG_SCOPE: return &control->scope;
    case TAG_GRACE_MS: return &control->grace_ms;
    case TAG_ROWS: return &control->rows;
    case TAG_COLUMNS: return &control->columns;
    default: return NULL;
  }
}

/* NULL when the frame is good. INPUT's bytes are handed on as they come. */
static const char *read_control(struct shim *shim, const struct frame *frame, struct control *control) {
  struct field_cursor cursor = field_cursor_of(frame);
  struct field field;
  int more;
  while ((more = field_parse(&cursor, &field)) > 0) {
    uint64_t *number = number_place(control, field.tag);
    if (number != NULL && !field_number(&field, number)) return "a number field is not 8 bytes long";
    if (field.tag == TAG_REASON && (control->reason = known_reason(&field)) == NULL) return "reason is none of the known ones";
    if (field.tag == TAG_DATA && frame->type == FRAME_INPUT) input_push(shim, field.bytes, field.length);
  }
  return more < 0 ? "a field is longer than the frame" : NULL;
}

void control_handle(struct shim *shim, struct frame *frame) {
  if (frame->type == FRAME_START) {
    if (!shim->started) shim_start(shim, frame);
    else shim->refusal_due = "START: this shim has started its program";
    return;
  }
  if (frame->type == FRAME_PREPARE && !shim->started) {
    prepare_ahead(shim, frame);
    return;
  }
  if (!shim->started && frame->type == FRAME_PROBE) shim_probe(shim);
  if (!shim->started && (frame->type == FRAME_SWEEP || frame->type == FRAME_REMOVE)) shim_sweep(shim, frame);
  if (!shim->started) wire_fail_and_leave(shim, "protocol", EINVAL, "the first frame is not START");
  struct control control = {.grace_ms = shim->grace_ms, .reason = "cancelled"};
  const char *why = read_control(shim, frame, &control);
  if (why != NULL) {
    shim->refusal_due = why;
    return;
  }
  switch (frame->type) {
    case FRAME_SIGNAL:
      if (control.signal < 1 || control.signal > 64 || control.scope > SCOPE_TREE) shim->refusal_due = "SIGNAL: signal is not 1 to 64 or scope not 0 to 2";
      else stop_signal(shim, (int)control.signal, control.scope);
      break;
    case FRAME_STOP: stop_begin(shim, control.reason, control.grace_ms); break;
    case FRAME_INPUT:
      /* Whoever writes waits for what comes of it: it is told at once, and what was asked for is no flood. */
      shim->output_next_us = 0;
      priority_forget(shim);
      break;
    case FRAME_INPUT_EOF: input_finish(shim); break;
    case FRAME_RESIZE: terminal_resize(shim, control.rows, control.columns); break;
    case FRAME_RELEASE:
      shim->released = shim->end_known;
      if (shim->released) shim->deadlines[DEADLINE_RECORD] = NEVER;
      break;
    case FRAME_GO: break; /* it came together with its START, or after one that did not wait for it */
    default: shim->refusal_due = "unknown frame type"; break;
  }
}

/**
 * What each key of daemon.json and security.json does: the module that obeys it, and the tests that fail if it did nothing. docs/enforcement.md is
 * rendered from here and the declarations; tests/tidy/enforcement.test.ts looks the modules and tests up.
 */
import { accessRows } from "./access.ts";
import { linkRows } from "./link.ts";
import { serviceRows } from "./service.ts";
import { workRows } from "./work.ts";
import type { Enforced } from "./proofs.ts";

export const enforcement: Readonly<Record<string, Enforced>> = {
  ...linkRows,
  ...workRows,
  ...serviceRows,
  ...accessRows,
};

const toldByTheCloud = "the cloud names this path in its answer to the registration, and that one holds";

/** Keys of the specification that are read by nobody, with what they wait for. It may only shrink. */
export const withoutEffect: Readonly<Record<string, string>> = {
  "daemon.json:/cloud_api/endpoints/token": toldByTheCloud,
  "daemon.json:/cloud_api/endpoints/heartbeat": toldByTheCloud,
  "daemon.json:/cloud_api/endpoints/commands": toldByTheCloud,
  "daemon.json:/cloud_api/endpoints/events": toldByTheCloud,
  "daemon.json:/cloud_api/endpoints/status": toldByTheCloud,
  "daemon.json:/cloud_api/connection/retry_attempts": "a request is put back and tried again without end (ADR 17)",
  "daemon.json:/cloud_api/connection/keepalive": "connections are always kept between requests",
  "daemon.json:/claude_integration/communication/buffer_size": "reads are as large as the output that waits",
  "daemon.json:/claude_integration/communication/message_delimiter":
    'a line ends with "\\n", and "\\r\\n" is understood',
  "daemon.json:/event_streaming/encryption": "events leave only over TLS or on this machine, whatever it says",
};

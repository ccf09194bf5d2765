/**
 * What faults act on: the two programs, the path between them, and what is arranged around the daemon.
 */
import { join } from "node:path";
import { cloudApiSection } from "@hl/config/sections/cloud-api.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestCloud, TestDaemon, testInstanceId } from "@hl/testkit/system.ts";
import type { Operator } from "@hl/testkit/operator.ts";
import { PathProxy } from "./path-proxy.ts";
import { eventBytesMax } from "./payload.ts";
import { SmallDisk, whyNoSmallDisk } from "./small-disk.ts";
import { findFaketime, WallClock } from "./wall-clock.ts";

export interface World extends AsyncDisposable {
  readonly cloud: TestCloud;
  readonly daemon: TestDaemon;
  readonly operator: Operator;
  readonly proxy: PathProxy;
  /** Below the daemon's data; a reason where none can be mounted. */
  readonly disk: SmallDisk | string;
  /** A reason where libfaketime is not installed. */
  readonly wallClock: WallClock | string;
}

/** Quick to notice and to come back, so that a minute holds many faults. Only what this version knows is set. */
const connection: Readonly<Record<string, number>> = {
  timeout: 3,
  connect_timeout: 3,
  retry_delay: 0.1,
  max_retry_delay: 1,
  reconnect_spread: 0.5,
  healthy_after: 1,
  refused_retry_delay: 0.1,
  refused_retry_delay_max: 1,
  revoked_retry_delay: 0.1,
  revoked_retry_delay_max: 1,
  retry_after_max: 2,
  heartbeat_interval: 1,
  heartbeat_interval_min: 0.5,
  ping_interval: 0.5,
  dead_after: 2,
};

export async function startWorld(): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(temporaryFolder("oracle"));
  const cloud = stack.use(await TestCloud.start());
  const proxy = stack.use(await PathProxy.start(cloud.url));
  const faketime = findFaketime();
  const wallClock =
    faketime === undefined ? "libfaketime is not installed" : new WallClock(faketime, join(folder.path, "clock"));
  const noDisk = whyNoSmallDisk(join(folder.path, "disk"));
  let disk: SmallDisk | undefined;
  const known = Object.keys(cloudApiSection.keys.connection.keys);
  const daemon = await TestDaemon.start({
    config: {
      cloud_api: { connection: Object.fromEntries(Object.entries(connection).filter(([key]) => known.includes(key))) },
      event_streaming: { flush_interval: 0.05, max_queue_size: 1_000_000, max_event_bytes: eventBytesMax },
      process_management: { allowed_commands: ["sh"] },
    },
    env: {
      HL_CLOUD_API__BASE_URL: proxy.url,
      HL_ENROLLMENT_TOKEN: await cloud.enroll(testInstanceId),
      HL_DAEMON__INSTANCE_ID: testInstanceId,
      HL_DAEMON__WORKSPACE_ID: "oracle",
      ...(wallClock instanceof WallClock ? wallClock.env : {}),
    },
    ...(noDisk === undefined ? { prepare: (home: string) => (disk = SmallDisk.mount(join(home, "data"))) } : {}),
  });
  stack.use(daemon);
  const operator = cloud.operator(testInstanceId);
  await operator.online();
  const owned = stack.move();
  return {
    cloud,
    daemon,
    operator,
    proxy,
    disk: disk ?? noDisk ?? "",
    wallClock,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

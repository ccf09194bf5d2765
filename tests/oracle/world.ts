/**
 * What faults act on: the two programs, the path between them, and what is arranged around the daemon.
 */
import { join } from "node:path";
import { cloudApiSection } from "@hl/config/sections/cloud-api.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestCloud, TestDaemon, testInstanceId } from "@hl/testkit/system.ts";
import { FailingDisk } from "@hl/testkit/failing-disk.ts";
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
  readonly cloudClock: WallClock | string;
  /** The daemon's data, when calls on it fail; a reason where there is no C compiler. */
  readonly failingDisk: FailingDisk | string;
  readonly traffic: Traffic;
}

/** What callers were told so far. */
export interface Traffic {
  /** Events that were accepted. */
  accepted: number;
  /** Events and commands that the daemon did not take, for a reason of its disk. */
  refused: number;
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
  dead_after: 4,
};

export async function startWorld(): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(temporaryFolder("oracle"));
  const faketime = findFaketime();
  const clock = (name: string): WallClock | string =>
    faketime === undefined ? "libfaketime is not installed" : new WallClock(faketime, join(folder.path, name));
  const [wallClock, cloudClock] = [clock("clock"), clock("cloud-clock")];
  const cloud = stack.use(await TestCloud.start({ env: envOf(cloudClock) }));
  const proxy = stack.use(await PathProxy.start(cloud.url));
  const failingDisk = FailingDisk.build(folder.path);
  if (failingDisk instanceof FailingDisk) stack.use(failingDisk);
  const noDisk = whyNoSmallDisk(join(folder.path, "disk"));
  let disk: SmallDisk | undefined;
  const known = Object.keys(cloudApiSection.keys.connection.keys);
  const daemon = await TestDaemon.start({
    config: {
      cloud_api: {
        connection: Object.fromEntries(Object.entries(connection).filter(([key]) => known.includes(key))),
        // Recovery is judged, and not the pace of a backlog: it asks far more often here than anybody has it do.
        rate_limiting: { requests_per_minute: 60_000, burst_limit: 1_000 },
      },
      event_streaming: { flush_interval: 0.05, max_queue_size: 1_000_000, max_event_bytes: eventBytesMax },
      process_management: { allowed_commands: ["sh"] },
    },
    env: {
      HL_CLOUD_API__BASE_URL: proxy.url,
      HL_ENROLLMENT_TOKEN: await cloud.enroll(testInstanceId),
      HL_DAEMON__INSTANCE_ID: testInstanceId,
      HL_DAEMON__WORKSPACE_ID: "oracle",
      ...envOf(wallClock, failingDisk),
    },
    ...(noDisk === undefined ? { prepare: (home: string) => (disk = SmallDisk.mount(join(home, "data"))) } : {}),
  });
  stack.use(daemon);
  if (failingDisk instanceof FailingDisk) failingDisk.below(join(daemon.home, "data"));
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
    cloudClock,
    failingDisk,
    traffic: { accepted: 0, refused: 0 },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Of those that are there; all their libraries together. */
function envOf(...parts: readonly (WallClock | FailingDisk | string)[]): Record<string, string> {
  const envs = parts.flatMap((part) => (typeof part === "string" ? [] : [part.env as Record<string, string>]));
  const libraries = envs.map((env) => env["LD_PRELOAD"]).join(":");
  return { ...Object.assign({}, ...envs), ...(libraries === "" ? {} : { LD_PRELOAD: libraries }) };
}

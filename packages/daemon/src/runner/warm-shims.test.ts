/** Goal: shims wait in a pool that follows the demand, and a held start never starts twice or unasked. Method: the real resident; time moved by hand. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";
import { findRunnerBinary } from "../host-facts.ts";
import { StartFailed, type StartRequest } from "./records.ts";
import { Resident } from "./resident.ts";
import { Runner } from "./runner.ts";
import { WarmShims } from "./warm-shims.ts";

class World implements AsyncDisposable {
  readonly root: string;
  readonly socketPath: string;
  readonly clock = new ManualClock();
  readonly #stack: AsyncDisposableStack;

  private constructor(root: string, stack: AsyncDisposableStack) {
    this.root = root;
    this.socketPath = join(root, "r.sock");
    this.#stack = stack;
  }

  static async make(): Promise<World> {
    const stack = new AsyncDisposableStack();
    const folder = stack.use(temporaryFolder("hlw"));
    const root = realpathSync(folder.path);
    mkdirSync(join(root, "state"));
    stack.use(await Resident.start(findRunnerBinary(), join(root, "r.sock"), join(root, "state")));
    return new World(root, stack);
  }

  runner(warmShims = 1): Runner {
    const { socketPath, clock } = this;
    return this.#stack.use(new Runner({ socketPath, stateDirectory: join(this.root, "state"), warmShims, clock }));
  }

  pool(least: number, most: number): WarmShims {
    return this.#stack.use(new WarmShims({ socketPath: this.socketPath, least, most, clock: this.clock }));
  }

  /** Leaves a file behind when it runs. */
  request(id: string, file: string): StartRequest {
    const argv = ["/bin/touch", join(this.root, file)];
    return { id, argv, env: {}, cwd: "/", stdin: "null", graceMs: 1_000, openFilesMax: 64, logBytesMax: 65_536 };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

describe("warm shims", () => {
  test("the pool doubles when it is found empty, up to its limit, and is small again when it has been quiet", async () => {
    await using w = await World.make();
    const pool = w.pool(1, 4);
    pool.fill();
    assert.equal(pool.size, 1);
    const sizes: number[] = [];
    for (let burst = 0; burst < 4; burst += 1) {
      const taken = Array.from({ length: pool.size + 1 }, () => pool.take());
      for (const { connected } of taken) (await connected)?.detach();
      pool.fill();
      sizes.push(pool.size);
    }
    assert.deepEqual(sizes, [2, 4, 4, 4]);
    await w.clock.advance(5_000);
    assert.equal(pool.size, 1);
  });

  test("a run that lasts does not keep the pool empty", async () => {
    await using w = await World.make();
    const pool = w.pool(1, 1);
    pool.fill();
    const { connected } = pool.take();
    assert.equal(pool.size, 0);
    await w.clock.advance(25);
    assert.equal(pool.size, 1);
    (await connected)?.detach();
  });

  test("one that cannot be connected does not stay in the pool", async () => {
    await using w = await World.make();
    using pool = new WarmShims({ socketPath: join(w.root, "none.sock"), least: 2, most: 2, clock: w.clock });
    pool.fill();
    await until("the pool to be empty", () => pool.size === 0);
    assert.equal(await pool.take().connected, undefined);
  });
});

describe("held starts", () => {
  test("C1: nothing runs before `go`, and giving up leaves nothing behind", async () => {
    await using w = await World.make();
    const runner = w.runner();
    await runner.open();
    const first = runner.reserve();
    const held = runner.hold(first, ({ runId }) => w.request(runId, "first"));
    await until("its folder", () => existsSync(join(w.root, "state", first.runId)));
    held.giveUp();
    await until("its folder to be gone", () => !existsSync(join(w.root, "state", first.runId)));
    assert.equal(existsSync(join(w.root, "first")), false);
    const second = runner.reserve();
    const run = await runner.go(
      runner.hold(second, ({ runId }) => w.request(runId, "second")),
      never,
    );
    assert.equal((await run.ended).exitCode, 0);
    assert.equal(run.id, second.runId);
    assert.equal(existsSync(join(w.root, "second")), true);
    run.release();
  });

  test("what was prepared for something else, or by a shim that has gone, is started by another one, once", async () => {
    await using w = await World.make();
    const runner = w.runner();
    await runner.open();
    const stale = runner.reserve();
    const asked: string[] = [];
    const whole = (file: string, id: string) => (): StartRequest => {
      asked.push(file);
      return w.request(id, file);
    };
    const run = await runner.go(
      runner.hold(stale, () => undefined),
      whole("stale", stale.runId),
    );
    await run.ended;
    const gone = runner.reserve();
    (await gone.connected)?.detach();
    const again = await runner.go(
      runner.hold(gone, () => w.request(gone.runId, "gone")),
      whole("gone", gone.runId),
    );
    await again.ended;
    assert.deepEqual(asked, ["stale", "gone"]);
    for (const file of asked) assert.equal(existsSync(join(w.root, file)), true);
    for (const one of [run, again]) one.release();
  });

  test("a refusal of what is prepared is told by `go`, and nobody else is asked", async () => {
    await using w = await World.make();
    const runner = w.runner();
    await runner.open();
    const warm = runner.reserve();
    const held = runner.hold(warm, ({ runId }) => ({ ...w.request(runId, "never"), cwd: join(w.root, "missing") }));
    await assert.rejects(runner.go(held, never), (error) => error instanceof StartFailed && error.stage === "cwd");
    assert.equal(existsSync(join(w.root, "never")), false);
  });
});

function never(): never {
  throw new Error("no other shim was to be asked");
}

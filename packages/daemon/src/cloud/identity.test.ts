/**
 * Goal: C4: whatever is lost while the tokens are rotated, the VM gets in again, with the same rotation, and is never locked out.
 * Method: a scripted cloud that keeps the rules of rotation (the old token until the new one is used); a restart is a new Identity
 * over the same files, a crash between two files is a file that cannot be written.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { errorTable, HlError } from "@hl/protocol/errors.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { failure, lost, result, ScriptedCloud, type Received, type Responder } from "./cloud.fixture.test.ts";
import type { CloudHttp } from "./http.ts";
import { Identity, resolveUrl } from "./identity.ts";

const never = new AbortController().signal;
const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
/** Not signed: who verifies it is the cloud. */
const jwt = (name: string, iat: number, exp: number): string =>
  `${part({ alg: "none" })}.${part({ name, iat, exp })}.x`;

/** One family of tokens, by the rules of the design: a replaced token is good until its successor is used, then it fences. */
class Family {
  readonly rotations: string[] = [];
  lifeSeconds = 1_000;
  #generation = 0;
  #current = "refresh-0";
  #previous: string | undefined;
  #fenced = false;
  readonly #clock: ManualClock;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  tokens(): { access_token: string; refresh_token: string } {
    const now = this.#clock.wallMs() / 1000;
    return {
      access_token: jwt(`access-${this.#generation}`, now, now + this.lifeSeconds),
      refresh_token: this.#current,
    };
  }

  readonly rotate: Responder = (received: Received) => {
    const { refresh_token: presented, rotation_id: rotation } = received.body.params as Record<string, string>;
    const isNew = this.rotations.at(-1) !== rotation;
    if (this.#fenced || (presented !== this.#current && presented !== this.#previous)) {
      this.#fenced = true;
      return failure(received, errorTable.token_superseded.code, "fenced");
    }
    if (presented === this.#current && isNew) {
      this.#previous = this.#current;
      this.#generation += 1;
      this.#current = `refresh-${this.#generation}`;
      this.rotations.push(rotation!);
    } else if (presented === this.#previous && isNew) {
      throw new Error("a repeated refresh came with another rotation");
    }
    return result(received, this.tokens());
  };

  /** The rotation happens, and its answer is lost. */
  readonly rotateAndLose: Responder = async (received, response) => {
    await this.rotate(received, response);
    response.destroy();
  };

  readonly register: Responder = (received) =>
    result(received, {
      ...this.tokens(),
      registration_id: `registration-${this.#generation}`,
      api_endpoints: { commands: "/c", events: "/e", heartbeat: "/h", status: "/s", token: "/t" },
      configuration: { heartbeat_interval: 30, event_batch_size: 100, log_level: "info" },
    });
}

class World implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly family = new Family(this.clock);
  readonly cloud: ScriptedCloud;
  readonly #http: CloudHttp;
  readonly #folder = temporaryFolder("hl-identity");

  private constructor(cloud: ScriptedCloud) {
    this.cloud = cloud;
    this.#http = cloud.client(this.clock);
  }

  static async make(): Promise<World> {
    return new World(await ScriptedCloud.start());
  }

  file(name: string): string {
    return join(this.#folder.path, name);
  }

  /** As after a start of the daemon. */
  identity(enrollmentToken?: string): Identity {
    return new Identity({
      http: this.#http,
      clock: this.clock,
      baseUrl: this.cloud.url,
      paths: {
        register: "/of/another/register",
        ...{ commands: "/own/c", events: "/own/e", heartbeat: "/own/h", status: "/own/s", token: "/own/t" },
      },
      accessTokenFile: this.file("access"),
      refreshTokenFile: this.file("refresh"),
      enrollmentTokenFile: this.file("enrollment"),
      enrollmentToken,
      registrationFile: this.file("registration.json"),
      rotationFile: this.file("rotation"),
      refreshThresholdMs: 300_000,
      describe: () => ({
        instance_id: "vm-1",
        workspace_id: "",
        capabilities: [],
        system_info: { os: "", arch: "", memory: 1, cpu_cores: 1, disk_space: 1 },
      }),
    });
  }

  async enrolled(): Promise<Identity> {
    this.cloud.next(this.family.register);
    const identity = this.identity("once");
    await identity.ensureRegistered(never);
    return identity;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http[Symbol.asyncDispose]();
    await this.cloud[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

const refused =
  (type: string) =>
  (error: unknown): boolean =>
    error instanceof HlError && error.type === type;

test("the path of registration is the configured one", async () => {
  await using w = await World.make();
  const asked: string[] = [];
  w.cloud.next((received, response) => {
    asked.push(received.path);
    return w.family.register(received, response);
  });
  await w.identity("once").ensureRegistered(never);
  assert.deepEqual(asked, ["/of/another/register"]);
});

test("each path is the one that the cloud has named, else the configured one", async () => {
  await using w = await World.make();
  const named = w.cloud.url;
  assert.equal(w.identity("once").url("events"), `${named}/own/e`); // Nobody has named any yet.
  const identity = await w.enrolled();
  const endpoints = ["commands", "events", "heartbeat", "status", "token"] as const;
  assert.deepEqual(
    endpoints.map((endpoint) => identity.url(endpoint)),
    ["/c", "/e", "/h", "/s", "/t"].map((path) => named + path),
  );
  writeFileSync(
    w.file("registration.json"),
    JSON.stringify({ ...identity.registration, api_endpoints: { events: "/e" } }),
  );
  const again = w.identity();
  assert.deepEqual(
    endpoints.map((endpoint) => again.url(endpoint)),
    ["/own/c", "/e", "/own/h", "/own/s", "/own/t"].map((path) => named + path),
  );
});

describe("identity: rotation (C4)", () => {
  test("C4: a refresh that is lost before, at or after the cloud is repeated with the same rotation, also after a restart", async () => {
    for (const restart of [false, true]) {
      await using w = await World.make();
      let identity = await w.enrolled();
      w.cloud.next(lost, w.family.rotateAndLose, lost, (_received, response) => response.writeHead(200).end("<html>"));
      for (let attempt = 0; attempt < 4; attempt += 1) {
        await assert.rejects(identity.refresh(never), { name: "CloudUnreachable" });
        if (restart) identity = w.identity();
      }
      w.cloud.next(w.family.rotate);
      const token = await identity.refresh(never);
      assert.equal(token, w.family.tokens().access_token);
      const ids = new Set(w.cloud.received.slice(1).map(({ body }) => body.params.rotation_id as string));
      assert.equal(ids.size, 1, "one rotation has one id");
      assert.equal(w.family.rotations.length, 1);
      // The next one is another.
      w.cloud.next(w.family.rotate);
      await identity.refresh(never);
      assert.equal(new Set(w.family.rotations).size, 2);
    }
  });

  test("C4: a crash at any file of a rotation costs one more refresh and nothing else", async () => {
    for (const file of ["rotation", "refresh", "access"]) {
      await using w = await World.make();
      const before = await w.enrolled();
      const saved = readFileSync(w.file(file === "rotation" ? "access" : file));
      rmSync(w.file(file), { force: true });
      const isRead = file === "refresh";
      if (!isRead)
        mkdirSync(w.file(file)); // Nothing can be renamed onto a folder.
      else writeFileSync(w.file(file), saved);
      w.cloud.next((received, response) => {
        if (!isRead) return w.family.rotate(received, response);
        rmSync(w.file(file));
        mkdirSync(w.file(file));
        return w.family.rotate(received, response);
      });
      await assert.rejects(before.refresh(never), { code: /EISDIR|ENOTEMPTY|EEXIST/ });
      rmSync(w.file(file), { recursive: true });
      if (file !== "rotation") writeFileSync(w.file(file), saved);
      w.cloud.otherwise(w.family.rotate);
      const after = w.identity();
      assert.equal(await after.refresh(never), w.family.tokens().access_token, file);
      assert.equal(readFileSync(w.file("refresh"), "utf8").trim(), w.family.tokens().refresh_token);
      assert.equal(readFileSync(w.file("access"), "utf8").trim(), w.family.tokens().access_token);
    }
  });

  test("C4: a registration whose answer was lost, or that broke between its files, is repeated with the same token", async () => {
    await using w = await World.make();
    writeFileSync(w.file("enrollment"), "once\n");
    w.cloud.next(lost, w.family.register);
    await assert.rejects(w.identity().ensureRegistered(never), { name: "CloudUnreachable" });
    mkdirSync(w.file("registration.json"));
    await assert.rejects(w.identity().ensureRegistered(never));
    rmSync(w.file("registration.json"), { recursive: true });
    w.cloud.next(w.family.register);
    const identity = w.identity();
    assert.equal((await identity.ensureRegistered(never)).registration_id, "registration-0");
    assert.deepEqual(
      w.cloud.received.map(({ authorization }) => authorization),
      Array(3).fill("Bearer once"),
    );
    assert.throws(() => statSync(w.file("enrollment")), { code: "ENOENT" }); // Used up.
    for (const name of ["refresh", "access", "registration.json"])
      assert.equal(statSync(w.file(name)).mode & 0o777, 0o600);
    // Known from now on, without asking.
    assert.equal((await w.identity().ensureRegistered(never)).registration_id, "registration-0");
    assert.equal(w.cloud.received.length, 3);
  });

  test("C4: callers at the same time share one rotation", async () => {
    await using w = await World.make();
    const identity = await w.enrolled();
    w.cloud.next(w.family.rotate);
    const tokens = await Promise.all([identity.refresh(never), identity.refresh(never), identity.refresh(never)]);
    assert.equal(new Set(tokens).size, 1);
    assert.equal(w.cloud.received.length, 2);
  });
});

describe("identity: the access token", () => {
  test("it is renewed the threshold before its expiry, half-way when it lives shorter than that, and not before", async () => {
    for (const [lifeSeconds, dueSeconds] of [
      [1_000, 700],
      [100, 50],
    ] as const) {
      await using w = await World.make();
      w.family.lifeSeconds = lifeSeconds;
      const identity = await w.enrolled();
      const first = await identity.accessToken(never);
      await w.clock.advance(dueSeconds * 1000 - 1);
      assert.equal(await identity.accessToken(never), first);
      assert.equal(identity.refreshInMs, 1);
      await w.clock.advance(1);
      w.cloud.next(w.family.rotate);
      assert.notEqual(await identity.accessToken(never), first);
      assert.equal(w.cloud.received.length, 2);
    }
  });

  test("while the cloud cannot renew it a token serves to its end; a refusal counts at once", async () => {
    await using w = await World.make();
    const identity = await w.enrolled();
    const first = await identity.accessToken(never);
    await w.clock.advance(999_000);
    assert.equal(await identity.accessToken(never), first); // Lost: the cloud does not answer.
    w.cloud.next((received) => failure(received, errorTable.unauthenticated.code, "no"));
    await assert.rejects(identity.accessToken(never), refused("unauthenticated"));
    await w.clock.advance(1_000);
    await assert.rejects(identity.accessToken(never), { name: "CloudUnreachable" });
  });

  test("without a token to enrol with the error says where to put one; a fenced VM enrols with a new one", async () => {
    await using w = await World.make();
    await assert.rejects(w.identity().ensureRegistered(never), (error: unknown) => {
      assert.ok(refused("unauthenticated")(error));
      assert.ok((error as Error).message.includes(w.file("enrollment")));
      return true;
    });
    const identity = await w.enrolled();
    w.cloud.next((received) => failure(received, errorTable.token_superseded.code, "fenced"));
    await assert.rejects(identity.refresh(never), refused("token_superseded"));
    assert.equal((await identity.ensureRegistered(never)).registration_id, "registration-0"); // Nothing new to try.
    writeFileSync(w.file("enrollment"), "second\n");
    w.cloud.next(w.family.register);
    await identity.ensureRegistered(never);
    assert.equal(w.cloud.received.at(-1)?.authorization, "Bearer second");
    assert.equal(await identity.accessToken(never), w.family.tokens().access_token);
  });

  test("files that are cut off or of another kind are as good as none", async () => {
    await using w = await World.make();
    await w.enrolled();
    writeFileSync(w.file("registration.json"), '{"registration_id":');
    writeFileSync(w.file("access"), "nonsense");
    writeFileSync(w.file("rotation"), "x");
    w.cloud.next(w.family.register, w.family.rotate);
    const identity = w.identity("once");
    await identity.ensureRegistered(never);
    await identity.refresh(never);
    assert.match(readFileSync(w.file("rotation"), "utf8"), /^[0-9a-f-]{36} /);
  });
});

test("X2: an endpoint that a cloud with TLS names without TLS is not asked: tokens would be there for everybody to read", () => {
  const base = "https://cloud.example/hl";
  assert.equal(resolveUrl(base, "/v1/vm/events"), "https://cloud.example/v1/vm/events");
  assert.equal(resolveUrl(base, "https://events.cloud.example/v1"), "https://events.cloud.example/v1");
  for (const endpoint of ["http://cloud.example/v1", "ws://cloud.example/v1", "HTTP://127.0.0.1/v1"])
    assert.throws(() => resolveUrl(base, endpoint), /names (http|ws):\/\/.* as an endpoint, which has no TLS/);
  assert.equal(resolveUrl("http://127.0.0.1:7070", "/v1/vm/events"), "http://127.0.0.1:7070/v1/vm/events");
});

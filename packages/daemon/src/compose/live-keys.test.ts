/**
 * Goal: a key that is declared live is live: whoever uses it reads it where it may change, and nobody takes it only once. And the other way
 * round: what is read there and not declared live has to be declared so, or it is misread as fixed.
 * Method: the whole daemon is composed, with a cloud and with all that can be switched on, over a configuration that notes who reads what.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { Section, Shape } from "@hl/config/declare.ts";
import { livePointers } from "@hl/config/diff.ts";
import type { Config } from "@hl/config/load.ts";
import { toPointer } from "@hl/config/problem.ts";
import { daemonFile, keysBelow, securityFile } from "@hl/config/schema.ts";
import { systemClock } from "@hl/core/clock.ts";
import { silentLogger } from "@hl/core/logger.ts";
import { makeDaemonHome, temporaryFolder } from "@hl/testkit/programs.ts";
import { findConfiguration } from "../configuration/configuration.ts";
import { findRunnerBinary } from "../host-facts.ts";
import { Redactor } from "../redaction/redactor.ts";
import { Secrets } from "../redaction/secrets.ts";
import { compose } from "./compose.ts";

/** A read inside `LiveConfig` is one that is made again when the configuration changes. */
const isLiveRead = (): boolean => /live-config\.ts/.test(new Error().stack ?? "");

/** Before the pointers of its keys; those of daemon.json have nothing before them. */
const securityName = "security.json:";

interface Reads {
  readonly live: Set<string>;
  readonly once: Set<string>;
}

function noting(config: Config, reads: Reads): Config {
  const wrap = (values: object, node: Section<Shape>, path: readonly string[], file = ""): object =>
    new Proxy(values, {
      get: (target, name) => {
        const found: unknown = Reflect.get(target, name);
        const inner = typeof name === "string" && Object.hasOwn(node.keys, name) ? node.keys[name] : undefined;
        if (inner === undefined) return found;
        const here = [...path, name as string];
        if (inner.kind === "section") return wrap(found as object, inner, here, file);
        reads[isLiveRead() ? "live" : "once"].add(file + toPointer(here));
        return found;
      },
    });
  return {
    ...config,
    daemon: wrap(structuredClone(config.daemon), daemonFile, []) as Config["daemon"],
    security: wrap(structuredClone(config.security), securityFile, [], securityName) as Config["security"],
  };
}

let noted: Promise<Reads> | undefined;

async function composeOnce(): Promise<Reads> {
  Error.stackTraceLimit = 30;
  using folder = temporaryFolder("hl-live-keys");
  makeDaemonHome(folder.path, {
    cloud_api: { base_url: "http://127.0.0.1:9" },
    claude_integration: { key_proxy: true },
    local_api: { http_enabled: true },
    process_management: { temp_dir: join(folder.path, "tmp") },
  });
  const found = findConfiguration({ home: folder.path, testMode: true, env: {}, files: {} });
  assert.ok(found.ok, JSON.stringify(found));
  const secrets = new Secrets(systemClock);
  const reads: Reads = { live: new Set(), once: new Set() };
  const daemon = await compose(
    { ...found, config: noting(found.config, reads) },
    {
      ...{
        clock: systemClock,
        random: Math.random,
        logger: silentLogger,
        setLogLevels: () => {},
        restart: undefined,
        testMode: true,
      },
      ...{ secrets, redactor: new Redactor(secrets), logTrouble: () => undefined, logFiles: {}, beforeCrash: () => {} },
      ...{ runnerBinary: findRunnerBinary(), enrollmentToken: undefined, proxy: undefined },
    },
  );
  await daemon.stop(false);
  return reads;
}

test("every live key is read where it may change, and none is read only once", async () => {
  const reads = await (noted ??= composeOnce());
  const declared = new Set(livePointers());
  const missing = [...declared].filter((pointer) => !reads.live.has(pointer));
  assert.deepEqual(
    missing,
    [],
    "declared live, and read by nobody who would see it change: read it by way of LiveConfig, or declare it restart",
  );
  const fixed = [...declared].filter((pointer) => reads.once.has(pointer));
  assert.deepEqual(fixed, [], "declared live, and somebody takes it only once");
});

/** By whom, and whether by anybody, is in docs/enforcement.md, with a test of what each does. */
const readElsewhere: readonly RegExp[] = [
  /^\/logging\/(?!audit\/|levels?$)|^security.json:\/redaction\//, // Before anything is composed.
  /^\/daemon\/(?!instance_id$)/, // For an answer.
  /^\/security\/(tls_version|certificate_validation)$|\/tls_config\/|^security.json:\/authentication\/certificate\//, // For a connection with TLS.
  /\/(tls_client_required|certificate_roles)$/, // Where this daemon speaks TLS.
  /\/(public_key_url|proxy_allowed_hosts)$/, // Only where there is something to fetch, or a proxy.
  /^\/claude_integration\/communication\/(encoding|compression)$/,
  /\/(encryption|error_rate_threshold|sanitization_rules)$|\/self_healing\//,
];

test("every other key is read too", async () => {
  const { live, once } = await (noted ??= composeOnce());
  const all = [
    ...[...keysBelow(daemonFile)].map(({ path }) => toPointer(path)),
    ...[...keysBelow(securityFile)].map(({ path }) => securityName + toPointer(path)),
  ];
  const missing = all.filter((pointer) => !live.has(pointer) && !once.has(pointer));
  assert.deepEqual(
    missing.filter((pointer) => !readElsewhere.some((pattern) => pattern.test(pointer))),
    [],
  );
});

/** The whole configuration as two trees of declared keys: daemon.json (with its companion files) and security.json. */
import { section, type ConfigOf, type Key, type Section, type Shape } from "./declare.ts";
import { endpointKeys } from "./sections/api-endpoints.ts";
import { authenticationSection } from "./sections/authentication.ts";
import { authorizationSection } from "./sections/authorization.ts";
import { claudeIntegrationSection } from "./sections/claude-integration.ts";
import { cloudApiSection } from "./sections/cloud-api.ts";
import { daemonSection } from "./sections/daemon.ts";
import { eventStreamingSection } from "./sections/event-streaming.ts";
import { healthMonitoringSection } from "./sections/health-monitoring.ts";
import { inputValidationSection } from "./sections/input-validation.ts";
import { localApiSection } from "./sections/local-api.ts";
import { loggingSection } from "./sections/logging.ts";
import { networkSecuritySection } from "./sections/network-security.ts";
import { processManagementSection } from "./sections/process-management.ts";
import { redactionSection } from "./sections/redaction.ts";
import { securitySection } from "./sections/security.ts";

export const daemonFile = section({
  summary: "daemon.json",
  keys: {
    daemon: daemonSection,
    cloud_api: cloudApiSection,
    claude_integration: claudeIntegrationSection,
    process_management: processManagementSection,
    event_streaming: eventStreamingSection,
    health_monitoring: healthMonitoringSection,
    security: securitySection,
    logging: loggingSection,
    local_api: localApiSection,
  },
});

export const securityFile = section({
  summary: "security.json",
  remote: false,
  keys: {
    authentication: authenticationSection,
    authorization: authorizationSection,
    network_security: networkSecuritySection,
    input_validation: inputValidationSection,
    redaction: redactionSection,
  },
});

/** What logging.json and api-endpoints.json may say: keys of one section of daemon.json. */
export const loggingFile = loggingSection;
export const endpointsFile = section({ summary: "api-endpoints.json", keys: endpointKeys });

export type DaemonConfig = ConfigOf<(typeof daemonFile)["keys"]>;
export type SecurityConfig = ConfigOf<(typeof securityFile)["keys"]>;

/** A key and its place: `path` from the root of its tree. */
export interface PlacedKey {
  readonly path: readonly string[];
  readonly key: Key<unknown>;
  /** False where the key, or a section around it, is closed to remote changes. */
  readonly remote: boolean;
}

/** All keys below a section, in the order of their declaration. */
export function* keysBelow(root: Section<Shape>, path: readonly string[] = [], remote = true): Generator<PlacedKey> {
  const open = remote && root.remote;
  for (const [name, node] of Object.entries(root.keys)) {
    if (node.kind === "key") yield { path: [...path, name], key: node, remote: open && node.remote };
    else yield* keysBelow(node, [...path, name], open);
  }
}

/** False where a key or section of daemon.json is unknown, or closed to `system/config/update` and the overrides file. */
export const isRemotelyChangeable = (path: readonly string[]): boolean => {
  let node: Section<Shape> | Key<unknown> = daemonFile;
  for (const name of path) {
    const inner: Section<Shape> | Key<unknown> | undefined =
      node.kind === "section" && Object.hasOwn(node.keys, name) ? node.keys[name] : undefined;
    if (inner === undefined || !inner.remote) return false;
    node = inner;
  }
  return true;
};

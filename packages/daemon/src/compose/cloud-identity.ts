import type { Clock } from "@hl/core/clock.ts";
import { version } from "@hl/protocol/version.ts";
import { dirname, join } from "node:path";
import type { CloudHttp } from "../cloud/http.ts";
import { Identity } from "../cloud/identity.ts";
import type { CloudPorts } from "./cloud-ports.ts";

export interface IdentityParts {
  readonly http: CloudHttp;
  readonly certificateAlone: boolean;
  readonly clock: Pick<Clock, "wallMs">;
}

/** Who this VM is to the cloud: its files, and what it says of itself when it registers. */
export function composeIdentity(ports: CloudPorts, { http, certificateAlone, clock }: IdentityParts): Identity {
  const { config, host, spool } = ports;
  const { auth, endpoints } = config.daemon.cloud_api;
  const folder = dirname(auth.refresh_token_file);
  return new Identity({
    http,
    clock,
    baseUrl: ports.baseUrl,
    paths: { ...endpoints },
    accessTokenFile: auth.token_file,
    refreshTokenFile: auth.refresh_token_file,
    enrollmentTokenFile: auth.enrollment_token_file,
    enrollmentToken: ports.enrollmentToken,
    registrationFile: join(folder, "registration.json"),
    rotationFile: join(folder, "rotation"),
    certificateAlone,
    onToken: ports.onToken,
    refreshThresholdMs: config.security.authentication.jwt.refresh_threshold * 1000,
    describe: () => ({
      instance_id: host.instanceId,
      workspace_id: config.daemon.daemon.workspace_id ?? "",
      capabilities: [...ports.capabilities()],
      system_info: {
        os: host.os,
        arch: host.arch,
        memory: host.memoryMb,
        cpu_cores: host.cores,
        disk_space: ports.diskFreeMb(),
      },
      network_info: { ip_address: host.ipAddress, hostname: host.hostname, ports: [ports.httpPort()] },
      daemon_version: version,
      epoch: spool.epoch,
    }),
  });
}

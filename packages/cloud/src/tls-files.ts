import { readFileSync } from "node:fs";
import { createSecureContext, type TlsOptions } from "node:tls";
import { errorText } from "@hl/core/logger.ts";
import { CloudConfigError } from "./config-error.ts";

export interface TlsFlags {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly clientCa?: string;
}

/** What `--tls-cert`, `--tls-key` and `--client-ca` name, read now; undefined without them. Throws where it cannot work. */
export function readTls({ tlsCert, tlsKey, clientCa }: TlsFlags): TlsOptions | undefined {
  if (tlsCert === undefined && tlsKey === undefined) {
    if (clientCa !== undefined) throw new CloudConfigError("--client-ca needs --tls-cert and --tls-key");
    return undefined;
  }
  if (tlsCert === undefined || tlsKey === undefined) {
    throw new CloudConfigError("--tls-cert and --tls-key belong together");
  }
  const files = { cert: readConfigured("--tls-cert", tlsCert), key: readConfigured("--tls-key", tlsKey) };
  const authority = clientCa === undefined ? {} : { ca: readConfigured("--client-ca", clientCa) };
  try {
    createSecureContext({ ...files, ...authority });
  } catch (error) {
    throw new CloudConfigError(`--tls-cert ${tlsCert} and --tls-key ${tlsKey}: ${errorText(error)}`, { cause: error });
  }
  if (clientCa === undefined) return files;
  // Browsers of operators have no certificate, so the demand is made route by route.
  return { ...files, ...authority, requestCert: true, rejectUnauthorized: false };
}

function readConfigured(flag: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new CloudConfigError(`${flag}: ${errorText(error)}`, { cause: error });
  }
}

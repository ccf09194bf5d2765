import { X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import type { Condition } from "./alert-book.ts";

interface Read {
  readonly changedMs: number;
  /** Wall clock; undefined for a file without a certificate, which whoever uses it complains about. */
  readonly endMs: number | undefined;
}

const dayMs = 86_400_000;

/** When the certificates that the daemon shows end. A file is read again when it has changed. */
export class Certificates {
  readonly #files: readonly string[];
  readonly #read = new Map<string, Read>();

  /** @param files PEM, the certificate itself first; they may be missing */
  constructor(files: Iterable<string>) {
    this.#files = [...new Set(files)];
  }

  conditions(wallMs: number, daysMin: number): Condition[] {
    return this.#files.flatMap((file): Condition[] => {
      const endMs = this.#endOf(file);
      if (endMs === undefined || endMs - wallMs >= daysMin * dayMs) return [];
      const end = new Date(endMs).toISOString();
      if (endMs <= wallMs) return [{ code: "certificate_expired", subject: file, text: `${file} has ended at ${end}` }];
      const days = Math.floor((endMs - wallMs) / dayMs);
      const text = `${file} ends at ${end}, in ${days} days (health_monitoring.alerts.certificate_threshold_days is ${daysMin})`;
      return [{ code: "certificate_expiring", subject: file, text }];
    });
  }

  #endOf(file: string): number | undefined {
    try {
      const stat = statSync(file, { throwIfNoEntry: false });
      if (stat === undefined) return undefined;
      const known = this.#read.get(file);
      if (known?.changedMs === stat.mtimeMs) return known.endMs;
      const endMs = endOf(readFileSync(file));
      this.#read.set(file, { changedMs: stat.mtimeMs, endMs });
      return endMs;
    } catch {
      return undefined; // Not readable: whoever needs it says so.
    }
  }
}

function endOf(pem: Buffer): number | undefined {
  try {
    return new X509Certificate(pem).validToDate.getTime();
  } catch {
    return undefined;
  }
}

/** What a process of simulated daemons may be asked. Times are milliseconds. */
export type HostTask =
  | {
      readonly do: "make";
      readonly url: string;
      readonly ca: string | undefined;
      readonly instances: readonly string[];
    }
  | { readonly do: "register"; readonly spreadMs: number; readonly enrollments: readonly string[] }
  | { readonly do: "connect"; readonly spreadMs: number }
  | { readonly do: "beat"; readonly intervalMs: number }
  | { readonly do: "beaten" }
  | { readonly do: "events"; readonly batches: number; readonly eventsInBatch: number; readonly atOnce: number }
  | { readonly do: "report" }
  | { readonly do: "stop" };

/** Since the last report; `attempts` are the wall clock's milliseconds of each attempt to connect. */
export interface AttemptReport {
  readonly connected: number;
  readonly executed: number;
  readonly attempts: readonly number[];
  /** How often each HTTP status refused a registration or a connection; 0 where nobody answered. */
  readonly refusals: Readonly<Record<string, number>>;
}

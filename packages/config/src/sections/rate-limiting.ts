/** The keys that every `rate_limiting` section has. */
import { choice, count, section } from "../declare.ts";

// Inferred: the sections that use it need the exact type of the keys.
// eslint-disable-next-line @typescript-eslint/explicit-module-boundary-types
export const rateLimiting = (summary: string) =>
  section({
    summary,
    keys: {
      requests_per_minute: count({
        min: 1,
        max: 10_000_000,
        default: 1000,
        unit: "requests per minute",
        reload: "restart",
        summary: "Rate that is sustained.",
      }),
      burst_limit: count({
        min: 1,
        max: 1_000_000,
        default: 100,
        unit: "requests",
        reload: "restart",
        summary: "Requests that may come at once before the rate holds.",
      }),
      backoff_strategy: choice({
        values: ["exponential", "linear", "constant"],
        default: "exponential",
        reload: "restart",
        summary: "How the wait grows after refusals in a row.",
      }),
    },
  });

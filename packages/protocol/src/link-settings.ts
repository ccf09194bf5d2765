import * as z from "zod";

/**
 * The numbers of the link to the cloud that a control plane may set for its fleet, in the answer to `vm/hello` and later by
 * `vm/settings`. What it does not set stays as the daemon is configured. The daemon keeps each within the bounds, so that a mistake
 * there neither silences a fleet nor makes it a flood; hl-cloud refuses to say one that is outside.
 * docs/reconnecting.md gives the defaults and the reasons; docs/configuration.md what each number does.
 */
export interface LinkSetting {
  readonly unit: "seconds" | "attempts" | "events" | "bytes";
  readonly min: number;
  readonly max: number;
}

const within = (unit: LinkSetting["unit"], min: number, max: number): LinkSetting => ({ unit, min, max });

export const linkSettings = {
  timeout: within("seconds", 10, 300),
  connect_timeout: within("seconds", 5, 120),
  retry_delay: within("seconds", 1, 60),
  max_retry_delay: within("seconds", 10, 600),
  reconnect_spread: within("seconds", 5, 600),
  drain_spread_max: within("seconds", 60, 3_600),
  healthy_after: within("seconds", 10, 600),
  retry_after_max: within("seconds", 60, 3_600),
  refused_retry_delay: within("seconds", 10, 900),
  refused_retry_delay_max: within("seconds", 60, 14_400),
  revoked_retry_delay: within("seconds", 60, 3_600),
  revoked_retry_delay_max: within("seconds", 300, 86_400),
  ping_interval: within("seconds", 10, 50),
  dead_after: within("seconds", 20, 180),
  long_poll_after: within("attempts", 1, 20),
  long_poll_wait: within("seconds", 5, 55),
  websocket_retry: within("seconds", 60, 7_200),
  clock_jump: within("seconds", 1, 60),
  resume_jump: within("seconds", 5, 300),
  resume_pong: within("seconds", 1, 30),
  batch_size: within("events", 1, 1_000),
  batch_bytes: within("bytes", 16_384, 1_048_576),
  flush_interval: within("seconds", 0.1, 60),
  critical_flush_interval: within("seconds", 0.1, 10),
} as const satisfies Readonly<Record<string, LinkSetting>>;

export type LinkSettingName = keyof typeof linkSettings;

export const linkSettingNames = Object.keys(linkSettings) as LinkSettingName[];

export type LinkSettings = { readonly [Name in LinkSettingName]?: number | undefined };

/** On the wire: any number is read, and brought within its bounds afterwards. */
export const linkSettingsSchema = z
  .object(
    Object.fromEntries(
      linkSettingNames.map((name) => [name, z.number().describe(boundsOf(name))]),
    ) as unknown as Record<LinkSettingName, z.ZodNumber>,
  )
  .partial();

/** "seconds, 5 to 600". */
export function boundsOf(name: LinkSettingName): string {
  const { unit, min, max } = linkSettings[name];
  return `${unit}, ${min} to ${max}`;
}

/** The nearest value that a daemon obeys. What is counted is whole. */
export function withinBounds(name: LinkSettingName, value: number): number {
  const { unit, min, max } = linkSettings[name];
  const clamped = Math.min(Math.max(value, min), max);
  return unit === "seconds" ? clamped : Math.floor(clamped);
}

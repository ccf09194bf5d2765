import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import * as z from "zod";
import type { EventFeed } from "../fleet/event-feed.ts";
import type { ConnectionLimit } from "../operators/connection-limit.ts";
import type { EventRecord, EventStore, InstanceStore } from "../store/store.ts";
import { EventReader } from "./event-reader.ts";
import { requireInstance } from "./instance-routes.ts";
import type { OperatorGuard } from "./operator-guard.ts";
import { securityHeaders } from "./security-headers.ts";

export interface EventRoutesOptions {
  readonly instances: InstanceStore;
  readonly events: EventStore;
  readonly feed: EventFeed;
  readonly guard: OperatorGuard;
  readonly limit: ConnectionLimit;
  /** Notes that somebody follows an instance's events live. */
  readonly view: (instanceId: string) => Disposable;
  readonly clock: Clock;
  readonly stopping: AbortSignal;
}

const query = z.object({
  after: z.coerce.number().int().min(0).default(0),
  last: z.coerce.number().int().min(0).max(1_000).optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
});

const pageBytesMax = 8 * 1024 * 1024;

/** The events of one instance: a page, or live by server-sent events from the same cursor. */
export function eventRoutes(app: FastifyInstance, options: EventRoutesOptions): void {
  const { instances, events, guard } = options;
  app.get(
    "/v1/instances/:id/events",
    { onRequest: guard.admits("GET /v1/instances/{id}/events") },
    async (request, reply) => {
      const { id } = await requireInstance(instances, request.params);
      const { after: asked, last, limit } = parseQuery(query, request.query);
      // `last` begins that many events before the end: a page that shows the newest need not read the history.
      const after = last === undefined ? asked : await events.cursorBefore(id, last);
      if (request.headers.accept?.includes("text/event-stream") === true) {
        await followEvents(id, after, request, reply, options);
        return reply;
      }
      const page = await events.after(id, after, limit, pageBytesMax);
      return { events: page.map(toWire), next: page.at(-1)?.row ?? after };
    },
  );
}

async function followEvents(
  instanceId: string,
  after: number,
  request: FastifyRequest,
  reply: FastifyReply,
  options: EventRoutesOptions,
): Promise<void> {
  const { events, feed, guard, limit, clock, stopping } = options;
  using _place = limit.take(guard.of(request));
  using _view = options.view(instanceId);
  const resumed = Number(request.headers["last-event-id"] ?? after);
  reply.hijack();
  const reader = new EventReader({
    response: reply.raw,
    headers: securityHeaders, // A hijacked answer misses the hooks.
    clock,
    stopping,
    cursor: Number.isSafeInteger(resumed) && resumed >= 0 ? resumed : after,
    page: (row) => events.after(instanceId, row, 100, 1024 * 1024),
    changed: (signal) => feed.changed(instanceId, signal),
    format: (record) => `id: ${record.row}\nevent: event\ndata: ${JSON.stringify(toWire(record))}\n\n`,
  });
  await reader.run();
}

export function toWire(record: EventRecord): Record<string, unknown> {
  const event = JSON.parse(record.body) as Record<string, unknown>;
  return { row: record.row, received_at: record.receivedAtMs / 1000, ...event };
}

/** A wrong query is refused in the words of the error table. */
export function parseQuery<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const outcome = schema.safeParse(value);
  if (outcome.success) return outcome.data;
  const problems = outcome.error.issues.map((issue) => ({ path: issue.path.join("."), message: issue.message }));
  const [first] = problems;
  throw new HlError("invalid_params", `${first?.path ?? "query"}: ${first?.message ?? "is not valid"}`, { problems });
}

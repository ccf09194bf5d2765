import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import { lanes, type Gap, type Lane } from "@hl/protocol/event-lanes.ts";
import { gapEvent } from "./gap-event.ts";
import type { NewEvent } from "./spooled-event.ts";
import { nothing, plus, type Use } from "./use.ts";

type Row = Readonly<Record<string, SQLOutputValue>>;

interface Table {
  readonly name: string;
  readonly key: readonly string[];
  /** Columns that hold JSON. */
  readonly json: readonly string[];
}

/** Everything that somebody waits for; the places of the lanes and the epoch are made anew. */
const tables: readonly Table[] = [
  { name: "events", key: ["seq"], json: ["body"] },
  { name: "commands", key: ["command_id"], json: ["args", "ending"] },
  { name: "inbox", key: ["request_id"], json: ["answer"] },
  { name: "agents", key: ["process_id"], json: ["usage"] },
  { name: "agent_turns", key: ["process_id", "uuid"], json: [] },
  { name: "agent_events", key: ["process_id", "seq"], json: ["body"] },
  { name: "approvals", key: ["approval_id"], json: ["body"] },
  { name: "dead_letters", key: ["seq"], json: ["body"] },
];

/** What may take long, in small parts: whoever runs it decides when it goes on. */
export type Steps<T> = Generator<undefined, T>;

const rowsPerStep = 64;

/** Events and bytes of each lane that were saved: all of them wait. */
export type Rescued = ReadonlyMap<Lane, Use>;

export interface SalvageReport {
  readonly waiting: Rescued;
  /** Rows saved, by table. */
  readonly saved: Readonly<Record<string, number>>;
  /** Tables of which something could not be read. */
  readonly damaged: readonly string[];
}

/**
 * Copies what can be read of a corrupt database into a new one: each table from both ends, up to the pages that cannot be read. Rows
 * whose columns are not what they should be are left out; a change within a text that leaves it valid cannot be seen. Events that
 * were delivered are not copied. What is missing of the rest is one gap (S2). It pauses at every step.
 */
export function* salvage(
  from: string,
  into: DatabaseSync,
  { reason, wallMs }: { readonly reason: string; readonly wallMs: number },
): Steps<SalvageReport> {
  const source = new DatabaseSync(from, { defensive: false });
  try {
    source.exec("PRAGMA writable_schema = ON; PRAGMA cell_size_check = ON"); // A damaged line of the schema is not all of it.
    const acked = ackedOf(source);
    const isWanted = (table: Table, row: Row): boolean =>
      table.name !== "events" || (row["seq"] as number) > (acked?.get(row["lane"] as Lane) ?? 0);
    into.exec("BEGIN IMMEDIATE");
    const saved: Record<string, number> = {};
    const waiting = new Map<Lane, Use>();
    const count = (lane: Lane, body: string): void => {
      waiting.set(lane, plus(waiting.get(lane) ?? nothing, { events: 1, bytes: Buffer.byteLength(body) }));
    };
    const damaged: string[] = acked === undefined ? ["lanes"] : [];
    for (const table of tables) {
      const onSaved = (row: Row): void => {
        if (table.name === "events") count(row["lane"] as Lane, row["body"] as string);
      };
      const outcome = yield* copy(source, into, table, { isWanted: (row) => isWanted(table, row), onSaved });
      saved[table.name] = outcome.saved;
      if (outcome.isDamaged) damaged.push(table.name);
    }
    const last = Math.max(lastSeqOf(source), lastSeqOf(into));
    if (last > 0) {
      into
        .prepare("INSERT INTO sqlite_sequence SELECT 'events', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence)")
        .run();
      into.prepare("UPDATE sqlite_sequence SET seq = ? WHERE name = 'events'").run(last);
    }
    if (damaged.length > 0) {
      const { lane, body } = addGap(into, gapOf(damaged, acked, last, reason), wallMs);
      count(lane, body);
    }
    into.exec("COMMIT");
    return { waiting, saved, damaged };
  } finally {
    source.close();
  }
}

function* copy(
  source: DatabaseSync,
  into: DatabaseSync,
  table: Table,
  { isWanted, onSaved }: { readonly isWanted: (row: Row) => boolean; readonly onSaved: (row: Row) => void },
): Steps<{ readonly saved: number; readonly isDamaged: boolean }> {
  const columns = into.prepare(`PRAGMA table_info(${table.name})`).all() as unknown as Column[];
  const names = columns.map(({ name }) => name);
  const insert = into.prepare(
    `INSERT OR IGNORE INTO ${table.name} (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`,
  );
  let saved = 0;
  let read = 0;
  let isDamaged = false;
  const take = (row: Row): void => {
    if (!isSound(row, columns, table)) isDamaged = true;
    else if (isWanted(row) && insert.run(...names.map((name) => row[name] ?? null)).changes > 0) {
      saved += 1;
      onSaved(row);
    }
  };
  for (const direction of ["ASC", "DESC"]) {
    const order = table.key.map((key) => `${key} ${direction}`).join(", ");
    try {
      const rows = source.prepare(`SELECT * FROM ${table.name} NOT INDEXED ORDER BY ${order}`).iterate();
      for (const row of rows) {
        take(row);
        if (++read % rowsPerStep === 0) yield;
      }
      break; // All of it.
    } catch {
      isDamaged = true;
    }
  }
  return { saved, isDamaged };
}

interface Column {
  readonly name: string;
  readonly type: string;
  readonly notnull: number;
}

function isSound(row: Row, columns: readonly Column[], table: Table): boolean {
  for (const { name, type, notnull } of columns) {
    const value = row[name];
    if (value === undefined || value === null) {
      if (notnull !== 0 || table.key.includes(name)) return false;
    } else if (type === "BLOB" ? !(value instanceof Uint8Array) : typeof value !== jsType[type]) return false;
  }
  if (table.json.some((name) => row[name] !== null && !isJson(row[name] as string))) return false;
  if (table.name !== "events") return true;
  const { event_id: id } = JSON.parse(row["body"] as string) as { event_id?: unknown };
  return id === row["event_id"] && lanes.includes(row["lane"] as Lane) && (row["seq"] as number) > 0;
}

const jsType: Readonly<Record<string, string>> = { TEXT: "string", INTEGER: "number" };

/** An object, or a list of them: no table keeps anything else as JSON. */
function isJson(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null;
  } catch {
    return false;
  }
}

/** Where the lanes were; undefined when that is not known, and everything may be undelivered. */
function ackedOf(source: DatabaseSync): ReadonlyMap<Lane, number> | undefined {
  try {
    const rows = source.prepare("SELECT lane, acked_seq FROM lanes").all();
    const acked = new Map(rows.map(({ lane, acked_seq }) => [lane as Lane, acked_seq as number]));
    const last = lastSeqOf(source);
    return lanes.every((lane) => isPlace(acked.get(lane), last)) ? acked : undefined;
  } catch {
    return undefined;
  }
}

const isPlace = (seq: unknown, last: number): boolean => Number.isSafeInteger(seq) && (seq as number) <= last;

function lastSeqOf(database: DatabaseSync): number {
  try {
    const row = database.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'events'").get();
    const seq = row?.["seq"];
    return typeof seq === "number" && Number.isSafeInteger(seq) && seq > 0 ? seq : 0;
  } catch {
    return 0;
  }
}

function gapOf(damaged: readonly string[], acked: ReadonlyMap<Lane, number> | undefined, to: number, why: string): Gap {
  const from = acked === undefined ? 1 : Math.min(...acked.values()) + 1;
  const isOfEvents = damaged.includes("events");
  return {
    lane: null,
    from: isOfEvents && to >= from ? from : null,
    to: isOfEvents && to >= from ? to : null,
    count: null,
    bytes: null,
    reason: `the database was corrupt (${why}): not all could be read of ${damaged.join(", ")}`,
  };
}

function addGap(into: DatabaseSync, gap: Gap, wallMs: number): NewEvent {
  const event = gapEvent(gap, wallMs);
  const { id, type, lane, body } = event;
  into
    .prepare("INSERT INTO events (event_id, event_type, lane, body, accepted_ms) VALUES (?, ?, ?, ?, ?)")
    .run(id, type, lane, body, wallMs);
  return event;
}

import type { Call } from "@hl/core/rpc/answer.ts";
import type * as z from "zod";
import { HlError, type ErrorType } from "./errors.ts";
import type { MethodPermission } from "./permissions.ts";

/**
 * A method is one object: its types, validation, permission, errors, time limit and documentation all come from it.
 */
export interface MethodDefinition<Params extends z.ZodType = z.ZodType, Result extends z.ZodType = z.ZodType> {
  readonly name: string;
  /** One sentence, shown in docs and by rpc.discover. */
  readonly summary: string;
  readonly direction: "to-daemon" | "to-cloud";
  readonly permission: MethodPermission;
  /** Asking twice has the effect of asking once, so a caller that lost the answer may simply ask again. */
  readonly idempotent: boolean;
  /** How long the serving side may take; null where the request's own limits decide. */
  readonly timeoutMs: number | null;
  /** What can go wrong besides the errors that every method has. */
  readonly errors: readonly ErrorType[];
  readonly params: Params;
  readonly result: Result;
  /** The error for parameters of the wrong shape, where the table has a row of its own for it. */
  readonly invalidParams?: ErrorType | undefined;
  /** Notifications that may follow, by name. */
  readonly notifications?: Readonly<Record<string, z.ZodType>> | undefined;
}

export function defineMethod<const Params extends z.ZodType, const Result extends z.ZodType>(
  definition: MethodDefinition<Params, Result>,
): MethodDefinition<Params, Result> {
  return definition;
}

export type MethodTable = Readonly<Record<string, MethodDefinition>>;
/** What a handler receives: defaults are filled in. */
export type ParamsOf<M extends MethodDefinition> = z.output<M["params"]>;
/** What a caller sends: defaults may be left out. */
export type InputOf<M extends MethodDefinition> = z.input<M["params"]>;
export type ResultOf<M extends MethodDefinition> = z.output<M["result"]>;

/** Who asks. Built by the edge that authenticated the caller, read by handlers and by the audit. */
export interface Caller {
  readonly role: string;
  /** A name for logs and audit: `local-token`, `cloud`, a JWT's subject. */
  readonly subject: string;
  readonly via: "socket" | "http" | "websocket" | "cloud" | "internal";
  /** What proved it; undefined for the local token, and for those who need no proof. */
  readonly credential?: "jwt" | "certificate" | undefined;
  /** From this moment of the wall clock on (milliseconds) the proof is void and the caller is nobody. Undefined: it does not expire. */
  readonly expiresAtMs?: number | undefined;
}

export interface MethodCall extends Call {
  readonly caller: Caller;
}

export type Handler<M extends MethodDefinition> = (
  params: ParamsOf<M>,
  call: MethodCall,
) => Promise<z.input<M["result"]>>;

/** A missing or misshapen handler is a compile error. */
export type Handlers<T extends MethodTable> = { readonly [Name in keyof T]: Handler<T[Name]> };

/** Validates and fills defaults; the error names every parameter that is wrong and quotes what was sent. */
export function parseParams(definition: MethodDefinition, params: unknown): unknown {
  const outcome = definition.params.safeParse(params ?? {}, { reportInput: true });
  if (outcome.success) return outcome.data;
  const problems = outcome.error.issues.map((issue) => ({
    path: issue.path.length === 0 ? "params" : issue.path.join("."),
    // What is wrong with a key is said one level below.
    message: issue.code === "invalid_key" ? (issue.issues[0]?.message ?? issue.message) : issue.message,
    received: preview(issue.input),
  }));
  const [first] = problems;
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : "";
  const text = first === undefined ? "" : `${first.path}: ${first.message}${more}`;
  throw new HlError(definition.invalidParams ?? "invalid_params", `${definition.name}: ${text}`, { problems });
}

function preview(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = (JSON.stringify(value) as string | undefined) ?? typeof value;
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

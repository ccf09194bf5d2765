/**
 * How a configuration key is declared: once, with everything that anybody needs to know about it.
 * The TypeScript type, validation, defaults, environment variables, reload behaviour and docs/configuration.md all come from here.
 */
import * as z from "zod";
import type { Unit } from "./units.ts";

/** `live`: a running daemon applies a change. `restart`: a change takes effect at the next start. */
export type Reload = "live" | "restart";

/** One value of the configuration. Lists and maps are one value: a later source replaces them whole. */
export interface Key<T> {
  readonly kind: "key";
  readonly schema: z.ZodType;
  /** Relative paths in defaults hang from the home directory. */
  readonly default: T;
  /** Replaces `default` where the daemon runs from a checkout: in test mode or with a home of its own. */
  readonly developmentDefault?: { readonly value: T } | undefined;
  /** True where the key may be absent; `null` in a file then takes it back. */
  readonly optional: boolean;
  readonly unit?: Unit | undefined;
  readonly reload: Reload;
  /** True where the value (of a map: each of its values) must not be shown. */
  readonly secret: boolean;
  /** False where `system/config/update` and the overrides file may not change it, although they may change its section. */
  readonly remote: boolean;
  /** `path`: relative ones hang from home. `executable`: so do those with a slash; a bare name is looked up in PATH. */
  readonly location?: "path" | "executable" | undefined;
  /** Brings accepted spellings to the declared one before validation. */
  readonly prepare?: ((value: unknown) => unknown) | undefined;
  readonly summary: string;
}

export interface Section<S extends Shape> {
  readonly kind: "section";
  readonly summary: string;
  /** False where `system/config/update` and the overrides file may not change anything. */
  readonly remote: boolean;
  readonly keys: S;
}

export interface Shape {
  readonly [name: string]: Key<unknown> | Section<Shape>;
}

/** The type of the values that a shape declares. */
export type ConfigOf<S extends Shape> = {
  readonly [Name in keyof S]: S[Name] extends Key<infer T>
    ? DeepReadonly<T>
    : S[Name] extends Section<infer Inner>
      ? ConfigOf<Inner>
      : never;
};

export type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Name in keyof T]: DeepReadonly<T[Name]> }
    : T;

interface Facts {
  readonly reload: Reload;
  readonly summary: string;
  readonly secret?: boolean | undefined;
  readonly remote?: boolean | undefined;
  readonly unit?: Unit | undefined;
  readonly location?: "path" | "executable" | undefined;
  readonly prepare?: ((value: unknown) => unknown) | undefined;
}

type Declared<T> = Facts & { readonly default: T; readonly developmentDefault?: T | undefined };

const make = <T>(schema: z.ZodType, facts: Facts, value: T, optional: boolean, development?: { value: T }): Key<T> => ({
  kind: "key",
  schema,
  default: value,
  developmentDefault: development,
  optional,
  unit: facts.unit,
  reload: facts.reload,
  secret: facts.secret ?? false,
  remote: facts.remote ?? true,
  location: facts.location,
  prepare: facts.prepare,
  summary: facts.summary,
});

const development = <T>(value: T | undefined): { value: T } | undefined =>
  value === undefined ? undefined : { value };

/** A key that always has a value. */
export const key = <S extends z.ZodType>(facts: Declared<z.output<S>> & { readonly schema: S }): Key<z.output<S>> =>
  make(facts.schema, facts, facts.default, false, development(facts.developmentDefault));

/** A key that may be absent. With a `default` it is absent only in development, or where a file says `null`. */
export const optionalKey = <S extends z.ZodType>(
  facts: Facts & { readonly schema: S; readonly default?: z.output<S> | undefined },
): Key<z.output<S> | undefined> =>
  make<z.output<S> | undefined>(facts.schema, facts, facts.default, true, { value: undefined });

export const section = <const S extends Shape>(facts: {
  readonly summary: string;
  readonly remote?: boolean;
  readonly keys: S;
}): Section<S> => ({ kind: "section", summary: facts.summary, remote: facts.remote ?? true, keys: facts.keys });

interface Range {
  readonly min?: number;
  readonly max?: number;
}

/** Longest delay that a timer of Node holds (2^31 - 1 ms), in whole seconds. */
export const TIMER_SECONDS_MAX = 2_147_483;

/** A duration in seconds; files may also say "250ms", "5s", "10m", "1h", "7d". */
export const seconds = ({ min = 0, max = TIMER_SECONDS_MAX, ...facts }: Declared<number> & Range): Key<number> =>
  key({ ...facts, unit: "seconds", schema: z.number().min(min).max(max) });

/** A size in bytes; files may also say "100MB" (10^6) or "10MiB" (2^20). */
export const bytes = ({ min = 0, max = Number.MAX_SAFE_INTEGER, ...facts }: Declared<number> & Range): Key<number> =>
  key({ ...facts, unit: "bytes", schema: z.number().int().min(min).max(max) });

/** A whole number of something. */
export const count = ({ min = 0, max = Number.MAX_SAFE_INTEGER, ...facts }: Declared<number> & Range): Key<number> =>
  key({ ...facts, schema: z.number().int().min(min).max(max) });

/** A number that may have a fraction. */
export const number = ({ min = 0, max = Number.MAX_SAFE_INTEGER, ...facts }: Declared<number> & Range): Key<number> =>
  key({ ...facts, schema: z.number().min(min).max(max) });

export const flag = (facts: Declared<boolean>): Key<boolean> => key({ ...facts, schema: z.boolean() });

/** One of a few words. */
export const choice = <const V extends readonly [string, ...string[]]>(
  facts: Declared<V[number]> & { readonly values: V },
): Key<V[number]> =>
  make<V[number]>(z.enum(facts.values), facts, facts.default, false, development(facts.developmentDefault));

const CONTROL = /[\u0000-\u001f\u007f]/;

/** Text without control characters: names, hosts, patterns. */
export const line = (lengthMax = 256): z.ZodString =>
  z
    .string()
    .min(1)
    .max(lengthMax)
    .refine((text) => !CONTROL.test(text), "must not contain control characters");

export const pathSchema = z
  .string()
  .min(1)
  .max(4095)
  .refine((text) => !text.includes("\0"), "must not contain a NUL character")
  .meta({ description: "path" });

/** A file or folder; a relative one hangs from the home directory. */
export const path = (facts: Declared<string>): Key<string> => key({ ...facts, location: "path", schema: pathSchema });

export const paths = (facts: Declared<string[]>): Key<string[]> =>
  key({ ...facts, location: "path", schema: z.array(pathSchema).max(256) });

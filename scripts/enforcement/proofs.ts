/** How a row of docs/enforcement.md is written, and the proofs that several groups of settings share. */

export interface Proof {
  readonly file: string;
  /** The title, or a part of it that no other test of the file has. */
  readonly title: string;
}

export interface Enforced {
  readonly by: string;
  readonly proofs: readonly Proof[];
  /** The proofs hand the value to its module: that the configured one gets there is shown for all such keys in `readByAll`. */
  readonly isUnit: boolean;
}

/** The two tests over all keys: each is read, and each live one where it may change. */
export const readByAll: Readonly<Record<"live" | "restart", Proof>> = {
  live: {
    file: "packages/daemon/src/compose/live-keys.test.ts",
    title: "every live key is read where it may change, and none is read only once",
  },
  restart: { file: "packages/daemon/src/compose/live-keys.test.ts", title: "every other key is read too" },
};

export type Pair = readonly [file: string, title: string];

const inDaemon = (path: string): string => (/^(packages|tests)\//.test(path) ? path : `packages/daemon/src/${path}`);

const row = (isUnit: boolean, by: string, pairs: readonly Pair[]): Enforced => ({
  by: inDaemon(by),
  isUnit,
  proofs: pairs.map(([file, title]) => ({ file: inDaemon(`${file}.test.ts`), title })),
});

/** Shown with the configuration as a whole: by the program, or by what takes the loaded configuration. */
export const whole = (by: string, ...pairs: readonly Pair[]): Enforced => row(false, by, pairs);
/** Shown of the module alone. */
export const unit = (by: string, ...pairs: readonly Pair[]): Enforced => row(true, by, pairs);

export const live = "tests/system/live-config";
export const restart = "tests/system/restart-keys";
export const crossChecks = "packages/config/src/cross-checks";
export const bothFiles: Pair = [crossChecks, "the policy is the stricter of both files"];
export const mutual: Pair = [
  "tests/system/link-tls",
  "X2: mutual TLS alone enrols a VM under the name in its certificate; pins decide",
];
export const clients: Pair = ["tests/system/https", "X3: hl-client over https: as whom its certificate names"];
export const callers = "tests/system/callers";
export const jwt: Pair = [callers, "X3: a JWT is a caller on every interface, with the role that it names and no more"];
export const certificatePlace: Pair = [
  crossChecks,
  "the client certificate is where either file says; two places are a problem",
];

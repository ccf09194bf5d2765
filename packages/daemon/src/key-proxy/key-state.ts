import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import * as z from "zod";
import { writeFileAtomic } from "@hl/core/atomic-file.ts";

const schema = z.object({
  port: z.int().min(1).max(65_535).optional(),
  token_secret: z.string().regex(/^[\w-]{43}$/),
});

/** What agents that outlive a daemon rely on (P3): where the proxy is, and what their tokens are made with. No key of the model's API. */
export class KeyState {
  readonly #path: string;
  readonly #tokenSecret: string;
  #port: number | undefined;

  private constructor(path: string, { port, token_secret: tokenSecret }: z.output<typeof schema>) {
    this.#path = path;
    this.#tokenSecret = tokenSecret;
    this.#port = port;
  }

  /** Reads the file; makes it where there is none, or it cannot be understood: tokens of before are void then. */
  static load(path: string): KeyState {
    const kept = existsSync(path) ? parse(readFileSync(path, "utf8")) : undefined;
    const state = new KeyState(path, kept ?? { token_secret: randomBytes(32).toString("base64url") });
    if (kept === undefined) state.#save();
    return state;
  }

  get tokenSecret(): Buffer {
    return Buffer.from(this.#tokenSecret, "base64url");
  }

  /** Undefined until there was one. */
  get port(): number | undefined {
    return this.#port;
  }

  /** It is on disk when this returns. */
  keepPort(port: number): void {
    if (port === this.#port) return;
    this.#port = port;
    this.#save();
  }

  #save(): void {
    const data = { port: this.#port, token_secret: this.#tokenSecret } satisfies z.output<typeof schema>;
    writeFileAtomic(this.#path, `${JSON.stringify(data)}\n`, 0o600);
  }
}

function parse(text: string): z.output<typeof schema> | undefined {
  try {
    return schema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

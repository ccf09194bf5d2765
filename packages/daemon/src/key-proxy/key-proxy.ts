import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { misnamedHeader } from "@hl/core/raw-headers.ts";
import type { Service } from "@hl/core/service.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Connect } from "../network/outbound.ts";
import { coverKeys, judgeEnvironment, type KeyAccount } from "./key-account.ts";
import { answerError } from "./key-answer.ts";
import { forward } from "./key-forward.ts";
import type { KeyState } from "./key-state.ts";
import { KeyTokens } from "./key-tokens.ts";

export interface KeyProxyLimits {
  /** Connections of all agents together; one more is closed. */
  readonly connectionsMax: number;
  /** Requests under way of one agent; one more is answered 429. */
  readonly requestsMax: number;
  /** Request line and headers of one request; more is answered 431. */
  readonly headerBytesMax: number;
  /** From the first byte of a request to the end of its headers; longer is answered 408. */
  readonly headerWaitMs: number;
  /** Nothing moves between the daemon and the model's API for so long. */
  readonly idleMs: number;
}

/** Claude Code itself waits 10 minutes for an answer; its subagents ask at the same time. */
export const defaultKeyProxyLimits: KeyProxyLimits = {
  connectionsMax: 1_024,
  requestsMax: 64,
  headerBytesMax: 65_536,
  headerWaitMs: 15_000,
  idleMs: 600_000,
};

export interface KeyProxyOptions {
  readonly state: KeyState;
  readonly logger: Logger;
  readonly limits: KeyProxyLimits;
  /** To the model's API, as the networks, the proxy and TLS of the daemon have it. */
  readonly connect: Connect;
  /** Variables that agents get beside what is configured for them. */
  readonly common: Readonly<Record<string, string>>;
}

interface Admitted {
  readonly account: KeyAccount;
  readonly underWay: Set<ServerResponse>;
}

/** Not TRACE, whose answer would be the request with the key in it. */
const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
/** A path on the one server: no other scheme or host, nothing that is read in two ways. */
const pathOnly = /^\/(?!\/)[\x21-\x7e]*$/;

/**
 * The way of agents to the model's API: an HTTP server on 127.0.0.1, which puts the key into their requests, so that neither they nor their
 * tools have it. An agent has a token of its own instead, good here and as long as it lives. A request goes to the base address of that
 * agent and nowhere else. The port is kept over restarts, since agents outlive daemons (P3).
 */
export class KeyProxy implements Service {
  readonly name = "key-proxy";
  readonly #options: KeyProxyOptions;
  readonly #tokens: KeyTokens;
  readonly #server: Server;
  readonly #admitted = new Map<string, Admitted>();
  readonly #ended = Promise.withResolvers<undefined>();
  #opening: Promise<void> | undefined;

  constructor(options: KeyProxyOptions) {
    this.#options = options;
    this.#tokens = new KeyTokens(options.state.tokenSecret);
    const { headerBytesMax, headerWaitMs, connectionsMax } = options.limits;
    this.#server = createServer({
      maxHeaderSize: headerBytesMax,
      headersTimeout: headerWaitMs,
      keepAliveTimeout: headerWaitMs,
      requestTimeout: 0, // A large prompt may take its time; `idleMs` sees whether it moves.
      connectionsCheckingInterval: Math.ceil(headerWaitMs / 3), // Also while there are none, so not more often.
      noDelay: true,
    });
    this.#server.maxConnections = connectionsMax;
    this.#server.on("request", (incoming, response) => this.#request(incoming, response));
    this.#server.on("error", (error) => options.logger.error({ error: errorText(error) }, "the key proxy failed"));
  }

  get done(): Promise<void> {
    return this.#ended.promise;
  }

  /**
   * Listens where agents of before need it; else the first agent with a key opens the port. Never rejects: without it the daemon does all
   * the rest, and agents that need it are refused.
   */
  async start(): Promise<void> {
    if (this.#admitted.size === 0) return;
    await this.#open().catch((error: unknown) => {
      this.#options.logger.error({ error: errorText(error) }, "the key proxy cannot listen: agents are refused");
    });
  }

  /** Admits an agent, and answers the environment that it gets. Throws `claude_unavailable` where its key cannot be kept from it. */
  async cover(
    processId: string,
    configured: Readonly<Record<string, string>>,
    own: Readonly<Record<string, string>>,
  ): Promise<Readonly<Record<string, string>>> {
    const judged = judgeEnvironment(configured, own, this.#options.common);
    if (judged.account === undefined) return judged.environment;
    try {
      await this.#open();
    } catch (error) {
      const text = `the proxy that keeps the API key from the agent cannot listen (${errorText(error)}): free its port, or set claude_integration.key_proxy to false`;
      throw new HlError("claude_unavailable", text, { port: this.#options.state.port });
    }
    this.#admit(processId, judged.account);
    const { port } = this.#server.address() as AddressInfo;
    return coverKeys(judged, this.#tokens.tokenOf(processId), `http://127.0.0.1:${port}`);
  }

  /** Admits an agent that an earlier life of the daemon has started with these; to be called before `start`. */
  admitAgain(
    processId: string,
    configured: Readonly<Record<string, string>>,
    own: Readonly<Record<string, string>>,
  ): void {
    try {
      const { account } = judgeEnvironment(configured, own, this.#options.common);
      if (account !== undefined) this.#admit(processId, account);
    } catch (error) {
      const about = { process_id: processId, error: errorText(error) };
      this.#options.logger.warn(about, "an agent of before has no way to the model's API any more");
    }
  }

  /** It has ended: its token is void. */
  release(processId: string): void {
    const admitted = this.#admitted.get(processId);
    this.#admitted.delete(processId);
    for (const response of admitted?.underWay ?? []) response.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opening?.catch(() => {});
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
    this.#ended.resolve(undefined);
  }

  #admit(processId: string, account: KeyAccount): void {
    const underWay = this.#admitted.get(processId)?.underWay ?? new Set();
    this.#admitted.set(processId, { account, underWay });
  }

  #open(): Promise<void> {
    if (this.#server.listening) return Promise.resolve();
    this.#opening ??= this.#listenAgain().finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  async #listenAgain(): Promise<void> {
    const { state } = this.#options;
    try {
      await this.#listen(state.port ?? 0);
    } catch (error) {
      // Agents of before know no other.
      if (state.port === undefined || this.#admitted.size > 0) throw error;
      await this.#listen(0);
    }
    try {
      state.keepPort((this.#server.address() as AddressInfo).port);
    } catch (error) {
      this.#server.close();
      throw error;
    }
  }

  #listen(port: number): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
  }

  #request(incoming: IncomingMessage, response: ServerResponse): void {
    response.on("error", () => {}); // The agent has gone.
    const { connect } = this.#options;
    const { requestsMax, idleMs } = this.#options.limits;
    const asked = this.#asker(incoming);
    if (asked === undefined) {
      answerError(response, 401, "this is no token of an agent that lives");
      return;
    }
    const { account, underWay, credentials } = asked;
    const { method = "", url = "", rawHeaders } = incoming;
    if (!methods.has(method)) answerError(response, 405, `the method ${method} is not passed on`);
    else if (!pathOnly.test(url)) answerError(response, 400, "the target has to be a path");
    else if (misnamedHeader(rawHeaders) !== undefined) answerError(response, 400, "Connection names what it may not");
    else if (underWay.size >= requestsMax) {
      answerError(response, 429, `${requestsMax} requests of this agent are under way`);
    } else {
      underWay.add(response);
      response.once("close", () => underWay.delete(response));
      void forward(incoming, response, { baseUrl: account.baseUrl, connect, credentials, idleMs });
    }
  }

  /** Whose request it is, and the credentials that take the place of those it came with. */
  #asker({ headers }: IncomingMessage): (Admitted & { credentials: [string, string][] }) | undefined {
    const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? "")?.[1];
    const key = headers["x-api-key"];
    const byKey = typeof key === "string" ? this.#tokens.ownerOf(key) : undefined;
    const byBearer = bearer === undefined ? undefined : this.#tokens.ownerOf(bearer);
    if (byKey !== undefined && byBearer !== undefined && byKey !== byBearer) return undefined;
    const admitted = this.#admitted.get(byKey ?? byBearer ?? "");
    if (admitted === undefined) return undefined;
    // Some agents send the one variable in the header of the other: the key goes where its token was.
    const { apiKey, authToken } = admitted.account;
    const credentials: [string, string][] = [];
    if (byKey !== undefined) credentials.push(["x-api-key", apiKey ?? authToken ?? ""]);
    if (byBearer !== undefined) credentials.push(["authorization", `Bearer ${authToken ?? apiKey ?? ""}`]);
    return { ...admitted, credentials };
  }
}

/**
 * The connections that may be open at once, socket and HTTP together.
 *
 * Each interface has a quarter that the other cannot take, so that a flood of one leaves the other reachable. When there is no room, a newcomer takes
 * the place of the longest exposed connection: one that has not proved who it is, or an HTTP connection that waits for its next request. So who
 * holds connections open without a token keeps nobody out. A connection that was accepted only now is left alone until its first bytes can have
 * been read: otherwise a storm of newcomers would push each other out before anybody could log in. One caller protects at most half of the places: what
it opens beyond them stays exposed.
 * States of a slot: exposed ⇄ protected → released.
 */
export type Interface = "socket" | "http";

const interfaces = ["socket", "http"] as const;

export interface Slot {
  /**
   * It is known whose connection this is, and it is in use: nobody takes its place.
   * @param owner who may protect only half of all places; undefined: as many as there are
   */
  protect(owner: string | undefined): void;
  /** Whoever comes when there is no room takes its place. */
  expose(): void;
  /** The connection is closed. Idempotent. */
  release(): void;
}

interface Held {
  readonly close: () => void;
  readonly heardInTurn: number;
  /** Whose protected place it is. */
  owner: string | undefined;
}

/** Turns of the event loop in which a connection's first bytes are read. */
const turnsToBeHeard = 2;

export class ConnectionSlots {
  readonly #held = { socket: new Set<Held>(), http: new Set<Held>() };
  /** In the order in which they were exposed. */
  readonly #exposed = { socket: new Set<Held>(), http: new Set<Held>() };
  readonly #protectedOf = new Map<string, number>();
  #connectionsMax: number;
  #turn = 0;
  #turnsLeft = 0;

  constructor(connectionsMax: number) {
    this.#connectionsMax = connectionsMax;
  }

  get connectionsMax(): number {
    return this.#connectionsMax;
  }

  /** Connections that are open now. */
  get size(): number {
    return this.#held.socket.size + this.#held.http.size;
  }

  /** Another number from now on; what is open stays open. */
  change(connectionsMax: number): void {
    this.#connectionsMax = connectionsMax;
  }

  /**
   * A place for a new connection, exposed at first; undefined where there is none.
   * @param close ends the connection when its place is taken: at once, without waiting for a reader
   */
  take(of: Interface, close: () => void): Slot | undefined {
    if (this.#isFull(of) && !this.#makeRoom(of)) return undefined;
    const held: Held = { close, heardInTurn: this.#turn + turnsToBeHeard, owner: undefined };
    this.#held[of].add(held);
    this.#exposed[of].add(held);
    this.#countTurns();
    return {
      expose: () => {
        this.#disown(held);
        if (this.#held[of].has(held)) this.#exposed[of].add(held);
      },
      protect: (owner) => {
        if (this.#held[of].has(held) && this.#own(held, owner)) this.#exposed[of].delete(held);
      },
      release: () => this.#release(of, held),
    };
  }

  #isFull(of: Interface): boolean {
    const kept = Math.floor(this.#connectionsMax / 4);
    return this.size >= this.#connectionsMax || this.#held[of].size >= this.#connectionsMax - kept;
  }

  /** Of its own interface first. The other one has more than its part where all places are taken and this one has less. */
  #makeRoom(of: Interface): boolean {
    const kept = Math.floor(this.#connectionsMax / 4);
    if (this.#evict(of)) return !this.#isFull(of);
    if (this.#held[of].size >= this.#connectionsMax - kept) return false;
    const [other] = interfaces.filter((each) => each !== of);
    return other !== undefined && this.#held[other].size > kept && this.#evict(other) && !this.#isFull(of);
  }

  #evict(of: Interface): boolean {
    const [oldest] = this.#exposed[of];
    if (oldest === undefined || this.#turn < oldest.heardInTurn) return false;
    this.#release(of, oldest);
    oldest.close();
    return true;
  }

  /** False where the owner has half of the places already. */
  #own(held: Held, owner: string | undefined): boolean {
    if (owner === undefined || held.owner !== undefined) return true;
    const owned = this.#protectedOf.get(owner) ?? 0;
    if (owned >= Math.max(1, Math.floor(this.#connectionsMax / 2))) return false;
    this.#protectedOf.set(owner, owned + 1);
    held.owner = owner;
    return true;
  }

  #disown(held: Held): void {
    if (held.owner === undefined) return;
    const owned = (this.#protectedOf.get(held.owner) ?? 1) - 1;
    if (owned === 0) this.#protectedOf.delete(held.owner);
    else this.#protectedOf.set(held.owner, owned);
    held.owner = undefined;
  }

  #release(of: Interface, held: Held): void {
    this.#disown(held);
    this.#exposed[of].delete(held);
    this.#held[of].delete(held);
  }

  /** Behind each newcomer until it has been heard; an idle daemon counts nothing. */
  #countTurns(): void {
    const isCounting = this.#turnsLeft > 0;
    this.#turnsLeft = turnsToBeHeard;
    if (!isCounting) setImmediate(() => this.#endTurn());
  }

  #endTurn(): void {
    this.#turn += 1;
    this.#turnsLeft -= 1;
    if (this.#turnsLeft > 0) setImmediate(() => this.#endTurn());
  }
}

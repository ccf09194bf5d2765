/** The first names, by their bytes, of however many are added; at most twice as many are held (P7). */
export class SmallestNames {
  readonly #countMax: number;
  #held: Buffer[] = [];
  /** Names from here on are not among the first. */
  #bound: Buffer | undefined;
  #isCut = false;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  get held(): number {
    return this.#held.length;
  }

  /** More were added than are wanted. */
  get isCut(): boolean {
    return this.#isCut || this.#held.length > this.#countMax;
  }

  /** False where adding it changes nothing. */
  isWanted(name: Buffer): boolean {
    return !this.#isCut || (this.#bound !== undefined && name.compare(this.#bound) < 0);
  }

  add(name: Buffer): void {
    this.#held.push(name);
    if (this.#held.length > 2 * this.#countMax) this.#cut();
  }

  /** In order. */
  names(): readonly Buffer[] {
    this.#cut();
    return this.#held;
  }

  #cut(): void {
    this.#held.sort((one, other) => one.compare(other));
    if (this.#held.length <= this.#countMax) return;
    this.#held = this.#held.slice(0, this.#countMax);
    this.#bound = this.#held.at(-1);
    this.#isCut = true;
  }
}

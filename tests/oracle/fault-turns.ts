/**
 * Faults of different lanes overlap as they like. One that has to be alone waits until no other is under way, and keeps the others waiting;
 * what waits for it has the first turn, so that it comes at all.
 */
export class FaultTurns {
  #underWay = 0;
  #aloneAsked = 0;
  #isAlone = false;
  #changed = Promise.withResolvers<undefined>();

  async take(alone: boolean, work: () => Promise<void>): Promise<void> {
    if (alone) this.#aloneAsked += 1;
    while (this.#isAlone || (alone ? this.#underWay > 0 : this.#aloneAsked > 0)) await this.#changed.promise;
    if (alone) this.#aloneAsked -= 1;
    this.#isAlone = alone;
    this.#underWay += 1;
    try {
      await work();
    } finally {
      this.#underWay -= 1;
      this.#isAlone = false;
      this.#changed.resolve(undefined);
      this.#changed = Promise.withResolvers<undefined>();
    }
  }
}

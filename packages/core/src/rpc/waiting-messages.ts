/** Messages that wait to be sent several at a time, in order: both ends of a connection over polls. */
export class WaitingMessages {
  #texts: string[] = [];
  /** In UTF-16 units, which is near enough for limits. */
  #length = 0;

  get isEmpty(): boolean {
    return this.#texts.length === 0;
  }

  get bytes(): number {
    return this.#length;
  }

  push(text: string): void {
    this.#texts.push(text);
    this.#length += text.length;
  }

  /** The first ones, as many as fit; one that is larger alone goes alone. */
  take(bytesMax: number): readonly string[] {
    const taken: string[] = [];
    let bytes = 0;
    for (const text of this.#texts) {
      bytes += text.length;
      if (taken.length > 0 && bytes > bytesMax) break;
      taken.push(text);
    }
    this.#texts = this.#texts.slice(taken.length);
    for (const text of taken) this.#length -= text.length;
    return taken;
  }
}

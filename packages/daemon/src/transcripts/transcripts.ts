import { Transcript, type TranscriptOptions } from "./transcript.ts";

/** The transcripts of the agents that are listed. */
export class Transcripts {
  readonly #options: TranscriptOptions;
  readonly #transcripts = new Map<string, Transcript>();

  constructor(options: TranscriptOptions) {
    this.#options = options;
  }

  of(processId: string): Transcript {
    const known = this.#transcripts.get(processId);
    if (known !== undefined) return known;
    const transcript = new Transcript(processId, this.#options);
    this.#transcripts.set(processId, transcript);
    return transcript;
  }

  /** The agent is not listed any more; its records go with its own. */
  forget(processId: string): void {
    this.#transcripts.get(processId)?.close();
    this.#transcripts.delete(processId);
  }
}

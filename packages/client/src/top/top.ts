import { errorText } from "@hl/core/logger.ts";
import { tell } from "../failure.ts";
import { Interrupted } from "../interrupts.ts";
import type { Keyboard } from "../ports.ts";
import { duration } from "../render/quantity.ts";
import type { Session } from "../session.ts";
import { Feed } from "./feed.ts";
import { frameOf } from "./frame.ts";
import { FullScreen } from "./full-screen.ts";
import { keysIn } from "./key-names.ts";
import { LoadMeter } from "./loads.ts";
import type { Sample } from "./sample.ts";
import { View } from "./view.ts";

/** Somebody has pressed the key that leaves. */
class Left extends Error {
  override readonly name = "Left";
}

/** Joins what the daemon says, what a person types, and the terminal. */
export class Top {
  readonly #session: Session;
  readonly #feed: Feed;
  readonly #view = new View();
  readonly #loads = new LoadMeter();
  #screen: FullScreen | undefined;

  constructor(session: Session, intervalMs: number) {
    this.#session = session;
    const { persistence, clock } = session;
    this.#feed = new Feed({
      ...{ persistence, clock, intervalMs },
      onSample: (sample) => this.#guarded(() => this.#show(sample)),
      onLost: (why) => this.#guarded(() => this.#view.lost(why)),
    });
  }

  /** Resolves when somebody leaves. The terminal is given back in every way out, and a failure is told after that. */
  async run(keyboard: Keyboard): Promise<void> {
    const { out, ports } = this.#session;
    using screen = new FullScreen({
      ...{ out, keyboard, screen: ports.stdout },
      onInput: (data) => this.#guarded(() => this.#type(data)),
      onResize: () => this.#guarded(() => {}),
    });
    this.#screen = screen;
    this.#guarded(() => {});
    try {
      await this.#feed.run();
    } catch (error) {
      if (!(error instanceof Left)) throw error;
    }
  }

  #show(sample: Sample): void {
    this.#view.show(sample, this.#loads.take(sample, this.#session.clock.now()));
  }

  #type(data: Uint8Array): void {
    const keys = keysIn(data);
    for (const key of keys) {
      const wish = this.#view.key(key, keys.length === 1);
      if (wish.kind === "quit") this.#session.interrupts.fail(new Left("left"));
      if (wish.kind === "interrupt") this.#session.interrupts.raise(Interrupted.bySignal("SIGINT"));
      if (wish.kind === "cancel") void this.#cancel(wish.commandId);
    }
  }

  async #cancel(commandId: string): Promise<void> {
    this.#view.tell(`cancelling ${commandId} …`);
    let came: string;
    try {
      const { reason, status, signal, execution_time: ms } = await this.#feed.cancel(commandId);
      const how = [reason ?? status, ...(signal === undefined ? [] : [signal])].join(" ");
      came = `${commandId} ended: ${how}, after ${duration(ms / 1000)}`;
    } catch (error) {
      came = `${commandId} was not cancelled: ${tell(error).message}`;
    }
    this.#guarded(() => this.#view.tell(came));
  }

  /** Whatever is changed is drawn. What fails ends the view in order, so that the terminal is given back. */
  #guarded(change: () => void): void {
    try {
      change();
      this.#screen?.draw(() => this.#frame());
    } catch (error) {
      this.#session.interrupts.fail(asError(error));
    }
  }

  /** Asked from wherever there is room on the terminal again. */
  #frame(): string[] {
    const size = this.#screen?.size ?? { rows: 1, columns: 1 };
    try {
      return frameOf(this.#view.state, size, this.#session.paint);
    } catch (error) {
      this.#session.interrupts.fail(asError(error));
      return [];
    }
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(errorText(error));
}

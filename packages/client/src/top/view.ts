/**
 * What a person sees and has chosen, apart from any terminal. States: list → (c) asking whether to cancel → list; list → (?) help → list.
 * What is chosen is a command and not a place in the list, which is sorted anew with each sample.
 */
import type { Loads } from "./loads.ts";
import { isLive, type Listed, type Sample } from "./sample.ts";

export const sortOrders = ["cpu", "memory", "time", "id"] as const;

export type SortOrder = (typeof sortOrders)[number];

export interface ViewState {
  readonly sample: Sample | undefined;
  readonly loads: Loads;
  /** Why there is no connection; undefined while there is one. */
  readonly disconnected: string | undefined;
  readonly sort: SortOrder;
  /** In the order in which they are shown. */
  readonly commands: readonly Listed[];
  readonly selectedId: string | undefined;
  readonly mode: "list" | "help" | "confirm";
  /** About which is asked while the mode is `confirm`; what was seen of it then. */
  readonly asked: Listed | undefined;
  /** What came of the last key. */
  readonly message: string | undefined;
}

/** What a key asks of the world outside. */
export type Wish = Readonly<{ kind: "none" | "quit" | "interrupt" }> | Readonly<{ kind: "cancel"; commandId: string }>;

const nothing: Wish = { kind: "none" };
const pageRows = 10;

export class View {
  #state: ViewState = {
    ...{ sample: undefined, loads: { daemon: undefined, commands: new Map() }, disconnected: undefined },
    ...{ sort: "cpu", commands: [], selectedId: undefined, mode: "list", asked: undefined, message: undefined },
  };
  /** Where the chosen one stood: when it has gone, whoever stands there now is chosen. */
  #place = 0;
  /** Until somebody has chosen, the first is: what has just begun is seen at once. */
  #hasChosen = false;

  get state(): ViewState {
    return this.#state;
  }

  show(sample: Sample, loads: Loads): void {
    this.#change({ sample, loads, disconnected: undefined });
    this.#arrange();
  }

  lost(why: string): void {
    this.#change({ disconnected: why });
  }

  tell(message: string): void {
    this.#change({ message });
  }

  /** @param isAlone nothing else was typed with it: what is pasted, or typed faster than it is read, confirms nothing */
  key(key: string, isAlone: boolean): Wish {
    if (key === "interrupt") return { kind: "interrupt" };
    switch (this.#state.mode) {
      case "confirm":
        return this.#answer(key, isAlone);
      case "help":
        if (key === "q") return { kind: "quit" };
        this.#change({ mode: "list" });
        return nothing;
      case "list":
        return this.#command(key);
    }
  }

  #command(key: string): Wish {
    this.#change({ message: undefined });
    switch (key) {
      case "q":
        return { kind: "quit" };
      case "?":
      case "h":
        this.#change({ mode: "help" });
        break;
      case "s":
        this.#change({ sort: sortOrders[(sortOrders.indexOf(this.#state.sort) + 1) % sortOrders.length] ?? "cpu" });
        this.#arrange();
        break;
      case "c":
        this.#ask();
        break;
      default:
        this.#move(steps[key] ?? 0);
    }
    return nothing;
  }

  #ask(): void {
    const asked = this.#state.commands[this.#place];
    if (asked === undefined) this.tell("there is no command to cancel");
    else if (!isLive(asked)) this.tell(`${asked.command_id} has ended already`);
    else this.#change({ mode: "confirm", asked });
  }

  #answer(key: string, isAlone: boolean): Wish {
    const { asked } = this.#state;
    this.#change({ mode: "list", asked: undefined });
    if (key !== "y" || !isAlone || asked === undefined) {
      this.tell("nothing was cancelled");
      return nothing;
    }
    return { kind: "cancel", commandId: asked.command_id };
  }

  #move(by: number): void {
    const { commands } = this.#state;
    if (commands.length === 0 || by === 0) return;
    this.#hasChosen = true;
    this.#place = Math.min(Math.max(this.#place + by, 0), commands.length - 1);
    this.#change({ selectedId: commands[this.#place]?.command_id });
  }

  #arrange(): void {
    const { sample, loads, sort, selectedId } = this.#state;
    const commands = sorted(sample?.commands ?? [], sort, loads.commands);
    const found = this.#hasChosen ? commands.findIndex(({ command_id: id }) => id === selectedId) : -1;
    if (!this.#hasChosen) this.#place = 0;
    this.#place = found === -1 ? Math.max(0, Math.min(this.#place, commands.length - 1)) : found;
    this.#change({ commands, selectedId: commands[this.#place]?.command_id });
  }

  #change(changes: Partial<ViewState>): void {
    this.#state = { ...this.#state, ...changes };
  }
}

const steps: Readonly<Record<string, number>> = {
  ...{ up: -1, k: -1, down: 1, j: 1 },
  ...{ "page-up": -pageRows, "page-down": pageRows, home: -Infinity, g: -Infinity, end: Infinity, G: Infinity },
};

/** What runs stands first; what has ended follows, the newest end first. Of equals the newest, then the id decides, so that nothing jumps about. */
export function sorted(commands: readonly Listed[], order: SortOrder, loads: ReadonlyMap<string, number>): Listed[] {
  const figure: Readonly<Record<SortOrder, (command: Listed) => number>> = {
    cpu: ({ command_id: id }) => loads.get(id) ?? -1,
    memory: ({ usage }) => usage?.memory_mb ?? -1,
    time: ({ started_at: started }) => -started,
    id: () => 0,
  };
  const byId = (one: Listed, other: Listed): number => (one.command_id < other.command_id ? -1 : 1);
  const live = commands.filter(isLive).sort((one, other) => {
    const difference = figure[order](other) - figure[order](one);
    if (difference !== 0) return difference;
    return order === "id" ? byId(one, other) : other.started_at - one.started_at || byId(one, other);
  });
  const ended = commands
    .filter((command) => !isLive(command))
    .sort((one, other) => (other.ended_at ?? 0) - (one.ended_at ?? 0) || byId(one, other));
  return [...live, ...ended];
}

/**
 * `approvals watch`: every permission request as it comes and as it ends. In a terminal one is shown at a time and one key answers it
 * (`ApprovalDesk`); elsewhere each change is a line.
 */
import { approval as approvalSchema, type Approval } from "@hl/protocol/methods/approval-list.ts";
import { ConnectionClosed } from "@hl/core/rpc/peer.ts";
import type { Connection } from "../connect/connection.ts";
import { persist, untilClosed } from "../connect/persist.ts";
import { Interrupted } from "../interrupts.ts";
import { gistOf } from "../render/approval.ts";
import { escapeLine } from "../render/escape.ts";
import { Screen } from "../render/screen.ts";
import type { Session } from "../session.ts";
import { ApprovalDesk } from "./approval-desk.ts";
import { editInput } from "./edit-input.ts";
import { Keys } from "./keys.ts";

export class ApprovalWatch {
  readonly #session: Session;
  readonly #processId: string | undefined;
  #desk: ApprovalDesk | undefined;
  #connection: Connection | undefined;

  constructor(session: Session, processId: string | undefined) {
    this.#session = session;
    this.#processId = processId;
  }

  async run(): Promise<never> {
    const { json, out, ports } = this.#session;
    const keyboard = json || !out.isTerminal ? undefined : ports.stdin();
    if (keyboard?.isTTY !== true) return await this.#follow();
    using keys = new Keys(
      keyboard,
      (key) => this.#onKey(key),
      () => this.#desk?.onKey(""),
    );
    const desk = this.#newDesk(keys);
    this.#desk = desk;
    this.#session.notice("waiting for permission requests of agents; Ctrl-C leaves");
    this.#session.signal.addEventListener("abort", () => out.write("\n"), { once: true });
    try {
      return await this.#follow();
    } finally {
      desk.open = false;
    }
  }

  #newDesk(keys: Keys): ApprovalDesk {
    const { out, paint, ports, clock } = this.#session;
    const screen = new Screen(out);
    const owner = {
      suspend: () => {
        desk.open = false;
        screen.breakLine();
        screen.hold();
        keys.suspend();
      },
      resume: () => {
        keys.resume();
        screen.release();
        desk.open = true;
      },
    };
    const desk = new ApprovalDesk({
      ...{ screen, paint, clock, namesAgent: true, nowSeconds: () => this.#session.nowSeconds },
      edit: (input) => editInput(input, ports, owner),
      decide: async (params) => {
        if (this.#connection === undefined) throw new ConnectionClosed("there is no connection");
        return await this.#connection.call("approval/decide", params);
      },
    });
    return desk;
  }

  #follow(): Promise<never> {
    return persist(this.#session.persistence, async (connection, progress) => {
      this.#connection = connection;
      this.#desk?.reset();
      const onNotification = (method: string, params: unknown): void => {
        progress();
        if (method === "approval/changed") this.#take(connection, params);
      };
      await connection.call("approval/subscribe", { process_id: this.#processId }, { onNotification });
      progress();
      return untilClosed(connection);
    });
  }

  #take(connection: Connection, params: unknown): void {
    const parsed = approvalSchema.safeParse(params);
    if (!parsed.success) this.#session.notice("a permission request was skipped that this hl-client cannot read");
    else if (this.#desk !== undefined) this.#desk.take(parsed.data);
    else this.#print(connection, parsed.data);
  }

  #print(connection: Connection, approval: Approval): void {
    const { json, out, signal, paint } = this.#session;
    const { approval_id, state, tool_name } = approval;
    const text = `${paint("strong", state.padEnd(9))} ${approval_id} ${escapeLine(`${tool_name} ${gistOf(approval)}`)}`;
    if (json ? this.#session.printJson(approval) : out.line(text)) return;
    connection.peer.pause();
    void out.drained(signal).then(() => connection.peer.resume());
  }

  #onKey(key: string): void {
    if (key === "\u0003") this.#session.interrupts.raise(Interrupted.bySignal("SIGINT"));
    else this.#desk?.onKey(key);
  }
}

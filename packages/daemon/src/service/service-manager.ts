import { writeSync } from "node:fs";
import type { Clock } from "@hl/core/clock.ts";

export interface ServiceManagerPorts {
  readonly clock: Clock;
  /** One datagram; throws when it cannot be sent. */
  readonly send: ((text: string) => void) | undefined;
  /** Microseconds of CLOCK_MONOTONIC. */
  readonly monotonicMicroseconds: () => bigint;
  /** Within this time systemd wants to hear WATCHDOG=1; undefined where it does not watch. */
  readonly watchdogMs: number | undefined;
}

/**
 * What the daemon tells systemd (sd_notify): ready, reloading, stopping, how it is, and that it is not stuck. Without systemd all of it does
 * nothing. `hl-runner launch` has connected the descriptor; whatever the daemon starts gets neither that nor its number.
 */
export class ServiceManager {
  readonly #ports: ServiceManagerPorts;
  #cancelFeed: () => void = () => {};

  constructor(ports: ServiceManagerPorts) {
    this.#ports = ports;
  }

  /** Takes what is systemd's out of `env`, so that nobody else finds it there. */
  static from(env: Record<string, string | undefined>, clock: Clock): ServiceManager {
    const { HL_NOTIFY_FD: descriptor, WATCHDOG_USEC: microseconds, WATCHDOG_PID: watched } = env;
    for (const name of ["HL_NOTIFY_FD", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"])
      Reflect.deleteProperty(env, name);
    const fd = descriptor !== undefined && /^\d{1,6}$/.test(descriptor) ? Number(descriptor) : undefined;
    const isWatched = microseconds !== undefined && Number(microseconds) > 0 && watched === String(process.pid);
    return new ServiceManager({
      clock,
      send: fd === undefined ? undefined : (text) => void writeSync(fd, text),
      monotonicMicroseconds: () => process.hrtime.bigint() / 1000n,
      watchdogMs: isWatched ? Number(microseconds) / 1000 : undefined,
    });
  }

  /** @param isProgressing is asked twice within the watchdog's time; while it says no, systemd hears nothing */
  ready(status: string, isProgressing: () => boolean = () => true): void {
    this.#tell(`READY=1\nSTATUS=${oneLine(status)}`);
    const { watchdogMs } = this.#ports;
    if (watchdogMs !== undefined) this.#feed(watchdogMs / 2, isProgressing);
  }

  status(text: string): void {
    this.#tell(`STATUS=${oneLine(text)}`);
  }

  /** `ready` again when it is done. */
  reloading(): void {
    this.#tell(`RELOADING=1\nMONOTONIC_USEC=${this.#ports.monotonicMicroseconds()}\nSTATUS=reading the configuration`);
  }

  reloaded(status: string): void {
    this.#tell(`READY=1\nSTATUS=${oneLine(status)}`);
  }

  /** The watchdog is fed on: a stop has a time limit of its own. */
  stopping(): void {
    this.#tell("STOPPING=1\nSTATUS=stopping: new work is refused, what runs goes on under its shim");
  }

  [Symbol.dispose](): void {
    this.#cancelFeed();
  }

  #feed(everyMs: number, isProgressing: () => boolean): void {
    this.#cancelFeed = this.#ports.clock.after(everyMs, () => {
      if (isProgressing()) this.#tell("WATCHDOG=1");
      this.#feed(everyMs, isProgressing);
    });
  }

  /** systemd that does not listen is no reason to end: it restarts us if it has to. */
  #tell(text: string): void {
    try {
      this.#ports.send?.(text);
    } catch {
      // Its queue is full, or it is gone.
    }
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, " ");
}

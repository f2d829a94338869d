/**
 * Questions under way: what the application waits for, and what the session itself wants to know.
 *
 *     ask ─▶ unsent ─commands─▶ sent ─hear─▶ answered
 *             ▲                  │ cut
 *             └── the caller's ──┘ those bound to the socket are let go
 *
 * A question of the session's own (`wonder`) is bound to its socket: whoever asked it asks anew after the next `Welcome`, if it still
 * matters. What the server cannot answer now is asked again after the wait it names. As client/questions.py.
 *
 * Invariant: an answer reaches whoever asked for it once; nobody waits for a socket that is gone.
 */
import { encode, type Heard } from "./codec";
import { RequestFailed } from "./errors";
import type { Command, Failed, Frame } from "./protocol";
import { rest } from "./rarely";

export type Make = (id: number) => Command;
export type Hear = (answer: Frame) => void;
export type After = (ms: number, act: () => void) => void;

export interface Asked {
  readonly make: Make;
  readonly hear: Hear;
  /** Asked again on the next socket. */
  readonly lasting: boolean;
  failures: number;
}

const REQUESTS_MAX = 256;

export class Questions {
  private readonly asked = new Map<number, Asked>();
  private unsent: number[] = [];
  private lastId = 0;
  readonly watched = new Set<number>();

  /** `after` runs something unless the socket is gone by then, `later` in any case. */
  constructor(
    private readonly wake: () => void,
    readonly after: After,
    readonly later: After,
    readonly spread: () => number,
  ) {}

  /** Questions that were sent on this socket and have no answer. */
  get asking(): number {
    return this.asked.size - this.unsent.length;
  }

  newId(): number {
    return (this.lastId = (this.lastId % (2 ** 32 - 1)) + 1);
  }

  /** Asks until there is an answer of one of these kinds: again on the next socket, and again after a wait where the code says so. */
  ask<T extends Frame["type"]>(make: Make, ...kinds: T[]): Promise<Extract<Frame, { type: T }>> {
    return new Promise((resolve, reject) => {
      if (this.asked.size >= REQUESTS_MAX) throw new RequestFailed(0, "too many questions wait for an answer");
      this.open(make, true, (answer) => {
        if ((kinds as string[]).includes(answer.type)) resolve(answer as Extract<Frame, { type: T }>);
        else if (answer.type === "Failed") reject(new RequestFailed(answer.code, answer.detail));
        else reject(new RequestFailed(0, `the server answered ${answer.type} where ${kinds[0]} belongs`));
      });
    });
  }

  /** Asks for the session itself, on this socket. `hear` gets the answer: a `Failed` only where asking again is of no use. */
  wonder(make: Make, hear: Hear): void {
    this.open(make, false, hear);
  }

  open(make: Make, lasting: boolean, hear: Hear, failures = 0): void {
    const id = this.newId();
    this.asked.set(id, { make, hear, lasting, failures });
    this.unsent.push(id);
    this.wake();
  }

  /** A socket is open. */
  welcome(): void {
    for (const space of this.watched) this.wonder((id) => ({ type: "Watch", id, space, on: true }), () => undefined);
  }

  /** The socket is gone. */
  cut(): void {
    for (const [id, one] of this.asked) if (!one.lasting) this.asked.delete(id);
    this.unsent = [...this.asked.keys()];
  }

  /** The session is over: everybody who waits is told. */
  finish(code: number, detail: string): void {
    const waiting = [...this.asked.values()].filter((one) => one.lasting);
    this.asked.clear();
    this.unsent = [];
    for (const one of waiting) one.hear(failed(code, detail));
  }

  /** What has not been sent on this socket; what it returns counts as sent. */
  commands(): Uint8Array[] {
    const ids = this.unsent.filter((id) => this.asked.has(id));
    this.unsent = [];
    return ids.map((id) => encode(this.asked.get(id)!.make(id)));
  }

  /** Takes an answer; one that nobody waits for is passed over. */
  hear(frame: Heard): void {
    const id = "id" in frame && typeof frame.id === "number" ? frame.id : 0;
    const one = this.asked.get(id);
    if (!one) return;
    this.asked.delete(id);
    if (frame.type !== "Failed" || !rest()!.askLater(this, one, frame)) one.hear(frame as Frame);
  }
}

export function failed(code: number, detail: string): Failed {
  return { type: "Failed", id: 0, code, detail, wait_ms: 0, stream: 0 };
}

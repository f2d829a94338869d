/**
 * Parts of a session that come when they are first asked for: where each is, what it may use, what it answers.
 *
 *     hub.call("documents.open", …) ─▶ PARTS.documents ─import─▶ part(inside) ─▶ methods.open(…)
 *     hub.open("documents.text", [7]) ──▶ readers.text(7), once the part is here
 *
 * A part runs in the tab that has the socket; the face that an app uses (`client.hub`) is in whichever tab it is. What it wants to keep it keeps
 * in the store (`store.note`), so a tab that goes leaves nothing behind.
 *
 * The rest of the session (rarely.ts), and with it the whole wire, is here before any part. No part imports what rest.ts is made of: it has it
 * by `rest()`, so that rest.ts stays one script.
 *
 * Invariant: a call waits for its part and is never lost for it; a topic says nothing before its part is here.
 */
import type { Me } from "./api";
import type { Heard } from "./codec";
import type { Core, CoreOptions } from "./core";
import type { Exchange } from "./exchange";
import type { Operation, Raw } from "./protocol";
import type { Outgoing } from "./rooms";
import type { Store } from "./store";

/** What a part may use of the session. */
export interface Inside {
  readonly options: CoreOptions;
  readonly store: Store;
  /** The present one: another account has another one (`Part.begin` is told). Streams are followed by `exchange.streams` with a reader, questions
   *  asked by `exchange.questions`, and `exchange.remark` says what is forgotten while offline. */
  readonly exchange: Exchange;
  me(): Me | null;
  /** Unix seconds. */
  now(): number;
  /** Keeps and sends an operation; the promise is of its value. The same `nonce` again is the same mutation. */
  submit(operation: Operation, nonce: string): Promise<number>;
  /** One question to a route under `/api/v1/` as oneself. */
  ask(method: string, route: string, body?: unknown): Promise<unknown>;
  /** An access token for requests of the part's own; empty: nobody is logged in. */
  token(): Promise<string>;
  /** These topics (`documents.text/7`) may have other values now: whoever looks is told when this step of the program is over. */
  touch(...topics: string[]): void;
  /** The topics that somebody looks at now. */
  watched(): Iterable<string>;
  /** Whether the part is loaded at the start of each session from now on: it has something to do though nobody looks. */
  keepLoaded(name: string, on: boolean): void;
}

/** What a part answers. A name stands without the part's own: `open`, not `documents.open`. */
export interface Part {
  /** What goes in and out can be cloned. A call is asked a second time where the tab that has the socket goes before it has answered. */
  readonly methods?: Readonly<Record<string, (...given: any[]) => unknown>>;
  /** Topics: the present value; undefined: nothing yet. */
  readonly readers?: Readonly<Record<string, (...given: number[]) => unknown>>;
  /** Somebody begins (1) to look at a topic, or nobody does any more (-1). */
  opened?(topic: string, given: readonly number[], by: 1 | -1): void;
  /** At the start, and whenever somebody else has logged in, or nobody is: what was folded from the store is void. */
  begin?(): void;
  /** A socket is open or gone; told at the start, too. */
  online?(is: boolean): void;
  /** A frame that is neither an event nor an answer. */
  heard?(frame: Heard): void;
  /** How many things wait inside of it to be sent: they count as mutations without an outcome. */
  pending?(): number;
  /** What waits for its files in a conversation. */
  outgoing?(stream: number): Outgoing | undefined;
  /** A mutation has its outcome: `code` 0 is committed. */
  decided?(key: number, operation: Raw, code: number, value: number, detail: string): void;
}

interface Fetched {
  part(core: Core): Part;
}

/** Each part's own file: one line a part. */
export const PARTS: Readonly<Record<string, () => Promise<Fetched>>> = {
  documents: () => import("./documents_part"),
  door: () => import("./door"),
  mentors: () => import("./mentors"),
  records: () => import("./keeping"),
  uploads: () => import("./uploads"),
};

/**
 * A document that people write together, open in this tab. Updates are opaque bytes: whoever edits gives the hands that can open them.
 *
 *     hands ─ write ─▶ buffer ─ merged ─▶ the tab with the socket (documents_part.ts) ─▶ server ─▶ everybody's document
 *     hands ◀ begin, apply ── what this tab has not got yet ──────────────╯
 *
 * What is written is kept on the device at once, merged while it waits where the hands can merge, and sent once, also by another tab or after a
 * reload. A document that began anew under somebody, or that takes nothing of theirs, leaves their text in `leftBehind`. As client/documents.py.
 *
 * Invariant: what the hands hold is what was loaded, every event after that in order, and what was written here.
 */
import type { Client, Hub, Open } from "./api";
import { decodeBody } from "./codec";
import type { Missing, Standing } from "./document_shelf";
import { unpackState } from "./documents_part";
import { RequestFailed } from "./errors";
import type { Code, DocumentChanged, DocumentPart, DocumentVersion, DocumentVersionPage, Page } from "./protocol";
import { bringRest } from "./rarely";

/** What opens updates: Yjs, or something else that does. */
export interface Hands {
  /** An empty document from now on, written in by this pen: a Yjs client, drawn anew each time. */
  begin(pen: number): void;
  /** Adds updates, in order; how many of them could not be applied and were passed over. */
  apply(updates: readonly Uint8Array[]): number;
  /** The text of a document that is made of these alone. */
  read(updates: readonly Uint8Array[]): string;
  /** Several updates of one pen as one. */
  merge?(updates: readonly Uint8Array[]): Uint8Array;
  /** The whole document as one update; undefined: not now. */
  state?(): Uint8Array | undefined;
}

export interface DocumentView {
  /** Whether anything is here. */
  readonly here: boolean;
  readonly caughtUp: boolean;
  readonly generation: number;
  /** The last event of the stream that is in it. */
  readonly upto: number;
  /** The last one that is known of; what one sees is after it where nothing is unsent. */
  readonly head: number;
  /** Updates that the server has not taken yet. */
  readonly unsent: number;
  /** Whether everything that was written here is kept on the device, so that it outlives the page. */
  readonly kept: boolean;
  /** Why it cannot be read; 0 while it can. */
  readonly code: Code;
  /** Why what is written here is not taken any more; 0 while it is. */
  readonly refused: Code;
  /** Texts as they stood here when the document began anew, or took nothing of one's own, until they are dismissed. */
  readonly leftBehind: readonly string[];
  /** What each person last said about where they are. */
  readonly people: ReadonlyMap<number, Uint8Array>;
  readonly named: number;
  /** Updates that could not be applied here. */
  readonly broken: number;
}

/** Something written, of the generation and by the pen that it belongs to. */
interface Written {
  readonly generation: number;
  readonly pen: number;
  readonly update: Uint8Array;
}

const EMPTY: DocumentView = { here: false, caughtUp: false, generation: 0, upto: 0, head: 0, unsent: 0, kept: true, code: 0, refused: 0, leftBehind: [], people: new Map(), named: 0, broken: 0 };
/** What waits is merged up to so many bytes, so that a key costs little however long one is offline. */
const MERGED_BYTES = 4 * 1024;
const UPDATE_BYTES_MAX = 60 * 1024;
/** So many events since the state, and what is here is kept as one. */
const TAIL_MAX = 100;
const TAIL_LEAST = 20;
const STATE_BYTES_MAX = 1024 * 1024;

export class Document implements Open<DocumentView> {
  value = EMPTY;
  pen = 0;
  private serial = 0;
  private generation = 0;
  private upto = 0;
  private tail = 0;
  private broken = 0;
  private standing: Standing | undefined;
  private readonly listeners = new Set<(value: DocumentView) => void>();
  private buffer: Written[] = [];
  private lastNo = 0;
  /** What was handed over last, while it may still wait. */
  private last: (Written & { readonly no: number }) | undefined;
  private handing: Promise<void> | undefined;
  private pulling = false;
  private leaving = false;
  private readonly off: () => void;

  constructor(
    private readonly hub: Hub,
    readonly stream: number,
    private readonly hands: Hands,
  ) {
    this.off = hub.open("documents.open", [stream], (standing) => this.stands(standing as Standing));
  }

  subscribe(listener: (value: DocumentView) => void): () => void {
    const mine = (value: DocumentView) => listener(value);
    this.listeners.add(mine);
    listener(this.value);
    return () => void this.listeners.delete(mine);
  }

  private call<T>(method: string, ...given: unknown[]): Promise<T> {
    return this.hub.call(`documents.${method}`, this.stream, ...given) as Promise<T>;
  }

  private tell(): void {
    const { standing } = this;
    if (!standing) return;
    const { head, caughtUp, code, refused, left: leftBehind, people, named } = standing;
    const kept = !this.buffer.length && !this.handing;
    const unsent = standing.unsent + (kept ? 0 : 1);
    const isLate = standing.upto !== this.upto || standing.serial !== this.serial;
    const { generation, upto, broken } = this;
    this.value = { here: this.serial > 0, caughtUp: caughtUp && !isLate, generation, upto, head, unsent, kept, code, refused, leftBehind, people, named, broken };
    for (const listener of [...this.listeners]) listener(this.value);
  }

  // What comes

  private stands(standing: Standing): void {
    this.standing = standing;
    if (standing.was) void this.leave();
    if (standing.serial !== this.serial || standing.upto !== this.upto) void this.pull();
    else if (this.tail >= TAIL_MAX) this.keep();
    this.tell();
  }

  private async pull(): Promise<void> {
    if (this.pulling) return;
    this.pulling = true;
    try {
      // What was written in the document as it was before goes with it.
      await this.handing;
      const missing = await this.call<Missing>("since", this.serial, this.upto);
      this.take(missing);
    } finally {
      this.pulling = false;
    }
    const { standing } = this;
    if (standing && (standing.serial !== this.serial || standing.upto > this.upto)) void this.pull();
    else this.tell();
  }

  private take({ serial, generation, upto, updates, tail }: Missing): void {
    const isOther = serial !== this.serial;
    if (isOther) {
      this.serial = serial;
      this.generation = generation;
      this.broken = 0;
      this.pen = 1 + Math.floor(Math.random() * (2 ** 32 - 2));
      this.hands.begin(this.pen);
    }
    // Written while this was on its way, in the document as it was before.
    const late = isOther ? this.buffer.filter((one) => one.generation === generation).map(({ update }) => update) : [];
    this.broken += this.hands.apply([...updates, ...late]);
    this.upto = upto;
    this.tail = tail;
  }

  /** What is no part of it any more becomes a text. */
  private async leave(): Promise<void> {
    if (this.leaving) return;
    this.leaving = true;
    try {
      const was = await this.call<readonly Uint8Array[]>("was");
      if (was.length) await this.call("leave", this.hands.read(was));
    } finally {
      this.leaving = false;
    }
  }

  // What is written

  /** Something was written: an update of this pen's. */
  write(update: Uint8Array): void {
    this.buffer.push({ generation: this.generation, pen: this.pen, update });
    this.handing ??= this.handOver();
    this.tell();
  }

  private async handOver(): Promise<void> {
    while (this.buffer.length) {
      const { last } = this;
      const written = this.takeBuffer();
      const { generation, pen, update } = written;
      const no = ++this.lastNo;
      const isNext = last && last.pen === pen && last.generation === generation && last.update.length + update.length <= MERGED_BYTES;
      const merged = isNext ? this.hands.merge?.([last.update, update]) : undefined;
      const into = merged ? last!.no : 0;
      const added = await this.call<boolean>("write", generation, pen, no, update, into, merged).catch(() => undefined);
      this.last = added === undefined ? undefined : added ? { ...written, no: into, update: merged! } : { ...written, no };
    }
    this.handing = undefined;
    this.tell();
  }

  /** As much of the buffer as goes in one update. */
  private takeBuffer(): Written {
    const first = this.buffer[0]!;
    let count = 1;
    let size = first.update.length;
    for (const { pen, update } of this.buffer.slice(1)) {
      size += update.length;
      if (!this.hands.merge || pen !== first.pen || size > UPDATE_BYTES_MAX / 2) break;
      count++;
    }
    const taken = this.buffer.splice(0, count);
    return count > 1 ? { ...first, update: this.hands.merge!(taken.map(({ update }) => update)) } : first;
  }

  /** Fulfilled when everything that was written here is kept on the device. */
  async flush(): Promise<void> {
    await this.handing;
  }

  /** Waits until everything that was written here is decided. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      const off = this.subscribe(({ unsent, refused, here }) => {
        if (!here || (unsent && !refused)) return;
        queueMicrotask(() => off());
        resolve();
      });
    });
  }

  /** Tells the others where one is, in at most 512 bytes; empty: one is there no longer. On a poor link it is not said. */
  sayWhere(data: Uint8Array): void {
    void this.call("where", data);
  }

  /** The texts that were left behind were seen. */
  dismiss(): void {
    void this.call("dismiss");
  }

  private keep(): void {
    const { standing, hands } = this;
    if (!hands.state || !standing || standing.unsent || this.handing || this.broken) return;
    const state = hands.state();
    if (!state) return;
    this.tail = 0;
    if (state.length <= STATE_BYTES_MAX) void this.call("keep", this.serial, this.upto, state);
  }

  /** Nobody looks any more. What was written goes on by itself. */
  close(): void {
    if (this.tail >= TAIL_LEAST) this.keep();
    this.listeners.clear();
    this.off();
  }
}

/** Opens a document. What is here of it is there at once, also without a network. */
export function openDocument(client: Client, stream: number, hands: Hands): Document {
  return new Document(client.hub, stream, hands);
}

/** The updates of one of its versions. Rejected with `RequestFailed`; one that is still being made is waited for. */
export async function loadVersion({ hub }: Client, stream: number, version: number): Promise<readonly Uint8Array[]> {
  const parts: Uint8Array[] = [];
  let [at, upto, generation, size] = [0, 0, 0, 1];
  while (at < size) {
    const command = { type: "LoadDocument", id: 0, document: stream, version, generation, upto, offset: at };
    const got = (await hub.call("request", command, "DocumentPart")) as DocumentPart;
    if (got.offset !== at) parts.length = 0;
    if (!got.data.length && got.size) throw new RequestFailed(0, "a part of a document without anything in it");
    parts.push(got.data);
    at = got.offset + got.data.length;
    ({ upto, generation, size } = got);
  }
  return unpackState(parts);
}

/** Its versions, newest first: all of them. */
export async function documentVersions({ hub }: Client, stream: number): Promise<readonly DocumentVersion[]> {
  const found: DocumentVersion[] = [];
  for (;;) {
    const command = { type: "DocumentVersions", id: 0, document: stream, before: found.at(-1)?.version ?? 0 };
    const page = (await hub.call("request", command, "DocumentVersionPage")) as DocumentVersionPage;
    found.push(...page.versions);
    if (!page.more || !page.versions.length) return found;
  }
}

/** Opens a new document in a community; the promise is of its stream. Roles are sums: owner 1, moderator 2, mentor 4, learner 8. */
export function createDocument(client: Client, space: number, title: string, readRoles = 15, writeRoles = 15): Promise<number> {
  return client.submit({ type: "CreateDocument", space, title, read_roles: readRoles, write_roles: writeRoles });
}

export function changeDocument(client: Client, document: number, title: string, readRoles: number, writeRoles: number, archived = false): Promise<number> {
  return client.submit({ type: "ChangeDocument", document, title, read_roles: readRoles, write_roles: writeRoles, archived });
}

/** Keeps what it is after its event `upto` under a name; the promise is of the version. */
export function nameVersion(client: Client, document: number, upto: number, name: string): Promise<number> {
  return client.submit({ type: "NameVersion", document, upto, name });
}

/** Makes it what one of its versions is, for everybody. */
export function restoreVersion(client: Client, document: number, version: number): Promise<number> {
  return client.submit({ type: "RestoreVersion", document, version });
}

/** What a document is called, who reads and writes it, whether it is put away, and who opened it. */
export interface DocumentFrame {
  readonly title: string;
  readonly readRoles: number;
  readonly writeRoles: number;
  readonly archived: boolean;
  readonly openedBy: number;
}

const FRAME_PAGES_MAX = 20;
const PAGE = 100;

/** A document's frame, from what its community was told; undefined where that is too long ago. `announcements`: the community's own stream. */
export async function documentFrame({ hub }: Client, announcements: number, document: number): Promise<DocumentFrame | undefined> {
  await bringRest();
  let before = Number.MAX_SAFE_INTEGER;
  let newest: DocumentChanged | undefined;
  for (let n = 0; n < FRAME_PAGES_MAX && before > 1; n++) {
    const page = (await hub.call("request", { type: "History", id: 0, stream: announcements, before, limit: PAGE }, "Page")) as Page;
    for (const { author, body: raw } of [...page.events].reverse()) {
      const body = decodeBody(raw);
      if (body.type === "DocumentChanged" && body.document === document) newest ??= body;
      if (body.type !== "DocumentOpened" || body.document !== document) continue;
      const { title, read_roles: readRoles, write_roles: writeRoles } = newest ?? body;
      return { title, readRoles, writeRoles, archived: newest?.archived ?? false, openedBy: author };
    }
    before = page.events[0]?.seq ?? 0;
    if (!page.more) return undefined;
  }
  return undefined;
}

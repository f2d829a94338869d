/**
 * Messages with files: kept on this device, sent when nothing else is to be sent, over any number of cuts and reloads, and once.
 *
 *     add ─▶ shelf (bytes), note (the message) ─▶ nothing else waits ─▶ create ─▶ PATCH … ─ cut ─▶ ask how far it is, go on
 *                                                      all of its files are ready ─▶ Post, as any other mutation
 *                                                      those of a lesson ─▶ PUT library ─▶ Change of its section
 *
 * tus 1.0 in parts: a page cannot see how much of a request has left, so a part is what a link takes in a second or two. As client/uploads.py.
 *
 * Invariant: a message and the names of its bytes are in the note from the moment they are shown until the server has decided the message;
 * what the server has is what was chosen here (its SHA-256 is sent before it), or it is refused.
 */
import type { LessonFiles, Message, NewFile, WaitingFile } from "./api";
import { AccountError, DiskFull, QueueFull, Refused, Unreachable } from "./errors";
import type { Packed } from "./msgpack";
import type { Inside, Part } from "./parts";
import { Code, ContentRecord, type Attachment, type Operation } from "./protocol";
import { writeFields } from "./records";
import { PLAIN, type Outgoing } from "./rooms";
import { backoffMs } from "./session_machine";
import { openShelf, type Shelf } from "./shelf";

// In one script with the session, not beside it: build.mjs says why.
export { Core } from "./core";

export const FILES_MAX = 8;
/** All files that wait here, in bytes. */
const WAITING_BYTES_MAX = 256 * 1024 * 1024;
const MESSAGES_MAX = 200;
const PART_LEAST = 16 * 1024;
const PART_FIRST = 64 * 1024;
const PART_MOST = 1024 * 1024;
/** A part that took less is followed by one twice as long, one that took more by one half as long. */
const QUICK_MS = 1_000;
const SLOW_MS = 4_000;
const SILENCE_MS = 30_000;
const ASK_EVERY_MS = 400;
const NAME = "uploads";
const DONE_KEPT = 32;
/** States of an upload: docs/uploads.md. */
const READY = 3;
const REFUSED = 5;

/** Where a message goes, and what it says. */
interface Said {
  readonly stream: number;
  readonly text: string;
  readonly replyTo: number;
  readonly mentions: readonly number[];
  /** No message: the files are for a section of a lesson in this library. */
  readonly lesson?: LessonFiles | undefined;
}

interface File {
  readonly name: string;
  readonly type: string;
  readonly size: number;
  /** The upload; 0: none was begun. */
  id: number;
  hash: string;
  state: WaitingFile["state"];
  done: number;
  why: string;
  /** `done` is what the server says. */
  sure: boolean;
  /** As the server knows it, once it is ready. */
  known: Attachment | undefined;
}

interface Waiting extends Said {
  /** Below 0; what its bytes are kept under. */
  readonly key: number;
  readonly nonce: string;
  readonly at: number;
  readonly files: File[];
  /** As they were given, since this session began: what is on the shelf may be later. */
  readonly chosen: readonly NewFile[];
  /** It is among the mutations. */
  said: boolean;
  readonly settle: { resolve(seq: number): void; reject(error: unknown): void }[];
}

interface Told {
  readonly id: number;
  readonly state: number;
  readonly name: string;
  readonly bytes: number;
  readonly done: number;
  readonly media_type: string;
  readonly sha256: string;
  readonly width: number;
  readonly height: number;
  readonly placeholder: string;
  readonly why: string;
}

/** The server will not have it. */
class Unwanted extends Error {}

export function part(inside: Inside): Part {
  return new Outbox(inside);
}

class Outbox implements Part {
  private waiting: Waiting[] = [];
  /** Nonces of messages that are decided, with their numbers. */
  private over: (readonly [string, number])[] = [];
  private shelf: Promise<Shelf>;
  private running = false;
  private failures = 0;
  private partBytes = PART_FIRST;
  private isOnline = false;

  constructor(private readonly inside: Inside) {
    this.shelf = openShelf(inside.options.files);
  }

  readonly readers = {
    lesson: (stream: number, section: number) => this.waiting.filter((one) => one.stream === stream && one.lesson?.section === section && !one.said).map((one) => this.view(one)),
  };

  readonly methods = {
    add: (said: Said, files: readonly NewFile[], nonce: string) => this.add(said, files, nonce),
    bytes: async (key: number, place: number) => this.find(key)?.chosen[place]?.blob ?? (await this.shelf).get(nameOf(key, place)),
    again: (key: number) => this.again(key),
    drop: (key: number) => this.drop(key),
  };

  // What the session tells

  begin(): void {
    const [waiting, over] = (this.inside.store.noted(NAME) ?? [[], []]) as unknown as [Row[], [string, number][]];
    const before = new Map(this.waiting.map((one) => [one.nonce, one.settle]));
    this.waiting = waiting.map((row) => waitingOf(row, before.get(row[1])));
    this.over = over;
    // What was another person's, and what a tab left that was closed between two steps.
    const names = this.waiting.flatMap((one) => one.files.map((_, place) => nameOf(one.key, place)));
    void this.shelf.then((shelf) => shelf.keepOnly(names)).catch(() => undefined);
    for (const one of this.waiting) if (one.said) this.say(one);
    this.tell();
  }

  online(is: boolean): void {
    this.isOnline = is;
    this.wake();
  }

  decided(): void {
    // Files come last: perhaps nothing is before them any more.
    queueMicrotask(() => this.wake());
  }

  pending(): number {
    return this.waiting.filter((one) => !one.said && !one.files.some(({ state }) => state === "refused")).length;
  }

  outgoing(stream: number): Outgoing {
    const here = this.waiting.filter((one) => one.stream === stream && !one.lesson);
    const files = new Map(here.flatMap((one) => one.files.flatMap(({ id, known }) => (known ? [[id, known] as const] : []))));
    return { messages: here.filter((one) => !one.said).map((one) => this.view(one)), files };
  }

  private view({ key, at, text, replyTo, mentions, files }: Waiting): Message {
    const refused = files.filter((one) => one.state === "refused");
    const failed = refused.map(({ name, why }) => `${name}: ${why}`).join("; ");
    const shown = files.map(({ name, type, size, done, state, why, hash }) => ({ name, media_type: type, size, done, state, why, hash }));
    const author = this.inside.me()?.user ?? 0;
    return { ...PLAIN, seq: 0, key, author, at, text, replyTo, mentions, files: shown, state: failed ? "failed" : "waiting", failed };
  }

  // What is asked for

  private async add(said: Said, files: readonly NewFile[], nonce: string): Promise<number> {
    const known = this.over.find(([one]) => one === nonce);
    if (known) return known[1];
    const before = this.waiting.find((one) => one.nonce === nonce);
    if (before) return new Promise((resolve, reject) => before.settle.push({ resolve, reject }));
    if (files.length > FILES_MAX) throw new QueueFull(`a message has at most ${FILES_MAX} files`);
    const bytes = [...this.waiting.flatMap((one) => one.files.map(({ size }) => size)), ...files.map(({ blob }) => blob.size)];
    if (this.waiting.length >= MESSAGES_MAX || bytes.reduce((sum, one) => sum + one, 0) > WAITING_BYTES_MAX) {
      throw new DiskFull("so much waits to be sent on this device that no more files are kept");
    }
    const key = Math.min(0, ...this.waiting.map((one) => one.key)) - 1;
    const fresh = { id: 0, hash: "", state: "waiting", done: 0, why: "", sure: false, known: undefined } as const;
    const made = files.map(({ name, blob }) => ({ ...fresh, name, type: blob.type, size: blob.size }));
    const one: Waiting = { ...said, key, nonce, at: this.inside.now(), files: made, chosen: files, said: false, settle: [] };
    const sent = new Promise<number>((resolve, reject) => one.settle.push({ resolve, reject }));
    sent.catch(() => undefined);
    // Shown at once; it is sent when it is on the disk.
    const waiting = (this.waiting = [...this.waiting, one]);
    this.tell(one);
    try {
      const shelf = await this.shelf;
      for (const [place, { blob }] of files.entries()) await shelf.put(nameOf(key, place), blob);
    } catch (error) {
      this.forget(one);
      throw error;
    }
    // In the meantime somebody else may have logged in.
    if (!waiting.includes(one) || !this.waiting.includes(one)) throw new Refused(Code.GONE, "this message was called off");
    this.keep();
    await this.inside.store.durable();
    this.wake();
    return sent;
  }

  private async again(key: number): Promise<void> {
    for (const file of this.find(key)?.files ?? []) {
      if (file.state === "refused") Object.assign(file, { id: 0, done: 0, why: "" });
      if (file.state !== "ready") Object.assign(file, { state: "waiting", sure: false });
    }
    this.changed(this.find(key));
    this.wake();
  }

  private async drop(key: number): Promise<void> {
    const one = this.find(key);
    // Once it is among the mutations it is on its way.
    if (!one || one.said) return;
    this.forget(one);
    for (const settle of one.settle) settle.reject(new Refused(Code.GONE, "this message was called off"));
    // What the server has of it goes by itself after a while, too.
    for (const { id } of one.files) if (id && this.isOnline) void this.request("DELETE", `/${id}`, {}).catch(() => undefined);
    await this.inside.store.durable();
  }

  private find(key: number): Waiting | undefined {
    return this.waiting.find((one) => one.key === key);
  }

  private forget(one: Waiting): void {
    this.waiting = this.waiting.filter((each) => each !== one);
    void this.shelf.then((shelf) => shelf.drop(one.files.map((_, place) => nameOf(one.key, place)))).catch(() => undefined);
    this.changed(one);
  }

  private changed(one?: Waiting): void {
    this.keep();
    this.tell(one);
  }

  private keep(): void {
    const { store } = this.inside;
    const has = this.waiting.length > 0 || this.over.length > 0;
    store.note(NAME, has ? ([this.waiting.map(rowOf), this.over.map((pair) => [...pair])] as unknown as Packed) : undefined);
    this.inside.keepLoaded(NAME, this.waiting.length > 0);
  }

  private tell(...of: (Waiting | undefined)[]): void {
    const streams = new Set((of.length ? of : this.waiting).flatMap((one) => one?.stream ?? []));
    const sections = (of.length ? of : this.waiting).flatMap((one) => (one?.lesson ? [`uploads.lesson/${one.stream}/${one.lesson.section}`] : []));
    this.inside.touch("status", ...[...streams].map((stream) => `stream/${stream}`), ...sections);
  }

  // Sending

  /** There may be something to do, and a way to do it. */
  private wake(): void {
    if (!this.running) void this.run();
  }

  private get mayGo(): boolean {
    return this.isOnline && !this.inside.exchange.mutations.pending;
  }

  /** No file: all are here, and belong into a library. */
  private next(): [Waiting, File | undefined, number] | undefined {
    for (const one of this.waiting) {
      if (one.said || one.files.some(({ state }) => state === "refused")) continue;
      const place = one.files.findIndex(({ state }) => state !== "ready");
      if (place >= 0 || one.lesson) return [one, one.files[place], place];
    }
    return undefined;
  }

  private async run(): Promise<void> {
    this.running = true;
    try {
      for (let next; this.mayGo && (next = this.next()); ) {
        const [one, file, place] = next;
        try {
          if (file) await this.step(file, nameOf(one.key, place));
          else await this.shelve(one);
          this.failures = 0;
          if (!file && this.waiting.includes(one)) this.say(one);
        } catch (error) {
          const of = file ?? one.files[0]!;
          of.sure = false;
          if (error instanceof Unwanted) Object.assign(of, { state: "refused", why: error.message });
          else {
            if (of.state === "sending") of.state = "waiting";
            this.tell(one);
            await this.stumble(error);
          }
        }
        if (!this.waiting.includes(one)) continue;
        if (!one.lesson && one.files.every(({ state }) => state === "ready")) this.say(one);
        this.changed(one);
      }
    } finally {
      this.running = false;
    }
  }

  private async stumble(error: unknown): Promise<void> {
    this.partBytes = Math.max(PART_LEAST, this.partBytes / 2);
    const asked = error instanceof AccountError ? error.retryAfterS * 1000 : 0;
    const { world } = this.inside.options;
    await this.pause(Math.max(asked, backoffMs(this.failures++, world.spread())));
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.inside.options.world.later(ms, () => resolve()));
  }

  /** One thing to be done for a file: begin it, ask how far it is, send a part, ask what it turned out to be. */
  private async step(file: File, name: string): Promise<void> {
    file.state = "sending";
    if (!file.id) return this.create(file, name);
    if (!file.sure || file.done >= file.size) {
      await this.ask(file);
      // Somebody looks at it there.
      if (file.done >= file.size && file.state === "sending") await this.pause(ASK_EVERY_MS);
      return;
    }
    const { partBytes } = this;
    const bytes = (await this.bytesOf(name)).slice(file.done, file.done + partBytes);
    const began = this.inside.options.world.wall();
    const fields = { "upload-offset": String(file.done), "content-type": "application/offset+octet-stream" };
    const answer = await this.request("PATCH", `/${file.id}`, fields, bytes);
    if (!answer) throw this.lost(file);
    const took = this.inside.options.world.wall() - began;
    if (took < QUICK_MS) this.partBytes = Math.min(PART_MOST, partBytes * 2);
    else if (took > SLOW_MS) this.partBytes = Math.max(PART_LEAST, partBytes / 2);
    file.done = Number(answer.headers.get("upload-offset") ?? file.done + bytes.size);
  }

  private async create(file: File, name: string): Promise<void> {
    file.hash ||= await fingerprint(await this.bytesOf(name));
    const metadata = `filename ${base64(file.name)}${file.hash ? `,sha256 ${base64(file.hash)}` : ""}`;
    const answer = await this.request("POST", "", { "upload-length": String(file.size), "upload-metadata": metadata });
    const id = Number(answer?.headers.get("location")?.split("/").pop() ?? 0);
    if (!id) throw new Unreachable("the server does not say where the file goes");
    Object.assign(file, { id, done: 0, sure: true });
  }

  /** How far it is, by the server. */
  private async ask(file: File): Promise<void> {
    const answer = await this.request("GET", `/${file.id}`, {});
    if (!answer) throw this.lost(file);
    const told = (await answer.json()) as Told;
    Object.assign(file, { done: told.done, sure: true });
    if (told.state === REFUSED) throw new Unwanted(told.why || "the server refused it");
    if (told.state > READY) throw this.lost(file);
    if (told.state === READY) Object.assign(file, { state: "ready", known: attachmentOf(told) });
  }

  /** There is no such upload any more, or another message has it: it begins anew. */
  private lost(file: File): Unreachable {
    Object.assign(file, { id: 0, done: 0, sure: false, state: "waiting" });
    return new Unreachable("the server does not have this upload any more");
  }

  private async bytesOf(name: string): Promise<Blob> {
    const blob = await (await this.shelf).get(name);
    if (!blob) throw new Unwanted("it is not on this device any more");
    return blob;
  }

  /** Puts the files of a lesson where its readers find them. Again is the same. */
  private async shelve({ lesson, files }: Waiting): Promise<void> {
    for (const { id } of files) {
      try {
        await this.inside.ask("PUT", `communities/${lesson!.community}/library/${id}`);
      } catch (error) {
        const { status = 0, detail = "" } = error as { status?: number; detail?: string };
        // One may not write here any more, there is no room, or the file is elsewhere.
        if ([403, 404, 409, 422].includes(status)) throw new Unwanted(detail || (error as Error).message);
        throw error;
      }
    }
  }

  /** All files are ready: the message is a mutation like any other. */
  private say(one: Waiting): void {
    one.said = true;
    const { stream, replyTo: reply_to, mentions, files, lesson } = one;
    if (lesson) {
      const fields = writeFields(new Map([[ContentRecord.files, [...lesson.before, ...files.map(({ id }) => id)]]]));
      return this.send(one, { type: "Change", stream, entity: ContentRecord.entity, key: lesson.section, at: one.at, fields, base: lesson.version, gone: false });
    }
    const text = one.text.trim() || files.map(({ known, name }) => known?.name ?? name).join(", ");
    this.send(one, { type: "Post", stream, text, reply_to, mentions, attachments: files.map(({ id }) => id) });
  }

  private send(one: Waiting, operation: Operation): void {
    this.inside.submit(operation, one.nonce).then(
      (seq) => {
        this.over = [...this.over, [one.nonce, seq] as const].slice(-DONE_KEPT);
        this.forget(one);
        for (const settle of one.settle) settle.resolve(seq);
      },
      (error: unknown) => {
        // It is shown, with the reason, as any mutation that was refused.
        this.forget(one);
        for (const settle of one.settle) settle.reject(error);
      },
    );
  }

  /** A request about uploads; null: there is no such upload. Rejected with `Unwanted` for good, otherwise for now. */
  private async request(method: string, path: string, fields: Record<string, string>, body?: Blob, isSecond = false): Promise<Response | null> {
    const { url, fetcher, world } = this.inside.options;
    const off = new AbortController();
    const cancel = world.later(SILENCE_MS, () => off.abort());
    try {
      const headers = { "tus-resumable": "1.0.0", ...fields, authorization: `Bearer ${await this.inside.token()}` };
      const init = { method, headers, signal: off.signal, cache: "no-store" as const, credentials: "omit" as const };
      const answer = await fetcher(`${url.replace(/\/+$/, "")}/api/v1/uploads${path}`, body ? { ...init, body } : init);
      if (answer.ok) return answer;
      const { status } = answer;
      const { detail = "", title = "" } = (await answer.json().catch(() => ({}))) as { detail?: string; title?: string };
      if ((status === 404 || status === 410) && method !== "POST") return null;
      // Out of date, or said otherwise meanwhile: the next request has a token that is good.
      if (status === 401 && !isSecond) return await this.inside.ask("GET", "uploads").then(() => this.request(method, path, fields, body, true));
      const forNow = status >= 500 || status === 401 || status === 408 || status === 423 || status === 429 || status === 460 || (status === 409 && method !== "POST");
      if (!forNow) throw new Unwanted(detail || title || `HTTP status ${status}`);
      throw new AccountError(status, "", title, detail, Number(answer.headers.get("retry-after")) || 0);
    } catch (error) {
      if (error instanceof Unwanted || error instanceof AccountError) throw error;
      throw new Unreachable((error as Error).message);
    } finally {
      cancel();
    }
  }
}

function nameOf(key: number, place: number): string {
  return `${key}/${place}`;
}

/** SHA-256 in hexadecimal; empty where a page may not compute it. */
async function fingerprint(bytes: Blob): Promise<string> {
  if (!globalThis.crypto?.subtle) return "";
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await bytes.arrayBuffer()));
  return [...digest].map((one) => one.toString(16).padStart(2, "0")).join("");
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (two) => parseInt(two, 16));
}

function attachmentOf({ id, sha256, media_type, bytes: size, width, height, placeholder, name }: Told): Attachment {
  return { id, hash: fromHex(sha256), media_type, size, width, height, placeholder: fromHex(placeholder), name };
}

type FileRow = [string, string, number, number, string, boolean, string];
type LessonRow = [community: number, section: number, version: number, before: number[]];
type Row = [number, string, number, string, number, number[], number, boolean, FileRow[], LessonRow?];

/** What is kept: which upload a file is, and whether it was refused; how far it is the server says. */
function rowOf({ key, nonce, stream, text, replyTo, mentions, at, said, files, lesson }: Waiting): Row {
  const rows = files.map(({ name, type, size, id, hash, state, why }): FileRow => [name, type, size, id, hash, state === "refused", why]);
  const row: Row = [key, nonce, stream, text, replyTo, [...mentions], at, said, rows];
  if (lesson) row.push([lesson.community, lesson.section, lesson.version, [...lesson.before]]);
  return row;
}

function waitingOf([key, nonce, stream, text, replyTo, mentions, at, said, files, kept]: Row, settle: Waiting["settle"] = []): Waiting {
  const made = files.map(([name, type, size, id, hash, refused, why]): File => {
    return { name, type, size, id, hash, why, state: refused ? "refused" : said ? "ready" : "waiting", done: 0, sure: false, known: undefined };
  });
  const [community = 0, section = 0, version = 0, before = []] = kept ?? [];
  const lesson = kept && { community, section, version, before };
  return { key, nonce, stream, text, replyTo, mentions, at, said, lesson, files: made, chosen: [], settle };
}

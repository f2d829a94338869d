/**
 * One document, as it is kept on this device: its state, what came after that, what waits to be sent, what was not taken.
 *
 *     row doc/7        serial, generation, base, state, aside        doc/7/12   the update of event 12, after the base
 *     row doc/7/out    what waits, in order; doc/7/o/3: one of it    doc/7/was  updates of a document that is no more; doc/7/left: texts
 *
 * Invariant: what a page that is killed leaves is the document at some moment, with everything that was written until then.
 */
import { decodeOperation } from "./codec";
import { RequestFailed } from "./errors";
import { unpack } from "./msgpack";
import type { Inside } from "./parts";
import { Code, LinkQuality, type Raw, type Update } from "./protocol";
import type { Fact, Reader } from "./streams";

/** Updates under way: on a link of 400 ms, ten a second. */
const WINDOW = 4;
const SLOWED_MS = 5_000;
const FUTILE_MAX = 3;
const PART_BYTES = 16 * 1024;
const KEPT_BYTES = 2 * 1024 * 1024;
const KEPT_MAX = 40;
const LEFT_MAX = 8;
const PERSON_MS = 30_000;
const WHERE_MS = 200;
const WHERE_FAIR_MS = 1_000;
const PEOPLE_MAX = 64;
export const PART = "documents";
const UPDATE = 88;

/** What stands of a document for each tab that has it open. */
export interface Standing {
  /** Another number: it is put together anew, in an empty document. 0: nothing is here yet. */
  readonly serial: number;
  readonly generation: number;
  /** The last event that is in it. */
  readonly upto: number;
  /** The last event that is known of: one's own may be committed and not here yet. */
  readonly head: number;
  readonly caughtUp: boolean;
  /** Why it cannot be read; 0 while it can. */
  readonly code: Code;
  /** Why what is written is not taken; 0 while it is. */
  readonly refused: Code;
  readonly unsent: number;
  /** There are updates of a document that is no more: their text is to be left. */
  readonly was: boolean;
  readonly left: readonly string[];
  readonly people: ReadonlyMap<number, Uint8Array>;
  /** How often a version was named while one looks. */
  readonly named: number;
}

/** What a tab has not got yet. */
export interface Missing {
  readonly serial: number;
  readonly generation: number;
  readonly upto: number;
  readonly updates: readonly Uint8Array[];
  /** Events since the state. */
  readonly tail: number;
}

/** Something written. `pen` and `no` name it. */
interface Item {
  readonly id: number;
  readonly generation: number;
  readonly pen: number;
  readonly no: number;
  readonly update: Uint8Array;
}

interface Person {
  readonly data: Uint8Array;
  readonly at: number;
}

type Bytes = readonly Uint8Array[];

/** What a shelf asks of the others. */
export interface Shelves {
  isLookedAt(stream: number): boolean;
  /** Something was decided: where nothing waits any more, the part need not be there from the start. */
  settle(): void;
}

const TABLE = /* @__PURE__ */ Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

/** CRC-32, as zlib computes it. */
export function checksumOf(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 0xff]! ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

export class Shelf implements Reader {
  private serial = 0;
  private generation = 0;
  /** The event that the state is after, and the last one that came. */
  private base = 0;
  private upto = 0;
  private head = 0;
  private state: Bytes = [];
  private tail: { readonly seq: number; readonly update: Uint8Array }[] = [];
  /** Events that are no part of it, though they come after the state. */
  private aside = new Set<number>();
  private out: Item[] = [];
  private lastId = 0;
  readonly sent = new Map<number, Item>();
  /** Refused for now, by the mutations that they were. */
  private readonly back = new Map<number, Item>();
  was: Bytes = [];
  private left: readonly string[] = [];
  private people = new Map<number, Person>();
  private caught = false;
  private code: Code = 0;
  private refusal: Code = 0;
  private named = 0;
  /** Nothing is sent: it has to be loaded first. */
  private held = false;
  private slowed = false;
  private loading = false;
  private futile = 0;
  private garbled = 0;
  private saidAt = 0;
  private saying: Uint8Array | undefined;

  constructor(
    private readonly inside: Inside,
    private readonly stream: number,
    private readonly desk: Shelves,
  ) {
    const { store } = inside;
    const kept = store.noted(this.row()) as readonly [number, number, number, Bytes, readonly number[]] | undefined;
    if (kept) {
      [this.serial, this.generation, this.base, this.state] = kept;
      this.aside = new Set(kept[4]);
      this.upto = store.cursors.get(stream) ?? this.base;
      for (let seq = this.base + 1; seq <= this.upto; seq++) {
        const update = store.noted(this.row(seq)) as Uint8Array | undefined;
        if (update) this.tail.push({ seq, update });
      }
    }
    for (const id of (store.noted(this.row("out")) ?? []) as readonly number[]) {
      const [generation, pen, no, update] = store.noted(this.row("o", id)) as unknown as [number, number, number, Uint8Array];
      this.out.push({ id, generation, pen, no, update });
      this.lastId = Math.max(this.lastId, id);
    }
    this.was = (store.noted(this.row("was")) ?? []) as Bytes;
    this.left = (store.noted(this.row("left")) ?? []) as readonly string[];
  }

  private row(...more: readonly (string | number)[]): string {
    return ["doc", this.stream, ...more].join("/");
  }

  private touch(): void {
    this.inside.touch(`${PART}.open/${this.stream}`);
  }

  standing(): Standing {
    const { serial, generation, upto, head, code, refusal, left, named } = this;
    const people = new Map([...this.people].map(([user, { data }]) => [user, data]));
    return { serial, generation, upto, head: Math.max(head, upto), caughtUp: this.caught, code, refused: refusal, unsent: this.own().length, was: this.was.length > 0, left, people, named };
  }

  /** What is written here and not committed, in its order. */
  own(): Item[] {
    const byKey = [...this.sent, ...this.back].sort(([a], [b]) => a - b);
    return [...byKey.map(([, item]) => item), ...this.out];
  }

  since(serial: number, upto: number): Missing {
    const fresh = serial !== this.serial;
    const whole = fresh || upto < this.base;
    const tail = this.tail.filter(({ seq }) => whole || seq > upto).map(({ update }) => update);
    const own = fresh ? this.own().map(({ update }) => update) : [];
    const updates = [...(whole ? this.state : []), ...tail, ...own];
    return { serial: this.serial, generation: this.generation, upto: this.upto, updates, tail: this.tail.length };
  }

  // Looking

  look(): void {
    const { streams } = this.inside.exchange;
    this.refusal = this.code = 0;
    note(this.inside, this.stream, this.bytes());
    streams.readers.set(this.stream, this);
    if (!this.serial || !this.inside.store.cursors.has(this.stream)) void this.load();
    else streams.follow(this.stream, this.upto);
    this.pump();
    this.touch();
  }

  rest(): void {
    const { exchange, options } = this.inside;
    if (this.saidAt) exchange.remark(`where/${this.stream}`, { type: "Aware", document: this.stream, data: new Uint8Array() });
    this.people.clear();
    this.saying = undefined;
    this.saidAt = 0;
    this.caught = false;
    note(this.inside, this.stream, this.bytes());
    // Who does not follow it is not heard either: that one is gone is said first.
    options.world.later(0, () => {
      if (this.desk.isLookedAt(this.stream) || exchange !== this.inside.exchange) return;
      exchange.streams.unfollow(this.stream);
      exchange.streams.readers.delete(this.stream);
    });
  }

  cut(): void {
    this.caught = false;
    this.people.clear();
    this.saidAt = 0;
    this.touch();
  }

  /** A socket is open: what could not be loaded is asked for again. */
  hurry(): void {
    if (this.held) void this.load();
  }

  /** Says where one is; what is said too soon replaces what waits. */
  say(data: Uint8Array): void {
    const { options } = this.inside;
    const link = options.link();
    // Nobody on a poorer link hears of others, and there are few bytes to spare.
    if (link > LinkQuality.FAIR) return;
    const { wall, later } = options.world;
    const due = this.saidAt + (link === LinkQuality.FAIR ? WHERE_FAIR_MS : WHERE_MS) - wall();
    const tell = () => {
      this.saidAt = wall();
      this.inside.exchange.remark(`where/${this.stream}`, { type: "Aware", document: this.stream, data: this.saying! });
      this.saying = undefined;
    };
    const waits = this.saying !== undefined;
    this.saying = data;
    if (due <= 0) tell();
    else if (!waits) later(due, () => this.saying && this.desk.isLookedAt(this.stream) && tell());
  }

  hear(user: number, data: Uint8Array): void {
    const { wall, later } = this.inside.options.world;
    if (!data.length) this.people.delete(user);
    else if (this.people.has(user) || this.people.size < PEOPLE_MAX) {
      this.people.set(user, { data: data.slice(), at: wall() });
      later(PERSON_MS + 100, () => {
        const said = this.people.get(user);
        if (said && wall() - said.at >= PERSON_MS && this.people.delete(user)) this.touch();
      });
    }
    this.touch();
  }

  // Loading

  /** The present state. `anew`: something that is in it is no part of it. */
  private async load(anew = false): Promise<void> {
    this.held = true;
    if (this.loading) return;
    this.loading = true;
    const { exchange } = this.inside;
    try {
      const parts: Uint8Array[] = [];
      let [at, upto, generation, size] = [0, 0, 0, 1];
      while (at < size) {
        const where = { document: this.stream, generation, upto, offset: at, bytes_max: PART_BYTES };
        const got = await exchange.questions.ask((id) => ({ type: "LoadDocument", id, ...where }), "DocumentPart");
        // Compacted meanwhile: this is the first part of another one.
        if (got.offset !== at) parts.length = 0;
        parts.push(got.data);
        at = got.offset + got.data.length;
        ({ upto, generation, size } = got);
        if (!got.data.length) break;
      }
      if (exchange !== this.inside.exchange) return;
      this.loading = false;
      this.begin(generation, upto, unpackState(parts), anew);
    } catch (error) {
      this.loading = false;
      // The session is over, or too much is asked at once: asked again with the next socket.
      const isFinal = error instanceof RequestFailed && error.code > 0 && error.code < 4000;
      if (!isFinal || exchange !== this.inside.exchange) return;
      // It was here and is no more, or is for others now: what was read stays.
      this.code = error.code;
      this.held = false;
      if (this.own().length) this.giveUp(error.code);
      this.touch();
    }
  }

  private begin(generation: number, upto: number, state: Bytes, anew: boolean): void {
    const { store, exchange } = this.inside;
    const other = generation !== this.generation;
    if (other) {
      // What is under way is refused when it comes; what it was in is gone then.
      if (this.own().length && this.generation) this.keepAs(this.own());
      this.aside.clear();
    }
    if (other || anew || !this.serial) this.serial = 1 + Math.floor(this.inside.options.world.spread() * 0x7fffffff);
    for (const { seq } of this.tail) store.note(this.row(seq), undefined);
    this.generation = generation;
    this.base = this.upto = upto;
    this.state = state;
    this.tail = [];
    this.code = 0;
    this.held = false;
    exchange.streams.unfollow(this.stream, true);
    store.dropCursor(this.stream);
    store.advance(this.stream, upto);
    this.put();
    if (this.desk.isLookedAt(this.stream)) {
      exchange.streams.readers.set(this.stream, this);
      exchange.streams.follow(this.stream, upto);
    }
    note(this.inside, this.stream, this.bytes());
    this.pump();
    this.touch();
  }

  private put(): void {
    this.inside.store.note(this.row(), [this.serial, this.generation, this.base, this.state, [...this.aside]]);
  }

  /** A tab has put together what it has: that is the state from now on. */
  keep(serial: number, upto: number, state: Uint8Array): void {
    if (serial !== this.serial || upto <= this.base || upto > this.upto || this.own().length || this.loading) return;
    for (const { seq } of this.tail) if (seq <= upto) this.inside.store.note(this.row(seq), undefined);
    this.tail = this.tail.filter(({ seq }) => seq > upto);
    this.base = upto;
    this.state = [state];
    this.put();
  }

  private bytes(): number {
    return [...this.state, ...this.tail.map(({ update }) => update)].reduce((sum, one) => sum + one.length, 0);
  }

  // What the server says

  take(fact: Fact): void {
    this.upto = fact.seq;
    this.touch();
    if (fact.type !== "Event") return;
    const { body, seq } = fact;
    if (body.type === "Updated") {
      if (this.aside.has(seq)) return;
      if (checksumOf(body.update) !== body.checksum) {
        // Garbled on its way or where it is kept: it comes again, and where it is no better it is passed over.
        if (this.garbled === seq) this.aside.add(seq);
        this.garbled = seq;
        return void this.load(true);
      }
      const update = body.update.slice();
      this.tail.push({ seq, update });
      this.inside.store.note(this.row(seq), update);
    } else if (body.type === "Restarted") {
      if (body.generation !== this.generation) void this.load();
    } else if (body.type === "SetAside") {
      const known = body.events.every((one) => one <= this.base || this.aside.has(one));
      for (const one of body.events) this.aside.add(one);
      this.put();
      if (!known) this.dropAside();
    } else if (body.type === "VersionNamed") this.named++;
  }

  /** What is set aside is no part of it, though it came. The document is put together anew, from what is here. */
  private dropAside(): void {
    for (const { seq } of this.tail) if (this.aside.has(seq)) this.inside.store.note(this.row(seq), undefined);
    this.tail = this.tail.filter(({ seq }) => !this.aside.has(seq));
    this.serial = 1 + Math.floor(this.inside.options.world.spread() * 0x7fffffff);
    this.put();
  }

  caughtUp(): void {
    this.caught = true;
    this.touch();
  }

  refused(code: Code): void {
    this.code = code;
    this.touch();
  }

  restarted(): void {
    void this.load(true);
  }

  // Writing

  async write(item: Item, into: number, merged: Uint8Array | undefined): Promise<boolean> {
    const { store } = this.inside;
    const place = this.out.findIndex(({ pen, no, generation }) => pen === item.pen && no === into && generation === item.generation);
    const isKnown = this.own().some(({ pen, no }) => pen === item.pen && no === item.no);
    let added = false;
    if (this.refusal || (this.generation && item.generation !== this.generation)) this.keepAs([item]);
    else if (place >= 0 && merged) {
      this.replace(place, { ...this.out[place]!, update: merged });
      added = true;
    } else if (!isKnown) this.append(item);
    this.pump();
    this.touch();
    await store.durable();
    return added;
  }

  private append(item: Item): void {
    const kept = { ...item, id: ++this.lastId };
    this.out.push(kept);
    this.putItem(kept);
    this.putOut();
  }

  private replace(place: number, item: Item): void {
    this.out[place] = item;
    this.putItem(item);
  }

  private putItem({ id, generation, pen, no, update }: Item): void {
    this.inside.store.note(this.row("o", id), [generation, pen, no, update]);
  }

  private putOut(): void {
    this.inside.store.note(this.row("out"), this.out.length ? this.out.map(({ id }) => id) : undefined);
    this.inside.keepLoaded(PART, true);
    note(this.inside, this.stream, this.bytes());
  }

  private dropItems(items: readonly Item[]): void {
    for (const { id } of items) if (id) this.inside.store.note(this.row("o", id), undefined);
    this.out = this.out.filter((one) => !items.includes(one));
    this.putOut();
  }

  /** Sends what waits: a few at once, in order. */
  pump(): void {
    const { exchange } = this.inside;
    while (!this.held && !this.refusal && !this.back.size && this.out.length && this.sent.size < WINDOW) {
      const item = this.out[0]!;
      if (this.generation && item.generation !== this.generation) {
        this.keepAs([item]);
        continue;
      }
      const { update, generation } = item;
      const { key, value } = exchange.mutations.submit({ type: "Update", document: this.stream, generation, update, checksum: checksumOf(update) }, "");
      value.catch(() => undefined);
      // In the same batch for the disk: it is a mutation now, and waits no longer.
      this.dropItems([item]);
      this.sent.set(key, item);
    }
  }

  committed(key: number, seq: number): void {
    this.head = Math.max(this.head, seq);
    this.sent.delete(key);
    this.futile = 0;
    this.goOn();
    this.desk.settle();
  }

  refuse(key: number, item: Item, code: Code): void {
    this.sent.delete(key);
    // It is sent again, or its text is left; of several that are never taken one stays in the list of failures.
    if (isPassing(code) || this.refusal) this.inside.store.discard(key);
    const isOld = this.generation > 0 && item.generation !== this.generation;
    if (!isOld) this.back.set(key, item);
    if (code === Code.SLOWED) this.slowed = true;
    if (!isPassing(code)) this.refusal = code;
    this.goOn(code);
  }

  /** Once nothing is under way any more, what was refused goes back in front, in order, and is sent when the document is loaded. */
  private goOn(code: Code = 0): void {
    this.touch();
    if (this.sent.size) return this.back.size ? undefined : this.pump();
    if (!this.back.size) return this.pump();
    const { later } = this.inside.options.world;
    if (this.refusal || this.futile++ >= FUTILE_MAX) return this.giveUp(this.refusal || code);
    const items = [...this.back].sort(([a], [b]) => a - b).map(([, item]) => ({ ...item, id: ++this.lastId }));
    this.back.clear();
    this.out = [...items, ...this.out];
    for (const item of items) this.putItem(item);
    this.putOut();
    this.held = true;
    if (this.slowed) later(SLOWED_MS, () => void this.load());
    else void this.load();
    this.slowed = false;
  }

  /** What is written here is not taken: its text is left, and the document is shown as the others have it. */
  private giveUp(code: Code): void {
    this.refusal = code;
    this.keepAs(this.own());
    this.futile = 0;
    if (!this.code) void this.load(true);
  }

  /** These are no part of the document any more; what they were in is kept until its text is left. */
  private keepAs(items: readonly Item[]): void {
    const before = this.was.length ? this.was : [...this.state, ...this.tail.map(({ update }) => update)];
    this.was = [...before, ...items.map(({ update }) => update)];
    this.inside.store.note(this.row("was"), this.was);
    this.back.clear();
    this.dropItems(items);
    this.desk.settle();
  }

  /** Their text, which is kept until the person has seen it. Empty: there was nothing in it. */
  leave(text: string): void {
    if (text) this.left = [...this.left, text].slice(-LEFT_MAX);
    this.was = [];
    this.inside.store.note(this.row("was"), undefined);
    this.inside.store.note(this.row("left"), this.left);
    this.touch();
  }

  dismiss(): void {
    this.left = [];
    this.inside.store.note(this.row("left"), undefined);
    this.touch();
  }
}

type Known = readonly [stream: number, bytes: number];

export function keptDocuments(inside: Inside): readonly Known[] {
  return (inside.store.noted("docs") ?? []) as unknown as readonly Known[];
}

/** A document is here, with so many bytes: it is the last to go. Those that were not open for longest go first, but not what waits in them. */
function note(inside: Inside, stream: number, bytes: number): void {
  const { store } = inside;
  const others = keptDocuments(inside).filter(([one]) => one !== stream);
  const list: Known[] = [...others, [stream, bytes]];
  const waits = ([one]: Known) => ["out", "was", "left"].some((what) => store.noted(`doc/${one}/${what}`));
  let sum = list.reduce((all, one) => all + one[1], 0);
  const dropped = list.slice(0, -1).filter((one, place) => {
    if (waits(one) || (sum <= KEPT_BYTES && list.length - place <= KEPT_MAX)) return false;
    sum -= one[1];
    return true;
  });
  for (const [one] of dropped) forget(inside, one);
  store.note("docs", list.filter((one) => !dropped.includes(one)) as unknown as number[][]);
}

function forget({ store }: Inside, stream: number): void {
  const [, , base = 0] = (store.noted(`doc/${stream}`) ?? []) as readonly number[];
  for (let seq = base + 1; seq <= (store.cursors.get(stream) ?? 0); seq++) {
    if (store.noted(`doc/${stream}/${seq}`)) store.note(`doc/${stream}/${seq}`, undefined);
  }
  store.note(`doc/${stream}`, undefined);
  store.dropCursor(stream);
}

/** Refused for now: it is sent again when the document was loaded. */
export function isPassing(code: number): boolean {
  return code === Code.RELOAD || code === Code.SLOWED;
}

export function updateOf(operation: Raw): Update | undefined {
  return operation[1] === UPDATE ? (decodeOperation(operation) as Update) : undefined;
}

export function itemOf({ generation, update }: Update): Item {
  return { id: 0, generation, pen: 0, no: 0, update: update.slice() };
}

/** The updates of a state that came in parts. */
export function unpackState(parts: Bytes): Bytes {
  const whole = new Uint8Array(parts.reduce((sum, one) => sum + one.length, 0));
  let at = 0;
  for (const one of parts) {
    whole.set(one, at);
    at += one.length;
  }
  return whole.length ? (unpack(whole) as unknown as Bytes) : [];
}

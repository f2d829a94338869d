/**
 * msgpack: as much of it as the protocol uses, in few bytes.
 *
 *     value ─Writer─▶ bytes, integers in their shortest form          bytes ─Reader─▶ value, or a slice that is read later
 *
 * Integers that a double does not hold are `bigint`; maps are `Map`, because their keys are numbers.
 *
 * Invariant: `read` of what `write` wrote is the same value; nothing outside the given bytes is looked at, and no length that they name is
 * believed before it is there.
 */

/** Bytes that are no msgpack, or none that is used here. */
export class NotMsgpack extends Error {}

/** What the protocol's frames are made of. */
export type Packed = number | bigint | string | boolean | null | Uint8Array | readonly Packed[] | ReadonlyMap<Packed, Packed>;

const DEPTH_MAX = 32;
const TEXT = /* @__PURE__ */ new TextEncoder();
const READ_TEXT = /* @__PURE__ */ new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/** Grows as it is written to. */
export class Writer {
  private bytes = new Uint8Array(256);
  private view = new DataView(this.bytes.buffer);
  private at = 0;

  /** What was written. */
  take(): Uint8Array {
    return this.bytes.slice(0, this.at);
  }

  /** Bytes as they are: msgpack that was written before. */
  raw(bytes: Uint8Array): void {
    this.room(bytes.length);
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** An array's head; its elements follow. */
  array(length: number): void {
    this.head(length, 0x90, 15, 0, 0xdc);
  }

  write(value: Packed): void {
    if (typeof value === "number") this.int(value);
    else if (typeof value === "bigint") this.int64(value);
    else if (typeof value === "string") {
      const text = TEXT.encode(value);
      this.head(text.length, 0xa0, 31, 0xd9, 0xda);
      this.raw(text);
    } else if (typeof value === "boolean") this.byte(value ? 0xc3 : 0xc2);
    else if (value === null) this.byte(0xc0);
    else if (value instanceof Uint8Array) {
      this.head(value.length, 0, -1, 0xc4, 0xc5);
      this.raw(value);
    } else if (value instanceof Map) {
      this.head(value.size, 0x80, 15, 0, 0xde);
      for (const [key, one] of value) {
        this.write(key);
        this.write(one);
      }
    } else {
      const list = value as readonly Packed[];
      this.array(list.length);
      for (const one of list) this.write(one);
    }
  }

  private room(count: number): void {
    if (this.at + count <= this.bytes.length) return;
    const wider = new Uint8Array(Math.max(this.at + count, this.bytes.length * 2));
    wider.set(this.bytes);
    this.bytes = wider;
    this.view = new DataView(wider.buffer);
  }

  private byte(value: number): void {
    this.room(1);
    this.bytes[this.at++] = value;
  }

  /** Big-endian, in so many bytes. */
  private put(marker: number, value: number, size: 1 | 2 | 4): void {
    this.room(1 + size);
    this.bytes[this.at++] = marker;
    if (size === 1) this.view.setUint8(this.at, value);
    else if (size === 2) this.view.setUint16(this.at, value);
    else this.view.setUint32(this.at, value);
    this.at += size;
  }

  /** `marker2` is that of two bytes, `marker2 + 1` that of four, `marker1` (0: none) that of one. */
  private head(length: number, short: number, shortMax: number, marker1: number, marker2: number): void {
    if (length <= shortMax) this.byte(short | length);
    else if (marker1 && length < 0x100) this.put(marker1, length, 1);
    else if (length < 0x10000) this.put(marker2, length, 2);
    else this.put(marker2 + 1, length, 4);
  }

  private int(value: number): void {
    if (!Number.isSafeInteger(value)) throw new NotMsgpack(`${value} is no whole number`);
    if (value >= 0) {
      if (value < 0x80) this.byte(value);
      else if (value < 0x100) this.put(0xcc, value, 1);
      else if (value < 0x10000) this.put(0xcd, value, 2);
      else if (value < 0x100000000) this.put(0xce, value, 4);
      else this.int64(BigInt(value));
    } else if (value >= -0x20) this.byte(value & 0xff);
    else if (value >= -0x80) this.put(0xd0, value & 0xff, 1);
    else if (value >= -0x8000) this.put(0xd1, value & 0xffff, 2);
    else if (value >= -0x80000000) this.put(0xd2, value >>> 0, 4);
    else this.int64(BigInt(value));
  }

  private int64(value: bigint): void {
    this.room(9);
    this.bytes[this.at] = value < 0n ? 0xd3 : 0xcf;
    if (value < 0n) this.view.setBigInt64(this.at + 1, value);
    else this.view.setBigUint64(this.at + 1, value);
    this.at += 9;
  }
}

/** Reads forward over bytes. */
export class Reader {
  readonly bytes: Uint8Array;
  private view: DataView;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  /** How many elements the array here has; -1, and nothing is read, where there is no array. */
  array(): number {
    const head = this.bytes[this.at] ?? 0;
    if (head >> 4 === 9) {
      this.at++;
      return head & 15;
    }
    if (head !== 0xdc && head !== 0xdd) return -1;
    this.at++;
    return this.unsigned(head === 0xdc ? 2 : 4);
  }

  /** The bytes of the value here, without building it. */
  slice(): Uint8Array {
    const from = this.at;
    this.value(false, 0);
    return this.bytes.subarray(from, this.at);
  }

  read(): Packed {
    return this.value(true, 0);
  }

  private value(build: boolean, depth: number): Packed {
    if (depth > DEPTH_MAX) throw new NotMsgpack("nested too deeply");
    const head = this.unsigned(1);
    if (head < 0x80) return head;
    if (head < 0x90) return this.map(head & 15, build, depth);
    if (head < 0xa0) return this.list(head & 15, build, depth);
    if (head < 0xc0) return this.text(head & 31, build);
    if (head >= 0xe0) return head - 0x100;
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
      case 0xc3:
        return head === 0xc3;
      case 0xc4:
      case 0xc5:
      case 0xc6:
        return this.take(this.unsigned((1 << (head - 0xc4)) as 1 | 2 | 4));
      case 0xca:
      case 0xcb:
        // There are no fractions in the protocol, not even whole ones: this is no whole number, whoever asks.
        this.skip(head === 0xca ? 4 : 8);
        return NaN;
      case 0xcc:
      case 0xcd:
      case 0xce:
        return this.unsigned((1 << (head - 0xcc)) as 1 | 2 | 4);
      case 0xcf:
        return small(this.view.getBigUint64(this.skip(8)));
      case 0xd0:
        return this.view.getInt8(this.skip(1));
      case 0xd1:
        return this.view.getInt16(this.skip(2));
      case 0xd2:
        return this.view.getInt32(this.skip(4));
      case 0xd3:
        return small(this.view.getBigInt64(this.skip(8)));
      case 0xd9:
      case 0xda:
      case 0xdb:
        return this.text(this.unsigned((1 << (head - 0xd9)) as 1 | 2 | 4), build);
      case 0xdc:
      case 0xdd:
        return this.list(this.unsigned(head === 0xdc ? 2 : 4), build, depth);
      case 0xde:
      case 0xdf:
        return this.map(this.unsigned(head === 0xde ? 2 : 4), build, depth);
      default:
        throw new NotMsgpack(`0x${head.toString(16)} is not used here`);
    }
  }

  /** Moves over so many bytes, which must be there; where they begin. */
  private skip(count: number): number {
    const from = this.at;
    if (from + count > this.bytes.length) throw new NotMsgpack("cut off");
    this.at = from + count;
    return from;
  }

  private take(count: number): Uint8Array {
    const from = this.skip(count);
    return this.bytes.subarray(from, this.at);
  }

  private unsigned(size: 1 | 2 | 4): number {
    const at = this.skip(size);
    return size === 1 ? this.view.getUint8(at) : size === 2 ? this.view.getUint16(at) : this.view.getUint32(at);
  }

  private text(length: number, build: boolean): string {
    const bytes = this.take(length);
    if (!build) return "";
    try {
      return READ_TEXT.decode(bytes);
    } catch {
      throw new NotMsgpack("text that is no UTF-8");
    }
  }

  private list(length: number, build: boolean, depth: number): Packed {
    const list: Packed[] = [];
    for (let n = 0; n < length; n++) {
      const one = this.value(build, depth + 1);
      if (build) list.push(one);
    }
    return list;
  }

  private map(size: number, build: boolean, depth: number): Packed {
    const map = new Map<Packed, Packed>();
    for (let n = 0; n < size; n++) {
      const key = this.value(build, depth + 1);
      const one = this.value(build, depth + 1);
      if (build) map.set(key, one);
    }
    return map;
  }
}

function small(value: bigint): number | bigint {
  return value <= SAFE && value >= -SAFE ? Number(value) : value;
}

/** One value's bytes. */
export function pack(value: Packed): Uint8Array {
  const writer = new Writer();
  writer.write(value);
  return writer.take();
}

/** The one value that these bytes are. Throws `NotMsgpack`. */
export function unpack(bytes: Uint8Array): Packed {
  const reader = new Reader(bytes);
  const value = reader.read();
  if (!reader.isAtEnd) throw new NotMsgpack("more than one value");
  return value;
}

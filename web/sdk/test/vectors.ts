/** The vectors that every client shares, from the checkout's root, and what JSON cannot say put back. */
import { readFileSync } from "node:fs";
import type { Packed } from "../src/msgpack";
import { learnRest } from "../src/rest_of_wire";
import { FIRST } from "../src/wire";
import { MORE } from "../src/wire_more";

export type Json = any;

/** A file of `tests/vectors`. */
export function vectors(name: string): Json {
  return JSON.parse(readFileSync(new URL(`../../../../tests/vectors/${name}.json`, import.meta.url), "utf8"));
}

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** `{"map": …}` and `{"bin": …}` as what they stand for. */
export function packed(value: Json): Packed {
  if (Array.isArray(value)) return value.map(packed);
  if (value && typeof value === "object") {
    return "bin" in value ? fromHex(value.bin) : new Map(value.map.map(([key, one]: [number, Json]) => [key, packed(one)]));
  }
  return value;
}

/** The way back. */
export function json(value: Packed): Json {
  if (value instanceof Uint8Array) return { bin: toHex(value) };
  if (value instanceof Map) return { map: [...value].map(([key, one]) => [key, json(one)]) };
  return Array.isArray(value) ? value.map(json) : value;
}

/** Every form of the protocol, a line each: all can be read in a test. */
learnRest();
export const FORMS = [FIRST, MORE].flatMap((text) => text.split("\n\n")[1]!.split("\n"));

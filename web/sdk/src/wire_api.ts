/** The wire for whoever wants more than the client: bytes to messages and back, and records' fields. */
import * as codec from "./codec";
import type { Body, Command, Frame, Operation, Raw } from "./protocol";
import { learnRest } from "./rest_of_wire";

export type { Heard, UnknownBody, UnknownEvent, UnknownFrame } from "./codec";
export { BadFields, BadFrame } from "./errors";
export { entities, Outcome, readFields, readOutcome, upcast, writeFields } from "./records";

/** A message's bytes; fields that are left out have their defaults. */
export function encode(message: Command | Operation | Frame | Body): Uint8Array {
  learnRest();
  return codec.encode(message);
}

/** What a server sent. Throws `BadFrame`. */
export function decodeFrame(raw: Uint8Array): codec.Heard {
  learnRest();
  return codec.decodeFrame(raw);
}

/** An event's body. Throws `BadFrame`. */
export function decodeBody(raw: Raw): Body | codec.UnknownBody {
  learnRest();
  return codec.decodeBody(raw);
}

/** What a mutation asks for. Throws `BadFrame`. */
export function decodeOperation(raw: Raw): Operation {
  learnRest();
  return codec.decodeOperation(raw);
}

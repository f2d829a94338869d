/** The wire for whoever wants more than the client: bytes to messages and back, and records' fields. */
export { decodeBody, decodeFrame, decodeOperation, encode } from "./codec";
export { entities, Outcome, readFields, readOutcome, upcast, writeFields } from "./records";

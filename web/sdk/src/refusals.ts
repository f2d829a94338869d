/**
 * What an exchange does when the server says no, not now, or no longer; and what else it seldom says.
 *
 *     Refused ─ for good ─▶ settled │ for now ─▶ held; once all that was sent is answered, sent again, after a while
 *     Failed ── for good ─▶ told ───│ for now ─▶ asked again after the wait that it names
 *     Lagged, Unfollowed ─▶ asked for again, or at rest
 *
 * As client/mutations.py, client/streams.py and client/questions.py.
 *
 * Invariant: what was refused for now is asked for again, in order; what was refused for good is told once.
 */
import type { Heard } from "./codec";
import { DeviceCopied, ServerFault } from "./errors";
import type { Exchange } from "./exchange";
import type { Mutations } from "./mutations";
import type { Positions } from "./positions";
import { Code, RETRY, type Failed, type Refused as RefusedFrame } from "./protocol";
import type { Asked, Questions } from "./questions";
import { backoffMs } from "./session_machine";
import type { Streams } from "./streams";

const WINDOW_DECREASE = 4;
const FUTILE_MAX = 5;

/** Whether it is shown while one looks, and kept nowhere. */
export function isHint(frame: Heard): boolean {
  return ["IsTyping", "Presence", "IsAware"].includes(frame.type) || (frame.type === "MentorsFound" && !frame.id);
}

/** Takes a frame that no session needs to begin with. Throws `DeviceCopied`, `ServerFault`. */
export function hearRest({ mutations, questions, streams }: Exchange, frame: Heard): void {
  if (frame.type === "Refused") refuse(mutations, frame);
  else if (frame.type === "Lagged") {
    if (lagged(streams.positions, frame.stream)) streams.wake();
  } else if (frame.type === "Unfollowed") unfollowed(streams, frame.stream, frame.code);
  else if (frame.type !== "Failed" || !followFailed(streams, frame)) questions.hear(frame);
}

// Mutations

/** The server refused one, for good or for now. */
function refuse(mutations: Mutations, { number, code, detail, wait_ms }: RefusedFrame): void {
  const retry = RETRY[code] ?? (code >= 4000 ? "same" : "no");
  if (retry === "no") {
    if (code === Code.NUMBER_REUSED) throw new DeviceCopied(detail);
    const one = mutations.ledger.settle(number);
    if (one) mutations.settle([{ key: one.key, code, value: 0, detail }]);
    return;
  }
  // Not consumed. A code that ends sockets says that the end is near; then the cut puts everything back.
  mutations.ledger.bounce(number);
  if (retry === "later") {
    if (!mutations.holdMs) mutations.window = Math.max(1, mutations.window / WINDOW_DECREASE);
    mutations.holdMs = Math.max(mutations.holdMs, wait_ms, backoffMs(mutations.futile, mutations.spread()), 1);
  }
  mutations.answered();
}

/** All that was sent has an answer, and something of it came back: it is sent again after a while. Throws `ServerFault`. */
export function rewindLater(mutations: Mutations): void {
  mutations.futile++;
  if (mutations.futile > FUTILE_MAX && !mutations.holdMs) throw new ServerFault("the server asks again and again for an earlier number than there is");
  const waitMs = mutations.holdMs || (mutations.futile > 1 ? backoffMs(mutations.futile, mutations.spread()) : 0);
  mutations.holdMs = 0;
  mutations.after(waitMs, () => {
    if (mutations.ledger.mayRewind) {
      mutations.ledger.rewind();
      mutations.wake();
    }
  });
}

/** The store is another device's now. */
export function becameAnother(mutations: Mutations): void {
  mutations.ledger = mutations.begin();
  mutations.overlay?.reload();
  mutations.wake();
}

// Streams

/** Every cursor is void: all start from the beginning. The streams that were not there already. */
export function startOver({ streams }: Positions): number[] {
  const moved = [...streams.values()].filter((position) => position.seq).map((position) => position.stream);
  for (const position of streams.values()) {
    position.seq = position.stalls = 0;
    if (position.phase !== "asleep") position.enter("wanted");
  }
  return moved;
}

/** The server dropped some of it. True if it is to be asked for again. */
function lagged({ streams }: Positions, stream: number): boolean {
  const position = streams.get(stream);
  if (!position || position.phase === "asleep" || position.phase === "wanted") return false;
  position.enter("wanted");
  return true;
}

/** The question `id` was refused. True if it was the open one; the stream is then asleep. */
function refusedAs({ streams }: Positions, stream: number, id: number): boolean {
  const position = streams.get(stream);
  if (!position || position.phase !== "asked" || position.askedId !== id) return false;
  position.enter("asleep");
  return true;
}

function unfollowed(streams: Streams, stream: number, code: number): void {
  if (!streams.positions.rest(stream)) return;
  streams.readers.get(stream)?.refused(code);
  streams.refused(stream, code);
}

/** Takes the refusal of a `Follow`. False if it was another question's. */
function followFailed(streams: Streams, failed: Failed): boolean {
  if (failed.id && !streams.follows.has(failed.id)) return false;
  const stream = streams.follows.get(failed.id) ?? failed.stream;
  streams.follows.delete(failed.id);
  streams.wake();
  if (!refusedAs(streams.positions, stream, failed.id)) return true;
  if (isForNow(failed) && streams.open) {
    streams.retrying.add(stream);
    streams.after(Math.max(failed.wait_ms, backoffMs(1, streams.spread())), () => {
      if (streams.retrying.delete(stream)) streams.follow(stream);
    });
  } else if (streams.refused(stream, failed.code)) streams.readers.get(stream)?.restarted();
  else streams.readers.get(stream)?.refused(failed.code);
  return true;
}

// Questions

function isForNow({ code }: Failed): boolean {
  return (RETRY[code] ?? "no") !== "no";
}

/** A question has no answer now: it is asked again after the wait that was named. False: it never will have one. */
export function askLater(questions: Questions, one: Asked, failed: Failed): boolean {
  if (!isForNow(failed)) return false;
  const failures = one.failures + 1;
  const waitMs = Math.max(failed.wait_ms, backoffMs(failures, questions.spread()));
  (one.lasting ? questions.later : questions.after)(waitMs, () => questions.open(one.make, one.lasting, one.hear, failures));
  return true;
}

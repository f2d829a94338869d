/** The forms that not every session needs, for the codec. Whoever imports this says `learnRest()` before it uses them. */
import { knows, learn } from "./codec";
import { MORE } from "./wire_more";

// In one script with the session, not beside it: build.mjs says why.
export { Core } from "./core";

/** From now on every message can be read and written. */
export function learnRest(): void {
  if (!knows("Change")) learn(MORE);
}

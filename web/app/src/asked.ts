/**
 * What is asked for in a form and refused is said in that form, to who asked. It is no wish that waits: nothing of it stays among what could
 * not be sent, where somebody would have to put it away once more.
 *
 *     form ─▶ client.submit ─▶ done │ refused ─▶ the form's words, and away from `client.failures`
 *
 * Whoever left the form before the answer came finds it there: the page is gone, and so is this.
 */
import type { Client, Failure } from "../../sdk/src/api";
import type { Operation } from "../../sdk/src/protocol";

/** A refusal comes to the list in the same step as to who asked, or with what keeps the list. */
const LISTED_MS = 30_000;

/** As `client.submit`, for a form that says what went wrong. */
export async function submitted(client: Client, operation: Operation): Promise<number> {
  const before = new Set(client.failures.value.map(({ key }) => key));
  try {
    return await client.submit(operation);
  } catch (error) {
    if (typeof (error as { code?: unknown }).code === "number") putAway(client, ({ key, operation: { type } }) => !before.has(key) && type === operation.type);
    throw error;
  }
}

function putAway(client: Client, isIt: (failure: Failure) => boolean): void {
  let off = () => {};
  const timer = setTimeout(() => off(), LISTED_MS);
  off = client.failures.subscribe((failures) => {
    const found = failures.find(isIt);
    if (!found) return;
    clearTimeout(timer);
    void client.discard(found.key);
    queueMicrotask(() => off());
  });
}

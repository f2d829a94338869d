/**
 * Something done to the account: one at a time, with what went wrong said in its place, and a proof of who one is where the server wants one.
 *
 *     act ─▶ asked ─▶ done │ words              STEP_UP ─▶ the person proves it (prove.tsx) ─▶ asked again
 */
import { createContext } from "preact";
import { useContext, useState } from "preact/hooks";
import { inWords } from "../../trouble";
import { book } from "./book";

/** The server's codes (docs/protocol.md). */
const STEP_UP = "20";
export const MFA = "21";

/** The person did not prove who they are. */
export class NotProven extends Error {}

/** Has the person prove who they are; rejected with `NotProven`. */
export type Prove = () => Promise<void>;
export const Proving = createContext<Prove>(() => Promise.reject(new NotProven()));

/** The same question again, once, after a proof, where one is wanted. */
export async function asProven<T>(prove: Prove, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if ((error as { code?: string }).code !== STEP_UP) throw error;
  }
  await prove();
  return ask();
}

export interface Acting {
  readonly busy: boolean;
  readonly wrong: preact.ComponentChild;
  /** True: it was done. `words`: for what an error has no better ones for. */
  act(ask: () => Promise<unknown>, words?: (error: unknown) => string): Promise<boolean>;
}

export function useAct(): Acting {
  const prove = useContext(Proving);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  const act = async (ask: () => Promise<unknown>, words?: (error: unknown) => string) => {
    setBusy(true);
    setWrong("");
    try {
      await asProven(prove, ask);
      return true;
    } catch (error) {
      setWrong(error instanceof NotProven ? book.say("prove.stopped") : words?.(error) || inWords(error));
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, act, wrong: wrong && <p class="wrong" role="alert" dir="auto">{wrong}</p> };
}

/** Something that is done once at a time, and what went wrong with it in words. */
import { useState } from "preact/hooks";
import "./refusals";
import { inWords } from "./trouble";

export interface Act {
  /** Empty: nothing. */
  readonly wrong: string;
  readonly busy: boolean;
  /** Never rejected: what goes wrong stands in `wrong`. */
  act(what: () => Promise<void>): Promise<void>;
}

export function useAct(): Act {
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const act = async (what: () => Promise<void>) => {
    setBusy(true);
    setWrong("");
    try {
      await what();
    } catch (error) {
      setWrong(inWords(error));
    } finally {
      setBusy(false);
    }
  };
  return { wrong, busy, act };
}

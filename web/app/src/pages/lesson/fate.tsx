/** What becomes of what somebody writes: kept, then done, or waiting for a decision. */
import { useState } from "preact/hooks";
import { Outcome, readOutcome } from "../../../../sdk/src/records";
import { toPage } from "../../place";
import { inWords } from "../../trouble";
import { say } from "../lessons/words";

export type Fate = "" | "kept" | "done" | "decide" | { readonly wrong: string };

export function useFate() {
  const [fate, setFate] = useState<Fate>("");
  const follow = (...outcomes: readonly Promise<number>[]) => {
    setFate("kept");
    Promise.all(outcomes).then(
      (values) => setFate(values.some((value) => readOutcome(value).outcome === Outcome.REVIEW) ? "decide" : "done"),
      (error: unknown) => setFate({ wrong: inWords(error) }),
    );
  };
  return { fate, follow, setFate };
}

export function FateLine({ fate }: { fate: Fate }) {
  if (typeof fate === "object") return <p class="wrong" role="alert">{fate.wrong}</p>;
  return (
    <p class={fate === "done" ? "note done" : fate ? "note" : "fate"} role="status">
      {fate === "kept" && say("edit.kept")}
      {fate === "done" && say("edit.done")}
      {fate === "decide" && (
        <>
          {say("edit.decide")} <a href={toPage("conflicts")}>{say("edit.toConflicts")}</a>
        </>
      )}
    </p>
  );
}

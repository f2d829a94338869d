/** Has the person show once more who they are, before they give away what cannot be taken back. What asks for it comes when it is needed. */
import type { ComponentType, VNode } from "preact";
import { useState } from "preact/hooks";
import type { Client } from "../../../sdk/src/api";
import { booksReady } from "../words";
import { style } from "./lazy";

/** The person did not. */
export class Stopped extends Error {}

interface Asking {
  readonly Prover: ComponentType<{ client: Client; onProven: () => void; onStopped: () => void }>;
  readonly proven: () => void;
  readonly stopped: () => void;
}

/** `proven` is rejected with `Stopped`; `dialog` has to be drawn by who asks. */
export function useProof(client: Client): { readonly proven: () => Promise<void>; readonly dialog: VNode | null } {
  const [asking, setAsking] = useState<Asking | null>(null);
  const proven = async () => {
    const [{ Prover }] = await Promise.all([import("../pages/account/prove"), style()]);
    await booksReady();
    await new Promise<void>((resolve, reject) => {
      const answered = (act: () => void) => () => (setAsking(null), act());
      setAsking({ Prover, proven: answered(resolve), stopped: answered(() => reject(new Stopped())) });
    });
  };
  return { proven, dialog: asking && <asking.Prover client={client} onProven={asking.proven} onStopped={asking.stopped} /> };
}

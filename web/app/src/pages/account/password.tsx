/** Another password. Every other session ends. */
import { useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { Field } from "../../parts/field";
import { useAct } from "./act";
import { book } from "./book";

const FORBIDDEN = 403;

export function Password({ client }: { client: Client }) {
  const [old, setOld] = useState("");
  const [next, setNext] = useState("");
  const [done, setDone] = useState(false);
  const { busy, wrong, act } = useAct();
  const change = async (event: Event) => {
    event.preventDefault();
    setDone(false);
    const words = (error: unknown) => ((error as { status?: number }).status === FORBIDDEN ? book.say("password.wrong") : "");
    if (!(await act(() => client.ask("POST", "account/password", { old_password: old, new_password: next }), words))) return;
    setOld("");
    setNext("");
    setDone(true);
  };
  return (
    <section class="card">
      <h2>{book.say("password.title")}</h2>
      <form class="stack" onSubmit={(event) => void change(event)} noValidate>
        {/* So that whatever keeps passwords knows whose it is. */}
        <input class="heard" type="text" autocomplete="username" value={client.me.value?.name ?? ""} readOnly tabIndex={-1} aria-hidden="true" />
        <Field id="old-password" type="password" label={book.say("password.old")} value={old} onText={setOld} autocomplete="current-password" />
        <Field id="next-password" type="password" label={book.say("password.new")} hint={book.say("password.hint")} value={next} onText={setNext} autocomplete="new-password" />
        {wrong}
        {done && <p class="note done" role="status">{book.say("password.done")}</p>}
        <button disabled={busy || !old || !next}>{book.say("password.change")}</button>
      </form>
    </section>
  );
}

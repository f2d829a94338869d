/** Asks the person to show once more who they are: by passkey, code or password, whichever the account has. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { Field } from "../../parts/field";
import { hasPasskeys } from "../../parts/passkeys";
import { inWords } from "../../trouble";
import { MFA } from "./act";
import { book } from "./book";
import { NoPasskey, usePasskey, type Question } from "./passkey";

const FORBIDDEN = "16";

export interface Methods {
  readonly methods: readonly { readonly method: string; readonly id: number; readonly name: string; readonly created_at: number; readonly last_used_at: number; readonly backed_up: boolean }[];
  readonly recovery_codes_left: number;
}

interface Given {
  readonly client: Client;
  readonly onProven: () => void;
  readonly onStopped: () => void;
}

export function Prover({ client, onProven, onStopped }: Given) {
  const box = useRef<HTMLDialogElement>(null);
  const [methods, setMethods] = useState<readonly string[] | null>(null);
  const [typed, setTyped] = useState("");
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  useEffect(() => {
    box.current?.showModal();
    client.ask<Methods>("GET", "auth/methods").then(
      (found) => setMethods(found.methods.map(({ method }) => method)),
      (error: unknown) => setWrong(inWords(error)),
    );
  }, [client]);
  const byPassword = methods?.length === 0;
  const byPasskey = hasPasskeys && (methods?.includes("passkey") ?? false);

  const show = async (proof: () => Promise<Record<string, unknown>>) => {
    setBusy(true);
    setWrong("");
    try {
      await client.ask("POST", "auth/step-up", await proof());
      onProven();
    } catch (error) {
      const { code } = error as { code?: string };
      setWrong(error instanceof NoPasskey ? book.say("prove.stopped") : code === MFA || code === FORBIDDEN ? book.say("prove.wrong") : inWords(error));
      setBusy(false);
    }
  };
  const submit = (event: Event) => {
    event.preventDefault();
    const digits = typed.replaceAll(" ", "");
    void show(async () => (byPassword ? { password: typed } : /^\d{6}$/.test(digits) ? { code: digits } : { recovery_code: typed.trim() }));
  };
  const touch = () =>
    show(async () => {
      const question = await client.ask<Question>("POST", "auth/step-up/challenge", {});
      return { challenge: question.challenge, passkey: await usePasskey(question.passkey) };
    });

  return (
    <dialog ref={box} class="prove" aria-labelledby="prove-title" onCancel={(event) => (event.preventDefault(), onStopped())}>
      <form onSubmit={submit} noValidate>
        <h2 id="prove-title">{book.say("prove.title")}</h2>
        <p class="quiet">{book.say("prove.why")}</p>
        {byPasskey && (
          <button type="button" class="main" disabled={busy} onClick={() => void touch()}>
            {book.say("prove.passkey")}
          </button>
        )}
        {methods && (
          <Field
            id="proof"
            label={book.say(byPassword ? "prove.password" : "prove.code")}
            type={byPassword ? "password" : "text"}
            value={typed}
            onText={setTyped}
            autocomplete={byPassword ? "current-password" : "one-time-code"}
            autocapitalize="none"
            spellcheck={false}
          />
        )}
        {wrong && <p class="wrong" role="alert" dir="auto">{wrong}</p>}
        <div class="buttons">
          <button class={byPasskey ? "" : "main"} disabled={busy || !typed}>{book.say("prove.go")}</button>
          <button type="button" class="plain" onClick={onStopped}>{book.say("cancel")}</button>
        </div>
      </form>
    </dialog>
  );
}

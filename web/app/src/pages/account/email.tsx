/** The address that proves whose the account is. */
import { useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { tellLanguage } from "../../own";
import { Field } from "../../parts/field";
import { language } from "../../words";
import { useAct } from "./act";
import { book } from "./book";
import { useKnown } from "./known";

interface Account {
  readonly email: string;
  readonly email_pending: string;
}

export function Email({ client }: { client: Client }) {
  const { known, trouble, again } = useKnown<Account>(client, "account");
  const [email, setEmail] = useState("");
  const [code, setCode] = useState("");
  const { busy, wrong, act } = useAct();
  const offer = async (event: Event) => {
    event.preventDefault();
    // The mail is to be in the language that is read here.
    tellLanguage(client, language.value).catch(() => undefined);
    if (await act(() => client.ask("PUT", "account/email", { email: email.trim() }))) setEmail("");
    await again();
  };
  const confirm = async (event: Event) => {
    event.preventDefault();
    if (await act(() => client.ask("POST", "auth/email/verify", { code: code.trim().replace(/^.*=/, "") }))) setCode("");
    await again();
  };
  return (
    <section class="card">
      <h2>{book.say("email.title")}</h2>
      <p class="quiet">{book.say("email.why")}</p>
      {trouble && <p class="wrong" role="alert">{trouble}</p>}
      {known && (known.email ? <p class="note done">{book.say("email.is", { email: known.email })}</p> : <p>{book.say("email.none")}</p>)}
      {known?.email_pending && (
        <>
          <p class="note" role="status">{book.say("email.pending", { email: known.email_pending })}</p>
          <form class="line" onSubmit={(event) => void confirm(event)} noValidate>
            <Field id="email-code" label={book.say("email.code")} value={code} onText={setCode} autocomplete="off" autocapitalize="none" spellcheck={false} dir="ltr" />
            <button disabled={busy || !code.trim()}>{book.say("email.confirm")}</button>
          </form>
        </>
      )}
      <form class="line" onSubmit={(event) => void offer(event)} noValidate>
        <Field id="email" type="email" label={book.say("email.new")} value={email} onText={setEmail} autocomplete="email" autocapitalize="none" spellcheck={false} maxLength={320} dir="ltr" />
        <button disabled={busy || !email.trim()}>{book.say("email.send")}</button>
      </form>
      {wrong}
      {known && (known.email || known.email_pending) && (
        <button class="plain" disabled={busy} onClick={() => void act(() => client.ask("DELETE", "account/email")).then(again)}>
          {book.say("email.remove")}
        </button>
      )}
    </section>
  );
}

/** The second step of a log-in: passkeys, an authenticator app, and codes for when neither is at hand. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { Field } from "../../parts/field";
import { hasPasskeys } from "../../parts/passkeys";
import { day } from "../../words";
import { useAct } from "./act";
import { book } from "./book";
import { useKnown } from "./known";
import { KnownPasskey, makePasskey, NoPasskey } from "./passkey";
import type { Methods } from "./prove";
import { Totp } from "./totp";

type Method = Methods["methods"][number];
/** What is answered when a method is added: the first one comes with codes. */
export interface Added {
  readonly recovery_codes: readonly string[];
}

export function Factors({ client }: { client: Client }) {
  const { known, trouble, again } = useKnown<Methods>(client, "auth/methods");
  const [codes, setCodes] = useState<readonly string[]>([]);
  const { busy, wrong, act } = useAct();
  const added = async ({ recovery_codes: made }: Added) => {
    if (made.length) setCodes(made);
    await again();
  };
  const passkeys = known?.methods.filter(({ method }) => method === "passkey") ?? [];
  const totp = known?.methods.find(({ method }) => method === "totp");
  const remove = (route: string) => void act(() => client.ask("DELETE", route)).then(again);
  const renew = () => act(async () => added(await client.ask<Added>("POST", "auth/recovery-codes")));
  return (
    <section class="card">
      <h2>{book.say("factors.title")}</h2>
      <p class="quiet">{book.say("factors.why")}</p>
      {trouble && <p class="wrong" role="alert">{trouble}</p>}
      {known?.methods.length === 0 && <p class="note">{book.say("factors.none")}</p>}
      {codes.length > 0 && <Codes codes={codes} onKept={() => setCodes([])} />}

      <h3>{book.say("passkey.title")}</h3>
      <p class="quiet">{book.say("passkey.why")}</p>
      {passkeys.length > 0 && (
        <ul class="rows">
          {passkeys.map((one) => (
            <Row key={one.id} method={one} busy={busy} onRemove={() => remove(`auth/passkeys/${one.id}`)}>
              <Rename client={client} passkey={one} onRenamed={again} />
            </Row>
          ))}
        </ul>
      )}
      {hasPasskeys ? <NewPasskey client={client} onAdded={added} /> : <p class="note">{book.say("passkey.none")}</p>}

      <h3>{book.say("totp.title")}</h3>
      {totp ? (
        <ul class="rows">
          <Row method={totp} busy={busy} onRemove={() => remove("auth/totp")} />
        </ul>
      ) : (
        <Totp client={client} onAdded={added} />
      )}

      {known && known.methods.length > 0 && (
        <>
          <h3>{book.say("codes.title")}</h3>
          <p class="quiet">{book.count("codes.left", known.recovery_codes_left)}</p>
          <button disabled={busy} onClick={() => void renew()}>{book.say("codes.renew")}</button>
        </>
      )}
      {wrong}
    </section>
  );
}

interface RowGiven {
  readonly method: Method;
  readonly busy: boolean;
  readonly onRemove: () => void;
  readonly children?: ComponentChildren;
}

function Row({ method, busy, onRemove, children }: RowGiven) {
  const name = method.name || book.say("totp.title");
  const said = [
    book.say("factors.added", { day: day(method.created_at) }),
    method.last_used_at ? book.say("factors.used", { day: day(method.last_used_at) }) : "",
    method.backed_up ? book.say("passkey.copied") : "",
  ];
  return (
    <li class="row">
      <span class="grow">
        <strong dir="auto">{name}</strong>
        <span class="quiet under">{said.filter(Boolean).join(" · ")}</span>
      </span>
      <button disabled={busy} aria-label={`${book.say("factors.remove")}: ${name}`} onClick={onRemove}>{book.say("factors.remove")}</button>
      {children}
    </li>
  );
}

/** A passkey's name, changed in its place. */
function Rename({ client, passkey: { id, name }, onRenamed }: { client: Client; passkey: Method; onRenamed: () => Promise<void> }) {
  const [draft, setDraft] = useState<string | null>(null);
  const { busy, wrong, act } = useAct();
  const rename = async (event: Event) => {
    event.preventDefault();
    if (!(await act(() => client.ask("PATCH", `auth/passkeys/${id}`, { name: (draft ?? "").trim() })))) return;
    setDraft(null);
    await onRenamed();
  };
  if (draft === null) return <button class="plain" aria-label={`${book.say("devices.rename")}: ${name}`} onClick={() => setDraft(name)}>{book.say("devices.rename")}</button>;
  return (
    <form class="line" onSubmit={(event) => void rename(event)}>
      <Field id={`passkey-${id}`} label={book.say("passkey.name")} value={draft} onText={setDraft} maxLength={60} dir="auto" autocomplete="off" />
      <button disabled={busy}>{book.say("devices.save")}</button>
      {wrong}
    </form>
  );
}

function NewPasskey({ client, onAdded }: { client: Client; onAdded: (added: Added) => Promise<void> }) {
  const [name, setName] = useState("");
  const { busy, wrong, act } = useAct();
  const words = (error: unknown) => (error instanceof KnownPasskey ? book.say("passkey.known") : error instanceof NoPasskey ? book.say("passkey.stopped") : "");
  const add = (event: Event) => {
    event.preventDefault();
    void act(async () => {
      const { challenge, options } = await client.ask<{ challenge: string; options: unknown }>("POST", "auth/passkeys/offer");
      const passkey = await makePasskey(options);
      await onAdded(await client.ask<Added>("POST", "auth/passkeys", { challenge, passkey, name: name.trim() }));
      setName("");
    }, words);
  };
  return (
    <form class="line" onSubmit={add}>
      <Field id="passkey-name" label={book.say("passkey.name")} value={name} onText={setName} maxLength={60} dir="auto" autocomplete="off" />
      <button disabled={busy}>{book.say("passkey.add")}</button>
      {wrong}
    </form>
  );
}

/** Codes that are shown this once. */
function Codes({ codes, onKept }: { codes: readonly string[]; onKept: () => void }) {
  const [copied, setCopied] = useState(false);
  const copy = () => navigator.clipboard.writeText(codes.join("\n")).then(() => setCopied(true), () => setCopied(false));
  return (
    <div class="codes" role="region" aria-labelledby="codes-title">
      <h3 id="codes-title">{book.say("codes.title")}</h3>
      <p>{book.say("codes.why")}</p>
      <ul dir="ltr">
        {codes.map((one) => (
          <li key={one}>
            <code>{one}</code>
          </li>
        ))}
      </ul>
      <div class="buttons">
        <button class="main" onClick={onKept}>{book.say("codes.kept")}</button>
        <button onClick={() => void copy()}>{copied ? book.say("codes.copied") : book.say("codes.copy")}</button>
      </div>
    </div>
  );
}

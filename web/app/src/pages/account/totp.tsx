/** An authenticator app: its key as a picture, as a link and as letters, and the first code that shows that it is there. */
import { useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { Field } from "../../parts/field";
import { useAct, MFA } from "./act";
import { book } from "./book";
import type { Added } from "./factors";
import { drawQr } from "./qr";

interface Offer {
  readonly secret: string;
  readonly uri: string;
}

export function Totp({ client, onAdded }: { client: Client; onAdded: (added: Added) => Promise<void> }) {
  const [offer, setOffer] = useState<Offer | null>(null);
  const [code, setCode] = useState("");
  const { busy, wrong, act } = useAct();
  const begin = () => act(async () => setOffer(await client.ask<Offer>("POST", "auth/totp")));
  const confirm = (event: Event) => {
    event.preventDefault();
    const words = (error: unknown) => ((error as { code?: string }).code === MFA ? book.say("prove.wrong") : "");
    void act(async () => {
      await onAdded(await client.ask<Added>("POST", "auth/totp/confirm", { code: code.replaceAll(" ", "") }));
      setOffer(null);
      setCode("");
    }, words);
  };
  if (!offer) {
    return (
      <>
        <p class="quiet">{book.say("totp.why")}</p>
        <button disabled={busy} onClick={() => void begin()}>{book.say("totp.begin")}</button>
        {wrong}
      </>
    );
  }
  const { size, path } = drawQr(offer.uri);
  return (
    <form class="stack" onSubmit={confirm} noValidate>
      <p>{book.say("totp.scan")}</p>
      <svg class="qr" viewBox={`-4 -4 ${size + 8} ${size + 8}`} role="img" aria-label={book.say("totp.picture")} shape-rendering="crispEdges">
        <rect x={-4} y={-4} width={size + 8} height={size + 8} fill="#fff" />
        <path d={path} fill="#000" />
      </svg>
      <a class="button" href={offer.uri}>{book.say("totp.open")}</a>
      <p>
        {book.say("totp.key")} <code class="secret" dir="ltr">{offer.secret.replace(/(.{4})(?=.)/g, "$1 ")}</code>
      </p>
      <Field id="totp-code" label={book.say("totp.code")} value={code} onText={setCode} inputMode="numeric" autocomplete="one-time-code" maxLength={8} dir="ltr" />
      {wrong}
      <div class="buttons">
        <button class="main" disabled={busy || !code.trim()}>{book.say("totp.confirm")}</button>
        <button type="button" class="plain" onClick={() => setOffer(null)}>{book.say("cancel")}</button>
      </div>
    </form>
  );
}

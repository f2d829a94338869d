/** The button that logs in with a passkey; what it does comes when it is pressed. */
import { useState } from "preact/hooks";
import type { Challenge, Client } from "../../../sdk/src/api";
import { inWords } from "../trouble";
import { say } from "../words";

/** Passkeys are for a name, over a safe connection: at an address of digits there are none. */
export const hasPasskeys = isSecureContext && "PublicKeyCredential" in window && !/^[\d.]+$|:/.test(location.hostname);

/** `arrived`: the client, as soon as there is one; `step`: what is to be answered, instead of a log-in from the beginning. */
export function PasskeyButton({ arrived, step }: { arrived: () => Promise<Client>; step?: Challenge }) {
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  const enter = async () => {
    setBusy(true);
    setWrong("");
    try {
      const [client, { logInByPasskey }] = await Promise.all([arrived(), import("../pages/account/passkey")]);
      if (await logInByPasskey(client, step)) return;
      setWrong(say("door.passkeyNone"));
    } catch (error) {
      setWrong(inWords(error));
    }
    setBusy(false);
  };
  if (!hasPasskeys) return null;
  return (
    <>
      <button type="button" disabled={busy} onClick={() => void enter()}>
        {say(step ? "door.usePasskey" : "door.passkey")}
      </button>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </>
  );
}

/** One's account: how one gets in, from where, and how one leaves with what is one's own. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { network, useLive } from "../../live";
import type { PageGiven } from "../../pages";
import { Head } from "../../parts/head";
import { NotProven, Proving, type Prove } from "./act";
import { Blocked } from "./blocked";
import { book } from "./book";
import { Devices } from "./devices";
import { Email } from "./email";
import { Factors } from "./factors";
import { Close, Export } from "./leaving";
import { Password } from "./password";
import { Prover } from "./prove";

interface Asked {
  readonly proven: () => void;
  readonly stopped: () => void;
}

export default function AccountPage({ client }: PageGiven) {
  const { state } = useLive(client.status);
  const me = useLive(client.me);
  const online = useLive(network) && state === "online";
  // A network that goes for a moment takes nothing along that somebody has typed.
  const [met, setMet] = useState(online);
  useEffect(() => {
    if (online) setMet(true);
  }, [online]);
  const [asked, setAsked] = useState<Asked | null>(null);
  const prove = useMemo<Prove>(
    () => () =>
      new Promise<void>((resolve, reject) => {
        const answered = (act: () => void) => () => (setAsked(null), act());
        setAsked({ proven: answered(resolve), stopped: answered(() => reject(new NotProven())) });
      }),
    [],
  );
  if (!me) return null;
  return (
    <Proving.Provider value={prove}>
      <Head title={book.say("title")} under={<bdi>@{me.name}</bdi>} back="#/settings" />
      {!online && <p class="note account-note" role="status">{book.say("offline")}</p>}
      {met && (
        <>
          <Email client={client} />
          <Password client={client} />
          <Factors client={client} />
          <Devices client={client} />
        </>
      )}
      <Blocked client={client} />
      {met && (
        <>
          <Export client={client} />
          <Close client={client} name={me.name} />
        </>
      )}
      {asked && <Prover client={client} onProven={asked.proven} onStopped={asked.stopped} />}
    </Proving.Provider>
  );
}

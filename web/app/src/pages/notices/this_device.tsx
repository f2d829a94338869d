/** Pushes: to this device, and to which others. */
import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { NotOffered, pushOff, pushOn, pushState, keptPush, type PushOffer, type PushState } from "./push";
import { inWords } from "../../trouble";
import { day } from "../../words";
import { book } from "./book";

export function ThisDevice({ client, online }: { client: Client; online: boolean }) {
  const [state, setState] = useState<PushState>("off");
  const [offer, setOffer] = useState<PushOffer | null>(null);
  const [names, setNames] = useState<ReadonlyMap<number, string>>(new Map());
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  const look = async () => {
    setState(await pushState(client));
    if (!online) return;
    const [found, { devices }] = await Promise.all([
      client.ask<PushOffer>("GET", "push"),
      client.ask<{ devices: readonly { device: number; name: string }[] }>("GET", "account/devices"),
    ]);
    setOffer(found);
    setNames(new Map(devices.map(({ device, name }) => [device, name])));
  };
  const act = async (change: () => Promise<unknown>) => {
    setBusy(true);
    setWrong("");
    try {
      await change();
      await look();
    } catch (error) {
      if (error instanceof NotOffered) setWrong(book.say("push.notOffered"));
      else if (error instanceof DOMException) setWrong(book.say("push.failed"));
      else setWrong(inWords(error));
    } finally {
      setBusy(false);
    }
  };
  useEffect(() => void look().catch((error: unknown) => setWrong(inWords(error))), [client, online]);

  const others = offer?.subscriptions.filter(({ id }) => state !== "on" || id !== keptPush()?.id) ?? [];
  const named = (device: number) => names.get(device) || book.say("push.device", { device });
  return (
    <section class="card">
      <h2>{book.say("push.title")}</h2>
      <p class="quiet">{book.say("push.explain")}</p>
      {offer && !offer.services.includes("web") ? (
        <p class="note">{book.say("push.notOffered")}</p>
      ) : state === "none" || state === "denied" ? (
        <p class="note">{book.say(`push.${state}`)}</p>
      ) : state === "on" ? (
        <>
          <p class="note done" role="status">{book.say("push.isOn")}</p>
          <button disabled={busy} onClick={() => void act(() => pushOff(client))}>{book.say("push.off")}</button>
        </>
      ) : (
        <button class="main" disabled={busy || !online} onClick={() => void act(() => pushOn(client))}>{book.say("push.on")}</button>
      )}
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      {others.length > 0 && (
        <>
          <h3>{book.say("push.others")}</h3>
          <ul class="rows">
            {others.map(({ id, device, at }) => (
              <li key={id} class="row">
                <span class="grow">
                  <span dir="auto">{named(device)}</span> <span class="quiet">{book.say("push.since", { day: day(at) })}</span>
                </span>
                <button disabled={busy} aria-label={`${book.say("push.stop")}: ${named(device)}`} onClick={() => void act(() => client.ask("DELETE", `push/${id}`))}>
                  {book.say("push.stop")}
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

/** How notices come: to this device, by mail, when, and which. What the server keeps is changed at once and saved together. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { network, useLive } from "../../live";
import { Choices } from "../../parts/choices";
import { Head } from "../../parts/head";
import { inWords } from "../../trouble";
import { language } from "../../words";
import { book } from "./book";
import { Kinds, Unmailed } from "./kinds";
import { Quiet } from "./quiet";
import { Reminders } from "./reminders";
import { ThisDevice } from "./this_device";
import type { Preferences, Preferred } from "./ways";

/** Changes that come one after the other are sent together. */
const SAVE_AFTER_MS = 700;
const DIGESTS = ["never", "daily", "weekly"] as const;

/** What is preferred, and how to change it: seen at once, saved a moment later, taken back where it cannot be. */
function usePreferences(client: Client, online: boolean) {
  const [preferred, setPreferred] = useState<Preferred | null>(null);
  const [said, setSaid] = useState<{ readonly wrong: string } | "saved" | "">("");
  /** As the server has it. */
  const saved = useRef<Preferred | null>(null);
  const waiting = useRef<{ timer: ReturnType<typeof setTimeout>; send: () => void } | null>(null);
  const load = async () => {
    try {
      saved.current = await client.ask<Preferred>("GET", "notices/preferences");
      setPreferred(saved.current);
      setSaid("");
    } catch (error) {
      setSaid({ wrong: inWords(error) });
    }
  };
  useEffect(() => {
    if (online && !preferred) void load();
  }, [client, online]);
  // Whoever leaves the page meanwhile has said it all the same.
  useEffect(() => () => waiting.current?.send(), []);
  const change = (change: Partial<Preferences>) => {
    if (!preferred) return;
    const next = { ...preferred, ...change };
    setPreferred(next);
    setSaid("");
    if (waiting.current) clearTimeout(waiting.current.timer);
    const send = async () => {
      if (waiting.current) clearTimeout(waiting.current.timer);
      waiting.current = null;
      const { defaults: _, always: __, ...wanted } = next;
      try {
        await client.ask("PUT", "notices/preferences", wanted);
        saved.current = next;
        setSaid("saved");
      } catch (error) {
        setPreferred(saved.current);
        setSaid({ wrong: inWords(error) });
      }
    };
    waiting.current = { timer: setTimeout(() => void send(), SAVE_AFTER_MS), send: () => void send() };
  };
  return { preferred, said, change };
}

export function NoticeSettings({ client }: { client: Client }) {
  const { state } = useLive(client.status);
  const online = useLive(network) && state === "online";
  const { preferred, said, change } = usePreferences(client, online);
  return (
    <>
      <Head title={book.say("set.title")} back="#/notices" />
      <div class="notice-settings">
        {!online && <p class="note" role="status">{book.say("set.offline")}</p>}
        <p class={said === "saved" ? "note done" : "heard"} role="status">
          {said === "saved" ? book.say("set.saved") : ""}
        </p>
        {typeof said === "object" && <p class="wrong" role="alert">{said.wrong}</p>}
        <ThisDevice client={client} online={online} />
        <Quiet client={client} online={online} />
        {preferred && (
          <fieldset class="bare" disabled={!online}>
            <legend class="heard">{book.say("set.title")}</legend>
            <Kinds client={client} preferred={preferred} onChange={change} />
            <Digest client={client} preferred={preferred} onChange={change} />
            <section class="card">
              <label class="switch">
                <input type="checkbox" checked={preferred.previews} onChange={() => change({ previews: !preferred.previews })} />
                <span>{book.say("set.previews")}</span>
              </label>
              <p class="quiet">{book.say("set.previewsExplain")}</p>
            </section>
            <Unmailed preferred={preferred} onChange={change} />
          </fieldset>
        )}
        {online && <Reminders client={client} />}
      </div>
    </>
  );
}

export const toTime = (minutes: number) => `${String(Math.floor(minutes / 60)).padStart(2, "0")}:${String(minutes % 60).padStart(2, "0")}`;

/** Minutes after midnight of what a field for a time says; null: nothing yet. */
export function toMinutes(time: string): number | null {
  const [hours, minutes] = time.split(":").map(Number);
  return hours === undefined || minutes === undefined || Number.isNaN(hours + minutes) ? null : hours * 60 + minutes;
}

function Digest({ client, preferred, onChange }: { client: Client; preferred: Preferred; onChange: (change: Partial<Preferences>) => void }) {
  const { digest, digest_at: at, digest_day: on } = preferred;
  const [hasAddress, setHasAddress] = useState(true);
  useEffect(() => {
    client.ask<{ email: string }>("GET", "account").then(({ email }) => setHasAddress(!!email), () => undefined);
  }, [client]);
  // The first of January of 2024 was a Monday, as day 0 is.
  const name = new Intl.DateTimeFormat(language.value, { weekday: "long", timeZone: "UTC" });
  return (
    <section class="card">
      <h2>{book.say("set.digest")}</h2>
      {!hasAddress && (
        <p class="quiet">
          {book.say("set.noMail")} <a href="#/account">{book.say("set.toAccount")}</a>
        </p>
      )}
      <Choices
        name="digest"
        legend={book.say("set.digest")}
        options={DIGESTS.map((one) => [one, book.say(`set.${one}`)] as const)}
        chosen={DIGESTS[digest] ?? "never"}
        onChoose={(one) => onChange({ digest: DIGESTS.indexOf(one) })}
      />
      {digest > 0 && (
        <div class="times">
          {digest === 2 && (
            <p class="field">
              <label for="digest-day">{book.say("set.on")}</label>
              <select id="digest-day" value={on} onChange={(event) => onChange({ digest_day: Number(event.currentTarget.value) })}>
                {[0, 1, 2, 3, 4, 5, 6].map((one) => (
                  <option key={one} value={one}>{name.format(Date.UTC(2024, 0, 1 + one))}</option>
                ))}
              </select>
            </p>
          )}
          <p class="field">
            <label for="digest-at">{book.say("set.at")}</label>
            <input id="digest-at" type="time" value={toTime(at)} onChange={(event) => {
              const minutes = toMinutes(event.currentTarget.value);
              if (minutes !== null) onChange({ digest_at: minutes });
            }} />
          </p>
        </div>
      )}
    </section>
  );
}

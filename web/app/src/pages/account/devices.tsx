/** Where the account is open: by what name, since when, and how it is closed there. */
import { useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { Field } from "../../parts/field";
import { clock, day } from "../../words";
import { useAct } from "./act";
import { book } from "./book";
import { useKnown } from "./known";

interface Device {
  readonly device: number;
  readonly name: string;
  /** Its living session; 0: none. */
  readonly session: number;
  readonly software: string;
  readonly address: string;
  readonly last_used_at: number;
  readonly current: boolean;
}

const BROWSERS = [[/Edg\//, "Edge"], [/OPR\//, "Opera"], [/SamsungBrowser\//, "Samsung Internet"], [/Firefox\//, "Firefox"], [/Chrome\//, "Chrome"], [/Safari\//, "Safari"]] as const;
const SYSTEMS = [[/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/CrOS/, "ChromeOS"], [/Windows/, "Windows"], [/Mac OS X/, "macOS"], [/Linux/, "Linux"]] as const;

/** What a browser says of itself, as people call it; another program by its own word. */
function softwareOf(said: string): string {
  if (!said.startsWith("Mozilla/")) return said.slice(0, 60);
  const named = (names: readonly (readonly [RegExp, string])[]) => names.find(([pattern]) => pattern.test(said))?.[1] ?? "";
  return [named(BROWSERS), named(SYSTEMS)].filter(Boolean).join(", ");
}

export function Devices({ client }: { client: Client }) {
  const { known, trouble, again } = useKnown<{ devices: readonly Device[] }>(client, "account/devices");
  const { busy, wrong, act } = useAct();
  const others = known?.devices.filter(({ session, current }) => session && !current) ?? [];
  const end = (session: number) => void act(() => client.ask("DELETE", `auth/sessions/${session}`)).then(again);
  const endOthers = () => void act(() => client.ask("POST", "auth/logout-others")).then(again);
  return (
    <section class="card">
      <h2>{book.say("devices.title")}</h2>
      <p class="quiet">{book.say("devices.why")}</p>
      {trouble && <p class="wrong" role="alert">{trouble}</p>}
      <ul class="rows devices">
        {known?.devices.map((one) => (
          <Row key={one.device} client={client} device={one} busy={busy} onEnd={() => end(one.session)} onRenamed={again} />
        ))}
      </ul>
      {wrong}
      {others.length > 1 && (
        <button class="danger" disabled={busy} onClick={endOthers}>
          {book.say("devices.endOthers")}
        </button>
      )}
    </section>
  );
}

interface Given {
  readonly client: Client;
  readonly device: Device;
  readonly busy: boolean;
  readonly onEnd: () => void;
  readonly onRenamed: () => Promise<void>;
}

function Row({ client, device: { device, name, session, software, address, last_used_at: last, current }, busy, onEnd, onRenamed }: Given) {
  const [draft, setDraft] = useState<string | null>(null);
  const { wrong, act } = useAct();
  const called = name || book.say("devices.nameless", { device });
  const rename = async (event: Event) => {
    event.preventDefault();
    if (!(await act(() => client.ask("PATCH", `account/devices/${device}`, { name: (draft ?? "").trim() })))) return;
    setDraft(null);
    await onRenamed();
  };
  const when = last ? book.say("devices.last", { day: day(last), time: clock(last) }) : "";
  return (
    <li class="row">
      <span class="grow">
        <strong dir="auto">{called}</strong>
        <span class="quiet under">
          {[current ? book.say("devices.here") : session ? when : `${book.say("devices.closed")}, ${when}`, softwareOf(software), address].filter(Boolean).join(" · ")}
        </span>
      </span>
      {draft === null && (
        <span class="buttons">
          <button class="plain" aria-label={`${book.say("devices.rename")}: ${called}`} onClick={() => setDraft(name)}>{book.say("devices.rename")}</button>
          {!current && session > 0 && (
            <button disabled={busy} aria-label={`${book.say("devices.end")}: ${called}`} onClick={onEnd}>{book.say("devices.end")}</button>
          )}
        </span>
      )}
      {draft !== null && (
        <form class="line" onSubmit={(event) => void rename(event)}>
          <Field id={`device-${device}`} label={book.say("devices.name")} value={draft} onText={setDraft} maxLength={80} dir="auto" autocomplete="off" />
          <button>{book.say("devices.save")}</button>
        </form>
      )}
      {wrong}
    </li>
  );
}

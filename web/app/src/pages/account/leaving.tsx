/** Taking one's data along, and closing the account. */
import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { Field } from "../../parts/field";
import { leave } from "../../session";
import { language } from "../../words";
import { useAct } from "./act";
import { book } from "./book";

/** How often to look whether it is ready. */
const LOOK_MS = 1500;
const PART_BYTES = 256 * 1024;
const NOT_FOUND = 404;

interface Archive {
  readonly ready: boolean;
  readonly bytes: number;
  readonly expires_at: number;
  readonly error: string;
}

function sized(bytes: number): string {
  const [unit, by] = bytes < 1024 * 1024 ? (["kilobyte", 1024] as const) : (["megabyte", 1024 * 1024] as const);
  return new Intl.NumberFormat(language.value, { style: "unit", unit, maximumFractionDigits: 1 }).format(bytes / by);
}

export function Export({ client }: { client: Client }) {
  const [archive, setArchive] = useState<Archive | null>(null);
  const [done, setDone] = useState(-1);
  const { busy, wrong, act } = useAct();
  const look = async () => {
    try {
      setArchive(await client.ask<Archive>("GET", "account/archive"));
    } catch (error) {
      if ((error as { status?: number }).status !== NOT_FOUND) throw error;
    }
  };
  useEffect(() => void act(look), [client]);
  const isMade = archive !== null && !archive.ready && !archive.error;
  useEffect(() => {
    if (!isMade) return;
    const timer = setInterval(() => void look().catch(() => undefined), LOOK_MS);
    return () => clearInterval(timer);
  }, [isMade]);
  const until = new Intl.DateTimeFormat(language.value, { dateStyle: "long" });
  const parts = archive ? Math.ceil(archive.bytes / PART_BYTES) : 0;
  const fetchAll = () =>
    act(async () => {
      const found: ArrayBuffer[] = [];
      for (let n = 0; n < parts; n++) {
        setDone(n);
        found.push(await client.ask<ArrayBuffer>("GET", `account/archive/${n}`));
      }
      save(new Blob(found, { type: "application/zip" }), "educonnect.zip");
    }).then(() => setDone(-1));
  return (
    <section class="card">
      <h2>{book.say("export.title")}</h2>
      <p class="quiet">{book.say("export.why")}</p>
      <div role="status">
        {isMade && <p class="note">{book.say("export.making")}</p>}
        {archive?.error && <p class="wrong">{book.say("export.failed")}</p>}
        {archive?.ready && <p class="note done">{book.say("export.ready", { size: sized(archive.bytes), day: until.format(archive.expires_at * 1000) })}</p>}
        {done >= 0 && <p class="quiet">{book.say("export.coming", { done, all: parts })}</p>}
      </div>
      {wrong}
      {archive?.ready ? (
        <button class="main" disabled={busy} onClick={() => void fetchAll()}>{book.say("export.fetch")}</button>
      ) : (
        !isMade && <button disabled={busy} onClick={() => void act(async () => setArchive(await client.ask<Archive>("POST", "account/archive")))}>{book.say("export.ask")}</button>
      )}
    </section>
  );
}

function save(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

export function Close({ client, name }: { client: Client; name: string }) {
  const [typed, setTyped] = useState("");
  const { busy, wrong, act } = useAct();
  const close = async (event: Event) => {
    event.preventDefault();
    if (await act(() => client.ask("POST", "account/erase", { name: typed.trim() }))) await leave(client);
  };
  return (
    <section class="card">
      <h2>{book.say("close.title")}</h2>
      <p class="quiet">{book.say("close.why")}</p>
      <form class="stack" onSubmit={(event) => void close(event)} noValidate>
        <Field id="close-name" label={book.say("close.name", { name })} value={typed} onText={setTyped} autocomplete="off" autocapitalize="none" spellcheck={false} dir="auto" />
        {wrong}
        <button class="danger" disabled={busy || typed.trim().toLowerCase() !== name.toLowerCase()}>{book.say("close.go")}</button>
      </form>
    </section>
  );
}

/** What the document was: its versions, one looked at, one restored; and what it is now, kept under a name. */
import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { documentVersions, loadVersion, nameVersion, restoreVersion, type Document } from "../../../../sdk/src/documents";
import type { DocumentVersion } from "../../../../sdk/src/protocol";
import { useLive } from "../../live";
import { Field } from "../../parts/field";
import { go, toPage } from "../../place";
import { nameOf, people } from "../../session";
import { inWords } from "../../trouble";
import { clock, day } from "../../words";
import { useOnline } from "./online";
import { textOf } from "./paper";
import { book } from "./words";

const { say } = book;

export function Versions({ client, document, id }: { client: Client; document: Document; id: number }) {
  const { named, generation } = useLive(document);
  const online = useOnline(client);
  const [versions, setVersions] = useState<readonly DocumentVersion[] | undefined>();
  const [open, setOpen] = useState(0);
  const [wrong, setWrong] = useState("");
  useEffect(() => {
    let left = false;
    documentVersions(client, id).then(
      (found) => left || setVersions(found),
      (error: unknown) => left || setWrong(inWords(error)),
    );
    return () => void (left = true);
  }, [id, named, generation, online]);
  return (
    <>
      <Naming client={client} document={document} id={id} />
      <section class="card">
        <h2>{say("versions")}</h2>
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
        {!versions && !wrong && <p class="quiet" role="status">{online ? say("loading") : say("versionsOffline")}</p>}
        {versions?.length === 0 && <p class="quiet">{say("noVersions")}</p>}
        <ul class="rows">
          {versions?.map((one) => (
            <VersionRow key={one.version} client={client} id={id} version={one} open={open === one.version} onOpen={(on) => setOpen(on ? one.version : 0)} />
          ))}
        </ul>
      </section>
    </>
  );
}

function Naming({ client, document, id }: { client: Client; document: Document; id: number }) {
  const { head, unsent, here } = useLive(document);
  const [name, setName] = useState("");
  const [state, setState] = useState<"" | "busy" | "done" | { readonly wrong: string }>("");
  const submit = async (event: Event) => {
    event.preventDefault();
    setState("busy");
    try {
      await nameVersion(client, id, head, name.trim());
      setName("");
      setState("done");
    } catch (error) {
      setState({ wrong: inWords(error) });
    }
  };
  return (
    <section class="card">
      <h2>{say("nameNow")}</h2>
      <form class="line" onSubmit={(event) => void submit(event)}>
        <Field id="version" label={say("versionName")} value={name} onText={setName} maxLength={80} dir="auto" autocomplete="off" />
        <button disabled={state === "busy" || !name.trim() || !here || unsent > 0}>{say("keep")}</button>
        {unsent > 0 && <p class="note" role="status">{say("sendFirst")}</p>}
        {state === "done" && <p class="note done" role="status">{say("isKept")}</p>}
        {typeof state === "object" && <p class="wrong" role="alert">{state.wrong}</p>}
      </form>
    </section>
  );
}

function VersionRow({ client, id, version, open, onOpen }: { client: Client; id: number; version: DocumentVersion; open: boolean; onOpen: (on: boolean) => void }) {
  const known = useLive(people);
  const me = useLive(client.me);
  const { name, by, at } = version;
  return (
    <li class="version">
      <div class="row">
        <div class="grow">
          <strong dir="auto">{name || say("before")}</strong>
          <p class="quiet">
            <span dir="auto">{by ? nameOf(by, me, known) : say("bySystem")}</span>, <time dateTime={new Date(at * 1000).toISOString()}>{`${day(at)}, ${clock(at)}`}</time>
          </p>
        </div>
        <button aria-expanded={open} onClick={() => onOpen(!open)}>
          {open ? say("close") : say("look")}
        </button>
      </div>
      {open && <Looking client={client} id={id} version={version.version} />}
    </li>
  );
}

function Looking({ client, id, version }: { client: Client; id: number; version: number }) {
  const [text, setText] = useState<string | undefined>();
  const [sure, setSure] = useState(false);
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  useEffect(() => {
    let left = false;
    loadVersion(client, id, version).then(
      (updates) => left || setText(textOf(updates)),
      (error: unknown) => left || setWrong(inWords(error)),
    );
    return () => void (left = true);
  }, [id, version]);
  const restore = async () => {
    setBusy(true);
    setWrong("");
    try {
      await restoreVersion(client, id, version);
      go(toPage("document", id));
    } catch (error) {
      setWrong(inWords(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <div class="looking">
      {text === undefined && !wrong && <p class="quiet" role="status">{say("preparing")}</p>}
      {text === "" && <p class="quiet">{say("empty")}</p>}
      {text && <p class="old" dir="auto" tabIndex={0} role="region" aria-label={say("asItWas")}>{text}</p>}
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      {text !== undefined && !sure && <button onClick={() => setSure(true)}>{say("restore")}</button>}
      {sure && (
        <div class="sure">
          <p>{say("restoreExplain")}</p>
          <div class="line-buttons">
            <button class="main" disabled={busy} onClick={() => void restore()}>{say("restoreSure")}</button>
            <button disabled={busy} onClick={() => setSure(false)}>{say("cancel")}</button>
          </div>
        </div>
      )}
    </div>
  );
}

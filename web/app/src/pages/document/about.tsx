/** The document's frame: what it is called, who reads and writes it, whether it is put away. */
import { useEffect, useState } from "preact/hooks";
import type { Client, SpaceView } from "../../../../sdk/src/api";
import { changeDocument, documentFrame, type DocumentFrame } from "../../../../sdk/src/documents";
import { Field } from "../../parts/field";
import { inWords } from "../../trouble";
import { Circle } from "./roles";
import { book } from "./words";

const { say } = book;
const COMMUNITY = 2;
const OWNER = 1;
const MODERATOR = 2;

export function About({ client, id, title, space, mayWrite }: { client: Client; id: number; title: string; space: SpaceView; mayWrite: boolean }) {
  const [frame, setFrame] = useState<DocumentFrame | undefined>();
  const announcements = space.streams.find(({ kind }) => kind === COMMUNITY)?.stream ?? 0;
  useEffect(() => {
    let left = false;
    // Without a network nothing is changed here anyway.
    documentFrame(client, announcements, id).then((found) => void (left || setFrame(found)), () => undefined);
    return () => void (left = true);
  }, [id, title, mayWrite]);
  const leads = (space.role & (OWNER | MODERATOR)) > 0;
  if (!frame || !(leads || frame.openedBy === client.me.value?.user)) return null;
  return <Form client={client} id={id} frame={frame} onFrame={setFrame} />;
}

function Form({ client, id, frame, onFrame }: { client: Client; id: number; frame: DocumentFrame; onFrame: (frame: DocumentFrame) => void }) {
  const [title, setTitle] = useState(frame.title);
  const [readRoles, setReads] = useState(frame.readRoles);
  const [writeRoles, setWrites] = useState(frame.writeRoles);
  const [state, setState] = useState<"" | "busy" | "done" | { readonly wrong: string }>("");
  const change = async (archived: boolean) => {
    setState("busy");
    try {
      const roles = writeRoles & readRoles;
      await changeDocument(client, id, title.trim(), readRoles, roles, archived);
      onFrame({ ...frame, title: title.trim(), readRoles, writeRoles: roles, archived });
      setState("done");
    } catch (error) {
      setState({ wrong: inWords(error) });
    }
  };
  const submit = (event: Event) => {
    event.preventDefault();
    void change(frame.archived);
  };
  return (
    <form class="card" onSubmit={submit}>
      <h2>{say("about")}</h2>
      <Field id="title" label={say("title")} value={title} onText={setTitle} maxLength={80} dir="auto" autocomplete="off" />
      <Circle name="reads" legend={say("reads")} chosen={readRoles} onChoose={setReads} />
      <Circle name="writes" legend={say("writes")} chosen={writeRoles & readRoles} most={readRoles} onChoose={setWrites} />
      <div class="line-buttons">
        <button class="main" disabled={state === "busy" || !title.trim()}>{say("change")}</button>
        <button type="button" disabled={state === "busy"} onClick={() => void change(!frame.archived)}>
          {frame.archived ? say("takeOut") : say("putAway")}
        </button>
      </div>
      {state === "done" && <p class="note done" role="status">{say("isChanged")}</p>}
      {typeof state === "object" && <p class="wrong" role="alert">{state.wrong}</p>}
    </form>
  );
}

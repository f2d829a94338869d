/** The documents of a community, and a new one. Without a number: those of all one's communities. */
import { useState } from "preact/hooks";
import { createDocument } from "../../../../sdk/src/documents";
import type { Client, SpaceView } from "../../../../sdk/src/api";
import { useLive } from "../../live";
import type { PageGiven } from "../../pages";
import { Field } from "../../parts/field";
import { Head } from "../../parts/head";
import { Icon } from "../../parts/icon";
import { go, toPage } from "../../place";
import { inWords } from "../../trouble";
import { say as sayShell } from "../../words";
import { Circle, EVERYBODY } from "../document/roles";
import { book } from "../document/words";
import { Missing } from "../../parts/missing";

const { say } = book;
const DOCUMENT = 5;
const COMMUNITY = 1;

export default function DocumentsPage({ client, id }: PageGiven) {
  const { spaces } = useLive(client.places);
  const shown = spaces.filter((one) => one.kind === COMMUNITY && (!id || one.space === id));
  if (id && !shown.length) return <Missing />;
  return (
    <div class="document">
      <Head title={sayShell("documents.title")} under={id ? shown[0]?.name : undefined} />
      {shown.map((space) => (
        <Documents key={space.space} space={space} named={!id} />
      ))}
      {id > 0 && <NewDocument client={client} space={id} />}
    </div>
  );
}

function Documents({ space, named }: { space: SpaceView; named: boolean }) {
  const documents = space.streams.filter(({ kind }) => kind === DOCUMENT);
  return (
    <section class="card">
      <h2 dir="auto">{named ? space.name : say("together")}</h2>
      {!documents.length && <p class="quiet">{say("none")}</p>}
      <ul class="rows">
        {documents.map(({ stream, name, mayWrite }) => (
          <li key={stream}>
            <a class="row" href={toPage("document", stream)}>
              <Icon name="page" />
              <span class="grow" dir="auto">{name}</span>
              {!mayWrite && <small>{say("readOnlyShort")}</small>}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function NewDocument({ client, space }: { client: Client; space: number }) {
  const [title, setTitle] = useState("");
  const [reads, setReads] = useState(EVERYBODY);
  const [writes, setWrites] = useState(EVERYBODY);
  const [state, setState] = useState<"" | "busy" | { readonly wrong: string }>("");
  const { state: link } = useLive(client.status);
  const create = async (event: Event) => {
    event.preventDefault();
    setState("busy");
    try {
      go(toPage("document", await createDocument(client, space, title.trim(), reads, writes & reads)));
    } catch (error) {
      setState({ wrong: inWords(error) });
    }
  };
  return (
    <form class="card" onSubmit={(event) => void create(event)}>
      <h2>{say("new")}</h2>
      <Field id="title" label={say("title")} value={title} onText={setTitle} maxLength={80} dir="auto" autocomplete="off" />
      <Circle name="reads" legend={say("reads")} chosen={reads} onChoose={setReads} />
      <Circle name="writes" legend={say("writes")} chosen={writes & reads} most={reads} onChoose={setWrites} />
      {typeof state === "object" && <p class="wrong" role="alert">{state.wrong}</p>}
      {state === "busy" && link !== "online" && <p class="note" role="status">{sayShell("app.whenOnline")}</p>}
      <button class="main" disabled={state === "busy" || !title.trim()}>{say("open")}</button>
    </form>
  );
}

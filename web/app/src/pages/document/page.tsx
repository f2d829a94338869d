/** One document: what is written in it, who is here, what it was. `#/document/7` is the document 7, `#/document/7/versions` its versions. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { openDocument, type Document } from "../../../../sdk/src/documents";
import type { Client } from "../../../../sdk/src/api";
import { keep, recall } from "../../kept";
import { useLive } from "../../live";
import type { PageGiven } from "../../pages";
import { Head } from "../../parts/head";
import { toPage } from "../../place";
import { Missing } from "../../parts/missing";
import { About } from "./about";
import { Editor } from "./editor";
import { useOnline } from "./online";
import { Paper } from "./paper";
import { Versions } from "./versions";
import { book } from "./words";

const { say } = book;

/** Kept while a document is put together: if the page stops over it, it is not opened again without asking. */
const openingNote = (stream: number) => `opening/${stream}`;

export default function DocumentPage({ client, id, rest }: PageGiven) {
  const [sure, setSure] = useState(() => !recall(openingNote(id)));
  if (!id) return <Missing />;
  return sure ? <Opened key={id} client={client} id={id} part={rest[0] ?? ""} /> : <Stopped onSure={() => setSure(true)} />;
}

/** A page that stopped took the person's tab with it: they say whether it is tried again. */
function Stopped({ onSure }: { onSure: () => void }) {
  return (
    <div class="welcome">
      <p class="quiet">{say("stopped")}</p>
      <button onClick={onSure}>{say("openAnyway")}</button>
    </div>
  );
}

/** The document, followed as long as the page is open. */
function useDocument(client: Client, id: number): readonly [Document, Paper] {
  const made = useMemo((): readonly [Document, Paper] => {
    keep(openingNote(id), "1");
    const paper = new Paper();
    const document = openDocument(client, id, paper);
    paper.onWritten = (update) => document.write(update);
    return [document, paper];
  }, [client, id]);
  useEffect(() => {
    const [document, paper] = made;
    const off = document.subscribe(({ here, code }) => (here || code) && keep(openingNote(id), ""));
    return () => {
      off();
      keep(openingNote(id), "");
      document.close();
      paper.close();
    };
  }, [made]);
  return made;
}

function Opened({ client, id, part }: { client: Client; id: number; part: string }) {
  const [document, paper] = useDocument(client, id);
  const { here, code } = useLive(document);
  const online = useOnline(client);
  const { spaces } = useLive(client.places);
  const space = spaces.find((one) => one.streams.some(({ stream }) => stream === id));
  const stream = space?.streams.find((one) => one.stream === id);
  if (code && !here) return <Missing />;
  const title = stream?.name || say("document");
  return (
    <div class="document">
      <Head title={title} under={space?.name}>
        <a class="button plain-link" href={toPage("document", id, ...(part === "versions" ? [] : ["versions"]))}>
          {part === "versions" ? say("write") : say("versions")}
        </a>
      </Head>
      {!here && <p class="welcome quiet" role="status">{online ? say("loading") : say("notHere")}</p>}
      <div hidden={!here || part === "versions"}>
        <Editor client={client} document={document} paper={paper} title={title} space={space?.space ?? 0} mayWrite={stream?.mayWrite ?? true} />
      </div>
      {part === "versions" && <Versions client={client} document={document} id={id} />}
      {part === "versions" && space && <About client={client} id={id} title={title} space={space} mayWrite={stream?.mayWrite ?? false} />}
    </div>
  );
}

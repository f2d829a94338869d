/** One record as it stands, and its other values: what was replaced, what was not written, and how each is brought back. */
import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import type { Fields, KeptVersion } from "../../../../sdk/src/protocol";
import { entities, type Declaration } from "../../../../sdk/src/records";
import { useAct } from "../../act";
import { useLive } from "../../live";
import type { PageGiven } from "../../pages";
import { Head } from "../../parts/head";
import { Icon } from "../../parts/icon";
import { say } from "../../words";
import { shownFields } from "../conflicts/sides";
import { isSame } from "../conflicts/three_way";
import { book, type Word } from "./book";
import { entityName, fieldName, moment, Shown, titleIn, useNaming, useRecord } from "./naming";

/** Why a value is kept, of `KeptAs`. */
const KEPT: Readonly<Record<number, Word>> = { 1: "kept.overwritten", 2: "kept.lost", 3: "kept.attempt", 4: "kept.edited", 5: "kept.setBack" };

/** Address: `#/record/STREAM/ENTITY/KEY`. */
export default function RecordPage({ client, id, rest }: PageGiven) {
  const [entity = 0, key = 0] = rest.map(Number);
  const declaration = entities().get(entity);
  if (!declaration || !Number.isSafeInteger(key) || key < 1) return <p class="card">{say("space.missing")}</p>;
  return <Known key={`${entity}/${key}`} client={client} stream={id} declaration={declaration} id={key} />;
}

interface Given {
  readonly client: Client;
  readonly stream: number;
  readonly declaration: Declaration;
  readonly id: number;
}

function Known({ client, stream, declaration, id }: Given) {
  const { entity } = declaration;
  const record = useRecord(client, stream, entity, id);
  const { place } = useNaming(client, stream, []);
  const fields = [...declaration.fields.values()].filter(({ number, housekeeping, replaced }) => !housekeeping && !replaced && record.fields.has(number));
  return (
    <>
      <Head title={titleIn(entity, record.fields) || entityName(entity)} under={book.say("list.of", { what: entityName(entity), place })} />
      <section class="card">
        <h2>{book.say("result.now")}</h2>
        {record.pending > 0 && <p class="waits"><Icon name="clock" />{book.say("wait.change")}</p>}
        {record.gone && <p class="quiet">{book.say("all.isDeleted")}</p>}
        <dl class="record">
          {fields.map((field) => (
            <div key={field.number}>
              <dt>{fieldName(field)}</dt>
              <dd><Shown client={client} stream={stream} entity={entity} field={field} value={record.fields.get(field.number)} /></dd>
            </div>
          ))}
        </dl>
      </section>
      <Versions client={client} stream={stream} declaration={declaration} id={id} present={record.fields} version={record.version} />
    </>
  );
}

function Versions({ client, stream, declaration, id, present, version }: Given & { present: Fields; version: number }) {
  const [pages, setPages] = useState<readonly KeptVersion[]>([]);
  const [more, setMore] = useState(false);
  const [loaded, setLoaded] = useState(false);
  const [before, setBefore] = useState<Fields | null>(null);
  const { state } = useLive(client.status);
  const { act, busy, wrong } = useAct();
  const changing = useAct();
  const { person } = useNaming(client, stream, pages.map(({ author }) => author));
  const { entity } = declaration;
  const load = (place: number) =>
    act(async () => {
      const page = await client.versions(stream, entity, id, place);
      setPages((known) => (place ? [...known, ...page.versions] : page.versions));
      setMore(page.more);
      setLoaded(true);
    });
  useEffect(() => {
    if (state === "online") void load(0);
  }, [state, version]);
  const write = (fields: Fields, undone: Fields | null) => {
    setBefore(undone);
    void changing.act(async () => void (await client.change(stream, entity, id, fields)));
  };
  return (
    <section class="card">
      <h2>{book.say("record.versions")}</h2>
      {before && (
        <p class="note done" role="status">
          {book.say("record.taken")}
          <button class="plain" onClick={() => write(before, null)}>{book.say("undo")}</button>
        </p>
      )}
      {changing.wrong && <p class="wrong" role="alert">{changing.wrong}</p>}
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      {!loaded && state !== "online" && <p class="quiet">{book.say("record.away")}</p>}
      {loaded && !pages.length && <p class="quiet">{book.say("record.none")}</p>}
      <ol class="rows versions">
        {pages.map((one) => (
          <Version key={one.place} client={client} stream={stream} declaration={declaration} kept={one} who={person(one.author)} present={present} onTake={write} />
        ))}
      </ol>
      {more && (
        <button disabled={busy} onClick={() => void load(pages.at(-1)?.place ?? 0)}>{say("space.more")}</button>
      )}
    </section>
  );
}

interface VersionGiven {
  readonly client: Client;
  readonly stream: number;
  readonly declaration: Declaration;
  readonly kept: KeptVersion;
  readonly who: string;
  readonly present: Fields;
  readonly onTake: (fields: Fields, undone: Fields) => void;
}

function Version({ client, stream, declaration, kept, who, present, onTake }: VersionGiven) {
  const { entity } = declaration;
  const all = shownFields(entity, kept.fields);
  const known = [...declaration.fields.values()].filter(({ number, replaced }) => all.has(number) && !replaced);
  const fields = new Map(known.map(({ number }) => [number, all.get(number)!]));
  const isNow = known.every(({ number }) => isSame(fields.get(number), present.get(number)));
  const take = () => onTake(fields, new Map([...present].filter(([number]) => fields.has(number))));
  return (
    <li>
      <p>
        <strong dir="auto">{who}</strong> <span class="quiet">{moment(kept.at)} · {book.say(KEPT[kept.kept] ?? "kept.plain")}</span>
      </p>
      <dl class="record">
        {known.filter(({ housekeeping }) => !housekeeping).map((field) => (
          <div key={field.number}>
            <dt>{fieldName(field)}</dt>
            <dd><Shown client={client} stream={stream} entity={entity} field={field} value={fields.get(field.number)} before={present.get(field.number)} /></dd>
          </div>
        ))}
      </dl>
      {isNow ? <p class="quiet">{book.say("record.same")}</p> : <button onClick={take}>{book.say("record.take")}</button>}
    </li>
  );
}

/** How one mentors: a record of one's own, kept on this device and sent when there is a network. */
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Client, RecordView } from "../../../../sdk/src/api";
import { useAct } from "../../act";
import { useLive } from "../../live";
import { Field } from "../../parts/field";
import { subjectsOf } from "./subjects";
import { say } from "./words";

const OWN = 8;
const MENTORING = 21;
const ONLY = 1;
const OPEN = 1;
const SUBJECTS = 2;
const CAPACITY = 6;
const ABOUT = 7;
const CAPACITY_MAX = 50;

export function Offer({ client }: { client: Client }) {
  const { spaces } = useLive(client.places);
  const own = spaces.flatMap((one) => one.streams).find(({ kind }) => kind === OWN);
  if (!own) return <p class="card quiet">{say("offer.later")}</p>;
  return <Form client={client} stream={own.stream} />;
}

function Form({ client, stream }: { client: Client; stream: number }) {
  const record = useMemo(() => client.record(stream, MENTORING, ONLY), [client, stream]);
  useEffect(() => () => record.close(), [record]);
  const { fields, pending } = useLive<RecordView>(record);
  const { state } = useLive(client.status);
  const [changed, setChanged] = useState<{ readonly open?: boolean; readonly subjects?: string; readonly capacity?: string; readonly about?: string }>({});
  const [saved, setSaved] = useState(false);
  const { wrong, busy, act } = useAct();
  const listed = fields.get(SUBJECTS);
  const open = changed.open ?? fields.get(OPEN) === true;
  const subjects = changed.subjects ?? (Array.isArray(listed) ? listed.join(", ") : "");
  const capacity = changed.capacity ?? String(fields.get(CAPACITY) ?? 2);
  const about = changed.about ?? String(fields.get(ABOUT) ?? "");
  const change = (what: typeof changed) => (setSaved(false), setChanged({ ...changed, ...what }));
  const save = (event: Event) => {
    event.preventDefault();
    void act(async () => {
      const room = Math.min(CAPACITY_MAX, Math.max(0, Math.round(Number(capacity)) || 0));
      const sent = client.change(stream, MENTORING, ONLY, new Map<number, boolean | number | string | string[]>([[OPEN, open], [SUBJECTS, subjectsOf(subjects)], [CAPACITY, room], [ABOUT, about.trim()]]));
      if (state === "online") await sent;
      else sent.catch(() => undefined);
      setChanged({});
      setSaved(true);
    });
  };
  return (
    <form class="card" onSubmit={save}>
      <h2>{say("offer.title")}</h2>
      <p class="quiet">{say("offer.explain")}</p>
      <label class="check">
        <input type="checkbox" checked={open} onChange={(event) => change({ open: event.currentTarget.checked })} />
        <span>{say("offer.open")}</span>
      </label>
      <Field id="offer-subjects" label={say("offer.subjects")} hint={say("find.subjectsHint")} value={subjects} onText={(text) => change({ subjects: text })} maxLength={400} dir="auto" autocomplete="off" />
      <Field id="offer-capacity" label={say("offer.capacity")} type="number" min={0} max={CAPACITY_MAX} inputMode="numeric" value={capacity} onText={(text) => change({ capacity: text })} />
      <p class="field">
        <label for="offer-about">{say("offer.about")}</label>
        <textarea id="offer-about" rows={4} maxLength={500} dir="auto" value={about} onInput={(event) => change({ about: event.currentTarget.value })} />
      </p>
      <button class="main" disabled={busy}>{say("offer.save")}</button>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      {saved && <p class="note done" role="status">{say(pending ? "offer.kept" : "offer.saved")}</p>}
    </form>
  );
}

/** Quiet hours, which stand in one's own records: written offline, too, and the same on every device. */
import { useEffect, useMemo, useState } from "preact/hooks";
import type { Client, Open, RecordView } from "../../../../sdk/src/api";
import { Cell, useLive } from "../../live";
import { ONLY, ownStream, PREFERENCES, PROFILE, QUIET_FROM, QUIET_TO, TIME_ZONE, writeOwn } from "../../own";
import { inWords } from "../../trouble";
import { book } from "./book";
import { toMinutes, toTime } from "./settings";

const EVENING = 22 * 60;
const MORNING = 7 * 60;

/** One of one's own records, as it stands here. */
function useOwn(client: Client, entity: number): RecordView | null {
  const stream = ownStream(useLive(client.places));
  const nothing = useMemo(() => new Cell<RecordView | null>(null), []);
  const [record, setRecord] = useState<Open<RecordView> | null>(null);
  useEffect(() => {
    if (!stream) return;
    const opened = client.record(stream, entity, ONLY);
    setRecord(opened);
    return () => opened.close();
  }, [client, stream, entity]);
  return useLive<RecordView | null>(record ?? nothing);
}

export function Quiet({ client, online }: { client: Client; online: boolean }) {
  const preferences = useOwn(client, PREFERENCES);
  const profile = useOwn(client, PROFILE);
  const [wrong, setWrong] = useState("");
  if (!preferences) return null;
  const number = (field: number) => Number(preferences.fields.get(field) ?? 0);
  const [from, to] = [number(QUIET_FROM), number(QUIET_TO)];
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zone = String(profile?.fields.get(TIME_ZONE) ?? "");
  const act = (change: Promise<void>) => {
    setWrong("");
    change.catch((error: unknown) => setWrong(inWords(error)));
  };
  const set = (begin: number, end: number) => {
    act(writeOwn(client, PREFERENCES, new Map([[QUIET_FROM, begin], [QUIET_TO, end]])));
    if (!zone && here) act(writeOwn(client, PROFILE, new Map([[TIME_ZONE, here]])));
  };
  const isOn = from !== to;
  const field = (id: string, words: string, minutes: number, change: (minutes: number) => void) => (
    <p class="field">
      <label for={id}>{words}</label>
      <input id={id} type="time" value={toTime(minutes)} onChange={(event) => {
        const wanted = toMinutes(event.currentTarget.value);
        if (wanted !== null) change(wanted);
      }} />
    </p>
  );
  return (
    <section class="card">
      <h2>{book.say("set.quiet")}</h2>
      <p class="quiet">{book.say("set.quietExplain")}</p>
      <label class="switch">
        <input type="checkbox" checked={isOn} onChange={() => (isOn ? set(0, 0) : set(EVENING, MORNING))} />
        <span>{book.say("set.quietOn")}</span>
      </label>
      {isOn && (
        <>
          <div class="times">
            {field("quiet-from", book.say("set.from"), from, (minutes) => set(minutes, to))}
            {field("quiet-to", book.say("set.to"), to, (minutes) => set(from, minutes))}
          </div>
          {zone && <p class="quiet">{book.say("set.zone", { zone })}</p>}
          {zone && here && zone !== here && (
            <button onClick={() => act(writeOwn(client, PROFILE, new Map([[TIME_ZONE, here]])))}>{book.say("set.zoneHere", { zone: here })}</button>
          )}
        </>
      )}
      {(preferences.pending > 0 || (profile?.pending ?? 0) > 0) && !online && <p class="note" role="status">{book.say("set.kept")}</p>}
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </section>
  );
}

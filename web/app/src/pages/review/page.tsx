/**
 * What waits for those who moderate a community: what moderation held, appeals, and what people reported.
 *
 *     #/review/3   of community 3          #/review/0   of the platform, for its reviewers          #/review/0/mine   of one's own
 *
 * A decision is a mutation: without a network it is kept, and goes by itself. The list needs the network, since others decide, too.
 */
import { useEffect, useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import type { HeldItem, ReportItem } from "../../../../sdk/src/protocol";
import { useAct } from "../../act";
import { useLive } from "../../live";
import { useOnline } from "../../online";
import { Head } from "../../parts/head";
import type { PageGiven } from "../../pages";
import { learnNames } from "../../session";
import { HeldCard } from "./held_card";
import { Mine } from "./mine";
import { ReportCard } from "./report_card";
import { count, say } from "./words";

interface Waiting {
  readonly held: readonly HeldItem[];
  readonly reports: readonly ReportItem[];
  readonly more: boolean;
}

export default function Review({ client, id, rest }: PageGiven) {
  return rest[0] === "mine" ? <Mine client={client} /> : <Queue key={id} client={client} id={id} />;
}

function Queue({ client, id }: { client: Client; id: number }) {
  const { spaces } = useLive(client.places);
  const online = useOnline(client);
  const [waiting, setWaiting] = useState<Waiting | null>(null);
  const { wrong, act } = useAct();
  const load = () =>
    act(async () => {
      const where = id ? { space: id } : { platform: true };
      const [held, reports] = await Promise.all([client.held(where), client.reports(where)]);
      setWaiting({ held: held.items, reports: reports.reports, more: held.more || reports.more });
      if (id) void learnNames(client, id);
    });
  useEffect(() => {
    if (online) void load();
  }, [online, id]);
  const decided = (what: HeldItem | ReportItem) =>
    setWaiting((before) => before && { ...before, held: before.held.filter((one) => one !== what), reports: before.reports.filter((one) => one !== what) });
  const space = spaces.find((one) => one.space === id);
  const left = waiting ? waiting.held.length + waiting.reports.length : 0;
  return (
    <>
      <Head title={say("title")} under={space?.name ?? say("platform")} />
      {wrong && <p class="card wrong" role="alert">{wrong}</p>}
      {!waiting && !wrong && <p class="card quiet" role="status">{online ? say("loading") : say("offline")}</p>}
      {waiting && (
        <p class="review-count quiet" role="status">
          {left ? count("left", left) : say("nothing")}
        </p>
      )}
      {waiting && (
        <ul class="review-list">
          {waiting.held.map((one) => (
            <HeldCard key={`held-${one.held}`} client={client} item={one} online={online} onDone={() => decided(one)} />
          ))}
          {waiting.reports.map((one) => (
            <ReportCard key={`report-${one.report}`} client={client} item={one} online={online} onDone={() => decided(one)} />
          ))}
        </ul>
      )}
      {waiting && (waiting.more || !left) && online && (
        <p class="review-count">
          <button onClick={() => void load()}>{say(waiting.more ? "more" : "again")}</button>
        </p>
      )}
    </>
  );
}

/** Something that people reported. */
import type { Client } from "../../../../sdk/src/api";
import { ReportAbout, type ReportItem } from "../../../../sdk/src/protocol";
import { useLive } from "../../live";
import { nameOf, people } from "../../session";
import { toChannel } from "../../place";
import { clock, day } from "../../words";
import { Decide } from "./decide";
import { reportReason } from "./reasons";
import { count, say } from "./words";

const ABOUT = { [ReportAbout.MESSAGE]: "about.message", [ReportAbout.PROFILE]: "about.profile", [ReportAbout.PERSON]: "about.person" } as const;

interface Given {
  readonly client: Client;
  readonly item: ReportItem;
  readonly online: boolean;
  readonly onDone: () => void;
}

export function ReportCard({ client, item, online, onDone }: Given) {
  const me = useLive(client.me);
  const known = useLive(people);
  const { report, about, user, reason, at, times, words, stream, seq, text } = item;
  const message = about === ReportAbout.MESSAGE;
  return (
    <li class="card">
      <h2>{say(ABOUT[about as keyof typeof ABOUT] ?? "about.person")}</h2>
      <p class="quiet">
        <bdi>{nameOf(user, me, known)}</bdi> · {day(at)}, {clock(at)} · {count("times", times)}
      </p>
      {text && <blockquote><p dir="auto">{text}</p></blockquote>}
      <p class="review-why">{reportReason(reason)}</p>
      {words && (
        <div>
          <p class="quiet">{say("report.words")}</p>
          <blockquote><p dir="auto">{words}</p></blockquote>
        </div>
      )}
      {message && stream > 0 && <a href={`${toChannel(stream)}/${seq}`}>{say("report.look")}</a>}
      <Decide
        client={client}
        online={online}
        onDone={onDone}
        follows={say(message ? "report.follows" : "report.followsPerson")}
        ways={[
          { label: say(message ? "report.takeBack" : "report.uphold"), operation: { type: "DecideReport", report, uphold: true } },
          { label: say("report.keep"), operation: { type: "DecideReport", report, uphold: false } },
        ]}
      />
    </li>
  );
}

/** Something that moderation holds, or an appeal against what was decided. */
import type { Client } from "../../../../sdk/src/api";
import { HeldForm, type HeldItem } from "../../../../sdk/src/protocol";
import { useLive } from "../../live";
import { nameOf, people } from "../../session";
import { clock, day } from "../../words";
import { Decide } from "./decide";
import { harm } from "./reasons";
import { say } from "./words";

const FORMS = { [HeldForm.MESSAGE]: "form.message", [HeldForm.EDIT]: "form.edit", [HeldForm.RECORD]: "form.record", [HeldForm.NAME]: "form.name" } as const;
const UNSEEN_PERCENT = 100;

interface Given {
  readonly client: Client;
  readonly item: HeldItem;
  readonly online: boolean;
  readonly onDone: () => void;
}

export function HeldCard({ client, item, online, onDone }: Given) {
  const me = useLive(client.me);
  const known = useLive(people);
  const { held, form, user, at, reasons, text, appeal, appealed } = item;
  const unseen = reasons.length === 1 && reasons[0]?.harm === 0 && reasons[0].percent === UNSEEN_PERCENT;
  return (
    <li class="card">
      <h2>{appealed ? say("held.appeal") : say(FORMS[form as keyof typeof FORMS] ?? "form.unknown")}</h2>
      <p class="quiet">
        <bdi>{nameOf(user, me, known)}</bdi> · {day(at)}, {clock(at)}
      </p>
      {text ? <blockquote><p dir="auto">{text}</p></blockquote> : <p class="quiet">{say("held.gone")}</p>}
      <p class="review-why">{unseen ? say("held.unseen") : reasons.map((one) => say("held.reason", { what: harm(one.harm), percent: one.percent })).join(" · ")}</p>
      {appealed > 0 && appeal && (
        <div>
          <p class="quiet">{say("held.appealWords")}</p>
          <blockquote><p dir="auto">{appeal}</p></blockquote>
        </div>
      )}
      {appealed ? (
        <Decide
          client={client}
          online={online}
          onDone={onDone}
          follows={say("held.appealFollows")}
          ways={[
            { label: say("held.show"), strong: true, operation: { type: "DecideAppeal", held, uphold: true } },
            { label: say("held.stay"), operation: { type: "DecideAppeal", held, uphold: false } },
          ]}
        />
      ) : (
        <Decide
          client={client}
          online={online}
          onDone={onDone}
          follows={say("held.follows")}
          ways={[
            { label: say("held.show"), strong: true, operation: { type: "DecideHeld", held, release: true } },
            { label: say("held.away"), operation: { type: "DecideHeld", held, release: false } },
          ]}
        />
      )}
    </li>
  );
}

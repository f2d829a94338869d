/** One field of a conflict: both sides beside each other with what each changed, and what both together make, which may be edited. */
import { useId } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import type { Conflict, Value } from "../../../../sdk/src/protocol";
import { book } from "../record/book";
import { fieldName, Shown } from "../record/naming";
import { mergedValue, type FieldView, type From, type Pick, type Taken } from "./sides";

interface Given {
  readonly client: Client;
  readonly conflict: Conflict;
  readonly view: FieldView;
  readonly sides: { readonly mine: string; readonly theirs: string };
  readonly pick: Pick;
  readonly onPick: (pick: Pick) => void;
}

export function FieldChoice({ client, conflict, view, sides, pick, onPick }: Given) {
  const { field, common, mine, theirs, now } = view;
  const name = useId();
  const { stream, entity } = conflict;
  const merged = mergedValue(view, pick);
  const isText = typeof mine === "string" && typeof theirs === "string";
  const canMerge = isText || view.proposal !== undefined;
  const shown = (value: Value | undefined, before: Value | undefined) => <Shown client={client} stream={stream} entity={entity} field={field} value={value} before={before} />;
  return (
    <fieldset class="card deciding">
      <legend>{fieldName(field)}</legend>
      <div class={canMerge ? "halves three" : "halves"}>
        <Side name={name} from="mine" label={sides.mine} pick={pick} onPick={onPick}>
          {shown(mine, common ?? (isText ? theirs : undefined))}
        </Side>
        <Side name={name} from="theirs" label={sides.theirs} pick={pick} onPick={onPick}>
          {shown(theirs, common)}
        </Side>
        {canMerge && (
          <Side name={name} from="merged" label={book.say("side.both")} pick={pick} onPick={onPick}>
            {pick.edited === undefined && view.pieces.length > 0 && view.proposal === undefined && <Clashes view={view} sides={sides} pick={pick} onPick={onPick} />}
            {isText && typeof merged === "string" ? <Edit view={view} text={merged} onText={(edited) => onPick({ ...pick, from: "merged", edited })} /> : !isText && shown(merged, undefined)}
          </Side>
        )}
      </div>
      {now !== undefined && (
        <div class="now">
          <p class="quiet">{book.say("side.now")}</p>
          {shown(now, undefined)}
        </div>
      )}
    </fieldset>
  );
}

interface SideGiven {
  readonly name: string;
  readonly from: From;
  readonly label: string;
  readonly pick: Pick;
  readonly onPick: (pick: Pick) => void;
  readonly children: preact.ComponentChildren;
}

function Side({ name, from, label, pick, onPick, children }: SideGiven) {
  return (
    <div class={pick.from === from ? "half picked" : "half"}>
      <label>
        <input type="radio" name={name} checked={pick.from === from} onChange={() => onPick({ ...pick, from })} />
        <span dir="auto">{label}</span>
      </label>
      {children}
    </div>
  );
}

/** The merged text, in which each part that both changed differently is chosen. */
function Clashes({ view, sides, pick, onPick }: Pick2) {
  let at = -1;
  return (
    <>
      <p class="quiet">{book.say("clash.explain")}</p>
      <div class="value" dir="auto">
        {view.pieces.map((piece, place) => {
          if (typeof piece === "string") return piece;
          const mine = ++at;
          const take = (taken: Taken) => onPick({ ...pick, from: "merged", clashes: pick.clashes.map((one, each) => (each === mine ? taken : one)) });
          const options = [
            ["mine", piece.mine, sides.mine],
            ["theirs", piece.theirs, sides.theirs],
            ...(piece.mine && piece.theirs ? ([["both", book.say("clash.both"), book.say("clash.both")]] as const) : []),
          ] as const;
          return (
            <span key={place} class="clash" role="group" aria-label={book.say("clash.name", { n: mine + 1 })}>
              {options.map(([taken, text, whose]) => (
                <button key={taken} type="button" dir="auto" aria-pressed={pick.clashes[mine] === taken} aria-label={taken === "both" ? whose : `${whose}: ${text.trim() || book.say("clash.nothing")}`} onClick={() => take(taken)}>
                  {text.trim() || book.say("clash.nothing")}
                </button>
              ))}
            </span>
          );
        })}
      </div>
    </>
  );
}

type Pick2 = Omit<Given, "client" | "conflict">;

const ROWS_MAX = 14;
const ROW_LETTERS = 45;

function Edit({ view, text, onText }: { view: FieldView; text: string; onText: (text: string) => void }) {
  const id = useId();
  const most = Number(/^s(\d+)/.exec(view.field.kind)?.[1] ?? 0);
  const rows = Math.min(ROWS_MAX, text.split("\n").reduce((sum, line) => sum + 1 + Math.floor(line.length / ROW_LETTERS), 0) + 1);
  return (
    <p class="edit">
      <label class="quiet" for={id}>{book.say("side.edit")}</label>
      <textarea id={id} dir="auto" rows={rows} value={text} maxLength={most || undefined} onInput={(event) => onText(event.currentTarget.value)} />
    </p>
  );
}

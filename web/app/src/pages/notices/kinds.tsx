/** What comes how: everywhere, in one community, in one channel. */
import { useState } from "preact/hooks";
import type { Client } from "../../../../sdk/src/api";
import { useLive } from "../../live";
import { language } from "../../words";
import { book } from "./book";
import { KINDS, nameOfKind } from "./lines";
import { EVERY_KIND, ruleFor, toggled, WAYS, waysOf, withRule, type Preferences, type Preferred, type WayName, type Where } from "./ways";

/** Kinds of spaces and streams (docs/protocol.md). */
const COMMUNITY = 1;
const CHANNEL = 3;
const EVERYWHERE: Where = { space: 0, stream: 0 };
const NAMES = Object.keys(WAYS) as WayName[];
/** What is said of a place, beside mentions and the rest that can happen there. */
const IN_PLACES = [EVERY_KIND, ...Object.keys(KINDS).map(Number), 0];

interface Given {
  readonly client: Client;
  readonly preferred: Preferred;
  readonly onChange: (change: Partial<Preferences>) => void;
}

export function Kinds({ client, preferred, onChange }: Given) {
  const { spaces } = useLive(client.places);
  const [where, setWhere] = useState(EVERYWHERE);
  const communities = spaces.filter(({ kind }) => kind === COMMUNITY);
  const isEverywhere = !where.space && !where.stream;
  const choose = (value: string) => {
    const [space = 0, stream = 0] = value.split("/").map(Number);
    setWhere({ space, stream });
  };
  return (
    <section class="card">
      <h2>{book.say("set.kinds")}</h2>
      <p class="quiet">{book.say("set.kindsExplain")}</p>
      {communities.length > 0 && (
        <p class="field">
          <label for="notice-place">{book.say("set.place")}</label>
          <select id="notice-place" value={`${where.space}/${where.stream}`} onChange={(event) => choose(event.currentTarget.value)}>
            <option value="0/0">{book.say("set.everywhere")}</option>
            {communities.map(({ space, name, streams }) => (
              <optgroup key={space} label={name}>
                <option value={`${space}/0`}>{name}</option>
                {streams
                  .filter(({ kind }) => kind === CHANNEL)
                  .map((one) => (
                    <option key={one.stream} value={`${space}/${one.stream}`}>{`${name}: ${one.name}`}</option>
                  ))}
              </optgroup>
            ))}
          </select>
        </p>
      )}
      <div class="kinds">
        {(isEverywhere ? IN_PLACES.slice(1) : IN_PLACES).map((kind) => (
          <Kind key={`${kind}/${where.space}/${where.stream}`} kind={kind} where={where} preferred={preferred} onChange={onChange} />
        ))}
      </div>
    </section>
  );
}

function Kind({ kind, where, preferred, onChange }: Omit<Given, "client"> & { kind: number; where: Where }) {
  const isEverywhere = !where.space && !where.stream;
  const own = ruleFor(preferred.rules, kind, where);
  const isOpen = kind === EVERY_KIND && !own;
  const ways = waysOf(preferred, kind, where);
  const always = preferred.always.includes(kind);
  const usual = book.say(isEverywhere ? "set.asDefault" : "set.asElsewhere");
  const name = book.say(kind === EVERY_KIND ? "kind.all" : `kind.${nameOfKind(kind)}`);
  const chosen = NAMES.filter((way) => ways & WAYS[way]).map((way) => book.say(`way.${way}`));
  const list = new Intl.ListFormat(language.value, { type: "unit", style: "short" });
  const set = (next: number | null) => onChange({ rules: withRule(preferred.rules, kind, where, next) });
  return (
    <details class="kind">
      <summary>
        <span>{name}</span>
        <span class="quiet">{isOpen ? usual : (chosen.length > 0 && list.format(chosen)) || book.say("set.never")}</span>
      </summary>
      {always ? (
        <p class="quiet">{book.say("set.always")}</p>
      ) : (
        <fieldset class="choices">
          <legend class="heard">{name}</legend>
          {NAMES.map((way) => (
            <label key={way}>
              <input type="checkbox" checked={!isOpen && (ways & WAYS[way]) > 0} onChange={() => set(toggled(isOpen ? 0 : ways, WAYS[way]))} />
              <span>{book.say(`way.${way}`)}</span>
            </label>
          ))}
          {own && (
            <button type="button" class="plain" onClick={() => set(null)} aria-label={`${name}: ${usual}`}>
              {usual}
            </button>
          )}
        </fieldset>
      )}
    </details>
  );
}

/** Mails that were stopped by a link in one of them; each may be sent again. */
export function Unmailed({ preferred, onChange }: Omit<Given, "client">) {
  if (!preferred.unmailed.length) return null;
  const named = (kind: number) => (kind === -1 ? book.say("set.allMails") : kind === -2 ? book.say("set.digests") : book.say(`kind.${nameOfKind(kind)}`));
  return (
    <section class="card">
      <h2>{book.say("set.unmailed")}</h2>
      <ul class="rows">
        {preferred.unmailed.map((kind) => (
          <li key={kind} class="row">
            <span class="grow">{named(kind)}</span>
            <button aria-label={`${book.say("set.resume")}: ${named(kind)}`} onClick={() => onChange({ unmailed: preferred.unmailed.filter((one) => one !== kind) })}>
              {book.say("set.resume")}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

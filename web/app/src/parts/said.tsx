/**
 * A long list of messages, of which those around what is in sight are drawn.
 *
 *     room above ─ rows: some more than are seen ─ room below         the row at the top of the sight stays where it is,
 *                  ▲ measured as they are drawn                        whatever comes above it or turns out taller
 *
 * At its end it stays at its end. Near its beginning older messages are asked for. Somebody who is led to one message that is not held here
 * sees the messages around it (`Island`) until they go back to the newest.
 *
 * Invariant: where rows begin by `Heights` is where they begin on the screen.
 */
import { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import type { Client, Conversation, LiveStream, Message } from "../../../sdk/src/api";
import { network, useLive } from "../live";
import { people } from "../session";
import { language, say } from "../words";
import type { Aim } from "./composer";
import { Heights } from "./heights";
import { useIsland } from "./island";
import { MessageRow, type RowGiven } from "./message";

const NEAR_PX = 80;
const OLDER_PX = 2_400;
const READ_AFTER_MS = 1_200;
const TOGETHER_S = 300;
/** Rows that are drawn beyond what is seen, and how few of them may be left before others are: a few in each frame, not many now and then. */
const MORE_ROWS = 8;
const LEAST_ROWS = 7;
const STEP_ROWS = 3;
const REST_MS = 50;
/** So often at once more rows are drawn because others turned out smaller. */
const TRIES_MAX = 5;
const PAGE = 50;

interface Given {
  readonly client: Client;
  readonly live: LiveStream;
  readonly talk: Conversation;
  readonly read: number;
  /** The message that one is led to; 0: none. */
  readonly wanted: number;
  readonly onAim: (aim: Aim | null) => void;
}

/** The row that stays where it is: its name, and how far its beginning is above the sight's. `END`: the end stays. */
interface Anchor {
  readonly name: number;
  readonly above: number;
}
const END: Anchor = { name: Infinity, above: 0 };

/** A row's name: its number in the stream; of one's own that have none a number below 0. */
function nameOf({ seq, key }: Message): number {
  return key ? (key > 0 ? -2 * key : 2 * key - 1) : seq;
}

/** The place of the row of this name, or of the one after which it would be. */
function placeOf(messages: readonly Message[], name: number): number {
  if (name < 0) {
    // One's own are last.
    for (let n = messages.length - 1; n >= 0 && messages[n]!.key; n--) if (nameOf(messages[n]!) === name) return n;
    return messages.length;
  }
  let [low, high] = [0, messages.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const one = messages[middle]!;
    if (!one.key && one.seq < name) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function Said({ client, live, talk, read, wanted, onAim }: Given) {
  const box = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLOListElement>(null);
  const anchor = useRef<Anchor>(END);
  const drawn = useRef<{ of: readonly Message[]; from: number; to: number }>({ of: [], from: 0, to: 0 });
  const slack = useRef(0);
  const tries = useRef(0);
  const [, redraw] = useReducer<number, void>((count) => count + 1, 0);
  const [away, setAway] = useState(false);
  const [open, setOpen] = useState(0);
  // The line "new" stays where it was when the channel was opened.
  const [seen] = useState(read);
  const online = useLive(network);
  const known = useLive(people);
  const tongue = useLive(language);
  const me = client.me.value?.user ?? 0;
  const { stream, upto } = talk;
  const { island, lead, leave, older: olderThere, newer } = useIsland(client, live, talk);
  const { messages: all, start } = island ?? talk;

  const [shown, heights] = useArranged(all);
  const count = shown.length;

  // What is drawn: around the row that stays.
  const sight = box.current?.clientHeight ?? 800;
  const first = anchor.current === END ? heights.at(heights.top(count) - sight) : Math.max(0, Math.min(count - 1, placeOf(shown, anchor.current.name)));
  const top = anchor.current === END ? Math.max(0, heights.top(count) - sight) : heights.top(first) + anchor.current.above;
  const seenFrom = heights.at(top);
  const seenTo = Math.min(count, heights.at(top + sight) + 1);
  const wantFrom = Math.max(0, seenFrom - MORE_ROWS);
  const wantTo = Math.min(count, seenTo + MORE_ROWS);
  let [from, to] = [wantFrom, wantTo];
  const before = drawn.current;
  if (before.of === shown) {
    // What is seen at once, and of what lies beyond it a little in each frame.
    const meets = wantFrom < before.to && before.from < wantTo;
    if (from < before.from || !meets) from = meets ? Math.max(from, Math.min(before.from - STEP_ROWS, seenFrom)) : seenFrom;
    if (to > before.to || !meets) to = meets ? Math.min(to, Math.max(before.to + STEP_ROWS, seenTo)) : seenTo;
  }
  drawn.current = { of: shown, from, to };
  useEffect(() => {
    // Who goes on scrolling draws in that frame; otherwise the rest follows here.
    const rest = from !== wantFrom || to !== wantTo;
    if (!rest && !slack.current) return;
    const next = setTimeout(() => (rest ? redraw() : settle(false, true)), rest ? REST_MS : 4 * REST_MS);
    return () => clearTimeout(next);
  });

  /** Measures what is drawn, and sees to it that the row that stays does. While one scrolls, the room above takes what rows turned out taller
   *  or smaller than was thought (`slack`), so that nothing that is drawn already moves; at rest, the place of the sight does. */
  const settle = useCallback(
    (all: boolean, atRest: boolean) => {
      const [place, rows] = [box.current, list.current];
      if (!place || !rows) return;
      const { from: begin, to: end } = drawn.current;
      const lines = rows.children;
      const expected = heights.top(begin);
      for (let n = 1; n < lines.length - 1; n++) {
        if (all || !heights.knows(begin + n - 1)) heights.measure(begin + n - 1, lines[n]!.getBoundingClientRect().height);
      }
      const { name, above } = anchor.current;
      const { offsetTop, firstElementChild } = rows;
      const { clientHeight, scrollTop } = place;
      const stays = anchor.current === END ? heights.top(heights.length) : heights.top(Math.max(0, placeOf(shown, name))) + above;
      const may = !atRest && begin > 0 && anchor.current !== END;
      const wished = may ? scrollTop - offsetTop - stays : 0;
      slack.current = expected + wished < 0 ? 0 : wished;
      (firstElementChild as HTMLElement).style.height = `${expected + slack.current}px`;
      const wanted = anchor.current === END ? Infinity : offsetTop + stays + slack.current;
      if (wanted === Infinity ? place.scrollHeight - scrollTop - clientHeight >= 1 : Math.abs(scrollTop - wanted) >= 1) {
        place.scrollTop = wanted === Infinity ? place.scrollHeight : wanted;
      }
      // Rows turned out less tall than was thought: there is room for more of them.
      const height = anchor.current === END ? stays - clientHeight : stays;
      const lacks = (begin > 0 && heights.at(height) <= begin) || (end < heights.length && heights.at(height + clientHeight) >= end - 1);
      tries.current = lacks ? tries.current + 1 : 0;
      if (lacks && tries.current < TRIES_MAX) redraw();
    },
    [shown, heights],
  );

  useLayoutEffect(() => settle(false, false));
  useEffect(() => {
    const watch = new ResizeObserver((entries) => {
      // Rows that are drawn make it no taller than is known already; what opens, comes late or is mended does.
      const { height } = entries.at(-1)!.contentRect;
      const known = heights.top(heights.length) + slack.current;
      if (entries.some(({ target }) => target === box.current) || Math.abs(height - known) >= 1) settle(true, true);
    });
    watch.observe(box.current!);
    watch.observe(list.current!);
    return () => watch.disconnect();
  }, [settle]);
  // Whoever was at a row that is not drawn any more goes on in the list.
  const held = useRef<EventTarget | null>(null);
  useLayoutEffect(() => {
    if (!(held.current instanceof Node) || held.current.isConnected) return;
    held.current = null;
    if (document.activeElement === document.body) box.current!.focus({ preventScroll: true });
  });
  const asking = useRef(false);
  const [olderState, setOlderState] = useState<"" | "busy" | "away">("");
  const older = async () => {
    if (asking.current) return;
    asking.current = true;
    setOlderState("busy");
    try {
      await (island ? olderThere() : live.older(PAGE));
      setOlderState("");
    } catch {
      // No socket: what is kept here is shown, and the rest is where the network is.
      setOlderState("away");
    } finally {
      asking.current = false;
    }
  };

  const scrolled = () => {
    const [place, rows] = [box.current!, list.current!];
    const { scrollTop, clientHeight, scrollHeight } = place;
    const atEnd = !island && scrollHeight - scrollTop - clientHeight < NEAR_PX;
    const height = scrollTop - rows.offsetTop - slack.current;
    const begin = heights.at(Math.max(0, height));
    const row = shown[begin];
    anchor.current = atEnd || !row ? END : { name: nameOf(row), above: height - heights.top(begin) };
    if (away === atEnd) setAway(!atEnd);
    const last = heights.at(height + clientHeight);
    const { from: low, to: high } = drawn.current;
    if ((begin - low < LEAST_ROWS && low > 0) || (high - last < LEAST_ROWS && high < count)) redraw();
    if (scrollTop < OLDER_PX && start > 0 && !olderState && network.value) void older();
    if (island && scrollHeight - scrollTop - clientHeight < OLDER_PX) newer();
  };
  // A page that is not full has nothing to scroll: what is older is asked for here.
  useEffect(() => {
    if (start > 0 && !olderState && network.value && heights.top(count) < sight) void older();
  }, [count, start, olderState]);

  // Somebody is led to one message, by a search or a notice.
  const led = useRef(0);
  useEffect(() => {
    if (!wanted) led.current = 0;
    if (!wanted || led.current === wanted || (!talk.caughtUp && talk.upto < wanted)) return;
    const place = placeOf(shown, wanted);
    if (shown[place]?.seq === wanted) {
      led.current = wanted;
      anchor.current = { name: wanted, above: -Math.round(sight / 3) };
      setAway(true);
      redraw();
      // When it is drawn, whoever reads by ear or key goes on from it.
      requestAnimationFrame(() => list.current?.querySelector<HTMLElement>(".wanted")?.focus({ preventScroll: true }));
    } else if (wanted <= talk.start) void lead(wanted);
    else led.current = wanted;
  }, [wanted, shown, talk.caughtUp]);

  // A moment after it was seen, so that a lively channel is one mark and not twenty; and at once when one goes elsewhere.
  const unmarked = useRef(0);
  const mark = () => {
    if (!unmarked.current || document.visibilityState !== "visible") return;
    client.markRead(stream, unmarked.current).catch(() => undefined);
    unmarked.current = 0;
  };
  useEffect(() => {
    if (upto <= read || away) return;
    unmarked.current = upto;
    const timer = setTimeout(mark, READ_AFTER_MS);
    return () => clearTimeout(timer);
  }, [upto, read, away, stream]);
  useEffect(() => mark, []);

  const down = () => {
    leave();
    anchor.current = END;
    setAway(false);
    redraw();
  };
  const turn = useCallback((name: number, on: boolean) => setOpen(on ? name : 0), []);
  const aim = useCallback((to: Aim) => (setOpen(0), onAim(to)), [onAim]);

  const rows = shown.slice(from, to).map((one, n) => {
    const above = shown[from + n - 1];
    const name = nameOf(one);
    const newDay = !above || dayOf(above.at) !== dayOf(one.at);
    const answered = one.replyTo ? shown[placeOf(shown, one.replyTo)] : undefined;
    return (
      <MessageRow
        key={name}
        name={name}
        client={client}
        stream={stream}
        message={one}
        known={known}
        tongue={tongue}
        newDay={newDay}
        together={!!above && !newDay && above.author === one.author && one.at - above.at < TOGETHER_S && !one.replyTo}
        firstNew={seen > 0 && one.seq > seen && one.author !== me && !!above && above.seq > 0 && above.seq <= seen}
        replied={answered?.seq === one.replyTo ? answered : undefined}
        wanted={wanted > 0 && one.seq === wanted}
        open={open === name}
        onOpen={turn}
        onAim={aim}
      />
    );
  });

  return (
    <div class="said-frame">
      <div ref={box} class="said" role="log" aria-live="off" aria-label={say("talk.messages")} tabIndex={0} onScroll={scrolled}>
        {start > 0 ? (
          <p class="beginning">
            <button disabled={olderState === "busy"} onClick={() => void older()}>
              {say(olderState === "busy" ? "talk.loading" : "talk.older")}
            </button>
            {olderState === "away" && <span class="quiet" role="status"> {say("talk.olderAway")}</span>}
          </p>
        ) : (
          count > 0 && <p class="beginning quiet">{say("talk.beginning")}</p>
        )}
        {count === 0 && <p class="beginning quiet">{talk.caughtUp || start === 0 ? say("talk.empty") : online ? say("talk.loading") : say("talk.notHere")}</p>}
        <ol ref={list} onFocusIn={({ target }) => void (held.current = target)} onFocusOut={({ target }) => void (target instanceof Node && target.isConnected && (held.current = null))}>
          <li aria-hidden="true" />
          {rows}
          <li aria-hidden="true" style={{ height: `${heights.top(count) - heights.top(to)}px` }} />
        </ol>
      </div>
      {(away || island) && (
        <button class="down" onClick={down}>
          {say("talk.toEnd")}
        </button>
      )}
      <Newest talk={talk} me={me} known={known} />
    </div>
  );
}

/** What is new is told to whoever reads by ear; what only comes into sight is not. */
function Newest({ talk, me, known }: { talk: Conversation; me: number; known: RowGiven["known"] }) {
  const [begin] = useState(talk.upto);
  const last = talk.messages.at(-1);
  const isNew = last && !last.key && talk.caughtUp && last.seq > begin && last.author !== me;
  return (
    <p class="heard" aria-live="polite" dir="auto">
      {isNew && `${known.get(last.author)?.display ?? say("talk.somebody")}: ${last.text}`}
    </p>
  );
}

/** The messages that are shown, and where each is. */
function useArranged(messages: readonly Message[]): readonly [readonly Message[], Heights] {
  const [heights] = useState(() => new Heights());
  const shown = useMemo(() => {
    const left = messages.some((one) => one.deleted) ? messages.filter((one) => !one.deleted) : messages;
    heights.arrange(left.map(nameOf));
    return left;
  }, [messages]);
  return [shown, heights];
}

function dayOf(at: number): number {
  return new Date(at * 1000).setHours(0, 0, 0, 0);
}

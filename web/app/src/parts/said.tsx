/**
 * A long list of messages, of which those around what is in sight are drawn.
 *
 *     room, as tall as all are ─ rows: some more than are seen         the row at the top of the sight stays where it is,
 *                                ▲ measured when they are laid out      whatever comes above it or turns out taller
 *
 * At its end it stays at its end. Near its beginning older messages are asked for. Somebody who is led to one message that is not held here
 * sees the messages around it (`Island`) until they go back to the newest.
 *
 * While one scrolls each frame draws a row or two, and asks for no layout besides the frame's own: heights are read after it, and what rows
 * turned out taller or smaller than was thought is the room's (`slack`), so that nothing moves that is drawn already. At rest the sight moves.
 *
 * Invariant: where rows begin by `Heights` and `slack` is where they begin on the screen.
 */
import { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import type { Client, Conversation, LiveStream, Message } from "../../../sdk/src/api";
import { Cell, network, useLive } from "../live";
import { people } from "../session";
import { language, say } from "../words";
import type { Aim } from "./composer";
import { Heights } from "./heights";
import { useIsland } from "./island";
import { MessageRow, type RowGiven } from "./message";
import { Rows } from "./rows";

const NEAR_PX = 80;
const OLDER_PX = 2_400;
const END_PX = 2_400;
const READ_AFTER_MS = 1_200;
const TOGETHER_S = 300;
/** Rows that are drawn beyond what is seen: so many at rest; while one scrolls one more in each frame, and more where few are left. */
const MORE_ROWS = 8;
const FEW_ROWS = 5;
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

/** Whether older messages are on their way, or where the network is. */
type Asked = "" | "busy" | "away";

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
  const room = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLOListElement>(null);
  const drawn = useRef<Rows>();
  const anchor = useRef<Anchor>(END);
  const slack = useRef(0);
  const heightOf = useRef(0);
  const tall = useRef(0);
  const resting = useRef(0);
  const scrolledAt = useRef(0);
  const [drawing, redraw] = useReducer<number, void>((count) => count + 1, 0);
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

  const turn = useCallback((name: number, on: boolean) => setOpen(on ? name : 0), []);
  const aim = useCallback((to: Aim) => (setOpen(0), onAim(to)), [onAim]);
  const row = (place: number) => {
    const one = shown[place]!;
    const above = shown[place - 1];
    const name = nameOf(one);
    const newDay = !above || dayOf(above.at) !== dayOf(one.at);
    const answered = one.replyTo ? shown[placeOf(shown, one.replyTo)] : undefined;
    return (
      <MessageRow
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
  };
  const draw = (from: number, to: number, again = false) => drawn.current!.draw(from, to, (place) => nameOf(shown[place]!), row, again);

  /** The rows in sight, by the row that stays: the first one, and the one after the last. */
  const inSight = () => {
    const sight = box.current!.clientHeight;
    const { name, above } = anchor.current;
    const top = anchor.current === END ? heights.top(count) - sight : heights.top(Math.max(0, placeOf(shown, name))) + above;
    return [heights.at(Math.max(0, top)), Math.min(count, heights.at(top + sight) + 1)] as const;
  };
  /** Rows are so tall as they are laid out. What is between them and the side that they hang from stays. */
  const measure = (anew: boolean) => {
    const rows = drawn.current!;
    const fixed = rows.side === "top" ? rows.from : rows.to;
    const before = heights.top(fixed);
    rows.measure((place) => anew || !heights.knows(place), (place, px) => heights.measure(place, px));
    slack.current += before - heights.top(fixed);
  };
  /** Puts the rows that are drawn where they begin. While one scrolls the room is as tall as it was, unless its end is near. */
  const put = (atRest: boolean) => {
    const { side, from, to } = drawn.current!;
    const { style } = list.current!;
    if (atRest || tall.current - slack.current - heights.top(to) < END_PX) {
      tall.current = heights.top(count) + slack.current;
      room.current!.style.height = `${tall.current}px`;
    }
    style.top = side === "top" ? `${heights.top(from) + slack.current}px` : "auto";
    style.bottom = side === "top" ? "auto" : `${tall.current - heights.top(to) - slack.current}px`;
  };

  /** Draws a little more, on one side, where fewer rows than are wanted are drawn beyond what is seen; whether there is more to do. */
  const extend = (goesUp: boolean): boolean => {
    const rows = drawn.current!;
    const [seenFrom, seenTo] = inSight();
    const [wantFrom, wantTo] = [Math.max(0, seenFrom - MORE_ROWS), Math.min(count, seenTo + MORE_ROWS)];
    let { from, to } = rows;
    if (seenFrom >= to || seenTo <= from) {
      draw(seenFrom, seenTo);
      settle(false);
      [from, to] = [rows.from, rows.to];
    } else {
      const up = wantFrom < from && (goesUp || wantTo <= to);
      const left = up ? seenFrom - from : to - seenTo;
      const step = 1 + Math.max(0, FEW_ROWS - left);
      // What is far away goes, in the same frame.
      [from, to] = [Math.max(from, wantFrom), Math.min(to, wantTo)];
      if (up) [from, rows.side] = [Math.max(wantFrom, from - step), "bottom"];
      else if (to < wantTo) [to, rows.side] = [Math.min(wantTo, to + step), "top"];
    }
    if (from !== rows.from || to !== rows.to) {
      draw(from, to);
      put(false);
    }
    return from > wantFrom || to < wantTo;
  };

  /** Measures what is drawn, and puts everything where it belongs, without slack: the sight moves with the row that stays. */
  const settle = (anew: boolean) => {
    const [place, rows] = [box.current!, drawn.current!];
    measure(anew);
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      // Rows turned out less tall than was thought: there is room for more of them.
      const [seenFrom, seenTo] = inSight();
      if (seenFrom >= rows.from && seenTo <= rows.to) break;
      draw(Math.min(rows.from, seenFrom), Math.max(rows.to, seenTo));
      measure(false);
    }
    slack.current = 0;
    rows.side = "top";
    put(true);
    const { name, above } = anchor.current;
    const top = anchor.current === END ? Infinity : room.current!.offsetTop + heights.top(placeOf(shown, name)) + above;
    if (top === Infinity ? place.scrollHeight - place.scrollTop - place.clientHeight >= 1 : Math.abs(place.scrollTop - top) >= 1) {
      place.scrollTop = top === Infinity ? place.scrollHeight : top;
    }
  };

  /** A moment after one has scrolled, the rest is drawn and everything put right. */
  const rest = () => {
    if (resting.current) return;
    const then = () => {
      resting.current = 0;
      if (performance.now() - scrolledAt.current < REST_MS) return rest();
      measure(false);
      if (now.current.extend(drawn.current!.side === "bottom")) rest();
      else if (slack.current) now.current.settle(false);
    };
    resting.current = setTimeout(then, REST_MS);
  };
  /** What was drawn last, for what comes by itself. */
  const now = useRef({ extend, settle, measure });
  now.current = { extend, settle, measure };

  useLayoutEffect(() => {
    const rows = (drawn.current ??= new Rows(list.current!, box.current!));
    // Messages may have come or gone: the rows that are drawn are elsewhere now.
    const begin = rows.first === undefined ? -1 : placeOf(shown, rows.first);
    const [seenFrom, seenTo] = inSight();
    const end = begin + rows.to - rows.from;
    const goOn = begin >= 0 && begin < seenTo && end > seenFrom;
    const from = goOn ? Math.min(seenFrom, Math.max(begin, seenFrom - MORE_ROWS)) : seenFrom;
    const to = goOn ? Math.max(seenTo, Math.min(end, seenTo + MORE_ROWS)) : seenTo;
    draw(Math.max(0, from), Math.min(count, to), true);
    settle(false);
    rest();
  }, [shown, known, tongue, wanted, open, drawing]);
  useEffect(() => {
    const watch = new ResizeObserver((entries) => {
      // Rows that are drawn anew are measured; what opens, comes late or is mended makes others taller, too.
      const { measure, settle } = now.current;
      measure(false);
      const { from, to } = drawn.current!;
      const { height } = entries.at(-1)!.contentRect;
      if (entries.some(({ target }) => target === box.current) || Math.abs(height - heights.top(to) + heights.top(from)) >= 1) settle(true);
    });
    watch.observe(box.current!);
    watch.observe(list.current!);
    return () => {
      watch.disconnect();
      clearTimeout(resting.current);
      drawn.current?.clear();
    };
  }, []);
  const [asked] = useState(() => new Cell<Asked>(""));
  const older = async () => {
    if (asked.value === "busy") return;
    asked.set("busy");
    try {
      await (island ? olderThere() : live.older(PAGE));
      asked.set("");
    } catch {
      // No socket: what is kept here is shown, and the rest is where the network is.
      asked.set("away");
    }
  };

  const scrolled = () => {
    const place = box.current;
    // It may have been scrolled just before it went.
    if (!place) return;
    measure(false);
    const { scrollTop, clientHeight, scrollHeight } = place;
    const atEnd = !island && scrollHeight - scrollTop - clientHeight < NEAR_PX;
    const height = scrollTop - room.current!.offsetTop - slack.current;
    const begin = heights.at(Math.max(0, height));
    const one = shown[begin];
    const before = heightOf.current;
    heightOf.current = height;
    anchor.current = atEnd || !one ? END : { name: nameOf(one), above: height - heights.top(begin) };
    if (away === atEnd) setAway(!atEnd);
    scrolledAt.current = performance.now();
    if (count) {
      const more = extend(height < before);
      // There is no room above for what rows turned out taller, or too much.
      const { from } = drawn.current!;
      if (slack.current && (from === 0 || heights.top(from) + slack.current < 0)) settle(false);
      if (more || slack.current) rest();
    }
    if (scrollTop < OLDER_PX && start > 0 && !asked.value && network.value) void older();
    if (island && scrollHeight - scrollTop - clientHeight < OLDER_PX) newer();
  };
  // A page that is not full has nothing to scroll: what is older is asked for here.
  useEffect(
    () =>
      asked.subscribe((state) => {
        if (start > 0 && !state && network.value && heights.top(count) < box.current!.clientHeight) void older();
      }),
    [count, start],
  );

  // Somebody is led to one message, by a search or a notice.
  const led = useRef(0);
  useEffect(() => {
    if (!wanted) led.current = 0;
    if (!wanted || led.current === wanted || (!talk.caughtUp && talk.upto < wanted)) return;
    const place = placeOf(shown, wanted);
    if (shown[place]?.seq === wanted) {
      led.current = wanted;
      anchor.current = { name: wanted, above: -Math.round(box.current!.clientHeight / 3) };
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
  return (
    <div class="said-frame">
      <div ref={box} class="said" role="log" aria-live="off" aria-label={say("talk.messages")} tabIndex={0} onScroll={scrolled}>
        {start > 0 ? <Older asked={asked} onAsk={older} /> : count > 0 && <p class="beginning quiet">{say("talk.beginning")}</p>}
        {count === 0 && <p class="beginning quiet">{talk.caughtUp || start === 0 ? say("talk.empty") : online ? say("talk.loading") : say("talk.notHere")}</p>}
        <div ref={room} class="room">
          <ol ref={list} />
        </div>
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

/** What older messages are asked for with; of its own, so that a page that comes draws no row anew. */
function Older({ asked, onAsk }: { asked: Cell<Asked>; onAsk: () => Promise<void> }) {
  const state = useLive(asked);
  return (
    <p class="beginning">
      <button disabled={state === "busy"} onClick={() => void onAsk()}>
        {say(state === "busy" ? "talk.loading" : "talk.older")}
      </button>
      {state === "away" && <span class="quiet" role="status"> {say("talk.olderAway")}</span>}
    </p>
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

/** The messages that are shown, and where each is. Of thousands, those are looked at that are others than before. */
function useArranged(messages: readonly Message[]): readonly [readonly Message[], Heights] {
  const [heights] = useState(() => new Heights());
  const before = useRef<{ all: readonly Message[]; shown: readonly Message[] }>({ all: [], shown: [] });
  const shown = useMemo(() => {
    const { all, shown: last } = before.current;
    const isWhole = all === last && !between(all, messages).fresh.some((one) => one.deleted);
    const left = isWhole ? messages : messages.filter((one) => !one.deleted);
    const { head, gone, fresh } = between(last, left);
    heights.splice(head, gone, fresh.map(nameOf));
    before.current = { all: messages, shown: left.length === messages.length ? messages : left };
    return before.current.shown;
  }, [messages]);
  return [shown, heights];
}

/** What stands between the messages at the beginning and at the end that were there before: from `head` on, in place of so many that are `gone`. */
export function between(before: readonly Message[], now: readonly Message[]): { head: number; gone: number; fresh: readonly Message[] } {
  const most = Math.min(before.length, now.length);
  let head = 0;
  while (head < most && before[head] === now[head]) head++;
  let tail = 0;
  while (tail < most - head && before[before.length - 1 - tail] === now[now.length - 1 - tail]) tail++;
  return { head, gone: before.length - head - tail, fresh: now.slice(head, now.length - tail) };
}

/** When the day of this moment began. */
function dayOf(at: number): number {
  const ms = at * 1000;
  if (ms < dayFrom || ms >= dayTo) {
    dayFrom = new Date(ms).setHours(0, 0, 0, 0);
    dayTo = new Date(dayFrom).setDate(new Date(dayFrom).getDate() + 1);
  }
  return dayFrom;
}
let [dayFrom, dayTo] = [0, 0];

/**
 * What one person's inbox amounts to, beside the overview: notices, and how far one has read elsewhere.
 *
 * Invariant: what is kept is as of the cursor of the inbox in the store.
 */
import type { NoticeView, Places } from "./api";
import type { Packed } from "./msgpack";
import { ConflictState, NoticeKind, type Spaces } from "./protocol";
import type { Store } from "./store";
import type { Fact, Reader } from "./streams";

const NOTICES_MAX = 200;
const NOTE = "desk";

export class Desk implements Reader {
  notices: readonly NoticeView[];
  private readonly read: Map<number, number>;
  /** The last events of streams, by what came. */
  private readonly heads = new Map<number, number>();

  constructor(
    private readonly store: Store,
    private readonly changed: (what: "notices" | "places") => void,
  ) {
    const [notices, read] = (store.noted(NOTE) ?? [[], []]) as unknown as [NoticeTuple[], [number, number][]];
    this.notices = notices.map(noticeOf);
    this.read = new Map(read);
  }

  take(fact: Fact): void {
    if (fact.type !== "Event") return;
    const { body, seq, at, stream: inbox } = fact;
    const note = (kind: number, actor: number, space: number, stream: number, target: number, subject: number, words: string) => {
      const read = target > 0 && target <= (this.read.get(stream) ?? 0);
      this.tell([...this.notices, { seq, at, kind, actor, space, stream, target, subject, words, read }].slice(-NOTICES_MAX));
    };
    // As persistence/notice_rows.py: what says how things stand is a notice, too.
    if (body.type === "Noticed") note(body.kind, body.actor, body.space, body.stream, body.seq, body.subject, body.words);
    else if (body.type === "Mentioned") note(NoticeKind.MENTION, body.author, 0, body.stream, body.seq, 0, "");
    else if (body.type === "Invited") note(NoticeKind.INVITATION, body.by, body.space, 0, 0, 0, body.name);
    else if (body.type === "ConflictNoted") {
      if (body.state === ConflictState.PENDING) note(NoticeKind.CONFLICT, body.by, 0, body.stream, 0, body.conflict, "");
    } else if (body.type === "NoticesRead") this.readThose(({ seq }) => body.notices.includes(seq));
    else if (body.type === "ReadUpTo") {
      this.read.set(body.stream, Math.max(body.seq, this.read.get(body.stream) ?? 0));
      this.readThose(({ seq, stream, target }) => (body.stream === inbox ? seq <= body.seq : stream === body.stream && target > 0 && target <= body.seq));
      this.keep();
      this.changed("places");
    }
  }

  caughtUp(): void {}

  refused(): void {}

  restarted(): void {
    this.read.clear();
    this.tell([]);
  }

  /** An event came in a stream. */
  heard(stream: number, seq: number): void {
    if (seq <= (this.heads.get(stream) ?? 0)) return;
    this.heads.set(stream, seq);
    this.changed("places");
  }

  /** The overview, with what came since. `unread`: how many messages of a stream are new to somebody who has read so far. */
  places(spaces: Spaces | undefined, unread: (stream: number, read: number) => number | undefined): Places {
    return {
      spaces: (spaces?.spaces ?? []).map(({ space, kind, name, role, streams }) => ({
        space,
        kind,
        name,
        role,
        streams: streams.map(({ stream, kind, name, may_write: mayWrite, ...one }) => {
          const head = Math.max(one.head, this.heads.get(stream) ?? 0);
          const read = Math.max(one.read_upto, this.read.get(stream) ?? 0);
          return { stream, kind, name, head, read, unread: unread(stream, read) ?? Math.max(0, head - read), mayWrite };
        }),
      })),
      invitations: (spaces?.invitations ?? []).map(({ by_name: byName, ...one }) => ({ ...one, byName })),
      blocked: new Set(spaces?.blocked ?? []),
    };
  }

  private readThose(are: (notice: NoticeView) => boolean): void {
    if (this.notices.some((one) => !one.read && are(one))) this.tell(this.notices.map((one) => (are(one) ? { ...one, read: true } : one)));
  }

  private tell(notices: readonly NoticeView[]): void {
    this.notices = notices;
    this.keep();
    this.changed("notices");
  }

  private keep(): void {
    this.store.note(NOTE, () => [
      this.notices.map((one) => [one.seq, one.at, one.kind, one.actor, one.space, one.stream, one.target, one.subject, one.words, one.read] as Packed[]),
      [...this.read].map((pair) => [...pair]),
    ]);
  }
}

type NoticeTuple = [number, number, number, number, number, number, number, number, string, boolean];

function noticeOf([seq, at, kind, actor, space, stream, target, subject, words, read]: NoticeTuple): NoticeView {
  return { seq, at, kind, actor, space, stream, target, subject, words, read };
}

/**
 * What one person's inbox amounts to, beside the overview: notices, and how far one has read elsewhere, which places.ts shows.
 *
 * Invariant: what is kept is as of the cursor of the inbox in the store.
 */
import type { NoticeView } from "./api";
import type { Packed } from "./msgpack";
import { DESK, type Places } from "./places";
import { ConflictState, NoticeKind } from "./protocol";
import type { Store } from "./store";
import type { Fact, Reader } from "./streams";

const NOTICES_MAX = 200;

export class Desk implements Reader {
  notices: readonly NoticeView[];

  constructor(
    private readonly store: Store,
    private readonly places: Places,
    private readonly changed: (what: "notices" | "places") => void,
  ) {
    const [notices] = (store.noted(DESK) ?? [[]]) as unknown as [NoticeTuple[]];
    this.notices = notices.map(noticeOf);
  }

  take(fact: Fact): void {
    if (fact.type !== "Event") return;
    const { body, seq, at, stream: inbox } = fact;
    const note = (kind: number, actor: number, space: number, stream: number, target: number, subject: number, words: string) => {
      const read = target > 0 && target <= (this.places.read.get(stream) ?? 0);
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
      this.places.read.set(body.stream, Math.max(body.seq, this.places.read.get(body.stream) ?? 0));
      this.readThose(({ seq, stream, target }) => (body.stream === inbox ? seq <= body.seq : stream === body.stream && target > 0 && target <= body.seq));
      this.keep();
      this.changed("places");
    }
  }

  caughtUp(): void {}

  refused(): void {}

  restarted(): void {
    this.places.read.clear();
    this.tell([]);
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
    this.store.note(DESK, () => [
      this.notices.map((one) => [one.seq, one.at, one.kind, one.actor, one.space, one.stream, one.target, one.subject, one.words, one.read] as Packed[]),
      [...this.places.read].map((pair) => [...pair]),
    ]);
  }
}

type NoticeTuple = [number, number, number, number, number, number, number, number, string, boolean];

function noticeOf([seq, at, kind, actor, space, stream, target, subject, words, read]: NoticeTuple): NoticeView {
  return { seq, at, kind, actor, space, stream, target, subject, words, read };
}

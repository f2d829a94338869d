/**
 * Which notices were marked as read here, until the server has said so to all devices.
 *
 *     mark ─▶ kept here, shown as read at once ─▶ POST /notices/read ─▶ the inbox says so ─▶ forgotten here
 *
 * Invariant: a mark is one person's; whoever logs in next sees none of it.
 */
import type { Client, NoticeView } from "../../sdk/src/api";
import { keep, recall } from "./kept";
import { Cell } from "./live";

/** `forget()` clears what begins so. */
const NAME = "draft/notices";
const AT_ONCE_MAX = 100;

interface Marks {
  readonly user: number;
  readonly seqs: readonly number[];
}

export const marks = new Cell<Marks>(JSON.parse(recall(NAME) || '{"user":0,"seqs":[]}') as Marks);

function write(user: number, seqs: readonly number[]): void {
  marks.set({ user, seqs });
  keep(NAME, seqs.length ? JSON.stringify(marks.value) : "");
}

function mine(client: Client): readonly number[] {
  return client.me.value?.user === marks.value.user ? marks.value.seqs : [];
}

/** Whether a notice is unread, as far as is known here. */
export function isUnread({ seq, read }: NoticeView, client: Client): boolean {
  return !read && !mine(client).includes(seq);
}

/** Marks notices as read: here at once, elsewhere as soon as the server hears of it. */
export function mark(client: Client, seqs: readonly number[]): Promise<void> {
  write(client.me.value?.user ?? 0, [...new Set([...mine(client), ...seqs])]);
  return sendMarks(client);
}

let sending = false;

/** Tells the server what was marked. Where it cannot be told now, the marks stay for the next time. */
export async function sendMarks(client: Client): Promise<void> {
  if (sending) return;
  sending = true;
  try {
    for (let next = mine(client).slice(0, AT_ONCE_MAX); next.length; next = mine(client).slice(0, AT_ONCE_MAX)) {
      await client.markNotices(next);
      const user = client.me.value?.user ?? 0;
      write(user, mine(client).filter((seq) => !next.includes(seq)));
    }
  } catch {
    // Offline, or too many at once: the page says that they wait, and tries again.
    return;
  } finally {
    sending = false;
  }
}

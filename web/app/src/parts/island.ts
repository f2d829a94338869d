/** Messages around one that is older than what is held here: asked for by themselves, until one goes back to the newest. */
import { useCallback, useMemo, useRef, useState } from "preact/hooks";
import type { Client, Conversation, LiveStream, Message } from "../../../sdk/src/api";

const AROUND = 30;

/** As the server's log stood when it was asked, with what happened to its messages since. `more`: there are newer ones before those that are held. */
export interface Island {
  readonly messages: readonly Message[];
  readonly start: number;
  readonly upto: number;
  readonly more: boolean;
}

export interface Islands {
  readonly island: Island | undefined;
  /** Goes to a message; where that cannot be had now, stays. */
  lead(seq: number): Promise<void>;
  leave(): void;
  /** Rejected where there is no socket. */
  older(): Promise<void>;
  newer(): void;
}

export function useIsland(client: Client, { value: { stream } }: LiveStream, talk: Conversation): Islands {
  const [found, setFound] = useState<Island>();
  const busy = useRef(false);

  /** One question at a time; the next one is asked when somebody goes on. */
  const once = useCallback(async (act: () => Promise<Island | undefined>) => {
    if (busy.current) return;
    busy.current = true;
    try {
      setFound(await act());
    } finally {
      busy.current = false;
    }
  }, []);
  const lead = (seq: number) =>
    once(async () => {
      const before = await client.history(stream, { before: seq + 1, limit: AROUND });
      const after = await client.history(stream, { after: seq, limit: AROUND });
      return { messages: [...before.messages, ...after.messages], start: before.start, upto: Math.max(after.upto, seq), more: !after.caughtUp };
    }).catch(() => undefined);
  const older = () =>
    once(async () => {
      if (!found) return undefined;
      const page = await client.history(stream, { before: found.start + 1, limit: AROUND });
      return { ...found, messages: [...page.messages, ...found.messages], start: page.start };
    });
  const newer = () =>
    void once(async () => {
      if (!found?.more || found.upto >= talk.start) return found;
      const page = await client.history(stream, { after: found.upto, limit: AROUND });
      const upto = Math.max(page.upto, found.upto);
      const messages = page.messages.filter((one) => one.seq > found.upto);
      return { ...found, messages: [...found.messages, ...messages], upto, more: !page.caughtUp };
    }).catch(() => undefined);

  // What happened since to its messages is laid over them; where it reaches what is held, it goes on there.
  const island = useMemo(() => {
    if (!found) return undefined;
    const messages = found.messages.map((one) => talk.mended.get(one.seq) ?? one);
    const held = found.upto < talk.start ? [] : talk.messages.filter((one) => one.key !== 0 || one.seq > found.upto);
    return { ...found, messages: [...messages, ...held] };
  }, [found, talk.messages, talk.mended]);
  return { island, lead, leave: () => setFound(undefined), older, newer };
}

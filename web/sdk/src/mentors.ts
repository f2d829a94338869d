/** Asking for mentors, as a part of a session. */
import type { Inside, Part } from "./parts";
import type { Command, MentorsFound } from "./protocol";

// In one script with the session, not beside it: build.mjs says why.
export { Core } from "./core";

type Wish = Extract<Command, { type: "FindMentors" }>;

export function part(inside: Inside): Part {
  /** By ticket: who waits for what was promised on this socket. */
  const promised = new Map<number, (found: MentorsFound | undefined) => void>();
  return {
    methods: {
      /** What may be promised first: where the socket is cut before the promise was kept, it is asked anew. */
      async find(command: Wish): Promise<MentorsFound> {
        const { questions } = inside.exchange;
        for (;;) {
          const answer = await questions.ask((id) => ({ ...command, id }), "MentorsFound", "MentorsLater");
          const found = answer.type === "MentorsFound" ? answer : await new Promise<MentorsFound | undefined>((keep) => promised.set(answer.ticket, keep));
          if (found) return found;
        }
      },
    },
    heard(frame) {
      if (frame.type !== "MentorsFound") return;
      promised.get(frame.ticket)?.(frame);
      promised.delete(frame.ticket);
    },
    online(is) {
      if (is) return;
      for (const keep of promised.values()) keep(undefined);
      promised.clear();
    },
  };
}

/** Asking for mentors, as a part of a session. */
import type { Inside, Part } from "./parts";
import type { Command, MentorsFound } from "./protocol";
import { learnRest } from "./rest_of_wire";

// In one script with the session, not beside it: build.mjs says why.
export { Core } from "./core";

type Wish = Extract<Command, { type: "FindMentors" }>;

export function part(inside: Inside): Part {
  learnRest();
  return {
    methods: {
      /** What may be promised first: where the socket is cut before the promise was kept, it is asked anew. */
      async find(command: Wish): Promise<MentorsFound> {
        const { questions } = inside.exchange;
        for (;;) {
          const answer = await questions.ask((id) => ({ ...command, id }), "MentorsFound", "MentorsLater");
          const found = answer.type === "MentorsFound" ? answer : await questions.promise(answer.ticket);
          if (found) return found;
        }
      },
    },
  };
}

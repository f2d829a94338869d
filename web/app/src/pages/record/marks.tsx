/** A text with what was taken out and what was put in: to be seen in either look, and to be heard. */
import { useMemo } from "preact/hooks";
import { book } from "./book";
import { marksOf } from "./runs";

export function Marks({ before, after }: { before: string; after: string }) {
  const marks = useMemo(() => marksOf(before, after), [before, after]);
  return (
    <>
      {marks.map(({ kind, text }, at) =>
        kind === "same" ? (
          text
        ) : kind === "out" ? (
          <del key={at}>
            <span class="heard">{book.say("mark.out")}</span>
            {text}
            <span class="heard">{book.say("mark.end")}</span>
          </del>
        ) : (
          <ins key={at}>
            <span class="heard">{book.say("mark.in")}</span>
            {text}
            <span class="heard">{book.say("mark.end")}</span>
          </ins>
        ),
      )}
    </>
  );
}

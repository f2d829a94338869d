/** What of a lesson to read once more for a question: the section that says most of what was asked. */
import { normalise, type Question, type Section } from "../../../../sdk/src/learning";

/** Words that two texts must share before one is thought to be about the other. */
const SHARED_MIN = 2;
const LONG_MIN = 4;

/** Words that tell something: long ones, and numbers; in languages without spaces whatever stands between signs. */
function tellingWords(text: string): ReadonlySet<string> {
  const words = normalise(text).split(/[^\p{L}\p{N}/]+/u);
  return new Set(words.filter((word) => [...word].length >= LONG_MIN || /\p{N}/u.test(word)));
}

/** The section to read again, or nothing where none stands out. */
export function sectionFor(question: Question, sections: readonly Section[]): Section | undefined {
  const asked = tellingWords([question.prompt, ...question.options, question.explanation].join(" "));
  const shared = sections.map((section) => [...tellingWords(`${section.title} ${section.text}`)].filter((word) => asked.has(word)).length);
  const most = Math.max(0, ...shared);
  return most >= SHARED_MIN ? sections[shared.indexOf(most)] : undefined;
}

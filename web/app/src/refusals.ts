/**
 * What the server refuses in sentences of its own, by how those begin, in the person's language. A code is the same for many things ("taken",
 * "as many as there may be"); the sentence says which. One that is not known here is said as its code (trouble.ts).
 *
 * Invariant, held by a test: each of these is a sentence that the server has.
 */
import english from "../messages/refusals/en.json";
import { learnRefusals } from "./trouble";
import { openBook } from "./words";

const book = openBook(english, {
  es: () => import("../messages/refusals/es.json"),
  fr: () => import("../messages/refusals/fr.json"),
  ar: () => import("../messages/refusals/ar.json"),
  sw: () => import("../messages/refusals/sw.json"),
});

/** `{n}` is a number; the first that fits says it. */
const BEGINS: readonly (readonly [string, keyof typeof english])[] = [
  ["already a member", "member"],
  ["somebody has invited them in a higher role", "invitedHigher"],
  ["a community keeps at least one owner", "lastOwner"],
  ["nobody removes an owner but an owner", "owners"],
  ["only owners make", "owners"],
  ["a channel of this name exists", "channelName"],
  ["this role does not write here", "readOnly"],
  ["only its author edits a message", "author"],
  ["only its author deletes a message", "author"],
  ["a message is edited at most", "edits"],
  ["it is decided already", "decided"],
  ["nobody asks for another look at it", "decided"],
  ["nothing is decided against it", "nothingDecided"],
  ["another person than who decided first", "otherPerson"],
  ["one appeals once", "appealed"],
  ["one appeals within", "appealLate"],
  ["target: one's own message", "ownMessage"],
  ["user: nobody ", "oneself"],
  ["at most {n} new reports", "reports"],
  ["you have asked them already", "asked"],
  ["they have answered you, or let it pass", "askedLately"],
  ["you took it back within the last day", "tookBack"],
  ["this mentor takes no more learners", "mentorFull"],
  ["you said that you take", "capacity"],
  ["one asks at most", "askedMany"],
  ["one vouches for at most {n} people in seven days", "vouchedWeek"],
  ["one vouches for at most {n} people at a time", "vouchedMany"],
  ["they may not mentor yet", "mentorTrust"],
  ["you have said so already", "saidSo"],
  ["a document that is put away", "documentAway"],
  ["this version is still being prepared", "versionBusy"],
  ["it takes too long to look for these words", "search"],
  ["the files in this place may have", "files"],
  ["another account holds this address", "address"],
];
const PATTERNS = BEGINS.map(([begins, key]) => [new RegExp(`^${begins.replace("{n}", "\\d+")}`), key] as const);

learnRefusals((sentence) => {
  const found = PATTERNS.find(([pattern]) => pattern.test(sentence));
  return found ? book.say(found[1]) : "";
});

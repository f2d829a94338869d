/** What leads to the lazy pages: beside the communities, and in each of them. */
import type { IconName } from "./parts/icon";
import type { PageName } from "./pages";
import type { Key } from "./words";

/** `where`: "me" is one's own, "space" is in each community, "staff" in those that one leads. */
export interface Door {
  readonly page: PageName;
  readonly icon: IconName;
  readonly words: Key;
  readonly where: "me" | "space" | "staff";
}

export const DOORS: readonly Door[] = [
  { page: "search", icon: "search", words: "search.title", where: "me" },
  { page: "lessons", icon: "book", words: "lessons.title", where: "space" },
  { page: "documents", icon: "page", words: "documents.title", where: "space" },
  { page: "mentors", icon: "mentor", words: "mentors.title", where: "me" },
  { page: "review", icon: "flag", words: "review.title", where: "staff" },
];

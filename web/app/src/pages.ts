/** Pages that come when they are first opened, by their name in the address: `#/lessons/3`. */
import type { ComponentType } from "preact";
import type { Client } from "../../sdk/src/api";

/** What a page is given. `id`: what it is of, as its address says (0: nothing); `rest`: what follows that. */
export interface PageGiven {
  readonly client: Client;
  readonly id: number;
  readonly rest: readonly string[];
}

export type Page = ComponentType<PageGiven>;

export const PAGES = {
  space: () => import("./pages/space").then(({ SpacePage }) => ({ default: SpacePage })),
  settings: () => import("./pages/settings").then(({ Settings }) => ({ default: Settings })),
  new: () => import("./pages/new").then(({ NewCommunity }) => ({ default: NewCommunity })),
  lessons: () => import("./pages/lessons/page"),
  lesson: () => import("./pages/lesson/page"),
  checkpoint: () => import("./pages/checkpoint/page"),
  progress: () => import("./pages/progress/page"),
  search: () => import("./pages/search/page"),
  mentors: () => import("./pages/mentors/page"),
  review: () => import("./pages/review/page"),
  conflicts: () => import("./pages/conflicts/page"),
  record: () => import("./pages/record/page"),
  notices: () => import("./pages/notices/page"),
  account: () => import("./pages/account/page"),
  link: () => import("./pages/link/page"),
  document: () => import("./pages/document/page"),
  documents: () => import("./pages/documents/page"),
} as const satisfies Readonly<Record<string, () => Promise<{ default: Page }>>>;
export type PageName = keyof typeof PAGES;
/** They have no style of their own. */
export const PLAIN: readonly PageName[] = ["space", "settings", "new"];

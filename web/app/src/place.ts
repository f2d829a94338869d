/** Where one is in the app: `#/c/7` is stream 7, `#/s/3` space 3, `#/lessons/3` the lessons of space 3. Kept in the address, so that a link, a
 *  reload and "back" lead there. */
import { Cell } from "./live";
import { PAGES, type PageName } from "./pages";

export interface Place {
  readonly page: "home" | "channel" | PageName;
  /** What the page is of; 0: nothing. */
  readonly id: number;
  /** What follows it in the address. */
  readonly rest: readonly string[];
}

const OWN = { c: "channel", s: "space" } as const;

function read(): Place {
  const [, page = "", id = "0", ...rest] = location.hash.replace(/^#/, "").split("/");
  const known = Object.hasOwn(OWN, page) ? OWN[page as keyof typeof OWN] : Object.hasOwn(PAGES, page) ? (page as PageName) : undefined;
  const number = Number(id);
  return known && Number.isSafeInteger(number) ? { page: known, id: number, rest } : { page: "home", id: 0, rest: [] };
}

export const place = new Cell<Place>(read());
addEventListener("hashchange", () => place.set(read()));

export const HOME = "#/";
export const toChannel = (stream: number) => `#/c/${stream}`;
export const toSpace = (space: number) => `#/s/${space}`;
export const toPage = (page: PageName, id = 0, ...rest: readonly (string | number)[]) => ["#", page, id, ...rest].join("/");

export function go(where: string): void {
  location.hash = where;
}

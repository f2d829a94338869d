/** Where one is in the app: `#/c/7` is stream 7, `#/s/3` space 3. Kept in the address, so that a link, a reload and "back" lead there. */
import { Cell } from "./live";

export interface Place {
  readonly page: "home" | "channel" | "space" | "new" | "settings";
  readonly id: number;
}

const PAGES = { c: "channel", s: "space", new: "new", settings: "settings" } as const;

function read(): Place {
  const [, page = "", id = "0"] = location.hash.replace(/^#/, "").split("/");
  const known = PAGES[page as keyof typeof PAGES];
  const number = Number(id);
  return known && Number.isSafeInteger(number) ? { page: known, id: number } : { page: "home", id: 0 };
}

export const place = new Cell<Place>(read());
addEventListener("hashchange", () => place.set(read()));

export const HOME = "#/";
export const toChannel = (stream: number) => `#/c/${stream}`;
export const toSpace = (space: number) => `#/s/${space}`;

export function go(where: string): void {
  location.hash = where;
}

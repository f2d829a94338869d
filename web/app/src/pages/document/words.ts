/** What the pages of documents say. */
import english from "../../../messages/documents/en.json";
import { openBook } from "../../words";

export const book = openBook(english, {
  es: () => import("../../../messages/documents/es.json"),
  fr: () => import("../../../messages/documents/fr.json"),
  ar: () => import("../../../messages/documents/ar.json"),
  sw: () => import("../../../messages/documents/sw.json"),
});
export type DocumentKey = keyof typeof english;

/** The words of conflicts and of records with their earlier values. */
import english from "../../../messages/conflicts/en.json";
import { openBook } from "../../words";

export type Word = keyof typeof english;

export const book = openBook(english, {
  es: () => import("../../../messages/conflicts/es.json"),
  fr: () => import("../../../messages/conflicts/fr.json"),
  ar: () => import("../../../messages/conflicts/ar.json"),
  sw: () => import("../../../messages/conflicts/sw.json"),
});
export { english };

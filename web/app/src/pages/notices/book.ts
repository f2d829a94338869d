/** The words of these pages. */
import english from "../../../messages/notices/en.json";
import { openBook } from "../../words";

export { english };
export const book = openBook(english, {
  es: () => import("../../../messages/notices/es.json"),
  fr: () => import("../../../messages/notices/fr.json"),
  ar: () => import("../../../messages/notices/ar.json"),
  sw: () => import("../../../messages/notices/sw.json"),
});

/** What the build makes: the words of the door, of a chat and of the rest (words.mjs), and the names of styles. */
declare module "words:*" {
  const words: Readonly<Record<string, string>>;
  export default words;
}

declare const INSIDE_STYLE: string;
declare const MORE_STYLE: string;

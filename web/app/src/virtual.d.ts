/** What the build makes: the door's words and those of what is behind it (words.mjs), and the names of styles. */
declare module "words:*" {
  const words: Readonly<Record<string, string>>;
  export default words;
}

declare const INSIDE_STYLE: string;
declare const MORE_STYLE: string;

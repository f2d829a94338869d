// The words of the app in every language: whoever leaves one out cannot build.
//
// A key that ends in `.other` is a number's; a language has it in each of its own plural forms (Intl.PluralRules), and in no others.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const LANGUAGES = ["ar", "en", "es", "fr", "sw"];
const FORM = /\.(zero|one|two|few|many|other)$/;
const HOLE = /\{\w+\}/g;

function keysFor(english, language) {
  const forms = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
  const keys = new Map();
  for (const [key, text] of Object.entries(english)) {
    const [stem, form] = [key.slice(0, key.lastIndexOf(".")), key.slice(key.lastIndexOf(".") + 1)];
    if (form === "other") for (const one of forms) keys.set(`${stem}.${one}`, text);
    else if (form !== "one") keys.set(key, text);
  }
  return keys;
}

/** Throws where a language lacks a key, has one too many, or fills other holes than English does. */
export function checkWords(folder) {
  for (const one of readdirSync(folder, { withFileTypes: true })) if (one.isDirectory() && readdirSync(join(folder, one.name)).length) checkWords(join(folder, one.name));
  const english = JSON.parse(readFileSync(join(folder, "en.json"), "utf8"));
  const wrong = [];
  for (const name of LANGUAGES.map((one) => `${one}.json`)) {
    const language = name.replace(".json", "");
    const words = JSON.parse(readFileSync(join(folder, name), "utf8"));
    const wanted = keysFor(english, language);
    for (const [key, text] of wanted) {
      if (!words[key]) wrong.push(`${name} lacks ${key}`);
      // A form for exactly one or two says it in words, where the language does.
      else if (![".zero", ".one", ".two"].some((form) => key.endsWith(form)) && holes(words[key]) !== holes(text)) wrong.push(`${name}: ${key} fills ${holes(words[key]) || "nothing"}, not ${holes(text) || "nothing"}`);
    }
    for (const key of Object.keys(words)) if (!wanted.has(key)) wrong.push(`${name} has ${key}, which nobody uses`);
  }
  if (wrong.length) throw new Error(`words:\n${wrong.join("\n")}`);
}

function holes(text) {
  return [...new Set(text.match(HOLE) ?? [])].sort().join(" ");
}

/** Words that are needed before anything behind the door is here. */
const AT_DOOR = /^(app|door|error)\.|^(talk\.loading|sync\.explainOld)$/;
/** What a file imports to run, not for its types. */
const IMPORTS = /^(?:import|export) (?!type )(?:[^"';]* from )?"(\.[^"]+)"/gm;

/** The sources that run with this one. */
function running(path, found = new Set()) {
  const file = [`${path}.tsx`, `${path}.ts`].find((one) => existsSync(one));
  if (!file || found.has(file)) return found;
  found.add(file);
  for (const [, next] of readFileSync(file, "utf8").matchAll(IMPORTS)) running(resolve(dirname(file), next), found);
  return found;
}

/** Which part of the app's words is first to say `key`. `chat`: the sources of it, in one text. */
function partOf(key, chat) {
  if (AT_DOOR.test(key)) return "door";
  return chat.includes(`"${key}"`) || chat.includes(`"${key.replace(FORM, "")}"`) ? "chat" : "beside";
}

/**
 * For esbuild: `words:door/es`, `words:chat/es` and `words:beside/es` are the parts of messages/es.json: what the door says; what else is said by
 * what runs with src/behind.ts; and the rest. A file of words is one value, not an export for each.
 */
export const words = (folder, src) => ({
  name: "words",
  setup(build) {
    const chat = [...running(join(src, "behind"))].map((path) => readFileSync(path, "utf8")).join("\n");
    const valueOf = (text) => ({ contents: `export default ${text}`, loader: "js" });
    build.onResolve({ filter: /^words:/ }, ({ path }) => ({ path: path.slice("words:".length), namespace: "words" }));
    build.onLoad({ filter: /.*/, namespace: "words" }, ({ path }) => {
      const [part, language] = path.split("/");
      const all = Object.entries(JSON.parse(readFileSync(join(folder, `${language}.json`), "utf8")));
      return valueOf(JSON.stringify(Object.fromEntries(all.filter(([key]) => partOf(key, chat) === part))));
    });
    build.onLoad({ filter: /\.json$/ }, ({ path }) => (path.startsWith(folder) ? valueOf(readFileSync(path, "utf8")) : undefined));
  },
});

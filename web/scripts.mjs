// What the builds of SDK and app do to their sources beyond esbuild.
//
//     numbersForNames   `Code.FAULT` becomes `4011`
//     inOneScript       fewer and larger scripts than esbuild would make
//     withoutSmall      and none that hold next to nothing
//
// esbuild gives a script of its own to whatever several starting points share: of five lazy pages that share ten files in different combinations
// come ten small scripts, each a request, each packed alone. Here each lazy file is made to share the same: what it can only be opened from.
//
//     a page ─▶ beside.ts (places, home) ─▶ behind.ts (the SDK, its core, frame, chat) ─▶ main.tsx (the door)
//                       a part of the SDK ─▶
//
// One line at a file's end is enough; nothing is loaded that is not there already.
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

const IMPORTED = /\bimport\("(\.[^"]+)"\)/g;
const NAMED_NUMBERS = /^export const (\w+) = \{ ([^}]+) \} as const;$/gm;
/** What a file imports from the generated protocol. */
const FROM_PROTOCOL = /import \{([^}]*)\} from "[^"]*\/protocol"/g;

/** For esbuild: each step makes a source of a path and its source. */
export const rewriting = (...steps) => ({
  name: "rewriting",
  setup(build) {
    build.onLoad({ filter: /\.tsx?$/ }, ({ path }) => {
      if (path.includes("node_modules")) return undefined;
      const contents = steps.reduce((source, step) => step(path, source), readFileSync(path, "utf8"));
      return { contents, loader: path.endsWith("x") ? "tsx" : "ts" };
    });
  },
});

/** The generated lists of numbers by name are not loaded to look one up. */
export function numbersForNames(sdk) {
  const lists = new Map();
  for (const [, name, members] of readFileSync(join(sdk, "src/protocol.ts"), "utf8").matchAll(NAMED_NUMBERS)) {
    lists.set(name, new Map([...members.matchAll(/(\w+): (\d+)/g)].map(([, member, number]) => [member, number])));
  }
  const named = new RegExp(`(?<![\\w.])(${[...lists.keys()].join("|")})\\.([A-Z_0-9]+)(?![\\w(])`, "g");
  return (_, source) => {
    // A file may have something of its own by such a name.
    const imported = new Set([...source.matchAll(FROM_PROTOCOL)].flatMap(([, names]) => names.split(",").map((one) => one.trim())));
    return source.replace(named, (whole, list, member) => (imported.has(list) ? (lists.get(list).get(member) ?? whole) : whole));
  };
}

function sources(folder) {
  const found = readdirSync(folder, { withFileTypes: true });
  return found.flatMap((one) => (one.isDirectory() ? sources(join(folder, one.name)) : /\.tsx?$/.test(one.name) ? [join(folder, one.name)] : []));
}

/** Of the app in this folder and the SDK in that one. */
export function inOneScript(folder, sdk) {
  const [behind, beside, core] = [join(folder, "src/behind"), join(folder, "src/beside"), join(sdk, "src/core")];
  const above = new Map();
  for (const [sides, start] of [[join(folder, "src"), beside], [join(sdk, "src"), behind]]) {
    for (const from of sources(sides)) {
      for (const [, path] of readFileSync(from, "utf8").matchAll(IMPORTED)) above.set(resolve(dirname(from), path), start);
    }
  }
  above.set(beside, behind).delete(behind);
  above.delete(core);
  return (path, source) => {
    const name = path.replace(/\.tsx?$/, "");
    if (above.has(name)) return `${source}\nimport ${JSON.stringify(above.get(name))};\n`;
    return name === join(sdk, "src/index") ? atOnce(source) : source;
  };
}

/** Other programs load the session only where it runs; here it is in one script with who asks for it. */
function atOnce(source) {
  const changed = source.replace('import type { Core } from "./core";', 'import { Core, Ways } from "./core";').replace('const { Core, Ways } = await import("./core");', "");
  if (changed.includes('import("./core")')) throw new Error("index.ts of the SDK asks for its core in another way: tell atOnce in web/scripts.mjs");
  return changed;
}

/** Of esbuild's own: a function that one script or another needs, alone in a third one that all of them wait for. */
const HELPER = /^(var \w+=Object\.defineProperty;[^]*)export\{(\w+) as (\w+)\};\n?$/;
/** A script that is nothing but names of what others have. */
const ONLY_NAMES = /^((?:import(?:\{[^}]*\}from)?"\.\/[^"]+";)+)(?:export\{([^}]*)\};)?\n?$/;
const EXPORTS = /export\{([^}]*)\};\n?$/;
/** `a as Home,Inside` by the names outside: [["Home", "a"], ["Inside", "Inside"]]. */
const namesOf = (list = "") => list.split(",").filter(Boolean).map((one) => one.trim().split(" as ")).map(([inner, outer = inner]) => [outer, inner]);

/**
 * Without scripts that hold next to nothing, each a request of its own. What all starts share is in one script already; a start itself is left
 * with `import{b as a}from"./chunk-7Q.js";export{a as Inside}`. The other one gets its name and its exports. `files`: texts by name, changed here.
 * Returns which script is there instead of which. A name has the hash that esbuild gave a script and all that it imports, so what is changed here
 * needs no other one.
 */
export function withoutSmall(files) {
  for (const [helper, text] of files) {
    const [, body, inside, outside] = HELPER.exec(text) ?? [];
    if (!body) continue;
    files.delete(helper);
    const named = new RegExp(`import(?:\\{${outside} as (\\w+)\\}from)?"\\./${helper}";`);
    for (const [name, other] of files) files.set(name, other.replace(named, (_, as) => (as ? `var ${as}=(()=>{${body}return ${inside}})();` : "")));
  }
  /** What runs before a script of this text does. */
  const before = (text, found = new Set()) => {
    for (const [, name] of text.matchAll(/(?:import|from)"\.\/([^"]+)"/g)) if (files.has(name) && !found.has(name)) before(files.get(name), found.add(name));
    return found;
  };
  const instead = new Map();
  for (const [name, text] of files) {
    const [, imports, exports] = ONLY_NAMES.exec(text) ?? [];
    if (!imports) continue;
    const named = [...before(text)];
    const whole = named.find((one) => named.every((other) => other === one || before(files.get(one)).has(other)));
    const [, given] = imports.match(new RegExp(`\\{([^}]*)\\}from"\\./${whole}"`)) ?? [];
    // What it names from there, by its own names; and by those inside of the other script.
    const here = new Map(namesOf(given).map(([own, there]) => [own, there]));
    const there = new Map(namesOf(EXPORTS.exec(files.get(whole) ?? "")?.[1]));
    const added = namesOf(exports).map(([outer, own]) => [outer, there.get(here.get(own))]);
    if (!whole || [...instead.values()].includes(whole) || added.some(([outer, inner]) => !inner || there.has(outer))) continue;
    const all = [...there, ...added].map(([outer, inner]) => `${inner} as ${outer}`);
    if (added.length) files.set(whole, files.get(whole).replace(EXPORTS, `export{${all.join(",")}};\n`));
    instead.set(name, whole);
  }
  // The one that stays is called as the one that it stands for was.
  const called = new Map([...instead].map(([from, to]) => [to, from.replace(/[^-]+$/, "") + to.replace(/^.*-/, "")]));
  for (const [from, to] of instead) {
    files.delete(from);
    instead.set(from, called.get(to));
  }
  const texts = [...files];
  files.clear();
  for (const [name, text] of texts) {
    files.set(called.get(name) ?? name, [...instead, ...called].reduce((now, [from, to]) => now.replaceAll(`"./${from}"`, `"./${to}"`), text));
  }
  for (const [from, to] of called) instead.set(from, to);
  return instead;
}

// What the builds of SDK and app do to their sources beyond esbuild.
//
//     numbersForNames   `Code.FAULT` becomes `4011`
//     inOneScript       fewer and larger scripts than esbuild would make
//
// esbuild gives a script of its own to whatever several starting points share: of five lazy pages that share ten files in different combinations
// come ten small scripts, each a request, each packed alone. Here each lazy file is made to share the same: what it can only be opened from.
//
//     a page ─▶ inside.tsx (frame, chat) ─▶ app.tsx (the door)         a part of the SDK ─▶ core.ts
//
// A start's exports are kept whole, so one line at its end is enough; nothing is loaded that is not there already.
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

/** Of the app in this folder. */
export function inOneScript(folder) {
  const src = join(folder, "src");
  const inside = `export { Inside as opener } from ${JSON.stringify(join(src, "inside"))};`;
  const door = `export { App as opener } from ${JSON.stringify(join(src, "app"))};`;
  const lazy = new Map();
  for (const from of sources(src)) {
    for (const [, path] of readFileSync(from, "utf8").matchAll(IMPORTED)) lazy.set(resolve(dirname(from), path), inside);
  }
  // These are opened from the door, too.
  for (const name of ["inside", "pages/link/page", "pages/account/passkey", "pages/notices/push"]) lazy.set(join(src, name), door);
  return (path, source) => {
    const line = lazy.get(path.replace(/\.tsx?$/, ""));
    return line ? `${source}\n${line}\n` : source;
  };
}

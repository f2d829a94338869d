// Fewer and larger scripts than esbuild would make.
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

function sources(folder) {
  const found = readdirSync(folder, { withFileTypes: true });
  return found.flatMap((one) => (one.isDirectory() ? sources(join(folder, one.name)) : /\.tsx?$/.test(one.name) ? [join(folder, one.name)] : []));
}

/** For esbuild, of the app in this folder. */
export const inOneScript = (folder) => ({
  name: "in one script",
  setup(build) {
    const src = join(folder, "src");
    const lazy = new Map();
    const add = (from, exported) => {
      for (const [, path] of readFileSync(from, "utf8").matchAll(IMPORTED)) {
        const file = resolve(dirname(from), path);
        if (file !== join(src, "inside")) lazy.set(file, exported);
      }
    };
    for (const file of sources(src)) add(file, `export { Inside as opener } from ${JSON.stringify(join(src, "inside"))};`);
    // These are opened from the door, too.
    const door = `export { App as opener } from ${JSON.stringify(join(src, "app"))};`;
    for (const name of ["pages/link/page", "pages/account/passkey", "pages/notices/push"]) lazy.set(join(src, name), door);
    lazy.set(join(src, "inside"), door);
    build.onLoad({ filter: /\.tsx?$/ }, ({ path }) => {
      const line = lazy.get(path.replace(/\.tsx?$/, ""));
      if (!line || !path.startsWith(src)) return undefined;
      return { contents: `${readFileSync(path, "utf8")}\n${line}\n`, loader: path.endsWith("x") ? "tsx" : "ts" };
    });
  },
});

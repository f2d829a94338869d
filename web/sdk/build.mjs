// Builds the SDK (`node build.mjs`: build/esm, build/types), or its tests (`--test`: runs them), or says its size (`--size`).
//
// Reproducible byte for byte: esbuild and tsc have exact versions in the lock, and nothing of this machine or of now goes in.
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";
import { build } from "esbuild";
import { BOUNDS } from "../bounds.mjs";
import { numbersForNames, rewriting } from "../scripts.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const plugins = [rewriting(numbersForNames(here))];
// What is imported for its type alone is not loaded, also where a number took the place of the rest of it.
const tsconfigRaw = { compilerOptions: { verbatimModuleSyntax: false, useDefineForClassFields: true } };
const shared = { absWorkingDir: here, plugins, tsconfigRaw, bundle: true, format: "esm", target: "es2022", charset: "utf8", logLevel: "warning" };

/** The scripts of the package. What needs nothing of the session has scripts of its own: shared ones would cut the core to pieces. */
const PACKAGE = [["index", "documents", "sqlite_store"], ["background"], ["protocol", "learning", "wire_api", "merge"]];

async function library(outdir = "build/esm") {
  rmSync(join(here, outdir), { recursive: true, force: true });
  const made = [];
  for (const names of PACKAGE) {
    const entryPoints = names.map((name) => `src/${name}.ts`);
    made.push(await build({ ...shared, entryPoints, outdir, splitting: true, minify: true, legalComments: "none", chunkNames: "[name]-[hash]", metafile: true }));
  }
  checkRest(made[0].metafile);
  return made[0].metafile;
}

/**
 * What a page loads that opens a client: at once (`core`), and each part when it is first asked for, less what is there by then.
 *
 * esbuild gives a script of its own to whatever several starting points share. Each part says `export { Core } from "./core"`, so that what
 * the session is made of is shared by all of them alike and stays one script, which packs better than ten.
 */
function sizes({ outputs }) {
  const closure = (path, found = new Set()) => {
    found.add(path);
    for (const one of outputs[path].imports) if (one.kind === "import-statement" && !found.has(one.path)) closure(one.path, found);
    return found;
  };
  const starts = new Map(Object.entries(outputs).flatMap(([path, one]) => (one.entryPoint ? [[basename(one.entryPoint, ".ts"), path]] : [])));
  const core = new Set([...closure(starts.get("index")), ...closure(starts.get("core"))]);
  const sum = (paths) => [...paths].reduce((total, path) => total + brotli(readFileSync(join(here, path))), 0);
  const parts = [...starts].filter(([, path]) => !core.has(path)).map(([name, path]) => [name, sum([...closure(path)].filter((one) => !core.has(one)))]);
  return { core: sum(core), parts };
}

function brotli(contents) {
  return brotliCompressSync(contents, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).length;
}

function run(command, args) {
  const done = spawnSync(command, args, { cwd: here, stdio: "inherit" });
  if (done.status !== 0) process.exit(done.status ?? 1);
}

/** The types, with whole names of files: what resolves modules as node does finds nothing by `./api`, and takes everything for `any`. */
function types(outdir = join(here, "build/types")) {
  rmSync(outdir, { recursive: true, force: true });
  run(process.execPath, [join(here, "../node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"]);
  for (const name of readdirSync(outdir)) {
    const path = join(outdir, name);
    writeFileSync(path, readFileSync(path, "utf8").replace(/(\bfrom |\bimport\()"(\.\/\w+)"/g, '$1"$2.js"'));
  }
}

/** rest.ts is one script, beside what is there before it: rarely.ts may have to ask for it under another address. */
function checkRest({ outputs }) {
  const [, rest] = Object.entries(outputs).find(([, one]) => one.entryPoint === "src/rest.ts");
  const [, core] = Object.entries(outputs).find(([, one]) => one.entryPoint === "src/core.ts");
  const before = new Set(core.imports.map((one) => one.path));
  const beside = rest.imports.filter((one) => one.kind === "import-statement" && !before.has(one.path));
  if (beside.length) throw new Error(`rest.ts shares ${beside.map((one) => Object.keys(outputs[one.path].inputs).join(", "))} with a part, which has it by rest() instead`);
}

const mode = process.argv[2] ?? "";
if (mode === "--test") {
  rmSync(join(here, "build/test"), { recursive: true, force: true });
  const tests = readdirSync(join(here, "test")).filter((name) => name.endsWith(".ts")).sort();
  const entryPoints = tests.map((name) => `test/${name}`);
  await build({ ...shared, entryPoints, outdir: "build/test", platform: "node", external: ["sql.js"], sourcemap: "inline", outExtension: { ".js": ".mjs" } });
  const only = process.argv.slice(3);
  // What ends in `.live.ts` needs a server, whose address is in EDUCONNECT_URL.
  const kind = process.env.EDUCONNECT_URL ? ".live.ts" : ".test.ts";
  const files = tests.filter((name) => name.endsWith(kind) && (!only.length || only.some((one) => name.includes(one))));
  const flags = ["--enable-source-maps", "--experimental-websocket", "--disable-warning=ExperimentalWarning", "--test", "--test-force-exit"];
  run(process.execPath, [...flags, ...files.map((name) => `build/test/${name.replace(/\.ts$/, ".mjs")}`)]);
} else {
  const { core, parts } = sizes(await library());
  if (mode !== "--size") types();
  console.log(`${BOUNDS.sdkCore.of}: ${core} bytes brotli, at most ${BOUNDS.sdkCore.most}`);
  for (const [name, bytes] of parts) console.log(`${name}: ${bytes} bytes brotli more`);
}

// Builds the app into gateway/site/ (`node build.mjs`), or elsewhere (`node build.mjs FOLDER`), and says what a page loads.
//
//     src, messages, the SDK's sources ─esbuild─▶ hashed files ─▶ index, worker ─▶ .br and .gz beside each
//
// Reproducible byte for byte: the tools have exact versions in the lock, and nothing of this machine or of now goes in. The names in the
// index and in the worker are those of this build: a file under /app/ never changes, so it may be kept for ever.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";
import { checkWords } from "./words.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const site = resolve(process.argv[2] ?? join(here, "../../gateway/site"));
const sdk = join(here, "../sdk/src/index.ts");

checkWords(join(here, "messages"));
// First the style of the lazy pages, whose name the script asks for.
const more = await build({ absWorkingDir: here, entryPoints: { more: "src/style/more.css" }, outdir: "app", entryNames: "[name]-[hash]", bundle: true, minify: true, write: false });
const moreStyle = `app/${basename(more.outputFiles[0].path)}`;
const made = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx", style: "src/style/all.css" },
  outdir: "app",
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["es2022", "chrome90", "firefox91", "safari15"],
  charset: "utf8",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
  jsx: "automatic",
  jsxImportSource: "preact",
  alias: { "@educonnect/sdk": sdk },
  define: { MORE_STYLE: JSON.stringify(`/${moreStyle}`) },
  metafile: true,
  write: false,
});

const files = new Map([...made.outputFiles, ...more.outputFiles].map((one) => [`app/${basename(one.path)}`, Buffer.from(one.contents)]));
const outputs = Object.entries(made.metafile.outputs);
const entry = outputs.find(([, one]) => one.entryPoint === "src/main.tsx");
const style = [...files.keys()].find((name) => name.startsWith("app/style-"));
/** What comes only when it is chosen or opened: a language, a page, and whatever is theirs alone. */
const isWords = (one) => one.entryPoint?.startsWith("messages/");
const comesLater = (one) => isWords(one) || /^src\/pages\/[a-z-]+\//.test(one.entryPoint ?? "");
const first = new Set();
const need = (name) => {
  if (first.has(name)) return;
  first.add(name);
  for (const one of made.metafile.outputs[name].imports) if (!comesLater(made.metafile.outputs[one.path])) need(one.path);
};
need(entry[0]);
/** Scripts that the page needs. They begin to come while the page is read. */
const critical = [...first].sort();
/** Those of them without which nothing is seen. */
const seen = new Set();
const reach = (name) => {
  if (seen.has(name)) return;
  seen.add(name);
  for (const one of made.metafile.outputs[name].imports) if (one.kind === "import-statement") reach(one.path);
};
reach(entry[0]);

const links = critical.filter((name) => name !== entry[0]).map((name) => `<link rel="modulepreload" href="/${name}">`);
const template = readFileSync(join(here, "src/index.html"), "utf8");
const index = template.replace("<!--links-->", links.join("\n")).replace("%style%", `/${style}`).replace("%script%", `/${entry[0]}`);
files.set("index.html", Buffer.from(index));
files.set("icon.svg", readFileSync(join(here, "src/icon.svg")));
files.set("manifest.webmanifest", readFileSync(join(here, "src/manifest.webmanifest")));

// What works without a network from the first visit on: the shell, the SDK, the style, and every page; a language comes when it is chosen and
// is kept then.
const pages = Object.keys(made.metafile.outputs).filter((name) => name.endsWith(".js") && !first.has(name) && !isWords(made.metafile.outputs[name]));
const later = [`/${moreStyle}`, ...pages.map((name) => `/${name}`)].sort();
const shell = ["/", ...critical.map((name) => `/${name}`), `/${style}`, ...later, "/icon.svg", "/manifest.webmanifest"].sort();
const hash = createHash("sha256");
for (const name of [...files.keys()].sort()) hash.update(name).update(files.get(name));
const worker = await build({
  absWorkingDir: here,
  entryPoints: ["src/worker.ts"],
  bundle: true,
  format: "iife",
  target: "es2022",
  minify: true,
  define: { VERSION: JSON.stringify(hash.digest("hex").slice(0, 16)), SHELL: JSON.stringify(shell), LATER: JSON.stringify(later) },
  write: false,
});
files.set("worker.js", Buffer.from(worker.outputFiles[0].contents));

const brotli = (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
rmSync(site, { recursive: true, force: true });
mkdirSync(join(site, "app"), { recursive: true });
for (const [name, bytes] of files) {
  writeFileSync(join(site, name), bytes);
  writeFileSync(join(site, `${name}.br`), brotli(bytes));
  const packed = gzipSync(bytes, { level: 9 });
  // The field of gzip that names the system is not the same everywhere: 255 is "unknown".
  packed[9] = 255;
  writeFileSync(join(site, `${name}.gz`), packed);
}

const size = (names) => names.reduce((sum, name) => sum + brotli(files.get(name)).length, 0);
for (const name of [...files.keys()].sort()) console.log(`${name}: ${files.get(name).length} bytes, ${size([name])} brotli`);
console.log(`script before the page can be used: ${size(critical)} bytes brotli; of that before it is seen: ${size([...seen])}`);
console.log(`first page: ${size([...critical, style, "index.html", "icon.svg", "manifest.webmanifest"])} bytes brotli`);

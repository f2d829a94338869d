// Builds the app into gateway/site/ (`node build.mjs`), or elsewhere (`node build.mjs FOLDER`), and says what a page loads; with
// `--analyze` behind the folder also what the scripts before a chat are made of.
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
import { BOUNDS } from "../bounds.mjs";
import { inOneScript, numbersForNames, rewriting, withoutSmall } from "../scripts.mjs";
import { checkWords, words } from "./words.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const site = resolve(process.argv[2] ?? join(here, "../../gateway/site"));
const sdk = join(here, "../sdk");
const messages = join(here, "messages");

checkWords(messages);
// First the styles whose names the script asks for: of what is behind the door, and of the lazy pages.
const styles = { inside: "src/style/inside.css", more: "src/style/more.css" };
const behind = await build({ absWorkingDir: here, entryPoints: styles, outdir: "app", entryNames: "[name]-[hash]", bundle: true, minify: true, write: false });
const nameOf = (start) => `app/${behind.outputFiles.map((one) => basename(one.path)).find((name) => name.startsWith(`${start}-`))}`;
const [insideStyle, moreStyle] = [nameOf("inside"), nameOf("more")];
const made = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx", style: "src/style/first.css" },
  outdir: "app",
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["es2022", "chrome93", "firefox92", "safari15.4"],
  charset: "utf8",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
  jsx: "automatic",
  jsxImportSource: "preact",
  alias: { "@educonnect/sdk": join(sdk, "src/index.ts") },
  define: { INSIDE_STYLE: JSON.stringify(`/${insideStyle}`), MORE_STYLE: JSON.stringify(`/${moreStyle}`) },
  plugins: [words(messages, join(here, "src")), rewriting(numbersForNames(sdk), inOneScript(here, sdk))],
  metafile: true,
  write: false,
});

const scripts = new Map(made.outputFiles.filter(({ path }) => path.endsWith(".js")).map((one) => [basename(one.path), one.text]));
const instead = withoutSmall(scripts);
const styled = [...made.outputFiles, ...behind.outputFiles].filter(({ path }) => path.endsWith(".css"));
const files = new Map([...scripts].map(([name, text]) => [`app/${name}`, Buffer.from(text)]).concat(styled.map((one) => [`app/${basename(one.path)}`, Buffer.from(one.contents)])));
const outputs = Object.entries(made.metafile.outputs);
const startOf = (wanted) => outputs.find(([, one]) => one.entryPoint === wanted)[0];
const scriptOf = (wanted) => `app/${instead.get(basename(startOf(wanted))) ?? basename(startOf(wanted))}`;
const entry = scriptOf("src/main.tsx");
const style = [...files.keys()].find((name) => name.startsWith("app/style-"));
/** These, and what they import before they run. */
const closure = (names, found = new Set()) => {
  for (const name of names) {
    if (found.has(name) || !files.has(name)) continue;
    found.add(name);
    closure([...files.get(name).toString().matchAll(/(?:\bfrom|\bimport)"\.\/([^"]+)"/g)].map(([, path]) => `app/${path}`), found);
  }
  return found;
};
/** What the door needs; what a chat needs besides; and the parts of the SDK that come by themselves. A page comes when it is opened. */
const atDoor = closure([entry]);
const chat = closure([entry, scriptOf("src/behind.ts")]);
const besides = scriptOf("src/beside.ts");
const sdkParts = closure([...chat, ...outputs.filter(([, one]) => one.entryPoint?.startsWith("../sdk/src/")).map(([, one]) => scriptOf(one.entryPoint))]);

const links = [...atDoor].filter((name) => name !== entry).sort().map((name) => `<link rel="modulepreload" href="/${name}">`);
const icon = readFileSync(join(here, "src/icon.svg"));
/** Within an attribute of the page. */
const asAddress = `data:image/svg+xml,${icon.toString().trim().replace(/[%#:<>]/g, encodeURIComponent).replaceAll('"', "'")}`;
const template = readFileSync(join(here, "src/index.html"), "utf8");
const index = template.replace("<!--links-->", ["", ...links].join("\n")).replace("%icon%", asAddress).replace("%style%", `/${style}`).replace("%script%", `/${entry}`);
files.set("index.html", Buffer.from(index));
files.set("icon.svg", icon);
files.set("manifest.webmanifest", readFileSync(join(here, "src/manifest.webmanifest")));

// What works without a network from the first visit on: the door, the chat, the SDK with its parts, the style, and every page; a language comes
// when it is chosen and is kept then.
const languages = new Set(outputs.filter(([, one]) => one.entryPoint?.match(/^words:|messages\//)).map(([, one]) => scriptOf(one.entryPoint)));
const pages = [...files.keys()].filter((name) => name.endsWith(".js") && !sdkParts.has(name) && !languages.has(name));
const later = [`/${moreStyle}`, ...pages.map((name) => `/${name}`)].sort();
const shell = ["/", ...[...sdkParts].map((name) => `/${name}`), `/${style}`, `/${insideStyle}`, ...later, "/icon.svg", "/manifest.webmanifest"].sort();
// What the service worker brings in when the browser wakes it for what is unsent.
const sending = await build({
  absWorkingDir: here,
  entryPoints: { background: "src/worker_background.ts" },
  outdir: "app",
  entryNames: "[name]-[hash]",
  bundle: true,
  format: "iife",
  target: "es2022",
  charset: "utf8",
  minify: true,
  legalComments: "none",
  plugins: [rewriting(numbersForNames(join(here, "../sdk")))],
  write: false,
});
const background = `app/${basename(sending.outputFiles[0].path)}`;
files.set(background, Buffer.from(sending.outputFiles[0].contents));
const ahead = [...[...chat].filter((name) => !atDoor.has(name)).map((name) => `<link rel="modulepreload" href="/${name}">`), `<link rel="preload" as="style" href="/${insideStyle}">`].join("");
const hash = createHash("sha256");
for (const name of [...files.keys()].sort()) hash.update(name).update(files.get(name));
const worker = await build({
  absWorkingDir: here,
  entryPoints: ["src/worker.ts"],
  bundle: true,
  format: "iife",
  target: "es2022",
  minify: true,
  define: { VERSION: JSON.stringify(hash.digest("hex").slice(0, 16)), SHELL: JSON.stringify(shell), LATER: JSON.stringify(later), BACKGROUND: JSON.stringify(`/${background}`), AHEAD: JSON.stringify(ahead) },
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

const size = (names) => [...names].reduce((sum, name) => sum + brotli(files.get(name)).length, 0);
for (const name of [...files.keys()].sort()) console.log(`${name}: ${files.get(name).length} bytes, ${size([name])} brotli`);
const sizes = {
  door: size([...atDoor, style, "index.html"]),
  doorScript: size(atDoor),
  chatScript: size(chat),
  firstPage: size([...chat, style, insideStyle, besides, "index.html", "manifest.webmanifest"]),
};
for (const [name, bytes] of Object.entries(sizes)) console.log(`${BOUNDS[name].of}: ${bytes} bytes brotli, at most ${BOUNDS[name].most}`);
if (process.argv.includes("--analyze")) {
  for (const name of chat) {
    console.log(`${name}: ${size([name])} bytes brotli`);
    const inputs = outputs.filter(([one]) => (instead.get(basename(one)) ?? basename(one)) === basename(name)).flatMap(([, one]) => Object.entries(one.inputs)).sort(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput);
    for (const [input, { bytesInOutput }] of inputs) if (bytesInOutput) console.log(`  ${bytesInOutput} ${input}`);
  }
}

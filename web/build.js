// Bundles source/ with Observable Plot into one script, and writes the style that Plot puts into each picture.
// Run by `npm run build`; a test compares the stamp in the bundle with the sources and the lock.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const target = "../validator/report/templates";
const read = (file) => readFileSync(file, "utf8");

/** A digest of everything that the bundle is made of. */
function stamp() {
  const sources = readdirSync("source", { recursive: true }).filter((name) => name.endsWith(".js"));
  const names = ["build.js", "package-lock.json", ...sources.map((name) => join("source", name))];
  const digest = createHash("sha256");
  for (const name of names.map((name) => name.replaceAll("\\", "/")).sort()) digest.update(`${name}\n${read(name)}`);
  return digest.digest("hex");
}

/** The notices of every bundled package: its copyright, then each license text once. */
function notices(inputs) {
  const folders = new Set(Object.keys(inputs).map((name) => /^node_modules\/(@[^/]+\/)?[^/]+/.exec(name)?.[0]));
  folders.delete(undefined);
  const texts = new Map();
  for (const folder of [...folders].sort()) {
    const { name, version, license } = JSON.parse(read(`${folder}/package.json`));
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
    const text = file ? read(`${folder}/${file}`).trim() : license;
    const holders = text.split("\n").filter((line) => /^copyright/i.test(line.trim()));
    const body = text.split("\n").filter((line) => !holders.includes(line)).join("\n").trim();
    const key = body.replace(/\s+/g, " ").toLowerCase();
    const known = texts.get(key) ?? { body, packages: [] };
    known.packages.push(`${name} ${version} (${license}) ${holders.map((line) => line.trim()).join(" ")}`);
    texts.set(key, known);
  }
  return [...texts.values()].map(({ packages, body }) => `${packages.join("\n")}\n\n${body}`).join("\n\n---\n\n");
}

const options = {
  entryPoints: ["source/main.js"],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "ascii",
  legalComments: "none",
};
const { metafile } = await build({ ...options, write: false, metafile: true });
const comment = `Sources: ${stamp()}\n\nBundled packages:\n\n${notices(metafile.inputs)}`.replaceAll("*/", "* /");
await build({ ...options, banner: { js: `/*! ${comment}\n*/` }, outfile: `${target}/report.js` });
const bundle = read(`${target}/report.js`);
if (/<\/script|<!--/i.test(bundle)) throw new Error("the bundle would end its own element");

// Plot appends this sheet to every picture; the page's policy allows it by its hash.
const plot = read("node_modules/@observablehq/plot/src/plot.js");
const sheet = /append\("style"\)\.text\(\s*`([^`]*)`/.exec(plot)[1];
writeFileSync(`${target}/plot.css`, sheet.replaceAll("${className}", "plot"));
console.log(`${(bundle.length / 1000).toFixed(0)} kB`);

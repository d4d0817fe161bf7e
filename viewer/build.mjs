// Puts what the pages need of the installed packages into one folder: `node build.mjs node_modules target`.
//
// The bundles are copied as they are, without their maps, with a compressed copy beside each (made once, and better than
// a server would for every answer) and with the licences of what they hold.

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { outline } from "./outline.mjs";

const [modules, target] = process.argv.slice(2);
const viewer = join(modules, "@panoramax/web-viewer");
const COMPRESSED = /\.(js|css|json)$/;

mkdirSync(join(target, "static/media"), { recursive: true });
for (const name of ["index.js", "index.css"]) put(name, withoutMap(readFileSync(join(viewer, "build", name), "utf8")));
for (const name of readdirSync(join(viewer, "build/static/media")))
  cpSync(join(viewer, "build/static/media", name), join(target, "static/media", name));
put("chart.umd.js", withoutMap(readFileSync(join(modules, "chart.js/dist/chart.umd.min.js"), "utf8")));
const world = JSON.parse(readFileSync(join(modules, "world-atlas/countries-50m.json"), "utf8"));
put("outline.json", JSON.stringify(outline(world)));
writeFileSync(join(target, "LICENSES.txt"), licences());
// for the tests only: it is not served
mkdirSync(join(target, "checks"), { recursive: true });
if (existsSync(join(modules, "axe-core"))) cpSync(join(modules, "axe-core/axe.min.js"), join(target, "checks/axe.min.js"));
const { version } = JSON.parse(readFileSync(join(viewer, "package.json"), "utf8"));
// last: whoever finds it finds everything
writeFileSync(join(target, "viewer.json"), `${JSON.stringify({ viewer: version })}\n`);

function put(name, text) {
  const bytes = Buffer.from(text);
  writeFileSync(join(target, name), bytes);
  if (!COMPRESSED.test(name)) return;
  const parameters = { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
  writeFileSync(join(target, `${name}.br`), brotliCompressSync(bytes, { params: parameters }));
  writeFileSync(join(target, `${name}.gz`), gzipSync(bytes, { level: 9 }));
}

/** A browser's tools would ask for a map that is not here. */
function withoutMap(text) {
  return text.replace(/\n?(\/\/|\/\*)# sourceMappingURL=[^\n]*\s*$/, "\n");
}

function licences() {
  const found = [];
  const visit = (folder) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (!entry.isDirectory() || entry.name === ".bin") continue;
      const path = join(folder, entry.name);
      if (entry.name.startsWith("@")) visit(path);
      else if (existsSync(join(path, "package.json"))) found.push(path);
    }
  };
  visit(modules);
  return found.map(notice).filter(Boolean).join(`\n${"-".repeat(80)}\n\n`);
}

function notice(path) {
  const { name, version: number, license } = JSON.parse(readFileSync(join(path, "package.json"), "utf8"));
  if (name === "axe-core") return null;
  const file = readdirSync(path).find((each) => /^(licen[cs]e|copying)/i.test(each));
  return `${name} ${number} (${license ?? "see below"})\n\n${file ? readFileSync(join(path, file), "utf8").trim() : ""}\n`;
}

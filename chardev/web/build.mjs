// Builds dist/, or the folder that is its argument, from src/: the same bytes whenever
// the same versions are installed, so that a difference to what is committed shows that
// somebody forgot to build.
import { build } from "esbuild";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";

const here = new URL(".", import.meta.url).pathname;
const out = process.argv[2] ?? here + "dist";

// The terminal makes <style> elements and one style attribute, which a policy of
// style-src 'self' rightly refuses. Both have an equivalent that it allows: see
// src/sheet.ts for the first. A version in which the places are others does not build.
const withoutInlineStyles = {
  name: "without inline styles",
  setup(b) {
    b.onLoad({ filter: /@xterm\/xterm\/lib\/xterm\.mjs$/ }, ({ path }) => {
      const replace = (text, from, to, times) => {
        const parts = text.split(from);
        if (parts.length !== times + 1) throw new Error(`${path}: ${from} is there ${parts.length - 1} times, not ${times}`);
        return parts.join(to);
      };
      let text = readFileSync(path, "utf8");
      text = replace(text, `ocument.createElement("style")`, `ocument.createElement("style-sheet")`, 3);
      text = replace(text, 't.setAttribute("style",`${t.getAttribute("style")||""}${e};`)', "t.style.cssText+=e", 1);
      return { contents: text, loader: "js" };
    });
  },
};

rmSync(out, { recursive: true, force: true });
mkdirSync(out);
const result = await build({
  absWorkingDir: here,
  entryPoints: { app: "src/main.ts", style: "src/style.css" },
  outdir: out,
  bundle: true,
  splitting: true,
  format: "esm",
  target: ["es2022"],
  minify: true,
  legalComments: "none", // they are in licenses.txt
  metafile: true,
  logLevel: "warning",
  plugins: [withoutInlineStyles],
});
cpSync(here + "src/index.html", out + "/index.html");
cpSync(here + "src/icon.svg", out + "/icon.svg");

// What is bundled, and under what licences.
const names = new Set();
for (const file of Object.keys(result.metafile.inputs)) {
  const m = /^node_modules\/(@[^/]+\/[^/]+|[^/]+)\//.exec(file);
  if (m) names.add(m[1]);
}
const licences = [...names].sort().map((name) => {
  const { version } = JSON.parse(readFileSync(`${here}node_modules/${name}/package.json`, "utf8"));
  return `${name} ${version}\n\n${readFileSync(`${here}node_modules/${name}/LICENSE`, "utf8").trim()}\n`;
});
writeFileSync(out + "/licenses.txt", licences.join("\n" + "-".repeat(72) + "\n\n"));

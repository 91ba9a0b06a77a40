// The package: one small module, with types, and nothing that it depends on.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const file = (name) => readFileSync(new URL(`../../../trio_wss/web/${name}`, import.meta.url));
const about = JSON.parse(file("package.json"));

test("the module has less than 6 KB when compressed", () => {
  const size = gzipSync(file("trio-wss.js"), { level: 9 }).length;
  assert.ok(size < 6144, `${size} bytes`);
});

test("it needs nothing, and is what the package names", () => {
  assert.doesNotMatch(String(file("trio-wss.js")), /^\s*import\b|\bimport\(/m);
  assert.equal(about.dependencies, undefined);
  assert.equal(about.type, "module");
  for (const name of [about.exports["."].default, about.exports["."].types, ...about.files]) {
    assert.ok(file(name.replace("./", "")).length);
  }
});

test("its version is the server's", () => {
  const project = String(readFileSync(new URL("../../../pyproject.toml", import.meta.url)));
  assert.equal(about.version, project.match(/^version = "(.+)"$/m)[1]);
});

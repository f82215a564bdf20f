'use strict';
// Teaches Node's CommonJS loader TypeScript: types are taken away and not checked, lines stay where they are.
//
// The work is Sucrase's (NOTICE.md), whose published packages lie beside this file as npm has them. They are
// read from the archives, so that what runs is what npm's integrity hashes vouch for.

const fs = require('node:fs');
const { Module } = require('node:module');
const path = require('node:path');
const { isMainThread } = require('node:worker_threads');
const { pathToFileURL } = require('node:url');
const zlib = require('node:zlib');

const EXTENSIONS = ['.ts', '.mts', '.cts'];

/** What Sucrase asks for and never uses here: source maps, and the printing of its tokens. */
const UNUSED = ['@jridgewell/gen-mapping', 'lines-and-columns'];

/** The files of a package, by path, from its archive: gzip around tar (ustar). */
function unpack(archive) {
  const tar = zlib.gunzipSync(fs.readFileSync(path.join(__dirname, archive)));
  const text = (at, length) => tar.toString('latin1', at, at + length).replace(/\0.*/s, '');
  const files = new Map();
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0;) {
    const size = parseInt(text(at + 124, 12), 8);
    files.set(path.posix.join(text(at + 345, 155), text(at, 100)), tar.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

/** Requires a file of a package, with `others` for the packages that it names. */
function requirePackage(files, main, others) {
  const loaded = new Map();
  function load(name) {
    const file = [name, `${name}.js`, `${name}/index.js`].find((candidate) => files.has(candidate));
    if (!loaded.has(file)) {
      const module = { exports: {} };
      loaded.set(file, module);
      const require = (to) => (to.startsWith('.') ? load(path.posix.join(path.posix.dirname(file), to)) : others(to));
      // No parameter of another kind, so that it can be compiled as any function.
      new Function('require', 'module', 'exports', `${files.get(file)}\n//# sourceURL=/.soulbox/${file}`)(
        require, module, module.exports);
    }
    return loaded.get(file).exports;
  }
  return load(main);
}

function loadSucrase() {
  const checker = requirePackage(unpack('ts-interface-checker-0.1.13.tgz'), 'package/dist/index', require);
  const others = (name) => {
    if (name === 'ts-interface-checker') return checker;
    return UNUSED.includes(name) ? {} : require(name);
  };
  return requirePackage(unpack('sucrase-3.35.1.tgz'), 'package/dist/index', others);
}

const { transform } = loadSucrase();

/** The JavaScript of a file, as a CommonJS module with the same lines. */
function strip(source, filename) {
  try {
    const options = { transforms: ['typescript', 'imports'], disableESTransforms: true, filePath: filename };
    return transform(source, options).code;
  } catch (error) {
    throw explained(error, filename);
  }
}

/** A syntax error that says where it is and nothing of Sucrase. */
function explained(error, filename) {
  const [, message, line, column] = /: (.*) \((\d+):(\d+)\)$/s.exec(error.message) ?? [];
  if (line === undefined) return error;
  const syntaxError = new SyntaxError(message);
  syntaxError.stack = `SyntaxError: ${message}\n    at ${filename}:${line}:${column}`;
  return syntaxError;
}

/** What `import.meta` is in a module that CommonJS runs. */
function importMeta(filename) {
  return { url: pathToFileURL(filename).href, filename, dirname: path.dirname(filename) };
}

function compile(module, filename) {
  let code = strip(fs.readFileSync(filename, 'utf8'), filename);
  if (/\bimport\.meta\b/.test(code)) {
    const meta = JSON.stringify(importMeta(filename));
    code = code.replace(/\bimport\.meta\b/g, () => `(${meta})`);
  }
  if (module === process.mainModule && /\bawait\b/.test(code) && awaitsAtTopLevel(code, filename)) {
    code = `(async()=>{${code}\n})()`;
  }
  module._compile(code, filename);
}

/** Whether a module says `await` outside of functions, which CommonJS has no place for. */
function awaitsAtTopLevel(code, filename) {
  const { compileFunction } = require('node:vm');
  try {
    compileFunction(code, ['exports', 'require', 'module', '__filename', '__dirname'], { filename });
    return false;
  } catch {
    try {
      compileFunction(`(async()=>{${code}\n})()`, ['exports', 'require', 'module', '__filename', '__dirname'], { filename });
      return true;
    } catch {
      return false;
    }
  }
}

/** Finds `./name.ts` for `./name.js`, as TypeScript does. */
function resolveFromJavaScript() {
  const resolve = Module._resolveFilename;
  Module._resolveFilename = function resolveFilename(request, ...rest) {
    try {
      return Reflect.apply(resolve, this, [request, ...rest]);
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND' || !/^\.{0,2}\/.*\.[cm]?js$/.test(request)) throw error;
      try {
        return Reflect.apply(resolve, this, [request.replace(/js$/, 'ts'), ...rest]);
      } catch {
        throw error;
      }
    }
  };
}

/** Lets every program of TypeScript begin as CommonJS, whatever its package.json says. */
function runAsCommonJS() {
  const { runMain } = Module;
  Module.runMain = function (main) {
    if (EXTENSIONS.includes(path.extname(main))) Module._load(main, null, true);
    else Reflect.apply(runMain, this, [main]);
  };
}

/** Lets V8 see what most programs have, so that no fork has to be the first. */
function warmUp() {
  const sample = `
import * as fs from 'node:fs';
import { type Stats, readFileSync } from 'fs';
import type { Server } from 'http';
export interface Shape<T extends object = {}> { readonly name: string; area?(): number; [key: string]: unknown }
type Union = 'a' | 'b' | { kind: keyof Shape; value: Array<number> };
enum Color { Red, Green = 'green', Blue = 1 << 2 }
abstract class Base<T> implements Shape { static count = 0; protected constructor(public readonly name: string, private items: T[] = []) {}
  abstract get size(): number; map<U>(f: (item: T, at?: number) => U): U[] { return this.items.map(f as any); } [key: string]: unknown }
class Circle extends Base<number> { declare x: number; #r!: number; constructor(r: number) { super('circle', [r]); this.#r = r; } override get size(): number { return this.#r! ** 2; } }
function isCircle(shape: unknown): shape is Circle { return shape instanceof Circle; }
const total = async <T,>(values: Iterable<T>, ...rest: T[]): Promise<number> => { for await (const value of values) if (value) return 1 as const; return \`\${rest.length}\`.length satisfies number; };
export default function main(this: void, { a, b = 2 }: { a: number; b?: number }, callback?: () => void): asserts a { callback?.(); const map = new Map<string, number[]>(); console.log(map.get('a')?.[0] ?? Color.Red, a < b, <any>fs); }
`;
  for (let round = 0; round < 10; round++) strip(sample, '/warm-up.ts');
}

for (const extension of EXTENSIONS) Module._extensions[extension] = compile;
resolveFromJavaScript();
runAsCommonJS();
delete require.cache[__filename];
if (isMainThread) warmUp();

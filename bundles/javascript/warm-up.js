'use strict';
// Unrelated to any program, but it makes Node and V8 build what a first program needs.

const { Console } = require('node:console');
const { Writable } = require('node:stream');
const util = require('node:util');
require('node:path').join('a', 'b');

class Point {
  #x;
  static origin = new Point(0);
  constructor(x) { this.#x = x; }
  get x() { return this.#x; }
  scaled(factor = 2, ...rest) { return [this.#x * factor, ...rest].map((n) => `${n.toFixed(2)}`); }
}

function* fibonacci(count) {
  let [a, b] = [0, 1];
  while (count-- > 0) { yield a; [a, b] = [b, a + b]; }
}

const sink = new Writable({ write(chunk, encoding, done) { done(); } });
const out = new Console({ stdout: sink, stderr: sink });
const words = new Map('the quick brown fox the end'.split(/\s+/).map((word, at) => [word, at]));
out.log('text', 1, 1.5, true, null, undefined, [1, 'a', { b: [] }], { a: 1, c: { d: 'e' } }, words, new Set([1]), new Point(1));
out.log(`%s is %d`, 'x', 42, ...new Point(3).scaled(2, 4), [...fibonacci(20)].reduce((a, b) => a + b, 0));
out.error(util.inspect(new Error('none')));
JSON.parse(JSON.stringify({ list: [1, 2, { three: '3' }], date: new Date(0) }));
[3, 1, 2].sort((a, b) => a - b).filter((n) => n > 1).forEach((n) => words.set(String(n), n));
Object.entries({ ...{ a: 1 }, b: 2 }).find(([key]) => key === 'b');
'2020-01-02'.match(/(?<year>\d+)-(\d+)/)?.groups.year.padStart(6).replace(/0/g, 'o');
try { null.nothing; } catch (error) { String(error.stack); }
(async () => { await null; for await (const n of fibonacci(2)) await Promise.all([n]); })();
setTimeout(() => {}, 1).unref();
clearTimeout(setTimeout(() => {}, 1));

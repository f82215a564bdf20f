'use strict';
// The zygote of the JavaScript bundle: warms Node up, and becomes the program in every fork.
//
// Node runs it before the main program (`--require`). It takes the place of `Module.runMain`, which Node calls
// last of all: there it serves forks, and in each of them hands Node's own `runMain` the program of a user. So
// a program runs on the stack, in the state and to the end that it has in any Node.

const { Module } = require('node:module');
const path = require('node:path');
const v8 = require('node:v8');
const vm = require('node:vm');
const { isMainThread } = require('node:worker_threads');

const SHIM = '/.soulbox/libsoulbox.so';

/** Bytes before the strings of a program, as the shim returns it. */
const HEADER = 8;

/** The environment of the zygote, which is that of every program that asks for no other. */
const ENVIRONMENT = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);

/** Loads modules, and compiles and runs a program unlike any other, so that no fork has to be the first. */
function warmUp(modules) {
  // Its first use takes numbers that all forks would share.
  const { random } = Math;
  Math.random = () => 0.5;
  for (const name of modules) require(`node:${name}`);
  new Headers();
  for (let round = 0; round < 3; round++) {
    for (const name of ['warm-up.js', 'warm-up.mjs']) {
      const file = path.join(__dirname, name);
      require(file);
      delete require.cache[file];
    }
  }
  Math.random = random;
}

/** Collects all garbage, so that no fork collects it again in memory of its own. */
function collectGarbage() {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc');
  v8.setFlagsFromString('--no-expose-gc');
  for (let round = 0; round < 3; round++) collect();
}

/** Serves forks until there is a program to run, and makes this process the one that runs it. */
function serve(shim) {
  collectGarbage();
  const program = shim.serve();
  const count = program.readUInt32LE(0);
  const strings = program.toString('utf8', HEADER).split('\0');
  const [entrypoint, ...values] = strings.slice(0, count);
  process.argv = [process.execPath, entrypoint, ...values];
  setEnvironment(strings.slice(count, -1));
  Object.defineProperty(process, 'pid', { ...Object.getOwnPropertyDescriptor(process, 'pid'), value: 2 });
  const start = process.uptime();
  const { uptime } = process;
  process.uptime = () => uptime() - start;
  // Node keeps the directory in a cache.
  process.chdir('.');
  seedRandom(program.readUInt32LE(4) >>> 1);
  return entrypoint;
}

/** Makes the environment of the process what the job says, and nothing else. */
function setEnvironment(variables) {
  if (variables.length === ENVIRONMENT.length && variables.every((text, at) => text === ENVIRONMENT[at])) return;
  const wanted = new Map(variables.map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)]));
  for (const name of Object.keys(process.env)) if (!wanted.has(name)) delete process.env[name];
  for (const [name, value] of wanted) process.env[name] = value;
}

/** Gives Math.random a start of its own. V8 takes it from a flag, or else from what all forks share. */
function seedRandom(seed) {
  v8.setFlagsFromString(`--random-seed=${seed || 1}`);
  Math.random();
  v8.setFlagsFromString('--random-seed=0');
}

/**
 * Leaves at the end of a program without taking the interpreter apart, which would only copy its memory.
 *
 * Node says `process.emit('exit')` from its own code when nothing is left to do, and `process.exit` ends with
 * `process.reallyExit`. An error that nobody caught is said in between, and so ends as Node ends it.
 */
function leaveEarly(shim) {
  const { emit } = process;
  function emitExit(...values) {
    const result = Reflect.apply(emit, this, values);
    if (values[0] === 'exit' && isOutermost(emitExit)) shim.exit(process.exitCode ?? 0);
    return result;
  }
  Object.defineProperty(process, 'emit', {
    configurable: true,
    get: () => (process._exiting ? emitExit : emit),
    set: (value) => Object.defineProperty(process, 'emit', { value, configurable: true, writable: true, enumerable: true }),
  });
  process.reallyExit = shim.exit;
}

/** Whether a function was called by no other. */
function isOutermost(callee) {
  const { prepareStackTrace, stackTraceLimit } = Error;
  const trace = {};
  Error.prepareStackTrace = (_, frames) => frames.length;
  Error.stackTraceLimit = 1;
  Error.captureStackTrace(trace, callee);
  const depth = trace.stack;
  Object.assign(Error, { prepareStackTrace, stackTraceLimit });
  return depth === 0;
}

function main() {
  // Not the program's: neither the flags nor the modules.
  process.execArgv = [];
  delete process._preload_modules;
  delete require.cache[__filename];
  // Every worker runs it as well.
  if (!isMainThread) return;
  warmUp(process.argv.slice(2));
  const shim = { exports: {} };
  process.dlopen(shim, SHIM);
  leaveEarly(shim.exports);
  const { runMain } = Module;
  Object.defineProperty(Module, 'runMain', {
    configurable: true,
    get() {
      const entrypoint = serve(shim.exports);
      Object.defineProperty(Module, 'runMain', { value: runMain, configurable: true, writable: true, enumerable: true });
      // Bound, so that no frame of ours lies beneath the program's.
      return runMain.bind(Module, entrypoint);
    },
  });
}

main();

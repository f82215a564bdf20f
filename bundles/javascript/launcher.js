'use strict';
// The zygote of the JavaScript bundle: warms Node up, and becomes the program in every fork.
//
// Node runs it before the main program (`--require`). It takes the place of `Module.runMain`, which Node calls
// last of all: there it serves forks, and in each of them hands Node's own `runMain` the program of a user. So
// a program runs on the stack, in the state and to the end that it has in any Node.

const { Console } = require('node:console');
const { Module } = require('node:module');
const path = require('node:path');
const v8 = require('node:v8');
const vm = require('node:vm');
const { isMainThread } = require('node:worker_threads');

const SHIM = '/.soulbox/libsoulbox.so';

const WARM_UP = path.join(__dirname, 'warm-up.js');

/** Bytes before the strings of a program, as the shim returns it. */
const HEADER = 8;

/** The environment of the zygote, which is that of every program that asks for no other. */
const ENVIRONMENT = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);

/** Loads modules, and compiles and runs a program unlike any other, so that no fork has to be the first. */
function warmUp(modules) {
  // Its first use takes numbers that all forks would share.
  const { random } = Math;
  Math.random = () => 0.5;
  // Bytecode stays when garbage is collected, and all functions remember from their first call on what types
  // they see.
  v8.setFlagsFromString('--no-flush-bytecode');
  v8.setFlagsFromString('--no-lazy-feedback-allocation');
  for (const name of modules) require(`node:${name}`);
  new Headers();
  openStreams(3);
  for (let round = 0; round < 3; round++) {
    require(WARM_UP);
    delete require.cache[WARM_UP];
    import(`data:text/javascript,import 'node:fs'; export default ${round}; await null`);
    // What it left to be done would be done by the first fork's program.
    process._tickCallback();
  }
  v8.setFlagsFromString('--lazy-feedback-allocation');
  Math.random = random;
}

/**
 * Writes to the streams that programs write to, so that they are made. Their descriptors are others in each
 * fork, and block, as Node promises for pipes: what was written is not lost by an early `process.exit`.
 */
function openStreams(rounds) {
  // The global console takes its streams when it is first used, which is the program's business.
  const console = new Console(process.stdout, process.stderr);
  for (let round = 0; round < rounds; round++) {
    console.log('text', round, [round], { round });
    console.error(`text ${round}`);
    process._tickCallback();
  }
}

/** Runs a program for the copies of memory that every program makes: what it is does not matter. */
function rehearse() {
  const { random } = Math;
  Math.random = () => 0.5;
  openStreams(1);
  require(WARM_UP);
  delete require.cache[WARM_UP];
  process._tickCallback();
  Math.random = random;
}

/** Collects all garbage, so that no fork collects it again in memory of its own. */
function collectGarbage() {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc');
  v8.setFlagsFromString('--no-expose-gc');
  for (let round = 0; round < 3; round++) collect();
  // Free memory is swept when it is needed, which would be in every fork; but a walk over all objects needs it.
  v8.queryObjects?.(class {}, { format: 'count' });
}

/** Serves forks until there is a program to run, and makes this process the one that runs it. */
function serve(shim) {
  if (shim.serve()) rehearse();
  const program = shim.receive();
  const count = program.readUInt32LE(0);
  const strings = program.toString('utf8', HEADER).split('\0');
  const [entrypoint, ...values] = strings.slice(0, count);
  process.argv = [process.execPath, entrypoint, ...values];
  setEnvironment(strings.slice(count, -1));
  const start = process.uptime();
  const { uptime } = process;
  process.uptime = () => uptime() - start;
  // Node keeps the directory in a cache.
  process.chdir('.');
  seedRandom(program.readUInt32LE(4) >>> 1);
  return entrypoint;
}

/** Changes the value of a property that cannot be assigned to. */
function redefine(object, name, value) {
  Object.defineProperty(object, name, { ...Object.getOwnPropertyDescriptor(object, name), value });
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
  redefine(process, '_preload_modules', []);
  delete require.cache[__filename];
  // Every worker runs it as well.
  if (!isMainThread) return;
  process.title = 'node';
  // That of the main process of every sandbox; Node asks once, when it starts.
  redefine(process, 'pid', 2);
  // Node has something to say of what is experimental in what it is warmed up with.
  const { emitWarning } = process;
  process.emitWarning = () => {};
  const shim = { exports: {} };
  process.dlopen(shim, SHIM);
  shim.exports.holdStreams();
  warmUp(process.argv.slice(2));
  shim.exports.releaseStreams();
  leaveEarly(shim.exports);
  const { runMain } = Module;
  Object.defineProperty(Module, 'runMain', {
    configurable: true,
    get() {
      collectGarbage();
      process.emitWarning = emitWarning;
      const entrypoint = serve(shim.exports);
      Object.defineProperty(Module, 'runMain', { value: runMain, configurable: true, writable: true, enumerable: true });
      // Bound, so that no frame of ours lies beneath the program's.
      return runMain.bind(Module, entrypoint);
    },
  });
}

main();

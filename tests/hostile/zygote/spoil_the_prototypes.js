// tries: to change what the next program would find in Node: prototypes, globals, the process
// right: held
// then: surroundings.js
const print = process.stdout.write.bind(process.stdout);
process.umask(0o777);
process.chdir('/');
process.title = 'spoilt';
process.env.SPOILT = 'yes';
process.exitCode = 0;
for (const name of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2']) process.on(name, () => {});
process.on('uncaughtException', () => {});
print('held\n');
globalThis.spoilt = true;
Object.prototype.spoilt = 'yes';
Array.prototype.push = Array.prototype.map = Array.prototype.join = () => 'spoilt';
String.prototype.toUpperCase = JSON.stringify = Math.random = Date.now = () => 'spoilt';
Promise.prototype.then = Function.prototype.call = () => 'spoilt';
require('node:module')._cache.spoilt = 1;
require('node:module').prototype.require = () => 'spoilt';
require('node:fs').readFileSync = () => 'spoilt';
process.reallyExit = process.binding = undefined;

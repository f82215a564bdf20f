// tries: to tell all that an earlier program could have changed of its surroundings
// right: held
const fs = require('node:fs');
const os = require('node:os');
const seen = {
    umask: process.umask(), cwd: process.cwd(), title: process.title, env: process.env, argv: process.argv,
    listeners: process.eventNames().map(String).sort(), globals: Object.getOwnPropertyNames(globalThis).sort(),
    prototype: Object.getOwnPropertyNames(Object.prototype).sort(), enumerable: (() => { const all = []; for (const key in {}) all.push(key); return all; })(),
    array: [1, 2].map((n) => n * 2), text: 'a'.toUpperCase(), push: [].push(1), call: [].join.call([1, 2], '-'),
    modules: Object.keys(require('node:module')._cache).sort(), now: typeof Date.now(), random: typeof Math.random(),
    files: fs.readdirSync('/tmp').concat(fs.readdirSync('/workspace')), nice: os.getPriority(), exit: typeof process.reallyExit,
    status: fs.readFileSync('/proc/self/status', 'utf8').split('\n').filter((line) => /^(Sig|Shd|Groups|NoNew|Seccomp|Cap)/.test(line)),
};
for (const [name, value] of Object.entries(seen)) console.log(name, JSON.stringify(value));
Promise.resolve().then(() => console.log('held'));

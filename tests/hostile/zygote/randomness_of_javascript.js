// tries: to draw what another program drew: of one zygote, all random numbers must still differ
// right: held
// again: 5
const crypto = require('node:crypto');
const fs = require('node:fs');

console.log('random', Math.random());
console.log('uuid', crypto.randomUUID());
console.log('bytes', crypto.randomBytes(16).toString('hex'));
console.log('int', crypto.randomInt(2 ** 47));
console.log('web', Buffer.from(globalThis.crypto.getRandomValues(new Uint8Array(16))).toString('hex'));
console.log('directory', fs.mkdtempSync('/tmp/x'));
console.log('key', crypto.generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' }).toString('hex'));
console.log('held');

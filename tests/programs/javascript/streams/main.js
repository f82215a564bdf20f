const { Readable, Transform } = require('stream');
const { pipeline } = require('stream/promises');
const fs = require('fs');
const zlib = require('zlib');
const crypto = require('crypto');

const upper = new Transform({ transform(chunk, encoding, done) { done(null, String(chunk).toUpperCase()); } });
const source = Readable.from((function* () { for (let n = 0; n < 20000; n++) yield `line ${n}\n`; })());

(async () => {
  await pipeline(source, upper, zlib.createGzip(), fs.createWriteStream('lines.gz'));
  const hash = crypto.createHash('sha256');
  await pipeline(fs.createReadStream('lines.gz'), zlib.createGunzip(), hash);
  console.log(hash.digest('hex'));
  const web = new ReadableStream({ start(c) { c.enqueue('a'); c.enqueue('b'); c.close(); } });
  for await (const part of web) console.log(part);
  const key = await new Promise((ok, no) => crypto.scrypt('password', 'salt', 16, (e, k) => (e ? no(e) : ok(k))));
  console.log(key.toString('hex'), (await fs.promises.stat('lines.gz')).isFile());
})();

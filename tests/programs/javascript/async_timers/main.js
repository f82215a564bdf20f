const { setTimeout: sleep } = require('timers/promises');

async function worker(name, delay, log) {
  for (let step = 1; step <= 2; step++) {
    await sleep(delay);
    log.push(`${name}${step}`);
  }
  return name;
}

async function* ticks(count) {
  for (let at = 0; at < count; at++) { await sleep(1); yield at; }
}

(async () => {
  const log = [];
  const names = await Promise.all([worker('slow', 60, log), worker('fast', 10, log)]);
  console.log(names, log.slice(0, 2), log.length);
  console.log(await Promise.race([sleep(500, 'late', { ref: false }), sleep(5, 'early')]));
  console.log(await Promise.allSettled([Promise.reject(new Error('no')), 1]).then((all) => all.map((one) => one.status)));
  for await (const tick of ticks(3)) process.stdout.write(`${tick} `);
  console.log();
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 5);
  await sleep(1000, null, { signal: controller.signal }).catch((error) => console.log(error.name, error.code));
})();

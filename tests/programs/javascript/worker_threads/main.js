const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

if (isMainThread) {
  const shared = new Int32Array(new SharedArrayBuffer(4));
  const run = (limit) => new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: { limit, shared } });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  Promise.all([1000, 20000, 50000].map(run)).then((counts) => {
    console.log(counts, Atomics.load(shared, 0));
    const failing = new Worker('throw new Error("in a worker")', { eval: true });
    failing.on('error', (error) => console.log('error:', error.message));
    failing.on('exit', (code) => console.log('worker exit', code));
  });
} else {
  let primes = 0;
  for (let n = 2; n < workerData.limit; n++) {
    let prime = true;
    for (let d = 2; d * d <= n; d++) if (n % d === 0) { prime = false; break; }
    primes += prime;
  }
  Atomics.add(workerData.shared, 0, primes);
  parentPort.postMessage(primes);
}

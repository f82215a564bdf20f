// tries: to start worker threads without end, each with a heap of its own
// right: held
// limits: {"pids": 48, "memory_bytes": 268435456, "wall_time_ms": 20000}
const { Worker } = require('node:worker_threads');
let running = 0;
const start = () => {
    const worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
    worker.on('online', () => {
        running += 1;
        if (running > 48) {
            console.log(`breached: ${running} threads`);
            process.exit(1);
        }
        start();
    });
    worker.on('error', (error) => {
        console.log(/ERR_WORKER|thread/i.test(`${error.code} ${error.message}`) ? 'held' : `breached: ${error}`);
        process.exit(0);
    });
};
start();

// tries: to start worker threads without end, each with a heap of its own
// right: held
// limits: {"pids": 16, "memory_bytes": 536870912, "wall_time_ms": 20000}
const { Worker } = require('node:worker_threads');
let running = 0;
const start = () => {
    let worker;
    try {
        worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
    } catch (error) {
        console.log(error.code === 'ERR_WORKER_INIT_FAILED' ? 'held' : `breached: ${error}`);
        process.exit(0);
    }
    worker.on('online', () => {
        running += 1;
        if (running > 16) {
            console.log(`breached: ${running} threads`);
            process.exit(1);
        }
        start();
    });
};
start();

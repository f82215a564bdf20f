// tries: to start processes without end
// right: timed_out
// limits: {"wall_time_ms": 1000, "pids": 32, "memory_bytes": 268435456}
const { spawn } = require('node:child_process');
const start = () => {
    for (let count = 0; count < 8; count++) spawn('/bin/sleep', ['60'], { stdio: 'ignore' }).on('error', () => {});
    setImmediate(start);
};
start();

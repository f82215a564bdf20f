// tries: to keep the event loop from ever turning
// right: timed_out
// limits: {"wall_time_ms": 500}
process.on('SIGTERM', () => {});
for (;;) Math.random();

process.on('uncaughtException', (error, origin) => console.log('caught', error.message, origin));
process.on('unhandledRejection', (reason) => console.log('rejected', reason));
process.on('SIGUSR2', (signal) => console.log('signal', signal));
Promise.reject(17);
setTimeout(() => { throw new Error('one'); }, 1);
setTimeout(() => process.kill(process.pid, 'SIGUSR2'), 10);
setTimeout(() => { process.exitCode = 4; }, 40);
process.on('exit', (code) => console.log('exit', code, process.exitCode));

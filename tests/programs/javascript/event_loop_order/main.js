process.nextTick(() => console.log('tick'));
Promise.resolve().then(() => console.log('promise')).then(() => process.nextTick(() => console.log('tick from promise')));
queueMicrotask(() => console.log('microtask'));
setImmediate(() => {
  console.log('immediate');
  setTimeout(() => {
    console.log('timer from immediate');
    const repeated = setInterval(() => { console.log('interval'); clearInterval(repeated); }, 1);
  }, 0);
  process.nextTick(() => console.log('tick from immediate'));
});
process.once('beforeExit', () => { console.log('before exit'); setTimeout(() => console.log('more work'), 1); });
process.on('exit', (code) => console.log('exit', code));
console.log('main');

process.nextTick(() => console.log('tick'));
Promise.resolve().then(() => console.log('promise')).then(() => process.nextTick(() => console.log('tick from promise')));
queueMicrotask(() => console.log('microtask'));
setImmediate(() => {
  console.log('immediate');
  setTimeout(() => console.log('timer from immediate'), 0);
  process.nextTick(() => console.log('tick from immediate'));
});
const repeated = setInterval(() => { console.log('interval'); clearInterval(repeated); }, 30);
process.once('beforeExit', () => { console.log('before exit'); setTimeout(() => console.log('more work'), 1); });
process.on('exit', (code) => console.log('exit', code));
console.log('main');

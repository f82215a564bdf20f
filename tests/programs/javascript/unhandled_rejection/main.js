async function load() {
  await null;
  throw new RangeError('nobody catches this');
}
load();
setTimeout(() => console.log('never'), 1000);

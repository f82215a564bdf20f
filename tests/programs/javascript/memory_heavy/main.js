let kept = [];
let made = 0;
for (let round = 0; round < 12; round++) {
  const batch = [];
  for (let n = 0; n < 60000; n++) batch.push({ n, text: `item ${n}`, list: [n, n + 1] });
  made += batch.length;
  if (round % 4 === 0) kept.push(batch);
}
console.log(made, kept.length, kept[2][59999].text);
kept = null;
const wasm = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3, 97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11]);
WebAssembly.instantiate(wasm).then(({ instance }) => console.log(instance.exports.add(40, 2)));
const weak = new WeakRef({});
const cells = new FinalizationRegistry(() => {});
cells.register({}, 1);
console.log(typeof weak.deref());

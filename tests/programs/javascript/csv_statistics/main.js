const fs = require('fs');
const path = require('path');

const [header, ...rows] = fs.readFileSync(path.join(__dirname, 'data/sales.csv'), 'utf8').trim().split('\n');
const names = header.split(',');
const records = rows.map((row) => Object.fromEntries(row.split(',').map((value, at) => [names[at], value])));
const byRegion = new Map();
for (const { region, amount } of records) {
  const list = byRegion.get(region) ?? [];
  list.push(Number(amount));
  byRegion.set(region, list);
}
for (const [region, amounts] of [...byRegion].sort()) {
  const sum = amounts.reduce((a, b) => a + b, 0);
  const mean = sum / amounts.length;
  const deviation = Math.sqrt(amounts.reduce((a, b) => a + (b - mean) ** 2, 0) / amounts.length);
  console.log(`${region.padEnd(6)} n=${amounts.length} sum=${sum.toFixed(2)} mean=${mean.toFixed(3)} sd=${deviation.toFixed(3)}`);
}
console.table(records.slice(0, 2));
fs.writeFileSync('out.json', JSON.stringify(records));
console.log(fs.statSync('out.json').size, fs.readdirSync('.').sort());

const readline = require('readline');
const lines = readline.createInterface({ input: process.stdin, crlfDelay: Infinity });
let sum = 0;
lines.on('line', (line) => {
  const [a, b] = line.split(' ').map(Number);
  sum += a * b;
  console.log(`${line} -> ${a * b}`);
});
lines.on('close', () => console.log('sum', sum));

import * as readline from 'node:readline';

const totals = new Map<string, number>();
const lines: readline.Interface = readline.createInterface({ input: process.stdin });
lines.on('line', (line: string): void => {
  const [name, amount]: string[] = line.split('=');
  totals.set(name, (totals.get(name) ?? 0) + Number(amount));
});
lines.on('close', () => {
  for (const [name, total] of [...totals].sort((a, b) => b[1] - a[1])) console.log(name, total);
  console.log(process.argv.slice(2));
});

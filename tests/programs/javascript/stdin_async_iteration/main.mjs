import { createInterface } from 'node:readline/promises';
import process from 'node:process';

const input = createInterface({ input: process.stdin });
const name = await input.question('');
console.log(`hello ${name}`);
let count = 0;
for await (const line of input) console.log(++count, JSON.stringify(line));

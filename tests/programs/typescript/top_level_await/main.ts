import { setTimeout as sleep } from 'timers/promises';

type Job = { id: number; delay: number };
const jobs: Job[] = [{ id: 1, delay: 20 }, { id: 2, delay: 1 }];
const done: number[] = [];
await Promise.all(jobs.map(async ({ id, delay }: Job): Promise<void> => { await sleep(delay); done.push(id); }));
console.log(done);
for await (const value of (async function* (): AsyncGenerator<number> { yield 1; yield 2; })()) console.log(value);
const text: string = await sleep(1, 'end');
console.log(text);

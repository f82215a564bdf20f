import fs, { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import settings from './settings.json' with { type: 'json' };
import add, { PI, state, bump } from './lib/math.mjs';
import legacy from './lib/legacy.cjs';

bump();
console.log(add(2, 3), PI, state.count, legacy.name, settings);
console.log(import.meta.url, import.meta.filename, import.meta.dirname, fs.readFileSync === readFileSync);
const { default: lazy } = await import('./lib/lazy.mjs');
console.log(await lazy(), typeof require, this);
console.log(createRequire(import.meta.url)('./lib/legacy.cjs') === legacy, import.meta.resolve('./x.mjs'));
await import('./missing.mjs').catch((error) => console.log(error.code));
await import('./lib/broken.mjs').catch((error) => console.log(error.name, error.message));
export const unused = await Promise.resolve(1);

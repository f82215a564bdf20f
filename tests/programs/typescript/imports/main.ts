import * as path from 'node:path';
import fs, { type PathLike, readFileSync } from 'fs';
import type { Server } from 'node:http';
import { User, greet } from './lib/user.js';
import shout from './lib/shout';
import * as numbers from './lib/numbers.ts';
import settings from './settings.json';
import legacy = require('./lib/legacy.cjs');

const where: PathLike = path.join(__dirname, 'settings.json');
const server: Server | null = null;
const user: User = { name: 'Ann', age: 30 };
console.log(greet(user), shout<string>('hi'), numbers.sum(1, 2, 3), settings.level, legacy.name, server);
console.log(JSON.parse(readFileSync(where, 'utf8')).level, typeof fs.promises, import.meta.filename);
import('./lib/numbers').then(({ sum }) => console.log('lazy', sum(4, 5)));
export default user;

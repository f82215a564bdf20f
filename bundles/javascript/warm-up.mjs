// As warm-up.js, for modules.
import fs from 'node:fs';
import { join } from 'node:path';

export const here = join(import.meta.url, typeof fs);
export default class {}

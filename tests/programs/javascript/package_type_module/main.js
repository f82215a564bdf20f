import { value } from './value.js';
console.log(value, import.meta.url);

// Types are not checked: this would not pass the compiler.
const n: number = 'text';
function twice(x: number): number { return x + x; }
console.log(twice(n), (undefined as any)?.field);

export interface User { name: string; age: number }
export function greet({ name, age }: User): string { return `${name} is ${age}`; }

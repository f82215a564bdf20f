export const PI = 3.14;
export const state = { count: 0 };
export function bump() { state.count++; }
export default (a, b) => a + b;

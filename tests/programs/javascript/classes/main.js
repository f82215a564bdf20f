class Shape {
  static #made = 0;
  static count() { return Shape.#made; }
  constructor(name) { this.name = name; Shape.#made++; }
  get area() { throw new TypeError(`${this.name} has no area`); }
  toString() { return `${this.constructor.name}(${this.name}, ${this.area.toFixed(2)})`; }
}
class Circle extends Shape {
  #radius;
  constructor(radius) { super('circle'); this.#radius = radius; }
  get area() { return Math.PI * this.#radius ** 2; }
  static { this.unit = new Circle(1); }
  static isCircle(value) { return #radius in value; }
}
class Stack extends Array {
  peek() { return this.at(-1); }
  static get [Symbol.species]() { return Array; }
}
console.log(`${Circle.unit}`, Shape.count(), Circle.isCircle({}));
try { new Shape('blob').area; } catch (error) { console.log(error.name, error.message); }
const stack = Stack.of(1, 2, 3);
console.log(stack.peek(), stack, stack.map((n) => n * 2) instanceof Stack);
const proxy = new Proxy({}, { get: (_, key) => `no ${String(key)}` });
console.log(proxy.field, Object.groupBy?.([1, 2, 3], (n) => (n % 2 ? 'odd' : 'even')) ?? 'none');
const graph = { name: 'root', when: new Date(Date.UTC(2024, 1, 29)), big: 2n ** 70n, map: new Map([[{ a: 1 }, new Set([1])]]), nested: { a: { b: { c: {} } } }, f() {}, s: Symbol('s') };
graph.self = graph;
console.log(graph);
console.log(structuredClone({ d: new Date(0), m: new Map([[1, { x: [1n] }]]) }));
label: for (const a of [1, 2, 3]) for (const b of [1, 2]) { if (a * b === 4) break label; console.log(a, b); }
console.log([..."naïve 👍🏽"].length, 'ß'.toUpperCase(), 'z'.localeCompare('ä', 'de'), new Intl.NumberFormat('de-DE', { style: 'currency', currency: 'EUR' }).format(1234.5));

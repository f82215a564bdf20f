interface Named { readonly name: string; nick?: string }
type Result<T, E extends Error = Error> = { ok: true; value: T } | { ok: false; error: E };
type Keys<T> = { [K in keyof T as `get${Capitalize<string & K>}`]: () => T[K] };

function parse<T>(text: string, check: (value: unknown) => value is T): Result<T, SyntaxError | TypeError> {
  try {
    const value: unknown = JSON.parse(text);
    return check(value) ? { ok: true, value } : { ok: false, error: new TypeError('wrong shape') };
  } catch (error) {
    return { ok: false, error: error as SyntaxError };
  }
}

const isNamed = (value: unknown): value is Named => typeof (value as Named)?.name === 'string';
for (const text of ['{"name":"Ann"}', '[]', '{']) {
  const result = parse<Named>(text, isNamed);
  console.log(result.ok ? result.value.name : result.error.name);
}
const first = <T,>(list: readonly T[]): T | undefined => list[0];
const keys: Partial<Keys<Named>> = { getName: () => 'x' };
console.log(first([1, 2])!.toFixed(1), keys.getName?.(), ({ a: 1 } satisfies Record<string, number>).a);
let definite!: string;
definite = <string>'cast';
console.log(definite, [1, 2, 3].map((n): string => `${n}`).join());
export {};

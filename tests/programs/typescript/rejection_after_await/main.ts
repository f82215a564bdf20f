type Answer = { status: number };

async function request(url: string): Promise<Answer> {
  await Promise.resolve();
  if (url.length > 3) throw new Error(`cannot reach ${url}`);
  return { status: 200 };
}
console.log((await request('a')).status);
await request('far away');
console.log('never');

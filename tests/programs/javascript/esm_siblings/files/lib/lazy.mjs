const value = await new Promise((done) => setTimeout(done, 5, 'lazy'));
export default async () => value;

process.on('exit', (code) => console.log('exit', code));
class BadInput extends Error {
  constructor(field, options) { super(`bad ${field}`, options); this.name = 'BadInput'; this.field = field; }
}
function parse(text) {
  try { return JSON.parse(text); } catch (cause) { throw new BadInput('json', { cause }); }
}
console.log('start');
setTimeout(() => parse('{oops'), 2);
